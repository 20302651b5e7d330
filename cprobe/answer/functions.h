/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions and their inlined copies, from DWARF, with the symbol table's names for what compilers split off. */
#ifndef CPROBE_FUNCTIONS_H
#define CPROBE_FUNCTIONS_H

#include "program.h"

/*
 * Add to `records` the functions of these units that `where` wants: one record for each range of a concrete function
 * (foo, foo.cold) and one for each inlined copy. `symbols`, sorted, give split-off parts and clones their names; those
 * that begin elsewhere than a function need not be in it.
 */
struct cp_error *cp_functions_of_units(struct cp_program *program, struct cp_dw_unit *const *units, size_t count,
	const struct cp_symbols *symbols, const struct cp_where *where, enum cp_inlined inlined, struct cp_records *records);

/* The record's file, line, args, by the function that DWARF has at record->address; unknown: nothing is changed. */
struct cp_error *cp_function_details(struct cp_program *program, struct cp_records *records, struct cp_record *record);

/* A function's DW_AT_name, or its linkage name; NULL none. */
const char *cp_function_name(const struct cp_die *die);

#endif
