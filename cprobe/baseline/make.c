/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces of one boot, in; a baseline, out. */
#include <stdlib.h>
#include <string.h>

#include "baseline/make.h"
#include "diff/machine.h"
#include "trace/inside.h"

/* Globs that somebody wrote are kept. */
static struct cp_error *take_like(struct cp_making *m, const struct cp_baseline *like)
{
	struct cp_error *error = NULL;

	m->rule.console = like->rule.console;
	m->times = like->times;
	m->slower = like->slower;
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++) {
		for (size_t i = 0; i < like->rule.ignored[kind].count && !error; i++)
			error = cp_globs_add(&m->rule.ignored[kind], &m->arena, like->rule.ignored[kind].items[i]);
	}
	return error;
}

static const char *text_of(const struct cp_trace *trace, const char *key)
{
	const char *text = json_string_value(json_object_get(trace->end, key));

	return text ? text : "";
}

/* Is it a boot that came to an end that a baseline can tell? */
static struct cp_error *check_end(const struct cp_trace *trace)
{
	if (!trace->end)
		return cp_error_create(CP_ERROR_NOT_FOUND, "%s: the boot was cut off, and is no baseline: record it anew", trace->path);
	if (!cp_baseline_is_outcome(text_of(trace, "outcome")))
		return cp_error_create(CP_ERROR_NOT_FOUND, "%s: the boot's outcome is \"%.60s\", and a baseline has " CP_BASELINE_OUTCOMES,
			trace->path, text_of(trace, "outcome"));
	return cp_steps_check(trace);
}

/* Are they runs of one boot? */
static struct cp_error *check_pair(const struct cp_trace *a, const struct cp_trace *b)
{
	static const char *const keys[] = { "outcome", "reason" };

	if (cp_machine_other_kernel(a, b))
		return cp_error_create(CP_ERROR_USAGE, "%s and %s are of different kernels: give runs of one boot", a->path, b->path);
	if (!cp_machine_same_values(a, b))
		return cp_error_create(CP_ERROR_USAGE, "%s and %s recorded other values: give runs of one boot", a->path, b->path);
	for (size_t i = 0; i < 2; i++) {
		if (strcmp(text_of(a, keys[i]), text_of(b, keys[i])))
			return cp_error_create(CP_ERROR_NOT_FOUND, "%s ended with \"%.200s\", and %s with \"%.200s\": runs of one boot that end "
				"differently are no baseline", a->path, text_of(a, keys[i]), b->path, text_of(b, keys[i]));
	}
	return NULL;
}

static struct cp_error *check(struct cp_trace *const *traces, size_t count)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; i < count && !error; i++)
		error = check_end(traces[i]);
	for (size_t i = 1; i < count && !error; i++)
		error = check_pair(traces[0], traces[i]);
	return error;
}

struct cp_error *cp_baseline_make(struct cp_trace *const *traces, size_t count, const struct cp_baseline_how *how,
	cp_note_fn *note, void *context, FILE *out)
{
	struct cp_making m = { .traces = traces, .count = count, .kernel = how->kernel, .times = true,
		.slower = CP_BASELINE_SLOWER };
	struct cp_error *error = check(traces, count);

	cp_arena_init(&m.arena);
	m.rule.other_kernel = m.rule.as_text = true;
	if (!error && how->like)
		error = take_like(&m, how->like);
	if (how->has_console)
		m.rule.console = how->console;
	if (how->has_slower) {
		m.times = how->slower != CP_SLOWER_NO;
		m.slower = how->slower;
	}
	if (!error)
		error = cp_baseline_settle(&m, note, context);
	if (!error)
		error = cp_baseline_write(out, &m);
	for (size_t i = 0; i < CP_IGNORED_KINDS; i++)
		free(m.rule.ignored[i].items);
	cp_arena_deinit(&m.arena);
	return error;
}
