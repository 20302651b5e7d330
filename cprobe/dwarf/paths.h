/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths of source files, whole and normalised: the folder and the name of a line table's file, behind the unit's folder.
 * Units name the same headers again and again, so what was made once is kept. One struct for each thread.
 */
#ifndef CPROBE_PATHS_H
#define CPROBE_PATHS_H

#include "dwarf/die.h"
#include "dwarf/linetable.h"

struct cp_path;

struct cp_paths {
	struct cp_arena *arena;		/* of the strings; not owned */
	struct cp_path *table;		/* hashed; owned */
	size_t size, count;		/* size: a power of two */
};

void cp_paths_init(struct cp_paths *paths, struct cp_arena *arena);
void cp_paths_deinit(struct cp_paths *paths);

/* The path of file `index` of the table. *ret NULL: there is no such file. */
struct cp_error *cp_path_of_file(struct cp_paths *paths, const struct cp_dw_lines *lines, uint64_t index,
	const char **ret);

/* The path of the unit's own file. *ret NULL: it has no name. */
struct cp_error *cp_path_of_unit(struct cp_paths *paths, struct cp_dw_unit *unit, const char **ret);

/* The file that a DW_AT_decl_file or DW_AT_call_file names; unit NULL in it: *ret is NULL. */
struct cp_error *cp_path_of_attr(struct cp_paths *paths, const struct cp_dw_attr *file, const char **ret);

/* Where a DIE, or what it is an instance of, was declared. *file NULL: unknown. */
struct cp_error *cp_path_of_decl(struct cp_paths *paths, const struct cp_die *die, const char **file, uint32_t *line);

#endif
