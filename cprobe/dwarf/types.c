/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>

#include "dwarf/types.h"

/* Making a text, which may be one in many of shared parts, in bytes of the budget for each byte. */
#define TEXT_COST 4

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

enum qualifier { CONST = 1, VOLATILE = 2, RESTRICT = 4, ATOMIC = 8 };

static unsigned int qualifier_of(unsigned int tag)
{
	switch (tag) {
	case DW_TAG_const_type:
		return CONST;
	case DW_TAG_volatile_type:
		return VOLATILE;
	case DW_TAG_restrict_type:
		return RESTRICT;
	case DW_TAG_atomic_type:
		return ATOMIC;
	default:
		return 0;
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
		if (cp_die_tag(&next) == DW_TAG_typedef || qualifier_of(cp_die_tag(&next)))
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
	return text && !cp_dwarf_charge(die->unit->dwarf, TEXT_COST * strlen(text)) ? "..." : text;
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

/* -- Texts: a C declaration without its name, made from the inside out -- */

/* "const volatile"; with a space behind each if there is something behind them. */
static void put_qualifiers(char *out, unsigned int qualifiers, const char *behind)
{
	static const char *const words[] = { "const", "volatile", "restrict", "_Atomic" };

	*out = 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!(qualifiers & 1u << i))
			continue;
		if (*out)
			strcat(out, " ");
		strcat(out, words[i]);
	}
	if (*out)
		strcat(out, behind);
}

/* A declarator, so far: what stands behind the name of a type, such as "*", "(*)[3]", "[2]". */
struct declarator {
	struct cp_arena *arena;
	const char *text;
	int depth;
};

static const char *declare(struct declarator d, const struct cp_die *die, unsigned int qualifiers);

/* "const struct foo *[4]" from "struct", "foo" and "*[4]". */
static const char *named(const struct declarator *d, const struct cp_die *type, unsigned int qualifiers, const char *tag,
	const char *name)
{
	const char *space = *d->text && *d->text != '[' ? " " : "";
	char before[64];

	put_qualifiers(before, qualifiers, " ");
	return charged(type, cp_arena_printf(d->arena, "%s%s%s%s%s%s", before, tag, *tag ? " " : "",
		name ? name : *tag ? "{...}" : "?", space, d->text));
}

/* Arrays and functions bind before pointers do. */
static const char *in_parentheses(const struct declarator *d)
{
	return *d->text && strchr("*&:", *d->text) ? cp_arena_printf(d->arena, "(%s)", d->text) : d->text;
}

/* `sign`: "*", or C++'s "&" and the like. */
static const char *declare_pointer(struct declarator d, const struct cp_die *type, const char *sign,
	unsigned int qualifiers)
{
	char behind[64];

	put_qualifiers(behind, qualifiers, *d.text == '*' ? " " : "");
	d.text = charged(type, cp_arena_printf(d.arena, "%s%s%s", sign, behind, d.text));
	return d.text ? declare(d, type, 0) : NULL;
}

/* `skip`: dimensions that an index was given for. */
static const char *declare_array(struct declarator d, const struct cp_die *array, unsigned int qualifiers, size_t skip)
{
	uint64_t counts[MAX_DIMENSIONS];
	size_t n = cp_array_dimensions(array, counts, MAX_DIMENSIONS);

	d.text = in_parentheses(&d);
	for (size_t i = skip; i < n && d.text; i++) {
		if (counts[i])
			d.text = cp_arena_printf(d.arena, "%s[%llu]", d.text, (unsigned long long)counts[i]);
		else
			d.text = cp_arena_printf(d.arena, "%s[]", d.text);
	}
	if (!n && d.text)
		d.text = cp_arena_printf(d.arena, "%s[]", d.text);
	d.text = charged(array, d.text);
	return d.text ? declare(d, array, qualifiers) : NULL;
}

static const char *declare_type(struct declarator d, const struct cp_die *type, unsigned int qualifiers)
{
	struct cp_die real = *type;
	const char *name;

	cp_type_resolve(&real);
	name = cp_die_name(&real);
	switch (cp_die_tag(type)) {
	case DW_TAG_structure_type:
		return named(&d, type, qualifiers, "struct", name);
	case DW_TAG_union_type:
		return named(&d, type, qualifiers, "union", name);
	case DW_TAG_class_type:
		return named(&d, type, qualifiers, "class", name);
	case DW_TAG_enumeration_type:
		return named(&d, type, qualifiers, "enum", name);
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		return declare(d, type, qualifiers | qualifier_of(cp_die_tag(type)));
	case DW_TAG_pointer_type:
		return declare_pointer(d, type, "*", qualifiers);
	case DW_TAG_reference_type:
		return declare_pointer(d, type, "&", 0);
	case DW_TAG_rvalue_reference_type:
		return declare_pointer(d, type, "&&", 0);
	case DW_TAG_ptr_to_member_type:
		return declare_pointer(d, type, "::*", qualifiers);
	case DW_TAG_array_type:
		return declare_array(d, type, qualifiers, 0);
	case DW_TAG_subroutine_type:
		d.text = in_parentheses(&d);
		d.text = d.text ? charged(type, cp_arena_printf(d.arena, "%s()", d.text)) : NULL;
		return d.text ? declare(d, type, 0) : NULL;
	default:
		return named(&d, type, qualifiers, "", name);
	}
}

/* What the DIE's type is called, with the declarator behind it. */
static const char *declare(struct declarator d, const struct cp_die *die, unsigned int qualifiers)
{
	struct cp_die type;

	if (d.depth++ >= MAX_DEPTH)
		return "...";
	if (referenced_type(die, &type))
		return declare_type(d, &type, qualifiers);
	return named(&d, die, qualifiers, "", "void");
}

const char *cp_type_text(struct cp_arena *arena, const struct cp_die *die)
{
	return declare((struct declarator){ arena, "", 0 }, die, 0);
}

const char *cp_type_base_text(struct cp_arena *arena, const struct cp_die *die)
{
	struct cp_die type;

	return cp_type_of(die, &type) ? declare_type((struct declarator){ arena, "", 0 }, &type, 0) : "void";
}

const char *cp_type_own_text(struct cp_arena *arena, const struct cp_die *type)
{
	return declare_type((struct declarator){ arena, "", 0 }, type, 0);
}

const char *cp_array_part_text(struct cp_arena *arena, const struct cp_die *array, size_t skip)
{
	return declare_array((struct declarator){ arena, "", 0 }, array, 0, skip);
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
	case DW_TAG_rvalue_reference_type:
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
		if (cp_die_tag(&type) == DW_TAG_pointer_type || cp_die_tag(&type) == DW_TAG_reference_type ||
			cp_die_tag(&type) == DW_TAG_rvalue_reference_type)
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
