/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "code/alternatives.h"

/*
 * Two offsets of 32 bits, each from its own field, come first in all versions. Behind them are what the CPU must have
 * and the two sizes: 12 bytes since Linux 3.6 and again since 5.18, 13 with the padding's size from 4.1 on, 14 with a
 * word of flags since 6.3. The entries themselves tell which one it is, whatever version a vendor built it from.
 */
static const struct {
	uint8_t size, sizes_at;
} layouts[] = { { 12, 10 }, { 13, 10 }, { 14, 12 } };

static bool in_code(const struct cp_code *code, const struct cp_section *replacements, uint64_t address)
{
	uint64_t unused;

	for (size_t i = 0; i < code->part_count; i++) {
		if (code->parts[i].address != replacements->address && cp_part_bytes(&code->parts[i], address, &unused))
			return true;
	}
	return false;
}

/* One entry; false: the bytes there are none of that layout. */
static bool read_entry(const struct cp_code *code, const struct cp_section *replacements, uint64_t address,
	const uint8_t *bytes, size_t layout, struct cp_alternative *ret)
{
	uint64_t start = replacements->address, offset;

	ret->original = cp_code_wrap(code, address + (uint64_t)(int32_t)cp_read32(bytes));
	ret->replacement = cp_code_wrap(code, address + 4 + (uint64_t)(int32_t)cp_read32(bytes + 4));
	ret->original_size = bytes[layouts[layout].sizes_at];
	ret->replacement_size = bytes[layouts[layout].sizes_at + 1];
	offset = ret->replacement - start;
	return offset <= replacements->size && ret->replacement_size <= replacements->size - offset &&
		in_code(code, replacements, ret->original);
}

static int compare(const void *left, const void *right)
{
	const struct cp_alternative *a = left, *b = right;

	if (a->replacement != b->replacement)
		return a->replacement < b->replacement ? -1 : 1;
	return a->original < b->original ? -1 : a->original > b->original;
}

/* Entries that put nothing in the place of what they patch have no instruction. */
static size_t drop_empty(struct cp_alternative *items, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (items[i].replacement_size)
			items[kept++] = items[i];
	}
	return kept;
}

struct cp_error *cp_alternatives_read(const struct cp_code *code, struct cp_alternatives *ret)
{
	const struct cp_image *image = code->program->image;
	const struct cp_section *entries = cp_image_section(image, ".altinstructions");
	const struct cp_section *replacements = cp_image_section(image, ".altinstr_replacement");
	const uint8_t *bytes = entries ? cp_section_bytes(image, entries) : NULL;
	struct cp_alternative *items;

	*ret = (struct cp_alternatives){ NULL, 0 };
	if (!bytes || !replacements || entries->size < layouts[0].size)
		return NULL;
	items = malloc(entries->size / layouts[0].size * sizeof(*items));
	if (!items)
		return &cp_error_no_memory;
	for (size_t layout = 0; layout < sizeof(layouts) / sizeof(*layouts); layout++) {
		size_t size = layouts[layout].size, count = entries->size / size, i = 0;

		while (i < count && read_entry(code, replacements, entries->address + i * size, bytes + i * size, layout,
			&items[i]))
			i++;
		if (i < count || entries->size % size)
			continue;
		count = drop_empty(items, count);
		if (count)
			qsort(items, count, sizeof(*items), compare);
		*ret = (struct cp_alternatives){ items, count };
		return NULL;
	}
	free(items);
	return NULL;
}

void cp_alternatives_deinit(struct cp_alternatives *alternatives)
{
	free(alternatives->items);
	memset(alternatives, 0, sizeof(*alternatives));
}

uint64_t cp_alternatives_site(const struct cp_alternatives *alternatives, uint64_t address)
{
	size_t low = 0, high = alternatives->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (alternatives->items[middle].replacement <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low) {
		const struct cp_alternative *a = &alternatives->items[low - 1];

		if (address - a->replacement < a->replacement_size)
			return a->original + (address - a->replacement);
	}
	return 0;
}
