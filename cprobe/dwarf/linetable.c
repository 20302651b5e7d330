/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>

#include "dwarf/die.h"
#include "dwarf/linetable.h"

/* Formats of DWARF 5's tables have a few columns. */
#define MAX_COLUMNS 16

struct columns {
	uint64_t types[MAX_COLUMNS];
	struct cp_abbrev_attr forms[MAX_COLUMNS];
	size_t count;
};

static void read_columns(struct cp_cursor *c, struct cp_dw_sizes sizes, struct columns *ret)
{
	ret->count = cp_get8(c);
	if (ret->count > MAX_COLUMNS) {
		cp_fail(c);
		ret->count = 0;
	}
	for (size_t i = 0; i < ret->count; i++) {
		uint64_t form;

		ret->types[i] = cp_get_uleb(c);
		form = cp_get_uleb(c);
		ret->forms[i] = (struct cp_abbrev_attr){ .form = (uint16_t)form, .implicit = 1,
			.size = (int8_t)cp_form_size((uint16_t)form, sizes) };
		if (form > UINT16_MAX || form == DW_FORM_implicit_const)
			cp_fail(c);
	}
}

/* The rows are so many: false when there cannot be, as each has a byte at least, or when the budget is spent. */
static bool take_count(struct cp_dw_unit *unit, struct cp_cursor *c, const struct columns *columns, uint64_t *count)
{
	bool has_bytes = false;

	*count = cp_get_uleb(c);
	for (size_t i = 0; i < columns->count; i++)
		has_bytes |= columns->forms[i].size != 0;
	return !c->failed && (has_bytes || !*count) && *count <= cp_left(c) &&
		cp_dwarf_charge(unit->dwarf, *count * sizeof(struct cp_dw_file));
}

/* One row of a table of folders or files. */
static void read_entry(struct cp_dw_unit *unit, struct cp_cursor *c, const struct columns *columns,
	struct cp_dw_file *ret)
{
	*ret = (struct cp_dw_file){ NULL, 0 };
	for (size_t i = 0; i < columns->count; i++) {
		struct cp_dw_attr value;
		uint64_t number;

		if (!cp_attr_read(unit, &columns->forms[i], c, &value))
			return;
		if (columns->types[i] == DW_LNCT_path)
			ret->name = cp_attr_string(&value);
		else if (columns->types[i] == DW_LNCT_directory_index && cp_attr_number(&value, &number))
			ret->folder = number;
	}
}

/* Section 6.2.4: folders and files with the columns that the header declares. */
static bool read_tables_5(struct cp_dw_lines *lines, struct cp_cursor *c, struct cp_arena *arena)
{
	struct columns columns;
	uint64_t count;

	read_columns(c, lines->sizes, &columns);
	if (!take_count(lines->unit, c, &columns, &count))
		return cp_fail(c), true;
	lines->folders = cp_arena_alloc(arena, (count + 1) * sizeof(*lines->folders));
	if (!lines->folders)
		return false;
	for (; lines->folder_count < count; lines->folder_count++) {
		struct cp_dw_file folder;

		read_entry(lines->unit, c, &columns, &folder);
		lines->folders[lines->folder_count] = folder.name;
	}
	read_columns(c, lines->sizes, &columns);
	if (!take_count(lines->unit, c, &columns, &count))
		return cp_fail(c), true;
	lines->files = cp_arena_alloc(arena, (count + 1) * sizeof(*lines->files));
	if (!lines->files)
		return false;
	for (; lines->file_count < count; lines->file_count++)
		read_entry(lines->unit, c, &columns, &lines->files[lines->file_count]);
	return true;
}

