/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DWARF 2 to 5 as it lies in the file: sections, units, DIEs, attributes. Nothing is decoded before it is asked for,
 * and nothing is kept that can be read again: a kernel's .debug_info has 160 MB, and questions are to be answered in
 * milliseconds. References: DWARF 5 (dwarfstd.org), section numbers at the functions.
 *
 * No field is believed. What leads out of its section or its unit is an error or "not there"; what could be made to be
 * read again and again (tables that many units share, lists that many DIEs share) is charged to a budget, so that the
 * time for a question is bounded by the size of the file.
 *
 * Several threads may read one struct cp_dwarf; units are prepared under locks.
 */
#ifndef CPROBE_DWARF_H
#define CPROBE_DWARF_H

#include <pthread.h>

#include "base/arena.h"
#include "base/radix.h"
#include "base/texts.h"
#include "dwarf/abbrev.h"
#include "dwarf/cursor.h"

enum cp_dw_section {
	CP_DW_INFO, CP_DW_TYPES, CP_DW_ABBREV, CP_DW_LINE, CP_DW_STR, CP_DW_LINE_STR, CP_DW_STR_OFFSETS, CP_DW_ADDR,
	CP_DW_RANGES, CP_DW_RNGLISTS, CP_DW_LOC, CP_DW_LOCLISTS, CP_DW_ARANGES,
	CP_DW_SECTIONS
};

struct cp_dw_bytes {
	const char *name;
	const uint8_t *bytes;		/* NULL with size 0: there is none */
	uint64_t size;
	uint64_t terminated;		/* offsets below this are inside a string that ends */
	void *owned;
};

#define CP_DW_NONE UINT64_MAX		/* an offset that is not given */

struct cp_dw_lines;
struct cp_dw_unit;

/* The value of an attribute; see die.h. */
struct cp_dw_attr {
	struct cp_dw_unit *unit;
	uint16_t name, form;		/* DW_AT_*; DW_FORM_* after DW_FORM_indirect is resolved */
	uint64_t value;			/* number, offset or index; of a block or inline string: its length */
	const uint8_t *bytes;		/* of a block or an inline string */
};

/* Where the addresses of a DIE are told; see ranges.h. */
struct cp_dw_extent {
	struct cp_dw_attr low, high, ranges;	/* unit NULL: the DIE has not got it */
};

/* An abbreviation table; units may share one. */
struct cp_dw_table {
	uint64_t offset;
	struct cp_dw_sizes sizes;
	bool is_read;
	struct cp_abbrevs abbrevs;
};

struct cp_dw_unit {
	struct cp_dwarf *dwarf;
	size_t number;			/* in dwarf->units */
	uint64_t offset, end;		/* in its section; end: behind its last byte */
	uint64_t first;			/* of its first DIE */
	uint64_t abbrev_offset;
	uint64_t signature, type_offset;	/* of a type unit; offset from the unit's */
	struct cp_dw_sizes sizes;
	uint8_t type;			/* DW_UT_* */
	bool is_split;			/* what it describes is in a .dwo file */
	uint8_t section;		/* CP_DW_INFO or CP_DW_TYPES */

	/* By cp_unit_root(). */
	bool has_root;
	uint16_t tag, language;		/* DW_TAG_*, DW_LANG_* */
	const char *name, *folder, *producer;	/* DW_AT_name, DW_AT_comp_dir; NULL: not given */
	uint64_t line_offset;		/* of its line table; CP_DW_NONE */
	struct cp_dw_extent extent;
	uint64_t low_pc;		/* what its ranges and locations are relative to */
	uint64_t str_offsets, addresses, ranges, locations;	/* bases, DWARF 5 section 7.26 to 7.29 */

	/* By cp_unit_prepare(). */
	bool is_prepared;
	struct cp_dw_table *table;

	/* By cp_unit_lines(). */
	bool has_lines;
	const struct cp_dw_lines *lines;	/* NULL: it has no line table */
};

#define CP_DW_LOCKS 16

struct cp_dwarf {
	const struct cp_image *image;	/* not owned */
	struct cp_dw_bytes sections[CP_DW_SECTIONS];
	struct cp_dw_unit *units;	/* of .debug_info by offset, then those of .debug_types */
	size_t unit_count, info_count;	/* all; of .debug_info */
	struct cp_dw_table *tables;	/* sorted by offset; one for each that a unit names */
	size_t table_count;
	struct cp_keyed *types;		/* type units, sorted by signature */
	size_t type_count;
	int64_t budget;			/* bytes that may still be read twice */
	bool code_at_zero;		/* code lies at address 0 */
	bool lacked_memory;		/* a reader that can only say "not there" had none */
	pthread_mutex_t locks[CP_DW_LOCKS];
	struct cp_arena arenas[CP_DW_LOCKS];	/* what is made under the lock of that number */
};

