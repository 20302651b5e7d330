/* SPDX-License-Identifier: BSD-2-Clause */
/* Units, abbreviations and the steps from DIE to DIE, made byte by byte; honest and lying. */
#include <dwarf.h>

#include "dwarf/die.h"
#include "dwarf_file.h"

static const struct cp_dw_sizes dwarf4 = { 4, 8, 4 }, dwarf5 = { 5, 8, 4 }, wide = { 5, 8, 8 };

static struct cp_cursor cursor(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	return (struct cp_cursor){ at, at + size, false };
}

#define CURSOR(...) cursor((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

#define SIGNATURE 0x1122334455667788

/* -- Units ------------------------------------------------------------------------------------------------------- */

/* Abbreviation 1: a compile unit with a name; 2: a structure with a name; 3: a member of a type with a signature. */
static void put_plain_abbrevs(struct file *f)
{
	PUT(&f->sections[CP_DW_ABBREV], 1, DW_TAG_compile_unit, 1, DW_AT_name, DW_FORM_string, 0, 0,
		2, DW_TAG_structure_type, 0, DW_AT_name, DW_FORM_string, 0, 0,
		3, DW_TAG_member, 0, DW_AT_type, DW_FORM_ref_sig8, 0, 0,
		4, DW_TAG_type_unit, 1, 0, 0, 0);
}

static void put_named_unit(struct file *f, struct cp_dw_sizes sizes, const char *name)
{
	struct bytes *info = &f->sections[CP_DW_INFO];
	size_t start = begin_unit(info, sizes, DW_UT_compile, 0);

	PUT(info, 1);
	put_text(info, name);
	PUT(info, 0);
	end_length(info, start);
}

static void units_of_all_versions_and_sizes_stand_side_by_side(void **state)
{
	struct file f = { 0 };
	uint8_t version, address, offset;
	size_t i = 0;

	(void)state;
	put_plain_abbrevs(&f);
	for (version = 2; version <= 5; version++)
		for (address = 4; address <= 8; address += 4)
			for (offset = 4; offset <= 8; offset += 4)
				put_named_unit(&f, (struct cp_dw_sizes){ version, address, offset },
					(const char[]){ (char)('0' + version), (char)('0' + address), (char)('0' + offset), 0 });
	assert_null(open_dwarf(&f));
	assert_int_equal(f.dwarf->unit_count, 16);
	for (version = 2; version <= 5; version++)
		for (address = 4; address <= 8; address += 4)
			for (offset = 4; offset <= 8; offset += 4, i++) {
				struct cp_dw_unit *unit = &f.dwarf->units[i];

				assert_null(cp_unit_prepare(unit));
				assert_int_equal(unit->sizes.version, version);
				assert_int_equal(unit->sizes.address, address);
				assert_int_equal(unit->sizes.offset, offset);
				assert_int_equal(unit->tag, DW_TAG_compile_unit);
				assert_string_equal(unit->name,
					((const char[]){ (char)('0' + version), (char)('0' + address), (char)('0' + offset), 0 }));
				assert_ptr_equal(cp_dwarf_unit_at(f.dwarf, unit->offset), unit);
				assert_ptr_equal(cp_dwarf_unit_at(f.dwarf, unit->end - 1), unit);
			}
	assert_null(cp_dwarf_unit_at(f.dwarf, f.sections[CP_DW_INFO].size));
	close_dwarf(&f);
}

static void padding_between_units_is_no_unit(void **state)
{
	struct file f = { 0 };

	(void)state;
	put_plain_abbrevs(&f);
	put(&f.sections[CP_DW_INFO], 0, 4);
	put_named_unit(&f, dwarf4, "one");
	put(&f.sections[CP_DW_INFO], 0, 8);
	put(&f.sections[CP_DW_INFO], 0, 4);
	put_named_unit(&f, wide, "other");
	put(&f.sections[CP_DW_INFO], 0, 4);
	assert_null(open_dwarf(&f));
	assert_int_equal(f.dwarf->unit_count, 2);
	assert_null(cp_unit_root(&f.dwarf->units[0]));
	assert_null(cp_unit_root(&f.dwarf->units[1]));
	assert_string_equal(f.dwarf->units[0].name, "one");
	assert_string_equal(f.dwarf->units[1].name, "other");
	assert_int_equal(f.dwarf->units[0].offset, 4);
	assert_null(cp_dwarf_unit_at(f.dwarf, 0));
	assert_null(cp_dwarf_unit_at(f.dwarf, f.dwarf->units[0].end));
	close_dwarf(&f);
}

