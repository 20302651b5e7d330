/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>

#include "base/radix.h"
#include "base/work.h"
#include "dwarf/by_address.h"
#include "dwarf/ranges.h"

void cp_address_map_init(struct cp_address_map *map, struct cp_dwarf *dwarf)
{
	*map = (struct cp_address_map){ .dwarf = dwarf };
}

void cp_address_map_deinit(struct cp_address_map *map)
{
	for (size_t i = 0; map->functions && i < map->dwarf->unit_count; i++)
		free(map->functions[i].items);
	free(map->functions);
	free(map->ranges);
	*map = (struct cp_address_map){ .dwarf = NULL };
}

static struct cp_error *add_range(struct cp_address_map *map, struct cp_dw_unit *unit, uint64_t low, uint64_t high)
{
	struct cp_unit_range *ranges = cp_grow(map->ranges, map->range_count, sizeof(*ranges));

	if (!ranges)
		return &cp_error_no_memory;
	map->ranges = ranges;
	ranges[map->range_count++] = (struct cp_unit_range){ low, high, unit };
	return NULL;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct cp_unit_range *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return a->high > b->high ? -1 : a->high < b->high;
}

static void sort_ranges(struct cp_address_map *map)
{
	if (map->range_count)
		qsort(map->ranges, map->range_count, sizeof(*map->ranges), compare_ranges);
}

/* One set of .debug_aranges, section 6.1.2: a unit and what it covers. The cursor moves behind it. */
static struct cp_error *read_set(struct cp_address_map *map, struct cp_cursor *c)
{
	struct cp_dw_unit *unit;
	struct cp_error *error = NULL;
	const uint8_t *start = c->at;
	uint64_t length = cp_get32(c);
	unsigned int offset_size = 4, size;
	struct cp_cursor set;

	if (length == 0xffffffff) {
		offset_size = 8;
		length = cp_get64(c);
	}
	set = *c;
	cp_skip(c, length);
	if (c->failed)
		return NULL;
	set.end = c->at;
	cp_skip(&set, 2);
	unit = cp_dwarf_unit_at(map->dwarf, cp_get_sized(&set, offset_size));
	size = cp_get8(&set);
	if (!unit || (size != 4 && size != 8) || cp_get8(&set))
		return NULL;
	cp_skip(&set, (2 * size - (uint64_t)(set.at - start) % (2 * size)) % (2 * size));
	while (!set.failed && !error && cp_left(&set) >= 2 * size) {
		uint64_t low = cp_get_sized(&set, size), count = cp_get_sized(&set, size);

		if (count && !cp_dwarf_is_tombstone(map->dwarf, low, size) && low + count > low)
			error = add_range(map, unit, low, low + count);
	}
	return error;
}

static struct cp_error *read_aranges(struct cp_address_map *map)
{
	struct cp_cursor c = cp_dwarf_cursor(map->dwarf, CP_DW_ARANGES, 0);
	struct cp_error *error = NULL;

	map->has_ranges = true;
	/* In a relocatable file each section begins at 0 there before it is placed; the units say it right. */
	while (cp_left(&c) && !error)
		error = read_set(map, &c);
	sort_ranges(map);
	return error;
}

/* Units that are worth a second thread: reading a root takes some two microseconds. */
#define WORTH_A_THREAD 256

static struct cp_error *read_root(void *context, size_t worker, size_t item)
{
	struct cp_dwarf *dwarf = context;

	(void)worker;
	return cp_unit_root(&dwarf->units[item]);
}

/* What the units say themselves: not all of them need be in .debug_aranges, and clang makes none. */
static struct cp_error *read_all(struct cp_address_map *map)
{
	size_t count = map->dwarf->info_count;
	struct cp_error *error = cp_work(count, cp_workers(count, WORTH_A_THREAD), read_root, map->dwarf);

	map->is_complete = true;
	for (size_t i = 0; i < count && !error; i++) {
		struct cp_dw_unit *unit = &map->dwarf->units[i];
		struct cp_ranges ranges;
		uint64_t low, high;

		if (!cp_ranges_begin(&unit->extent, &ranges))
			continue;
		while (!error && cp_ranges_next(&ranges, &low, &high))
			error = add_range(map, unit, low, high);
	}
	if (!error)
		sort_ranges(map);
	return error;
}

/* Ranges of units may nest (a unit that claims a whole section): the nearest start wins. */
#define LOOK_BACK 64

static struct cp_dw_unit *find(const struct cp_address_map *map, uint64_t address)
{
	size_t low = 0, high = map->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->ranges[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (int steps = 0; low > 0 && steps < LOOK_BACK; steps++) {
		const struct cp_unit_range *range = &map->ranges[--low];

		if (address < range->high)
			return range->unit;
	}
	return NULL;
}

struct cp_error *cp_unit_of_address(struct cp_address_map *map, uint64_t address, struct cp_dw_unit **ret)
{
	struct cp_error *error = map->has_ranges ? NULL : read_aranges(map);
	struct cp_dw_unit *unit = error ? NULL : find(map, address);

	if (!error && !unit && !map->is_complete) {
		error = read_all(map);
		if (!error)
			unit = find(map, address);
	}
	if (!error)
		*ret = unit;
	return error;
}

static struct cp_error *add_function(struct cp_functions *functions, const struct cp_die *die)
{
	struct cp_ranges ranges;
	uint64_t low, high;