/* DWARF 2 to 4: strings that an empty one ends; a file has a folder's number, a time and a length behind it. */
static bool read_tables_4(struct cp_dw_lines *lines, struct cp_cursor *c, struct cp_arena *arena)
{
	struct cp_cursor counting = *c;
	size_t folders = 1, files = 1;
	const char *text;

	while ((text = cp_get_string(&counting)) && *text)
		folders++;
	while ((text = cp_get_string(&counting)) && *text) {
		cp_skip_leb(&counting);
		cp_skip_leb(&counting);
		cp_skip_leb(&counting);
		files++;
	}
	if (counting.failed || !cp_dwarf_charge(lines->unit->dwarf, (folders + files) * sizeof(*lines->files)))
		return cp_fail(c), true;
	lines->folders = cp_arena_alloc(arena, folders * sizeof(*lines->folders));
	lines->files = cp_arena_alloc(arena, files * sizeof(*lines->files));
	if (!lines->folders || !lines->files)
		return false;
	lines->folder_count = folders;
	lines->file_count = files;
	lines->folders[0] = lines->unit->folder;
	for (size_t i = 1; i < folders; i++)
		lines->folders[i] = cp_get_string(c);
	cp_get_string(c);
	lines->files[0].name = lines->unit->name;
	for (size_t i = 1; i < files; i++) {
		lines->files[i].name = cp_get_string(c);
		lines->files[i].folder = cp_get_uleb(c);
		cp_skip_leb(c);
		cp_skip_leb(c);
	}
	return true;
}

/* Up to the tables; false: c->failed. c ends where the table does. */
static bool read_header(struct cp_dw_lines *lines, struct cp_cursor *c)
{
	uint64_t length = cp_get32(c), header;
	unsigned int version;

	lines->sizes.offset = 4;
	if (length == 0xffffffff) {
		lines->sizes.offset = 8;
		length = cp_get64(c);
	}
	if (c->failed || length > cp_left(c))
		return cp_fail(c), false;
	c->end = c->at + length;
	lines->end = c->end;
	version = cp_get16(c);
	if (version < 2 || version > 5)
		return cp_fail(c), false;
	lines->sizes.version = (uint8_t)version;
	lines->sizes.address = lines->unit->sizes.address;
	if (lines->sizes.version >= 5) {
		lines->sizes.address = cp_get8(c);
		cp_get8(c);	/* segment selectors: none */
	}
	header = cp_get_sized(c, lines->sizes.offset);
	if (c->failed || header > cp_left(c))
		return cp_fail(c), false;
	lines->program = c->at + header;
	lines->least_length = cp_get8(c);
	lines->most_operations = lines->sizes.version >= 4 ? cp_get8(c) : 1;
	lines->statements = cp_get8(c) != 0;
	lines->line_base = (int8_t)cp_get8(c);
	lines->line_range = cp_get8(c);
	lines->opcode_base = cp_get8(c);
	lines->operands = c->at;
	cp_skip(c, lines->opcode_base ? lines->opcode_base - 1u : 0);
	if (!lines->opcode_base || !lines->most_operations)
		cp_fail(c);
	return !c->failed;
}

static struct cp_error *read_lines(struct cp_dw_unit *unit)
{
	struct cp_arena *arena = cp_unit_arena(unit);
	struct cp_cursor c = cp_dwarf_cursor(unit->dwarf, CP_DW_LINE, unit->line_offset);
	const uint8_t *start = c.at;
	struct cp_dw_lines *lines = cp_arena_alloc(arena, sizeof(*lines));

	if (!lines)
		return &cp_error_no_memory;
	lines->unit = unit;
	if (read_header(lines, &c) &&
		!(lines->sizes.version >= 5 ? read_tables_5(lines, &c, arena) : read_tables_4(lines, &c, arena)))
		return &cp_error_no_memory;
	if (!cp_dwarf_charge(unit->dwarf, (uint64_t)(c.at - start)))
		return cp_dwarf_overspent(unit->dwarf);
	if (c.failed)
		return cp_unit_corrupt(unit, "its line table at 0x%llx of .debug_line is malformed or cut off",
			(unsigned long long)unit->line_offset);
	unit->lines = lines;
	return NULL;
}

#define GLANCE 96

