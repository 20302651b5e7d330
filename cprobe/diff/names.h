/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts by number, the same text the same number, for two traces at once. */
#ifndef CPROBE_NAMES_H
#define CPROBE_NAMES_H

#include "base/arena.h"

struct cp_names {
	const char **texts;	/* by number; the arena's */
	size_t count;
	uint32_t *slots;	/* number + 1; 0: free; owned */
	size_t size;		/* of slots: a power of two, or 0 */
	struct cp_arena arena;
};

void cp_names_init(struct cp_names *names);
void cp_names_deinit(struct cp_names *names);

/* The number of a text, up to its first 0; a new one is kept. */
struct cp_error *cp_names_number(struct cp_names *names, const char *text, size_t length, uint32_t *ret);

/* Where the number of a text, up to its first 0, stands, and 1 more; NULL: it has none. */
const uint32_t *cp_names_find(const struct cp_names *names, const char *text, size_t length);

/* 64 bits of all bytes; never 0. Of several parts, each begins with what the one before gave, the first with 0. */
uint64_t cp_names_hash(uint64_t before, const void *bytes, size_t size);

#endif
