/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What two sequences of ids have in common, in order. The answer is exact where they differ little; where they differ
 * much it is a good one, found in time that grows with their length alone: what the ways of Myers cannot reach is cut
 * up at short runs that both have once, and what has none of these is taken as replaced.
 */
#ifndef CPROBE_ALIGN_H
#define CPROBE_ALIGN_H

#include "cprobe.h"

/* a[a ... a + a_count) became b[b ... b + b_count); one of the counts may be 0, not both. */
struct cp_hunk {
	uint32_t a, a_count, b, b_count;
};

struct cp_hunks {
	struct cp_hunk *items;	/* malloc'ed */
	size_t count;
};

/*
 * The places where b is another than a, in order; between two of them both are equal. Each sequence has fewer than 2^31
 * elements. rare_first: ids that both have once, in the same order, are kept together even where fewer edits would do
 * without: a loop then is not taken for another one of the same calls, on the other side of a call that was made once.
 * On success ret->items is the caller's to free(); the same answer for the same input.
 */
struct cp_error *cp_align(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count, bool rare_first,
	struct cp_hunks *ret);

#endif
