/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All events of a trace in order of time. Each vCPU's blocks are a stream, as are console lines and other events; of
 * each stream one block at a time is in memory, and a heap says whose next event is the earliest.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trace/inside.h"

#define NONE SIZE_MAX

struct stream {
	struct cp_cursor cursor;
	size_t block, next;		/* its number, while streams are made the last one's; the next one's, or NONE */
	uint16_t kind, vcpu;
	uint64_t t;			/* of the next event */
	struct cp_hit hits[CP_HITS];	/* events: those decoded at once */
	size_t at, count;		/* of these: the next one */
	const char *text;		/* console, json: in the cursor's buffer */
	size_t length;
	json_t *object;			/* json; owned */
	struct cp_event event;
};

struct merge {
	const struct cp_trace *trace;
	struct stream *streams;
	size_t stream_count;
	size_t *following;		/* by block: the next one of its stream, or NONE */
	struct stream **heap;
	size_t heap_count;
};

static bool earlier(const struct stream *a, const struct stream *b)
{
	return a->t != b->t ? a->t < b->t : a->block < b->block;
}

static void sink(struct merge *m, size_t at)
{
	struct stream *moving = m->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= m->heap_count)
			break;
		if (child + 1 < m->heap_count && earlier(m->heap[child + 1], m->heap[child]))
			child++;
		if (!earlier(m->heap[child], moving))
			break;
		m->heap[at] = m->heap[child];
		at = child;
	}
	m->heap[at] = moving;
}

static struct cp_error *next_json(struct stream *s, bool *more)
{
	const char *fault;
	struct cp_error *error;

	json_decref(s->object);
	s->object = NULL;
	error = cp_cursor_json(&s->cursor, &s->object, &s->text, &s->length, more);
	if (error || !*more)
		return error;
	cp_trace_event_of(s->object, &s->event, &fault);
	if (fault)
		return cp_trace_corrupt(s->cursor.trace, s->cursor.block->at, "an event's %s", fault);
	s->event.json = s->text;
	s->event.json_length = s->length;
	s->t = s->event.t;
	return NULL;
}

static struct cp_error *next_hit(struct stream *s, bool *more)
{
	struct cp_error *error = NULL;

	if (++s->at >= s->count) {
		s->at = 0;
		error = cp_cursor_hits(&s->cursor, s->hits, CP_HITS, &s->count);
	}
	*more = !error && s->count;
	if (*more)
		s->t = s->hits[s->at].t;
	return error;
}

static struct cp_error *next_of_block(struct stream *s, bool *more)
{
	struct cp_error *error;

	if (s->kind == CP_BLOCK_JSON)
		return next_json(s, more);
	if (s->kind == CP_BLOCK_EVENTS)
		return next_hit(s, more);
	error = cp_cursor_console(&s->cursor, &s->text, &s->length, more);
	if (!error && *more)
		s->t = s->cursor.t;
	return error;
}

/* The stream's next event. *more false: it has none any more. */
static struct cp_error *advance(const struct merge *m, struct stream *s, bool *more)
{
	uint64_t before = s->t;
	struct cp_error *error = NULL;

	*more = false;
	if (s->cursor.block)
		error = next_of_block(s, more);
	while (!error && !*more && s->next != NONE) {
		s->block = s->next;
		s->next = m->following[s->block];
		error = cp_cursor_open(&s->cursor, m->trace, s->block);
		if (!error)
			error = next_of_block(s, more);
	}
	if (error || !*more || s->t >= before || s->kind == CP_BLOCK_JSON)
		return error;
	return cp_trace_corrupt(m->trace, s->cursor.block->at, "time goes back: this block has 0x%" PRIx64
		" ns, and the one of its vCPU before 0x%" PRIx64, s->t, before);
}

/* The streams by kind and vCPU. */
struct table {
	uint32_t *slots;		/* 1 + stream; 0: free */
	size_t size;			/* a power of two */
};

static uint32_t *slot_of(const struct merge *m, const struct table *table, const struct cp_trace_block *block)
{
	uint32_t key = (uint32_t)block->kind << 16 | block->vcpu;

	for (size_t at = key * 0x9e3779b1u >> 8;; at++) {
		uint32_t *slot = &table->slots[at & (table->size - 1)];

		if (!*slot || (m->streams[*slot - 1].kind == block->kind && m->streams[*slot - 1].vcpu == block->vcpu))
			return slot;
	}
}

/* Put a block to the end of its stream, which is made if it is the first. */
static struct cp_error *add_block(struct merge *m, const struct table *table, size_t number)
{
	const struct cp_trace_block *block = &m->trace->blocks[number];
	uint32_t *slot = slot_of(m, table, block);
	struct stream *grown;

	m->following[number] = NONE;
	if (*slot) {
		m->following[m->streams[*slot - 1].block] = number;
		m->streams[*slot - 1].block = number;
		return NULL;
	}
	grown = cp_grow(m->streams, m->stream_count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	m->streams = grown;
	grown += m->stream_count++;
	memset(grown, 0, sizeof(*grown));
	grown->block = grown->next = number;
	grown->kind = block->kind;
	grown->vcpu = block->vcpu;
	*slot = (uint32_t)m->stream_count;
	return NULL;
}

static struct cp_error *make_streams(struct merge *m)
{
	const struct cp_trace *trace = m->trace;
	struct table table = { NULL, 64 };
	struct cp_error *error = NULL;

