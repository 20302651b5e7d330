/* SPDX-License-Identifier: BSD-2-Clause */
/* Short runs of ids that each of two sequences has exactly once, in the same order in both. */
#ifndef CPROBE_ANCHORS_H
#define CPROBE_ANCHORS_H

#include "cprobe.h"

/* Each level looks for shorter runs than the one before. */
#define CP_ANCHOR_LEVELS 4

struct cp_anchor {
	uint32_t a, b;		/* where the run begins */
};

/* The memory of searches; zeroed, there is none yet. */
struct cp_anchors {
	struct cp_anchor_slot *slots;
	size_t size;
};

/*
 * Those found by `level`, in order; of long sequences a part, which is chosen by the runs' content. *ret is the
 * caller's to free().
 */
struct cp_error *cp_anchors_find(struct cp_anchors *anchors, const uint32_t *a, size_t a_count, const uint32_t *b,
	size_t b_count, unsigned int level, struct cp_anchor **ret, size_t *count);
void cp_anchors_deinit(struct cp_anchors *anchors);

#endif
