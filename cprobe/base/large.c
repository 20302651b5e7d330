/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/large.h"

#define HUGE_PAGE ((size_t)2 << 20)

void *cp_large_alloc(size_t size)
{
	void *ret = NULL;

#ifdef MADV_HUGEPAGE
	/* Under a quarter of one, most of a huge page would be zeroed for nothing. */
	if (size >= HUGE_PAGE / 4 && size <= SIZE_MAX - HUGE_PAGE) {
		size_t room = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;

		ret = aligned_alloc(HUGE_PAGE, room);
		if (ret)
			madvise(ret, room, MADV_HUGEPAGE);	/* a wish: without it the pages are small */
	}
#endif
	return ret ? ret : malloc(size);
}