/* Make one for an image with DWARF; *ret is the caller's until cp_dwarf_close() and no longer than the image. */
struct cp_error *cp_dwarf_open(const struct cp_image *image, struct cp_dwarf **ret);
void cp_dwarf_close(struct cp_dwarf *dwarf);

/*
 * A question's beginning: the budget is whole again. Its end: an error if the budget was overspent or memory lacked
 * somewhere in between. Readers then say "not there" and go on, as they do with what is malformed; so that no answer is
 * silently less than it should be, every question ends with this.
 */
void cp_dwarf_begin(struct cp_dwarf *dwarf);
struct cp_error *cp_dwarf_end(const struct cp_dwarf *dwarf);

/* Charge bytes that others may have read too, or that were made of what others may share. False: the budget is spent. */
bool cp_dwarf_charge(struct cp_dwarf *dwarf, uint64_t bytes);
struct cp_error *cp_dwarf_overspent(const struct cp_dwarf *dwarf);

/* A text that many may share, and that is shown once for each: charged if it is long. NULL: the budget is spent. */
#define CP_LONG_TEXT 256
const char *cp_dwarf_shared(struct cp_dwarf *dwarf, const char *text);

/* Those in the sections of strings, for who would have to ask of very many: a fraction of a millisecond. */
void cp_dwarf_long_texts(const struct cp_dwarf *dwarf, struct cp_long_texts *ret);

/*
 * Is the address a tombstone: what linkers leave in the debug data of code that they removed? 0 where no code is, -1 or -2.
 */
bool cp_dwarf_is_tombstone(const struct cp_dwarf *dwarf, uint64_t address, unsigned int size);

/* A cursor at an offset of a section, up to its end. Outside of it: failed at once. */
struct cp_cursor cp_dwarf_cursor(const struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset);

/*
 * A cursor over a copy of up to `size` bytes at an offset, which lies before `end`: for a short look that makes nothing
 * resident. What it reads must not be pointed to.
 */
struct cp_cursor cp_dwarf_peek(const struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset, uint64_t end,
	uint8_t *buffer, size_t size);

/* The string at an offset of a string section; NULL: outside. */
const char *cp_dwarf_text(const struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset);

/* The unit of .debug_info that holds the offset, or NULL. */
struct cp_dw_unit *cp_dwarf_unit_at(const struct cp_dwarf *dwarf, uint64_t offset);

/* The type unit of a signature, or NULL. */
struct cp_dw_unit *cp_dwarf_type_unit(const struct cp_dwarf *dwarf, uint64_t signature);

/* Read the attributes of the unit's root, once. */
struct cp_error *cp_unit_root(struct cp_dw_unit *unit);

/* The same and its abbreviations, once: needed by everything in die.h. */
struct cp_error *cp_unit_prepare(struct cp_dw_unit *unit);

/*
 * A copy of a unit for a walk over all of it by one thread: prepared, with its abbreviations in *scratch, which the next
 * unit overwrites: the tables of all units of a kernel take more time to keep than to read. *scratch is zeroed before
 * the first time, and cp_abbrevs_deinit(&scratch->abbrevs) ends it.
 */
struct cp_error *cp_unit_borrow(struct cp_dw_unit *unit, struct cp_dw_table *scratch, struct cp_dw_unit *ret);

/* The lock and the arena that guard the making of a unit's parts. */
pthread_mutex_t *cp_unit_lock(const struct cp_dw_unit *unit);
struct cp_arena *cp_unit_arena(const struct cp_dw_unit *unit);

/* A cursor at an offset of the unit's section, up to the unit's end. */
struct cp_cursor cp_unit_cursor(const struct cp_dw_unit *unit, uint64_t offset);

/* Of C, functions are in no types; of assembly, DIEs say little. */
bool cp_unit_is_c(const struct cp_dw_unit *unit);
bool cp_unit_is_assembly(const struct cp_dw_unit *unit);

/* "FILE: .debug_info: unit at 0x12: WHAT". */
struct cp_error *cp_unit_corrupt(const struct cp_dw_unit *unit, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
