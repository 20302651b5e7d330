/* SPDX-License-Identifier: BSD-2-Clause */
/* Line tables of DWARF 2 to 5: headers, files, programs; honest and lying. */
#include <dwarf.h>

#include "dwarf/linetable.h"
#include "dwarf_file.h"

/* -- Line programs ----------------------------------------------------------------------------------------------- */

/* The header of a table; its program, and the rows that it makes. */
struct program {
	struct file f;
	uint8_t version, least_length, most_operations, line_range, opcode_base, offset_size;
	int8_t line_base;
	struct bytes code;
	const struct cp_dw_lines *lines;
	struct cp_dw_rows rows;
};

static struct program usual(void)
{
	return (struct program){ .version = 4, .least_length = 1, .most_operations = 1, .line_range = 14, .line_base = -5,
		.opcode_base = 13, .offset_size = 4 };
}

/* The opcode of the header p that goes so many lines and addresses on, section 6.2.5.1. */
static uint8_t special(const struct program *p, int lines, unsigned int operations)
{
	return (uint8_t)(lines - p->line_base + p->line_range * (int)operations + p->opcode_base);
}

/* What is in a unit with one line table. */
static void put_lines_unit(struct file *f, uint8_t version, uint8_t offset_size)
{
	struct bytes *info = &f->sections[CP_DW_INFO];
	size_t start;

	PUT(&f->sections[CP_DW_ABBREV], 1, DW_TAG_compile_unit, 0, DW_AT_name, DW_FORM_string, DW_AT_comp_dir,
		DW_FORM_string, DW_AT_stmt_list, DW_FORM_sec_offset, 0, 0, 0);
	start = begin_unit(info, (struct cp_dw_sizes){ version, 8, offset_size }, DW_UT_compile, 0);
	PUT(info, 1);
	put_text(info, "unit.c");
	put_text(info, "/src");
	put(info, 0, offset_size);
	end_length(info, start);
}

/* The tables of folders and files come between the two; returns what end_header() wants. */
struct header {
	size_t table, length;
	unsigned int offset_size;
};

static struct header begin_header(struct bytes *b, const struct program *p)
{
	/* Operands of the standard opcodes, and of some that are not known. */
	static const uint8_t operands[] = { 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 2, 0, 3 };
	struct header h = { .table = begin_length(b, p->offset_size), .offset_size = p->offset_size };

	put(b, p->version, 2);
	if (p->version >= 5)
		PUT(b, 8, 0);
	h.length = b->size;
	put(b, 0, p->offset_size);
	PUT(b, p->least_length);
	if (p->version >= 4)
		PUT(b, p->most_operations);
	PUT(b, 1, (uint8_t)p->line_base, p->line_range, p->opcode_base);
	if (p->opcode_base)
		put_bytes(b, operands, p->opcode_base - 1u);
	return h;
}

static void end_header(struct bytes *b, struct header h)
{
	uint64_t length = b->size - h.length - h.offset_size;

	for (unsigned int i = 0; i < h.offset_size; i++)
		b->at[h.length + i] = (uint8_t)(length >> 8 * i);
}

static void open_program(struct program *p)
{
	struct bytes *b = &p->f.sections[CP_DW_LINE];
	struct header h = begin_header(b, p);

	if (p->version >= 5)
		PUT(b, 0, 0, 0, 0);
	else
		PUT(b, 0, 'a', '.', 'c', 0, 0, 0, 0, 0);
	end_header(b, h);
	put_bytes(b, p->code.at, p->code.size);
	end_length(b, h.table);
	PUT(b, special(p, 1, 1), special(p, 1, 1));	/* of another table: never run */
	put_lines_unit(&p->f, p->version, p->offset_size);
	assert_null(open_dwarf(&p->f));
	assert_null(cp_unit_lines(&p->f.dwarf->units[0], &p->lines));
	assert_non_null(p->lines);
	cp_rows_begin(p->lines, &p->rows);
}

static void close_program(struct program *p)
{
	free(p->code.at);
	close_dwarf(&p->f);
}

