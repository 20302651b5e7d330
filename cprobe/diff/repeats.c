/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "diff/names.h"
#include "diff/repeats.h"

#define LONGEST_ROUND	1024
#define MOST_ROUNDS	((size_t)1 << 22)	/* that are counted to either side */

static bool same(const uint32_t *a, const uint32_t *b, size_t count)
{
	return !memcmp(a, b, count * sizeof(*a));
}

/* The ids of the shortest round of which the run is whole ones. */
static size_t period_of(const uint32_t *run, size_t count)
{
	for (size_t period = 1; period <= count / 2 && period <= LONGEST_ROUND; period++) {
		if (count % period == 0 && run[0] == run[period] && same(run, run + period, count - period))
			return period;
	}
	return count;
}

bool cp_repeat_of(const uint32_t *ids, size_t count, size_t from, size_t run, struct cp_repeat *ret)
{
	size_t period = period_of(ids + from, run), first = from, end = from + run;

	while (first >= period && from - first < MOST_ROUNDS * period && same(ids + first - period, ids + from, period))
		first -= period;
	while (count - end >= period && end - from < MOST_ROUNDS * period && same(ids + end, ids + from, period))
		end += period;
	if (end - first == run)
		return false;
	*ret = (struct cp_repeat){ (uint32_t)period, (end - first) / period };
	return true;
}

uint64_t cp_rounds_hash(const uint32_t *ids, size_t period)
{
	uint64_t sum = cp_names_hash(0, &period, sizeof(period));

	/* Each pair of neighbours, in any order: rounds that begin elsewhere have the same ones. */
	for (size_t i = 0; i < period; i++) {
		uint32_t both[2] = { ids[i], ids[(i + 1) % period] };

		sum += cp_names_hash(0, both, sizeof(both));
	}
	return sum;
}
