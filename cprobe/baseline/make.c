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
	m->times = like->times || !like->durations.whole;
	m->slower = like->times ? like->slower : m->slower;
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++) {
		for (size_t i = 0; i < like->rule.ignored[kind].count && !error; i++)
			error = cp_rule_ignore(&m->rule, &m->arena, (enum cp_ignored)kind, like->rule.ignored[kind].items[i]);
	}
	return error;
}

static struct cp_error *check(struct cp_trace *const *traces, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (cp_machine_other_kernel(traces[0], traces[i]))
			return cp_error_create(CP_ERROR_USAGE, "%s and %s are of different kernels: give runs of one boot",
				traces[0]->path, traces[i]->path);
		if (!cp_machine_same_values(traces[0], traces[i]))
			return cp_error_create(CP_ERROR_USAGE, "%s and %s recorded other values: give runs of one boot",
				traces[0]->path, traces[i]->path);
	}
	return NULL;
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