	/* There are three kinds of streams, and fewer than 65536 vCPUs. */
	while (table.size < 2 * trace->block_count && table.size < (size_t)1 << 19)
		table.size *= 2;
	table.slots = calloc(table.size, sizeof(*table.slots));
	m->following = malloc((trace->block_count + 1) * sizeof(*m->following));
	if (!table.slots || !m->following)
		error = &cp_error_no_memory;
	for (size_t i = 0; i < trace->block_count && !error; i++) {
		uint16_t kind = trace->blocks[i].kind;

		if (kind == CP_BLOCK_EVENTS || kind == CP_BLOCK_CONSOLE || kind == CP_BLOCK_JSON)
			error = add_block(m, &table, i);
	}
	free(table.slots);
	return error;
}

static struct cp_error *start(struct merge *m)
{
	struct cp_error *error = make_streams(m);

	if (error)
		return error;
	m->heap = malloc((m->stream_count + 1) * sizeof(struct stream *));
	if (!m->heap)
		return &cp_error_no_memory;
	for (size_t i = 0; i < m->stream_count && !error; i++) {
		bool more;

		error = advance(m, &m->streams[i], &more);
		if (!error && more)
			m->heap[m->heap_count++] = &m->streams[i];
	}
	for (size_t i = m->heap_count / 2; i-- && !error; )
		sink(m, i);
	return error;
}

static struct cp_event event_of_hit(const struct cp_trace *trace, const struct cp_cursor *cursor, const struct cp_hit *hit)
{
	const struct cp_trace_function *f = &trace->functions[hit->function];

	return (struct cp_event){ .t = hit->t, .vcpu = cursor->block->vcpu, .kind = "hit", .function = f->name,
		.address = f->address, .is_entry = true, .id = hit->function + 1, .site = hit->site ? trace->sites[hit->site - 1] : 0,
		.values = hit->value_count ? cursor->values : NULL, .value_count = hit->value_count };
}

static struct cp_event event_of_line(const struct cp_cursor *cursor, uint64_t t, const char *text, size_t length)
{
	uint16_t vcpu = cursor->block->vcpu;

	return (struct cp_event){ .t = t, .vcpu = vcpu == CP_BLOCK_NO_VCPU ? -1 : vcpu, .kind = "console", .text = text,
		.text_length = length };
}

static struct cp_error *tell(const struct merge *m, const struct stream *s, cp_event_fn *each, void *context)
{
	struct cp_event event;

	if (s->kind == CP_BLOCK_EVENTS)
		event = event_of_hit(m->trace, &s->cursor, &s->hits[s->at]);
	else if (s->kind == CP_BLOCK_CONSOLE)
		event = event_of_line(&s->cursor, s->t, s->text, s->length);
	else
		event = s->event;
	return each(context, &event);
}

static struct cp_error *run(struct merge *m, cp_event_fn *each, void *context)
{
	struct cp_error *error = start(m);

	while (!error && m->heap_count) {
		struct stream *s = m->heap[0];
		bool more = false;

		error = tell(m, s, each, context);
		if (!error)
			error = advance(m, s, &more);
		if (!error && !more)
			m->heap[0] = m->heap[--m->heap_count];
		if (!error && m->heap_count)
			sink(m, 0);
	}
	return error;
}

struct cp_error *cp_trace_walk(struct cp_trace *trace, cp_event_fn *each, void *context)
{
	struct merge merge = { .trace = trace };
	struct cp_error *error;

	if (!trace->is_blocks)
		return cp_trace_walk_lines(trace, each, context);
	error = run(&merge, each, context);
	for (size_t i = 0; i < merge.stream_count; i++) {
		cp_cursor_deinit(&merge.streams[i].cursor);
		json_decref(merge.streams[i].object);
	}
	free(merge.streams);
	free(merge.following);
	free(merge.heap);
	return error;
}

/* -- Without an order between vCPUs -- */

static struct cp_error *each_hit(struct cp_cursor *cursor, cp_event_fn *each, void *context)
{
	struct cp_hit hits[CP_HITS];
	struct cp_error *error = NULL;
	size_t count = 1;

	while (!error && count) {
		error = cp_cursor_hits(cursor, hits, CP_HITS, &count);
		for (size_t i = 0; i < count && !error; i++) {
			struct cp_event event = event_of_hit(cursor->trace, cursor, &hits[i]);

			error = each(context, &event);
		}
	}
	return error;
}

static struct cp_error *each_line(struct cp_cursor *cursor, cp_event_fn *each, void *context)
{
	struct cp_error *error = NULL;
	bool more = true;

	while (!error && more) {
		const char *text;
		size_t length;

		error = cp_cursor_console(cursor, &text, &length, &more);
		if (!error && more) {
			struct cp_event event = event_of_line(cursor, cursor->t, text, length);

			error = each(context, &event);
		}
	}
	return error;
}

struct cp_error *cp_trace_walk_apart(struct cp_trace *trace, cp_event_fn *each, void *context)
{
	struct cp_cursor cursor = { .trace = NULL };
	struct cp_error *error = NULL;
	bool is_merged = !trace->is_blocks;

	for (size_t i = 0; i < trace->block_count; i++)
		is_merged |= trace->blocks[i].kind == CP_BLOCK_JSON;
	if (is_merged)
		return cp_trace_walk(trace, each, context);
	for (size_t i = 0; i < trace->block_count && !error; i++) {
		uint16_t kind = trace->blocks[i].kind;

		if (kind != CP_BLOCK_EVENTS && kind != CP_BLOCK_CONSOLE)
			continue;
		error = cp_cursor_open(&cursor, trace, i);
		if (!error)
			error = kind == CP_BLOCK_EVENTS ? each_hit(&cursor, each, context) : each_line(&cursor, each, context);
	}
	cp_cursor_deinit(&cursor);
	return error;
}

size_t cp_trace_ids(const struct cp_trace *trace)
{
	return trace->function_limit + 1;
}