static void assert_row(struct program *p, uint64_t address, uint32_t line)
{
	assert_true(cp_rows_next(&p->rows));
	assert_int_equal(p->rows.row.address, address);
	assert_int_equal(p->rows.row.line, line);
}

static void assert_last(struct program *p)
{
	assert_false(cp_rows_next(&p->rows));
	assert_false(p->rows.c.failed);
	close_program(p);
}

static void special_opcodes_advance_both(void **state)
{
	struct program p = usual();

	(void)state;
	PUT(&p.code, special(&p, 0, 0), special(&p, 8, 0), special(&p, -5, 3), special(&p, 2, 16), 255, 13);
	open_program(&p);
	assert_row(&p, 0, 1);
	assert_row(&p, 0, 9);
	assert_row(&p, 3, 4);
	assert_row(&p, 19, 6);
	assert_row(&p, 19 + 17, 6 - 1);
	assert_row(&p, 36, 0);
	assert_last(&p);
}

static void addresses_advance_by_whole_instructions(void **state)
{
	struct program p = usual();

	(void)state;
	p.least_length = 4;
	PUT(&p.code, special(&p, 1, 3), DW_LNS_advance_pc, 0x80, 1, DW_LNS_copy, DW_LNS_const_add_pc, DW_LNS_copy,
		DW_LNS_fixed_advance_pc, 0x34, 0x12, DW_LNS_copy);
	open_program(&p);
	assert_row(&p, 12, 2);
	assert_row(&p, 12 + 512, 2);
	assert_row(&p, 524 + 4 * 17, 2);		/* as special opcode 255 does: 242 / 14 */
	assert_row(&p, 592 + 0x1234, 2);		/* not multiplied */
	assert_last(&p);
}

static void set_address_takes_addresses_of_any_size(void **state)
{
	struct program p = usual();

	(void)state;
	PUT(&p.code, 0, 9, DW_LNE_set_address, 1, 2, 3, 4, 5, 6, 7, 0x88, DW_LNS_copy,
		0, 5, DW_LNE_set_address, 1, 2, 3, 0x84, DW_LNS_copy, 0, 3, DW_LNE_set_address, 1, 2, DW_LNS_copy);
	open_program(&p);
	assert_row(&p, 0x8807060504030201, 1);
	assert_row(&p, 0x84030201, 1);
	assert_row(&p, 0x0201, 1);
	assert_last(&p);
}

static void sequences_end_and_begin_afresh(void **state)
{
	struct program p = usual();

	(void)state;
	PUT(&p.code, 0, 9, DW_LNE_set_address, 0, 1, 0, 0, 0, 0, 0, 0, DW_LNS_advance_line, 0x7f, DW_LNS_set_file, 7,
		DW_LNS_set_column, 33, DW_LNS_negate_stmt, special(&p, 5, 4), DW_LNS_advance_pc, 9, 0, 1, DW_LNE_end_sequence,
		DW_LNS_copy);
	open_program(&p);
	assert_row(&p, 0x104, 5);
	assert_int_equal(p.rows.row.file, 7);
	assert_false(p.rows.row.statement);
	assert_false(p.rows.row.end);
	assert_row(&p, 0x10d, 5);
	assert_true(p.rows.row.end);
	assert_row(&p, 0, 1);
	assert_int_equal(p.rows.row.file, 1);
	assert_true(p.rows.row.statement);
	assert_false(p.rows.row.end);
	assert_last(&p);
}

static void marks_make_no_rows(void **state)
{
	struct program p = usual();

	(void)state;
	PUT(&p.code, DW_LNS_set_basic_block, DW_LNS_set_prologue_end, DW_LNS_set_epilogue_begin, DW_LNS_set_isa, 0x80, 1,
		0, 2, DW_LNE_set_discriminator, 3, 0, 4, 0x80, 1, 2, 3, special(&p, 1, 1));
	open_program(&p);
	assert_row(&p, 1, 2);
	assert_last(&p);
}

