/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "dwarf/abbrev.h"

int cp_form_size(uint16_t form, struct cp_dw_sizes sizes)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return sizes.address;
	case DW_FORM_ref_addr:
		return sizes.version == 2 ? sizes.address : sizes.offset;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return sizes.offset;
	default:
		return -1;
	}
}

#define KNOWN_FORMS (DW_FORM_addrx4 + 1)

struct reading {
	struct cp_abbrevs table;	/* its lists grow side by side */
	size_t item_room, attr_room, step_room;
	int8_t form_sizes[KNOWN_FORMS];
};

/* The array with room for one more, maybe moved; NULL: no memory, and it is as before. */
static void *with_room(void *items, size_t count, size_t *room, size_t size)
{
	void *grown;

	if (count < *room)
		return items;
	grown = realloc(items, (*room * 2 + 64) * size);
	if (grown)
		*room = *room * 2 + 64;
	return grown;
}

static bool add_step(struct reading *b, unsigned int fixed, uint16_t form, struct cp_abbrev *abbrev)
{
	struct cp_abbrev_step *steps = with_room(b->table.steps, b->table.step_count, &b->step_room, sizeof(*steps));

	if (!steps)
		return false;
	b->table.steps = steps;
	steps[b->table.step_count++] = (struct cp_abbrev_step){ (uint16_t)fixed, form };
	abbrev->step_count++;
	return true;
}

/* The attributes of one declaration. */
static bool read_attrs(struct reading *b, struct cp_cursor *c, struct cp_dw_sizes sizes, struct cp_abbrev *abbrev)
{
	unsigned int fixed = 0;
	bool from_start = true;	/* everything so far is of fixed size */

	for (;;) {
		uint64_t name = cp_get_uleb(c), form = cp_get_uleb(c);
		struct cp_abbrev_attr *attrs;
		int size;

		if (c->failed || (!name && !form))
			return !c->failed && add_step(b, fixed, 0, abbrev);
		if (name > UINT16_MAX || form > UINT16_MAX || !form || abbrev->attr_count == CP_MAX_ATTRS) {
			cp_fail(c);
			return false;
		}
		size = form < KNOWN_FORMS ? b->form_sizes[form] : cp_form_size((uint16_t)form, sizes);
		attrs = with_room(b->table.attrs, b->table.attr_count, &b->attr_room, sizeof(*attrs));
		if (!attrs)
			return false;
		b->table.attrs = attrs;
		attrs[b->table.attr_count++] = (struct cp_abbrev_attr){ (uint16_t)name, (uint16_t)form, (int8_t)size,
			form == DW_FORM_implicit_const ? cp_get_sleb(c) : 1 };
		abbrev->attr_count++;
		if (abbrev->interest == CP_DECLARED && (name == DW_AT_low_pc || name == DW_AT_ranges))
			abbrev->interest = CP_CODE;
		if (name == DW_AT_sibling && from_start && size > 0 && form != DW_FORM_ref_addr) {
			abbrev->sibling_size = (uint8_t)size;
			abbrev->sibling_at = (uint16_t)fixed;
		}
		if (size >= 0 && fixed + (unsigned int)size <= UINT16_MAX) {
			fixed += (unsigned int)size;
			continue;
		}
		from_start = false;
		if (!add_step(b, fixed, (uint16_t)form, abbrev))
			return false;
		fixed = 0;
	}
}

static const uint8_t interests[] = {
	[DW_TAG_compile_unit] = CP_SCOPES,
	[DW_TAG_partial_unit] = CP_SCOPES,
	[DW_TAG_type_unit] = CP_SCOPES,
	[DW_TAG_skeleton_unit] = CP_SCOPES,
	[DW_TAG_namespace] = CP_SCOPES,
	[DW_TAG_module] = CP_SCOPES,
	[DW_TAG_subprogram] = CP_DECLARED,
	[DW_TAG_inlined_subroutine] = CP_CODE,
	[DW_TAG_lexical_block] = CP_BLOCKS,
	[DW_TAG_try_block] = CP_BLOCKS,
	[DW_TAG_catch_block] = CP_BLOCKS,
	[DW_TAG_structure_type] = CP_STRUCTS,
	[DW_TAG_union_type] = CP_STRUCTS,
	[DW_TAG_class_type] = CP_STRUCTS,
	[DW_TAG_enumeration_type] = CP_STRUCTS,
	[DW_TAG_typedef] = CP_TYPEDEFS,
};