	if (!cp_ranges_of(die, &ranges))
		return NULL;
	while (cp_ranges_next(&ranges, &low, &high)) {
		struct cp_function_range *items = cp_grow(functions->items, functions->count, sizeof(*items));

		if (!items)
			return &cp_error_no_memory;
		functions->items = items;
		items[functions->count++] = (struct cp_function_range){ low, high, die->offset };
	}
	return NULL;
}

static int compare_functions(const void *left, const void *right)
{
	const struct cp_function_range *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return a->high < b->high ? -1 : a->high > b->high;
}

/* May functions be in the DIE? In C only a function's, and those (GNU C's nested ones) are left to the symbol table. */
static bool may_hold_functions(const struct cp_die *die)
{
	switch (cp_die_tag(die)) {
	case DW_TAG_compile_unit:
	case DW_TAG_partial_unit:
	case DW_TAG_namespace:
	case DW_TAG_module:
		return true;
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return !cp_unit_is_c(die->unit);
	default:
		return false;
	}
}

/* The concrete functions of a unit, those in namespaces too, and in types and functions of languages that have them. */
static struct cp_error *read_functions(struct cp_dw_unit *unit, struct cp_functions *functions)
{
	struct cp_error *error = cp_unit_prepare(unit);
	struct cp_cursor c = cp_unit_cursor(unit, unit->first);
	unsigned int interest = CP_SCOPES | CP_CODE | CP_BLOCKS | (cp_unit_is_c(unit) ? 0 : CP_DECLARED | CP_STRUCTS);
	struct cp_die die;

	while (!error && cp_left(&c)) {
		cp_die_pass(unit, &c, interest, NULL, 0);
		if (!cp_die_read(unit, &c, &die))
			continue;	/* the end of the unit's DIEs, or of a namespace's */
		if (cp_die_tag(&die) == DW_TAG_subprogram)
			error = add_function(functions, &die);
		if (may_hold_functions(&die))
			cp_die_skip_attrs(&die, &c);
		else
			cp_die_skip(&die, &c);
	}
	if (!error && c.failed)
		error = cp_unit_corrupt(unit, "its DIEs are malformed or cut off");
	if (functions->count)
		qsort(functions->items, functions->count, sizeof(*functions->items), compare_functions);
	functions->is_read = !error;
	return error;
}

struct cp_error *cp_function_at(struct cp_address_map *map, uint64_t address, struct cp_die *ret, bool *found)
{
	struct cp_dw_unit *unit = NULL;
	struct cp_error *error = cp_unit_of_address(map, address, &unit);
	struct cp_functions *functions;
	size_t low = 0, high;

	*found = false;
	if (error || !unit)
		return error;
	if (!map->functions)
		map->functions = calloc(map->dwarf->unit_count, sizeof(*map->functions));
	if (!map->functions)
		return &cp_error_no_memory;
	functions = &map->functions[unit - map->dwarf->units];
	if (!functions->is_read) {
		error = read_functions(unit, functions);
		if (error)
			return error;
	}
	high = functions->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (functions->items[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low && address < functions->items[low - 1].high && cp_die_at(unit, functions->items[low - 1].offset, ret);
	return NULL;
}

static bool covers(struct cp_ranges *ranges, uint64_t address)
{
	uint64_t low, high;

	while (cp_ranges_next(ranges, &low, &high)) {
		if (address >= low && address < high)
			return true;
	}
	return false;
}

static bool is_scope(const struct cp_die *die)
{
	switch (cp_die_tag(die)) {
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		return true;
	default:
		return false;
	}
}

#define MAX_BLOCKS 16	/* that do not cover what is in them, one in another */

/*
 * The scope within `scope` that covers the address. DWARF 2 has no ranges: of a block in several pieces gcc tells the
 * first one, or none, and what is within it may lie in the others.
 */
static bool find_scope(const struct cp_die *scope, uint64_t address, int depth, struct cp_die *ret)
{
	struct cp_die child;

	for (bool more = depth < MAX_BLOCKS && cp_die_child(scope, &child); more; more = cp_die_sibling(&child, &child)) {
		struct cp_ranges ranges;

		if (!is_scope(&child))
			continue;
		if (cp_ranges_of(&child, &ranges) && covers(&ranges, address)) {
			*ret = child;
			return true;
		}
		if (cp_die_tag(&child) == DW_TAG_lexical_block && child.unit->sizes.version == 2 &&
			find_scope(&child, address, depth + 1, ret))
			return true;
	}
	return false;
}

struct cp_error *cp_scopes_at(struct cp_address_map *map, uint64_t address, struct cp_scopes *ret, bool *found)
{
	struct cp_error *error = cp_function_at(map, address, &ret->function, found);
	struct cp_die scope = ret->function;

	ret->inlined_count = 0;
	if (error || !*found)
		return error;
	for (int depth = 0; depth < 4 * CP_MAX_SCOPES && ret->inlined_count < CP_MAX_SCOPES; depth++) {
		struct cp_die child;

		if (!find_scope(&scope, address, 0, &child))
			break;
		if (cp_die_tag(&child) == DW_TAG_inlined_subroutine)
			ret->inlined[ret->inlined_count++] = child;
		scope = child;
	}
	return NULL;
}
