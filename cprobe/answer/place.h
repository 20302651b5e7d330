/* SPDX-License-Identifier: BSD-2-Clause */
/* The place of an instruction: function, inlined copy, file, line; and the filters on it. */
#ifndef CPROBE_PLACE_H
#define CPROBE_PLACE_H

#include "program.h"

/*
 * Fill name, outer, file, line and section of the records from index `first` on, which lie at instructions, and drop
 * those that are not where `where` says. A site in an inlined copy of F within G is in F and in G.
 */
struct cp_error *cp_places_fill(struct cp_program *program, const struct cp_where *where, struct cp_records *records,
	size_t first);

/* The record's section, when the answer is to be full. */
struct cp_error *cp_place_section(const struct cp_program *program, struct cp_records *records,
	struct cp_record *record);

#endif
