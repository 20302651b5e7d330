/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions and their inlined copies, from DWARF, with the symbol table's names for what compilers split off. */
#ifndef CPROBE_FUNCTIONS_H
#define CPROBE_FUNCTIONS_H

#include "cprobe.h"
#include "dwarf/units.h"

struct cp_function_filter {
	struct cp_where where;
	enum cp_inlined inlined;
};

/*
 * Add to `records` the functions of one unit that the filter wants: one record for each range of a concrete function
 * (foo, foo.cold) and one for each inlined copy. Needs the program's symbols.
 */
struct cp_error *cp_functions_of_unit(struct cp_program *program, struct cp_unit *unit,
	const struct cp_function_filter *filter, struct cp_records *records);

/* The record's file, line, args, by the function that DWARF has at record->address; unknown: nothing is changed. */
struct cp_error *cp_function_details(struct cp_program *program, struct cp_records *records, struct cp_record *record);

/*
 * The inlined functions whose code covers the address, innermost first: names and the containing concrete function.
 * *innermost is NULL when the address is in no inlined copy; *outer NULL when DWARF has no function there. When
 * `globs` is not NULL, *matched tells whether one of the chain's names (all of them) matches.
 */
struct cp_error *cp_inline_chain(struct cp_program *program, uint64_t address, char *const *globs,
	size_t glob_count, const char **innermost, const char **outer, bool *matched);

#endif
