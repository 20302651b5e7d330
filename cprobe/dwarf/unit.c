/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of a unit that are made when they are first needed. Finding the units is dwarf.c's. */
#include <dwarf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dwarf/die.h"
#include "dwarf/dwarf.h"

pthread_mutex_t *cp_unit_lock(const struct cp_dw_unit *unit)
{
	return &unit->dwarf->locks[unit->number % CP_DW_LOCKS];
}

struct cp_arena *cp_unit_arena(const struct cp_dw_unit *unit)
{
	return &unit->dwarf->arenas[unit->number % CP_DW_LOCKS];
}

struct cp_cursor cp_unit_cursor(const struct cp_dw_unit *unit, uint64_t offset)
{
	const uint8_t *bytes = unit->dwarf->sections[unit->section].bytes;
	bool inside = offset >= unit->first && offset <= unit->end;

	return (struct cp_cursor){ bytes + (inside ? offset : unit->end), bytes + unit->end, !inside };
}

struct cp_error *cp_unit_corrupt(const struct cp_dw_unit *unit, const char *format, ...)
{
	struct cp_error *error;
	char *what = NULL;
	va_list ap;
	int length;

	va_start(ap, format);
	length = vasprintf(&what, format, ap);
	va_end(ap);
	if (length < 0)
		return &cp_error_no_memory;
	error = cp_error_create(CP_ERROR_CORRUPT, "%s: %s: unit at 0x%llx: %s", unit->dwarf->image->path,
		unit->dwarf->sections[unit->section].name, (unsigned long long)unit->offset, what);
	free(what);
	return error;
}

/* Attributes of a root that are kept until all bases are known. */
struct root_texts {
	struct cp_dw_attr name, folder, producer;
};

static void take_root_attr(struct cp_dw_unit *unit, const struct cp_dw_attr *attr, struct root_texts *later)
{
	uint64_t number;

	switch (attr->name) {
	case DW_AT_name:
		later->name = *attr;
		break;
	case DW_AT_comp_dir:
		later->folder = *attr;
		break;
	case DW_AT_producer:
		later->producer = *attr;
		break;
	case DW_AT_low_pc:
		unit->extent.low = *attr;
		break;
	case DW_AT_high_pc:
		unit->extent.high = *attr;
		break;
	case DW_AT_ranges:
		unit->extent.ranges = *attr;
		break;
	case DW_AT_stmt_list:
		if (cp_attr_number(attr, &number))
			unit->line_offset = number;
		break;
	case DW_AT_str_offsets_base:
		if (cp_attr_number(attr, &number))
			unit->str_offsets = number;
		break;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		if (cp_attr_number(attr, &number))
			unit->addresses = number;
		break;
	case DW_AT_rnglists_base:
		if (cp_attr_number(attr, &number))
			unit->ranges = number;
		break;
	case DW_AT_language:
		if (cp_attr_number(attr, &number))
			unit->language = (uint16_t)number;
		break;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		unit->is_split = true;
		break;
	case DW_AT_loclists_base:
		if (cp_attr_number(attr, &number))
			unit->locations = number;
		break;
	}
}

/* A cursor over the unit's abbreviations, up to where the next table begins. */
static struct cp_cursor abbrevs_of(const struct cp_dw_unit *unit)
{
	struct cp_cursor c = cp_dwarf_cursor(unit->dwarf, CP_DW_ABBREV, unit->abbrev_offset);
	const struct cp_dw_table *next = unit->table + 1, *end = unit->dwarf->tables + unit->dwarf->table_count;

	while (next < end && next->offset == unit->abbrev_offset)
		next++;
	if (next < end && next->offset - unit->abbrev_offset < cp_left(&c))
		c.end = c.at + (next->offset - unit->abbrev_offset);
	return c;
}

/* Bytes are searched so many times as quickly as they are read. */
#define SEARCH_SPEED 8

/* The cursor is at the root. *in_place: some text lies in the unit itself. */
static struct cp_error *read_root_at(struct cp_dw_unit *unit, struct cp_cursor c, bool *in_place)
{
	struct cp_cursor abbrevs = abbrevs_of(unit);
	const uint8_t *start = abbrevs.at;
	struct root_texts later = { .name = { .unit = NULL } };
	uint64_t code = cp_get_uleb(&c), tag = 0;
	struct cp_abbrev_attr declared;
	bool children, found;

	*in_place = false;
	memset(&unit->extent, 0, sizeof(unit->extent));
	unit->line_offset = unit->str_offsets = unit->addresses = unit->ranges = unit->locations = CP_DW_NONE;
	if (!code && !c.failed)
		return NULL;	/* an empty unit */
	found = cp_abbrev_seek_root(&abbrevs, code);
	if (found)
		tag = DW_TAG_compile_unit;
	else if (!cp_dwarf_charge(unit->dwarf, cp_left(&abbrevs) / SEARCH_SPEED))
		return cp_dwarf_overspent(unit->dwarf);
	else
		found = cp_abbrev_seek(&abbrevs, code, &tag, &children);
	if (c.failed || !found)
		return cp_unit_corrupt(unit, "its first DIE has abbreviation %llu, which the table at 0x%llx of .debug_abbrev has "
			"not", (unsigned long long)code, (unsigned long long)unit->abbrev_offset);
	unit->tag = (uint16_t)tag;
	for (int i = 0; i < CP_MAX_ATTRS && cp_abbrev_next_attr(&abbrevs, unit->sizes, &declared); i++) {
		struct cp_dw_attr attr;

		if (!cp_attr_read(unit, &declared, &c, &attr))
			return cp_unit_corrupt(unit, "attribute 0x%x of its first DIE has form 0x%x and leaves the unit", declared.name,
				declared.form);
		take_root_attr(unit, &attr, &later);
		*in_place |= attr.form == DW_FORM_string;
	}
	if (!cp_dwarf_charge(unit->dwarf, (uint64_t)(abbrevs.at - start)))
		return cp_dwarf_overspent(unit->dwarf);
	if (abbrevs.failed)
		return cp_unit_corrupt(unit, "its abbreviations at 0x%llx are cut off", (unsigned long long)unit->abbrev_offset);
	unit->name = later.name.unit ? cp_attr_string(&later.name) : NULL;
	unit->folder = later.folder.unit ? cp_attr_string(&later.folder) : NULL;
	unit->producer = later.producer.unit ? cp_attr_string(&later.producer) : NULL;
	if (unit->extent.low.unit && !cp_attr_address(&unit->extent.low, &unit->low_pc))
		unit->low_pc = 0;
	return NULL;
}

