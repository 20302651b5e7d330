/* SPDX-License-Identifier: BSD-2-Clause */
/* The layout of structs and unions, by name and by path of fields. */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/radix.h"
#include "base/record.h"
#include "base/work.h"
#include "dwarf/types.h"
#include "program.h"

#define MAX_DEPTH 32		/* of unnamed members within unnamed members */
#define MAX_PLACES 32		/* of a name in .debug_str that are known by their offset */
#define WORTH_A_THREAD 64	/* units: reading one takes some ten microseconds */

/* -- The definitions of a name in all units -- */

struct definition {
	struct cp_dw_unit *unit;
	uint64_t offset;		/* of the DIE */
	uint64_t print;			/* equal for definitions of one layout, written down by one compiler */
};

struct definitions {
	struct definition *items;	/* malloc'ed */
	size_t count;
};

struct search {
	struct cp_dwarf *dwarf;
	const char *name;
	uint64_t places[MAX_PLACES];	/* of the name in .debug_str */
	size_t place_count;
	bool all_places;		/* there are no more than these */
	struct definitions found[CP_MAX_WORKERS];
	struct cp_dw_table scratch[CP_MAX_WORKERS];
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

/* The constants and names of one DIE; what refers to other DIEs, and the numbers of files, differ from unit to unit. */
static uint64_t print_values(const struct cp_die *die, struct cp_cursor *c, uint64_t hash)
{
	struct cp_dw_attr attr;

	for (size_t i = 0; i < die->abbrev->attr_count && cp_attr_read(die->unit, &die->abbrev->attrs[i], c, &attr); i++) {
		if (attr.name != DW_AT_decl_file && attr.name != DW_AT_sibling &&
			(cp_attr_is_constant(&attr) || attr.form == DW_FORM_strp))
			hash = mix(mix(hash, attr.name), attr.value);
	}
	return hash;
}

/*
 * A kernel's units each have their own copy of the structs that they use, two thousand of them: what tells different
 * ones apart without decoding them.
 */
static uint64_t fingerprint(const struct cp_die *die, struct cp_cursor c)
{
	uint64_t hash = print_values(die, &c, cp_die_tag(die));
	struct cp_die child;

	while (die->abbrev->children && cp_die_read(die->unit, &c, &child)) {
		struct cp_cursor start = c;

		hash = print_values(&child, &c, mix(hash, cp_die_tag(&child)));
		c = start;
		cp_die_skip(&child, &c);
	}
	return hash;
}

static struct cp_error *search_unit(void *context, size_t worker, size_t item)
{
	struct search *s = context;
	struct definitions *found = &s->found[worker];
	struct cp_dw_unit borrowed, *unit = &borrowed;
	struct cp_error *error = cp_unit_borrow(&s->dwarf->units[item], &s->scratch[worker], unit);
	struct cp_cursor c;
	struct cp_die die;

	if (error)
		return error;
	c = cp_unit_cursor(unit, unit->first);
	while (cp_left(&c)) {
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
			struct definition *items = cp_grow(found->items, found->count, sizeof(*items));

			if (!items)
				return &cp_error_no_memory;
			found->items = items;
			items[found->count++] = (struct definition){ &s->dwarf->units[item], die.offset,
				fingerprint(&die, c) };
		}
		cp_die_skip(&die, &c);
	}
	return c.failed ? cp_unit_corrupt(unit, "its DIEs are malformed or cut off") : NULL;
}

