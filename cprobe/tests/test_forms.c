/* SPDX-License-Identifier: BSD-2-Clause */
/* Cursors, and each form of an attribute as the standard has it; honest and lying. */
#include <dwarf.h>

#include "dwarf/die.h"
#include "dwarf_file.h"

static const struct cp_dw_sizes dwarf2 = { 2, 8, 4 }, dwarf4 = { 4, 8, 4 }, dwarf5 = { 5, 8, 4 }, wide = { 5, 8, 8 };

static struct cp_cursor cursor(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	return (struct cp_cursor){ at, at + size, false };
}

#define CURSOR(...) cursor((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* -- Cursors ----------------------------------------------------------------------------------------------------- */

static void assert_uleb(struct cp_cursor c, uint64_t expected)
{
	struct cp_cursor skipping = c;

	assert_int_equal(cp_get_uleb(&c), expected);
	assert_false(c.failed);
	assert_int_equal(cp_left(&c), 0);
	cp_skip_leb(&skipping);
	assert_ptr_equal(skipping.at, c.at);
}

static void unsigned_leb_has_64_bits_and_no_more(void **state)
{
	(void)state;
	assert_uleb(CURSOR(0), 0);
	assert_uleb(CURSOR(0xe5, 0x8e, 0x26), 624485);
	assert_uleb(CURSOR(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), UINT64_MAX);
	assert_uleb(CURSOR(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), UINT64_MAX);
	assert_uleb(CURSOR(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f), 0);
	assert_uleb(CURSOR(0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0), 5);
}

static void assert_sleb(struct cp_cursor c, int64_t expected)
{
	assert_int_equal(cp_get_sleb(&c), expected);
	assert_false(c.failed);
	assert_int_equal(cp_left(&c), 0);
}

static void signed_leb_extends_its_sign(void **state)
{
	(void)state;
	assert_sleb(CURSOR(0x3f), 63);
	assert_sleb(CURSOR(0x40), -64);
	assert_sleb(CURSOR(0xff, 0), 127);
	assert_sleb(CURSOR(0x80, 0x7f), -128);
	assert_sleb(CURSOR(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0), INT64_MAX);
	assert_sleb(CURSOR(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f), INT64_MIN);
	assert_sleb(CURSOR(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40), -(1ll << 62));
	assert_sleb(CURSOR(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), -2);
}