/* Roots are a few dozen bytes in most files. */
#define ROOT_LOOK 128

static struct cp_error *read_root(struct cp_dw_unit *unit)
{
	uint8_t bytes[ROOT_LOOK];
	bool in_place;
	struct cp_error *error = read_root_at(unit,
		cp_dwarf_peek(unit->dwarf, unit->section, unit->first, unit->end, bytes, sizeof(bytes)), &in_place);

	if (!error && !in_place)
		return NULL;
	/* Cut off by the end of the look, or by that of the unit: the unit itself tells. */
	cp_error_destroy(error);
	return read_root_at(unit, cp_unit_cursor(unit, unit->first), &in_place);
}

struct cp_error *cp_unit_root(struct cp_dw_unit *unit)
{
	struct cp_error *error = NULL;

	if (__atomic_load_n(&unit->has_root, __ATOMIC_ACQUIRE))
		return NULL;
	pthread_mutex_lock(cp_unit_lock(unit));
	if (!unit->has_root) {
		error = read_root(unit);
		__atomic_store_n(&unit->has_root, !error, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(cp_unit_lock(unit));
	return error;
}

bool cp_unit_is_c(const struct cp_dw_unit *unit)
{
	switch (unit->language) {
	case DW_LANG_C:
	case DW_LANG_C89:
	case DW_LANG_C99:
	case DW_LANG_C11:
		return true;
	default:
		return cp_unit_is_assembly(unit);
	}
}

bool cp_unit_is_assembly(const struct cp_dw_unit *unit)
{
	return unit->language == DW_LANG_Mips_Assembler;
}

/* A table that is kept takes some twenty times its bytes, and tables may overlap. */
#define KEPT_COST 20

static struct cp_error *read_table(const struct cp_dw_unit *unit, struct cp_dw_table *table, unsigned int cost)
{
	struct cp_cursor c = cp_dwarf_cursor(unit->dwarf, CP_DW_ABBREV, table->offset);
	const uint8_t *start = c.at;
	bool read = cp_abbrevs_read(&table->abbrevs, &c, table->sizes);

	if (!cp_dwarf_charge(unit->dwarf, cost * (uint64_t)(c.at - start)))
		return cp_dwarf_overspent(unit->dwarf);
	if (read)
		return NULL;
	return c.failed ? cp_unit_corrupt(unit, "its abbreviations at 0x%llx of .debug_abbrev are malformed or cut off",
		(unsigned long long)table->offset) : &cp_error_no_memory;
}

struct cp_error *cp_unit_prepare(struct cp_dw_unit *unit)
{
	struct cp_dw_table *table = unit->table;
	struct cp_error *error;
	pthread_mutex_t *lock;

	if (__atomic_load_n(&unit->is_prepared, __ATOMIC_ACQUIRE))
		return NULL;
	error = cp_unit_root(unit);
	if (error)
		return error;
	lock = &unit->dwarf->locks[(size_t)(table - unit->dwarf->tables) % CP_DW_LOCKS];
	pthread_mutex_lock(lock);
	if (!table->is_read) {
		error = read_table(unit, table, KEPT_COST);
		__atomic_store_n(&table->is_read, !error, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(lock);
	if (!error) {
		pthread_mutex_lock(cp_unit_lock(unit));	/* cp_unit_borrow() copies the unit */
		__atomic_store_n(&unit->is_prepared, true, __ATOMIC_RELEASE);
		pthread_mutex_unlock(cp_unit_lock(unit));
	}
	return error;
}

struct cp_error *cp_unit_borrow(struct cp_dw_unit *unit, struct cp_dw_table *scratch, struct cp_dw_unit *ret)
{
	struct cp_error *error = cp_unit_root(unit);

	if (error)
		return error;
	pthread_mutex_lock(cp_unit_lock(unit));
	*ret = *unit;
	pthread_mutex_unlock(cp_unit_lock(unit));
	if (__atomic_load_n(&unit->table->is_read, __ATOMIC_ACQUIRE)) {
		ret->is_prepared = true;
		return NULL;
	}
	/* Several units in a row may share a table. */
	if (!scratch->is_read || scratch->offset != unit->table->offset ||
		memcmp(&scratch->sizes, &unit->table->sizes, sizeof(scratch->sizes))) {
		scratch->offset = unit->table->offset;
		scratch->sizes = unit->table->sizes;
		error = read_table(unit, scratch, 1);
		scratch->is_read = !error;
	}
	ret->table = scratch;
	ret->is_prepared = true;
	return error;
}
