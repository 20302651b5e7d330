/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "diff/anchors.h"

/* Runs that are looked at of a sequence, or about as many. */
#define MOST_RUNS ((size_t)1 << 16)

static const size_t lengths[CP_ANCHOR_LEVELS] = { 128, 16, 4, 1 };

struct cp_anchor_slot {
	uint64_t hash;		/* 0: free */
	uint32_t a, b;		/* where; NONE, MANY */
};

#define NONE UINT32_MAX
#define MANY (UINT32_MAX - 1)

static uint64_t mix(uint64_t value)
{
	value ^= value >> 32;
	value *= 0xd6e8feb86659fd93u;
	return value ^ value >> 29;
}

#define FACTOR 0x9e3779b97f4a7c15u

/* The hashes of all runs of a length, one after the other. */
struct rolling {
	const uint32_t *ids;
	size_t count, length, at;	/* at: of the next run */
	uint64_t sum, last;		/* last: what the first id of a run is multiplied by */
};

static void rolling_init(struct rolling *r, const uint32_t *ids, size_t count, size_t length)
{
	*r = (struct rolling){ ids, count, length, 0, 0, 1 };
	for (size_t i = 1; i < length; i++)
		r->last *= FACTOR;
	for (size_t i = 0; i + 1 < length && i < count; i++)
		r->sum = r->sum * FACTOR + ids[i] + 1;
}

/* False: there is no further run. */
static inline bool rolling_next(struct rolling *r, uint64_t *hash)
{
	if (r->at + r->length > r->count)
		return false;
	r->sum = r->sum * FACTOR + r->ids[r->at + r->length - 1] + 1;
	*hash = mix(r->sum) | 1;
	r->sum -= r->last * (r->ids[r->at] + (uint64_t)1);
	r->at++;
	return true;
}

static struct cp_anchor_slot *slot_of(const struct cp_anchors *anchors, uint64_t hash, size_t mask)
{
	for (size_t at = (size_t)(hash >> 20);; at++) {
		struct cp_anchor_slot *slot = &anchors->slots[at & mask];

		if (!slot->hash || slot->hash == hash)
			return slot;
	}
}

/* A table for `count` runs and more, empty. */
static bool clear(struct cp_anchors *anchors, size_t count, size_t *mask)
{
	size_t size = 64;

	while (size < 2 * count)
		size *= 2;
	if (size > anchors->size) {
		free(anchors->slots);
		anchors->slots = malloc(size * sizeof(*anchors->slots));
		anchors->size = anchors->slots ? size : 0;
		if (!anchors->slots)
			return false;
	}
	memset(anchors->slots, 0, size * sizeof(*anchors->slots));
	*mask = size - 1;
	return true;
}

void cp_anchors_deinit(struct cp_anchors *anchors)
{
	free(anchors->slots);
}

/* Does the run's hash choose it, of those up to `last`? By the bits that slot_of() does not look at. */
static inline bool chosen(uint64_t hash, uint32_t last)
{
	return hash >> 42 <= last;
}

/* The longest sequence of anchors whose b grows; they come sorted by a. False: no memory. */
static bool keep_order(struct cp_anchor *all, size_t *count)
{
	uint32_t *ends = malloc((*count + 1) * sizeof(*ends)), *before = malloc((*count + 1) * sizeof(*before));
	size_t longest = 0;
	bool good = ends && before;

	for (size_t i = 0; good && i < *count; i++) {
		size_t low = 0, high = longest;

		if (longest && all[ends[longest - 1]].b < all[i].b)
			low = longest;
		while (low < high) {
			size_t middle = (low + high) / 2;

			if (all[ends[middle]].b < all[i].b)
				low = middle + 1;
			else
				high = middle;
		}
		before[i] = low ? ends[low - 1] : NONE;
		ends[low] = (uint32_t)i;
		if (low == longest)
			longest++;
	}
	if (good && longest) {
		size_t at = ends[longest - 1];

		/* ends[] is done with: it takes the sequence itself. */
		for (size_t i = longest; i--; at = before[at])
			ends[i] = (uint32_t)at;
		for (size_t i = 0; i < longest; i++)
			all[i] = all[ends[i]];
	}
	*count = longest;
	free(ends);
	free(before);
	return good;
}

static struct cp_error *collect(const struct cp_anchors *anchors, size_t mask, const uint32_t *a, const uint32_t *b,
	struct rolling *r, uint32_t last, struct cp_anchor **ret, size_t *count)
{
	struct cp_anchor *all = NULL;
	uint64_t hash;
	size_t found = 0;

	while (rolling_next(r, &hash)) {
		struct cp_anchor *grown;
		const struct cp_anchor_slot *slot;

		if (!chosen(hash, last))
			continue;
		slot = slot_of(anchors, hash, mask);
		/* Two runs may have one hash. */
		if (slot->hash != hash || slot->a >= MANY || slot->b >= MANY ||
			memcmp(a + slot->a, b + slot->b, r->length * sizeof(*a)))
			continue;
		grown = cp_grow(all, found, sizeof(*all));
		if (!grown) {
			free(all);
			return &cp_error_no_memory;
		}
		all = grown;
		all[found++] = (struct cp_anchor){ slot->a, slot->b };
	}
	if (found && !keep_order(all, &found)) {
		free(all);
		return &cp_error_no_memory;
	}
	*ret = all;
	*count = found;
	return NULL;
}

struct cp_error *cp_anchors_find(struct cp_anchors *anchors, const uint32_t *a, size_t a_count, const uint32_t *b,
	size_t b_count, unsigned int level, struct cp_anchor **ret, size_t *count)
{
	size_t fewer = a_count < b_count ? a_count : b_count, runs = 0, most = 2 * MOST_RUNS, mask;
	uint32_t last = ((uint32_t)1 << 22) / (uint32_t)(fewer / MOST_RUNS + 1) - 1;
	struct rolling r;
	uint64_t hash;

	*ret = NULL;
	*count = 0;
	if (fewer < lengths[level])
		return NULL;
	if (!clear(anchors, fewer < most ? fewer : most, &mask))
		return &cp_error_no_memory;
	/* The shorter one fills the table; a run of the other that is not in it is of no use. */
	for (int side = 0; side < 2; side++) {
		bool is_a = (a_count <= b_count) == (side == 0);

		rolling_init(&r, is_a ? a : b, is_a ? a_count : b_count, lengths[level]);
		while (rolling_next(&r, &hash)) {
			uint32_t at = (uint32_t)(r.at - 1), *where;
			struct cp_anchor_slot *slot;

			if (!chosen(hash, last))
				continue;
			slot = slot_of(anchors, hash, mask);
			if (!slot->hash && (side == 1 || runs == most))
				continue;
			if (!slot->hash) {
				*slot = (struct cp_anchor_slot){ hash, NONE, NONE };
				runs++;
			}
			where = is_a ? &slot->a : &slot->b;
			*where = *where == NONE ? at : MANY;
		}
	}
	rolling_init(&r, a, a_count, lengths[level]);
	return collect(anchors, mask, a, b, &r, last, ret, count);
}
