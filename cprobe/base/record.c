/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/radix.h"
#include "base/record.h"

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

struct cp_error *cp_records_sort(struct cp_records *records)
{
	size_t n = records->count, kept = 0;
	struct cp_keyed *keys;
	struct cp_record *sorted;

	if (n < 2 || records->items[0].kind == CP_KIND_TYPE || records->items[0].kind == CP_KIND_FIELD)
		return NULL;
	keys = malloc(n * sizeof(*keys));
	sorted = malloc(capacity(n) * sizeof(*sorted));
	for (size_t i = 0; keys && i < n; i++)
		keys[i] = (struct cp_keyed){ records->items[i].address, i };
	if (!keys || !sorted || !cp_radix_sort(keys, n)) {
		free(keys);
		free(sorted);
		return &cp_error_no_memory;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = records->items[keys[i].index];
	free(keys);
	free(records->items);
	records->items = sorted;
	for (size_t first = 0, i = 1; i <= n; i++) {
		if (i < n && sorted[i].address == sorted[first].address)
			continue;
		if (i - first > 1)
			qsort(sorted + first, i - first, sizeof(*sorted), compare_items);
		first = i;
	}
	for (size_t i = 1; i < n; i++) {
		if (compare(&sorted[kept], &sorted[i]))
			sorted[++kept] = sorted[i];
	}
	records->count = kept + 1;
	return NULL;
}
