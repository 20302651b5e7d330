/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the blocks of a trace lie, and what the numbers in them stand for. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "elf/image.h"
#include "elf/symbols.h"
#include "trace/inside.h"

/* Headers are read through a window: one call for many small blocks. */
#define WINDOW 4096

static const char *const kinds[] = { NULL, "functions", "sites", "events", "console", "counts", "json", "end" };

/* No record of that kind has fewer bytes. */
static const uint8_t least[] = { 0, 4, 2, 2, 2, 4, 3, 3 };

static struct cp_error *check_block(const struct cp_trace *trace, uint64_t at, const struct cp_trace_block *b)
{
	if (!b->kind || b->kind >= sizeof(kinds) / sizeof(*kinds))
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: offset 0x%" PRIx64 ": a block of kind %u, and this cprobe knows 1 to %zu: "
			"the trace is of a later version", trace->path, at, b->kind, sizeof(kinds) / sizeof(*kinds) - 1);
	if (b->flags & ~(unsigned int)(CP_BLOCK_HAS_SITES | CP_BLOCK_HAS_VALUES))
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: offset 0x%" PRIx64 ": a block with flags 0x%x, and this cprobe knows 0x%x: "
			"the trace is of a later version", trace->path, at, b->flags, CP_BLOCK_HAS_SITES | CP_BLOCK_HAS_VALUES);
	if (b->size > CP_BLOCK_MAX)
		return cp_trace_corrupt(trace, at, "a block of 0x%x bytes, and 0x%x are the most", b->size, CP_BLOCK_MAX);
	if (b->count > b->size / least[b->kind] || (b->size && !b->count))
		return cp_trace_corrupt(trace, at, "%u records of kind %s cannot take %u bytes", b->count, kinds[b->kind], b->size);
	if (b->t > CP_TRACE_LAST)
		return cp_trace_corrupt(trace, at, "the block's time 0x%" PRIx64 " is later than 0x%" PRIx64, b->t, CP_TRACE_LAST);
	if (b->kind == CP_BLOCK_EVENTS && b->vcpu == CP_BLOCK_NO_VCPU)
		return cp_trace_corrupt(trace, at, "events of no vCPU");
	if (b->kind == CP_BLOCK_END && b->count != 1)
		return cp_trace_corrupt(trace, at, "%u end records", b->count);
	return NULL;
}

static struct cp_error *read_block(const struct cp_trace *trace, uint64_t at, const uint8_t *p, struct cp_trace_block *ret)
{
	uint16_t zero = cp_read16(p + offsetof(struct cp_block, zero));

	if (cp_read32(p) != CP_BLOCK_MAGIC)
		return cp_trace_corrupt(trace, at, "a block begins with 0x%08x, and here is 0x%08x", CP_BLOCK_MAGIC, cp_read32(p));
	if (zero)
		return cp_trace_corrupt(trace, at, "a field of the block's header is 0x%x, and must be 0", zero);
	ret->at = at + sizeof(struct cp_block);
	ret->size = cp_read32(p + offsetof(struct cp_block, size));
	ret->count = cp_read32(p + offsetof(struct cp_block, count));
	ret->kind = cp_read16(p + offsetof(struct cp_block, kind));
	ret->flags = cp_read16(p + offsetof(struct cp_block, flags));
	ret->vcpu = cp_read16(p + offsetof(struct cp_block, vcpu));
	ret->check = cp_read32(p + offsetof(struct cp_block, check));
	ret->t = cp_read64(p + offsetof(struct cp_block, t));
	return check_block(trace, at, ret);
}

static struct cp_error *add_block(struct cp_trace *trace, const struct cp_trace_block *block)
{
	struct cp_trace_block *grown;

	if (!block->size)
		return NULL;
	if (trace->block_count >= UINT32_MAX - 1)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: more than %u blocks", trace->path, UINT32_MAX - 1);
	grown = cp_grow(trace->blocks, trace->block_count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	trace->blocks = grown;
	grown[trace->block_count++] = *block;
	trace->has_callers |= block->kind == CP_BLOCK_EVENTS && block->flags & CP_BLOCK_HAS_SITES;
	return NULL;
}

/* All blocks that are whole. *end: of the last one. */
static struct cp_error *find_blocks(struct cp_trace *trace, uint64_t *end)
{
	uint8_t window[WINDOW];
	uint64_t at = trace->start, from = 0, to = 0;
	bool ended = false;

