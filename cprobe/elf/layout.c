/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>

#include "elf/layout.h"

/* No section of a kernel asks for more: a huge page of x86-64. */
#define GREATEST_ALIGN (1ull << 30)
#define PAGE 0x1000ull

static struct cp_error *place(struct cp_image *image, size_t index, uint64_t limit, uint64_t *end)
{
	struct cp_section *s = &image->sections[index];
	uint64_t align = s->align ? s->align : 1, start;

	if ((align & (align - 1)) || align > GREATEST_ALIGN)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: alignment 0x%llx is no power of two of at most "
			"0x%llx", image->path, index, (unsigned long long)align, GREATEST_ALIGN);
	start = (*end + align - 1) & -align;
	if (start > limit || s->size > limit - start)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: 0x%llx bytes behind the 0x%llx of those before it "
			"leave the address space", image->path, index, (unsigned long long)s->size, (unsigned long long)start);
	s->address = start;
	*end = start + s->size;
	return NULL;
}

struct cp_error *cp_image_lay_out(struct cp_image *image)
{
	uint64_t limit = image->elf_class == ELFCLASS64 ? 1ull << 62 : 0xf0000000, end = 0;
	struct cp_error *error = NULL;
	bool has_addresses = false;

	if (image->type != ET_REL)
		return NULL;
	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];

		if ((s->flags & SHF_ALLOC) && s->address)
			has_addresses = true;
		if ((s->flags & SHF_ALLOC) && s->address + s->size > end)
			end = s->address + s->size;
	}
	if (!has_addresses)
		end = 0;
	for (size_t i = 1; i < image->section_count && !has_addresses && !error; i++) {
		if (image->sections[i].flags & SHF_ALLOC)
			error = place(image, i, limit, &end);
	}
	/* Not the address right behind: the end of a section is one that code refers to. */
	image->undefined = (end / PAGE + 2) * PAGE;
	return error;
}
