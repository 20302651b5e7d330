/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "diff/steps.h"

/* Numbers of steps go into 32 bits, and into differences of two. */
#define MOST_STEPS ((size_t)INT32_MAX)

/* vCPUs have 16 bits in a trace; and two more. */
#define MOST_STREAMS 65538

void cp_steps_deinit(struct cp_steps *steps)
{
	for (size_t i = 0; i < steps->stream_count; i++) {
		free(steps->streams[i].what);
		free(steps->streams[i].values);
		free(steps->streams[i].times);
	}
	free(steps->streams);
	free(steps->by_number);
	steps->by_number = NULL;
	steps->streams = NULL;
	steps->stream_count = 0;
}

struct cp_stream *cp_steps_make_stream(struct cp_steps *steps, int number)
{
	struct cp_stream *grown;
	uint32_t *index;

	if (!steps->by_number)
		steps->by_number = calloc(MOST_STREAMS, sizeof(*steps->by_number));
	if (!steps->by_number)
		return NULL;
	index = &steps->by_number[number - CP_STREAM_CONSOLE];
	if (*index)
		return &steps->streams[*index - 1];
	grown = cp_grow(steps->streams, steps->stream_count, sizeof(*grown));
	if (!grown)
		return NULL;
	steps->streams = grown;
	grown += steps->stream_count++;
	*index = (uint32_t)steps->stream_count;
	*grown = (struct cp_stream){ .number = number };
	return grown;
}

/* Room for one more step; false: no memory. */
static bool make_room(struct cp_stream *s)
{
	size_t room = s->room ? s->room + s->room / 2 : 64;
	uint32_t *what;
	uint64_t *more;

	if (s->count < s->room)
		return true;
	what = realloc(s->what, room * sizeof(*what));
	if (!what)
		return false;
	s->what = what;
	if (s->values) {
		more = realloc(s->values, room * sizeof(*more));
		if (!more)
			return false;
		s->values = more;
	}
	if (s->number < 0) {
		more = realloc(s->times, room * sizeof(*more));
		if (!more)
			return false;
		s->times = more;
	}
	s->room = room;
	return true;
}

struct cp_error *cp_steps_add_number(struct cp_steps *steps, int stream, uint32_t what, uint64_t values, uint64_t t)
{
	struct cp_stream *s = cp_steps_make_stream(steps, stream);

	if (!s)
		return &cp_error_no_memory;
	if (s->count == MOST_STEPS)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "more than %zu steps of one vCPU: compare boots that are shorter",
			MOST_STEPS);
	if (!make_room(s))
		return &cp_error_no_memory;
	if (values && !s->values) {
		s->values = calloc(s->room, sizeof(*s->values));
		if (!s->values)
			return &cp_error_no_memory;
	}
	s->what[s->count] = what;
	if (s->values)
		s->values[s->count] = values;
	if (s->times)
		s->times[s->count] = t;
	s->count++;
	return NULL;
}

struct cp_error *cp_steps_add(struct cp_steps *steps, const struct cp_step *step)
{
	uint32_t what;
	struct cp_error *error = cp_names_number(steps->names, step->what, step->what_length, &what);

	return error ? error : cp_steps_add_number(steps, step->stream, what, step->values, step->t);
}

static int by_number(const void *a, const void *b)
{
	const struct cp_stream *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

void cp_steps_sort(struct cp_steps *steps)
{
	if (steps->stream_count)
		qsort(steps->streams, steps->stream_count, sizeof(*steps->streams), by_number);
}

const struct cp_stream *cp_steps_stream(const struct cp_steps *steps, int number)
{
	struct cp_stream key = { .number = number };

	return steps->stream_count ? bsearch(&key, steps->streams, steps->stream_count, sizeof(key), by_number) : NULL;
}

void cp_step_details_deinit(struct cp_step_details *details, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(details[i].values);
		free(details[i].text);
		free(details[i].file);
	}
}

int cp_step_details_by_place(const void *a, const void *b)
{
	const struct cp_step_details *x = a, *y = b;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

bool cp_step_details_text(char **ret, const char *bytes, size_t length)
{
	*ret = malloc(length + 1);
	if (*ret) {
		memcpy(*ret, bytes, length);
		(*ret)[length] = 0;
	}
	return *ret != NULL;
}