/* A type unit with one structure; *type_offset: where it is in the unit. */
static void put_type_unit(struct bytes *b, struct cp_dw_sizes sizes, uint64_t signature, const char *name, int error)
{
	size_t start = begin_unit(b, sizes, DW_UT_type, 0);

	put(b, signature, 8);
	put(b, (uint64_t)((int)(b->size - start + sizes.offset + 1) + error), sizes.offset);
	PUT(b, 4, 2);
	put_text(b, name);
	PUT(b, 0);
	end_length(b, start);
}

/* The name of the type of the one member in the first unit; NULL: it leads nowhere. */
static const char *type_by_signature(struct file *f)
{
	struct cp_die root, member, type;
	struct cp_dw_attr attr;

	assert_null(cp_unit_prepare(&f->dwarf->units[0]));
	assert_true(cp_die_root(&f->dwarf->units[0], &root));
	assert_true(cp_die_child(&root, &member));
	assert_true(cp_die_attr(&member, DW_AT_type, &attr));
	return cp_attr_ref(&attr, &type) ? cp_die_name(&type) : NULL;
}

static void put_member_unit(struct file *f, struct cp_dw_sizes sizes)
{
	struct bytes *info = &f->sections[CP_DW_INFO];
	size_t start = begin_unit(info, sizes, DW_UT_compile, 0);

	PUT(info, 1, 'u', 0, 3);
	put(info, SIGNATURE, 8);
	PUT(info, 0);
	end_length(info, start);
}

static void type_units_are_found_by_their_signature(void **state)
{
	static const struct { enum cp_dw_section section; struct cp_dw_sizes sizes; } places[] = {
		{ CP_DW_TYPES, { 4, 8, 4 } }, { CP_DW_TYPES, { 4, 8, 8 } }, { CP_DW_INFO, { 5, 8, 4 } },
		{ CP_DW_INFO, { 5, 4, 8 } },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(places); i++) {
		struct file f = { 0 };
		struct bytes *types = &f.sections[places[i].section];

		put_plain_abbrevs(&f);
		put_member_unit(&f, places[i].sizes);
		put_type_unit(types, places[i].sizes, UINT64_MAX, "last", 0);
		put_type_unit(types, places[i].sizes, SIGNATURE, "wanted", 0);
		put_type_unit(types, places[i].sizes, 1, "first", 0);
		assert_null(open_dwarf(&f));
		assert_int_equal(f.dwarf->unit_count, 4);
		assert_int_equal(f.dwarf->info_count, places[i].section == CP_DW_INFO ? 4 : 1);
		assert_ptr_equal(cp_dwarf_type_unit(f.dwarf, SIGNATURE), &f.dwarf->units[2]);
		assert_ptr_equal(cp_dwarf_type_unit(f.dwarf, UINT64_MAX), &f.dwarf->units[1]);
		assert_null(cp_dwarf_type_unit(f.dwarf, 2));
		assert_string_equal(type_by_signature(&f), "wanted");
		close_dwarf(&f);
	}
}

static void types_outside_their_unit_are_not_there(void **state)
{
	static const int errors[] = { -40, -8, 1000, INT32_MIN };

	(void)state;
	for (size_t i = 0; i < LENGTH(errors); i++) {
		struct file f = { 0 };

		put_plain_abbrevs(&f);
		put_member_unit(&f, dwarf4);
		put_type_unit(&f.sections[CP_DW_TYPES], dwarf4, SIGNATURE, "wanted", errors[i]);
		assert_null(open_dwarf(&f));
		assert_null(type_by_signature(&f));
		close_dwarf(&f);
	}
}

/* A good unit whose header was then changed at an offset, or that was cut off. */
static void assert_bad_header(struct cp_dw_sizes sizes, size_t at, uint8_t value, size_t cut, const char *one,
	const char *other)
{
	struct file f = { 0 };

	put_plain_abbrevs(&f);
	put_named_unit(&f, sizes, "u");
	if (cut)
		f.sections[CP_DW_INFO].size = cut;
	else
		f.sections[CP_DW_INFO].at[at] = value;
	assert_error(open_dwarf(&f), CP_ERROR_CORRUPT, one, other);
	close_dwarf(&f);
}

