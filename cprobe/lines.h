/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines and addresses, by the line tables of DWARF. */
#ifndef CPROBE_LINES_H
#define CPROBE_LINES_H

#include "record.h"
#include "units.h"

/* File (normalised, the program's) and line of the code at the address; NULL in *file: unknown. */
struct cp_error *cp_line_at(struct cp_program *program, uint64_t address, const char **file, unsigned int *line);

/*
 * Add a record of kind line for each place where code of a line begins: the rows marked as statements, the first one
 * of each run of rows of that line. *next is set to the lowest line above `line` that has code in a matching file, 0
 * for none, so that a caller without an answer can go on as GDB does.
 */
struct cp_error *cp_lines_find(struct cp_program *program, char *glob, unsigned int line, struct cp_records *records,
	unsigned int *next);

#endif
