/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of ranges of DWARF 2 to 5, made byte by byte; honest and lying. */
#include <dwarf.h>

#include "dwarf/ranges.h"
#include "dwarf_file.h"

static const struct cp_dw_sizes dwarf4 = { 4, 8, 4 }, dwarf5 = { 5, 8, 4 };

/* -- Lists of ranges --------------------------------------------------------------------------------------------- */

struct span {
	uint64_t low, high;
};

/* A unit at 0x1000 whose DW_AT_ranges is of a form and has a value; .debug_addr has 0x5000, 0x5100, 0x5200. */
static void open_ranges(struct file *f, struct cp_dw_sizes sizes, uint8_t form, uint64_t value)
{
	struct bytes *info = &f->sections[CP_DW_INFO];
	size_t start;

	PUT(&f->sections[CP_DW_ABBREV], 1, DW_TAG_compile_unit, 0, DW_AT_low_pc, DW_FORM_addr, DW_AT_ranges, form,
		0x74 /* DW_AT_rnglists_base */, DW_FORM_sec_offset, 0x73 /* DW_AT_addr_base */, DW_FORM_sec_offset, 0, 0, 0);
	start = begin_unit(info, sizes, DW_UT_compile, 0);
	PUT(info, 1);
	put(info, 0x1000, sizes.address);
	put(info, value, form == DW_FORM_rnglistx ? 1 : sizes.offset);
	put(info, 12, sizes.offset);
	put(info, 8, sizes.offset);
	end_length(info, start);
	put(&f->sections[CP_DW_ADDR], 0, 8);
	for (unsigned int i = 0; i < 3; i++)
		put(&f->sections[CP_DW_ADDR], 0x5000 + 0x100 * i, sizes.address);
	assert_null(open_dwarf(f));
}

static void assert_spans(struct file *f, const struct span *expected, size_t count)
{
	struct cp_ranges by_extent, by_die;
	uint64_t low, high;
	struct cp_die root;

	assert_null(cp_unit_prepare(&f->dwarf->units[0]));
	assert_true(cp_die_root(&f->dwarf->units[0], &root));
	assert_true(cp_ranges_begin(&f->dwarf->units[0].extent, &by_extent));
	assert_true(cp_ranges_of(&root, &by_die));
	for (size_t i = 0; i < count; i++) {
		assert_true(cp_ranges_next(&by_extent, &low, &high));
		assert_int_equal(low, expected[i].low);
		assert_int_equal(high, expected[i].high);
		assert_true(cp_ranges_next(&by_die, &low, &high));
		assert_int_equal(low, expected[i].low);
		assert_int_equal(high, expected[i].high);
	}
	assert_false(cp_ranges_next(&by_extent, &low, &high));
	assert_false(cp_ranges_next(&by_extent, &low, &high));
	assert_false(cp_ranges_next(&by_die, &low, &high));
	close_dwarf(f);
}

static void put_pair(struct file *f, uint64_t low, uint64_t high, unsigned int size)
{
	put(&f->sections[CP_DW_RANGES], low, size);
	put(&f->sections[CP_DW_RANGES], high, size);
}

static void pairs_are_relative_to_the_base_that_was_selected(void **state)
{
	static const struct span expected[] = { { 0x1010, 0x1020 }, { 0x8010, 0x8020 }, { 0x30, 0x40 } };

	(void)state;
	for (unsigned int size = 4; size <= 8; size += 4) {
		struct file f = { 0 };

		put_pair(&f, 0x10, 0x20, size);
		put_pair(&f, 0x18, 0x18, size);		/* empty */
		put_pair(&f, UINT64_MAX, 0x8000, size);
		put_pair(&f, 0x10, 0x20, size);
		put_pair(&f, UINT64_MAX, 0, size);
		put_pair(&f, 0x30, 0x40, size);
		put_pair(&f, 0, 0x10, size);		/* removed by the linker */
		put_pair(&f, 0, 0, size);
		put_pair(&f, 0x50, 0x60, size);		/* another list */
		open_ranges(&f, (struct cp_dw_sizes){ 4, (uint8_t)size, 4 }, DW_FORM_sec_offset, 0);
		assert_spans(&f, expected, LENGTH(expected));
	}
}

static void lists_of_pairs_end_with_their_section(void **state)
{
	static const struct span expected[] = { { 0x1010, 0x1020 } };
	struct file f = { 0 };

	(void)state;
	put_pair(&f, 0x77, 0x78, 8);
	put_pair(&f, 0x10, 0x20, 8);
	put(&f.sections[CP_DW_RANGES], 0x30, 8);
	open_ranges(&f, dwarf4, DW_FORM_data4, 16);
	assert_spans(&f, expected, LENGTH(expected));
}

static void put_list_header(struct file *f)
{
	put(&f->sections[CP_DW_RNGLISTS], 0, 4);	/* its length is not needed */
	PUT(&f->sections[CP_DW_RNGLISTS], 5, 0, 8, 0);
	put(&f->sections[CP_DW_RNGLISTS], 2, 4);
}

