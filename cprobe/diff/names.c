/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "diff/names.h"

/* Neither 0, which has no value, nor a number that another id could take. */
#define MOST_NAMES ((size_t)1 << 31)

void cp_names_init(struct cp_names *names)
{
	memset(names, 0, sizeof(*names));
	cp_arena_init(&names->arena);
}

void cp_names_deinit(struct cp_names *names)
{
	free(names->texts);
	free(names->slots);
	cp_arena_deinit(&names->arena);
}

uint64_t cp_names_hash(uint64_t before, const void *bytes, size_t size)
{
	uint64_t value = before ^ 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++) {
		value = (value ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
		value ^= value >> 31;
	}
	value *= 0x9e3779b97f4a7c15u;
	value ^= value >> 32;
	return value ? value : 1;
}

static uint32_t *slot_of(const struct cp_names *names, const char *text, size_t length)
{
	for (size_t at = (size_t)cp_names_hash(0, text, length);; at++) {
		uint32_t *slot = &names->slots[at & (names->size - 1)];
		const char *has = *slot ? names->texts[*slot - 1] : NULL;

		if (!has || (!strncmp(has, text, length) && !has[length]))
			return slot;
	}
}

static bool make_slots(struct cp_names *names)
{
	uint32_t *slots;

	if (2 * names->count < names->size)
		return true;
	slots = calloc(names->size ? 2 * names->size : 1024, sizeof(*slots));
	if (!slots)
		return false;
	free(names->slots);
	names->slots = slots;
	names->size = names->size ? 2 * names->size : 1024;
	for (size_t i = 0; i < names->count; i++)
		*slot_of(names, names->texts[i], strlen(names->texts[i])) = (uint32_t)i + 1;
	return true;
}

const uint32_t *cp_names_find(const struct cp_names *names, const char *text, size_t length)
{
	const uint32_t *slot = names->size ? slot_of(names, text, strnlen(text, length)) : NULL;

	return slot && *slot ? slot : NULL;
}

struct cp_error *cp_names_number(struct cp_names *names, const char *text, size_t length, uint32_t *ret)
{
	const char **grown;
	uint32_t *slot;
	char *copy;

	length = strnlen(text, length);
	if (!make_slots(names) || names->count >= MOST_NAMES)
		return &cp_error_no_memory;
	slot = slot_of(names, text, length);
	if (!*slot) {
		grown = cp_grow(names->texts, names->count, sizeof(*grown));
		if (grown)
			names->texts = grown;
		copy = grown ? cp_arena_alloc(&names->arena, length + 1) : NULL;
		if (!copy)
			return &cp_error_no_memory;
		memcpy(copy, text, length);
		names->texts[names->count++] = copy;
		*slot = (uint32_t)names->count;
	}
	*ret = *slot - 1;
	return NULL;
}
