/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "dwarf/filenames.h"
#include "base/glob.h"
#include "dwarf/units.h"

static struct cp_error *read_units(struct cp_units *units, const char *path)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	uint8_t type;
	int result;

	while ((result = dwarf_get_units(units->dwarf, cu, &cu, NULL, &type, &die, NULL)) == 0) {
		struct cp_unit *items;

		if (type != DW_UT_compile && type != DW_UT_partial)
			continue;
		items = cp_grow(units->items, units->count, sizeof(*items));
		if (!items)
			return &cp_error_no_memory;
		units->items = items;
		memset(&items[units->count], 0, sizeof(*items));
		items[units->count].die = die;
		items[units->count].offset = dwarf_dieoffset(&die);
		units->count++;
	}
	if (result < 0)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: .debug_info: unit %zu: %s: is the file truncated?", path,
			units->count, dwarf_errmsg(-1));
	return NULL;
}

struct cp_error *cp_program_units(struct cp_program *program, struct cp_units **ret)
{
	struct cp_error *error = cp_program_need_dwarf(program);

	if (error)
		return error;
	if (!program->units && program->dwarf) {
		struct cp_units *units = calloc(1, sizeof(*units));

		if (!units)
			return &cp_error_no_memory;
		units->dwarf = program->dwarf;
		units->image = program->debug;
		cp_arena_init(&units->arena);
		error = read_units(units, program->debug->path);
		if (error) {
			cp_units_destroy(units);
			return error;
		}
		program->units = units;
	}
	*ret = program->units;
	return NULL;
}

void cp_units_destroy(struct cp_units *units)
{
	if (!units)
		return;
	for (size_t i = 0; i < units->count; i++)
		free(units->items[i].functions);
	free(units->items);
	free(units->ranges);
	cp_arena_deinit(&units->arena);
	free(units);
}

