/* SPDX-License-Identifier: BSD-2-Clause */
/* What kind of kernel it is and what is known of it. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18	/* Xen xen/include/public/elfnote.h: the PVH entry point */

static bool read_build_id(const struct cp_image *image, struct cp_note *note, char ret[2 * 64 + 1])
{
	ret[0] = '\0';
	if (!cp_image_note(image, ELF_NOTE_GNU, NT_GNU_BUILD_ID, note) || !note->desc_size || note->desc_size > 64)
		return false;
	for (uint32_t i = 0; i < note->desc_size; i++)
		snprintf(ret + 2 * i, 3, "%02x", note->desc[i]);
	return true;
}

struct cp_error *cp_build_id(struct cp_program *program, char **ret)
{
	char text[2 * 64 + 1], *copy = NULL;
	struct cp_note note;

	if (read_build_id(program->image, &note, text)) {
		copy = strdup(text);
		if (!copy)
			return &cp_error_no_memory;
	}
	*ret = copy;
	return NULL;
}

void cp_segments(const struct cp_program *program, const struct cp_segment **ret, size_t *count)
{
	*ret = program->image->segments;
	*count = program->image->segment_count;
}

static void read_notes(const struct cp_image *image, struct cp_info *info)
{
	struct cp_note note;

	if (read_build_id(image, &note, info->build_id)) {
		info->has_build_id_address = note.address != 0;
		info->build_id_address = note.address;
		info->has_build_id_paddr = note.address && cp_image_paddr(image, note.address, &info->build_id_paddr);
	}
	if (cp_image_note(image, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &note) && (note.desc_size == 4 || note.desc_size == 8)) {
		info->has_pvh_entry = true;
		info->pvh_entry = note.desc_size == 4 ? cp_read32(note.desc) : cp_read64(note.desc);
	}
}

static void read_segments(const struct cp_image *image, struct cp_info *info)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type == PT_INTERP && s->filesz && memchr(image->data + s->offset, 0, s->filesz))
			info->interp = (const char *)image->data + s->offset;
		if (s->type == PT_LOAD && s->memsz && !info->has_lma_offset && (s->vaddr || !s->paddr)) {
			info->has_lma_offset = true;
			info->lma_offset = s->vaddr - s->paddr;
		}
	}
}

static struct cp_error *read_dwarf(struct cp_program *program, struct cp_info *info)
{
	struct cp_error *error = cp_program_need_dwarf(program);

	if (error || !program->dwarf)
		return error;
	info->units = program->dwarf->info_count;
	for (size_t i = 0; i < info->units; i++)
		info->dwarf_versions |= 1u << program->dwarf->units[i].sizes.version;
	return NULL;
}

struct cp_error *cp_info(struct cp_program *program, struct cp_info *ret)
{
	const struct cp_image *image = program->image;
	struct cp_info info = {
		.path = image->path, .elf_class = image->elf_class == ELFCLASS64 ? 64 : 32, .osabi = image->osabi,
		.type = image->type, .machine = image->machine, .entry = image->entry,
		.sections = image->section_count ? image->section_count - 1 : 0,
		.segments = image->segments, .segment_count = image->segment_count,
	};
	struct cp_error *error = cp_program_need_debug(program);

	if (!error)
		error = cp_program_read_symbols(program);
	if (!error)
		error = read_dwarf(program, &info);
	if (error)
		return error;
	info.debug_path = program->debug ? program->debug->path : NULL;
	info.has_dwarf = program->dwarf != NULL;
	info.has_symtab = program->symbols.count && !program->symbols.is_dynsym;
	info.has_dynsym = cp_symbols_table(image, SHT_DYNSYM) != NULL;
	info.symbols = program->symbols.count;
	info.functions = program->symbols.functions;
	info.objects = program->symbols.objects;
	read_notes(image, &info);
	read_segments(image, &info);
	if (program->debug_why)
		cp_program_note(program, "%s", program->debug_why);
	*ret = info;
	return NULL;
}
