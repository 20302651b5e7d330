/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "diff/align.h"
#include "unit.h"

static uint64_t state = 88172645463325252u;

static uint32_t next_random(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 20) % below);
}

/* Going along the hunks, with what is equal between, gives both to their ends. The number of elements in hunks. */
static size_t check(const uint32_t *a, size_t n, const uint32_t *b, size_t m, const struct cp_hunks *hunks)
{
	size_t at_a = 0, at_b = 0, edits = 0;

	for (size_t i = 0; i <= hunks->count; i++) {
		size_t until = i < hunks->count ? hunks->items[i].a : n;

		assert_true(until >= at_a && until <= n && at_b + (until - at_a) <= m);
		assert_memory_equal(a + at_a, b + at_b, (until - at_a) * sizeof(*a));
		assert_true(i == 0 || i == hunks->count || until > at_a);	/* neighbours are one hunk */
		at_b += until - at_a;
		at_a = until;
		if (i == hunks->count)
			break;
		assert_int_equal(hunks->items[i].b, at_b);
		assert_true(hunks->items[i].a_count + hunks->items[i].b_count > 0);
		at_a += hunks->items[i].a_count;
		at_b += hunks->items[i].b_count;
		edits += hunks->items[i].a_count + hunks->items[i].b_count;
	}
	assert_int_equal(at_a, n);
	assert_int_equal(at_b, m);
	return edits;
}

/* memcmp(3) may not be given the NULL of no elements. */
static size_t align(const uint32_t *a, size_t n, const uint32_t *b, size_t m, size_t *hunks)
{
	struct cp_hunks found;
	size_t edits;

	assert_null(cp_align(a, n, b, m, true, &found));
	check(a, n, b, m, &found);
	free(found.items);
	assert_null(cp_align(a, n, b, m, false, &found));
	edits = check(a, n, b, m, &found);
	if (hunks)
		*hunks = found.count;
	free(found.items);
	return edits;
}

/* The fewest edits, by the table of all beginnings. */
static size_t fewest(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
	static size_t table[80][80];

	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			if (!i || !j)
				table[i][j] = i + j;
			else if (a[i - 1] == b[j - 1])
				table[i][j] = table[i - 1][j - 1];
			else
				table[i][j] = 1 + (table[i - 1][j] < table[i][j - 1] ? table[i - 1][j] : table[i][j - 1]);
		}
	}
	return table[n][m];
}

/* Edit `a` at random: each place with a chance of 1 in `seldom`. */
static size_t edit(const uint32_t *a, size_t n, uint32_t *b, size_t room, uint32_t seldom, uint32_t ids)
{
	size_t m = 0;

	for (size_t i = 0; i < n && m + 2 < room; i++) {
		uint32_t what = next_random(seldom);

		if (what == 0)
			continue;
		if (what == 1)
			b[m++] = next_random(ids);
		b[m++] = a[i];
	}
	return m;
}

static void small_ones_have_the_fewest_edits(void **unused)
{
	(void)unused;
	for (int round = 0; round < 20000; round++) {
		uint32_t a[40], b[79], ids = 1 + next_random(12);
		size_t n = next_random(40), m;

		for (size_t i = 0; i < n; i++)
			a[i] = next_random(ids);
		m = edit(a, n, b, 79, 2 + next_random(20), ids);
		assert_int_equal(align(a, n, b, m, NULL), fewest(a, n, b, m));
	}
}

static void empty_and_equal_ones(void **unused)
{
	uint32_t a[200];
	size_t hunks;

	(void)unused;
	for (size_t i = 0; i < 200; i++)
		a[i] = (uint32_t)i % 7;
	assert_int_equal(align(a, 0, a, 0, &hunks), 0);
	assert_int_equal(hunks, 0);
	assert_int_equal(align(a, 200, a, 200, &hunks), 0);
	assert_int_equal(hunks, 0);
	assert_int_equal(align(a, 0, a, 200, &hunks), 200);
	assert_int_equal(hunks, 1);
	assert_int_equal(align(a, 200, a, 0, &hunks), 200);
	assert_int_equal(hunks, 1);
}

