/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "base/glob.h"
#include "base/work.h"
#include "dwarf/by_file.h"
#include "dwarf/paths.h"

/* Units that are worth a second thread: a look at one takes a microsecond or two. */
#define WORTH_A_THREAD 512

struct search {
	struct cp_dwarf *dwarf;
	const struct cp_globs *globs;
	const char **tails;		/* by glob: its last component when that is literal, or NULL */
	bool *named, *matched;		/* by unit; by glob: it is some unit's name */
	bool by_tables;
	bool nowhere;			/* no glob's tail is in a section of strings */
	struct cp_arena arenas[CP_MAX_WORKERS];
	struct cp_paths paths[CP_MAX_WORKERS];
};

/* A file of that name can only match if it ends as the glob does: most are told apart without making a path. */
static bool may_match(const char *tail, const char *name)
{
	size_t length = strlen(name), wanted;

	if (!tail)
		return true;
	wanted = strlen(tail);
	return length >= wanted && !memcmp(name + length - wanted, tail, wanted);
}

/* Names that gcc's and clang's link-time optimisers give to their units. */
static bool is_lto(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return !strcmp(name, "<artificial>") || !strcmp(name, "ld-temp.o");
}

static struct cp_error *look_at_name(struct search *s, size_t worker, size_t item)
{
	struct cp_dw_unit *unit = &s->dwarf->units[item];
	struct cp_error *error = cp_unit_root(unit);

	if (error || !unit->name)
		return error;
	s->named[item] |= is_lto(unit->name);
	for (size_t g = 0; g < s->globs->count && !error; g++) {
		const char *path = NULL;

		if (!may_match(s->tails[g], unit->name))
			continue;
		error = cp_path_of_unit(&s->paths[worker], unit, &path);
		if (!error && path && cp_glob_path(s->globs->items[g], path)) {
			s->named[item] = true;
			__atomic_store_n(&s->matched[g], true, __ATOMIC_RELAXED);	/* several workers may */
		}
	}
	return error;
}

static bool is_in_section(const struct cp_dw_bytes *section, const char *text)
{
	return section->bytes && memmem(section->bytes, section->size, text, strlen(text));
}

/* Are the wanted names in no section of strings? Line tables before DWARF 5 have theirs in themselves. */
static bool are_nowhere(const struct search *s)
{
	for (size_t g = 0; g < s->globs->count; g++) {
		if (!s->tails[g] || is_in_section(&s->dwarf->sections[CP_DW_LINE_STR], s->tails[g]) ||
			is_in_section(&s->dwarf->sections[CP_DW_STR], s->tails[g]))
			return false;
	}
	return true;
}

/* Does the unit's line table hold a file that one of the globs matches? */
static struct cp_error *look_at_table(struct search *s, size_t worker, size_t item)
{
	const struct cp_dw_lines *lines = NULL;
	struct cp_error *error = NULL;

	if (!s->named[item] && !(s->nowhere && cp_unit_lines_have_offsets(&s->dwarf->units[item])))
		error = cp_unit_lines(&s->dwarf->units[item], &lines);
	for (size_t f = 0; lines && f < lines->file_count && !error && !s->named[item]; f++) {
		const char *name = lines->files[f].name, *path;

		for (size_t g = 0; name && g < s->globs->count && !error && !s->named[item]; g++) {
			if (!may_match(s->tails[g], name))
				continue;
			error = cp_path_of_file(&s->paths[worker], lines, f, &path);
			s->named[item] |= !error && path && cp_glob_path(s->globs->items[g], path);
		}
	}
	return error;
}

static struct cp_error *look(void *context, size_t worker, size_t item)
{
	struct search *s = context;

	return s->by_tables ? look_at_table(s, worker, item) : look_at_name(s, worker, item);
}

/* Can the glob match a file that is compiled by being included only? */
static bool may_be_header(const char *glob)
{
	const char *dot = strrchr(glob, '.');

	return !dot || !(!strcmp(dot, ".c") || !strcmp(dot, ".S") || !strcmp(dot, ".s") || !strcmp(dot, ".cc") ||
		!strcmp(dot, ".cpp") || !strcmp(dot, ".rs"));
}

static struct cp_error *search(struct search *s)
{
	size_t workers = cp_workers(s->dwarf->info_count, WORTH_A_THREAD);
	struct cp_error *error;

	for (size_t w = 0; w < workers; w++) {
		cp_arena_init(&s->arenas[w]);
		cp_paths_init(&s->paths[w], &s->arenas[w]);
	}
	error = cp_work(s->dwarf->info_count, workers, look, s);
	/* A .c file that no unit is named after may still be one that another .c file includes. */
	for (size_t g = 0; g < s->globs->count; g++)
		s->by_tables |= !s->matched[g] || may_be_header(s->globs->items[g]);
	s->nowhere = s->by_tables && are_nowhere(s);
	if (!error && s->by_tables)
		error = cp_work(s->dwarf->info_count, workers, look, s);
	for (size_t w = 0; w < workers; w++) {
		cp_paths_deinit(&s->paths[w]);
		cp_arena_deinit(&s->arenas[w]);
	}
	return error;
}

struct cp_error *cp_units_of_files(struct cp_dwarf *dwarf, const struct cp_globs *globs, struct cp_dw_unit ***ret,
	size_t *ret_count)
{
	size_t n = dwarf->info_count ? dwarf->info_count : 1, g = globs->count ? globs->count : 1, count = 0;
	struct search *s = calloc(1, sizeof(*s));
	struct cp_dw_unit **found = malloc(n * sizeof(*found));
	bool *named = calloc(n, sizeof(*named)), *matched = calloc(g, sizeof(*matched));
	const char **tails = calloc(g, sizeof(*tails));
	struct cp_error *error = &cp_error_no_memory;

	if (s && found && named && matched && tails) {
		*s = (struct search){ .dwarf = dwarf, .globs = globs, .tails = tails, .named = named, .matched = matched };
		for (size_t i = 0; i < globs->count; i++) {
			const char *slash = strrchr(globs->items[i], '/'), *tail = slash ? slash + 1 : globs->items[i];

			tails[i] = cp_glob_is_literal(tail) ? tail : NULL;
		}
		error = search(s);
	}
	for (size_t i = 0; !error && i < dwarf->info_count; i++) {
		if (named[i])
			found[count++] = &dwarf->units[i];
	}
	free(s);
	free(named);
	free(matched);
	free(tails);
	if (error) {
		free(found);
		return error;
	}
	*ret = found;
	*ret_count = count;
	return NULL;
}
