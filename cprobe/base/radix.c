/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/large.h"
#include "base/radix.h"

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

/* One pass, from `in` to `out`. False: that digit is the same in all, nothing was written. */
static bool pass(const struct cp_keyed *in, struct cp_keyed *out, size_t count, unsigned int shift)
{
	size_t starts[DIGITS] = { 0 }, at = 0;

	for (size_t i = 0; i < count; i++)
		starts[in[i].key >> shift & (DIGITS - 1)]++;
	if (starts[in[0].key >> shift & (DIGITS - 1)] == count)
		return false;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t here = starts[d];

		starts[d] = at;
		at += here;
	}
	for (size_t i = 0; i < count; i++)
		out[starts[in[i].key >> shift & (DIGITS - 1)]++] = in[i];
	return true;
}

bool cp_radix_sort(struct cp_keyed *items, size_t count)
{
	struct cp_keyed *from = items, *to;
	uint64_t differing = 0;

	for (size_t i = 1; i < count; i++)
		differing |= items[i].key ^ items[0].key;
	if (!differing)
		return true;
	to = cp_large_alloc(count * sizeof(*to));
	if (!to)
		return false;
	for (unsigned int shift = 0; shift < 64 && differing >> shift; shift += DIGIT_BITS) {
		if (pass(from, to, count, shift)) {
			struct cp_keyed *swap = from;

			from = to;
			to = swap;
		}
	}
	if (from != items) {
		memcpy(items, from, count * sizeof(*items));
		to = from;
	}
	free(to);
	return true;
}

size_t cp_keyed_lower(const struct cp_keyed *items, size_t count, uint64_t key)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (items[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
