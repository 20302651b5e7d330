/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "diff/durations.h"
#include "diff/machine.h"
#include "trace/inside.h"

#define NONE		UINT32_MAX
#define PARTS		100	/* of a boot; less than one of them is not told */
#define LEAST_NS	1000000

/* What a vCPU entered last. */
struct entered {
	uint32_t function;	/* its name's number; NONE: nothing yet, or what is ignored */
	uint64_t t;
};

struct summing {
	const struct cp_step_rule *rule;
	const struct cp_trace *trace;
	struct cp_names *names;
	struct cp_step_texts texts;
	uint32_t *known;		/* by id of the event: 1 + the name's number, NONE: ignored, 0: not known yet; owned */
	struct entered *vcpus;		/* owned */
	size_t vcpu_count;
	uint64_t *sums;			/* by number; owned */
	size_t sum_count;
	uint64_t last;
};

static struct cp_error *add(struct summing *s, struct entered *vcpu, uint64_t t)
{
	while (vcpu->function != NONE && s->sum_count <= vcpu->function) {
		uint64_t *grown = cp_grow(s->sums, s->sum_count, sizeof(*grown));

		if (!grown)
			return &cp_error_no_memory;
		s->sums = grown;
		grown[s->sum_count++] = 0;
	}
	if (vcpu->function != NONE && t > vcpu->t) {
		s->sums[vcpu->function] += t - vcpu->t;
		if (s->sums[vcpu->function] > CP_TRACE_LAST)	/* of many vCPUs; times are no later than that */
			s->sums[vcpu->function] = CP_TRACE_LAST;
	}
	return NULL;
}

/* The number of the function's name; NONE: it is ignored. */
static struct cp_error *function_of(struct summing *s, const struct cp_event *event, uint32_t *ret)
{
	struct cp_error *error;

	if (s->known[event->id]) {
		*ret = s->known[event->id] == NONE ? NONE : s->known[event->id] - 1;
		return NULL;
	}
	*ret = NONE;
	error = cp_step_of_event(event, s->rule, s->trace, &s->texts);
	if (!error && s->texts.is_step)
		error = cp_names_number(s->names, event->function, strlen(event->function), ret);
	if (!error && event->id)
		s->known[event->id] = *ret == NONE ? NONE : *ret + 1;
	return error;
}

static struct cp_error *take(void *context, const struct cp_event *event)
{
	struct summing *s = context;
	struct entered *vcpu;
	struct cp_error *error;

	s->last = event->t > s->last ? event->t : s->last;
	if (event->vcpu < 0 || !event->is_entry)
		return NULL;
	while (s->vcpu_count <= (size_t)event->vcpu) {
		struct entered *grown = cp_grow(s->vcpus, s->vcpu_count, sizeof(*grown));

		if (!grown)
			return &cp_error_no_memory;
		s->vcpus = grown;
		grown[s->vcpu_count++] = (struct entered){ NONE, 0 };
	}
	vcpu = &s->vcpus[event->vcpu];
	error = add(s, vcpu, event->t);
	vcpu->t = event->t;
	return error ? error : function_of(s, event, &vcpu->function);
}

static int by_name(const void *a, const void *b)
{
	const struct cp_duration *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void cp_durations_sort(struct cp_durations *durations)
{
	if (durations->count)
		qsort(durations->items, durations->count, sizeof(*durations->items), by_name);
}

static struct cp_error *finish(struct summing *s, struct cp_durations *ret)
{
	uint64_t end = cp_trace_end_time(s->trace);
	struct cp_error *error = NULL;

	end = end > s->last ? end : s->last;
	for (size_t i = 0; i < s->vcpu_count && !error; i++)
		error = add(s, &s->vcpus[i], end);
	if (error)
		return error;
	ret->items = calloc(s->sum_count + 1, sizeof(*ret->items));
	if (!ret->items)
		return &cp_error_no_memory;
	for (size_t i = 0; i < s->sum_count; i++) {
		if (s->sums[i])
			ret->items[ret->count++] = (struct cp_duration){ ret->names.texts[i], s->sums[i] };
	}
	cp_durations_sort(ret);
	ret->whole = end;
	return NULL;
}

struct cp_error *cp_durations_of_trace(struct cp_trace *trace, const struct cp_step_rule *rule, struct cp_durations *ret)
{
	struct summing s = { .rule = rule, .trace = trace, .names = &ret->names };
	struct cp_error *error;

	*ret = (struct cp_durations){ .items = NULL };
	cp_names_init(&ret->names);
	if (!trace->is_blocks || !cp_machine_is_icount(trace))
		return NULL;
	s.known = calloc(cp_trace_ids(trace), sizeof(*s.known));
	error = s.known ? cp_trace_walk_apart(trace, take, &s) : &cp_error_no_memory;
	if (!error)
		error = finish(&s, ret);
	free(s.known);
	free(s.vcpus);
	free(s.sums);
	cp_step_texts_deinit(&s.texts);
	if (error)
		cp_durations_deinit(ret);
	return error;
}

void cp_durations_deinit(struct cp_durations *durations)
{
	free(durations->items);
	cp_names_deinit(&durations->names);
	*durations = (struct cp_durations){ .items = NULL };
}

const struct cp_duration *cp_duration_of(const struct cp_durations *durations, const char *name)
{
	struct cp_duration key = { .name = name };

	return durations->count ? bsearch(&key, durations->items, durations->count, sizeof(key), by_name) : NULL;
}

static int by_loss(const void *a, const void *b)
{
	const struct cp_slower *x = a, *y = b;
	uint64_t of_x = x->is - x->was, of_y = y->is - y->was;

	if (of_x != of_y)
		return of_x > of_y ? -1 : 1;
	return !x->name || !y->name ? (x->name != NULL) - (y->name != NULL) : strcmp(x->name, y->name);
}

uint64_t cp_durations_least(const struct cp_durations *durations)
{
	return durations->whole / PARTS > LEAST_NS ? durations->whole / PARTS : LEAST_NS;
}

/* In doubles: a product could overflow. */
static bool is_slower(uint64_t was, uint64_t is, uint64_t percent, uint64_t least)
{
	return is > was && is - was >= least && (double)is > (double)was * (1 + (double)percent / 100);
}

struct cp_error *cp_durations_compare(const struct cp_durations *expected, const struct cp_durations *now, uint64_t percent,
	struct cp_slower **ret, size_t *count)
{
	uint64_t least = cp_durations_least(expected);
	struct cp_slower *found = calloc(now->count + 2, sizeof(*found));

	*count = 0;
	*ret = found;
	if (!found)
		return &cp_error_no_memory;
	if (!expected->whole || !now->whole)
		return NULL;
	if (is_slower(expected->whole, now->whole, percent, least))
		found[(*count)++] = (struct cp_slower){ NULL, expected->whole, now->whole };
	for (size_t i = 0; i < now->count; i++) {
		const struct cp_duration *is = &now->items[i], *was = cp_duration_of(expected, is->name);

		if (is_slower(was ? was->ns : least, is->ns, percent, least))
			found[(*count)++] = (struct cp_slower){ is->name, was ? was->ns : 0, is->ns };
	}
	qsort(found, *count, sizeof(*found), by_loss);
	return NULL;
}
