/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/make.h"
#include "diff/machine.h"
#include "trace/inside.h"

#define RUN_OF_PATH 2	/* parts of a source's path that are kept: where a tree lies is its owner's business */

/* Lines of one section, in order, as numbers of their texts. */
struct lines {
	int stream;
	uint32_t *ids;
	size_t count;
};

/* Where a step is in the source. */
struct source {
	uint64_t address;	/* 0: unknown */
	const char *file;	/* the arena's; NULL: not known yet */
	unsigned int line;
	bool is_known;		/* the step was seen */
};

struct writing {
	const struct cp_making *making;
	struct cp_arena arena;
	struct cp_names texts;	/* of lines */
	struct cp_names whats;	/* of steps that have an address or a file */
	struct source *sources;	/* by number of what */
	size_t source_count;
	struct lines *sections;
	size_t section_count;
	struct cp_step_texts step, line;	/* for use again and again */
	FILE *out;
	const struct lines *of;	/* what is folded */
};

/* -- Steps, collected -- */

static struct lines *section_of(struct writing *w, int stream)
{
	struct lines *grown;

	for (size_t i = 0; i < w->section_count; i++) {
		if (w->sections[i].stream == stream)
			return &w->sections[i];
	}
	grown = cp_grow(w->sections, w->section_count, sizeof(*grown));
	if (!grown)
		return NULL;
	w->sections = grown;
	grown[w->section_count] = (struct lines){ .stream = stream };
	return &grown[w->section_count++];
}

static struct cp_error *add_line(struct writing *w, int stream, const struct cp_text *text)
{
	struct lines *section = section_of(w, stream);
	uint32_t *grown;
	struct cp_error *error;

	if (!section || text->failed)
		return &cp_error_no_memory;
	grown = cp_grow(section->ids, section->count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	section->ids = grown;
	error = cp_names_number(&w->texts, text->length ? text->bytes : "", text->length, &grown[section->count]);
	if (!error)
		section->count++;
	return error;
}

static struct cp_error *note_source(struct writing *w, const struct cp_event *event)
{
	json_t *object = NULL;
	struct source *source;
	const char *file;
	uint32_t number;
	struct cp_error *error = cp_names_number(&w->whats, w->step.what.length ? w->step.what.bytes : "",
		w->step.what.length, &number);

	while (!error && w->source_count <= number) {
		struct source *grown = cp_grow(w->sources, w->source_count, sizeof(*grown));

		if (!grown)
			return &cp_error_no_memory;
		w->sources = grown;
		grown[w->source_count++] = (struct source){ .address = 0 };
	}
	source = error ? NULL : &w->sources[number];
	if (error || source->is_known)
		return error;
	source->is_known = true;
	source->address = event->is_entry ? event->address : 0;
	if (!event->json)
		return NULL;
	error = cp_trace_object(event->json, event->json_length, &object);
	file = json_string_value(json_object_get(object, "file"));
	if (!error && file) {
		source->file = cp_arena_strdup(&w->arena, file);
		source->line = (unsigned int)json_integer_value(json_object_get(object, "line"));
		error = source->file ? NULL : &cp_error_no_memory;
	}
	json_decref(object);
	return error;
}

/* The console's line as it is read again: all of it that can be compared. */
static struct cp_error *take_console(struct writing *w, const struct cp_event *event)
{
	struct cp_step_rule whole = { .console = CP_CONSOLE_EXACT, .other_kernel = true };
	struct cp_text escaped = { .bytes = NULL };
	struct cp_error *error;

	cp_text_clear(&w->line.what);
	cp_text_clear(&w->line.values);
	cp_step_of_line(event->text, event->text_length, &whole, &w->line);
	cp_baseline_escape(&escaped, w->line.values.length ? w->line.values.bytes : "", w->line.values.length, false);
	error = w->line.values.failed ? &cp_error_no_memory : add_line(w, CP_STREAM_CONSOLE, &escaped);
	cp_text_deinit(&escaped);
	return error;
}

static struct cp_error *take_step(struct writing *w, const struct cp_event *event)
{
	struct cp_text text = { .bytes = NULL };
	struct cp_error *error = w->step.stream >= 0 ? note_source(w, event) : NULL;

