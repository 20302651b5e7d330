/* SPDX-License-Identifier: BSD-2-Clause */
/* From source files to units. */
#ifndef CPROBE_BY_FILE_H
#define CPROBE_BY_FILE_H

#include "dwarf/dwarf.h"

/*
 * The units that may define functions or lines of files that the globs match, in order: those named so; with a glob
 * that can match no unit's main file (a header), every unit whose file table holds a match; also units made by
 * link-time optimisation, which belong to no one file. *ret is malloc'ed, the caller's.
 */
struct cp_error *cp_units_of_files(struct cp_dwarf *dwarf, const struct cp_globs *globs, struct cp_dw_unit ***ret,
	size_t *ret_count);

#endif