static void unknown_standard_opcodes_have_the_operands_of_the_header(void **state)
{
	struct program p = usual();

	(void)state;
	p.opcode_base = 16;
	PUT(&p.code, 13, 0xff, 1, 0x80, 0x80, 0, 14, 15, 1, 1, 1, special(&p, 1, 2));
	open_program(&p);
	assert_row(&p, 2, 2);
	assert_last(&p);
}

static void opcodes_from_the_base_on_are_special(void **state)
{
	static const uint8_t bases[] = { 1, 2, 10, 13 };

	(void)state;
	for (size_t i = 0; i < LENGTH(bases); i++) {
		struct program p = usual();

		p.opcode_base = bases[i];
		if (bases[i] > DW_LNS_copy)
			PUT(&p.code, DW_LNS_copy);
		PUT(&p.code, bases[i], special(&p, 3, 2), 0, 1, DW_LNE_end_sequence);
		open_program(&p);
		if (bases[i] > DW_LNS_copy)
			assert_row(&p, 0, 1);
		assert_row(&p, 0, (uint32_t)(1 - 5));
		assert_row(&p, 2, (uint32_t)(1 - 5 + 3));
		assert_row(&p, 2, (uint32_t)(1 - 5 + 3));
		assert_true(p.rows.row.end);
		assert_last(&p);
	}
}

static void without_a_line_range_there_are_no_rows(void **state)
{
	struct program p = usual();
	struct cp_dw_row last;

	(void)state;
	p.line_range = 0;
	PUT(&p.code, DW_LNS_const_add_pc, 200, DW_LNS_copy);
	open_program(&p);
	assert_false(cp_rows_next(&p.rows));
	assert_true(p.rows.c.failed);
	assert_false(cp_rows_above(&p.rows, 5, &last));
	close_program(&p);
}

static void operations_of_one_instruction_share_its_address(void **state)
{
	struct program p = usual();

	(void)state;
	p.most_operations = 3;
	p.least_length = 16;
	PUT(&p.code, special(&p, 1, 2), special(&p, 1, 2), special(&p, 1, 1), DW_LNS_advance_pc, 7, DW_LNS_copy);
	open_program(&p);
	assert_row(&p, 0, 2);
	assert_row(&p, 16, 3);		/* operation 4 */
	assert_row(&p, 16, 4);
	assert_row(&p, 64, 4);		/* operation 12 */
	assert_last(&p);
}

static void tables_of_all_versions_and_sizes_are_read(void **state)
{
	(void)state;
	for (uint8_t version = 2; version <= 5; version++) {
		for (uint8_t size = 4; size <= 8; size += 4) {
			struct program p = usual();

			p.version = version;
			p.offset_size = size;
			PUT(&p.code, special(&p, 4, 2));
			open_program(&p);
			assert_int_equal(p.lines->sizes.version, version);
			assert_row(&p, 2, 5);
			assert_last(&p);
		}
	}
}

static void programs_that_are_cut_off_are_malformed(void **state)
{
	static const uint8_t codes[][4] = {	/* the first byte: how many follow */
		{ 2, 0, 2, DW_LNE_end_sequence }, { 2, 0, 0 }, { 2, 0, 0x80 }, { 2, DW_LNS_advance_pc, 0x80 },
		{ 2, DW_LNS_fixed_advance_pc, 1 }, { 3, 0, 1, DW_LNE_set_address }, { 1, 0 }, { 2, DW_LNS_set_isa, 0x80 },
		{ 1, DW_LNS_advance_line }, { 1, DW_LNS_set_file },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(codes); i++) {
		struct program p = usual();

		PUT(&p.code, DW_LNS_copy);
		put_bytes(&p.code, codes[i] + 1, codes[i][0]);
		open_program(&p);
		assert_row(&p, 0, 1);
		assert_false(cp_rows_next(&p.rows));
		assert_true(p.rows.c.failed);
		assert_false(cp_rows_next(&p.rows));
		close_program(&p);
	}
}

/* -- Headers of line tables -------------------------------------------------------------------------------------- */

