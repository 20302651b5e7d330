/* SPDX-License-Identifier: BSD-2-Clause */
/* Abbreviation tables, DWARF 5 section 7.5.3: what the DIEs of a unit are made of. */
#ifndef CPROBE_ABBREV_H
#define CPROBE_ABBREV_H

#include "base/arena.h"
#include "dwarf/cursor.h"

/* What the sizes of forms depend on. */
struct cp_dw_sizes {
	uint8_t version;
	uint8_t address;	/* 4 or 8 */
	uint8_t offset;		/* 4, or 8 in 64-bit DWARF */
};

struct cp_abbrev_attr {
	uint16_t name, form;		/* DW_AT_*, DW_FORM_* */
	int8_t size;			/* bytes of a value, cp_form_size() */
	int64_t implicit;		/* the value of a form without data: DW_FORM_implicit_const's, 1 of DW_FORM_flag_present */
};

/*
 * DWARF 5 has some 150 attributes. What declares many more would make each DIE of one byte cost as much as it is long:
 * malformed.
 */
#define CP_MAX_ATTRS 512

/* To pass over attributes: `fixed` bytes, then one value of a form whose size lies in the data. */
struct cp_abbrev_step {
	uint16_t fixed, form;		/* form 0: none, the end */
};

/* What a walk over DIEs is after: bits, by tag. All other DIEs are passed over. */
enum cp_interest {
	CP_SCOPES = 1,		/* units, namespaces, modules */
	CP_CODE = 2,		/* functions that say where their code is, inlined copies */
	CP_DECLARED = 4,	/* other functions: in C there is nothing in them that has code */
	CP_BLOCKS = 8,		/* in functions */
	CP_STRUCTS = 16,	/* structs, unions, classes, enumerations, which have functions and types in C++ and Rust */
	CP_TYPEDEFS = 32,
	CP_ANY = 0xff,
};

struct cp_abbrev {
	uint64_t code;
	uint16_t tag;			/* DW_TAG_* */
	bool children;
	uint8_t interest;		/* enum cp_interest */
	uint8_t sibling_size;		/* of a DW_AT_sibling in this unit, `sibling_at` bytes behind the start; 0: none such */
	uint16_t sibling_at;
	uint32_t attr_count, step_count;
	const struct cp_abbrev_attr *attrs;
	const struct cp_abbrev_step *steps;
};

/*
 * How to pass over a DIE whose code is one byte, in eight bytes: a walk over all DIEs has those of a unit in the processor's
 * first cache.
 */
struct cp_abbrev_pass {
	uint16_t fixed;			/* bytes of all values */
	uint16_t sibling_at;		/* as in struct cp_abbrev */
	uint8_t sibling_size;		/* 0: there are no children, or it is a block */
	uint8_t interest;		/* enum cp_interest, or CP_ANY: it cannot be passed over so */
	bool children;
};

#define CP_PASSES 128

struct cp_abbrevs {
	struct cp_abbrev *items;	/* sorted by code; owned, as the lists are that they point into */
	struct cp_abbrev_pass *passes;	/* CP_PASSES, by code */
	struct cp_abbrev_attr *attrs;
	struct cp_abbrev_step *steps;
	size_t count, attr_count, step_count;
};

/*
 * Read the table at the cursor, in place of what *table held: zeroed before the first time. The cursor ends behind it.
 * False with c->failed: malformed; without: no memory.
 */
bool cp_abbrevs_read(struct cp_abbrevs *table, struct cp_cursor *c, struct cp_dw_sizes sizes);
void cp_abbrevs_deinit(struct cp_abbrevs *table);

/* NULL: no such code. */
static inline const struct cp_abbrev *cp_abbrev_find(const struct cp_abbrevs *table, uint64_t code)
{
	size_t low = 0, high = table->count;

	/* Compilers count from 1. */
	if (code - 1 < table->count && table->items[code - 1].code == code)
		return &table->items[code - 1];
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->items[middle].code < code)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count && table->items[low].code == code ? &table->items[low] : NULL;
}

/*
 * One declaration without the table: names of 2000 units are found that way while their tables stay unread.
 * cp_abbrev_seek() leaves the cursor at the attributes of the code's declaration, or is false; then
 * cp_abbrev_next_attr() gives one after the other until it is false.
 */
bool cp_abbrev_seek(struct cp_cursor *c, uint64_t code, uint64_t *tag, bool *children);

/*
 * The same for what is a compilation unit's root in almost every table, found by its bytes: two zeros that end the
 * declaration before it, the code, DW_TAG_compile_unit and that it has children stand nowhere else in a table. The cursor
 * ends where the table does, or the next one begins. False: it was not found, and the cursor is where it was.
 */
bool cp_abbrev_seek_root(struct cp_cursor *c, uint64_t code);
bool cp_abbrev_next_attr(struct cp_cursor *c, struct cp_dw_sizes sizes, struct cp_abbrev_attr *ret);

/* Bytes of a value of the form; -1: its size lies in the data, or the form is not known. */
int cp_form_size(uint16_t form, struct cp_dw_sizes sizes);

#endif
