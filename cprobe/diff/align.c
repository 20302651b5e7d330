/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "diff/align.h"
#include "diff/anchors.h"

/* Differences up to which a gap is aligned exactly, and how many steps that may take in all. */
#define MOST_EDITS	1024
#define WORTH_EDITS	128	/* from so many on a way must lead over so many ids for each edit */
#define WORTH_IDS	8
#define MOST_STEPS	((uint64_t)200 * 1000 * 1000)
#define MOST_LOOKS	3	/* at each id, to find where to cut */
#define MOST_RARE	4096	/* ids of a gap that is cut at what is rare: in a longer one that may be an interrupt */
#define MOST_RARE_LOOKS	2
#define FREE_LOOKS	((uint64_t)1 << 22)
#define DEEPEST		24	/* gaps in gaps */

struct align {
	const uint32_t *a, *b;
	struct cp_hunks hunks;
	struct cp_anchors anchors;
	int32_t *ways;		/* the furthest a of each diagonal, by number of edits: d + 1 of them for d; owned */
	size_t edits;		/* of the last exact try; and how far it came, as a + b, on which diagonal */
	int64_t far, far_k;
	uint64_t steps;		/* that may still be taken */
	uint64_t looks;		/* at ids, for anchors, that may still be taken */
	uint64_t rare_looks;	/* the same, for ids that both have once */
};

struct gap {
	size_t a, a_end, b, b_end;
};

static struct cp_error *add_hunk(struct align *al, size_t a, size_t a_count, size_t b, size_t b_count)
{
	struct cp_hunk *last = al->hunks.count ? &al->hunks.items[al->hunks.count - 1] : NULL, *grown;

	if (!a_count && !b_count)
		return NULL;
	if (last && last->a + last->a_count == a && last->b + last->b_count == b) {
		last->a_count += (uint32_t)a_count;
		last->b_count += (uint32_t)b_count;
		return NULL;
	}
	grown = cp_grow(al->hunks.items, al->hunks.count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	al->hunks.items = grown;
	grown[al->hunks.count++] = (struct cp_hunk){ (uint32_t)a, (uint32_t)a_count, (uint32_t)b, (uint32_t)b_count };
	return NULL;
}

/* How many elements are equal from there on, up to `most`. */
static size_t common(const uint32_t *a, const uint32_t *b, size_t most)
{
	size_t count = 0, few = most < 8 ? most : 8;

	while (count < few && a[count] == b[count])
		count++;
	if (count < few)
		return count;
	while (most - count >= 64 && !memcmp(a + count, b + count, 64 * sizeof(*a)))
		count += 64;
	while (count < most && a[count] == b[count])
		count++;
	return count;
}

static void trim(const struct align *al, struct gap *g)
{
	size_t most = g->a_end - g->a < g->b_end - g->b ? g->a_end - g->a : g->b_end - g->b;
	size_t count = common(al->a + g->a, al->b + g->b, most);

	g->a += count;
	g->b += count;
	most -= count;
	while (most >= 64 && !memcmp(al->a + g->a_end - 64, al->b + g->b_end - 64, 64 * sizeof(*al->a))) {
		g->a_end -= 64;
		g->b_end -= 64;
		most -= 64;
	}
	for (; most && al->a[g->a_end - 1] == al->b[g->b_end - 1]; most--) {
		g->a_end--;
		g->b_end--;
	}
}

/* The ways with d edits: that of diagonal k = b - a, from -d to d in twos, is at (k + d) / 2. */
static int32_t *ways_of(const struct align *al, size_t d)
{
	return al->ways + d * (d + 1) / 2;
}

/* Where the way to a diagonal begins, from those with an edit less: the furthest. d > 0. */
static int32_t begin_of(const int32_t *before, size_t d, size_t i)
{
	/* From diagonal k - 1 b went on, from k + 1 a did. Those before are numbered from -(d - 1). */
	int32_t by_b = i > 0 ? before[i - 1] : -1, by_a = i < d ? before[i] + 1 : -1;

	return by_a > by_b ? by_a : by_b;
}

/* Make the hunks of the way to diagonal k with d edits; they are found from the last one on. */
static struct cp_error *trace_back(struct align *al, const struct gap *g, size_t d, int64_t k)
{
	struct cp_hunk *edits = malloc((d + 1) * sizeof(*edits));
	struct cp_error *error = NULL;
	size_t count = 0;

