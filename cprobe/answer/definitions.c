/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>

#include "answer/definitions.h"
#include "base/radix.h"
#include "base/words.h"
#include "base/work.h"

#define MAX_DEPTH 32		/* of types within types */
#define MAX_PLACES 32		/* of a name in .debug_str that are known by their offset */
#define WORTH_A_THREAD 64	/* units: reading one takes some ten microseconds */
#define PRINTS 512		/* kept, by their type's place */

/* Prints of types that were made already. */
struct prints {
	bool inner;
	uint64_t keys[PRINTS], prints[PRINTS];	/* key: offset of the DIE in its section */
};

struct search {
	struct cp_dwarf *dwarf;
	const char *name;
	uint64_t places[MAX_PLACES];	/* of the name in .debug_str */
	size_t place_count;
	bool all_places;		/* there are no more than these */
	uint32_t words[CP_MAX_WORDS];	/* what stands in a unit that has the name; none: it may stand there as anything */
	size_t word_count;
	struct cp_definitions found[CP_MAX_WORKERS];
	struct cp_dw_table scratch[CP_MAX_WORKERS];
	struct prints prints[CP_MAX_WORKERS];
};

static void find_places(struct search *s)
{
	const struct cp_dw_bytes *strings = &s->dwarf->sections[CP_DW_STR];
	const uint8_t *at = strings->bytes, *end = at ? at + strings->terminated : NULL;
	size_t length = strlen(s->name) + 1;

	while (at && (at = memmem(at, (size_t)(end - at), s->name, length))) {
		if (s->place_count == MAX_PLACES)
			return;
		s->places[s->place_count++] = (uint64_t)(at - strings->bytes);
		at++;
	}
	s->all_places = true;
}

/*
 * A unit that names something so has the name's offset in a section of strings among its bytes, or the name itself. Units
 * without either are not walked, which for most names is almost all of them. Not where names have numbers, which may be
 * anything; nor for what is shorter than an offset.
 */
static void find_words(struct search *s)
{
	const struct cp_dw_bytes *strings = &s->dwarf->sections[CP_DW_LINE_STR];
	uint8_t text[4];

	if (s->dwarf->sections[CP_DW_STR_OFFSETS].size || !s->all_places || s->place_count >= CP_MAX_WORDS ||
		strlen(s->name) < 3 || (strings->bytes && memmem(strings->bytes, strings->size, s->name, strlen(s->name) + 1)))
		return;
	memcpy(text, s->name, sizeof(text));
	s->words[s->word_count++] = cp_read32(text);
	for (size_t i = 0; i < s->place_count; i++)
		s->words[s->word_count++] = (uint32_t)s->places[i];
}

/* Where the last of the words begins in the unit, or its end; NULL: it has none of them. */
static const uint8_t *last_word(const struct search *s, const struct cp_dw_unit *unit)
{
	const uint8_t *bytes = s->dwarf->sections[unit->section].bytes;

	return s->word_count ? cp_last_word(bytes + unit->first, bytes + unit->end, s->words, s->word_count) :
		bytes + unit->end;
}

static bool is_name(const struct search *s, const struct cp_dw_attr *attr)
{
	const char *name;

	if (attr->form == DW_FORM_strp && s->all_places) {
		for (size_t i = 0; i < s->place_count; i++) {
			if (s->places[i] == attr->value)
				return true;
		}
		return false;
	}
	name = cp_attr_string(attr);
	return name && !strcmp(name, s->name);
}

static bool is_type(unsigned int tag)
{
	return tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_class_type || tag == DW_TAG_typedef;
}

/* Is the DIE, whose values are at the cursor, a type of that name? */
static bool matches(const struct search *s, const struct cp_die *die, struct cp_cursor c)
{
	struct cp_dw_attr attr;

	for (size_t i = 0; i < die->abbrev->attr_count; i++) {
		if (!cp_attr_read(die->unit, &die->abbrev->attrs[i], &c, &attr))
			return false;
		if (attr.name == DW_AT_name)
			return is_name(s, &attr) && !cp_die_attr(die, DW_AT_declaration, &attr);
	}
	return false;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x9e3779b97f4a7c15 + (hash >> 29);
}

static uint64_t mix_bytes(uint64_t hash, const void *bytes, uint64_t count)
{
	const uint8_t *p = bytes;

	for (uint64_t i = 0; i < count; i++)
		hash = mix(hash, p[i]);
	return hash;
}

