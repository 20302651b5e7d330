/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trace did, as the lines of a baseline: each text once, and sections of their numbers. */
#include <stdlib.h>

#include "baseline/writing.h"
#include "trace/inside.h"

#define STREAMS (65536 - CP_STREAM_CONSOLE)

static struct cp_lines *section_of(struct cp_writing *w, int stream)
{
	struct cp_lines *grown;
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
	grown[w->section_count++] = (struct cp_lines){ .stream = stream };
	*index = (uint32_t)w->section_count;
	return &grown[w->section_count - 1];
}

static struct cp_error *add_id(struct cp_writing *w, int stream, uint32_t id)
{
	struct cp_lines *section = section_of(w, stream);
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

static struct cp_error *add_line(struct cp_writing *w, int stream, const struct cp_text *text)
{
	uint32_t id;
	struct cp_error *error = text->failed ? &cp_error_no_memory :
		cp_names_number(&w->texts, text->length ? text->bytes : "", text->length, &id);

	return error ? error : add_id(w, stream, id);
}

/* What is known of the step's name. */
static struct cp_error *source_of(struct cp_writing *w, struct cp_source **ret)
{
	uint32_t number;
	struct cp_error *error = cp_names_number(&w->whats, w->step.what.length ? w->step.what.bytes : "",
		w->step.what.length, &number);

	while (!error && w->source_count <= number) {
		struct cp_source *grown = cp_grow(w->sources, w->source_count, sizeof(*grown));

		if (!grown)
			return &cp_error_no_memory;
		w->sources = grown;
		grown[w->source_count++] = (struct cp_source){ .address = 0 };
	}
	*ret = error ? NULL : &w->sources[number];
	return error;
}

static struct cp_error *note_source(struct cp_writing *w, const struct cp_event *event, struct cp_source *source)
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
static struct cp_error *take_console(struct cp_writing *w, const struct cp_event *event)
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
static void know(struct cp_writing *w, const struct cp_event *event, const struct cp_source *source)
{
	if (event->id && !event->value_count)
		w->known[event->id] = source->text;
}

static struct cp_error *take_step(struct cp_writing *w, const struct cp_event *event)
{
	struct cp_text text = { .bytes = NULL };
	struct cp_source *source;
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
		const struct cp_lines *section = section_of(w, w->step.stream);

		source->text = section->ids[section->count - 1] + 1;
		know(w, event, source);
	}
	cp_text_deinit(&text);
	return error;
}

static struct cp_error *take_event(void *context, const struct cp_event *event)
{
	struct cp_writing *w = context;
	struct cp_error *error;

	if (w->known[event->id] && !event->value_count)
		return add_id(w, event->vcpu, w->known[event->id] - 1);
	error = cp_step_of_event(event, &w->making->rule, w->making->traces[0], &w->step);
	if (error || !w->step.is_step)
		return error;
	return w->step.stream == CP_STREAM_CONSOLE ? take_console(w, event) : take_step(w, event);
}

static int by_stream(const void *a, const void *b)
{
	const struct cp_lines *x = a, *y = b;

	return x->stream < y->stream ? -1 : x->stream > y->stream;
}

struct cp_error *cp_writing_collect(struct cp_writing *w)
{
	struct cp_error *error;

	w->known = calloc(cp_trace_ids(w->making->traces[0]), sizeof(*w->known));
	error = w->known ? cp_trace_walk_apart(w->making->traces[0], take_event, w) : &cp_error_no_memory;
	if (w->section_count)
		qsort(w->sections, w->section_count, sizeof(*w->sections), by_stream);
	return error;
}
