/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What repeats in all runs of a boot. What does not is left out by its name, everywhere: a function that one run calls more
 * often, or at another place, is none that a later run can be held to; and then the rest is compared anew, until all agree.
 */
#include <stdlib.h>
#include <string.h>

#include "baseline/make.h"
#include "diff/align.h"
#include "trace/inside.h"

/* What was found of a name; by its number. */
enum { STEP_DIFFERS = 1, VALUES_DIFFER = 2, LINE_DIFFERS = 4, NUMBERS_DIFFER = 8 };

struct settling {
	struct cp_making *making;
	struct cp_names names;
	uint8_t *found;		/* by number of a name; owned */
	bool any;
};

const char *const cp_ignored_words[CP_IGNORED_KINDS] = { "ignore", "ignore-values", "ignore-line", "ignore-numbers" };

struct cp_error *cp_rule_ignore(struct cp_step_rule *rule, struct cp_arena *arena, enum cp_ignored kind, const char *glob)
{
	struct cp_globs *globs = &rule->ignored[kind];
	char **grown = cp_grow(globs->items, globs->count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	globs->items = grown;
	grown[globs->count] = cp_arena_strdup(arena, glob);
	return grown[globs->count++] ? NULL : &cp_error_no_memory;
}

static void found(struct settling *s, const struct cp_stream *of, size_t at, bool is_value)
{
	bool is_line = of->number == CP_STREAM_CONSOLE;

	s->found[of->what[at]] |= is_line ? is_value ? NUMBERS_DIFFER : LINE_DIFFERS : is_value ? VALUES_DIFFER : STEP_DIFFERS;
	s->any = true;
}

static const struct cp_stream none;

static struct cp_error *compare_streams(struct settling *s, const struct cp_stream *a, const struct cp_stream *b)
{
	struct cp_hunks hunks;
	size_t at_a = 0, at_b = 0;
	struct cp_error *error = cp_align(a->what, a->count, b->what, b->count, true, &hunks);

	if (error)
		return error;
	for (size_t i = 0; i <= hunks.count; i++) {
		const struct cp_hunk *h = i < hunks.count ? &hunks.items[i] : NULL;
		size_t end = h ? h->a : a->count;

		for (; at_a < end; at_a++, at_b++) {
			if (a->values && b->values && a->values[at_a] != b->values[at_b])
				found(s, a, at_a, true);
		}
		for (size_t n = 0; h && n < h->a_count; n++)
			found(s, a, at_a++, false);
		for (size_t n = 0; h && n < h->b_count; n++)
			found(s, b, at_b++, false);
	}
	free(hunks.items);
	return NULL;
}

static struct cp_error *lone(const struct settling *s, size_t run, int vcpu)
{
	return cp_error_create(CP_ERROR_NOT_FOUND, "%s and %s: vCPU %d ran in one of them alone, so that there is no path that "
		"repeats: record with --deterministic's options, and see that the boot waits for all vCPUs",
		s->making->traces[0]->path, s->making->traces[run]->path, vcpu);
}

static struct cp_error *compare_boots(struct settling *s, const struct cp_steps *a, const struct cp_steps *b, size_t run)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; i < a->stream_count && !error; i++) {
		const struct cp_stream *of = &a->streams[i], *other = cp_steps_stream(b, of->number);

		error = !other && of->number >= 0 ? lone(s, run, of->number) : compare_streams(s, of, other ? other : &none);
	}
	for (size_t i = 0; i < b->stream_count && !error; i++) {
		const struct cp_stream *of = &b->streams[i];
		struct cp_stream nothing = { .number = of->number };

		if (!cp_steps_stream(a, of->number))
			error = of->number >= 0 ? lone(s, run, of->number) : compare_streams(s, &nothing, of);
	}
	return error;
}

/* -- What was found, as globs -- */

static void add_glob_of(struct cp_text *ret, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++) {
		bool is_blank_end = name[i] == ' ' && (!i || i + 1 == length);

		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || is_blank_end)
			cp_text_add(ret, "?", 1);
		else if (strchr("*?[\\", name[i]))
			cp_text_printf(ret, "\\%c", name[i]);
		else
			cp_text_add(ret, name + i, 1);
	}
}