static void put_all_entries(struct file *f, unsigned int size)
{
	struct bytes *list = &f->sections[CP_DW_RNGLISTS];

	PUT(list, DW_RLE_offset_pair, 0x10, 0x20, DW_RLE_base_addressx, 1, DW_RLE_offset_pair, 0x80, 1, 0x90, 1,
		DW_RLE_startx_endx, 0, 2, DW_RLE_startx_length, 2, 0x81, 1, DW_RLE_base_address);
	put(list, 0x6000, size);
	PUT(list, DW_RLE_offset_pair, 1, 2, DW_RLE_offset_pair, 3, 3, DW_RLE_start_end);
	put(list, 0x7000, size);
	put(list, 0x7001, size);
	PUT(list, DW_RLE_start_length);
	put(list, 0x7100, size);
	PUT(list, 0x80, 2, DW_RLE_start_length);
	put(list, 0, size);	/* removed by the linker */
	PUT(list, 0x10, DW_RLE_start_length);
	put(list, UINT64_MAX, size);
	PUT(list, 0x10, DW_RLE_end_of_list, DW_RLE_offset_pair, 1, 2);
}

static const struct span all_entries[] = { { 0x1010, 0x1020 }, { 0x5180, 0x5190 }, { 0x5000, 0x5200 },
	{ 0x5200, 0x5281 }, { 0x6001, 0x6002 }, { 0x7000, 0x7001 }, { 0x7100, 0x7200 } };

static void all_entries_of_dwarf_5_are_known(void **state)
{
	(void)state;
	for (unsigned int size = 4; size <= 8; size += 4) {
		struct file f = { 0 };

		put_list_header(&f);
		put_all_entries(&f, size);
		open_ranges(&f, (struct cp_dw_sizes){ 5, (uint8_t)size, 4 }, DW_FORM_sec_offset, 12);
		assert_spans(&f, all_entries, LENGTH(all_entries));
	}
}

static void indexed_lists_begin_at_the_units_offsets(void **state)
{
	(void)state;
	for (unsigned int size = 4; size <= 8; size += 4) {
		struct file f = { 0 };

		put_list_header(&f);
		put(&f.sections[CP_DW_RNGLISTS], 2 * size, size);
		put(&f.sections[CP_DW_RNGLISTS], 2 * size + 1, size);
		PUT(&f.sections[CP_DW_RNGLISTS], DW_RLE_end_of_list);
		put_all_entries(&f, 8);
		open_ranges(&f, (struct cp_dw_sizes){ 5, 8, (uint8_t)size }, DW_FORM_rnglistx, 1);
		assert_spans(&f, all_entries, LENGTH(all_entries));
	}
}

static void lists_that_lead_out_cover_nothing(void **state)
{
	static const struct { uint8_t form; uint64_t value; } places[] = { { DW_FORM_sec_offset, 23 },
		{ DW_FORM_sec_offset, UINT32_MAX }, { DW_FORM_rnglistx, 1 }, { DW_FORM_rnglistx, 0x7f } };
	struct cp_ranges ranges;

	(void)state;
	for (size_t i = 0; i < LENGTH(places); i++) {
		struct file f = { 0 };

		put_list_header(&f);
		put(&f.sections[CP_DW_RNGLISTS], 4, 4);
		PUT(&f.sections[CP_DW_RNGLISTS], DW_RLE_startx_endx, 0, 3, DW_RLE_start_length, 0, 0);
		open_ranges(&f, dwarf5, places[i].form, places[i].value);
		assert_null(cp_unit_root(&f.dwarf->units[0]));
		assert_false(cp_ranges_begin(&f.dwarf->units[0].extent, &ranges));
		close_dwarf(&f);
	}
}

static void entries_that_lead_out_end_the_list(void **state)
{
	static const uint8_t lists[][8] = {
		{ DW_RLE_startx_endx, 0, 3 }, { DW_RLE_startx_length, 3, 1 }, { DW_RLE_base_addressx, 3 },
		{ DW_RLE_offset_pair, 1, 0x82, 0x80, 0x80, 0x80, 0x80, 0x80 }, { DW_RLE_start_end, 1, 1, 1, 1, 1, 1, 1 },
		{ DW_RLE_start_length, 1, 1, 1, 1, 1, 1, 1 }, { DW_RLE_base_address, 1, 1, 1, 1, 1, 1, 1 },
		{ 0x7f, 1, 2, DW_RLE_offset_pair, 1, 2 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(lists); i++) {
		struct file f = { 0 };

		put_bytes(&f.sections[CP_DW_RNGLISTS], lists[i], 8);
		open_ranges(&f, dwarf5, DW_FORM_sec_offset, 0);
		assert_spans(&f, NULL, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_relative_to_the_base_that_was_selected),
		cmocka_unit_test(lists_of_pairs_end_with_their_section),
		cmocka_unit_test(all_entries_of_dwarf_5_are_known),
		cmocka_unit_test(indexed_lists_begin_at_the_units_offsets),
		cmocka_unit_test(lists_that_lead_out_cover_nothing),
		cmocka_unit_test(entries_that_lead_out_end_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