	while (trace->size - at >= sizeof(struct cp_block)) {
		struct cp_trace_block block;
		struct cp_error *error = NULL;

		if (at < from || at + sizeof(struct cp_block) > to) {
			from = at;
			to = trace->size - at < WINDOW ? trace->size : at + WINDOW;
			error = cp_trace_read(trace, from, window, (size_t)(to - from));
		}
		if (!error && ended)
			error = cp_trace_corrupt(trace, at, "something follows the end record");
		if (!error)
			error = read_block(trace, at, window + (at - from), &block);
		if (error)
			return error;
		if (block.size > trace->size - block.at)
			break;
		error = add_block(trace, &block);
		if (error)
			return error;
		ended = block.kind == CP_BLOCK_END;
		at = block.at + block.size;
	}
	if (ended && at < trace->size)
		return cp_trace_corrupt(trace, at, "%" PRIu64 " bytes follow the end record", trace->size - at);
	*end = at;
	return NULL;
}

/* A table by id made larger. Pages that are not touched are not there: only ids that are defined cost memory. */
static bool enlarge(void *table, size_t was, size_t now, size_t element)
{
	void **at = table;
	void *grown = calloc(now, element);

	if (!grown)
		return false;
	if (was)
		memcpy(grown, *at, was * element);
	free(*at);
	*at = grown;
	return true;
}

/* Room for ids up to `id`. */
static size_t limit_for(size_t limit, uint64_t id)
{
	limit = limit ? limit : 64;
	while (limit <= id)
		limit *= 2;
	return limit;
}

static struct cp_error *reach_function(struct cp_trace *trace, uint64_t id)
{
	size_t was = trace->function_limit, now = limit_for(was, id);

	if (now != was && (!enlarge(&trace->functions, was, now, sizeof(*trace->functions)) ||
		!enlarge(&trace->functions_since, was, now, sizeof(*trace->functions_since))))
		return &cp_error_no_memory;
	trace->function_limit = now;
	return NULL;
}

static struct cp_error *reach_site(struct cp_trace *trace, uint64_t id)
{
	size_t was = trace->site_limit, now = limit_for(was, id);

	if (now != was && (!enlarge(&trace->sites, was, now, sizeof(*trace->sites)) ||
		!enlarge(&trace->sites_since, was, now, sizeof(*trace->sites_since))))
		return &cp_error_no_memory;
	trace->site_limit = now;
	return NULL;
}

static struct cp_error *check_id(const struct cp_trace *trace, const struct cp_trace_block *block, const char *what,
	uint64_t id)
{
	if (id < CP_ID_LIMIT)
		return NULL;
	return cp_trace_corrupt(trace, block->at, "%s %" PRIu64 " is defined in this block, and ids are below %u", what, id,
		CP_ID_LIMIT);
}

static struct cp_error *twice(const struct cp_trace *trace, const struct cp_trace_block *block, const char *what,
	uint64_t id, uint64_t before, uint64_t now)
{
	return cp_trace_corrupt(trace, block->at, "%s %" PRIu64 " is defined again in this block, as 0x%" PRIx64 "; it was 0x%" PRIx64,
		what, id, now, before);
}

static struct cp_error *define_functions(struct cp_trace *trace, struct cp_cursor *cursor, size_t block)
{
	for (;;) {
		uint64_t id, address;
		const char *name;
		size_t length;
		bool more;
		char *copy;
		struct cp_error *error = cp_cursor_function(cursor, &id, &address, &name, &length, &more);

		if (error || !more)
			return error;
		error = check_id(trace, cursor->block, "function", id);
		if (!error && length >= CP_LONGEST_NAME)
			error = cp_trace_corrupt(trace, cursor->block->at, "the name of function %" PRIu64 " has %zu bytes", id, length);
		if (!error)
			error = reach_function(trace, id);
		if (error)
			return error;
		if (trace->functions_since[id])
			return twice(trace, cursor->block, "function", id, trace->functions[id].address, address);
		copy = cp_arena_alloc(&trace->arena, length + 1);
		if (!copy)
			return &cp_error_no_memory;
		trace->functions[id] = (struct cp_trace_function){ memcpy(copy, name, length), address };
		trace->functions_since[id] = (uint32_t)block + 1;
		trace->defined++;
	}
}

static struct cp_error *define_sites(struct cp_trace *trace, struct cp_cursor *cursor, size_t block)
{
	for (;;) {
		uint64_t id, address;
		bool more;
		struct cp_error *error = cp_cursor_site(cursor, &id, &address, &more);

		if (error || !more)
			return error;
		error = check_id(trace, cursor->block, "call site", id);
		if (!error)
			error = reach_site(trace, id);
		if (error)
			return error;
		if (trace->sites_since[id])
			return twice(trace, cursor->block, "call site", id, trace->sites[id], address);
		trace->sites[id] = address;
		trace->sites_since[id] = (uint32_t)block + 1;
	}
}

static struct cp_error *read_end(struct cp_trace *trace, struct cp_cursor *cursor)
{
	const char *text;
	size_t length;
	bool more;
	struct cp_error *error = cp_cursor_json(cursor, &trace->end, &text, &length, &more);

