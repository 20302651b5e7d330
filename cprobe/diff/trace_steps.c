/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of a trace. Of blocks alone each vCPU's order is that of its blocks, so that these are decoded on all CPUs,
 * each to its place. Where a session in GDB has told more into them, all are walked in order of time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/large.h"
#include "base/work.h"
#include "diff/steps.h"
#include "trace/inside.h"

/* -- By a walk -- */

/* What is known of a function that was entered without values. */
struct known {
	uint32_t name;	/* 1 + its number; 0: not known yet */
	bool is_step;
};

struct taking {
	struct cp_steps *steps;
	struct cp_step_texts texts;
	struct known *known;	/* by id of the event; owned; NULL: no two events are alike */
};

static struct cp_error *take_event(void *context, const struct cp_event *event)
{
	struct taking *t = context;
	struct known *known = event->id && !event->value_count && t->known ? &t->known[event->id] : NULL;
	uint32_t name;
	struct cp_error *error;

	if (known && known->name)
		return !known->is_step ? NULL : cp_steps_add_number(t->steps, event->vcpu, known->name - 1, 0, event->t);
	error = cp_step_of_event(event, &t->steps->rule, t->steps->trace, &t->texts);
	if (error || (!t->texts.is_step && !known))
		return error;
	error = cp_names_number(t->steps->names, t->texts.what.length ? t->texts.what.bytes : "", t->texts.what.length, &name);
	if (!error && known)
		*known = (struct known){ name + 1, t->texts.is_step };
	return error || !t->texts.is_step ? error : cp_steps_add_number(t->steps, t->texts.stream, name, t->texts.hash, event->t);
}

static struct cp_error *take_all(struct cp_steps *steps)
{
	struct taking t = { .steps = steps, .known = calloc(cp_trace_ids(steps->trace), sizeof(*t.known)) };
	struct cp_error *error = t.known ? cp_trace_walk_apart(steps->trace, take_event, &t) : &cp_error_no_memory;

	free(t.known);
	cp_step_texts_deinit(&t.texts);
	return error;
}

/* -- By blocks -- */

struct filling {
	struct cp_steps *steps;
	const uint32_t *numbers;	/* names' by the trace's ids of functions */
	const size_t *places;		/* by block: its stream, and its first step there */
	struct cp_cursor *cursors;	/* by worker */
	int return_value;
};

static struct cp_error *fill_block(void *context, size_t worker, size_t block)
{
	const struct filling *f = context;
	const struct cp_trace *trace = f->steps->trace;
	struct cp_cursor *cursor = &f->cursors[worker];
	struct cp_stream *s;
	struct cp_hit hits[CP_HITS];
	size_t count, at;
	struct cp_error *error;

	if (trace->blocks[block].kind != CP_BLOCK_EVENTS)
		return NULL;
	s = &f->steps->streams[f->places[2 * block]];
	at = f->places[2 * block + 1];
	error = cp_cursor_open(cursor, trace, block);
	while (!error) {
		error = cp_cursor_hits(cursor, hits, CP_HITS, &count);
		if (error || !count)
			break;
		/* Those with values come one by one. */
		for (size_t i = 0; i < count; i++) {
			s->what[at + i] = f->numbers[hits[i].function];
			if (s->values)
				s->values[at + i] = cp_step_hash_values(cursor->values, hits[i].value_count, &f->steps->rule,
					f->return_value);
		}
		at += count;
	}
	return error;
}

/* Where each block's steps go. */
static struct cp_error *place_blocks(struct cp_steps *steps, size_t *places)
{
	const struct cp_trace *trace = steps->trace;

	for (size_t i = 0; i < trace->block_count; i++) {
		const struct cp_trace_block *b = &trace->blocks[i];
		struct cp_stream *s;

		if (b->kind != CP_BLOCK_EVENTS)
			continue;
		if (b->count > b->size / 2)	/* an entry takes two bytes and more */
			return cp_trace_corrupt(trace, b->at, "the block claims %u entries, and has %u bytes", b->count, b->size);
		s = cp_steps_make_stream(steps, b->vcpu);
		if (!s)
			return &cp_error_no_memory;
		s->has_values |= !steps->rule.no_values && (b->flags & CP_BLOCK_HAS_VALUES);
		places[2 * i] = (size_t)(s - steps->streams);
		places[2 * i + 1] = s->count;
		s->count += b->count;
		if (s->count > INT32_MAX)
			return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: more than %d entries of one vCPU: compare boots that are "
				"shorter", trace->path, INT32_MAX);
		s->room = s->count;
	}
	return NULL;
}

