/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>

#include "command/nearest.h"

#define LONGEST 31

/* Letters to insert, drop, change or swap with their neighbour, from one word to the other. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
	size_t length_a = strlen(a), length_b = strlen(b);

	if (length_a > LONGEST || length_b > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= length_b; j++)
		above[j] = j;
	for (size_t i = 1; i <= length_a; i++) {
		size_t *next = before;

		row[0] = i;
		for (size_t j = 1; j <= length_b; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			if (row[j] > above[j] + 1)
				row[j] = above[j] + 1;
			if (row[j] > row[j - 1] + 1)
				row[j] = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && row[j] > before[j - 2] + 1)
				row[j] = before[j - 2] + 1;
		}
		before = above;
		above = row;
		row = next;
	}
	return above[length_b];
}

/* "form" of "format", "func" of "in-func". */
static bool begins_or_ends(const char *candidate, const char *word)
{
	size_t length = strlen(word), whole = strlen(candidate);

	return length && length <= whole && (!strncmp(candidate, word, length) || !strcmp(candidate + whole - length, word));
}

const char *cp_nearest(const char *word, const char *const *candidates, size_t count)
{
	size_t length = strlen(word), best = length < 3 ? 1 : length < 6 ? 2 : 3;
	const char *ret = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t d = begins_or_ends(candidates[i], word) ? 0 : distance(word, candidates[i]);

		if (d < best || (d == best && !ret)) {
			best = d;
			ret = candidates[i];
		}
	}
	return ret;
}