bool cp_unit_lines_have_offsets(const struct cp_dw_unit *unit)
{
	const struct cp_dw_bytes *s = &unit->dwarf->sections[CP_DW_LINE];
	unsigned int offset_size = 4, opcodes;
	uint8_t bytes[GLANCE];
	struct cp_cursor c;

	if (unit->line_offset >= s->size)
		return false;
	c = cp_dwarf_peek(unit->dwarf, CP_DW_LINE, unit->line_offset, s->size, bytes, sizeof(bytes));
	if (cp_get32(&c) == 0xffffffff) {
		offset_size = 8;
		cp_skip(&c, 8);
	}
	if (cp_get16(&c) != 5)
		return false;
	cp_skip(&c, 2 + offset_size + 5);	/* up to opcode_base */
	opcodes = cp_get8(&c);
	cp_skip(&c, opcodes ? opcodes - 1 : 0);
	for (unsigned int columns = cp_get8(&c); columns && !c.failed; columns--) {
		uint64_t type = cp_get_uleb(&c), form = cp_get_uleb(&c);

		if (type == DW_LNCT_path)
			return !c.failed && (form == DW_FORM_line_strp || form == DW_FORM_strp);
	}
	return false;
}

struct cp_error *cp_unit_lines(struct cp_dw_unit *unit, const struct cp_dw_lines **ret)
{
	struct cp_error *error = NULL;

	if (!__atomic_load_n(&unit->has_lines, __ATOMIC_ACQUIRE)) {
		error = cp_unit_root(unit);
		if (error)
			return error;
		pthread_mutex_lock(cp_unit_lock(unit));
		if (!unit->has_lines && unit->line_offset != CP_DW_NONE && unit->dwarf->sections[CP_DW_LINE].size)
			error = read_lines(unit);
		__atomic_store_n(&unit->has_lines, !error, __ATOMIC_RELEASE);
		pthread_mutex_unlock(cp_unit_lock(unit));
	}
	if (!error)
		*ret = unit->lines;
	return error;
}

static void reset(struct cp_dw_rows *rows)
{
	rows->row = (struct cp_dw_row){ .file = 1, .line = 1, .statement = rows->lines->statements };
	rows->operation = 0;
	rows->removed = false;
}

/* Section 6.2.5.1: what each special opcode does, without dividing each time. */
static void make_steps(struct cp_dw_rows *rows)
{
	const struct cp_dw_lines *lines = rows->lines;
	unsigned int advance = 0, step = 0;

	for (unsigned int opcode = lines->opcode_base; opcode < 256 && lines->line_range; opcode++) {
		rows->advances[opcode] = (uint8_t)advance;
		rows->steps[opcode] = (int16_t)(lines->line_base + (int)step);
		if (++step == lines->line_range) {
			step = 0;
			advance++;
		}
	}
}

void cp_rows_begin(const struct cp_dw_lines *lines, struct cp_dw_rows *ret)
{
	ret->lines = lines;
	ret->c = (struct cp_cursor){ lines->program, lines->end, lines->program > lines->end };
	/* Nothing can be said of special opcodes that make no steps; compilers always have some. */
	if (ret->c.failed || !lines->line_range)
		cp_fail(&ret->c);
	make_steps(ret);
	reset(ret);
}

/* Section 6.2.5.1: the address advances by whole instructions. */
static inline void advance(struct cp_dw_rows *rows, uint64_t operations)
{
	const struct cp_dw_lines *lines = rows->lines;

	if (lines->most_operations == 1) {
		rows->row.address += operations * lines->least_length;
		return;
	}
	operations += rows->operation;
	rows->row.address += operations / lines->most_operations * lines->least_length;
	rows->operation = (unsigned int)(operations % lines->most_operations);
}

/* True: a row was made. */
static bool extended(struct cp_dw_rows *rows)
{
	struct cp_cursor *c = &rows->c;
	uint64_t length = cp_get_uleb(c);
	const uint8_t *next;
	uint8_t opcode;

	if (c->failed || length > cp_left(c) || !length) {
		cp_fail(c);
		return false;
	}
	next = c->at + length;
	opcode = cp_get8(c);
	switch (opcode) {
	case DW_LNE_end_sequence:
		rows->row.end = true;
		break;
	case DW_LNE_set_address:
		rows->row.address = cp_get_sized(c, length - 1 <= 8 ? (unsigned int)(length - 1) : 0);
		rows->operation = 0;
		rows->removed = cp_dwarf_is_tombstone(rows->lines->unit->dwarf, rows->row.address, (unsigned int)(length - 1));
		break;
	}
	c->at = c->failed ? c->end : next;
	return opcode == DW_LNE_end_sequence;
}

