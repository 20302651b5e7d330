/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines and addresses, by the line tables of DWARF. */
#ifndef CPROBE_LINES_H
#define CPROBE_LINES_H

#include "cprobe.h"
#include "dwarf/units.h"

/* File (normalised, the program's) and line of the code at the address; NULL in *file: unknown. */
struct cp_error *cp_line_at(struct cp_program *program, uint64_t address, const char **file, unsigned int *line);

#endif
