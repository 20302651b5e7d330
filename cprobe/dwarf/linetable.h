/* SPDX-License-Identifier: BSD-2-Clause */
/* Line tables: their files, and the rows of their programs (DWARF 5 section 6.2). */
#ifndef CPROBE_LINETABLE_H
#define CPROBE_LINETABLE_H

#include "dwarf/dwarf.h"

struct cp_dw_file {
	const char *name;
	uint64_t folder;		/* index */
};

/* A header, read. Strings lie in the file. */
struct cp_dw_lines {
	struct cp_dw_unit *unit;
	const char **folders;
	struct cp_dw_file *files;
	size_t folder_count, file_count;	/* before DWARF 5, file 1 is files[1], and files[0] is the unit's own */
	struct cp_dw_sizes sizes;	/* its own: gas writes 32-bit tables for 64-bit units */
	uint8_t least_length, most_operations, opcode_base, line_range;
	int8_t line_base;
	bool statements;		/* rows begin as statements */
	const uint8_t *operands;	/* of the standard opcodes: opcode_base - 1 */
	const uint8_t *program, *end;
};

/* The unit's line table, read once. *ret NULL: it has none. Needs no preparing. */
struct cp_error *cp_unit_lines(struct cp_dw_unit *unit, const struct cp_dw_lines **ret);

/*
 * Are the names of the table's files in sections of strings, by a glance at it? Of a unit whose root was read. Compilers
 * have those of folders and of files in one way, and only the first are in sight.
 */
bool cp_unit_lines_have_offsets(const struct cp_dw_unit *unit);

struct cp_dw_row {
	uint64_t address;
	uint64_t file;			/* index in files[] */
	uint32_t line;
	bool statement, end;		/* end: the address is behind the sequence */
};

/* A line program, running. */
struct cp_dw_rows {
	const struct cp_dw_lines *lines;
	struct cp_cursor c;
	struct cp_dw_row row;		/* the registers, and after a step the row that was made */
	unsigned int operation;
	bool removed;			/* the sequence's code is, by the linker */
	uint8_t advances[256];		/* by special opcode: operations */
	int16_t steps[256];		/* and lines */
};

void cp_rows_begin(const struct cp_dw_lines *lines, struct cp_dw_rows *ret);

/*
 * Run until the next row of code that is in the file: false at the end of the program, with rows->c.failed when it is
 * malformed.
 */
bool cp_rows_next(struct cp_dw_rows *rows);

/*
 * The same, but rows at or below `address` are passed over, up to the end of the sequence: *last is set to the one
 * before the row that was made, if there was one.
 */
bool cp_rows_above(struct cp_dw_rows *rows, uint64_t address, struct cp_dw_row *last);

#endif
