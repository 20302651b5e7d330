/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections "KEY = VALUE" of a baseline; keys.c reads them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/writing.h"
#include "diff/machine.h"
#include "trace/inside.h"

#define RUN_OF_PATH 2	/* parts of a source's path that are kept: where a tree lies is its owner's business */

/* "KEY = VALUE", the value with what `before` has in front of it; both may be left out. False: no memory. */
static bool print_text(FILE *out, const char *key, const char *before, const char *value)
{
	struct cp_text text = { .bytes = NULL };
	bool failed;

	if (!value || (!*value && !*before))
		return true;
	cp_baseline_escape(&text, value, strlen(value), false);
	fprintf(out, "%s = %s%s%s\n", key, before, *before && text.length ? " " : "", text.length ? text.bytes : "");
	failed = text.failed;
	cp_text_deinit(&text);
	return !failed;
}

/* False: no memory. */
static bool print_json(FILE *out, const char *key, const json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (text)
		fprintf(out, "%s = %s\n", key, text);
	free(text);
	return !value || text;
}

static bool print_options(FILE *out, const struct cp_trace *trace)
{
	bool good = true;

	for (size_t i = 0; cp_machine_options[i] && good; i++)
		good = print_text(out, "option", cp_machine_options[i], cp_machine_argument(trace, cp_machine_options[i]));
	return good;
}

struct cp_error *cp_write_recorded(FILE *out, const struct cp_making *m)
{
	const struct cp_trace *trace = m->traces[0];
	json_t *kernel = json_object_get(trace->header, "kernel"), *qemu = json_object_get(trace->header, "qemu");
	const char *id = cp_trace_build_id(trace), *sha256 = json_string_value(json_object_get(kernel, "sha256"));
	bool good;

	fputs("[recorded]\n", out);
	good = print_text(out, "kernel", "", json_string_value(json_object_get(kernel, "name"))) &&
		print_text(out, id ? "build-id" : "sha256", "", id ? id : sha256) &&
		print_text(out, "qemu", "", json_string_value(json_object_get(qemu, "version"))) && print_options(out, trace) &&
		print_text(out, "clock", "", json_string_value(json_object_get(trace->header, "clock"))) &&
		print_json(out, "listed", json_object_get(trace->header, "listed")) &&
		print_json(out, "args", json_object_get(trace->header, "args"));
	fprintf(out, "runs = %zu\n\n", m->count);
	return good && !cp_trace_json_refused() ? NULL : &cp_error_no_memory;
}

void cp_write_compare(FILE *out, const struct cp_making *m, bool has_durations)
{
	static const char *const consoles[] = { "exact", "text", "none" };

	fprintf(out, "[compare]\nconsole = %s\n", consoles[m->rule.console]);
	if (!m->times)
		fputs("slower = no\n", out);
	else if (has_durations)
		fprintf(out, "slower = %" PRIu64 "%%\n", m->slower);
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++) {
		for (size_t i = 0; i < m->rule.ignored[kind].count; i++)
			fprintf(out, "%s = %s\n", cp_ignored_words[kind], m->rule.ignored[kind].items[i]);
	}
	putc('\n', out);
}

/* Rounded up, so that no boot is slower than itself. */
static uint64_t us_of(uint64_t ns)
{
	return ns / 1000 + (ns % 1000 != 0);
}

struct cp_error *cp_write_durations(FILE *out, const struct cp_durations *durations)
{
	struct cp_text name = { .bytes = NULL };
	bool failed;

	if (!durations->whole)
		return NULL;
	fprintf(out, "[durations]\n(whole boot) = %" PRIu64 " us\n", us_of(durations->whole));
	for (size_t i = 0; i < durations->count; i++) {
		const struct cp_duration *d = &durations->items[i];

		if (d->ns < cp_durations_least(durations))
			continue;
		cp_text_clear(&name);
		cp_baseline_escape(&name, d->name, strlen(d->name), true);
		fprintf(out, "%s = %" PRIu64 " us\n", name.bytes ? name.bytes : "", us_of(d->ns));
	}
	putc('\n', out);
	failed = name.failed;
	cp_text_deinit(&name);
	return failed ? &cp_error_no_memory : NULL;
}

/* The path's last parts. */
static const char *tail_of(const char *path)
{
	const char *at = path + strlen(path);

	for (int parts = 0; at > path; at--) {
		parts += at[-1] == '/';
		if (parts == RUN_OF_PATH)
			break;
	}
	return at;
}

static struct cp_error *find_lines(struct cp_writing *w)
{
	uint64_t *addresses = calloc(w->source_count + 1, sizeof(*addresses));
	size_t count = 0, at = 0;
	struct cp_records records;
	struct cp_error *error;

	if (!addresses)
		return &cp_error_no_memory;
	for (size_t i = 0; i < w->source_count; i++) {
		if (w->sources[i].address && !w->sources[i].file)
			addresses[count++] = w->sources[i].address;
	}
	cp_records_init(&records, CP_BRIEF);
	error = count ? cp_symbolize(w->making->kernel, addresses, count, false, &records) : NULL;
	for (size_t i = 0; i < w->source_count && !error && at < records.count; i++) {
		struct cp_source *s = &w->sources[i];

		if (!s->address || s->file)
			continue;
		s->line = records.items[at].line;
		if (records.items[at].file) {
			s->file = cp_arena_strdup(&w->arena, records.items[at].file);
			error = s->file ? NULL : &cp_error_no_memory;
		}
		at++;
	}
	cp_records_deinit(&records);
	free(addresses);
	return error;
}

struct named {
	const char *name;
	const struct cp_source *source;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static struct cp_error *print_function(FILE *out, const struct named *function)
{
	struct cp_text text = { .bytes = NULL };
	const char *file = tail_of(function->source->file);
	bool failed;

	cp_baseline_escape(&text, function->name, strlen(function->name), true);
	cp_text_add(&text, " = ", 3);
	cp_baseline_escape(&text, file, strlen(file), false);
	if (function->source->line)
		cp_text_printf(&text, ":%u", function->source->line);
	failed = text.failed;
	if (!failed)
		fprintf(out, "%s\n", text.bytes);
	cp_text_deinit(&text);
	return failed ? &cp_error_no_memory : NULL;
}

struct cp_error *cp_write_functions(struct cp_writing *w)
{
	struct cp_error *error = w->making->kernel ? find_lines(w) : NULL;
	struct named *all = error ? NULL : calloc(w->source_count + 1, sizeof(*all));
	size_t count = 0;

	if (!all)
		return error ? error : &cp_error_no_memory;
	for (size_t i = 0; i < w->source_count; i++) {
		if (w->sources[i].file)
			all[count++] = (struct named){ w->whats.texts[i], &w->sources[i] };
	}
	qsort(all, count, sizeof(*all), by_name);
	if (count)
		fputs("[functions]\n", w->out);
	for (size_t i = 0; i < count && !error; i++)
		error = print_function(w->out, &all[i]);
	if (count)
		putc('\n', w->out);
	free(all);
	return error;
}

struct cp_error *cp_write_end(FILE *out, const struct cp_trace *trace)
{
	fputs("[end]\n", out);
	return print_text(out, "reason", "", json_string_value(json_object_get(trace->end, "reason"))) &&
		print_text(out, "outcome", "", json_string_value(json_object_get(trace->end, "outcome"))) ? NULL : &cp_error_no_memory;
}