static void files_of_dwarf_4_begin_with_the_units_own(void **state)
{
	struct program p = usual();
	struct bytes *b = &p.f.sections[CP_DW_LINE];
	const struct cp_dw_lines *lines;
	struct header h;

	(void)state;
	h = begin_header(b, &p);
	put_text(b, "include");
	put_text(b, "/usr/include");
	put_text(b, "");
	put_text(b, "a.c");
	PUT(b, 0, 0x80, 1, 0xff, 0x7f);
	put_text(b, "b.h");
	PUT(b, 2, 0, 0, 0);
	end_header(b, h);
	end_length(b, h.table);
	put_lines_unit(&p.f, 4, 4);
	assert_null(open_dwarf(&p.f));
	assert_null(cp_unit_lines(&p.f.dwarf->units[0], &lines));
	assert_int_equal(lines->folder_count, 3);
	assert_string_equal(lines->folders[0], "/src");
	assert_string_equal(lines->folders[2], "/usr/include");
	assert_int_equal(lines->file_count, 3);
	assert_string_equal(lines->files[0].name, "unit.c");
	assert_string_equal(lines->files[1].name, "a.c");
	assert_int_equal(lines->files[1].folder, 0);
	assert_string_equal(lines->files[2].name, "b.h");
	assert_int_equal(lines->files[2].folder, 2);
	close_dwarf(&p.f);
}

/* Columns in an order of their own; those of a sum, a time and a vendor are passed over. */
static void put_files_5(struct bytes *b, unsigned int offset_size)
{
	PUT(b, 1, DW_LNCT_path, DW_FORM_line_strp, 2);
	put(b, 1, offset_size);
	put(b, 6, offset_size);
	PUT(b, 6, DW_LNCT_MD5, DW_FORM_data16, DW_LNCT_directory_index, DW_FORM_udata, DW_LNCT_timestamp, DW_FORM_block,
		0x81, 0x40, DW_FORM_string, DW_LNCT_path, DW_FORM_string, DW_LNCT_size, DW_FORM_data4, 2);
	put(b, UINT64_MAX, 8);
	put(b, 7, 8);
	PUT(b, 0, 2, 9, 9, 'x', 0, 'a', '.', 'c', 0, 1, 2, 3, 4);
	put(b, 0, 8);
	put(b, 0, 8);
	PUT(b, 0x81, 0, 0, 0, 'b', '.', 'h', 0, 1, 2, 3, 4);
}

static void files_of_dwarf_5_have_the_columns_of_the_header(void **state)
{
	(void)state;
	for (uint8_t size = 4; size <= 8; size += 4) {
		struct program p = usual();
		struct bytes *b = &p.f.sections[CP_DW_LINE];
		const struct cp_dw_lines *lines;
		struct header h;

		p.version = 5;
		p.offset_size = size;
		h = begin_header(b, &p);
		put_files_5(b, size);
		end_header(b, h);
		PUT(b, special(&p, 1, 1));
		end_length(b, h.table);
		put_bytes(&p.f.sections[CP_DW_LINE_STR], "\0/src\0/inc", 11);
		put_lines_unit(&p.f, 5, size);
		assert_null(open_dwarf(&p.f));
		assert_null(cp_unit_lines(&p.f.dwarf->units[0], &lines));
		assert_int_equal(lines->folder_count, 2);
		assert_string_equal(lines->folders[0], "/src");
		assert_string_equal(lines->folders[1], "/inc");
		assert_int_equal(lines->file_count, 2);
		assert_string_equal(lines->files[0].name, "a.c");
		assert_int_equal(lines->files[0].folder, 0);
		assert_string_equal(lines->files[1].name, "b.h");
		assert_int_equal(lines->files[1].folder, 1);
		cp_rows_begin(lines, &p.rows);
		assert_row(&p, 1, 2);
		assert_last(&p);
	}
}

