/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/make.h"
#include "diff/machine.h"
#include "trace/inside.h"

#define STREAMS (65536 - CP_STREAM_CONSOLE)
#define RUN_OF_PATH 2	/* parts of a source's path that are kept: where a tree lies is its owner's business */

/* Lines of one section, in order, as numbers of their texts. */
struct lines {
	int stream;
	uint32_t *ids;
	size_t count;
};

/* What is known of a name of steps: where it is in the source, and its line. */
struct source {
	uint64_t address;	/* 0: unknown */
	const char *file;	/* the arena's; NULL: not known yet */
	unsigned int line;
	bool is_known;		/* such a step was seen on a vCPU */
	uint32_t text;		/* 1 + the number of the line without values; 0: not known yet */
};

struct writing {
	const struct cp_making *making;
	struct cp_arena arena;
	struct cp_names texts;	/* of lines */
	struct cp_names whats;	/* of steps */
	struct source *sources;	/* by number of what */
	size_t source_count;
	struct lines *sections;
	size_t section_count;
	uint32_t *by_stream;	/* 1 + index of a section, by its stream - CP_STREAM_CONSOLE; owned */
	size_t steps;
	uint32_t *known;	/* by id of an event: 1 + the number of its line, if that has no values; owned */
	struct cp_step_texts step, line;	/* for use again and again */
	FILE *out;
	const struct lines *of;	/* what is folded */
};

/* -- Steps, collected -- */

static struct lines *section_of(struct writing *w, int stream)
{
	struct lines *grown;
	uint32_t *index;

	if (!w->by_stream)
		w->by_stream = calloc(STREAMS, sizeof(*w->by_stream));
	if (!w->by_stream)
		return NULL;
	index = &w->by_stream[stream - CP_STREAM_CONSOLE];
	if (*index)
		return &w->sections[*index - 1];
	grown = cp_grow(w->sections, w->section_count, sizeof(*grown));
	if (!grown)
		return NULL;
	w->sections = grown;
	grown[w->section_count++] = (struct lines){ .stream = stream };
	*index = (uint32_t)w->section_count;
	return &grown[w->section_count - 1];
}

static struct cp_error *add_id(struct writing *w, int stream, uint32_t id)
{
	struct lines *section = section_of(w, stream);
	uint32_t *grown = section ? cp_grow(section->ids, section->count, sizeof(*grown)) : NULL;

	if (!grown)
		return &cp_error_no_memory;
	if (w->steps == CP_BASELINE_MOST_STEPS)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: more than %u steps are too many for a baseline: record fewer "
			"functions", w->making->traces[0]->path, CP_BASELINE_MOST_STEPS);
	w->steps++;
	section->ids = grown;
	grown[section->count++] = id;
	return NULL;
}

static struct cp_error *add_line(struct writing *w, int stream, const struct cp_text *text)
{
	uint32_t id;
	struct cp_error *error = text->failed ? &cp_error_no_memory :
		cp_names_number(&w->texts, text->length ? text->bytes : "", text->length, &id);

	return error ? error : add_id(w, stream, id);
}

/* What is known of the step's name. */
static struct cp_error *source_of(struct writing *w, struct source **ret)
{
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
	*ret = error ? NULL : &w->sources[number];
	return error;
}

static struct cp_error *note_source(struct writing *w, const struct cp_event *event, struct source *source)
{
	json_t *object = NULL;
	json_int_t line;
	const char *file;
	struct cp_error *error;

	if (source->is_known)
		return NULL;
	source->is_known = true;
	source->address = event->is_entry ? event->address : 0;
	if (!event->json)
		return NULL;
	error = cp_trace_object(event->json, event->json_length, &object);
	file = json_string_value(json_object_get(object, "file"));
	if (!error && file && *file) {
		line = json_integer_value(json_object_get(object, "line"));
		source->file = cp_arena_strdup(&w->arena, file);
		source->line = line > 0 && line <= INT32_MAX ? (unsigned int)line : 0;
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

/* Such an event's line is this one each time. */
static void know(struct writing *w, const struct cp_event *event, const struct source *source)
{
	if (event->id && !event->value_count)
		w->known[event->id] = source->text;
}

static struct cp_error *take_step(struct writing *w, const struct cp_event *event)
{
	struct cp_text text = { .bytes = NULL };
	struct source *source;
	struct cp_error *error = source_of(w, &source);

	if (!error && w->step.stream >= 0)
		error = note_source(w, event, source);
	if (error)
		return error;
	if (source->text && !w->step.values.length) {
		know(w, event, source);
		return add_id(w, w->step.stream, source->text - 1);
	}
	cp_baseline_escape(&text, w->step.what.length ? w->step.what.bytes : "", w->step.what.length, true);
	if (w->step.values.length) {
		cp_text_add(&text, " {", 2);
		cp_baseline_escape(&text, w->step.values.bytes, w->step.values.length, false);
		cp_text_add(&text, "}", 1);
	}
	error = add_line(w, w->step.stream, &text);
	if (!error && !w->step.values.length) {
		const struct lines *section = section_of(w, w->step.stream);

		source->text = section->ids[section->count - 1] + 1;
		know(w, event, source);
	}
	cp_text_deinit(&text);
	return error;
}

static struct cp_error *take_event(void *context, const struct cp_event *event)
{
	struct writing *w = context;
	struct cp_error *error;

	if (w->known[event->id] && !event->value_count)
		return add_id(w, event->vcpu, w->known[event->id] - 1);
	error = cp_step_of_event(event, &w->making->rule, w->making->traces[0], &w->step);
	if (error || !w->step.is_step)
		return error;
	return w->step.stream == CP_STREAM_CONSOLE ? take_console(w, event) : take_step(w, event);
}

/* -- Sections of keys -- */

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

static struct cp_error *print_recorded(FILE *out, const struct cp_making *m)
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
			fprintf(out, "%s = %s\n", cp_ignored_words[kind], m->rule.ignored[kind].items[i]);
	}
	putc('\n', out);
}

/* Rounded up, so that no boot is slower than itself. */
static uint64_t us_of(uint64_t ns)
{
	return ns / 1000 + (ns % 1000 != 0);
}

static struct cp_error *print_durations(FILE *out, const struct cp_durations *durations)
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

static struct cp_error *print_functions(struct writing *w)
{
	struct named *all = calloc(w->source_count + 1, sizeof(*all));
	struct cp_error *error = NULL;
	size_t count = 0;

	if (!all)
		return &cp_error_no_memory;
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

/* The outcome last: a file that is cut has none. */
static struct cp_error *print_end(FILE *out, const struct cp_trace *trace)
{
	fputs("[end]\n", out);
	return print_text(out, "reason", "", json_string_value(json_object_get(trace->end, "reason"))) &&
		print_text(out, "outcome", "", json_string_value(json_object_get(trace->end, "outcome"))) ? NULL : &cp_error_no_memory;
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
	error = print_recorded(w->out, m);
	print_compare(w->out, m, durations.whole);
	if (!error && m->times)
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

/* All of it or, with an error, none. */
static struct cp_error *print_at_once(struct writing *w, FILE *out)
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
	struct writing w = { .making = making };
	struct cp_error *error;

	cp_arena_init(&w.arena);
	cp_names_init(&w.texts);
	cp_names_init(&w.whats);
	w.known = calloc(cp_trace_ids(making->traces[0]), sizeof(*w.known));
	error = w.known ? cp_trace_walk_apart(making->traces[0], take_event, &w) : &cp_error_no_memory;
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
