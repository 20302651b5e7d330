/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ELF file in memory: mapped privately, its header, segment and section tables copied out and checked against the
 * file's size. No field of the file is believed: after cp_image_open() every section and segment that has bytes in
 * the file lies inside it, and every section name ends inside its string table.
 *
 * Both classes, little-endian only. Addresses are virtual (VMA) unless a name says paddr. A relocatable file's sections
 * get theirs at cp_image_open() (layout.h).
 */
#ifndef CPROBE_IMAGE_H
#define CPROBE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"
#include "elf/cover.h"

struct cp_section {
	const char *name;	/* in the mapped file */
	uint32_t type, link, info;
	uint64_t flags, address, offset, size, align, entsize;
	uint32_t relocations;	/* ET_REL: index of the section with its relocations; 0 none */
};

struct cp_image {
	char *path;
	const uint8_t *data;	/* the mapping: `size` bytes, owned */
	uint64_t size;
	int fd;			/* of the file, open for cp_image_peek() */
	uint8_t elf_class, osabi;	/* ELFCLASS32 or 64; EI_OSABI */
	uint16_t type, machine;
	uint64_t entry;
	struct cp_segment *segments;
	size_t segment_count;
	struct cp_section *sections;
	size_t section_count;
	struct cp_cover sections_at;	/* by address: the sections that cp_image_section_at() finds */
	struct cp_cover bytes_at, memory_at;	/* loadable segments, as far as the file has bytes, and whole */
	bool relocated;		/* the mapping is no longer what the file has */
	size_t skipped_relocations;	/* of a type that is not known, or of no section */
	uint64_t undefined;	/* ET_REL: an address of no section, behind them all, for symbols of other files */
};

/* On success *ret is the caller's until cp_image_close(). One file descriptor, close-on-exec, stays open with it. */
struct cp_error *cp_image_open(const char *path, struct cp_image **ret);
void cp_image_close(struct cp_image *image);

/*
 * Copy up to `count` of the mapping's bytes from `at` on, without touching the mapping where that can be: a page touched
 * there brings in its neighbours, which for a look at each of 2000 units makes most of the file resident. How many were
 * copied: less than count at the end of the file only.
 */
size_t cp_image_peek(const struct cp_image *image, const uint8_t *at, void *buffer, size_t count);

/* The bytes of a section, or NULL when it has none in the file (NOBITS). */
const uint8_t *cp_section_bytes(const struct cp_image *image, const struct cp_section *section);

/*
 * Is it a file of debug information, whose sections of code are in another one? Its segments are that one's, and have no
 * bytes here, whatever lies at their offsets.
 */
bool cp_image_is_debug_file(const struct cp_image *image);

/* First section of that name, or NULL. */
const struct cp_section *cp_image_section(const struct cp_image *image, const char *name);

/* The allocated section that covers the address, or NULL. Per-CPU templates linked at 0 are passed over. */
const struct cp_section *cp_image_section_at(const struct cp_image *image, uint64_t address);

/*
 * Bytes at a virtual address, as the file has them: NULL when no segment or section holds any there. *available says
 * how many may be read from the returned pointer on.
 */
const uint8_t *cp_image_at(const struct cp_image *image, uint64_t address, uint64_t *available);

/* Physical address of a virtual one by the loadable segments: false when no segment covers it. */
bool cp_image_paddr(const struct cp_image *image, uint64_t address, uint64_t *ret);

/* A note found in a PT_NOTE segment or SHT_NOTE section. `address` is 0 when the note is not loaded. */
struct cp_note {
	const uint8_t *desc;
	uint32_t desc_size;
	uint64_t address;	/* of desc, virtual */
};

/* First note of that owner and type whose size fields stay inside their segment. */
bool cp_image_note(const struct cp_image *image, const char *owner, uint32_t type, struct cp_note *ret);

/* Does the machine run x86 code (x86-64, i386)? Everything that decodes instructions asks. */
bool cp_image_is_x86(const struct cp_image *image);

/* Little-endian fields at any alignment. In the header because scans of all code read one a byte. */
static inline uint16_t cp_read16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t cp_read32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t cp_read64(const uint8_t *p)
{
	return cp_read32(p) | (uint64_t)cp_read32(p + 4) << 32;
}

#endif
