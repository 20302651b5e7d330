/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorting by one 64-bit number: several times quicker than qsort(3) on the hundred thousands of addresses here. */
#ifndef CPROBE_RADIX_H
#define CPROBE_RADIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_keyed {
	uint64_t key;
	size_t index;		/* of what the key is of */
};

/* Stable, by key. False: no memory, nothing was changed. */
bool cp_radix_sort(struct cp_keyed *items, size_t count);

/* Of sorted ones, the first at or above the key; count: there is none. */
size_t cp_keyed_lower(const struct cp_keyed *items, size_t count, uint64_t key);

#endif
