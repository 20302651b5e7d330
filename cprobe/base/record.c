/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/large.h"
#include "base/radix.h"
#include "base/record.h"
#include "base/work.h"

void cp_records_init(struct cp_records *records, enum cp_amount amount)
{
	memset(records, 0, sizeof(*records));
	cp_arena_init(&records->arena);
	records->amount = amount;
}

void cp_records_deinit(struct cp_records *records)
{
	free(records->items);
	cp_arena_deinit(&records->arena);
	cp_records_init(records, records->amount);
}

struct cp_record *cp_records_add(struct cp_records *records, enum cp_kind kind, uint64_t address)
{
	struct cp_record *items = cp_grow(records->items, records->count, sizeof(*items));

	if (!items)
		return NULL;
	records->items = items;
	items += records->count++;
	memset(items, 0, sizeof(*items));
	items->kind = (uint8_t)kind;
	items->address = address;
	return items;
}

struct cp_details *cp_record_details(struct cp_records *records, struct cp_record *record)
{
	if (!record->details)
		record->details = cp_arena_alloc(&records->arena, sizeof(*record->details));
	return record->details;
}

/* The capacity that cp_grow() keeps for a count. */
static size_t capacity(size_t count)
{
	size_t ret = 8;

	while (ret < count)
		ret *= 2;
	return ret;
}

struct cp_error *cp_records_take(struct cp_records *to, struct cp_records *from)
{
	size_t count = to->count + from->count;
	struct cp_record *items;

	if (!to->count && from->count) {
		free(to->items);
		to->items = from->items;
		to->count = from->count;
		from->items = NULL;
		from->count = 0;
	} else if (from->count) {
		items = realloc(to->items, capacity(count) * sizeof(*items));
		if (!items)
			return &cp_error_no_memory;
		memcpy(items + to->count, from->items, from->count * sizeof(*items));
		to->items = items;
		to->count = count;
		from->count = 0;
	}
	cp_arena_take(&to->arena, &from->arena);
	return NULL;
}

static int compare_text(const char *a, const char *b)
{
	return a == b ? 0 : strcmp(a ? a : "", b ? b : "");
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare(const struct cp_record *a, const struct cp_record *b)
{
	static const struct cp_details none;
	const struct cp_details *left = a->details ? a->details : &none, *right = b->details ? b->details : &none;
	int order = compare_numbers(a->address, b->address);

	if (!order)
		order = compare_numbers(a->kind, b->kind);
	if (!order)
		order = compare_text(a->name, b->name);
	if (!order)
		order = compare_text(a->outer, b->outer);
	if (!order)
		order = compare_text(a->file, b->file);
	if (!order)
		order = compare_numbers(a->line, b->line);
	if (!order)
		order = compare_numbers(left->guards, right->guards);
	if (!order)
		order = compare_numbers(left->branch, right->branch);
	if (!order)
		order = compare_text(left->message, right->message);
	return order;
}

static int compare_items(const void *left, const void *right)
{
	return compare(left, right);
}

static bool same_layout(const struct cp_record *a, const struct cp_record *b)
{
	return !compare(a, b) && a->size == b->size && a->details && b->details &&
		!compare_text(a->details->type, b->details->type) && a->details->bit_offset == b->details->bit_offset &&
		a->details->bit_size == b->details->bit_size;
}

bool cp_records_repeat(const struct cp_records *records, size_t first)
{
	size_t count = records->count - first;

	for (size_t start = 0; start + count <= first; start++) {
		size_t same = 0;

		while (same < count && same_layout(&records->items[start + same], &records->items[first + same]))
			same++;
		if (same == count)
			return true;
	}
	return false;
}

/* Records that are worth a second thread: ordering one takes some fifty nanoseconds. */
#define WORTH_A_THREAD 8192

struct sorting {
	const struct cp_record *from;
	const struct cp_keyed *keys;	/* by address, with the index in `from` */
	struct cp_record *to;
	size_t count, slices;
	size_t kept[CP_MAX_WORKERS];	/* by slice, from its beginning on */
};

/* Where a slice begins: what has one address is in one slice. */
static size_t slice_start(const struct sorting *s, size_t slice)
{
	size_t start = s->count / s->slices * slice;

	if (slice == s->slices)
		return s->count;
	while (start && start < s->count && s->keys[start].key == s->keys[start - 1].key)
		start++;
	return start;
}

/* Put in order what lies between two addresses, each record once. */
static struct cp_error *sort_slice(void *context, size_t worker, size_t slice)
{
	struct sorting *s = context;
	size_t start = slice_start(s, slice), count = slice_start(s, slice + 1) - start, kept = 0;
	struct cp_record *to = s->to + start;

	(void)worker;
	for (size_t i = 0; i < count; i++)
		to[i] = s->from[s->keys[start + i].index];
	for (size_t first = 0, i = 1; i <= count; i++) {
		if (i < count && to[i].address == to[first].address)
			continue;
		if (i - first > 1)
			qsort(to + first, i - first, sizeof(*to), compare_items);
		first = i;
	}
	for (size_t i = 0; i < count; i++) {
		if (!kept || compare(&to[kept - 1], &to[i]))
			to[kept++] = to[i];
	}
	s->kept[slice] = kept;
	return NULL;
}

struct cp_error *cp_records_sort(struct cp_records *records)
{
	struct sorting s = { .from = records->items, .count = records->count };
	struct cp_keyed *keys;

	if (s.count < 2 || s.from[0].kind == CP_KIND_TYPE || s.from[0].kind == CP_KIND_FIELD)
		return NULL;
	keys = cp_large_alloc(s.count * sizeof(*keys));
	s.to = cp_large_alloc(capacity(s.count) * sizeof(*s.to));
	for (size_t i = 0; keys && i < s.count; i++)
		keys[i] = (struct cp_keyed){ s.from[i].address, i };
	if (!keys || !s.to || !cp_radix_sort(keys, s.count)) {
		free(keys);
		free(s.to);
		return &cp_error_no_memory;
	}
	s.keys = keys;
	s.slices = cp_workers(s.count, WORTH_A_THREAD);
	cp_work(s.slices, s.slices, sort_slice, &s);
	records->count = s.kept[0];
	for (size_t slice = 1; slice < s.slices; slice++) {
		memmove(s.to + records->count, s.to + slice_start(&s, slice), s.kept[slice] * sizeof(*s.to));
		records->count += s.kept[slice];
	}
	free(keys);
	free(records->items);
	records->items = s.to;
	return NULL;
}
