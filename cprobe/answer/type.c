/* SPDX-License-Identifier: BSD-2-Clause */
/* The layout of structs and unions, by name and by path of fields. */
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>

#include "answer/definitions.h"
#include "base/record.h"
#include "dwarf/types.h"

#define MAX_DEPTH 32		/* of unnamed members within unnamed members */
#define MAX_DIMENSIONS 8

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

/*
 * Is it part of each object? C++'s static members are not. *inner: the members within count as the struct's own: those of an
 * unnamed struct, of a base class that is not virtual.
 */
static bool is_part(const struct cp_die *child, bool *inner)
{
	struct cp_dw_attr attr;

	*inner = cp_die_tag(child) == DW_TAG_inheritance;
	if (*inner)
		return !cp_die_attr(child, DW_AT_virtuality, &attr);
	if (cp_die_tag(child) != DW_TAG_member || cp_die_attr(child, DW_AT_external, &attr))
		return false;
	*inner = !cp_die_name(child);
	return true;
}

/* All members of a struct that lies `bits` into the outermost one. */
static struct cp_error *add_members(struct layout *l, const char *prefix, const struct cp_die *type, uint64_t bits,
	int depth)
{
	struct cp_error *error = NULL;
	struct cp_die member, inner;
	bool more = depth < MAX_DEPTH && cp_die_child(type, &member);

	for (; more && !error; more = cp_die_sibling(&member, &member)) {
		uint64_t bit_size, place;
		const char *name;
		bool is_inner;

		if (!is_part(&member, &is_inner))
			continue;
		place = bits + member_place(&member, &bit_size);
		if (!is_inner) {
			name = cp_arena_printf(&l->records->arena, "%s.%s", prefix, cp_die_name(&member));
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
		bool is_inner;

		if (!is_part(&member, &is_inner))
			continue;
		place = member_place(&member, bit_size);
		own = is_inner ? NULL : cp_die_name(&member);
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

/* What a path has led to so far: a member, or an array of which some dimensions have been indexed. */
struct place {
	struct cp_die holder;		/* its DW_AT_type is meant: a member, or an array type whose elements are */
	size_t used;			/* holder is an array type: so many of its dimensions have an index */
	bool is_array;			/* the holder is one, and the other dimensions are left */
	uint64_t bits, bit_size;
};

static uint64_t product(const uint64_t *counts, size_t from, size_t to)
{
	uint64_t ret = 1;

	while (from < to) {
		if (__builtin_mul_overflow(ret, counts[from++], &ret))
			return 0;
	}
	return ret;
}

/* "[3]" behind a place: *at moves behind it. *there false: there is no such element, and it was said. */
static struct cp_error *take_index(struct layout *l, const char **at, struct place *place, bool *there)
{
	uint64_t counts[MAX_DIMENSIONS], offset, size;
	unsigned long long index;
	struct cp_die array;
	size_t dimensions;
	char *end;

	errno = 0;
	index = strtoull(*at + 1, &end, 0);
	if (end == *at + 1 || *end != ']' || errno || (*at)[1] == '-')
		return cp_error_create(CP_ERROR_USAGE, "type: \"%s\": an index is a number, such as [3]", *at);
	*there = false;
	if (!place->is_array) {
		if (!cp_type_of(&place->holder, &array) || cp_die_tag(&array) != DW_TAG_array_type) {
			cp_program_note(l->program, "%.*s: an index behind what is no array, or has fewer dimensions",
				(int)(end + 1 - *at), *at);
			return NULL;
		}
		place->holder = array;
		place->is_array = true;
		place->used = 0;
	}
	dimensions = cp_array_dimensions(&place->holder, counts, MAX_DIMENSIONS);
	if (place->used < dimensions && counts[place->used] && index >= counts[place->used]) {
		cp_program_note(l->program, "[%llu]: an index beyond the end of the array, which has %llu elements", index,
			(unsigned long long)counts[place->used]);
		return NULL;
	}
	place->used++;
	size = cp_type_size(&place->holder);
	if (__builtin_mul_overflow(index, product(counts, place->used, dimensions), &offset) ||
		__builtin_mul_overflow(offset, size * 8, &offset) || __builtin_add_overflow(place->bits, offset, &place->bits)) {
		cp_program_note(l->program, "[%llu]: an index beyond all memory", index);
		return NULL;
	}
	place->is_array = place->used < dimensions;	/* else the elements, which may be arrays by a typedef */
	*at = end + 1;
	*there = true;
	return NULL;
}

/* The struct that a place is, or is an array of. */
static bool inner_struct(const struct cp_die *holder, struct cp_die *ret)
{
	struct cp_die at = *holder;

	for (int depth = 0; depth < MAX_DEPTH && cp_type_of(&at, ret); depth++) {
		if (is_aggregate(ret))
			return true;
		if (cp_die_tag(ret) != DW_TAG_array_type)
			return false;
		at = *ret;
	}
	return false;
}

/* ".FIELD" of a struct: the place moves to it. */
static bool take_field(const char *name, size_t length, const struct cp_die *type, struct place *place)
{
	struct cp_die member;
	uint64_t bits = 0;

	if (!find_member(type, name, length, 0, &member, &bits, &place->bit_size))
		return false;
	place->holder = member;
	place->is_array = false;
	place->bits += bits;
	return true;
}

/* The record of an array of which some dimensions have an index. */
static struct cp_error *shorten(struct layout *l, const struct place *place, struct cp_record *record)
{
	uint64_t counts[MAX_DIMENSIONS];
	size_t dimensions = cp_array_dimensions(&place->holder, counts, MAX_DIMENSIONS);
	struct cp_details *details = record->details;

	details->type = cp_array_part_text(&l->records->arena, &place->holder, place->used);
	details->base_type = details->type;
	details->encoding = "array";
	details->element_count = product(counts, place->used, dimensions);
	if (__builtin_mul_overflow(cp_type_size(&place->holder), details->element_count, &record->size))
		record->size = 0;
	return details->type ? NULL : &cp_error_no_memory;
}

/* ".FIELD[1].FIELD" within a struct. Nothing is added when there is no such field. */
static struct cp_error *add_path(struct layout *l, const char *whole_path, const char *path, const struct cp_die *type)
{
	struct place place = { .bits = 0 };
	struct cp_die at = *type;
	struct cp_error *error;

	while (*path == '.') {
		size_t length = strcspn(++path, ".[");
		bool there = true;

		if (!is_aggregate(&at) || !take_field(path, length, &at, &place))
			return NULL;
		path += length;
		while (*path == '[') {
			error = take_index(l, &path, &place, &there);
			if (error || !there)
				return error;
		}
		if (!inner_struct(&place.holder, &at))
			at = place.holder;
	}
	if (*path)
		return cp_error_create(CP_ERROR_USAGE, "type: \"%s\": give STRUCT, STRUCT.FIELD or STRUCT.FIELD[N].FIELD", whole_path);
	error = add_member(l, whole_path, &place.holder, place.bits, place.bit_size);
	if (!error && place.is_array)
		error = shorten(l, &place, &l->records->items[l->records->count - 1]);
	if (error)
		return error;
	return is_aggregate(&at) ? add_members(l, whole_path, &at, place.bits, 0) : NULL;
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
static bool is_named(const struct cp_die *type, const char *name)
{
	const char *own = cp_die_name(type);
	struct cp_dw_attr attr;

	return own && !strcmp(own, name) && !cp_die_attr(type, DW_AT_declaration, &attr);
}

static struct cp_error *add_definition(struct layout *l, const char *name, const char *path, const char *rest,
	const struct cp_definition *definition)
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
	/* typedef struct foo foo: the struct is there under its own name. */
	if (cp_die_tag(&die) == DW_TAG_typedef && is_aggregate(&type) && is_named(&type, name))
		return NULL;
	error = *rest ? NULL : add_struct(l, name, &die, &type);
	if (!error && *rest)
		error = add_path(l, path, rest, &type);
	else if (!error && is_aggregate(&type))
		error = add_members(l, name, &type, 0, 0);
	/* Comparing with what is there already takes its time, too. */
	if (!error && !cp_dwarf_charge(die.unit->dwarf, before * sizeof(*l->records->items) / 4))
		error = cp_dwarf_overspent(die.unit->dwarf);
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
	struct cp_definitions all = { NULL, 0 };
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
	error = cp_definitions_find(program->dwarf, name, own[length] != 0, &all);
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
