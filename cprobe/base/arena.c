/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define BLOCK_SIZE ((size_t)64 * 1024)

struct cp_arena_block {
	struct cp_arena_block *previous;
	size_t used;
	size_t size;
	_Alignas(max_align_t) unsigned char bytes[];
};

void cp_arena_init(struct cp_arena *arena)
{
	arena->last = NULL;
}

void cp_arena_deinit(struct cp_arena *arena)
{
	struct cp_arena_block *block = arena->last;

	while (block) {
		struct cp_arena_block *previous = block->previous;

		free(block);
		block = previous;
	}
	arena->last = NULL;
}

void cp_arena_take(struct cp_arena *to, struct cp_arena *from)
{
	struct cp_arena_block *first = from->last;

	if (!first)
		return;
	while (first->previous)
		first = first->previous;
	/* Behind the block that `to` still fills. */
	if (to->last) {
		first->previous = to->last->previous;
		to->last->previous = from->last;
	} else {
		to->last = from->last;
	}
	from->last = NULL;
}

void *cp_arena_alloc(struct cp_arena *arena, size_t size)
{
	struct cp_arena_block *block = arena->last;
	size_t align = _Alignof(max_align_t);
	void *ret;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + align - 1) / align * align;
	if (!block || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = calloc(1, sizeof(*block) + room);
		if (!block)
			return NULL;
		block->size = room;
		block->previous = arena->last;
		arena->last = block;
	}
	ret = block->bytes + block->used;
	block->used += size;
	return ret;
}

char *cp_arena_strdup(struct cp_arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *ret = cp_arena_alloc(arena, size);

	return ret ? memcpy(ret, text, size) : NULL;
}

char *cp_arena_printf(struct cp_arena *arena, const char *format, ...)
{
	va_list ap, again;
	char *ret = NULL;
	int length;

	va_start(ap, format);
	va_copy(again, ap);
	length = vsnprintf(NULL, 0, format, ap);
	if (length >= 0)
		ret = cp_arena_alloc(arena, (size_t)length + 1);
	if (ret)
		vsnprintf(ret, (size_t)length + 1, format, again);
	va_end(again);
	va_end(ap);
	return ret;
}

void *cp_grow(void *array, size_t count, size_t element_size)
{
	size_t capacity;

	if (!count)
		return realloc(array, 8 * element_size);	/* an array may be there already: its elements were taken back */
	if (count < 8)
		return array;
	if (count & (count - 1))
		return array;
	capacity = count * 2;
	if (capacity > SIZE_MAX / 2 / element_size)
		return NULL;
	return realloc(array, capacity * element_size);
}
