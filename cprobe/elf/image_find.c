/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding things in an image: sections, bytes at addresses, notes. Opening and checking it is image.c's. */
#include <elf.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "elf/image.h"

size_t cp_image_peek(const struct cp_image *image, const uint8_t *at, void *buffer, size_t count)
{
	uint64_t offset = (uint64_t)(at - image->data), left = image->size - offset;
	ssize_t got;

	if (count > left)
		count = (size_t)left;
	got = image->relocated ? -1 : pread(image->fd, buffer, count, (off_t)offset);
	if (got == (ssize_t)count)
		return count;
	memcpy(buffer, at, count);
	return count;
}

const uint8_t *cp_section_bytes(const struct cp_image *image, const struct cp_section *section)
{
	if (section->type == SHT_NOBITS || section->type == SHT_NULL)
		return NULL;
	return image->data + section->offset;
}

const struct cp_section *cp_image_section(const struct cp_image *image, const char *name)
{
	for (size_t i = 1; i < image->section_count; i++) {
		if (!strcmp(image->sections[i].name, name))
			return &image->sections[i];
	}
	return NULL;
}

const struct cp_section *cp_image_section_at(const struct cp_image *image, uint64_t address)
{
	size_t index;

	return cp_cover_at(&image->sections_at, address, &index) ? &image->sections[index] : NULL;
}

const uint8_t *cp_image_at(const struct cp_image *image, uint64_t address, uint64_t *available)
{
	const struct cp_section *section;
	size_t index;

	if (cp_cover_at(&image->bytes_at, address, &index)) {
		const struct cp_segment *s = &image->segments[index];

		*available = s->filesz - (address - s->vaddr);
		return image->data + s->offset + (address - s->vaddr);
	}
	section = cp_image_section_at(image, address);
	if (!section || !cp_section_bytes(image, section))
		return NULL;
	*available = section->size - (address - section->address);
	return cp_section_bytes(image, section) + (address - section->address);
}

bool cp_image_paddr(const struct cp_image *image, uint64_t address, uint64_t *ret)
{
	const struct cp_segment *s;
	size_t index;

	if (!cp_cover_at(&image->memory_at, address, &index))
		return false;
	s = &image->segments[index];
	*ret = address - s->vaddr + s->paddr;
	return true;
}

/* Walk one block of notes. Their alignment is 4 save in the rare 8-aligned blocks. */
static bool find_note(const uint8_t *p, uint64_t size, uint64_t address, uint64_t align, const char *owner,
	uint32_t type, struct cp_note *ret)
{
	uint64_t at = 0;

	align = align == 8 ? 8 : 4;
	while (size - at >= 12) {
		uint64_t name_size = cp_read32(p + at), desc_size = cp_read32(p + at + 4);
		uint64_t name_at = at + 12;
		uint64_t desc_at = (name_at + name_size + align - 1) / align * align;

		if (desc_at > size || desc_size > size - desc_at)
			return false;
		if (cp_read32(p + at + 8) == type && name_size == strlen(owner) + 1 &&
			!memcmp(p + name_at, owner, name_size)) {
			ret->desc = p + desc_at;
			ret->desc_size = (uint32_t)desc_size;
			ret->address = address ? address + desc_at : 0;
			return true;
		}
		at = (desc_at + desc_size + align - 1) / align * align;
		if (at > size)
			return false;
	}
	return false;
}

bool cp_image_note(const struct cp_image *image, const char *owner, uint32_t type, struct cp_note *ret)
{
	uint64_t left = 2 * image->size;	/* segments and sections have the same notes, once each */

	for (size_t i = 0; i < image->segment_count; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type != PT_NOTE || !s->filesz || s->filesz > left)
			continue;
		left -= s->filesz;
		if (find_note(image->data + s->offset, s->filesz, s->vaddr, s->align, owner, type, ret))
			return true;
	}
	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];

		if (s->type != SHT_NOTE || s->size > left)
			continue;
		left -= s->size;
		if (find_note(image->data + s->offset, s->size,
			s->flags & SHF_ALLOC ? s->address : 0, 4, owner, type, ret))
			return true;
	}
	return false;
}