#define LONG (400 * 1000)

static void long_ones(uint32_t seldom, uint32_t ids, size_t most)
{
	uint32_t *a = malloc(LONG * sizeof(*a)), *b = malloc(2 * LONG * sizeof(*b));
	size_t m, edits;

	assert_true(a && b);
	for (size_t i = 0; i < LONG; i++)
		a[i] = next_random(ids);
	m = edit(a, LONG, b, 2 * (size_t)LONG, seldom, ids);
	edits = align(a, LONG, b, m, NULL);
	if (edits > most)
		fail_msg("%zu edits, and %zu are the most", edits, most);
	free(a);
	free(b);
}

/* No more edits than were made, or a few more where the way is found by anchors alone. */
static void long_ones_are_aligned(void **unused)
{
	(void)unused;
	long_ones(100000, 500, 40);
	long_ones(1000, 500, 1200);
	long_ones(50, 500, 20000);
	long_ones(50, 3, 25000);
}

static void others_are_replaced_in_time(void **unused)
{
	uint32_t *a = malloc(LONG * sizeof(*a)), *b = malloc(LONG * sizeof(*b));

	(void)unused;
	assert_true(a && b);
	for (size_t i = 0; i < LONG; i++) {
		a[i] = next_random(300);
		b[i] = 1000 + next_random(300);
	}
	assert_int_equal(align(a, LONG, b, LONG, NULL), 2 * LONG);
	for (size_t i = 0; i < LONG; i++)
		b[i] = next_random(300);
	assert_true(align(a, LONG, b, LONG, NULL) <= 2 * LONG);
	/* One that is the other's end and beginning. */
	memcpy(b, a + LONG / 2, LONG / 2 * sizeof(*a));
	memcpy(b + LONG / 2, a, LONG / 2 * sizeof(*a));
	assert_int_equal(align(a, LONG, b, LONG, NULL), LONG);
	free(a);
	free(b);
}

/* A loop that goes round more often is one hunk, however often it is. */
static void loops_are_one_hunk(void **unused)
{
	uint32_t *a = malloc(LONG * sizeof(*a)), *b = malloc(2 * LONG * sizeof(*b));
	size_t hunks;

	(void)unused;
	assert_true(a && b);
	for (size_t i = 0; i < 2 * (size_t)LONG; i++)
		b[i] = i < 1000 || i >= 2 * LONG - 1000 ? (uint32_t)(i < 1000 ? i : 2 * LONG - i) + 10 : (uint32_t)i % 3;
	for (size_t i = 0; i < LONG; i++)
		a[i] = i < LONG - 1000 ? b[i] : b[LONG + i];
	assert_true(align(a, LONG, b, 2 * (size_t)LONG, &hunks) < LONG + 10);
	assert_true(hunks <= 3);
	free(a);
	free(b);
}

/* f0 p p p f1 p f2 and f0 p f1 p p p f2: two loops, not a call that moved. */
static void rare_ids_are_kept_together(void **unused)
{
	const uint32_t a[] = { 10, 1, 1, 1, 1, 1, 11, 1, 12 }, b[] = { 10, 1, 11, 1, 1, 1, 1, 1, 12 };
	struct cp_hunks found;

	(void)unused;
	assert_null(cp_align(a, 9, b, 9, true, &found));
	assert_int_equal(check(a, 9, b, 9, &found), 8);
	free(found.items);
	assert_null(cp_align(a, 9, b, 9, false, &found));
	assert_int_equal(check(a, 9, b, 9, &found), 2);
	free(found.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_ones_have_the_fewest_edits),
		cmocka_unit_test(empty_and_equal_ones),
		cmocka_unit_test(long_ones_are_aligned),
		cmocka_unit_test(others_are_replaced_in_time),
		cmocka_unit_test(loops_are_one_hunk),
		cmocka_unit_test(rare_ids_are_kept_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
