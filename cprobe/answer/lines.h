/* SPDX-License-Identifier: BSD-2-Clause */
/* From addresses to lines, by the line tables of DWARF. From a line to addresses: cp_find_line(), in line.c. */
#ifndef CPROBE_LINES_H
#define CPROBE_LINES_H

#include "program.h"

struct cp_line {
	uint64_t address;
	const char *file;	/* normalised, the program's; NULL unknown */
	uint32_t line;		/* 0 unknown */
};

/*
 * Fill file and line of each, by its address. The table of a unit is run once for all addresses in it, so many are
 * better asked for at once; their order stays.
 */
struct cp_error *cp_lines_fill(struct cp_program *program, struct cp_line *lines, size_t count);

#endif
