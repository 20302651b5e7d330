/* SPDX-License-Identifier: BSD-2-Clause */
/* DWARF types as text and as sizes. Strings are in the arena or in the file; NULL: no memory. */
#ifndef CPROBE_TYPES_H
#define CPROBE_TYPES_H

#include "dwarf/die.h"

/* The C text of the type of a DIE (its DW_AT_type): "struct pcpu *", "uint64_t", "void" without one. */
const char *cp_type_text(struct cp_arena *arena, const struct cp_die *die);

/* The same of what the type is without typedefs and qualifiers: "unsigned long" for "const uint64_t". */
const char *cp_type_base_text(struct cp_arena *arena, const struct cp_die *die);

/* The C name of a struct, union or enum DIE itself: "struct pcpu", "struct {...}". */
const char *cp_type_own_text(struct cp_arena *arena, const struct cp_die *type);

/* The type of an array without its first `skip` dimensions, some of which are left: "char[8]" of char[3][8]. */
const char *cp_array_part_text(struct cp_arena *arena, const struct cp_die *array, size_t skip);

/* "unsigned", "signed", "float", "bool", "char", "pointer", "enum", "struct", "union", "array", "function"; or NULL. */
const char *cp_type_encoding(const struct cp_die *die);

/* The type of a DIE without typedefs and qualifiers: false for void or a broken chain. */
bool cp_type_of(const struct cp_die *die, struct cp_die *ret);

/*
 * A struct or union that is only declared in this unit is defined in another one, or in a type unit: follow a
 * DW_AT_signature. Else *type stays as it is.
 */
void cp_type_resolve(struct cp_die *type);

/* Bytes of a value of the type of a DIE; 0 unknown. */
uint64_t cp_type_size(const struct cp_die *die);

/*
 * Of an array type: elements of all dimensions together, 0 for an array without a bound; and of one dimension less,
 * so that an index can be turned into bytes.
 */
uint64_t cp_array_count(const struct cp_die *array);
uint64_t cp_array_dimensions(const struct cp_die *array, uint64_t *counts, size_t room);

#endif