/* A header of DWARF 5 with what is given behind the operands. */
static void assert_bad_tables(const uint8_t *tables, size_t size)
{
	struct program p = usual();
	struct bytes *b = &p.f.sections[CP_DW_LINE];
	const struct cp_dw_lines *lines;
	struct header h;

	p.version = 5;
	h = begin_header(b, &p);
	put_bytes(b, tables, size);
	end_header(b, h);
	end_length(b, h.table);
	put_lines_unit(&p.f, 5, 4);
	assert_null(open_dwarf(&p.f));
	assert_error(cp_unit_lines(&p.f.dwarf->units[0], &lines), CP_ERROR_CORRUPT, "unit at 0x0", "line table at 0x0");
	close_dwarf(&p.f);
}

#define BAD_TABLES(...) assert_bad_tables((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void lies_of_file_tables_are_corrupt(void **state)
{
	(void)state;
	BAD_TABLES(0, 1, 0, 0);							/* a folder without columns */
	BAD_TABLES(1, DW_LNCT_path, DW_FORM_string, 0x80, 0x80, 0x80, 0x80, 1, 'a', 0, 0, 0);
	BAD_TABLES(1, DW_LNCT_path, DW_FORM_string, 2, 'a', 0);
	BAD_TABLES(1, DW_LNCT_path, 0x7e, 1, 'a', 0, 0, 0);			/* a form that is not known */
	BAD_TABLES(1, DW_LNCT_path, DW_FORM_implicit_const, 1, 1, 0, 0);
	BAD_TABLES(200, DW_LNCT_path, DW_FORM_string, 0, 0, 0);
	BAD_TABLES(0, 0, 1, DW_LNCT_MD5, DW_FORM_data16, 1, 1, 2, 3);
	BAD_TABLES(0, 0, 1, DW_LNCT_path, DW_FORM_string, 9);
}

/* The usual header with one byte changed, or cut off. */
static void assert_bad_lines(size_t at, uint8_t value, size_t cut)
{
	struct program p = usual();
	struct bytes *b = &p.f.sections[CP_DW_LINE];
	const struct cp_dw_lines *lines;
	struct header h = begin_header(b, &p);

	PUT(b, 0, 0);
	end_header(b, h);
	end_length(b, h.table);
	if (cut)
		b->size = cut;
	else
		b->at[at] = value;
	put_lines_unit(&p.f, 4, 4);
	assert_null(open_dwarf(&p.f));
	assert_error(cp_unit_lines(&p.f.dwarf->units[0], &lines), CP_ERROR_CORRUPT, "unit at 0x0", "line table at 0x0");
	close_dwarf(&p.f);
}

static void lies_of_line_headers_are_corrupt(void **state)
{
	(void)state;
	assert_bad_lines(0, 0xff, 0);		/* longer than its section */
	assert_bad_lines(0, 5, 0);		/* shorter than its header */
	assert_bad_lines(4, 6, 0);		/* version */
	assert_bad_lines(4, 1, 0);
	assert_bad_lines(6, 0xff, 0);		/* a header longer than the table */
	assert_bad_lines(11, 0, 0);		/* instructions of no operations */
	assert_bad_lines(15, 0, 0);		/* opcode_base */
	assert_bad_lines(15, 0xff, 0);
	for (size_t cut = 1; cut < 20; cut++)
		assert_bad_lines(0, 0, cut);
}

static void line_versions_above_255_are_unknown(void **state)
{
	(void)state;
	assert_bad_lines(5, 1, 0);
}

static void a_table_outside_its_section_is_corrupt(void **state)
{
	struct program p = usual();
	const struct cp_dw_lines *lines;

	(void)state;
	PUT(&p.f.sections[CP_DW_LINE], 0);
	put_lines_unit(&p.f, 4, 4);
	p.f.sections[CP_DW_INFO].at[p.f.sections[CP_DW_INFO].size - 2] = 0x12;
	assert_null(open_dwarf(&p.f));
	assert_error(cp_unit_lines(&p.f.dwarf->units[0], &lines), CP_ERROR_CORRUPT, "unit at 0x0", "0x120000");
	close_dwarf(&p.f);
}

/* -- Rows above an address --------------------------------------------------------------------------------------- */

