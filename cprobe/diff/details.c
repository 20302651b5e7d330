/* SPDX-License-Identifier: BSD-2-Clause */
/* More of some steps, from the trace that they are of. Of blocks alone only those that have one are decoded. */
#include <stdlib.h>
#include <string.h>

#include "diff/steps.h"
#include "trace/inside.h"

struct looking {
	const struct cp_steps *steps;
	struct cp_step_details *wanted;
	size_t count;
	size_t *seen;			/* by stream: steps */
	size_t *next;			/* by stream: the first of `wanted` that is not found yet */
	struct cp_step_texts texts;
	uint8_t *known;			/* by id of the event, of one without values: 1 a step, 2 none, 0 not known yet; owned */
};

static struct cp_error *fill_details(struct looking *l, const struct cp_event *event, struct cp_step_details *ret)
{
	json_t *object = NULL;
	struct cp_error *error = NULL;
	const char *file;
	bool good = true;

	ret->known = true;
	ret->t = event->t;
	ret->address = event->is_entry ? event->address : 0;
	if (l->texts.values.length && !event->text)
		good = cp_step_details_text(&ret->values, l->texts.values.bytes, l->texts.values.length);
	if (event->text && good)
		good = cp_step_details_text(&ret->text, event->text, event->text_length);
	if (!good || !event->json)
		return good ? NULL : &cp_error_no_memory;
	error = cp_trace_object(event->json, event->json_length, &object);
	file = json_string_value(json_object_get(object, "file"));
	if (!error && file) {
		json_t *line = json_object_get(object, "line");

		ret->line = json_integer_value(line) > 0 ? (unsigned int)json_integer_value(line) : 0;
		error = cp_step_details_text(&ret->file, file, strlen(file)) ? NULL : &cp_error_no_memory;
	}
	json_decref(object);
	return error;
}

static struct cp_error *look_at(void *context, const struct cp_event *event)
{
	struct looking *l = context;
	const struct cp_stream *s;
	uint8_t *known = event->id && !event->value_count && l->known ? &l->known[event->id] : NULL;
	struct cp_error *error = NULL;
	size_t stream, at;

	if (known && *known) {
		l->texts.is_step = *known == 1;
		l->texts.stream = event->vcpu;
		cp_text_clear(&l->texts.values);
	} else {
		error = cp_step_of_event(event, &l->steps->rule, l->steps->trace, &l->texts);
	}
	if (!error && known)
		*known = l->texts.is_step ? 1 : 2;
	if (error || !l->texts.is_step)
		return error;
	s = cp_steps_stream(l->steps, l->texts.stream);
	if (!s)		/* another event, by whom writes the file meanwhile */
		return NULL;
	stream = (size_t)(s - l->steps->streams);
	at = l->seen[stream]++;
	for (size_t *n = &l->next[stream]; !error && *n < l->count; ++*n) {
		if (l->wanted[*n].stream != stream || l->wanted[*n].at != at)
			break;
		error = fill_details(l, event, &l->wanted[*n]);
	}
	return error;
}

/* The wanted steps of one block. */
static struct cp_error *look_in_block(struct looking *l, struct cp_cursor *cursor, size_t block, size_t stream)
{
	const struct cp_trace *trace = l->steps->trace;
	uint16_t kind = trace->blocks[block].kind;
	size_t *next = &l->next[stream], *seen = &l->seen[stream], count = trace->blocks[block].count;
	struct cp_error *error = NULL;
	bool more = true;

	if (*next >= l->count || l->wanted[*next].stream != stream || l->wanted[*next].at >= *seen + count) {
		*seen += count;
		return NULL;
	}
	error = cp_cursor_open(cursor, trace, block);
	while (!error) {
		struct cp_event event = { .vcpu = -1, .kind = "console" };
		struct cp_hit hit;

		if (kind == CP_BLOCK_CONSOLE)
			error = cp_cursor_console(cursor, &event.text, &event.text_length, &more);
		else
			error = cp_cursor_hit(cursor, &hit, &more);
		if (error || !more)
			break;
		if (kind == CP_BLOCK_EVENTS) {
			event = (struct cp_event){ .vcpu = trace->blocks[block].vcpu, .kind = "hit", .is_entry = true,
				.function = trace->functions[hit.function].name, .address = trace->functions[hit.function].address,
				.values = cursor->values, .value_count = hit.value_count };
		}
		event.t = cursor->t;
		if (*next >= l->count || l->wanted[*next].stream != stream || l->wanted[*next].at != *seen)
			++*seen;
		else
			error = look_at(l, &event);
	}
	return error;
}

static struct cp_error *look_in_blocks(struct looking *l)
{
	const struct cp_trace *trace = l->steps->trace;
	struct cp_cursor cursor = { .trace = NULL };
	struct cp_error *error = NULL;

	for (size_t i = 0; i < trace->block_count && !error; i++) {
		uint16_t kind = trace->blocks[i].kind;
		const struct cp_stream *s = NULL;

		if (kind == CP_BLOCK_EVENTS || kind == CP_BLOCK_CONSOLE)
			s = cp_steps_stream(l->steps, kind == CP_BLOCK_CONSOLE ? CP_STREAM_CONSOLE : trace->blocks[i].vcpu);
		if (s)
			error = look_in_block(l, &cursor, i, (size_t)(s - l->steps->streams));
	}
	cp_cursor_deinit(&cursor);
	return error;
}

struct cp_error *cp_steps_look(const struct cp_steps *steps, struct cp_step_details *wanted, size_t count)
{
	struct looking l = { .steps = steps, .wanted = wanted, .count = count };
	struct cp_error *error;

	if (!count)
		return NULL;
	qsort(wanted, count, sizeof(*wanted), cp_step_details_by_place);
	if (steps->look)
		return steps->look(steps, wanted, count);
	l.seen = calloc(steps->stream_count + 1, sizeof(*l.seen));
	l.next = calloc(steps->stream_count + 1, sizeof(*l.next));
	l.known = calloc(cp_trace_ids(steps->trace), sizeof(*l.known));
	error = l.seen && l.next && l.known ? NULL : &cp_error_no_memory;
	for (size_t i = 0; i < steps->stream_count && !error; i++) {
		l.next[i] = i ? l.next[i - 1] : 0;
		while (l.next[i] < count && wanted[l.next[i]].stream < i)
			l.next[i]++;
	}
	if (!error)
		error = cp_steps_are_told(steps) ? cp_trace_walk_apart(steps->trace, look_at, &l) : look_in_blocks(&l);
	free(l.seen);
	free(l.next);
	free(l.known);
	cp_step_texts_deinit(&l.texts);
	return error;
}