static uint64_t print_type(struct prints *prints, const struct cp_dw_attr *ref, int depth);

/* One attribute. Numbers of files differ from unit to unit, offsets of strings do not: linkers merge them. */
static uint64_t print_value(struct prints *prints, const struct cp_dw_attr *attr, int depth, uint64_t hash)
{
	struct cp_cursor block;
	const char *text;

	switch (attr->name) {
	case DW_AT_decl_file:
	case DW_AT_sibling:
		return hash;
	case DW_AT_type:
		return mix(hash, print_type(prints, attr, depth + 1));
	}
	hash = mix(hash, attr->name);
	if (cp_attr_is_constant(attr) || attr->form == DW_FORM_strp)
		return mix(hash, attr->value);
	text = cp_attr_string(attr);
	if (text)
		return mix_bytes(hash, text, strlen(text));
	return cp_attr_block(attr, &block) ? mix_bytes(hash, block.at, cp_left(&block)) : hash;
}

static uint64_t print_values(struct prints *prints, const struct cp_die *die, struct cp_cursor *c, int depth,
	uint64_t hash)
{
	struct cp_dw_attr attr;

	for (size_t i = 0; i < die->abbrev->attr_count; i++) {
		if (!cp_attr_read(die->unit, &die->abbrev->attrs[i], c, &attr))
			break;
		hash = print_value(prints, &attr, depth, hash);
	}
	return hash;
}

/* A DIE and its children; what is within these (types that are local to a struct) is printed where a member names it. */
static uint64_t print_tree(struct prints *prints, const struct cp_die *die, struct cp_cursor c, int depth)
{
	uint64_t hash = print_values(prints, die, &c, depth, cp_die_tag(die));
	struct cp_die child;

	while (die->abbrev->children && cp_die_read(die->unit, &c, &child)) {
		struct cp_cursor start = c;

		hash = print_values(prints, &child, &c, depth, mix(hash, cp_die_tag(&child)));
		if (!child.abbrev->children)
			continue;
		c = start;
		cp_die_skip(&child, &c);
	}
	return hash;
}

static bool is_struct(const struct cp_die *type)
{
	return cp_die_tag(type) == DW_TAG_structure_type || cp_die_tag(type) == DW_TAG_union_type ||
		cp_die_tag(type) == DW_TAG_class_type;
}

static uint64_t print_type_at(struct prints *prints, const struct cp_die *type, int depth)
{
	struct cp_cursor c = cp_die_values(type);
	unsigned int tag = cp_die_tag(type);
	struct cp_dw_attr name;
	bool has_name = cp_die_attr(type, DW_AT_name, &name);

	if ((is_struct(type) && (prints->inner || !has_name)) || tag == DW_TAG_array_type)
		return print_tree(prints, type, c, depth);
	if (has_name && !(tag == DW_TAG_typedef && prints->inner))
		return print_value(prints, &name, depth, tag);
	if (tag == DW_TAG_pointer_type && prints->inner)
		return tag;	/* what is behind it is no part of the layout, and may lead back */
	return print_values(prints, type, &c, depth, tag);
}

/*
 * A type, as far as it tells layouts apart: its name; of an array its dimensions and elements; of an unnamed struct its
 * members, which are shown as those of the one around it. Most members in a unit have one of a few types.
 */
static uint64_t print_type(struct prints *prints, const struct cp_dw_attr *ref, int depth)
{
	uint64_t key = ref->unit->offset + ref->value;
	size_t slot = (key ^ key >> 9) % PRINTS;
	struct cp_die type;

	if (ref->form == DW_FORM_ref_sig8 || ref->form == DW_FORM_ref_addr)
		return ref->value;	/* a hash of it; one for all units */
	if (prints->keys[slot] == key)
		return prints->prints[slot];
	if (depth > MAX_DEPTH || !cp_dwarf_charge(ref->unit->dwarf, 16) || !cp_attr_ref(ref, &type))
		return 0;
	prints->prints[slot] = print_type_at(prints, &type, depth);
	prints->keys[slot] = key;
	return prints->prints[slot];
}

