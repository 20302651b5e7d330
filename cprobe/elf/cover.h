/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of many ranges covers an address: ranges that may overlap, the first one of the list wins, made into disjoint
 * pieces in order of address once, so that each question is a binary search.
 */
#ifndef CPROBE_COVER_H
#define CPROBE_COVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_span {
	uint64_t first, last;	/* both inside */
	size_t index;		/* of what it is a range; the lowest wins where ranges overlap */
};

struct cp_cover {
	struct cp_span *pieces;	/* disjoint, by address */
	size_t count;
};

/* False: no memory. The spans remain the caller's, in whatever order; cp_cover_deinit() ends *ret. */
bool cp_cover_init(const struct cp_span *spans, size_t count, struct cp_cover *ret);
void cp_cover_deinit(struct cp_cover *cover);

/* The winner's index at that address; false: no range covers it. */
bool cp_cover_at(const struct cp_cover *cover, uint64_t address, size_t *ret);

#endif