	return error ? error : cp_cursor_json(cursor, &trace->end, &text, &length, &more);
}

static struct cp_error *read_definitions(struct cp_trace *trace)
{
	struct cp_cursor cursor = { .trace = NULL };
	struct cp_error *error = NULL;

	for (size_t i = 0; i < trace->block_count && !error; i++) {
		uint16_t kind = trace->blocks[i].kind;

		if (kind != CP_BLOCK_FUNCTIONS && kind != CP_BLOCK_SITES && kind != CP_BLOCK_END)
			continue;
		error = cp_cursor_open(&cursor, trace, i);
		if (error)
			break;
		error = kind == CP_BLOCK_FUNCTIONS ? define_functions(trace, &cursor, i) :
			kind == CP_BLOCK_SITES ? define_sites(trace, &cursor, i) : read_end(trace, &cursor);
	}
	cp_cursor_deinit(&cursor);
	return error;
}

/* The time of the last event of a block. */
static struct cp_error *last_time(const struct cp_trace *trace, struct cp_cursor *cursor, size_t block, uint64_t *ret)
{
	struct cp_error *error = cp_cursor_open(cursor, trace, block);
	struct cp_hit hit;
	bool more = true;

	while (!error && more)
		error = cp_cursor_hit(cursor, &hit, &more);
	if (!error && cursor->t > *ret)
		*ret = cursor->t;
	return error;
}

/* Say how much of a cut trace is there: where each vCPU's last block ends. */
static struct cp_error *note_cut(const struct cp_trace *trace, uint64_t end)
{
	uint8_t *seen = calloc((CP_BLOCK_NO_VCPU + 1) / 8, 1);
	struct cp_cursor cursor = { .trace = NULL };
	struct cp_error *error = NULL;
	uint64_t events = 0, last = 0;

	if (!seen)
		return &cp_error_no_memory;
	for (size_t i = trace->block_count; i-- && !error; ) {
		const struct cp_trace_block *b = &trace->blocks[i];

		if (b->kind != CP_BLOCK_EVENTS)
			continue;
		events += b->count;
		if (seen[b->vcpu / 8] & 1 << b->vcpu % 8)
			continue;
		seen[b->vcpu / 8] |= (uint8_t)(1 << b->vcpu % 8);
		error = last_time(trace, &cursor, i, &last);
	}
	cp_cursor_deinit(&cursor);
	free(seen);
	if (error)
		return error;
	if (end < trace->size)
		cp_trace_note(trace, "%s: cut off within its last block, of which %" PRIu64 " bytes are there: what stands before is "
			"used: %" PRIu64 " events until %.6f s", trace->path, trace->size - end, events, (double)last / 1e9);
	else
		cp_trace_note(trace, "%s: cut off: it has no end record: what is there is used: %" PRIu64 " events until %.6f s",
			trace->path, events, (double)last / 1e9);
	return NULL;
}

struct cp_error *cp_trace_index(struct cp_trace *trace)
{
	uint64_t end = 0;
	struct cp_error *error = find_blocks(trace, &end);

	if (!error)
		error = read_definitions(trace);
	if (!error && !trace->end)
		error = note_cut(trace, end);
	return error;
}
