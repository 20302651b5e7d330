/* SPDX-License-Identifier: BSD-2-Clause */
/* Two sequences of ids, a byte each, divided by the first byte that is 0xff: what is said to differ gives both. */
#include <stdlib.h>
#include <string.h>

#include "diff/align.h"
#include "diff/repeats.h"
#include "fuzz/fuzz.h"

/* Between hunks both are equal, and the hunks lead to both ends. */
static void check(const uint32_t *a, size_t n, const uint32_t *b, size_t m, const struct cp_hunks *hunks)
{
	size_t at_a = 0, at_b = 0;

	for (size_t i = 0; i <= hunks->count; i++) {
		const struct cp_hunk *h = i < hunks->count ? &hunks->items[i] : NULL;
		size_t same = (h ? h->a : n) - at_a;

		FUZZ_ASSERT((h ? h->a : n) >= at_a && same <= m - at_b);
		for (size_t j = 0; j < same; j++)
			FUZZ_ASSERT(a[at_a + j] == b[at_b + j]);
		at_a += same;
		at_b += same;
		if (!h)
			break;
		FUZZ_ASSERT(h->b == at_b && h->a_count + h->b_count > 0);
		at_a += h->a_count;
		at_b += h->b_count;
		FUZZ_ASSERT(at_a <= n && at_b <= m);
	}
	FUZZ_ASSERT(at_a == n && at_b == m);
}

/* A loop that is said to be one goes round as often as that. */
static void check_repeat(const uint32_t *ids, size_t count, size_t from, size_t run)
{
	struct cp_repeat repeat;

	if (!run || !cp_repeat_of(ids, count, from, run, &repeat))
		return;
	FUZZ_ASSERT(repeat.period && run % repeat.period == 0);
	FUZZ_ASSERT(repeat.rounds > run / repeat.period && repeat.rounds * repeat.period <= count);
	cp_rounds_hash(ids + from, repeat.period);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *middle = memchr(data, 0xff, size);
	size_t n = middle ? (size_t)(middle - data) : size, m = middle ? size - n - 1 : 0;
	uint32_t *a = malloc((n + 1) * sizeof(*a)), *b = malloc((m + 1) * sizeof(*b));

	FUZZ_ASSERT(a && b);
	for (size_t i = 0; i < n; i++)
		a[i] = data[i];
	for (size_t i = 0; i < m; i++)
		b[i] = data[n + 1 + i];
	for (int rare_first = 0; rare_first < 2; rare_first++) {
		struct cp_hunks hunks;

		FUZZ_ASSERT(!cp_align(a, n, b, m, rare_first, &hunks));
		check(a, n, b, m, &hunks);
		for (size_t i = 0; i < hunks.count; i++) {
			check_repeat(a, n, hunks.items[i].a, hunks.items[i].a_count);
			check_repeat(b, m, hunks.items[i].b, hunks.items[i].b_count);
		}
		free(hunks.items);
	}
	free(a);
	free(b);
	return 0;
}
