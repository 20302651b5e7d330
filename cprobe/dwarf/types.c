/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>

#include "dwarf/types.h"

/* Types may be nested without end in a hostile file. */
#define MAX_DEPTH 32
#define MAX_DIMENSIONS 8

static bool referenced_type(const struct cp_die *die, struct cp_die *ret)
{
	struct cp_dw_attr attr;

	return cp_die_attr_any(die, DW_AT_type, &attr) && cp_attr_ref(&attr, ret);
}

void cp_type_resolve(struct cp_die *type)
{
	struct cp_dw_attr attr;
	struct cp_die real;

	if (cp_die_attr(type, DW_AT_signature, &attr) && cp_attr_ref(&attr, &real))
		*type = real;
}

static bool is_qualifier(unsigned int tag)
{
	switch (tag) {
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		return true;
	default:
		return false;
	}
}

bool cp_type_of(const struct cp_die *die, struct cp_die *ret)
{
	struct cp_die at = *die;

	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		struct cp_die next;

		if (!referenced_type(&at, &next))
			return false;
		at = next;
		if (cp_die_tag(&next) == DW_TAG_typedef || is_qualifier(cp_die_tag(&next)))
			continue;
		cp_type_resolve(&next);
		*ret = next;
		return true;
	}
	return false;
}

/* Names may be long and shared by many: text made of them is charged. NULL stays NULL. */
static const char *charged(const struct cp_die *die, const char *text)
{
	return text && !cp_dwarf_charge(die->unit->dwarf, strlen(text)) ? "..." : text;
}

static const char *tagged(struct cp_arena *arena, const struct cp_die *type, const char *tag, const char *name)
{
	return charged(type, name ? cp_arena_printf(arena, "%s %s", tag, name) : cp_arena_printf(arena, "%s {...}", tag));
}

/* Elements of each dimension, 0 for one without a bound; how many dimensions there are. */
uint64_t cp_array_dimensions(const struct cp_die *array, uint64_t *counts, size_t room)
{
	struct cp_die range;
	size_t count = 0;
	bool more = cp_die_child(array, &range);

	for (; more && count < room; more = cp_die_sibling(&range, &range)) {
		struct cp_dw_attr attr;
		uint64_t value;

		if (cp_die_tag(&range) != DW_TAG_subrange_type)
			continue;
		counts[count] = 0;
		if (cp_die_attr(&range, DW_AT_count, &attr) && cp_attr_number(&attr, &value))
			counts[count] = value;
		else if (cp_die_attr(&range, DW_AT_upper_bound, &attr) && cp_attr_number(&attr, &value))
			counts[count] = value + 1;	/* -1, of any width: no bound */
		if (counts[count] == (uint64_t)UINT32_MAX + 1 && attr.form == DW_FORM_data4)
			counts[count] = 0;
		count++;
	}
	return count;
}

uint64_t cp_array_count(const struct cp_die *array)
{
	uint64_t counts[MAX_DIMENSIONS], ret = 1;
	size_t n = cp_array_dimensions(array, counts, MAX_DIMENSIONS);

	for (size_t i = 0; i < n; i++) {
		if (__builtin_mul_overflow(ret, counts[i], &ret))
			return 0;
	}
	return n ? ret : 0;
}

static const char *array_text(struct cp_arena *arena, const char *element, const struct cp_die *array)
{
	uint64_t counts[MAX_DIMENSIONS];
	size_t n = cp_array_dimensions(array, counts, MAX_DIMENSIONS);
	const char *text = element;

	for (size_t i = 0; i < n && text; i++) {
		if (counts[i])
			text = cp_arena_printf(arena, "%s[%llu]", text, (unsigned long long)counts[i]);
		else
			text = cp_arena_printf(arena, "%s[]", text);
	}
	return n ? text : cp_arena_printf(arena, "%s[]", element);
}

static const char *text_of(struct cp_arena *arena, const struct cp_die *type, int depth);

static const char *text_behind(struct cp_arena *arena, const struct cp_die *die, int depth)
{
	struct cp_die type;

	if (depth >= MAX_DEPTH)
		return "...";
	return referenced_type(die, &type) ? text_of(arena, &type, depth) : "void";
}

static const char *pointer_text(struct cp_arena *arena, const char *inner)
{
	size_t length = strlen(inner);

	if (!strstr(inner, "(*)(") && length && inner[length - 1] == ')') {
		const char *paren = strrchr(inner, '(');

		return cp_arena_printf(arena, "%.*s(*)%s", (int)(paren - inner), inner, paren);
	}
	return cp_arena_printf(arena, length && inner[length - 1] == '*' ? "%s*" : "%s *", inner);
}