static void reads_past_the_end_fail_and_give_0(void **state)
{
	static const uint8_t bytes[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	(void)state;
	for (int kind = 0; kind < 9; kind++) {
		static const size_t sizes[] = { 1, 2, 3, 4, 8, 8, 9, 9, 9 };
		struct cp_cursor c = cursor(bytes, sizes[kind] - 1);
		uint64_t value = kind == 0 ? cp_get8(&c) : kind == 1 ? cp_get16(&c) : kind == 2 ? cp_get24(&c) :
			kind == 3 ? cp_get32(&c) : kind == 4 ? cp_get64(&c) : kind == 5 ? cp_get_sized(&c, 8) :
			kind == 6 ? cp_get_uleb(&c) : kind == 7 ? (uint64_t)cp_get_sleb(&c) : (uintptr_t)cp_get_string(&c);

		assert_int_equal(value, 0);
		assert_true(c.failed);
		assert_ptr_equal(c.at, c.end);
		assert_int_equal(cp_get8(&c), 0);
		assert_true(c.failed);
	}
}

static void sizes_that_no_field_has_fail(void **state)
{
	struct cp_cursor c = CURSOR(1, 2, 3, 4);

	(void)state;
	assert_int_equal(cp_get_sized(&c, 3), 0);
	assert_true(c.failed);
	c = CURSOR(1, 2, 3, 4);
	cp_skip(&c, UINT64_MAX);
	assert_true(c.failed);
	assert_ptr_equal(c.at, c.end);
}

/* -- Forms ------------------------------------------------------------------------------------------------------- */

static void fixed_forms_have_the_size_of_the_standard(void **state)
{
	static const struct { uint16_t form; int narrow, wide; } forms[] = {	/* in DWARF 5 of 32 and of 64 bits */
		{ DW_FORM_addr, 4, 8 }, { DW_FORM_data1, 1, 1 }, { DW_FORM_data2, 2, 2 }, { DW_FORM_data4, 4, 4 },
		{ DW_FORM_data8, 8, 8 }, { DW_FORM_data16, 16, 16 }, { DW_FORM_flag, 1, 1 }, { DW_FORM_flag_present, 0, 0 },
		{ DW_FORM_strp, 4, 8 }, { DW_FORM_line_strp, 4, 8 }, { DW_FORM_sec_offset, 4, 8 }, { DW_FORM_ref_addr, 4, 8 },
		{ DW_FORM_ref1, 1, 1 }, { DW_FORM_ref2, 2, 2 }, { DW_FORM_ref4, 4, 4 }, { DW_FORM_ref8, 8, 8 },
		{ DW_FORM_ref_sig8, 8, 8 }, { DW_FORM_strx1, 1, 1 }, { DW_FORM_strx2, 2, 2 }, { DW_FORM_strx3, 3, 3 },
		{ DW_FORM_strx4, 4, 4 }, { DW_FORM_addrx1, 1, 1 }, { DW_FORM_addrx2, 2, 2 }, { DW_FORM_addrx3, 3, 3 },
		{ DW_FORM_addrx4, 4, 4 }, { DW_FORM_implicit_const, 0, 0 }, { DW_FORM_strp_sup, 4, 8 },
		{ DW_FORM_ref_sup4, 4, 4 }, { DW_FORM_ref_sup8, 8, 8 }, { DW_FORM_GNU_ref_alt, 4, 8 },
		{ DW_FORM_GNU_strp_alt, 4, 8 }, { DW_FORM_block, -1, -1 }, { DW_FORM_block1, -1, -1 },
		{ DW_FORM_string, -1, -1 }, { DW_FORM_udata, -1, -1 }, { DW_FORM_sdata, -1, -1 }, { DW_FORM_strx, -1, -1 },
		{ DW_FORM_addrx, -1, -1 }, { DW_FORM_exprloc, -1, -1 }, { DW_FORM_indirect, -1, -1 }, { 0, -1, -1 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(forms); i++) {
		assert_int_equal(cp_form_size(forms[i].form, (struct cp_dw_sizes){ 5, 4, 4 }), forms[i].narrow);
		assert_int_equal(cp_form_size(forms[i].form, wide), forms[i].wide);
	}
}

#define SIGNATURE 0x1122334455667788
#define MARK 0x5a

/*
 * A unit whose first child has one attribute of a form, a mark behind it, and a label as its sibling; what the form may
 * lead to; and a unit behind it, whose root is one of the references' targets. Offsets of them are in the file.
 */
struct form_file {
	struct file f;
	struct bytes form, value;	/* as the abbreviation and the DIE have them */
	uint64_t label, behind;		/* offsets in .debug_info: of the label, of the second unit's root */
	struct cp_die child;
	struct cp_dw_attr attr;
	bool read;			/* the attribute was */
};

static void open_form(struct form_file *t, struct cp_dw_sizes sizes)
{
	struct bytes *info = &t->f.sections[CP_DW_INFO], *abbrev = &t->f.sections[CP_DW_ABBREV];
	struct cp_die root, label, second;
	struct cp_dw_attr mark;
	size_t start;

	PUT(abbrev, 1, DW_TAG_compile_unit, 1, DW_AT_str_offsets_base, DW_FORM_sec_offset, DW_AT_addr_base,
		DW_FORM_sec_offset, 0, 0);
	PUT(abbrev, 2, DW_TAG_variable, 0, DW_AT_const_value);
	put_bytes(abbrev, t->form.at, t->form.size);
	PUT(abbrev, DW_AT_decl_line, DW_FORM_data1, 0, 0, 3, DW_TAG_label, 0, 0, 0, 0);
	start = begin_unit(info, sizes, DW_UT_compile, 0);
	PUT(info, 1);
	put(info, 16, sizes.offset);
	put(info, 8, sizes.offset);
	PUT(info, 2);
	put_bytes(info, t->value.at, t->value.size);
	PUT(info, MARK);
	t->label = info->size;
	PUT(info, 3, 0);
	end_length(info, start);
	start = begin_unit(info, sizes, DW_UT_compile, 0);
	t->behind = info->size;
	PUT(info, 3);
	end_length(info, start);
	put_bytes(&t->f.sections[CP_DW_STR], "\0zero\0one\0two\0cut off", 21);
	put_bytes(&t->f.sections[CP_DW_LINE_STR], "\0a line's", 10);
	for (unsigned int i = 0; i < 5; i++)	/* two words are its header; before DWARF 5 it has none */
		put(&t->f.sections[CP_DW_STR_OFFSETS], (const uint8_t[]){ 6, 10, 1, 6, 10 }[i], sizes.offset);
	if (sizes.offset == 4)
		put(&t->f.sections[CP_DW_STR_OFFSETS], 14, 4);
	for (unsigned int i = 0; i < 5; i++)
		put(&t->f.sections[CP_DW_ADDR], 0x8000 + i, sizes.address);
	assert_null(open_dwarf(&t->f));
	assert_null(cp_unit_prepare(&t->f.dwarf->units[0]));
	assert_true(cp_die_root(&t->f.dwarf->units[0], &root));
	assert_true(cp_die_child(&root, &t->child));
	t->read = cp_die_attr(&t->child, DW_AT_const_value, &t->attr);
	if (!t->read)
		return;
	/* Who reads it and who passes over it both stop where it ends. */
	assert_true(cp_die_attr(&t->child, DW_AT_decl_line, &mark));
	assert_int_equal(mark.value, MARK);
	assert_true(cp_die_sibling(&t->child, &label));
	assert_int_equal(label.offset, t->label);
	assert_int_equal(cp_die_tag(&label), DW_TAG_label);
	assert_false(cp_die_sibling(&label, &second));
}

static void close_form(struct form_file *t)
{
	free(t->form.at);
	free(t->value.at);
	close_dwarf(&t->f);
}

static void assert_number(struct cp_dw_sizes sizes, struct bytes form, struct bytes value, uint64_t expected)
{
	struct form_file t = { .form = form, .value = value };
	uint64_t number = 0;

	open_form(&t, sizes);
	assert_true(t.read);
	assert_true(cp_attr_number(&t.attr, &number));
	assert_int_equal(number, expected);
	assert_null(cp_attr_string(&t.attr));
	assert_false(cp_attr_address(&t.attr, &number));
	close_form(&t);
}

static struct bytes some(const uint8_t *bytes, size_t size)
{
	struct bytes b = { 0 };

	put_bytes(&b, bytes, size);
	return b;
}

#define SOME(...) some((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define NOTHING some(NULL, 0)

static void numbers_are_what_the_bytes_say(void **state)
{
	(void)state;
	assert_number(dwarf5, SOME(DW_FORM_data1), SOME(0xff), 0xff);
	assert_number(dwarf5, SOME(DW_FORM_data2), SOME(0xfe, 0xff), 0xfffe);
	assert_number(dwarf5, SOME(DW_FORM_data4), SOME(1, 2, 3, 0xff), 0xff030201);
	assert_number(dwarf5, SOME(DW_FORM_data8), SOME(1, 2, 3, 4, 5, 6, 7, 0x88), 0x8807060504030201);
	assert_number(dwarf5, SOME(DW_FORM_udata), SOME(0x80, 0x7f), 0x3f80);
	assert_number(dwarf5, SOME(DW_FORM_sdata), SOME(0x80, 0x7f), (uint64_t)-128);
	assert_number(dwarf5, SOME(DW_FORM_flag), SOME(1), 1);
	assert_number(dwarf5, SOME(DW_FORM_sec_offset), SOME(1, 2, 3, 4), 0x04030201);
	assert_number(wide, SOME(DW_FORM_sec_offset), SOME(1, 2, 3, 4, 5, 6, 7, 8), 0x0807060504030201);
}

static void values_in_the_abbreviation_take_no_room_in_the_die(void **state)
{
	(void)state;
	assert_number(dwarf5, SOME(DW_FORM_implicit_const, 0xe5, 0x8e, 0x26), NOTHING, 624485);
	assert_number(dwarf5, SOME(DW_FORM_implicit_const, 0x7e), NOTHING, (uint64_t)-2);
	assert_number(dwarf4, SOME(DW_FORM_flag_present), NOTHING, 1);
}

static void indirect_forms_are_in_the_die(void **state)
{
	(void)state;
	assert_number(dwarf5, SOME(DW_FORM_indirect), SOME(DW_FORM_data2, 1, 2), 0x0201);
	assert_number(dwarf5, SOME(DW_FORM_indirect), SOME(DW_FORM_udata, 0xff, 1), 0xff);
	assert_number(dwarf5, SOME(DW_FORM_indirect), SOME(DW_FORM_indirect, DW_FORM_data1, 9), 9);
	assert_number(wide, SOME(DW_FORM_indirect), SOME(DW_FORM_sec_offset, 1, 0, 0, 0, 0, 0, 0, 2), 0x0200000000000001);
}

/* The child cannot be read: neither can what is behind it. */
static void assert_unreadable(struct cp_dw_sizes sizes, struct bytes form, struct bytes value)
{
	struct form_file t = { .form = form, .value = value };
	struct cp_dw_attr mark;

	open_form(&t, sizes);
	assert_false(t.read);
	assert_false(cp_die_attr(&t.child, DW_AT_decl_line, &mark));
	close_form(&t);
}

static void forms_that_lead_nowhere_are_not_there(void **state)
{
	(void)state;
	assert_unreadable(dwarf5, SOME(0x7e), SOME(1, 2));
	assert_unreadable(dwarf5, SOME(0xff, 0xff, 3), SOME(1, 2));
	assert_unreadable(dwarf5, SOME(DW_FORM_indirect), SOME(DW_FORM_implicit_const, 1));
	assert_unreadable(dwarf5, SOME(DW_FORM_indirect), SOME(0x8b, 0x80, 4, 1));	/* 0x1000b: not data1 */
	assert_unreadable(dwarf5, SOME(DW_FORM_indirect), SOME(DW_FORM_indirect, DW_FORM_indirect, DW_FORM_indirect,
		DW_FORM_indirect, DW_FORM_indirect, DW_FORM_indirect, DW_FORM_data1, 1));
	assert_unreadable(dwarf5, SOME(DW_FORM_block1), SOME(200));
	assert_unreadable(dwarf5, SOME(DW_FORM_exprloc), SOME(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1));
	assert_unreadable(dwarf5, SOME(DW_FORM_data16), SOME(1));
}

static void assert_text(struct cp_dw_sizes sizes, struct bytes form, struct bytes value, const char *expected)
{
	struct form_file t = { .form = form, .value = value };
	uint64_t number;

	open_form(&t, sizes);
	assert_true(t.read);
	if (expected)
		assert_string_equal(cp_attr_string(&t.attr), expected);
	else
		assert_null(cp_attr_string(&t.attr));
	assert_false(cp_attr_number(&t.attr, &number));
	close_form(&t);
}

static void strings_come_from_the_section_of_their_form(void **state)
{
	(void)state;
	assert_text(dwarf5, SOME(DW_FORM_string), SOME('h', 'i', 0), "hi");
	assert_text(dwarf5, SOME(DW_FORM_strp), SOME(6, 0, 0, 0), "one");
	assert_text(wide, SOME(DW_FORM_strp), SOME(6, 0, 0, 0, 0, 0, 0, 0), "one");
	assert_text(dwarf5, SOME(DW_FORM_line_strp), SOME(1, 0, 0, 0), "a line's");
	assert_text(dwarf5, SOME(DW_FORM_strx), SOME(0x80, 0), "two");
}

static void indexed_strings_begin_at_the_units_base(void **state)
{
	(void)state;
	assert_text(wide, SOME(DW_FORM_strx), SOME(1), "one");
	for (unsigned int size = 1; size <= 4; size++) {
		static const uint8_t forms[] = { 0, DW_FORM_strx1, DW_FORM_strx2, DW_FORM_strx3, DW_FORM_strx4 };

		assert_text(wide, SOME(forms[size]), some((const uint8_t[4]){ 2 }, size), "two");
		assert_text(wide, SOME(forms[size]), some((const uint8_t[4]){ 3 }, size), NULL);
	}
	assert_text(wide, SOME(DW_FORM_strx3), SOME(0, 0, 1), NULL);
	/* Split DWARF 4 has the form already, and no base. */
	assert_text(dwarf4, SOME(0x82, 0x3e), SOME(2), "zero");
}

static void strings_outside_their_section_are_none(void **state)
{
	(void)state;
	assert_text(dwarf5, SOME(DW_FORM_strp), SOME(14, 0, 0, 0), NULL);	/* it has no end */
	assert_text(dwarf5, SOME(DW_FORM_strp), SOME(21, 0, 0, 0), NULL);
	assert_text(dwarf5, SOME(DW_FORM_line_strp), SOME(0xff, 0xff, 0xff, 0xff), NULL);
	assert_text(dwarf5, SOME(DW_FORM_strx), SOME(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), NULL);
}

/* expected 0: there is none. */
static void assert_address(struct cp_dw_sizes sizes, struct bytes form, struct bytes value, uint64_t expected)
{
	struct form_file t = { .form = form, .value = value };
	uint64_t address = 0;

	open_form(&t, sizes);
	assert_true(t.read);
	assert_int_equal(cp_attr_address(&t.attr, &address), expected != 0);
	assert_int_equal(address, expected);
	assert_false(cp_attr_number(&t.attr, &address));
	close_form(&t);
}

static void addresses_have_the_units_size_or_an_index(void **state)
{
	static const struct cp_dw_sizes narrow = { 5, 4, 4 };

	(void)state;
	assert_address(dwarf5, SOME(DW_FORM_addr), SOME(1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), 0xffffffff00000001);
	assert_address(narrow, SOME(DW_FORM_addr), SOME(1, 0, 0, 0xff), 0xff000001);
	assert_address(dwarf5, SOME(DW_FORM_addrx), SOME(0x80, 0), 0x8001);
	assert_address(narrow, SOME(DW_FORM_addrx), SOME(1), 0x8003);
	for (unsigned int size = 1; size <= 4; size++) {
		static const uint8_t forms[] = { 0, DW_FORM_addrx1, DW_FORM_addrx2, DW_FORM_addrx3, DW_FORM_addrx4 };

		assert_address(dwarf5, SOME(forms[size]), some((const uint8_t[4]){ 3 }, size), 0x8004);
		assert_address(dwarf5, SOME(forms[size]), some((const uint8_t[4]){ 4 }, size), 0);
	}
	assert_address(dwarf5, SOME(DW_FORM_addrx), SOME(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), 0);
	assert_address(dwarf4, SOME(0x81, 0x3e), SOME(2), 0x8003);	/* DW_FORM_GNU_addr_index */
}

static void assert_block(struct bytes form, struct bytes value, const char *expected)
{
	struct form_file t = { .form = form, .value = value };
	struct cp_cursor c;

	open_form(&t, dwarf5);
	assert_true(t.read);
	assert_true(cp_attr_block(&t.attr, &c));
	assert_int_equal(cp_left(&c), strlen(expected));
	assert_memory_equal(c.at, expected, strlen(expected));
	close_form(&t);
}

static void blocks_have_their_length_before_them(void **state)
{
	(void)state;
	assert_block(SOME(DW_FORM_block1), SOME(3, 'a', 'b', 'c'), "abc");
	assert_block(SOME(DW_FORM_block2), SOME(3, 0, 'a', 'b', 'c'), "abc");
	assert_block(SOME(DW_FORM_block4), SOME(3, 0, 0, 0, 'a', 'b', 'c'), "abc");
	assert_block(SOME(DW_FORM_block), SOME(0x83, 0, 'a', 'b', 'c'), "abc");
	assert_block(SOME(DW_FORM_exprloc), SOME(0), "");
	assert_block(SOME(DW_FORM_indirect), SOME(DW_FORM_block1, 1, 'a'), "a");
	assert_block(SOME(DW_FORM_data16), SOME('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e',
		'f'), "0123456789abcdef");
}

/* *t's reference leads to the label (a form relative to the unit) or to the second unit's root. */
static void assert_reference(struct cp_dw_sizes sizes, uint8_t form, unsigned int size, bool other_unit)
{
	struct form_file t = { .form = SOME(form) };
	struct cp_die target;
	uint64_t offset;

	/* Where they are is known once the value's size is. */
	put(&t.value, 0, size);
	open_form(&t, sizes);
	offset = other_unit ? t.behind : t.label;
	close_form(&t);
	t = (struct form_file){ .form = SOME(form) };
	put(&t.value, offset, size);
	open_form(&t, sizes);
	assert_true(t.read);
	assert_true(cp_attr_ref(&t.attr, &target));
	assert_int_equal(target.offset, offset);
	assert_int_equal(cp_die_tag(&target), DW_TAG_label);
	assert_ptr_equal(target.unit, &t.f.dwarf->units[other_unit ? 1 : 0]);
	close_form(&t);
}

static void references_lead_to_their_die(void **state)
{
	(void)state;
	assert_reference(dwarf5, DW_FORM_ref1, 1, false);
	assert_reference(dwarf5, DW_FORM_ref2, 2, false);
	assert_reference(dwarf5, DW_FORM_ref4, 4, false);
	assert_reference(dwarf5, DW_FORM_ref8, 8, false);
	assert_reference(dwarf5, DW_FORM_ref_udata, 1, false);
	assert_reference(dwarf5, DW_FORM_ref_addr, 4, true);
	assert_reference(wide, DW_FORM_ref_addr, 8, true);
}

static void references_between_units_of_dwarf_2_are_address_sized(void **state)
{
	static const struct cp_dw_sizes narrow = { 2, 4, 4 }, dwarf3 = { 3, 8, 4 };

	(void)state;
	assert_reference(dwarf2, DW_FORM_ref_addr, 8, true);
	assert_reference(narrow, DW_FORM_ref_addr, 4, true);
	assert_reference(dwarf3, DW_FORM_ref_addr, 4, true);
}

static void assert_dangling(struct bytes form, struct bytes value)
{
	struct form_file t = { .form = form, .value = value };
	struct cp_die target;

	open_form(&t, dwarf5);
	assert_true(t.read);
	assert_false(cp_attr_ref(&t.attr, &target));
	close_form(&t);
}

static void references_that_lead_out_are_not_followed(void **state)
{
	(void)state;
	assert_dangling(SOME(DW_FORM_ref1), SOME(0));			/* the unit's header */
	assert_dangling(SOME(DW_FORM_ref1), SOME(60));			/* the second unit */
	assert_dangling(SOME(DW_FORM_ref4), SOME(0xff, 0xff, 0xff, 0xff));
	assert_dangling(SOME(DW_FORM_ref8), SOME(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
	assert_dangling(SOME(DW_FORM_ref_addr), SOME(3, 0, 0, 0));
	assert_dangling(SOME(DW_FORM_ref_addr), SOME(0, 1, 0, 0));
	assert_dangling(SOME(DW_FORM_ref_sig8), SOME(1, 2, 3, 4, 5, 6, 7, 8));
	assert_dangling(SOME(DW_FORM_data4), SOME(12, 0, 0, 0));		/* no reference */
}

/* A unit whose root has so many attributes of 16 bytes each and then its line, before its child. */
static struct cp_error *open_many(struct file *f, size_t count)
{
	struct bytes *info = &f->sections[CP_DW_INFO], *abbrev = &f->sections[CP_DW_ABBREV];
	size_t start;

	PUT(abbrev, 1, DW_TAG_compile_unit, 1);
	start = begin_unit(info, dwarf5, DW_UT_compile, 0);
	PUT(info, 1);
	for (size_t i = 1; i < count; i++) {
		PUT(abbrev, 0x60, DW_FORM_data16);
		put(info, 0, 8);
		put(info, 0, 8);
	}
	PUT(abbrev, DW_AT_decl_line, DW_FORM_data1, 0, 0, 2, DW_TAG_label, 0, 0, 0, 0);
	PUT(info, MARK, 2, 0);
	end_length(info, start);
	assert_null(open_dwarf(f));
	return cp_unit_prepare(&f->dwarf->units[0]);
}

static void dies_have_many_attributes_but_not_any_number(void **state)
{
	struct file f = { 0 };
	struct cp_die root, child;
	struct cp_dw_attr attr;

	(void)state;
	assert_null(open_many(&f, CP_MAX_ATTRS));
	assert_true(cp_die_root(&f.dwarf->units[0], &root));
	assert_true(cp_die_attr(&root, DW_AT_decl_line, &attr));
	assert_int_equal(attr.value, MARK);
	assert_true(cp_die_child(&root, &child));
	assert_int_equal(cp_die_tag(&child), DW_TAG_label);
	close_dwarf(&f);
	assert_error(open_many(&f, CP_MAX_ATTRS + 1), CP_ERROR_CORRUPT, "unit at 0x0", "abbreviations at 0x0");
	close_dwarf(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unsigned_leb_has_64_bits_and_no_more),
		cmocka_unit_test(signed_leb_extends_its_sign),
		cmocka_unit_test(reads_past_the_end_fail_and_give_0),
		cmocka_unit_test(sizes_that_no_field_has_fail),
		cmocka_unit_test(fixed_forms_have_the_size_of_the_standard),
		cmocka_unit_test(numbers_are_what_the_bytes_say),
		cmocka_unit_test(values_in_the_abbreviation_take_no_room_in_the_die),
		cmocka_unit_test(indirect_forms_are_in_the_die),
		cmocka_unit_test(forms_that_lead_nowhere_are_not_there),
		cmocka_unit_test(strings_come_from_the_section_of_their_form),
		cmocka_unit_test(indexed_strings_begin_at_the_units_base),
		cmocka_unit_test(strings_outside_their_section_are_none),
		cmocka_unit_test(addresses_have_the_units_size_or_an_index),
		cmocka_unit_test(blocks_have_their_length_before_them),
		cmocka_unit_test(references_lead_to_their_die),
		cmocka_unit_test(references_between_units_of_dwarf_2_are_address_sized),
		cmocka_unit_test(references_that_lead_out_are_not_followed),
		cmocka_unit_test(dies_have_many_attributes_but_not_any_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
