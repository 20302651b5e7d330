/* SPDX-License-Identifier: BSD-2-Clause */
/* The place of an instruction: function, inlined copy, file, line; and the filters on it. */
#ifndef CPROBE_PLACE_H
#define CPROBE_PLACE_H

#include "verb.h"

/*
 * Fill name, outer, file, line and section of a record at an instruction. *wanted: do --in-func and --in-file let it
 * through? A site in an inlined copy of F within G is in F and in G.
 */
struct cp_error *cp_place_fill(struct cp_program *program, const struct cp_options *options,
	struct cp_record *record, bool *wanted);

#endif
