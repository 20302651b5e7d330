/* SPDX-License-Identifier: BSD-2-Clause */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "diff/ignored.h"

#define OF_STEPS	(1u << CP_IGNORED_STEPS | 1u << CP_IGNORED_VALUES)
#define LONGEST_BASE	256	/* of a clone, as in cp_glob_name() */

struct cp_error *cp_globs_add(struct cp_globs *globs, struct cp_arena *arena, const char *glob)
{
	char **grown = cp_grow(globs->items, globs->count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	globs->items = grown;
	grown[globs->count] = cp_arena_strdup(arena, glob);
	return grown[globs->count] ? (globs->count++, NULL) : &cp_error_no_memory;
}

/* The number of a text, and a byte for each number. */
static struct cp_error *number(struct cp_names *names, uint8_t **bits, const char *text, size_t length, uint32_t *ret,
	bool *is_new)
{
	size_t before = names->count;
	uint8_t *grown = cp_grow(*bits, before, 1);
	struct cp_error *error;

	if (!grown)
		return &cp_error_no_memory;
	*bits = grown;
	error = cp_names_number(names, text, length, ret);
	*is_new = !error && *ret == before;
	if (*is_new)
		grown[*ret] = 0;
	return error;
}

/* The name that a glob means, in `room`, which is as long; false: it has a wildcard, or is none. */
static bool is_plain(const char *glob, char *room)
{
	for (; *glob; glob++) {
		if (strchr("*?[", *glob) || (*glob == '\\' && !*++glob))
			return false;
		*room++ = *glob;
	}
	*room = 0;
	return true;
}

static struct cp_error *add_glob(struct cp_ignoring *g, size_t kind, char *glob)
{
	char *room = malloc(strlen(glob) + 1), **grown;
	struct cp_error *error = NULL;
	uint32_t at;
	bool is_new;

	if (!room)
		return &cp_error_no_memory;
	if (is_plain(glob, room)) {
		error = number(&g->plain, &g->plain_bits, room, strlen(room), &at, &is_new);
		if (!error)
			g->plain_bits[at] |= (uint8_t)(1u << kind);
	} else {
		grown = cp_grow(g->others[kind].items, g->others[kind].count, sizeof(*grown));
		if (grown) {
			g->others[kind].items = grown;
			grown[g->others[kind].count++] = glob;
		}
		error = grown ? NULL : &cp_error_no_memory;
	}
	free(room);
	return error;
}

static struct cp_error *make_ready(struct cp_ignoring *g, const struct cp_globs *globs)
{
	struct cp_error *error = NULL;

	cp_names_init(&g->plain);
	cp_names_init(&g->asked);
	g->ready = true;
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++) {
		for (size_t i = 0; i < globs[kind].count && !error; i++)
			error = add_glob(g, kind, globs[kind].items[i]);
	}
	return error;
}

static unsigned int plain_bits(const struct cp_ignoring *g, const char *name, size_t length)
{
	const uint32_t *at = cp_names_find(&g->plain, name, length);

	return at ? g->plain_bits[*at - 1] : 0;
}

static unsigned int ask(const struct cp_ignoring *g, const char *name)
{
	unsigned int bits = plain_bits(g, name, strlen(name));
	const char *dot = strchr(name, '.');

	/* Of a clone's name what is before the dot has none itself. */
	if (dot && dot != name && dot - name < LONGEST_BASE)
		bits |= plain_bits(g, name, (size_t)(dot - name)) & OF_STEPS;
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++) {
		const struct cp_globs *others = &g->others[kind];

		for (size_t i = 0; i < others->count && !(bits & 1u << kind); i++) {
			if (OF_STEPS & 1u << kind ? cp_glob_name(others->items[i], name) : !fnmatch(others->items[i], name, 0))
				bits |= 1u << kind;
		}
	}
	return bits;
}

struct cp_error *cp_ignoring_ask(struct cp_ignoring *g, const struct cp_globs *globs, const char *name, size_t length,
	unsigned int *ret)
{
	struct cp_error *error = g->ready ? NULL : make_ready(g, globs);
	uint32_t at;
	bool is_new;

	if (!error)
		error = number(&g->asked, &g->bits, name, length, &at, &is_new);
	if (error)
		return error;
	if (is_new)
		g->bits[at] = (uint8_t)ask(g, g->asked.texts[at]);
	*ret = g->bits[at];
	return NULL;
}

void cp_ignoring_deinit(struct cp_ignoring *g)
{
	if (g->ready) {
		cp_names_deinit(&g->plain);
		cp_names_deinit(&g->asked);
	}
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++)
		free(g->others[kind].items);
	free(g->plain_bits);
	free(g->bits);
	memset(g, 0, sizeof(*g));
}