	if (!edits)
		return &cp_error_no_memory;
	for (; d > 0; d--) {
		size_t i = (size_t)(k + (int64_t)d) / 2;
		const int32_t *before = ways_of(al, d - 1);
		int32_t by_b = i > 0 ? before[i - 1] : -1, by_a = i < d ? before[i] + 1 : -1;

		if (by_a > by_b) {	/* an element of a is gone */
			edits[count++] = (struct cp_hunk){ (uint32_t)(by_a - 1), 1, (uint32_t)(by_a + k), 0 };
			k++;
		} else {
			edits[count++] = (struct cp_hunk){ (uint32_t)by_b, 0, (uint32_t)(by_b + k - 1), 1 };
			k--;
		}
	}
	while (count-- && !error)
		error = add_hunk(al, g->a + edits[count].a, edits[count].a_count, g->b + edits[count].b, edits[count].b_count);
	free(edits);
	return error;
}

/* Myers' greedy way, up to a number of edits. *found false: it takes more, or too many steps. */
static struct cp_error *align_exactly(struct align *al, const struct gap *g, bool *found)
{
	const uint32_t *a = al->a + g->a, *b = al->b + g->b;
	int64_t n = (int64_t)(g->a_end - g->a), m = (int64_t)(g->b_end - g->b);
	uint64_t own = 4 * (uint64_t)(n + m) + MOST_EDITS * 64, most = own < al->steps ? own : al->steps, steps = 0;

	*found = false;
	al->edits = 0;
	for (size_t d = 0; d <= MOST_EDITS && steps <= most; d++) {
		int32_t *ways = ways_of(al, d);

		al->far = -1;

		for (size_t i = 0; i <= d; i++) {
			int64_t k = 2 * (int64_t)i - (int64_t)d, x = d ? begin_of(ways_of(al, d - 1), d, i) : 0, y = x + k;

			ways[i] = -2;	/* off the gap */
			if (x < 0 || x > n || y < 0 || y > m)
				continue;
			x += (int64_t)common(a + x, b + y, (size_t)(n - x < m - y ? n - x : m - y));
			steps += 1 + (uint64_t)(x + k - y) / 8;
			ways[i] = (int32_t)x;
			if (2 * x + k > al->far) {
				al->far = 2 * x + k;
				al->far_k = k;
			}
			if (x == n && x + k == m) {
				*found = true;
				al->steps -= steps < al->steps ? steps : al->steps;
				return trace_back(al, g, d, k);
			}
		}
		steps++;
		al->edits = d;
		/* Of two that have little in common in so long a gap nothing more comes. */
		if (d == WORTH_EDITS && n + m > MOST_RARE && al->far < WORTH_IDS * WORTH_EDITS)
			break;
	}
	al->steps -= steps < al->steps ? steps : al->steps;
	return NULL;
}

/* The exact way ended within the gap: go with it to where it came furthest, if it is worth that. */
static struct cp_error *go_on(struct align *al, struct gap *g, bool *found)
{
	struct cp_error *error;
	int64_t x = (al->far - al->far_k) / 2;

