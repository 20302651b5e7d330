/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <string.h>

#include "dwarf/dwtype.h"
#include "base/glob.h"

/* Types may be nested without end in a hostile file. */
#define MAX_DEPTH 32

static bool referenced_type(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, ret);
}

bool cp_type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Die at = *die;

	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		Dwarf_Die next;

		if (!referenced_type(&at, &next))
			return false;
		switch (dwarf_tag(&next)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
			at = next;
			continue;
		default:
			*ret = next;
			return true;
		}
	}
	return false;
}

static const char *tagged(struct cp_arena *arena, const char *tag, const char *name)
{
	return name ? cp_arena_printf(arena, "%s %s", tag, name) : cp_arena_printf(arena, "%s {...}", tag);
}

static const char *array_text(struct cp_arena *arena, const char *element, Dwarf_Die *array)
{
	const char *text = element;
	Dwarf_Die range;
	int dimensions = 0;

	if (dwarf_child(array, &range))
		return cp_arena_printf(arena, "%s[]", element);
	do {
		Dwarf_Attribute attr;
		Dwarf_Word value;

		if (dwarf_tag(&range) != DW_TAG_subrange_type)
			continue;
		if (dwarf_attr(&range, DW_AT_count, &attr) && !dwarf_formudata(&attr, &value))
			text = cp_arena_printf(arena, "%s[%llu]", text, (unsigned long long)value);
		else if (dwarf_attr(&range, DW_AT_upper_bound, &attr) && !dwarf_formudata(&attr, &value) && value + 1)
			text = cp_arena_printf(arena, "%s[%llu]", text, (unsigned long long)value + 1);
		else
			text = cp_arena_printf(arena, "%s[]", text);
	} while (text && ++dimensions < MAX_DEPTH && dwarf_siblingof(&range, &range) == 0);
	return text;
}

static const char *type_text(struct cp_arena *arena, Dwarf_Die *die, int depth)
{
	const char *name, *inner;
	Dwarf_Die type;

	if (depth >= MAX_DEPTH)
		return "...";
	if (!referenced_type(die, &type))
		return "void";
	name = dwarf_diename(&type);
	switch (dwarf_tag(&type)) {
	case DW_TAG_structure_type:
		return tagged(arena, "struct", name);
	case DW_TAG_union_type:
		return tagged(arena, "union", name);
	case DW_TAG_enumeration_type:
		return tagged(arena, "enum", name);
	case DW_TAG_pointer_type:
		inner = type_text(arena, &type, depth + 1);
		if (!inner)
			return NULL;
		if (strstr(inner, "(*)(") == NULL && inner[0] && inner[strlen(inner) - 1] == ')') {
			const char *paren = strrchr(inner, '(');

			return cp_arena_printf(arena, "%.*s(*)%s", (int)(paren - inner), inner, paren);
		}
		return cp_arena_printf(arena, inner[0] && inner[strlen(inner) - 1] == '*' ? "%s*" : "%s *", inner);
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type: {
		int tag = dwarf_tag(&type);
		const char *word = tag == DW_TAG_const_type ? "const" : tag == DW_TAG_volatile_type ? "volatile" :
			tag == DW_TAG_restrict_type ? "restrict" : "_Atomic";

		inner = type_text(arena, &type, depth + 1);
		if (!inner)
			return NULL;
		if (inner[0] && inner[strlen(inner) - 1] == '*')
			return cp_arena_printf(arena, "%s%s", inner, word);
		return cp_arena_printf(arena, "%s %s", word, inner);
	}
	case DW_TAG_array_type:
		inner = type_text(arena, &type, depth + 1);
		return inner ? array_text(arena, inner, &type) : NULL;
	case DW_TAG_subroutine_type:
		inner = type_text(arena, &type, depth + 1);
		return inner ? cp_arena_printf(arena, "%s ()", inner) : NULL;
	default:
		return name ? name : "?";
	}
}

const char *cp_type_text(struct cp_arena *arena, Dwarf_Die *die)
{
	return type_text(arena, die, 0);
}

const char *cp_type_encoding(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Word encoding;
	Dwarf_Die type;

	if (!cp_type_of(die, &type))
		return NULL;
	switch (dwarf_tag(&type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
		return "pointer";
	case DW_TAG_enumeration_type:
		return "enum";
	case DW_TAG_structure_type:
		return "struct";
	case DW_TAG_union_type:
		return "union";
	case DW_TAG_array_type:
		return "array";
	case DW_TAG_subroutine_type:
		return "function";
	case DW_TAG_base_type:
		break;
	default:
		return NULL;
	}
	if (!dwarf_attr(&type, DW_AT_encoding, &attr) || dwarf_formudata(&attr, &encoding))
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

uint64_t cp_type_size(Dwarf_Die *die)
{
	Dwarf_Die type;
	Dwarf_Word size;

	return cp_type_of(die, &type) && !dwarf_aggregate_size(&type, &size) ? size : 0;
}

static const char *normal(struct cp_arena *arena, const char *path)
{
	char *copy;

	if (!path || !*path)
		return NULL;
	copy = cp_arena_strdup(arena, path);
	if (copy)
		cp_path_normalise(copy);
	return copy;
}

const char *cp_decl_file_raw(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word index;
	Dwarf_Half version;
	Dwarf_Die unit;
	size_t count;

	if (!dwarf_attr_integrate(die, DW_AT_decl_file, &attr) || dwarf_formudata(&attr, &index) ||
		dwarf_cu_info(attr.cu, &version, NULL, &unit, NULL, NULL, NULL, NULL) || (!index && version < 5) ||
		dwarf_getsrcfiles(&unit, &files, &count) || index >= count)
		return NULL;
	return dwarf_filesrc(files, index, NULL, NULL);
}

const char *cp_decl_file(struct cp_arena *arena, Dwarf_Die *die, unsigned int *line)
{
	const char *path = cp_decl_file_raw(die);
	int number = 0;

	*line = 0;
	if (!path)
		return NULL;
	if (!dwarf_decl_line(die, &number) && number > 0)
		*line = (unsigned int)number;
	return normal(arena, path);
}

const char *cp_unit_file(struct cp_arena *arena, Dwarf_Die *unit, uint64_t index)
{
	Dwarf_Files *files;
	size_t count;

	if (dwarf_getsrcfiles(unit, &files, &count) || index >= count)
		return NULL;
	return normal(arena, dwarf_filesrc(files, index, NULL, NULL));
}