static void put_random_program(struct program *p)
{
	for (uint64_t left = 1 + draw(60); left > 0; left--) {
		switch (draw(12)) {
		case 0:
			PUT(&p->code, 0, 9, DW_LNE_set_address);
			put(&p->code, 0x100 + draw(300), 8);
			break;
		case 1:
			PUT(&p->code, 0, 1, DW_LNE_end_sequence);
			break;
		case 2:
			PUT(&p->code, DW_LNS_copy);
			break;
		case 3:
			PUT(&p->code, DW_LNS_advance_pc, (uint8_t)draw(0x80), DW_LNS_set_file, (uint8_t)draw(9));
			break;
		case 4:
			PUT(&p->code, DW_LNS_set_column, (uint8_t)draw(90), DW_LNS_negate_stmt, DW_LNS_const_add_pc);
			break;
		case 5:
			PUT(&p->code, DW_LNS_advance_line, (uint8_t)draw(0x80));
			break;
		default:
			for (uint64_t run = 1 + draw(6); run > 0; run--)
				PUT(&p->code, (uint8_t)(13 + draw(draw(3) ? 60 : 243)));
		}
	}
	if (!draw(4))
		PUT(&p->code, DW_LNS_fixed_advance_pc, 1);	/* cut off */
}

/* What cp_rows_above() promises, by single steps. */
static bool plain_above(struct cp_dw_rows *rows, uint64_t address, struct cp_dw_row *last)
{
	bool fresh = rows->row.end;	/* of the sequence before: the first row of the next one is made in any case */

	while (cp_rows_next(rows)) {
		if (fresh || rows->row.end || rows->row.address > address)
			return true;
		*last = rows->row;
	}
	return false;
}

static void assert_same_row(const struct cp_dw_row *a, const struct cp_dw_row *b)
{
	assert_int_equal(a->address, b->address);
	assert_int_equal(a->file, b->file);
	assert_int_equal(a->line, b->line);
	assert_int_equal(a->statement, b->statement);
	assert_int_equal(a->end, b->end);
}

static void rows_above_are_those_that_single_steps_make(void **state)
{
	(void)state;
	srand(6);
	for (int round = 0; round < 400; round++) {
		struct cp_dw_row last = { .line = 77 }, expected = last;
		struct program p = usual();
		struct cp_dw_rows steps;
		bool more = true;

		p.least_length = (uint8_t)(1 + draw(3));
		put_random_program(&p);
		open_program(&p);
		cp_rows_begin(p.lines, &steps);
		while (more) {
			uint64_t address = draw(10) ? draw(700) : UINT64_MAX;

			more = cp_rows_above(&p.rows, address, &last);
			assert_int_equal(more, plain_above(&steps, address, &expected));
			assert_same_row(&last, &expected);
			if (more)
				assert_same_row(&p.rows.row, &steps.row);
			assert_int_equal(p.rows.c.failed, steps.c.failed);
		}
		close_program(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(special_opcodes_advance_both),
		cmocka_unit_test(addresses_advance_by_whole_instructions),
		cmocka_unit_test(set_address_takes_addresses_of_any_size),
		cmocka_unit_test(sequences_end_and_begin_afresh),
		cmocka_unit_test(marks_make_no_rows),
		cmocka_unit_test(unknown_standard_opcodes_have_the_operands_of_the_header),
		cmocka_unit_test(opcodes_from_the_base_on_are_special),
		cmocka_unit_test(without_a_line_range_there_are_no_rows),
		cmocka_unit_test(operations_of_one_instruction_share_its_address),
		cmocka_unit_test(tables_of_all_versions_and_sizes_are_read),
		cmocka_unit_test(programs_that_are_cut_off_are_malformed),
		cmocka_unit_test(files_of_dwarf_4_begin_with_the_units_own),
		cmocka_unit_test(files_of_dwarf_5_have_the_columns_of_the_header),
		cmocka_unit_test(lies_of_file_tables_are_corrupt),
		cmocka_unit_test(lies_of_line_headers_are_corrupt),
		cmocka_unit_test(line_versions_above_255_are_unknown),
		cmocka_unit_test(a_table_outside_its_section_is_corrupt),
		cmocka_unit_test(rows_above_are_those_that_single_steps_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