	*found = al->edits >= WORTH_EDITS && al->far >= WORTH_IDS * (int64_t)al->edits;
	if (!*found)
		return NULL;
	error = trace_back(al, g, al->edits, al->far_k);
	g->a += (size_t)x;
	g->b += (size_t)(x + al->far_k);
	return error;
}

static struct cp_error *align_gap(struct align *al, struct gap g, unsigned int level, unsigned int depth);

/* Cut the gap up at what both have once. *found false: there is nothing of the kind. */
static struct cp_error *cut_up(struct align *al, const struct gap *g, unsigned int level, bool rare, unsigned int depth,
	bool *found)
{
	struct gap rest = *g;
	struct cp_anchor *anchors;
	uint64_t *left = rare ? &al->rare_looks : &al->looks, looks = g->a_end - g->a + g->b_end - g->b;
	size_t count;
	struct cp_error *error;

	*found = false;
	if (looks > *left)
		return NULL;
	*left -= looks;
	error = cp_anchors_find(&al->anchors, al->a + g->a, g->a_end - g->a, al->b + g->b, g->b_end - g->b,
		rare ? CP_ANCHOR_LEVELS - 1 : level, &anchors, &count);
	if (error)
		return error;
	*found = count > 0;
	for (size_t i = 0; i < count && !error; i++) {
		size_t a = g->a + anchors[i].a, b = g->b + anchors[i].b, same;

		if (a < rest.a || b < rest.b)	/* what the one before led to */
			continue;
		error = align_gap(al, (struct gap){ rest.a, a, rest.b, b }, level, depth + 1);
		same = common(al->a + a, al->b + b, g->a_end - a < g->b_end - b ? g->a_end - a : g->b_end - b);
		rest.a = a + same;
		rest.b = b + same;
	}
	free(anchors);
	if (!error && count)
		error = align_gap(al, rest, level, depth + 1);
	return error;
}

/* One step of it. *more: what is left of the gap is to be gone on with. */
static struct cp_error *align_some(struct align *al, struct gap *gap, unsigned int level, unsigned int depth, bool *more)
{
	struct cp_error *error = NULL;
	struct gap g;
	bool found = false;

	*more = false;
	trim(al, gap);
	g = *gap;
	if (g.a == g.a_end || g.b == g.b_end)
		return add_hunk(al, g.a, g.a_end - g.a, g.b, g.b_end - g.b);
	if (depth < DEEPEST && g.a_end - g.a + g.b_end - g.b <= MOST_RARE)
		error = cut_up(al, &g, level, true, depth, &found);
	if (error || found)
		return error;
	error = align_exactly(al, &g, &found);
	for (; !error && !found && level < CP_ANCHOR_LEVELS && depth < DEEPEST; level++)
		error = cut_up(al, &g, level, false, depth, &found);
	if (!error && !found)
		error = go_on(al, gap, more);
	if (error || found || *more)
		return error;
	return add_hunk(al, g.a, g.a_end - g.a, g.b, g.b_end - g.b);
}

static struct cp_error *align_gap(struct align *al, struct gap g, unsigned int level, unsigned int depth)
{
	struct cp_error *error;
	bool more;

	do
		error = align_some(al, &g, level, depth, &more);
	while (!error && more);
	return error;
}

struct cp_error *cp_align(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count, bool rare_first,
	struct cp_hunks *ret)
{
	struct align al = { .a = a, .b = b, .steps = MOST_STEPS, .looks = MOST_LOOKS * (a_count + b_count) + FREE_LOOKS };
	struct gap all = { 0, a_count, 0, b_count };
	struct cp_error *error;

	if (rare_first)
		al.rare_looks = MOST_RARE_LOOKS * (a_count + b_count) + FREE_LOOKS;
	if (a_count && b_count)		/* none may be NULL */
		trim(&al, &all);
	if (all.a == all.a_end || all.b == all.b_end) {
		error = add_hunk(&al, all.a, all.a_end - all.a, all.b, all.b_end - all.b);
	} else {
		al.ways = malloc((size_t)(MOST_EDITS + 1) * (MOST_EDITS + 2) / 2 * sizeof(*al.ways));
		error = al.ways ? align_gap(&al, all, 0, 0) : &cp_error_no_memory;
	}
	free(al.ways);
	cp_anchors_deinit(&al.anchors);
	if (error)
		free(al.hunks.items);
	else
		*ret = al.hunks;
	return error;
}
