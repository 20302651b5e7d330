/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "dwarf/filenames.h"
#include "base/glob.h"

static const struct cp_section *plain_section(const struct cp_image *image, const char *name)
{
	const struct cp_section *section = cp_image_section(image, name);

	return section && !(section->flags & SHF_COMPRESSED) && cp_section_bytes(image, section) ? section : NULL;
}

/* Offsets at which a string that ends in the name may begin: linkers merge strings into the tails of others. */
static struct cp_error *add_offsets(struct cp_filenames *names, const char *section_name)
{
	const struct cp_section *section = plain_section(names->image, section_name);
	const uint8_t *bytes = section ? cp_section_bytes(names->image, section) : NULL;
	size_t length = strlen(names->name) + 1;
	uint64_t size = section ? section->size : 0, at = 0;
	const uint8_t *hit;

	while (at < size && (hit = memmem(bytes + at, size - at, names->name, length))) {
		uint64_t start = (uint64_t)(hit - bytes);

		at = start + length;
		for (;;) {
			uint32_t *offsets = cp_grow(names->offsets, names->count, sizeof(*offsets));

			if (!offsets)
				return &cp_error_no_memory;
			names->offsets = offsets;
			offsets[names->count++] = (uint32_t)start;
			if (!start || !bytes[start - 1])
				break;
			start--;
		}
	}
	return NULL;
}

static int compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

struct cp_error *cp_filenames_init(const struct cp_image *debug, const char *glob, struct cp_filenames *ret)
{
	const char *slash = strrchr(glob, '/');
	const struct cp_section *lines = plain_section(debug, ".debug_line");
	struct cp_filenames names = { .image = debug, .name = slash ? slash + 1 : glob };
	struct cp_error *error;

	/* In an object file offsets are what relocations make of them. */
	if (lines && debug->type != ET_REL && *names.name && cp_glob_is_literal(names.name) &&
		(plain_section(debug, ".debug_line_str") || !cp_image_section(debug, ".debug_line_str")) &&
		(plain_section(debug, ".debug_str") || !cp_image_section(debug, ".debug_str"))) {
		error = add_offsets(&names, ".debug_line_str");
		if (!error)
			error = add_offsets(&names, ".debug_str");
		if (error) {
			cp_filenames_deinit(&names);
			return error;
		}
		if (names.count)
			qsort(names.offsets, names.count, sizeof(*names.offsets), compare);
		names.lines = cp_section_bytes(debug, lines);
		names.size = lines->size;
	}
	*ret = names;
	return NULL;
}

void cp_filenames_deinit(struct cp_filenames *names)
{
	free(names->offsets);
	memset(names, 0, sizeof(*names));
}

static bool is_offset(const struct cp_filenames *names, uint32_t value)
{
	return value >= names->offsets[0] && value <= names->offsets[names->count - 1] &&
		bsearch(&value, names->offsets, names->count, sizeof(value), compare);
}

bool cp_filenames_may(const struct cp_filenames *names, uint64_t offset)
{
	const uint8_t *p = names->lines ? names->lines + offset : NULL;
	uint64_t at, size;
	uint16_t version;

	/* DWARF 5, 6.2.4: unit_length, version, (version 5: address_size, segment_selector_size), header_length. */
	if (!p || offset >= names->size || names->size - offset < 12 || cp_read32(p) >= 0xfffffff0)
		return true;
	version = cp_read16(p + 4);
	at = version >= 5 ? 12 : 10;
	size = cp_read32(p + at - 4);
	if (version < 2 || version > 5 || size > names->size - offset - at)
		return true;
	if (memmem(p + at, size, names->name, strlen(names->name) + 1))
		return true;
	for (uint64_t i = 0; version >= 5 && names->count && i + 4 <= size; i++) {
		if (is_offset(names, cp_read32(p + at + i)))
			return true;
	}
	return false;
}