static bool read_table(struct reading *b, struct cp_cursor *c, struct cp_dw_sizes sizes)
{
	for (;;) {
		uint64_t code = cp_get_uleb(c), tag;
		struct cp_abbrev *items;

		if (c->failed || !code)
			return !c->failed;
		items = with_room(b->table.items, b->table.count, &b->item_room, sizeof(*items));
		if (!items)
			return false;
		b->table.items = items;
		items += b->table.count;
		tag = cp_get_uleb(c);
		*items = (struct cp_abbrev){ .code = code, .tag = tag > UINT16_MAX ? UINT16_MAX : (uint16_t)tag,
			.children = cp_get8(c) != 0, .interest = tag < sizeof(interests) ? interests[tag] : 0 };
		if (!read_attrs(b, c, sizes, items))
			return false;
		b->table.count++;
	}
}

static int compare(const void *left, const void *right)
{
	const struct cp_abbrev *a = left, *b = right;

	if (a->code != b->code)
		return a->code < b->code ? -1 : 1;
	return a->steps < b->steps ? -1 : a->steps > b->steps;	/* as they lie in the table */
}

/* By code; of two with one code the first one in the table holds, as cp_abbrev_seek() has it. */
static void sort(struct cp_abbrevs *table)
{
	size_t kept = 0;

	qsort(table->items, table->count, sizeof(*table->items), compare);
	for (size_t i = 0; i < table->count; i++) {
		if (!kept || table->items[kept - 1].code != table->items[i].code)
			table->items[kept++] = table->items[i];
	}
	table->count = kept;
}

static void make_passes(struct cp_abbrevs *table)
{
	memset(table->passes, 0xff, CP_PASSES * sizeof(*table->passes));
	for (size_t i = 0; i < table->count && table->items[i].code < CP_PASSES; i++) {
		const struct cp_abbrev *item = &table->items[i];
		bool by_sibling = item->children && item->sibling_size && item->interest != CP_BLOCKS;
		bool by_size = (!item->children || item->interest == CP_BLOCKS) && item->step_count == 1;

		if (!by_sibling && !by_size)
			continue;
		table->passes[item->code] = (struct cp_abbrev_pass){ .fixed = item->steps->fixed, .children = item->children,
			.sibling_at = item->sibling_at, .sibling_size = by_sibling ? item->sibling_size : 0,
			.interest = item->interest };
	}
}

bool cp_abbrevs_read(struct cp_abbrevs *table, struct cp_cursor *c, struct cp_dw_sizes sizes)
{
	struct reading b = { .table = *table, .item_room = table->count, .attr_room = table->attr_count,
		.step_room = table->step_count };
	const struct cp_abbrev_attr *attrs;
	const struct cp_abbrev_step *steps;
	bool sorted = true, done;

	for (uint16_t form = 0; form < KNOWN_FORMS; form++)
		b.form_sizes[form] = (int8_t)cp_form_size(form, sizes);
	b.table.count = b.table.attr_count = b.table.step_count = 0;
	if (!b.table.passes)
		b.table.passes = malloc(CP_PASSES * sizeof(*b.table.passes));
	done = b.table.passes && read_table(&b, c, sizes);
	*table = b.table;
	if (!done)
		return false;
	attrs = table->attrs;
	steps = table->steps;
	for (size_t i = 0; i < table->count; i++) {
		struct cp_abbrev *item = &table->items[i];

		item->attrs = attrs;
		item->steps = steps;
		if (item->attr_count)
			attrs += item->attr_count;
		steps += item->step_count;
		sorted &= !i || item[-1].code < item->code;
	}
	if (!sorted)
		sort(table);
	make_passes(table);
	return true;
}

