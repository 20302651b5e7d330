/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/fmtmatch.h"
#include "code/cstrings.h"
#include "base/utf8.h"

/* A string is not looked back for longer than this: data without NULs is no string. */
#define LONGEST_STRING 65536

struct area {
	const char *bytes;
	uint64_t size, address;
};

struct found {
	struct cp_string *items;
	size_t count;
	unsigned int score;
};

/* ASCII that text is made of; 1 begins printk's level prefix. */
static bool is_text(unsigned char c)
{
	return (c >= 0x20 && c < 0x7f) || c == 1 || (c >= '\a' && c <= '\r') || c == 0x1b;
}

/* How long the character of text is that ends before an offset; 0: none does, such as where a jump table ends. */
static uint64_t text_before(const struct area *area, uint64_t at)
{
	const unsigned char *end = (const unsigned char *)area->bytes + at;

	if (at && is_text(end[-1]))
		return 1;
	for (size_t length = 2; length <= 4 && length <= at; length++) {
		if (cp_utf8_length(end - length) == length)
			return length;
	}
	return 0;
}

/* The bounds of the string around an offset; false when it does not end inside the area. */
static bool bounds(const struct area *area, uint64_t at, uint64_t *start, uint64_t *end)
{
	uint64_t first = at, length;
	const char *nul = memchr(area->bytes + at, 0, area->size - at);

	if (!nul)
		return false;
	while (at - first < LONGEST_STRING && (length = text_before(area, first)))
		first -= length;
	*start = first;
	*end = (uint64_t)(nul - area->bytes);
	return true;
}

static struct cp_error *add(struct found *found, const struct area *area, uint64_t start, uint64_t place, uint64_t end)
{
	struct cp_string *items = cp_grow(found->items, found->count, sizeof(*items));

	if (!items)
		return &cp_error_no_memory;
	found->items = items;
	items[found->count++] = (struct cp_string){ area->address + start, area->address + place, area->address + end,
		area->bytes + start };
	return NULL;
}

/* Pascal's strings begin with a byte that is their length. */
static bool has_length(const struct area *area, uint64_t start, uint64_t end)
{
	return start && area->bytes[start - 1] && (unsigned char)area->bytes[start - 1] <= end - start;
}

static struct cp_error *find_literal(const struct area *area, const char *text, struct found *found)
{
	size_t length = strlen(text);
	uint64_t at = 0;

	while (at < area->size) {
		const char *hit = memmem(area->bytes + at, area->size - at, text, length);
		struct cp_error *error = NULL;
		uint64_t start, end, place;

		if (!hit)
			return NULL;
		place = (uint64_t)(hit - area->bytes);
		if (!bounds(area, place, &start, &end))
			return NULL;
		start -= has_length(area, start, end);
		while (hit && !error) {
			place = (uint64_t)(hit - area->bytes);
			error = add(found, area, start, place, place + length);
			start = place + 1;
			hit = memmem(area->bytes + start, end - start, text, length);
		}
		if (error)
			return error;
		at = end + 1;
	}
	return NULL;
}

static uint32_t run_hash(const char *p)
{
	return (cp_read32((const uint8_t *)p) * 2654435761u) >> 16;
}

/* Does the text hold four characters in a row of the string? */
static bool shares_run(const uint8_t *runs, const char *string, uint64_t size, const char *text, size_t length)
{
	for (uint64_t i = 0; i + CP_FORMAT_RUN <= size; i++) {
		if (runs[run_hash(string + i)] && memmem(text, length, string + i, CP_FORMAT_RUN))
			return true;
	}
	return false;
}

/*
 * Strings that hold a conversion, and share a run of CP_FORMAT_RUN characters with the text: is it their output? Looked
 * for by their '%', which is rarer than any run.
 */
static struct cp_error *find_formats(const struct area *area, const char *text, struct found *found)
{
	uint8_t runs[65536];
	size_t length = strlen(text);
	const char *percent, *last, *nul;

	_Static_assert(CP_FORMAT_RUN == 4, "run_hash reads four characters");
	memset(runs, 0, sizeof(runs));
	for (size_t i = 0; i + CP_FORMAT_RUN <= length; i++)
		runs[run_hash(text + i)] = 1;
	for (uint64_t at = 0, start, end; at < area->size; at = end + 1) {
		struct cp_error *error = NULL;
		bool matches = false;
		unsigned int score;
		size_t place;

		percent = memchr(area->bytes + at, '%', area->size - at);
		nul = percent ? memchr(percent, 0, area->size - (uint64_t)(percent - area->bytes)) : NULL;
		if (!nul)
			return NULL;
		/* Of several before the NUL the last one: what is binary in front of the string may hold one too. */
		last = memrchr(percent, '%', (size_t)(nul - percent));
		bounds(area, (uint64_t)(last - area->bytes), &start, &end);
		if (shares_run(runs, area->bytes + start, end - start, text, length))
			error = cp_format_match(area->bytes + start, end - start, text, &matches, &place, &score);
		if (matches && score >= found->score) {
			if (score > found->score)
				found->count = 0;
			found->score = score;
			error = add(found, area, start, start + place, end);
		}
		if (error)
			return error;
	}
	return NULL;
}

static int compare(const void *left, const void *right)
{
	const struct cp_string *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/*
 * All data that is loaded, of sections that are code or of those that are not (small kernels link .rodata into .text);
 * without sections, everything that is loaded.
 */
static struct cp_error *each_area(const struct cp_image *image, const char *text, bool code, struct found *found,
	struct cp_error *(*search)(const struct area *area, const char *text, struct found *found))
{
	struct cp_error *error = NULL;

	for (size_t i = 1; i < image->section_count && !error; i++) {
		const struct cp_section *s = &image->sections[i];
		struct area area = { (const char *)cp_section_bytes(image, s), s->size, s->address };

		if ((s->flags & SHF_ALLOC) && !(s->flags & SHF_EXECINSTR) == !code && !(s->flags & SHF_COMPRESSED) &&
			s->type == SHT_PROGBITS && s->size && strncmp(s->name, ".BTF", 4) && strncmp(s->name, ".orc_", 5))
			error = search(&area, text, found);
	}
	for (size_t i = 0; i < image->segment_count && !error && !image->section_count; i++) {
		const struct cp_segment *s = &image->segments[i];
		struct area area = { (const char *)image->data + s->offset, s->filesz, s->vaddr };

		if (s->type == PT_LOAD && s->filesz)
			error = search(&area, text, found);
	}
	return error;
}

struct cp_error *cp_strings_find(const struct cp_image *image, const char *text, struct cp_string **ret, size_t *count)
{
	struct found found = { 0 };
	struct cp_error *error = each_area(image, text, false, &found, find_literal);

	if (!error && !found.count)
		error = each_area(image, text, true, &found, find_literal);
	if (!error && !found.count)
		error = each_area(image, text, false, &found, find_formats);
	if (!error && !found.count)
		error = each_area(image, text, true, &found, find_formats);
	if (error) {
		free(found.items);
		return error;
	}
	if (found.count)
		qsort(found.items, found.count, sizeof(*found.items), compare);
	*ret = found.items;
	*count = found.count;
	return NULL;
}