struct cp_unit *cp_units_by_offset(struct cp_units *units, uint64_t offset)
{
	size_t low = 0, high = units->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (units->items[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &units->items[low - 1] : NULL;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct cp_unit_range *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static struct cp_error *read_ranges(struct cp_units *units)
{
	units->ranges_read = true;
	for (size_t i = 0; i < units->count; i++) {
		ptrdiff_t at = 0;
		Dwarf_Addr base, low, high;

		while ((at = dwarf_ranges(&units->items[i].die, at, &base, &low, &high)) > 0) {
			struct cp_unit_range *ranges = cp_grow(units->ranges, units->range_count, sizeof(*ranges));

			if (!ranges)
				return &cp_error_no_memory;
			units->ranges = ranges;
			if (low < high)
				ranges[units->range_count++] = (struct cp_unit_range){ low, high, i };
		}
	}
	if (units->range_count)
		qsort(units->ranges, units->range_count, sizeof(*units->ranges), compare_ranges);
	return NULL;
}

struct cp_error *cp_units_at(struct cp_units *units, uint64_t address, struct cp_unit **ret)
{
	size_t low = 0, high, steps = 0;
	struct cp_error *error;
	Dwarf_Die die;

	if (dwarf_addrdie(units->dwarf, address, &die)) {
		uint64_t offset = dwarf_dieoffset(&die);
		struct cp_unit *unit = cp_units_by_offset(units, offset);

		if (unit && unit->offset == offset) {
			*ret = unit;
			return NULL;
		}
	}
	if (!units->ranges_read) {
		error = read_ranges(units);
		if (error)
			return error;
	}
	*ret = NULL;
	high = units->range_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (units->ranges[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	/* Ranges of units may nest (a unit that claims a whole section): the nearest start wins. */
	while (low > 0 && steps++ < 64) {
		const struct cp_unit_range *range = &units->ranges[--low];

		if (address < range->high) {
			*ret = &units->items[range->unit];
			break;
		}
	}
	return NULL;
}

static int compare_functions(const void *left, const void *right)
{
	const struct cp_unit_function *a = left, *b = right;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return a->high < b->high ? -1 : a->high > b->high;
}

/* The concrete functions among the children of a DIE, and of its namespaces. */
static struct cp_error *read_functions(struct cp_unit *unit, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;
	int result = dwarf_child(parent, &die);

	for (; result == 0; result = dwarf_siblingof(&die, &die)) {
		int tag = dwarf_tag(&die);
		ptrdiff_t at = 0;
		Dwarf_Addr base, low, high;

		if (tag == DW_TAG_namespace && depth < 16) {
			struct cp_error *error = read_functions(unit, &die, depth + 1);

			if (error)
				return error;
		}
		if (tag != DW_TAG_subprogram)
			continue;
		while ((at = dwarf_ranges(&die, at, &base, &low, &high)) > 0) {
			struct cp_unit_function *items = cp_grow(unit->functions, unit->function_count, sizeof(*items));

			if (!items)
				return &cp_error_no_memory;
			unit->functions = items;
			if (low < high)
				items[unit->function_count++] = (struct cp_unit_function){ low, high, die };
		}
	}
	return NULL;
}

struct cp_error *cp_unit_function_at(struct cp_unit *unit, uint64_t address, Dwarf_Die *die, bool *found)
{
	size_t low = 0, high;

	if (!unit->functions_read) {
		struct cp_error *error = read_functions(unit, &unit->die, 0);

		if (error)
			return error;
		unit->functions_read = true;
		if (unit->function_count)
			qsort(unit->functions, unit->function_count, sizeof(*unit->functions), compare_functions);
	}
	*found = false;
	high = unit->function_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (unit->functions[middle].low <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low && address < unit->functions[low - 1].high) {
		*die = unit->functions[low - 1].die;
		*found = true;
	}
	return NULL;
}

const char *cp_unit_path(struct cp_arena *arena, Dwarf_Die *unit)
{
	const char *name = dwarf_diename(unit), *folder = NULL;
	Dwarf_Attribute attr;
	char *path;

	if (!name)
		return "";
	if (name[0] != '/' && dwarf_attr(unit, DW_AT_comp_dir, &attr))
		folder = dwarf_formstring(&attr);
	path = folder ? cp_arena_printf(arena, "%s/%s", folder, name) : cp_arena_strdup(arena, name);
	if (path)
		cp_path_normalise(path);
	return path;
}

/* Does the unit's file table, as libdw decodes it, hold a file that one of the globs matches? */
static bool decoded_has_file(Dwarf_Die *unit, char *const *globs, size_t count)
{
	Dwarf_Files *files;
	size_t file_count;

	if (dwarf_getsrcfiles(unit, &files, &file_count))
		return false;
	for (size_t i = 0; i < file_count; i++) {
		const char *path = dwarf_filesrc(files, i, NULL, NULL);

		if (path && cp_globs_path(globs, count, path))
			return true;
	}
	return false;
}

/* The same; most units that hold none are told by a quick look. */
static bool has_file(Dwarf_Die *unit, const struct cp_filenames *names, char *const *globs, size_t count)
{
	Dwarf_Attribute attr;
	Dwarf_Word table;
	bool may = dwarf_formudata(dwarf_attr(unit, DW_AT_stmt_list, &attr), &table) != 0;

	for (size_t g = 0; g < count && !may; g++)
		may = cp_filenames_may(&names[g], table);
	return may && decoded_has_file(unit, globs, count);
}

/* Can the glob match a file that is compiled by being included only? */
static bool may_be_header(const char *glob)
{
	const char *dot = strrchr(glob, '.');

	return !dot || !(!strcmp(dot, ".c") || !strcmp(dot, ".S") || !strcmp(dot, ".s") || !strcmp(dot, ".cc") ||
		!strcmp(dot, ".cpp") || !strcmp(dot, ".rs"));
}

/* Names that gcc's and clang's link-time optimisers give to their units. */
static bool is_lto(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return !strcmp(name, "<artificial>") || !strcmp(name, "ld-temp.o");
}

struct cp_error *cp_units_for_files(struct cp_units *units, char *const *globs, size_t count, struct cp_unit ***ret,
	size_t *ret_count)
{
	struct cp_unit **found = malloc((units->count ? units->count : 1) * sizeof(*found));
	bool all = false, *named = calloc(units->count ? units->count : 1, sizeof(*named));
	bool *matched = calloc(count ? count : 1, sizeof(*matched));
	struct cp_filenames *names = calloc(count ? count : 1, sizeof(*names));
	size_t found_count = 0;
	struct cp_error *error = NULL;

	if (!found || !named || !matched || !names)
		error = &cp_error_no_memory;
	for (size_t g = 0; !error && g < count; g++)
		all |= may_be_header(globs[g]);
	for (size_t i = 0; !error && i < units->count; i++) {
		const char *path = cp_unit_path(&units->arena, &units->items[i].die);

		if (!path) {
			error = &cp_error_no_memory;
			break;
		}
		named[i] = is_lto(path);
		for (size_t g = 0; g < count; g++) {
			if (cp_glob_path(globs[g], path))
				named[i] = matched[g] = true;
		}
	}
	/* A .c file that no unit is named after may still be one that another .c file includes. */
	for (size_t g = 0; !error && g < count; g++)
		all |= !matched[g];
	for (size_t g = 0; !error && all && g < count; g++)
		error = cp_filenames_init(units->image, globs[g], &names[g]);
	for (size_t i = 0; !error && i < units->count; i++) {
		if (named[i] || (all && has_file(&units->items[i].die, names, globs, count)))
			found[found_count++] = &units->items[i];
	}
	for (size_t g = 0; names && g < count; g++)
		cp_filenames_deinit(&names[g]);
	free(names);
	free(named);
	free(matched);
	if (error) {
		free(found);
		return error;
	}
	*ret = found;
	*ret_count = found_count;
	return NULL;
}
