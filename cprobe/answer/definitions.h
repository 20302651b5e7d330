/* SPDX-License-Identifier: BSD-2-Clause */
/* The definitions of a type's name in all units: a kernel has one of a much used struct in each of two thousand. */
#ifndef CPROBE_DEFINITIONS_H
#define CPROBE_DEFINITIONS_H

#include "program.h"

struct cp_definition {
	struct cp_dw_unit *unit;
	uint64_t offset;		/* of the DIE: a struct, union, class or typedef */
	uint64_t print;			/* equal for definitions of one layout, written down by one compiler */
};

struct cp_definitions {
	struct cp_definition *items;	/* malloc'ed */
	size_t count;
};

/*
 * The first definition of each layout, in the order of the file. Layouts are told apart by the names, places and types of
 * their members, those of unnamed ones within too; with `inner`, also by what structs among them consist of.
 */
struct cp_error *cp_definitions_find(struct cp_dwarf *dwarf, const char *name, bool inner, struct cp_definitions *ret);

#endif
