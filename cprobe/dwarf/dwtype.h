/* SPDX-License-Identifier: BSD-2-Clause */
/* DWARF types and attributes as text. Strings are in the arena or in the mapped file; NULL: no memory. */
#ifndef CPROBE_DWTYPE_H
#define CPROBE_DWTYPE_H

#include <stdbool.h>
#include <elfutils/libdw.h>

#include "base/arena.h"

/* The C text of the type of a DIE (its DW_AT_type): "struct pcpu *", "uint64_t", "void" without one. */
const char *cp_type_text(struct cp_arena *arena, Dwarf_Die *die);

/* "unsigned", "signed", "float", "bool", "char", "pointer", "enum", "struct", "union", "array", "function"; or NULL. */
const char *cp_type_encoding(Dwarf_Die *die);

/* The type of a DIE without typedefs and qualifiers: false for void or a broken chain. */
bool cp_type_of(Dwarf_Die *die, Dwarf_Die *ret);

/* Bytes of a value of the type of a DIE; 0 unknown. */
uint64_t cp_type_size(Dwarf_Die *die);

/* Where a DIE (or the one that it is an instance of) was declared; normalised path, or NULL unknown. */
const char *cp_decl_file(struct cp_arena *arena, Dwarf_Die *die, unsigned int *line);

/*
 * The same path as the line table has it, or NULL. libdw's dwarf_decl_file() takes number 0 for "none", which in
 * DWARF 5 is the unit's own file, and clang uses it.
 */
const char *cp_decl_file_raw(Dwarf_Die *die);

/* The path of file number `index` of a unit, normalised, or NULL. */
const char *cp_unit_file(struct cp_arena *arena, Dwarf_Die *unit, uint64_t index);

#endif