static struct cp_error *make_arrays(struct cp_steps *steps)
{
	for (size_t i = 0; i < steps->stream_count; i++) {
		struct cp_stream *s = &steps->streams[i];

		s->what = cp_large_alloc((s->count + 1) * sizeof(*s->what));
		if (s->what && s->has_values)
			s->values = cp_large_alloc((s->count + 1) * sizeof(*s->values));
		if (!s->what || (!s->values && s->has_values))
			return &cp_error_no_memory;
	}
	return NULL;
}

static struct cp_error *fill_all(struct cp_steps *steps, const uint32_t *numbers, const size_t *places)
{
	struct cp_cursor cursors[CP_MAX_WORKERS];
	struct filling f = { steps, numbers, places, cursors, cp_step_return_value(steps->trace) };
	size_t workers = cp_workers(steps->trace->block_count, 4);
	struct cp_error *error;

	memset(cursors, 0, sizeof(cursors));
	error = cp_work(steps->trace->block_count, workers, fill_block, &f);
	for (size_t w = 0; w < workers; w++)
		cp_cursor_deinit(&cursors[w]);
	return error;
}

static struct cp_error *number_functions(const struct cp_steps *steps, uint32_t *numbers)
{
	const struct cp_trace *trace = steps->trace;
	struct cp_error *error = NULL;

	for (size_t id = 0; id < trace->function_limit && !error; id++) {
		const char *name = trace->functions[id].name;

		if (name)
			error = cp_names_number(steps->names, name, strlen(name), &numbers[id]);
	}
	return error;
}

static struct cp_error *take_consoles(struct cp_steps *steps)
{
	const struct cp_trace *trace = steps->trace;
	struct cp_cursor cursor = { .trace = NULL };
	struct taking t = { .steps = steps };
	struct cp_error *error = NULL;

	for (size_t i = 0; i < trace->block_count && !error; i++) {
		struct cp_event event = { .vcpu = -1, .kind = "console" };
		bool more = trace->blocks[i].kind == CP_BLOCK_CONSOLE;

		if (more)
			error = cp_cursor_open(&cursor, trace, i);
		while (!error && more) {
			error = cp_cursor_console(&cursor, &event.text, &event.text_length, &more);
			event.t = cursor.t;
			if (!error && more)
				error = take_event(&t, &event);
		}
	}
	cp_cursor_deinit(&cursor);
	cp_step_texts_deinit(&t.texts);
	return error;
}

static struct cp_error *take_blocks(struct cp_steps *steps)
{
	const struct cp_trace *trace = steps->trace;
	uint32_t *numbers = calloc(trace->function_limit + 1, sizeof(*numbers));
	size_t *places = calloc(2 * trace->block_count + 1, sizeof(*places));
	struct cp_error *error = numbers && places ? NULL : &cp_error_no_memory;

	if (!error)
		error = number_functions(steps, numbers);
	if (!error)
		error = place_blocks(steps, places);
	if (!error)
		error = make_arrays(steps);
	if (!error)
		error = fill_all(steps, numbers, places);
	free(numbers);
	free(places);
	return error ? error : take_consoles(steps);
}

bool cp_steps_are_told(const struct cp_steps *steps)
{
	const struct cp_trace *trace = steps->trace;

	for (size_t i = 0; i < trace->block_count; i++) {
		if (trace->blocks[i].kind == CP_BLOCK_JSON)
			return true;
	}
	return !trace->is_blocks || steps->rule.as_text;
}

struct cp_error *cp_steps_check(const struct cp_trace *trace)
{
	const char *mode = json_string_value(json_object_get(trace->header, "mode"));

	if (!mode || strcmp(mode, "counts"))
		return NULL;
	return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: it has counts, and no order that could be compared: record it "
		"without --coverage", trace->path);
}

struct cp_error *cp_steps_of_trace(struct cp_trace *trace, const struct cp_step_rule *rule, struct cp_names *names,
	struct cp_steps *ret)
{
	struct cp_steps steps = { .names = names, .rule = *rule, .trace = trace, .cut = !trace->end };
	struct cp_error *error = cp_steps_check(trace);

	if (!error)
		error = cp_steps_are_told(&steps) ? take_all(&steps) : take_blocks(&steps);
	if (error) {
		cp_steps_deinit(&steps);
		return error;
	}
	cp_steps_sort(&steps);
	*ret = steps;
	return NULL;
}
