/* SPDX-License-Identifier: BSD-2-Clause */
/* Which functions ran. Of a trace in blocks that is added up on all CPUs, each with a table by id. */
#include <stdlib.h>
#include <string.h>

#include "base/work.h"
#include "trace/inside.h"

struct tally {
	uint64_t count, first, last;
	uint32_t vcpu;
};

struct worker {
	struct tally *tallies;		/* by id; owned; NULL: it did nothing yet */
	struct cp_cursor cursor;
	struct cp_ran_list others;	/* hits that are told as JSON; names are the arena's */
	struct cp_arena arena;
};

struct job {
	const struct cp_trace *trace;
	struct worker *workers;
};

bool cp_ran_add(struct cp_ran_list *list, const struct cp_ran *ran)
{
	struct cp_ran *grown = cp_grow(list->items, list->count, sizeof(*grown));

	if (!grown)
		return false;
	list->items = grown;
	grown[list->count++] = *ran;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct cp_ran *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return strcmp(x->name, y->name);
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

struct cp_error *cp_ran_finish(struct cp_ran_list *list)
{
	size_t kept = 0;

	if (!list->count)
		return NULL;
	qsort(list->items, list->count, sizeof(*list->items), compare);
	for (size_t i = 1; i < list->count; i++) {
		struct cp_ran *last = &list->items[kept], *next = &list->items[i];

		if (compare(last, next)) {
			list->items[++kept] = *next;
			continue;
		}
		last->count = plus(last->count, next->count);
		last->last = next->last > last->last ? next->last : last->last;
		if (next->first < last->first) {
			last->first = next->first;
			last->vcpu = next->vcpu;
		}
	}
	list->count = kept + 1;
	return NULL;
}

static inline void take(struct tally *tally, uint64_t count, uint64_t first, uint64_t last, uint32_t vcpu)
{
	if (!tally->count || first < tally->first || (first == tally->first && vcpu < tally->vcpu)) {
		tally->first = first;
		tally->vcpu = vcpu;
	}
	tally->count = plus(tally->count, count);
	tally->last = last > tally->last ? last : tally->last;
}

static struct cp_error *add_events(struct worker *w)
{
	uint32_t vcpu = w->cursor.block->vcpu;

	for (;;) {
		struct cp_hit hits[CP_HITS];
		size_t count;
		struct cp_error *error = cp_cursor_hits(&w->cursor, hits, CP_HITS, &count);

		if (error || !count)
			return error;
		for (size_t i = 0; i < count; i++)
			take(&w->tallies[hits[i].function], 1, hits[i].t, hits[i].t, vcpu);
	}
}

static struct cp_error *add_counts(struct worker *w)
{
	for (;;) {
		uint64_t function, count, first, vcpu;
		bool more;
		struct cp_error *error = cp_cursor_count(&w->cursor, &function, &count, &first, &vcpu, &more);

		if (error || !more)
			return error;
		if (count)
			take(&w->tallies[function], count, first, count == 1 ? first : UINT64_MAX, (uint32_t)vcpu);
	}
}

static struct cp_error *add_others(struct worker *w)
{
	for (;;) {
		const char *text, *fault;
		struct cp_event event;
		json_t *object;
		size_t length;
		bool more;
		struct cp_error *error = cp_cursor_json(&w->cursor, &object, &text, &length, &more);

		if (error || !more)
			return error;
		cp_trace_event_of(object, &event, &fault);
		if (!fault && event.is_entry) {
			struct cp_ran ran = { event.address, cp_arena_strdup(&w->arena, event.function), 1, event.t,
				event.vcpu < 0 ? 0 : (unsigned int)event.vcpu, event.t };

			if (!ran.name || !cp_ran_add(&w->others, &ran))
				error = &cp_error_no_memory;
		}
		if (fault)
			error = cp_trace_corrupt(w->cursor.trace, w->cursor.block->at, "an event's %s", fault);
		json_decref(object);
		if (error)
			return error;
	}
}

static struct cp_error *add_block(void *context, size_t number, size_t block)
{
	const struct job *job = context;
	struct worker *w = &job->workers[number];
	uint16_t kind = job->trace->blocks[block].kind;
	struct cp_error *error;

	if (kind != CP_BLOCK_EVENTS && kind != CP_BLOCK_COUNTS && kind != CP_BLOCK_JSON)
		return NULL;
	if (!w->tallies) {
		w->tallies = calloc(job->trace->function_limit + 1, sizeof(*w->tallies));
		if (!w->tallies)
			return &cp_error_no_memory;
	}
	error = cp_cursor_open(&w->cursor, job->trace, block);
	if (error)
		return error;
	return kind == CP_BLOCK_EVENTS ? add_events(w) : kind == CP_BLOCK_COUNTS ? add_counts(w) : add_others(w);
}

/* Those of `more` that the list, which is sorted, has not: what GDB tells may have been seen by the plugin too. */
static bool add_new(struct cp_ran_list *list, const struct cp_ran_list *more)
{
	size_t sorted = list->count;

	for (size_t i = 0; i < more->count; i++) {
		if ((!sorted || !bsearch(&more->items[i], list->items, sorted, sizeof(*list->items), compare)) &&
			!cp_ran_add(list, &more->items[i]))
			return false;
	}
	return true;
}

static struct cp_error *add_up(struct cp_trace *trace, struct worker *workers, size_t count, struct cp_ran_list *list)
{
	struct cp_ran_list others = { NULL, 0 };
	struct cp_error *error = NULL;
	bool good = true;

	for (size_t id = 0; id < trace->function_limit && good; id++) {
		const struct cp_trace_function *f = &trace->functions[id];
		struct tally all = { .count = 0 };

		for (size_t w = 0; f->name && w < count; w++) {
			const struct tally *own = workers[w].tallies ? &workers[w].tallies[id] : NULL;

			if (own && own->count)
				take(&all, own->count, own->first, own->last, own->vcpu);
		}
		if (all.count)
			good = cp_ran_add(list, &(struct cp_ran){ f->address, f->name, all.count, all.first, all.vcpu, all.last });
	}
	if (good)
		error = cp_ran_finish(list);
	for (size_t w = 0; w < count && good; w++) {
		for (size_t i = 0; i < workers[w].others.count && good; i++)
			good = cp_ran_add(&others, &workers[w].others.items[i]);
		cp_arena_take(&trace->arena, &workers[w].arena);
	}
	if (good && !error)
		error = cp_ran_finish(&others);
	if (good && !error)
		good = add_new(list, &others);
	if (good && !error)
		error = cp_ran_finish(list);
	free(others.items);
	return error ? error : good ? NULL : &cp_error_no_memory;
}

static struct cp_error *from_blocks(struct cp_trace *trace, struct cp_ran_list *list)
{
	size_t count = cp_workers(trace->block_count, 4);
	struct worker *workers = calloc(count, sizeof(*workers));
	struct job job = { trace, workers };
	struct cp_error *error;

	if (!workers)
		return &cp_error_no_memory;
	for (size_t w = 0; w < count; w++)
		cp_arena_init(&workers[w].arena);
	error = cp_work(trace->block_count, count, add_block, &job);
	if (!error)
		error = add_up(trace, workers, count, list);
	for (size_t w = 0; w < count; w++) {
		free(workers[w].tallies);
		free(workers[w].others.items);
		cp_cursor_deinit(&workers[w].cursor);
		cp_arena_deinit(&workers[w].arena);
	}
	free(workers);
	return error;
}

struct cp_error *cp_trace_ran(struct cp_trace *trace, const struct cp_ran **ret, size_t *count)
{
	struct cp_ran_list list = { NULL, 0 };
	struct cp_error *error;

	if (!trace->has_ran) {	/* of JSON Lines it is known since they were opened */
		error = from_blocks(trace, &list);
		if (error) {
			free(list.items);
			return error;
		}
		trace->ran = list.items;
		trace->ran_count = list.count;
		trace->has_ran = true;
	}
	*ret = trace->ran;
	*count = trace->ran_count;
	return NULL;
}