	cp_baseline_escape(&text, w->step.what.length ? w->step.what.bytes : "", w->step.what.length, true);
	if (w->step.values.length) {
		cp_text_add(&text, " {", 2);
		cp_baseline_escape(&text, w->step.values.bytes, w->step.values.length, false);
		cp_text_add(&text, "}", 1);
	}
	if (!error)
		error = add_line(w, w->step.stream, &text);
	cp_text_deinit(&text);
	return error;
}

static struct cp_error *take_event(void *context, const struct cp_event *event)
{
	struct writing *w = context;
	struct cp_error *error = cp_step_of_event(event, &w->making->rule, w->making->traces[0], &w->step);

	if (error || !w->step.is_step)
		return error;
	return w->step.stream == CP_STREAM_CONSOLE ? take_console(w, event) : take_step(w, event);
}

/* -- Sections of keys -- */

static void print_text(FILE *out, const char *key, const char *value)
{
	if (value && *value)
		fprintf(out, "%s = %s\n", key, value);
}

static void print_json(FILE *out, const char *key, json_t *value)
{
	if (!value)
		return;
	fprintf(out, "%s = ", key);
	json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
	putc('\n', out);
}

static void print_recorded(FILE *out, const struct cp_making *m)
{
	const struct cp_trace *trace = m->traces[0];
	json_t *kernel = json_object_get(trace->header, "kernel"), *qemu = json_object_get(trace->header, "qemu");
	const char *id = cp_trace_build_id(trace);

	fputs("[recorded]\n", out);
	print_text(out, "kernel", json_string_value(json_object_get(kernel, "name")));
	if (id)
		print_text(out, "build-id", id);
	else
		print_text(out, "sha256", json_string_value(json_object_get(kernel, "sha256")));
	print_text(out, "qemu", json_string_value(json_object_get(qemu, "version")));
	for (size_t i = 0; cp_machine_options[i]; i++) {
		const char *value = cp_machine_argument(trace, cp_machine_options[i]);

		if (value)
			fprintf(out, "option = %s%s%s\n", cp_machine_options[i], *value ? " " : "", value);
	}
	print_text(out, "clock", json_string_value(json_object_get(trace->header, "clock")));
	print_json(out, "listed", json_object_get(trace->header, "listed"));
	print_json(out, "args", json_object_get(trace->header, "args"));
	fprintf(out, "runs = %zu\n\n", m->count);
}

static void print_compare(FILE *out, const struct cp_making *m, bool has_durations)
{
	static const char *const consoles[] = { "exact", "text", "none" };

	fprintf(out, "[compare]\nconsole = %s\n", consoles[m->rule.console]);
	if (!m->times)
		fputs("slower = no\n", out);
	else if (has_durations)
		fprintf(out, "slower = %" PRIu64 "%%\n", m->slower);
	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++) {
		for (size_t i = 0; i < m->rule.ignored[kind].count; i++)
			print_text(out, cp_ignored_words[kind], m->rule.ignored[kind].items[i]);
	}
	putc('\n', out);
}

static struct cp_error *print_durations(FILE *out, const struct cp_durations *durations)
{
	struct cp_text name = { .bytes = NULL };
	bool failed;