static int compare_definitions(const void *left, const void *right)
{
	const struct definition *a = left, *b = right;

	if (a->unit != b->unit)
		return a->unit < b->unit ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Keep the first definition of each layout. */
static struct cp_error *drop_repeated(struct definitions *all)
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

/* All different definitions of the name, in the order of the file. */
static struct cp_error *find_definitions(struct cp_dwarf *dwarf, const char *name, struct definitions *ret)
{
	struct search *s = calloc(1, sizeof(*s));
	struct definitions all = { NULL, 0 };
	struct cp_error *error;
	size_t workers;

	if (!s)
		return &cp_error_no_memory;
	s->dwarf = dwarf;
	s->name = name;
	find_places(s);
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

/* -- Fields -- */

struct layout {
	struct cp_program *program;
	struct cp_records *records;
};

static bool is_aggregate(const struct cp_die *type)
{
	unsigned int tag = cp_die_tag(type);

	return tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_class_type;
}

/* Where a member begins, in bits from the beginning of its struct. */
static uint64_t member_place(const struct cp_die *member, uint64_t *bit_size)
{
	uint64_t bytes = 0, bits = 0, storage = 0;
	struct cp_dw_attr attr;
	struct cp_cursor c;

	if (!cp_die_attr(member, DW_AT_bit_size, &attr) || !cp_attr_number(&attr, bit_size))
		*bit_size = 0;
	if (cp_die_attr(member, DW_AT_data_bit_offset, &attr) && cp_attr_number(&attr, &bits))
		return bits;
	if (cp_die_attr(member, DW_AT_data_member_location, &attr) && !cp_attr_number(&attr, &bytes) &&
		cp_attr_block(&attr, &c) && cp_get8(&c) == DW_OP_plus_uconst)
		bytes = cp_get_uleb(&c);	/* DWARF 2 */
	if (!cp_die_attr(member, DW_AT_bit_offset, &attr) || !cp_attr_number(&attr, &bits))
		return bytes * 8;
	/* Before DWARF 4, bits are counted from the highest one of what they are stored in. */
	if (!cp_die_attr(member, DW_AT_byte_size, &attr) || !cp_attr_number(&attr, &storage))
		storage = cp_type_size(member);
	return bytes * 8 + storage * 8 - bits - *bit_size;
}

/* A member of a struct: its record. */
static struct cp_error *add_member(struct layout *l, const char *name, const struct cp_die *member, uint64_t bits,
	uint64_t bit_size)
{
	struct cp_record *record = cp_records_add(l->records, CP_KIND_FIELD, bits / 8);
	struct cp_details *details = record ? cp_record_details(l->records, record) : NULL;
	struct cp_die type;

	if (!details)
		return &cp_error_no_memory;
	/* Structs within structs within ...: a small file can describe endlessly many fields. */
	if (!cp_dwarf_charge(member->unit->dwarf, sizeof(*record) + sizeof(*details) + strlen(name)))
		return cp_dwarf_overspent(member->unit->dwarf);
	record->name = name;
	record->has_size = true;
	record->size = cp_type_size(member);
	details->type = cp_type_text(&l->records->arena, member);
	details->base_type = cp_type_base_text(&l->records->arena, member);
	if (!details->type || !details->base_type)
		return &cp_error_no_memory;
	details->encoding = cp_type_encoding(member);
	details->bit_size = (unsigned int)bit_size;
	details->bit_offset = bit_size ? bits % 8 : 0;
	if (cp_type_of(member, &type) && cp_die_tag(&type) == DW_TAG_array_type)
		details->element_count = cp_array_count(&type);
	return cp_path_of_decl(&l->program->paths, member, &record->file, &record->line);
}

/* All members of a struct that lies `bits` into the outermost one; those of unnamed members count as its own. */
static struct cp_error *add_members(struct layout *l, const char *prefix, const struct cp_die *type, uint64_t bits,
	int depth)
{
	struct cp_error *error = NULL;
	struct cp_die member, inner;
	bool more = depth < MAX_DEPTH && cp_die_child(type, &member);

	for (; more && !error; more = cp_die_sibling(&member, &member)) {
		uint64_t bit_size, place;
		const char *name;

		if (cp_die_tag(&member) != DW_TAG_member)
			continue;
		place = bits + member_place(&member, &bit_size);
		name = cp_die_name(&member);
		if (name) {
			name = cp_arena_printf(&l->records->arena, "%s.%s", prefix, name);
			error = name ? add_member(l, name, &member, place, bit_size) : &cp_error_no_memory;
		} else if (cp_type_of(&member, &inner) && is_aggregate(&inner)) {
			error = add_members(l, prefix, &inner, place, depth + 1);
		}
	}
	return error;
}

/* The member of that name, within unnamed members too. */
static bool find_member(const struct cp_die *type, const char *name, size_t length, int depth, struct cp_die *ret,
	uint64_t *bits, uint64_t *bit_size)
{
	struct cp_die member, inner;
	bool more = depth < MAX_DEPTH && cp_die_child(type, &member);

	for (; more; more = cp_die_sibling(&member, &member)) {
		uint64_t within = 0, place;
		const char *own;

		if (cp_die_tag(&member) != DW_TAG_member)
			continue;
		place = member_place(&member, bit_size);
		own = cp_die_name(&member);
		if (own && strlen(own) == length && !memcmp(own, name, length)) {
			*ret = member;
			*bits = place;
			return true;
		}
		if (!own && cp_type_of(&member, &inner) && is_aggregate(&inner) &&
			find_member(&inner, name, length, depth + 1, ret, &within, bit_size)) {
			*bits = place + within;
			return true;
		}
	}
	return false;
}

/* Bytes of one element of an array after `used` of its indices. */
static uint64_t stride(const struct cp_die *array, const uint64_t *counts, size_t dimensions, size_t used)
{
	uint64_t size = cp_type_size(array);

	for (size_t i = used; i < dimensions; i++)
		size *= counts[i];
	return size;
}

/* "[3][4]" behind a member that is an array: *at moves behind them. *whole: all dimensions were given. */
static struct cp_error *take_indices(struct layout *l, const char **at, const struct cp_die *member, uint64_t *bits,
	bool *whole)
{
	uint64_t counts[8];
	struct cp_die array;
	bool is_array = cp_type_of(member, &array) && cp_die_tag(&array) == DW_TAG_array_type;
	size_t dimensions = is_array ? cp_array_dimensions(&array, counts, 8) : 0, used = 0;

	for (; **at == '['; used++) {
		char *end;
		unsigned long long index;

		errno = 0;
		index = strtoull(*at + 1, &end, 0);
		if (end == *at + 1 || *end != ']' || errno || (*at)[1] == '-')
			return cp_error_create(CP_ERROR_USAGE, "type: \"%s\": an index is a number, such as [3]", *at);
		if (used >= dimensions || (counts[used] && index >= counts[used])) {
			cp_program_note(l->program, "%s", used >= dimensions ? "an index behind what is no array, or has fewer dimensions" :
				"an index beyond the end of the array");
			*whole = false;
			*at = NULL;
			return NULL;
		}
		*bits += index * stride(&array, counts, dimensions, used + 1) * 8;
		*at = end + 1;
	}
	*whole = used == dimensions;
	return NULL;
}

/* The struct that a member is, or is an array of. */
static bool inner_struct(const struct cp_die *member, struct cp_die *ret)
{
	struct cp_die at = *member;

	for (int depth = 0; depth < MAX_DEPTH && cp_type_of(&at, ret); depth++) {
		if (is_aggregate(ret))
			return true;
		if (cp_die_tag(ret) != DW_TAG_array_type)
			return false;
		at = *ret;
	}
	return false;
}

/* ".FIELD[1].FIELD" within a struct. Nothing is added when there is no such field. */
static struct cp_error *add_path(struct layout *l, const char *whole_path, const char *path, const struct cp_die *type)
{
	struct cp_die at = *type, member;
	uint64_t bits = 0, bit_size = 0;
	struct cp_record *record;
	struct cp_error *error;
	bool indexed = false;

	while (*path == '.') {
		size_t length = strcspn(++path, ".[");
		uint64_t place = 0;

		if (!is_aggregate(&at) || !find_member(&at, path, length, 0, &member, &place, &bit_size))
			return NULL;
		bits += place;
		path += length;
		indexed = *path == '[';
		error = take_indices(l, &path, &member, &bits, &indexed);
		if (error || !path)
			return error;
		if (!inner_struct(&member, &at))
			at = member;
	}
	if (*path)
		return cp_error_create(CP_ERROR_USAGE, "type: \"%s\": give STRUCT, STRUCT.FIELD or STRUCT.FIELD[N].FIELD", whole_path);
	error = add_member(l, whole_path, &member, bits, bit_size);
	if (error)
		return error;
	record = &l->records->items[l->records->count - 1];
	if (indexed && record->details->element_count) {
		/* One element of an array. */
		record->size /= record->details->element_count;
		record->details->element_count = 0;
		if (is_aggregate(&at))
			record->details->type = cp_type_own_text(&l->records->arena, &at);
		record->details->base_type = record->details->type;
		if (!record->details->type)
			return &cp_error_no_memory;
	}
	return is_aggregate(&at) ? add_members(l, whole_path, &at, bits, 0) : NULL;
}

/* The struct itself. */
static struct cp_error *add_struct(struct layout *l, const char *name, const struct cp_die *die, const struct cp_die *type)
{
	struct cp_record *record = cp_records_add(l->records, CP_KIND_TYPE, 0);
	struct cp_details *details = record ? cp_record_details(l->records, record) : NULL;
	struct cp_dw_attr attr;

	if (!details)
		return &cp_error_no_memory;
	record->name = name;
	record->has_size = cp_die_attr(type, DW_AT_byte_size, &attr) && cp_attr_number(&attr, &record->size);
	details->type = cp_type_own_text(&l->records->arena, type);
	if (!details->type)
		return &cp_error_no_memory;
	return cp_path_of_decl(&l->program->paths, die, &record->file, &record->line);
}

/* One definition: its records are added, unless the same ones are there already. */
static struct cp_error *add_definition(struct layout *l, const char *name, const char *path, const char *rest,
	const struct definition *definition)
{
	struct cp_error *error = cp_unit_prepare(definition->unit);
	size_t before = l->records->count;
	struct cp_die die, type;

	if (error || !cp_die_at(definition->unit, definition->offset, &die))
		return error;
	type = die;
	if (cp_die_tag(&die) == DW_TAG_typedef && !cp_type_of(&die, &type))
		return NULL;
	cp_type_resolve(&type);
	error = *rest ? NULL : add_struct(l, name, &die, &type);
	if (!error && *rest)
		error = add_path(l, path, rest, &type);
	else if (!error && is_aggregate(&type))
		error = add_members(l, name, &type, 0, 0);
	if (!error && cp_records_repeat(l->records, before))
		l->records->count = before;
	return error;
}

static const char *skip_keyword(const char *path)
{
	static const char *const keywords[] = { "struct ", "union ", "class " };

	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
		if (!strncmp(path, keywords[i], strlen(keywords[i])))
			return path + strlen(keywords[i]);
	}
	return path;
}

static struct cp_error *find_type(struct cp_program *program, const char *path, struct cp_records *records)
{
	struct layout l = { program, records };
	struct cp_error *error = cp_program_need_dwarf(program);
	struct definitions all = { NULL, 0 };
	char *own = cp_arena_strdup(&records->arena, skip_keyword(path));
	char *name = own ? cp_arena_strdup(&records->arena, own) : NULL;
	size_t length = name ? strcspn(name, ".[") : 0;

	if (!error && !name)
		error = &cp_error_no_memory;
	if (!error && !program->dwarf)
		error = cp_program_no_dwarf(program);
	if (!error && (!length || name[length] == '['))
		error = cp_error_create(CP_ERROR_USAGE, "type: \"%s\": give STRUCT, STRUCT.FIELD or STRUCT.FIELD[N].FIELD", path);
	if (error)
		return error;
	name[length] = 0;
	error = find_definitions(program->dwarf, name, &all);
	for (size_t i = 0; !error && i < all.count; i++)
		error = add_definition(&l, name, own, own + length, &all.items[i]);
	free(all.items);
	return error;
}

struct cp_error *cp_find_type(struct cp_program *program, const char *path, struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, find_type(program, path, records));
}