void cp_abbrevs_deinit(struct cp_abbrevs *table)
{
	free(table->items);
	free(table->attrs);
	free(table->steps);
	free(table->passes);
	memset(table, 0, sizeof(*table));
}

#ifdef __SSE2__
/*
 * Eight pairs at a time, while all of them are of one byte each and none is DW_FORM_implicit_const, behind which a value
 * lies. True: the end was found, and passed.
 */
static bool skip_pairs(struct cp_cursor *c)
{
	const __m128i zero = _mm_setzero_si128(), implicit = _mm_set1_epi16(DW_FORM_implicit_const << 8);
	const __m128i forms = _mm_set1_epi16((short)0xff00);

	while (cp_left(c) >= 16) {
		__m128i pairs = _mm_loadu_si128((const __m128i *)c->at);
		unsigned int ends = (unsigned int)_mm_movemask_epi8(_mm_cmpeq_epi16(pairs, zero));
		unsigned int odd = (unsigned int)(_mm_movemask_epi8(pairs) |
			_mm_movemask_epi8(_mm_cmpeq_epi16(_mm_and_si128(pairs, forms), implicit)));
		unsigned int before = ends ? (ends & -ends) - 1 : 0xffff;	/* the bytes before the end */

		if (odd & before)
			return false;
		if (ends) {
			c->at += __builtin_ctz(ends) + 2;
			return true;
		}
		c->at += 16;
	}
	return false;
}
#else
static bool skip_pairs(struct cp_cursor *c)
{
	(void)c;
	return false;
}
#endif

/* Past the attributes of a declaration. Almost all names and forms are one byte: two zero bytes end it. */
static void skip_attrs(struct cp_cursor *c)
{
	if (skip_pairs(c))
		return;
	for (;;) {
		while (cp_left(c) >= 2 && c->at[0] < 0x80 && c->at[1] < 0x80 && c->at[1] != DW_FORM_implicit_const) {
			c->at += 2;
			if (!(c->at[-2] | c->at[-1]))
				return;
		}
		uint64_t name = cp_get_uleb(c), form = cp_get_uleb(c);

		if (form == DW_FORM_implicit_const)
			cp_skip_leb(c);
		if (c->failed || (!name && !form))
			return;
	}
}

bool cp_abbrev_seek(struct cp_cursor *c, uint64_t code, uint64_t *tag, bool *children)
{
	for (;;) {
		uint64_t own = cp_get_uleb(c);

		if (c->failed || !own)
			return false;
		*tag = cp_get_uleb(c);
		*children = cp_get8(c) != 0;
		if (own == code)
			return !c->failed;
		skip_attrs(c);
	}
}

bool cp_abbrev_seek_root(struct cp_cursor *c, uint64_t code)
{
	uint8_t declaration[] = { 0, 0, (uint8_t)code, DW_TAG_compile_unit, DW_CHILDREN_yes, 0 };
	size_t size = 5;
	const uint8_t *at;

	if (code >= 0x80 * 0x80)
		return false;
	if (code >= 0x80) {	/* two bytes of LEB128 */
		memmove(declaration + 4, declaration + 3, 2);
		declaration[2] = (uint8_t)(code | 0x80);
		declaration[3] = (uint8_t)(code >> 7);
		size++;
	}
	if (cp_left(c) >= size - 2 && !memcmp(c->at, declaration + 2, size - 2)) {
		c->at += size - 2;
		return true;
	}
	at = memmem(c->at, cp_left(c), declaration, size);
	if (at)
		c->at = at + size;
	return at;
}

bool cp_abbrev_next_attr(struct cp_cursor *c, struct cp_dw_sizes sizes, struct cp_abbrev_attr *ret)
{
	uint64_t name = cp_get_uleb(c), form = cp_get_uleb(c);

	ret->implicit = form == DW_FORM_implicit_const ? cp_get_sleb(c) : 1;
	if (name > UINT16_MAX || form > UINT16_MAX)
		cp_fail(c);
	ret->name = (uint16_t)name;
	ret->form = (uint16_t)form;
	ret->size = (int8_t)cp_form_size(ret->form, sizes);
	return !c->failed && (name || form);
}
