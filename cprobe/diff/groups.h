/* SPDX-License-Identifier: BSD-2-Clause */
/* Findings, put together: what changed in the same way at many places is one group. */
#ifndef CPROBE_GROUPS_H
#define CPROBE_GROUPS_H

#include "diff/findings.h"

struct cp_grouping {
	struct cp_findings *all;
	uint32_t *slots;	/* of all->groups, by change and hash: index + 1; 0: free; malloc'ed */
	size_t size;		/* of slots: a power of two, or 0 */
};

/* The group of a change, with one place more. *ret is valid until the next call. */
struct cp_error *cp_group_add(struct cp_grouping *grouping, enum cp_change change, uint64_t hash,
	const struct cp_place *place, uint64_t steps, struct cp_group **ret);

/* By change, then the most steps first. */
void cp_groups_sort(struct cp_findings *findings);

#endif
