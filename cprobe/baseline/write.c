/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline's text: its sections of steps, and the whole. */
#include <inttypes.h>
#include <stdlib.h>

#include "baseline/writing.h"
#include "trace/inside.h"

/* -- Sections of steps -- */

static void indent(const struct cp_writing *w, size_t depth)
{
	for (size_t i = 0; i <= depth; i++)
		fputs("    ", w->out);
}

static void print_plain(void *context, size_t depth, uint32_t at)
{
	const struct cp_writing *w = context;

	indent(w, depth);
	fprintf(w->out, "%s\n", w->texts.texts[w->of->ids[at]]);
}

static void print_open(void *context, size_t depth, uint32_t times)
{
	indent(context, depth);
	fprintf(((struct cp_writing *)context)->out, "%" PRIu32 " times {\n", times);
}

static void print_close(void *context, size_t depth)
{
	indent(context, depth);
	fputs("}\n", ((struct cp_writing *)context)->out);
}

static struct cp_error *print_steps(struct cp_writing *w, const struct cp_lines *lines)
{
	struct cp_folder folder = { print_plain, print_open, print_close, w };
	struct cp_error *error = NULL;

	if (lines->stream == CP_STREAM_CONSOLE)
		fputs("[console]\n", w->out);
	else if (lines->stream == CP_STREAM_SESSION)
		fputs("[session]\n", w->out);
	else
		fprintf(w->out, "[vcpu %d]\n", lines->stream);
	w->of = lines;
	if (lines->stream != CP_STREAM_CONSOLE)
		error = cp_fold(lines->ids, lines->count, &folder);
	for (size_t i = 0; lines->stream == CP_STREAM_CONSOLE && i < lines->count; i++)
		print_plain(w, 0, (uint32_t)i);
	putc('\n', w->out);
	return error;
}

/* -- The whole -- */

static struct cp_error *print_all(struct cp_writing *w)
{
	const struct cp_making *m = w->making;
	struct cp_durations durations;
	struct cp_error *error = cp_durations_of_trace(m->traces[0], &m->rule, &durations);

	if (error)
		return error;
	fprintf(w->out, CP_BASELINE_MAGIC " %d\n\n", CP_BASELINE_VERSION);
	error = cp_write_recorded(w->out, m);
	cp_write_compare(w->out, m, durations.whole);
	if (!error && m->times)
		error = cp_write_durations(w->out, &durations);
	cp_durations_deinit(&durations);
	for (size_t i = 0; i < w->section_count && !error; i++)
		error = print_steps(w, &w->sections[i]);
	if (!error)
		error = cp_write_functions(w);
	return error ? error : cp_write_end(w->out, m->traces[0]);
}

/* All of it or, with an error, none. */
static struct cp_error *print_at_once(struct cp_writing *w, FILE *out)
{
	const char *path = w->making->traces[0]->path;
	char *text = NULL;
	size_t size = 0;
	struct cp_error *error;
	bool failed;

	w->out = open_memstream(&text, &size);
	if (!w->out)
		return &cp_error_no_memory;
	error = print_all(w);
	failed = ferror(w->out) != 0;
	failed |= fclose(w->out) != 0 || !text;	/* glibc does not say that it had no memory for the last part */
	if (!error && failed)
		error = &cp_error_no_memory;
	if (!error && size > (size_t)CP_BASELINE_LARGEST)
		error = cp_error_create(CP_ERROR_UNSUPPORTED, "%s: its baseline would have %zu bytes, which are too many: record fewer "
			"functions, or without arguments", path, size);
	if (!error)
		fwrite(text, 1, size, out);
	free(text);
	return error;
}

struct cp_error *cp_baseline_write(FILE *out, const struct cp_making *making)
{
	struct cp_writing w = { .making = making };
	struct cp_error *error;

	cp_arena_init(&w.arena);
	cp_names_init(&w.texts);
	cp_names_init(&w.whats);
	error = cp_writing_collect(&w);
	if (!error)
		error = print_at_once(&w, out);
	for (size_t i = 0; i < w.section_count; i++)
		free(w.sections[i].ids);
	free(w.sections);
	free(w.by_stream);
	free(w.known);
	free(w.sources);
	cp_step_texts_deinit(&w.step);
	cp_step_texts_deinit(&w.line);
	cp_names_deinit(&w.texts);
	cp_names_deinit(&w.whats);
	cp_arena_deinit(&w.arena);
	return error;
}
