/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The units of a program's DWARF: which one is named by a file glob, which one covers an address, and which function
 * of it does. Dwarf_Die objects point into the program's Dwarf and live as long as the program.
 */
#ifndef CPROBE_UNITS_H
#define CPROBE_UNITS_H

#include "base/arena.h"
#include "program.h"

struct cp_unit_function {
	Dwarf_Addr low, high;
	Dwarf_Die die;
};

struct cp_unit {
	Dwarf_Die die;
	uint64_t offset;			/* of its DIE in .debug_info */
	bool functions_read;
	struct cp_unit_function *functions;	/* one per range of each concrete function, sorted by low */
	size_t function_count;
};

struct cp_unit_range {
	Dwarf_Addr low, high;
	size_t unit;
};

struct cp_units {
	Dwarf *dwarf;
	const struct cp_image *image;		/* that holds the DWARF; not owned */
	struct cp_arena arena;
	struct cp_unit *items;			/* in .debug_info order */
	size_t count;
	struct cp_unit_range *ranges;		/* of all units, sorted; read on the first miss of .debug_aranges */
	size_t range_count;
	bool ranges_read;
	const char *last_raw, *last_path;	/* lines.c's: the last file of a line, before and after normalising */
};

/* program->units, made on first use. NULL in *ret when there is no DWARF. */
struct cp_error *cp_program_units(struct cp_program *program, struct cp_units **ret);
void cp_units_destroy(struct cp_units *units);

/* The unit that covers the address, or NULL in *ret. */
struct cp_error *cp_units_at(struct cp_units *units, uint64_t address, struct cp_unit **ret);

/* The unit whose part of .debug_info holds the offset, or NULL. */
struct cp_unit *cp_units_by_offset(struct cp_units *units, uint64_t offset);

/* The concrete function of the unit that covers the address, or NULL in *ret. */
struct cp_error *cp_unit_function_at(struct cp_unit *unit, uint64_t address, Dwarf_Die *die, bool *found);

/*
 * The unit's path: DW_AT_name behind DW_AT_comp_dir when it is relative, normalised. In the arena; NULL: no memory.
 */
const char *cp_unit_path(struct cp_arena *arena, Dwarf_Die *unit);

/*
 * The units that may define functions or lines of files that the globs match, in order: those named so; with a glob
 * that can match no unit's main file (a header), every unit whose file table holds a match. *ret is malloc'ed, the
 * caller's; also units made by link-time optimisation, which belong to no one file.
 */
struct cp_error *cp_units_for_files(struct cp_units *units, char *const *globs, size_t count, struct cp_unit ***ret,
	size_t *ret_count);

#endif