static const char *qualified_text(struct cp_arena *arena, const char *inner, unsigned int tag)
{
	const char *word = tag == DW_TAG_const_type ? "const" : tag == DW_TAG_volatile_type ? "volatile" :
		tag == DW_TAG_restrict_type ? "restrict" : "_Atomic";
	size_t length = strlen(inner);

	if (length && inner[length - 1] == '*')
		return cp_arena_printf(arena, "%s%s", inner, word);
	return cp_arena_printf(arena, "%s %s", word, inner);
}

static const char *text_of(struct cp_arena *arena, const struct cp_die *type, int depth)
{
	struct cp_die real = *type;
	unsigned int tag = cp_die_tag(type);
	const char *name, *inner;

	cp_type_resolve(&real);
	name = cp_die_name(&real);
	switch (tag) {
	case DW_TAG_structure_type:
		return tagged(arena, type, "struct", name);
	case DW_TAG_union_type:
		return tagged(arena, type, "union", name);
	case DW_TAG_class_type:
		return tagged(arena, type, "class", name);
	case DW_TAG_enumeration_type:
		return tagged(arena, type, "enum", name);
	case DW_TAG_pointer_type:
		inner = text_behind(arena, type, depth + 1);
		return inner ? charged(type, pointer_text(arena, inner)) : NULL;
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		inner = text_behind(arena, type, depth + 1);
		return inner ? charged(type, qualified_text(arena, inner, tag)) : NULL;
	case DW_TAG_array_type:
		inner = text_behind(arena, type, depth + 1);
		return inner ? charged(type, array_text(arena, inner, type)) : NULL;
	case DW_TAG_subroutine_type:
		inner = text_behind(arena, type, depth + 1);
		return inner ? charged(type, cp_arena_printf(arena, "%s ()", inner)) : NULL;
	default:
		return name ? name : "?";
	}
}

const char *cp_type_text(struct cp_arena *arena, const struct cp_die *die)
{
	return text_behind(arena, die, 0);
}

const char *cp_type_base_text(struct cp_arena *arena, const struct cp_die *die)
{
	struct cp_die type;

	return cp_type_of(die, &type) ? text_of(arena, &type, 0) : "void";
}

const char *cp_type_own_text(struct cp_arena *arena, const struct cp_die *type)
{
	return text_of(arena, type, 0);
}

static const char *base_encoding(const struct cp_die *type)
{
	struct cp_dw_attr attr;
	uint64_t encoding;

	if (!cp_die_attr(type, DW_AT_encoding, &attr) || !cp_attr_number(&attr, &encoding))
		return NULL;
	switch (encoding) {
	case DW_ATE_boolean:
		return "bool";
	case DW_ATE_float:
		return "float";
	case DW_ATE_signed:
		return "signed";
	case DW_ATE_signed_char:
	case DW_ATE_unsigned_char:
		return "char";
	case DW_ATE_unsigned:
		return "unsigned";
	default:
		return NULL;
	}
}

const char *cp_type_encoding(const struct cp_die *die)
{
	struct cp_die type;

	if (!cp_type_of(die, &type))
		return NULL;
	switch (cp_die_tag(&type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
		return "pointer";
	case DW_TAG_enumeration_type:
		return "enum";
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
		return "struct";
	case DW_TAG_union_type:
		return "union";
	case DW_TAG_array_type:
		return "array";
	case DW_TAG_subroutine_type:
		return "function";
	case DW_TAG_base_type:
		return base_encoding(&type);
	default:
		return NULL;
	}
}

uint64_t cp_type_size(const struct cp_die *die)
{
	struct cp_die at = *die, type;
	uint64_t count = 1, size;

	for (int depth = 0; depth < MAX_DEPTH && cp_type_of(&at, &type); depth++) {
		struct cp_dw_attr attr;

		if (cp_die_attr(&type, DW_AT_byte_size, &attr) && cp_attr_number(&attr, &size))
			return __builtin_mul_overflow(size, count, &size) ? 0 : size;
		if (cp_die_tag(&type) == DW_TAG_pointer_type)
			return __builtin_mul_overflow(type.unit->sizes.address, count, &size) ? 0 : size;
		if (cp_die_tag(&type) == DW_TAG_array_type) {
			if (__builtin_mul_overflow(count, cp_array_count(&type), &count))
				return 0;
		} else if (cp_die_tag(&type) != DW_TAG_enumeration_type) {
			return 0;
		}
		at = type;
	}
	return 0;
}
