/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/radix.h"
#include "elf/cover.h"

/* A heap of the spans that the sweep is inside of, the lowest index on top. */
struct heap {
	const struct cp_span **items;
	size_t count;
};

static void push(struct heap *heap, const struct cp_span *span)
{
	size_t i = heap->count++;

	while (i > 0 && heap->items[(i - 1) / 2]->index > span->index) {
		heap->items[i] = heap->items[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	heap->items[i] = span;
}

static void pop(struct heap *heap)
{
	const struct cp_span *last = heap->items[--heap->count];
	size_t i = 0, child = 1;

	while (child < heap->count) {
		if (child + 1 < heap->count && heap->items[child + 1]->index < heap->items[child]->index)
			child++;
		if (heap->items[child]->index >= last->index)
			break;
		heap->items[i] = heap->items[child];
		i = child;
		child = 2 * i + 1;
	}
	heap->items[i] = last;
}

static void emit(struct cp_cover *cover, uint64_t first, uint64_t last, size_t index)
{
	struct cp_span *before = cover->count ? &cover->pieces[cover->count - 1] : NULL;

	if (before && before->index == index && before->last + 1 == first)
		before->last = last;
	else
		cover->pieces[cover->count++] = (struct cp_span){ first, last, index };
}

/* From one start or end of a span to the next; each makes at most one piece. */
static void sweep(const struct cp_span *spans, const struct cp_keyed *order, size_t count, struct heap *heap,
	struct cp_cover *cover)
{
	uint64_t at = 0;
	size_t next = 0;

	for (;;) {
		uint64_t last;

		while (heap->count && heap->items[0]->last < at)
			pop(heap);
		if (!heap->count) {
			if (next == count)
				return;
			at = order[next].key;
		}
		while (next < count && order[next].key <= at)
			push(heap, &spans[order[next++].index]);
		last = heap->items[0]->last;
		if (next < count && order[next].key <= last)
			last = order[next].key - 1;
		emit(cover, at, last, heap->items[0]->index);
		if (last == UINT64_MAX)
			return;
		at = last + 1;
	}
}

bool cp_cover_init(const struct cp_span *spans, size_t count, struct cp_cover *ret)
{
	struct cp_keyed *order = malloc((count + 1) * sizeof(*order));
	struct heap heap = { .items = malloc((count + 1) * sizeof(*heap.items)) };
	struct cp_cover cover = { .pieces = malloc((2 * count + 1) * sizeof(*cover.pieces)) };
	bool good = order && heap.items && cover.pieces;

	for (size_t i = 0; good && i < count; i++)
		order[i] = (struct cp_keyed){ spans[i].first, i };
	good = good && (!count || cp_radix_sort(order, count));
	if (good) {
		sweep(spans, order, count, &heap, &cover);
		*ret = cover;
	} else {
		free(cover.pieces);
	}
	free(order);
	free(heap.items);
	return good;
}

void cp_cover_deinit(struct cp_cover *cover)
{
	free(cover->pieces);
	memset(cover, 0, sizeof(*cover));
}

bool cp_cover_at(const struct cp_cover *cover, uint64_t address, size_t *ret)
{
	size_t low = 0, high = cover->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cover->pieces[middle].last < address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == cover->count || cover->pieces[low].first > address)
		return false;
	*ret = cover->pieces[low].index;
	return true;
}
