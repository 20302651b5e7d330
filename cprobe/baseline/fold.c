/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "baseline/baseline.h"

#define LONGEST_ROUND	8192
#define MOST_TRIES	32	/* rounds that are tried at one place, the shortest first */
#define DEEPEST		16
#define EDGES		2	/* lines that a loop takes beside its round */
#define NONE		UINT32_MAX

struct folding {
	const uint32_t *ids;
	uint32_t *next;		/* by index: that of the same id, next after it; NONE */
	const struct cp_folder *folder;
};

/* How often the round that begins there comes in a row. */
static uint32_t times_of(const struct folding *f, uint32_t from, uint32_t end, uint32_t round)
{
	uint32_t times = 1;

	while ((uint64_t)from + ((uint64_t)times + 1) * round <= end &&
		!memcmp(f->ids + from, f->ids + from + times * round, round * sizeof(*f->ids)))
		times++;
	return times;
}

/* The loop that saves most; *times 1: there is none. */
static void find_loop(const struct folding *f, uint32_t from, uint32_t end, uint32_t *round, uint32_t *times)
{
	uint64_t most = 0;
	uint32_t at = f->next[from];

	*times = 1;
	for (int tries = 0; tries < MOST_TRIES && at < end && at - from <= LONGEST_ROUND; tries++, at = f->next[at]) {
		uint32_t size = at - from, count = times_of(f, from, end, size);
		uint64_t all = (uint64_t)count * size, left = size + EDGES;

		if (count > 1 && all > left && all - left > most) {
			most = all - left;
			*round = size;
			*times = count;
		}
	}
}

static void fold(const struct folding *f, uint32_t from, uint32_t end, size_t depth)
{
	const struct cp_folder *folder = f->folder;
	uint32_t round = 1, times = 1;

	for (uint32_t at = from; at < end; at += round * times) {
		round = times = 1;
		if (depth < DEEPEST)
			find_loop(f, at, end, &round, &times);
		if (times == 1) {
			folder->plain(folder->context, depth, at);
			continue;
		}
		folder->open(folder->context, depth, times);
		fold(f, at, at + round, depth + 1);
		folder->close(folder->context, depth);
	}
}

struct cp_error *cp_fold(const uint32_t *ids, size_t count, const struct cp_folder *folder)
{
	struct folding f = { .ids = ids, .folder = folder, .next = malloc((count + 1) * sizeof(*f.next)) };
	uint32_t most = 0, *last;

	for (size_t i = 0; i < count; i++)
		most = ids[i] > most ? ids[i] : most;
	last = malloc(((size_t)most + 1) * sizeof(*last));
	if (!f.next || !last) {
		free(f.next);
		free(last);
		return &cp_error_no_memory;
	}
	memset(last, 0xff, ((size_t)most + 1) * sizeof(*last));
	for (size_t i = count; i; i--) {
		f.next[i - 1] = last[ids[i - 1]];
		last[ids[i - 1]] = (uint32_t)(i - 1);
	}
	free(last);
	fold(&f, 0, (uint32_t)count, 0);
	free(f.next);
	return NULL;
}
