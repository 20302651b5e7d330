/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that lives as long as one question: records and their strings. Everything taken from an arena is freed at
 * once by cp_arena_deinit(). Every function returns NULL when there is no memory.
 */
#ifndef CPROBE_ARENA_H
#define CPROBE_ARENA_H

#include "cprobe.h"

void cp_arena_init(struct cp_arena *arena);
void cp_arena_deinit(struct cp_arena *arena);

/* All that is in `from` now lives as long as `to`. */
void cp_arena_take(struct cp_arena *to, struct cp_arena *from);

/* Zeroed and aligned for any type. */
void *cp_arena_alloc(struct cp_arena *arena, size_t size);
char *cp_arena_strdup(struct cp_arena *arena, const char *text);
char *cp_arena_printf(struct cp_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Room for one more element in a malloc'ed array of `count` elements: returns the array, possibly moved, or NULL
 * (then the old array still is the caller's). Capacities are the powers of two from 8 on.
 */
void *cp_grow(void *array, size_t count, size_t element_size);

#endif