static struct cp_error *search_unit(void *context, size_t worker, size_t item)
{
	struct search *s = context;
	struct cp_definitions *found = &s->found[worker];
	const uint8_t *last = last_word(s, &s->dwarf->units[item]);
	struct cp_dw_unit borrowed, *unit = &borrowed;
	struct cp_error *error;
	struct cp_cursor c;
	struct cp_die die;

	if (!last)
		return NULL;
	error = cp_unit_borrow(&s->dwarf->units[item], &s->scratch[worker], unit);
	if (error)
		return error;
	c = cp_unit_cursor(unit, unit->first);
	while (cp_left(&c) && c.at <= last) {
		cp_die_pass(unit, &c, CP_SCOPES | CP_BLOCKS | CP_STRUCTS | CP_TYPEDEFS, NULL, 0);
		if (!cp_die_read(unit, &c, &die))
			continue;
		switch (cp_die_tag(&die)) {
		case DW_TAG_compile_unit:
		case DW_TAG_partial_unit:
		case DW_TAG_type_unit:
		case DW_TAG_namespace:
		case DW_TAG_module:
			cp_die_skip_attrs(&die, &c);
			continue;
		}
		if (is_type(cp_die_tag(&die)) && matches(s, &die, c)) {
			struct cp_definition *items = cp_grow(found->items, found->count, sizeof(*items));

			if (!items)
				return &cp_error_no_memory;
			found->items = items;
			items[found->count++] = (struct cp_definition){ &s->dwarf->units[item], die.offset,
				print_tree(&s->prints[worker], &die, c, 0) };
		}
		if (is_struct(&die) && !cp_unit_is_c(unit))
			cp_die_skip_attrs(&die, &c);	/* C++ has types in types */
		else
			cp_die_skip(&die, &c);
	}
	return c.failed ? cp_unit_corrupt(unit, "its DIEs are malformed or cut off") : NULL;
}

static int compare_definitions(const void *left, const void *right)
{
	const struct cp_definition *a = left, *b = right;

	if (a->unit != b->unit)
		return a->unit < b->unit ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Keep the first definition of each layout. */
static struct cp_error *drop_repeated(struct cp_definitions *all)
{
	struct cp_keyed *keys = malloc((all->count + 1) * sizeof(*keys));
	size_t kept = 0;

	for (size_t i = 0; keys && i < all->count; i++)
		keys[i] = (struct cp_keyed){ all->items[i].print, i };
	if (!keys || !cp_radix_sort(keys, all->count)) {
		free(keys);
		return &cp_error_no_memory;
	}
	for (size_t i = 1; i < all->count; i++) {
		if (keys[i].key == keys[i - 1].key)
			all->items[keys[i].index].unit = NULL;	/* the sort is stable: a later one */
	}
	for (size_t i = 0; i < all->count; i++) {
		if (all->items[i].unit)
			all->items[kept++] = all->items[i];
	}
	all->count = kept;
	free(keys);
	return NULL;
}

struct cp_error *cp_definitions_find(struct cp_dwarf *dwarf, const char *name, bool inner, struct cp_definitions *ret)
{
	struct search *s = calloc(1, sizeof(*s));
	struct cp_definitions all = { NULL, 0 };
	struct cp_error *error;
	size_t workers;

	if (!s)
		return &cp_error_no_memory;
	s->dwarf = dwarf;
	s->name = name;
	for (size_t w = 0; w < CP_MAX_WORKERS; w++)
		s->prints[w].inner = inner;
	find_places(s);
	find_words(s);
	workers = cp_workers(dwarf->unit_count, WORTH_A_THREAD);
	error = cp_work(dwarf->unit_count, workers, search_unit, s);
	for (size_t w = 0; w < workers; w++)
		all.count += s->found[w].count;
	all.items = malloc((all.count + 1) * sizeof(*all.items));
	if (!error && !all.items)
		error = &cp_error_no_memory;
	all.count = 0;
	for (size_t w = 0; w < workers; w++) {
		for (size_t i = 0; !error && i < s->found[w].count; i++)
			all.items[all.count++] = s->found[w].items[i];
		free(s->found[w].items);
		cp_abbrevs_deinit(&s->scratch[w].abbrevs);
	}
	free(s);
	if (error) {
		free(all.items);
		return error;
	}
	if (all.count)
		qsort(all.items, all.count, sizeof(*all.items), compare_definitions);
	error = drop_repeated(&all);
	if (error) {
		free(all.items);
		return error;
	}
	*ret = all;
	return NULL;
}