static struct cp_error *leave_out(struct settling *s, const char *name, enum cp_ignored kind, cp_note_fn *note,
	void *context)
{
	static const char *const why[CP_IGNORED_KINDS] = { "it does not come in the same order, as often, in all runs",
		"its values are others in each run", "this line of the console does not come in all runs alike",
		"numbers in this line of the console are others in each run" };
	struct cp_text glob = { .bytes = NULL }, text = { .bytes = NULL };
	struct cp_error *error;

	add_glob_of(&glob, *name ? name : "?");
	cp_text_printf(&text, "not kept: %s: %s", name, why[kind]);
	error = glob.failed || text.failed ? &cp_error_no_memory :
		cp_rule_ignore(&s->making->rule, &s->making->arena, kind, glob.bytes);
	if (!error && note)
		note(context, text.bytes);
	cp_text_deinit(&glob);
	cp_text_deinit(&text);
	return error;
}

static struct cp_error *leave_out_all(struct settling *s, cp_note_fn *note, void *context)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; i < s->names.count && !error; i++) {
		const char *name = s->names.texts[i];

		if (s->found[i] & STEP_DIFFERS)
			error = leave_out(s, name, CP_IGNORED_STEPS, note, context);
		else if (s->found[i] & VALUES_DIFFER)
			error = leave_out(s, name, CP_IGNORED_VALUES, note, context);
		if (!error && s->found[i] & LINE_DIFFERS)
			error = leave_out(s, name, CP_IGNORED_LINES, note, context);
		else if (!error && s->found[i] & NUMBERS_DIFFER)
			error = leave_out(s, name, CP_IGNORED_NUMBERS, note, context);
	}
	return error;
}

/* -- Rounds -- */

static struct cp_error *compare_all(struct settling *s, struct cp_steps *steps)
{
	const struct cp_making *m = s->making;
	struct cp_error *error = NULL;

	for (size_t i = 0; i < m->count && !error; i++)
		error = cp_steps_of_trace(m->traces[i], &m->rule, &s->names, &steps[i]);
	s->any = false;
	s->found = error ? NULL : calloc(s->names.count + 1, 1);
	if (!error && !s->found)
		error = &cp_error_no_memory;
	for (size_t i = 1; i < m->count && !error; i++)
		error = compare_boots(s, &steps[0], &steps[i], i);
	for (size_t i = 0; i < m->count; i++)
		cp_steps_deinit(&steps[i]);
	return error;
}

static struct cp_error *check_ends(const struct cp_making *m)
{
	static const char *const keys[] = { "outcome", "reason" };

	for (size_t i = 0; i < m->count; i++) {
		if (!m->traces[i]->end)
			return cp_error_create(CP_ERROR_NOT_FOUND, "%s: the boot was cut off, and is no baseline: record it anew",
				m->traces[i]->path);
		for (size_t k = 0; k < 2; k++) {
			const char *a = json_string_value(json_object_get(m->traces[0]->end, keys[k]));
			const char *b = json_string_value(json_object_get(m->traces[i]->end, keys[k]));

			if (strcmp(a ? a : "", b ? b : ""))
				return cp_error_create(CP_ERROR_NOT_FOUND, "%s ended with \"%s\", and %s with \"%s\": runs of one boot that "
					"end differently are no baseline", m->traces[0]->path, a ? a : "", m->traces[i]->path, b ? b : "");
		}
	}
	return NULL;
}

struct cp_error *cp_baseline_settle(struct cp_making *making, cp_note_fn *note, void *context)
{
	struct cp_steps *steps = calloc(making->count, sizeof(*steps));
	struct cp_error *error = steps ? check_ends(making) : &cp_error_no_memory;
	struct settling s = { .making = making, .any = true };

	/* Each round leaves out one name more, at least. */
	while (!error && s.any && making->count > 1) {
		cp_names_init(&s.names);
		error = compare_all(&s, steps);
		if (!error && s.any)
			error = leave_out_all(&s, note, context);
		free(s.found);
		s.found = NULL;
		memset(steps, 0, making->count * sizeof(*steps));
		cp_names_deinit(&s.names);
	}
	free(steps);
	return error;
}
