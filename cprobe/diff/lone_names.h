/* SPDX-License-Identifier: BSD-2-Clause */
/* What vCPUs did in one of two boots alone. */
#ifndef CPROBE_LONE_NAMES_H
#define CPROBE_LONE_NAMES_H

#include "diff/steps.h"

struct cp_lone_name {
	uint32_t name;
	int stream;		/* where it came first, and at which step */
	uint32_t at;
	uint64_t count;
};

struct cp_lone_names {
	struct cp_lone_name *items;	/* malloc'ed; by vCPU, in the order in which they came first */
	size_t count;
};

/* The names of steps of `in` that `other` has none of. Both have the same table of names. */
struct cp_error *cp_lone_names_find(const struct cp_steps *in, const struct cp_steps *other, struct cp_lone_names *ret);

#endif
