/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>

#include "base/glob.h"
#include "dwarf/paths.h"

/* What a path is made of: strings of the file, the same ones each time. */
struct cp_path {
	const char *root, *folder, *name;
	const char *path;
};

void cp_paths_init(struct cp_paths *paths, struct cp_arena *arena)
{
	*paths = (struct cp_paths){ .arena = arena };
}

void cp_paths_deinit(struct cp_paths *paths)
{
	free(paths->table);
	cp_paths_init(paths, paths->arena);
}

static struct cp_path *slot(struct cp_path *table, size_t size, const struct cp_path *key)
{
	uint64_t hash = ((uintptr_t)key->name ^ (uintptr_t)key->folder * 3 ^ (uintptr_t)key->root * 5) * 0x9e3779b97f4a7c15;
	size_t i = (size_t)(hash >> 32) & (size - 1);

	while (table[i].path && (table[i].name != key->name || table[i].folder != key->folder || table[i].root != key->root))
		i = (i + 1) & (size - 1);
	return &table[i];
}

static bool grow(struct cp_paths *paths)
{
	size_t size = paths->size ? paths->size * 2 : 256;
	struct cp_path *table = calloc(size, sizeof(*table));

	if (!table)
		return false;
	for (size_t i = 0; i < paths->size; i++) {
		if (paths->table[i].path)
			*slot(table, size, &paths->table[i]) = paths->table[i];
	}
	free(paths->table);
	paths->table = table;
	paths->size = size;
	return true;
}

/* Of PATH_MAX bytes at most on every system that compiles: what is longer is no path. */
#define LONGEST_PATH 4096

/* Globs look at each of its tails, in bytes of the budget. */
#define PATH_COST 4

static bool is_too_long(const char *text)
{
	return text && strnlen(text, LONGEST_PATH) == LONGEST_PATH;
}

/* root/folder/name, each only as far as the one behind it is relative; "" if that is no path; NULL: no memory. */
static const char *whole_path(struct cp_paths *paths, struct cp_dwarf *dwarf, const char *root, const char *folder,
	const char *name)
{
	struct cp_path key = { root, folder, name, NULL }, *found;
	char *path;

	if (paths->count * 2 >= paths->size && !grow(paths))
		return NULL;
	found = slot(paths->table, paths->size, &key);
	if (found->path)
		return found->path;
	if (is_too_long(root) || is_too_long(folder) || is_too_long(name))
		return "";
	if (name[0] == '/' || !folder || !*folder)
		path = name[0] == '/' || !root || !*root ? cp_arena_strdup(paths->arena, name) :
			cp_arena_printf(paths->arena, "%s/%s", root, name);
	else if (folder[0] == '/' || !root || !*root)
		path = cp_arena_printf(paths->arena, "%s/%s", folder, name);
	else
		path = cp_arena_printf(paths->arena, "%s/%s/%s", root, folder, name);
	if (!path)
		return NULL;
	cp_path_normalise(path);
	if (!cp_dwarf_charge(dwarf, PATH_COST * strlen(path)))
		*path = 0;	/* the question ends with an error */
	*found = key;
	found->path = path;
	paths->count++;
	return path;
}

/* An empty one is none. */
static struct cp_error *known_path(const char **path)
{
	if (!*path)
		return &cp_error_no_memory;
	if (!**path)
		*path = NULL;
	return NULL;
}

struct cp_error *cp_path_of_file(struct cp_paths *paths, const struct cp_dw_lines *lines, uint64_t index,
	const char **ret)
{
	const struct cp_dw_file *file = lines && index < lines->file_count ? &lines->files[index] : NULL;
	const char *root, *folder;

	*ret = NULL;
	if (!file || !file->name || !*file->name)
		return NULL;
	root = lines->unit->folder;
	folder = file->folder < lines->folder_count ? lines->folders[file->folder] : NULL;
	/* Before DWARF 5, folder 0 is the unit's; from then on it is in the table, and others are relative to it. */
	if (lines->sizes.version >= 5 && lines->folder_count && lines->folders[0] && lines->folders[0][0] == '/')
		root = lines->folders[0];
	if (folder == root)
		folder = NULL;
	*ret = whole_path(paths, lines->unit->dwarf, root, folder, file->name);
	return known_path(ret);
}

struct cp_error *cp_path_of_unit(struct cp_paths *paths, struct cp_dw_unit *unit, const char **ret)
{
	struct cp_error *error = cp_unit_root(unit);

	*ret = NULL;
	if (error || !unit->name || !*unit->name)
		return error;
	*ret = whole_path(paths, unit->dwarf, unit->folder, NULL, unit->name);
	return known_path(ret);
}

struct cp_error *cp_path_of_attr(struct cp_paths *paths, const struct cp_dw_attr *file, const char **ret)
{
	const struct cp_dw_lines *lines;
	struct cp_error *error;
	uint64_t index;

	*ret = NULL;
	if (!file->unit || !cp_attr_number(file, &index) || (!index && file->unit->sizes.version < 5))
		return NULL;
	error = cp_unit_lines(file->unit, &lines);
	return error ? error : cp_path_of_file(paths, lines, index, ret);
}

struct cp_error *cp_path_of_decl(struct cp_paths *paths, const struct cp_die *die, const char **file, uint32_t *line)
{
	struct cp_dw_attr attr;
	uint64_t number;

	*line = cp_die_attr_any(die, DW_AT_decl_line, &attr) && cp_attr_number(&attr, &number) ? (uint32_t)number : 0;
	*file = NULL;
	return cp_die_attr_any(die, DW_AT_decl_file, &attr) ? cp_path_of_attr(paths, &attr, file) : NULL;
}
