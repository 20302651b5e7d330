/* SPDX-License-Identifier: BSD-2-Clause */
/* The addresses that a DIE covers: DW_AT_low_pc and DW_AT_high_pc, or a list of ranges (DWARF 5 section 2.17). */
#ifndef CPROBE_RANGES_H
#define CPROBE_RANGES_H

#include "dwarf/die.h"

struct cp_ranges {
	struct cp_dw_unit *unit;
	struct cp_cursor list;			/* of the rest of it */
	uint64_t base;
	uint64_t relative_to;			/* of what was read last: the base, or 1 if that is the unit's */
	unsigned int entries;			/* read so far */
	bool has_base;				/* one was told in the list */
	uint64_t low, high;			/* the only one, when there is no list */
	bool has_list, has_one;
};

/* Begin. False: the DIE covers nothing, or the list cannot be read. The extent is one that was read already. */
bool cp_ranges_begin(const struct cp_dw_extent *extent, struct cp_ranges *ret);
bool cp_ranges_of(const struct cp_die *die, struct cp_ranges *ret);

/*
 * The next one that is not empty and that the linker has left in: see cp_dwarf_is_tombstone(). False: no more.
 */
bool cp_ranges_next(struct cp_ranges *ranges, uint64_t *low, uint64_t *high);

#endif