static void units_longer_than_their_section_are_corrupt(void **state)
{
	(void)state;
	assert_bad_header(dwarf4, 0, 0x0c, 0, "0xc bytes", "0xb are left");
	assert_bad_header(wide, 11, 0x80, 0, "0x8000000000000010", "0x10 are left");
	for (size_t cut = 1; cut < 15; cut++)
		assert_bad_header(dwarf4, 0, 0, cut, ".debug_info", "0x0");
}

static void headers_shorter_than_they_must_be_are_corrupt(void **state)
{
	(void)state;
	for (uint8_t length = 1; length < 7; length++)
		assert_bad_header(dwarf4, 0, length, 0, ".debug_info", "0x0");
}

static void unknown_versions_are_named(void **state)
{
	(void)state;
	assert_bad_header(dwarf4, 4, 6, 0, "version 6", "0x0");
	assert_bad_header(dwarf4, 4, 1, 0, "version 1", "0x0");
	assert_bad_header(dwarf4, 4, 0, 0, "version 0", "0x0");
}

/* The field has 16 bits. */
static void versions_above_255_are_unknown(void **state)
{
	(void)state;
	assert_bad_header(dwarf4, 5, 1, 0, "version 260", "0x0");
}

static void impossible_address_sizes_are_named(void **state)
{
	(void)state;
	assert_bad_header(dwarf4, 10, 3, 0, "address size 3", "0x0");
	assert_bad_header(dwarf5, 7, 16, 0, "address size 16", "0x0");
}

static void abbreviations_outside_their_section_are_corrupt(void **state)
{
	struct file f = { 0 };

	(void)state;
	put_plain_abbrevs(&f);
	put_named_unit(&f, dwarf4, "u");
	f.sections[CP_DW_INFO].at[9] = 0x80;
	assert_null(open_dwarf(&f));
	assert_error(cp_unit_prepare(&f.dwarf->units[0]), CP_ERROR_CORRUPT, "unit at 0x0", "0x80000000");
	close_dwarf(&f);
}

static void an_unknown_code_of_the_first_die_is_named(void **state)
{
	struct file f = { 0 };

	(void)state;
	put_plain_abbrevs(&f);
	put_named_unit(&f, dwarf4, "u");
	f.sections[CP_DW_INFO].at[11] = 77;
	assert_null(open_dwarf(&f));
	assert_error(cp_unit_root(&f.dwarf->units[0]), CP_ERROR_CORRUPT, "abbreviation 77", "0x0");
	close_dwarf(&f);
}

/* -- Abbreviations ----------------------------------------------------------------------------------------------- */

static void abbreviations_are_found_in_any_order(void **state)
{
	static const uint8_t bytes[] = {
		9, DW_TAG_label, 0, 0, 0,
		0x80, 1, DW_TAG_variable, 1, DW_AT_name, DW_FORM_string, DW_AT_decl_line, DW_FORM_data1, 0, 0,
		2, DW_TAG_member, 0, DW_AT_decl_line, DW_FORM_data2, 0, 0,
		1, DW_TAG_typedef, 0, 0, 0,
		0,
	};
	struct cp_cursor c = cursor(bytes, sizeof(bytes));
	struct cp_abbrevs table = { 0 };
	const struct cp_abbrev *found;

	(void)state;
	assert_true(cp_abbrevs_read(&table, &c, dwarf5));
	assert_int_equal(cp_left(&c), 0);
	assert_int_equal(table.count, 4);
	assert_int_equal(cp_abbrev_find(&table, 1)->tag, DW_TAG_typedef);
	assert_int_equal(cp_abbrev_find(&table, 2)->attrs[0].form, DW_FORM_data2);
	assert_int_equal(cp_abbrev_find(&table, 9)->tag, DW_TAG_label);
	found = cp_abbrev_find(&table, 128);
	assert_int_equal(found->tag, DW_TAG_variable);
	assert_true(found->children);
	assert_int_equal(found->attr_count, 2);
	assert_int_equal(found->attrs[1].name, DW_AT_decl_line);
	for (uint64_t code = 0; code < 200; code++)
		assert_int_equal(cp_abbrev_find(&table, code) != NULL, code == 1 || code == 2 || code == 9 || code == 128);
	assert_null(cp_abbrev_find(&table, UINT64_MAX));
	cp_abbrevs_deinit(&table);
}

