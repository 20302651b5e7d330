/* SPDX-License-Identifier: BSD-2-Clause */
/* See sites.h. */
#include "sites.h"

#include <stdlib.h>

#define SLOTS (2 * SITES_MAX)	/* of the hash; a power of 2 */

struct site {
	uint64_t address, target;
};

/* Both are touched only as far as they are used. */
static struct site *sites;
static uint32_t *slots;		/* numbers by address, 0 free */
static uint32_t count;		/* numbers begin at 1 */

struct cp_error *
sites_init(void)
{
	sites = calloc(SITES_MAX, sizeof(*sites));
	slots = calloc(SLOTS, sizeof(*slots));
	return sites != NULL && slots != NULL ? NULL : &cp_error_no_memory;
}

uint32_t
sites_number(uint64_t address, uint64_t target)
{
	size_t at = (size_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (SLOTS - 1);

	/* The same address may hold other code by now: a site is both. */
	while (slots[at] != 0) {
		if (sites[slots[at]].address == address && sites[slots[at]].target == target)
			return slots[at];
		at = (at + 1) & (SLOTS - 1);
	}
	if (count + 1 >= SITES_MAX)
		return 0;
	slots[at] = ++count;
	sites[count] = (struct site){ address, target };
	return count;
}

uint64_t
sites_address(size_t number, uint64_t *target)
{
	*target = sites[number].target;
	return sites[number].address;
}