	if (!durations->whole)
		return NULL;
	fprintf(out, "[durations]\n(whole boot) = %" PRIu64 " us\n", durations->whole / 1000);
	for (size_t i = 0; i < durations->count; i++) {
		const struct cp_duration *d = &durations->items[i];

		if (d->ns < durations->whole / CP_DURATIONS_LEAST)
			continue;
		cp_text_clear(&name);
		cp_baseline_escape(&name, d->name, strlen(d->name), true);
		fprintf(out, "%s = %" PRIu64 " us\n", name.bytes ? name.bytes : "", d->ns / 1000);
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

static struct cp_error *find_lines(struct writing *w)
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
		struct source *s = &w->sources[i];

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
	const struct source *source;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static struct cp_error *print_functions(struct writing *w)
{
	struct named *all = calloc(w->source_count + 1, sizeof(*all));
	struct cp_text name = { .bytes = NULL };
	size_t count = 0;
	bool failed;

	if (!all)
		return &cp_error_no_memory;
	for (size_t i = 0; i < w->source_count; i++) {
		if (w->sources[i].file)
			all[count++] = (struct named){ w->whats.texts[i], &w->sources[i] };
	}
	qsort(all, count, sizeof(*all), by_name);
	if (count)
		fputs("[functions]\n", w->out);
	for (size_t i = 0; i < count; i++) {
		cp_text_clear(&name);
		cp_baseline_escape(&name, all[i].name, strlen(all[i].name), true);
		fprintf(w->out, "%s = %s", name.bytes ? name.bytes : "", tail_of(all[i].source->file));
		if (all[i].source->line)
			fprintf(w->out, ":%u", all[i].source->line);
		putc('\n', w->out);
	}
	if (count)
		putc('\n', w->out);
	failed = name.failed;
	cp_text_deinit(&name);
	free(all);
	return failed ? &cp_error_no_memory : NULL;
}

static struct cp_error *print_end(FILE *out, const struct cp_trace *trace)
{
	static const char *const keys[] = { "reason", "outcome" };	/* the outcome last: a file that is cut has none */
	struct cp_text text = { .bytes = NULL };
	bool failed;

	fputs("[end]\n", out);
	for (size_t i = 0; i < 2; i++) {
		json_t *value = json_object_get(trace->end, keys[i]);

		cp_text_clear(&text);
		cp_baseline_escape(&text, json_string_value(value) ? json_string_value(value) : "none", json_string_length(value),
			false);
		fprintf(out, "%s = %s\n", keys[i], text.length ? text.bytes : "none");
	}
	failed = text.failed;
	cp_text_deinit(&text);
	return failed ? &cp_error_no_memory : NULL;
}

/* -- Sections of steps -- */

static void indent(const struct writing *w, size_t depth)
{
	for (size_t i = 0; i <= depth; i++)
		fputs("    ", w->out);
}

static void print_plain(void *context, size_t depth, uint32_t at)
{
	const struct writing *w = context;

	indent(w, depth);
	fprintf(w->out, "%s\n", w->texts.texts[w->of->ids[at]]);
}

static void print_open(void *context, size_t depth, uint32_t times)
{
	indent(context, depth);
	fprintf(((struct writing *)context)->out, "%" PRIu32 " times {\n", times);
}

static void print_close(void *context, size_t depth)
{
	indent(context, depth);
	fputs("}\n", ((struct writing *)context)->out);
}

static struct cp_error *print_steps(struct writing *w, const struct lines *lines)
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

static int by_stream(const void *a, const void *b)
{
	const struct lines *x = a, *y = b;

	return x->stream < y->stream ? -1 : x->stream > y->stream;
}

static struct cp_error *print_all(struct writing *w)
{
	const struct cp_making *m = w->making;
	struct cp_durations durations;
	struct cp_error *error = cp_durations_of_trace(m->traces[0], &m->rule, &durations);

	if (error)
		return error;
	fprintf(w->out, CP_BASELINE_MAGIC " %d\n\n", CP_BASELINE_VERSION);
	print_recorded(w->out, m);
	print_compare(w->out, m, durations.whole);
	if (m->times)
		error = print_durations(w->out, &durations);
	cp_durations_deinit(&durations);
	if (w->section_count)
		qsort(w->sections, w->section_count, sizeof(*w->sections), by_stream);
	for (size_t i = 0; i < w->section_count && !error; i++)
		error = print_steps(w, &w->sections[i]);
	if (!error && m->kernel)
		error = find_lines(w);
	if (!error)
		error = print_functions(w);
	return error ? error : print_end(w->out, m->traces[0]);
}

struct cp_error *cp_baseline_write(FILE *out, const struct cp_making *making)
{
	struct writing w = { .making = making, .out = out };
	struct cp_error *error;

	cp_arena_init(&w.arena);
	cp_names_init(&w.texts);
	cp_names_init(&w.whats);
	error = cp_trace_walk(making->traces[0], take_event, &w);
	if (!error)
		error = print_all(&w);
	for (size_t i = 0; i < w.section_count; i++)
		free(w.sections[i].ids);
	free(w.sections);
	free(w.sources);
	cp_text_deinit(&w.step.what);
	cp_text_deinit(&w.step.values);
	cp_text_deinit(&w.line.what);
	cp_text_deinit(&w.line.values);
	cp_names_deinit(&w.texts);
	cp_names_deinit(&w.whats);
	cp_arena_deinit(&w.arena);
	return error;
}