/* True: a row was made. */
static bool standard(struct cp_dw_rows *rows, uint8_t opcode)
{
	struct cp_cursor *c = &rows->c;

	switch (opcode) {
	case DW_LNS_copy:
		return true;
	case DW_LNS_advance_pc:
		advance(rows, cp_get_uleb(c));
		break;
	case DW_LNS_advance_line:
		rows->row.line += (uint32_t)cp_get_sleb(c);
		break;
	case DW_LNS_set_file:
		rows->row.file = cp_get_uleb(c);
		break;
	case DW_LNS_set_column:
		cp_skip_leb(c);
		break;
	case DW_LNS_negate_stmt:
		rows->row.statement = !rows->row.statement;
		break;
	case DW_LNS_const_add_pc:
		if (rows->lines->line_range)
			advance(rows, (255u - rows->lines->opcode_base) / rows->lines->line_range);
		break;
	case DW_LNS_fixed_advance_pc:
		rows->row.address += cp_get16(c);
		rows->operation = 0;
		break;
	case DW_LNS_set_basic_block:
	case DW_LNS_set_prologue_end:
	case DW_LNS_set_epilogue_begin:
		break;
	default:	/* DW_LNS_set_isa and what is not known: the header says how many operands it has */
		for (int i = rows->lines->operands[opcode - 1]; i > 0; i--)
			cp_skip_leb(c);
	}
	return false;
}

/* The next row, of removed code too. */
static bool next_row(struct cp_dw_rows *rows)
{
	const struct cp_dw_lines *lines = rows->lines;
	struct cp_cursor *c = &rows->c;

	if (rows->row.end)
		reset(rows);
	while (c->at < c->end) {
		uint8_t opcode = *c->at++;

		if (opcode >= lines->opcode_base) {
			advance(rows, rows->advances[opcode]);
			rows->row.line += (uint32_t)rows->steps[opcode];
			return true;
		}
		if (opcode ? standard(rows, opcode) : extended(rows))
			return !c->failed;
	}
	return false;
}

bool cp_rows_next(struct cp_dw_rows *rows)
{
	bool more;

	do
		more = next_row(rows);
	while (more && rows->removed);
	return more;
}

/*
 * Rows are passed over with all registers of the program in variables: for addresses all over a kernel this is most of the
 * work. What is rare is left to next_row().
 */
bool cp_rows_above(struct cp_dw_rows *rows, uint64_t address, struct cp_dw_row *last)
{
	const struct cp_dw_lines *lines = rows->lines;
	const uint8_t least = lines->least_length, base = lines->opcode_base;
	struct cp_cursor c = rows->c;
	struct cp_dw_row row = rows->row;
	bool made = false;

	if (lines->most_operations != 1 || row.end || rows->removed || base <= DW_LNS_fixed_advance_pc)
		return cp_rows_next(rows);
	for (const uint8_t *start = c.at; c.at < c.end; start = c.at) {
		uint8_t opcode = *c.at++;

		if (opcode >= base) {
			row.address += (uint64_t)rows->advances[opcode] * least;
			row.line += (uint32_t)rows->steps[opcode];
			made = true;
		} else {
			switch (opcode) {
			case DW_LNS_copy:
				made = true;
				break;
			case DW_LNS_advance_pc:
				row.address += cp_get_uleb(&c) * least;
				break;
			case DW_LNS_advance_line:
				row.line += (uint32_t)cp_get_sleb(&c);
				break;
			case DW_LNS_set_file:
				row.file = cp_get_uleb(&c);
				break;
			case DW_LNS_set_column:
				cp_skip_leb(&c);
				break;
			case DW_LNS_negate_stmt:
				row.statement = !row.statement;
				break;
			default:
				c.at = start;
				rows->c = c;
				rows->row = row;
				made = next_row(rows);
				if (!made || rows->removed)
					return made && cp_rows_next(rows);
				c = rows->c;
				row = rows->row;
				if (row.end)
					return true;
			}
		}
		if (!made)
			continue;
		if (row.address > address)
			break;
		*last = row;
		made = false;
	}
	rows->c = c;
	rows->row = row;
	return made && !c.failed;
}
