/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relocations, so that a pointer in data, a call in code and an offset in .debug_info read as they will run.
 *
 * ET_REL	what the loader of modules would do, at the addresses of layout.h. Sections that are loaded are changed in
 *		the image's private mapping by cp_image_open(), all others on a copy by cp_section_contents(). Symbols of
 *		other files are at image->undefined for code and data, and 0 for debug information.
 * ET_DYN	what a kernel that loads itself does, at the addresses that it is linked for. SHT_RELR and R_386_RELATIVE
 *		add the distance to these, which is 0.
 * others	nothing, ever: the relocations that ld --emit-relocs leaves in a kernel are already applied.
 *
 * The file itself never changes. A relocation of a type that no kernel has is skipped and counted.
 */
#ifndef CPROBE_RELOCATE_H
#define CPROBE_RELOCATE_H

#include "elf/image.h"

/* Part of cp_image_open(), before anything in the mapping is read that must stay as it is checked, such as names. */
struct cp_error *cp_image_relocate(struct cp_image *image);

/* Does a section of an ET_REL file that is not loaded have relocations, which its bytes in the mapping lack? */
bool cp_section_is_relocated(const struct cp_image *image, const struct cp_section *section);

/* Apply them to its contents, decompressed if they were not; nothing happens when it has none. */
struct cp_error *cp_relocate_section(const struct cp_image *image, const struct cp_section *section, uint8_t *bytes,
	uint64_t size);

#endif