/* Which of two declarations of a code holds is for nobody to say, but all must say the same: the first one. */
static void of_declarations_of_one_code_the_first_holds(void **state)
{
	static const uint8_t tables[][16] = {
		{ 2, DW_TAG_label, 0, 0, 0, 2, DW_TAG_member, 0, 0, 0, 0 },
		{ 1, DW_TAG_label, 0, 0, 0, 2, DW_TAG_label, 0, 0, 0, 2, DW_TAG_member, 0, 0, 0, 0 },
		{ 2, DW_TAG_label, 0, 0, 0, 1, DW_TAG_label, 0, 0, 0, 2, DW_TAG_member, 0, 0, 0, 0 },
		{ 9, DW_TAG_label, 0, 0, 0, 2, DW_TAG_label, 0, 0, 0, 2, DW_TAG_member, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(tables); i++) {
		struct cp_cursor c = cursor(tables[i], sizeof(tables[i])), seeking = c;
		struct cp_abbrevs table = { 0 };
		uint64_t tag = 0;
		bool children;

		assert_true(cp_abbrevs_read(&table, &c, dwarf5));
		assert_true(cp_abbrev_seek(&seeking, 2, &tag, &children));
		assert_int_equal(tag, DW_TAG_label);
		assert_int_equal(cp_abbrev_find(&table, 2)->tag, DW_TAG_label);
		cp_abbrevs_deinit(&table);
	}
}

/* Some declarations, of codes from 1 on in a mixed order. */
static void put_random_table(struct bytes *b, size_t count)
{
	size_t step = count == 7 ? 1 : 7;	/* no divisor of the count: each code once */

	for (size_t i = 0; i < count; i++) {
		put_uleb(b, 1 + i * step % count);
		put_uleb(b, draw(8) ? 1 + draw(0x48) : 0x4109);
		PUT(b, (uint8_t)draw(2));
		for (uint64_t attrs = draw(i % 5 ? 6 : 40); attrs > 0; attrs--) {
			uint64_t form = 1 + draw(DW_FORM_addrx4);

			put_uleb(b, draw(16) ? 1 + draw(0x7e) : 0x2100 + draw(20));
			put_uleb(b, draw(30) ? form : DW_FORM_GNU_strp_alt);
			if (b->at[b->size - 1] != DW_FORM_implicit_const)
				continue;
			/* Zeros and what looks like an end of the list, too. */
			for (uint64_t more = draw(4); more > 0; more--)
				PUT(b, (uint8_t)(0x80 | draw(128)));
			PUT(b, (uint8_t)draw(3));
		}
		PUT(b, 0, 0);
	}
	PUT(b, 0);
}

static void assert_same_attr(const struct cp_abbrev_attr *a, const struct cp_abbrev_attr *b)
{
	assert_int_equal(a->name, b->name);
	assert_int_equal(a->form, b->form);
	assert_int_equal(a->size, b->size);
	if (a->form == DW_FORM_implicit_const)
		assert_int_equal(a->implicit, b->implicit);
}

static void seeking_one_code_gives_what_the_table_has(void **state)
{
	struct cp_abbrevs table = { 0 };

	(void)state;
	srand(3);
	for (int round = 0; round < 200; round++) {
		struct bytes b = { 0 };
		size_t count = 1 + draw(6) + (round % 3 ? 0 : 6);
		struct cp_cursor c;

		put_random_table(&b, count);
		c = cursor(b.at, b.size);
		assert_true(cp_abbrevs_read(&table, &c, dwarf5));
		assert_int_equal(cp_left(&c), 0);
		assert_int_equal(table.count, count);
		for (uint64_t code = 1; code <= count + 1; code++) {
			const struct cp_abbrev *found = cp_abbrev_find(&table, code);
			struct cp_cursor seeking = cursor(b.at, b.size);
			struct cp_abbrev_attr attr;
			uint64_t tag = 0;
			bool children = false;

			assert_int_equal(cp_abbrev_seek(&seeking, code, &tag, &children), found != NULL);
			assert_int_equal(found != NULL, code <= count);
			if (!found)
				continue;
			assert_int_equal(tag, found->tag);
			assert_int_equal(children, found->children);
			for (size_t i = 0; i < found->attr_count; i++) {
				assert_true(cp_abbrev_next_attr(&seeking, dwarf5, &attr));
				assert_same_attr(&attr, &found->attrs[i]);
			}
			assert_false(cp_abbrev_next_attr(&seeking, dwarf5, &attr));
			assert_false(seeking.failed);
		}
		free(b.at);
	}
	cp_abbrevs_deinit(&table);
}

static void tables_that_are_cut_off_are_malformed(void **state)
{
	struct cp_abbrevs table = { 0 };
	struct bytes b = { 0 };

	(void)state;
	srand(4);
	put_random_table(&b, 6);
	for (size_t size = 0; size < b.size; size++) {
		uint8_t *exact = malloc(size + 1);	/* for the sanitizer to see what is read behind it */
		struct cp_cursor c;

		assert_non_null(exact);
		memcpy(exact, b.at, size);
		c = cursor(exact, size);
		assert_false(cp_abbrevs_read(&table, &c, dwarf5));
		assert_true(c.failed);
		free(exact);
	}
	free(b.at);
	cp_abbrevs_deinit(&table);
}

static void attributes_without_a_form_are_malformed(void **state)
{
	struct cp_cursor c = CURSOR(1, DW_TAG_label, 0, DW_AT_name, 0, 0, 0, 0);
	struct cp_abbrevs table = { 0 };

	(void)state;
	assert_false(cp_abbrevs_read(&table, &c, dwarf5));
	assert_true(c.failed);
	cp_abbrevs_deinit(&table);
}

/* -- Siblings ---------------------------------------------------------------------------------------------------- */

#define RIGHT 0		/* no sibling is there: the unit's header is */

/*
 * A structure with two members, and a label behind it, where the structure's DW_AT_sibling should lead; the members are
 * unreadable if `blind`. True: the label was found from the structure.
 */
static bool reaches_label(uint8_t form, bool name_before, uint32_t sibling, bool blind)
{
	struct file f = { 0 };
	struct bytes *info = &f.sections[CP_DW_INFO], *abbrev = &f.sections[CP_DW_ABBREV];
	uint8_t member = blind ? 0x7f : 3;
	struct cp_die root, type, next;
	size_t start, place;
	bool reached;

	PUT(abbrev, 1, DW_TAG_compile_unit, 1, 0, 0, 2, DW_TAG_structure_type, 1);
	if (name_before)
		PUT(abbrev, DW_AT_name, DW_FORM_string);
	PUT(abbrev, DW_AT_sibling, form, 0, 0, 3, DW_TAG_member, 0, DW_AT_name, DW_FORM_string, 0, 0,
		4, DW_TAG_label, 0, 0, 0, 0);
	put(info, 0, 4);	/* padding: offsets in the unit are not those in the section */
	start = begin_unit(info, dwarf4, DW_UT_compile, 0);
	PUT(info, 1, 2);	/* at 0xb and 0xc of the unit */
	if (name_before)
		PUT(info, 's', 0);
	place = info->size;
	put(info, sibling, form == DW_FORM_ref_udata || form == DW_FORM_ref1 ? 1 : form == DW_FORM_ref2 ? 2 : 4);
	PUT(info, member, 'm', 0, member, 'n', 0, 0);
	if (sibling == RIGHT)
		info->at[place] = (uint8_t)(info->size - (form == DW_FORM_ref_addr ? 0 : start));
	PUT(info, 4, 0);
	end_length(info, start);
	start = begin_unit(info, dwarf4, DW_UT_compile, 0);
	PUT(info, 4);		/* at 0x2d of the first unit, or 0x2f */
	end_length(info, start);
	assert_null(open_dwarf(&f));
	assert_null(cp_unit_prepare(&f.dwarf->units[0]));
	assert_true(cp_die_root(&f.dwarf->units[0], &root));
	assert_true(cp_die_child(&root, &type));
	reached = cp_die_sibling(&type, &next) && cp_die_tag(&next) == DW_TAG_label &&
		next.offset < f.dwarf->units[0].end;
	close_dwarf(&f);
	return reached;
}

static void siblings_are_reached_without_a_look_at_children(void **state)
{
	static const uint8_t forms[] = { DW_FORM_ref1, DW_FORM_ref2, DW_FORM_ref4, DW_FORM_ref_udata, DW_FORM_ref_addr };

	(void)state;
	for (size_t i = 0; i < LENGTH(forms); i++) {
		assert_true(reaches_label(forms[i], false, RIGHT, true));
		assert_true(reaches_label(forms[i], true, RIGHT, true));
	}
}

/* Else the walk would go round for ever, or come out in another unit: the children are walked instead. */
static void siblings_that_lead_back_or_out_are_not_followed(void **state)
{
	static const uint32_t places[] = { 0xb, 0xc, 0xd, 0x2d, 0x2f, 0x7f };

	(void)state;
	for (size_t i = 0; i < LENGTH(places); i++) {
		assert_true(reaches_label(DW_FORM_ref1, false, places[i], false));
		assert_true(reaches_label(DW_FORM_ref4, false, places[i], false));
		assert_true(reaches_label(DW_FORM_ref_udata, false, places[i], false));
		assert_true(reaches_label(DW_FORM_ref_udata, true, places[i], false));
		assert_true(reaches_label(DW_FORM_ref_addr, false, places[i] + 4, false));
		assert_false(reaches_label(DW_FORM_ref4, false, places[i], true));
	}
	assert_true(reaches_label(DW_FORM_ref4, false, UINT32_MAX, false));
	assert_true(reaches_label(DW_FORM_ref_addr, false, 1, false));
	assert_true(reaches_label(DW_FORM_ref_addr, false, UINT32_MAX, false));
}

static void trees_without_an_end_are_left_at_the_units_end(void **state)
{
	struct file f = { 0 };
	struct bytes *info = &f.sections[CP_DW_INFO];
	struct cp_die root, child, next;
	struct cp_cursor c;
	size_t start;

	(void)state;
	PUT(&f.sections[CP_DW_ABBREV], 1, DW_TAG_lexical_block, 1, 0, 0, 0);
	start = begin_unit(info, dwarf4, DW_UT_compile, 0);
	for (int i = 0; i < 1000; i++)
		PUT(info, 1);
	end_length(info, start);
	assert_null(open_dwarf(&f));
	assert_null(cp_unit_prepare(&f.dwarf->units[0]));
	assert_true(cp_die_root(&f.dwarf->units[0], &root));
	assert_true(cp_die_child(&root, &child));
	assert_false(cp_die_sibling(&child, &next));
	c = cp_unit_cursor(&f.dwarf->units[0], f.dwarf->units[0].first + 1);
	cp_die_skip(&root, &c);
	assert_true(c.failed);
	assert_int_equal(cp_left(&c), 0);
	close_dwarf(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_of_all_versions_and_sizes_stand_side_by_side),
		cmocka_unit_test(padding_between_units_is_no_unit),
		cmocka_unit_test(type_units_are_found_by_their_signature),
		cmocka_unit_test(types_outside_their_unit_are_not_there),
		cmocka_unit_test(units_longer_than_their_section_are_corrupt),
		cmocka_unit_test(headers_shorter_than_they_must_be_are_corrupt),
		cmocka_unit_test(unknown_versions_are_named),
		cmocka_unit_test(versions_above_255_are_unknown),
		cmocka_unit_test(impossible_address_sizes_are_named),
		cmocka_unit_test(abbreviations_outside_their_section_are_corrupt),
		cmocka_unit_test(an_unknown_code_of_the_first_die_is_named),
		cmocka_unit_test(abbreviations_are_found_in_any_order),
		cmocka_unit_test(of_declarations_of_one_code_the_first_holds),
		cmocka_unit_test(seeking_one_code_gives_what_the_table_has),
		cmocka_unit_test(tables_that_are_cut_off_are_malformed),
		cmocka_unit_test(attributes_without_a_form_are_malformed),
		cmocka_unit_test(siblings_are_reached_without_a_look_at_children),
		cmocka_unit_test(siblings_that_lead_back_or_out_are_not_followed),
		cmocka_unit_test(trees_without_an_end_are_left_at_the_units_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
