/* SPDX-License-Identifier: BSD-2-Clause */
/* DWARF sections made byte by byte, and an ELF file around them that is gone from the disk once it is open. */
#ifndef CPROBE_DWARF_FILE_H
#define CPROBE_DWARF_FILE_H

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dwarf/dwarf.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

struct bytes {
	uint8_t *at;	/* malloc'ed */
	size_t size;
};

static inline void put_bytes(struct bytes *b, const void *bytes, size_t size)
{
	b->at = realloc(b->at, b->size + size + 1);
	assert_non_null(b->at);
	if (size)
		memcpy(b->at + b->size, bytes, size);
	b->size += size;
}

/* PUT(b, 1, 2, 3): so many bytes. */
#define PUT(b, ...) put_bytes(b, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* A field of up to 8 bytes, little-endian. */
static inline void put(struct bytes *b, uint64_t value, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++)
		PUT(b, (uint8_t)(value >> 8 * i));
}

static inline void put_uleb(struct bytes *b, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		PUT(b, (uint8_t)(value | 0x80));
	PUT(b, (uint8_t)value);
}

static inline void put_text(struct bytes *b, const char *text)
{
	put_bytes(b, text, strlen(text) + 1);
}

/* The length that begins a unit or a table: where it is, to be told when its end is known. */
static inline size_t begin_length(struct bytes *b, unsigned int offset_size)
{
	size_t start = b->size;

	put(b, UINT32_MAX, offset_size == 8 ? 4 : 0);
	put(b, 0, offset_size);
	return start;
}

static inline void end_length(struct bytes *b, size_t start)
{
	bool is_64 = cp_read32(b->at + start) == UINT32_MAX;
	uint64_t length = b->size - start - (is_64 ? 12 : 4);

	for (unsigned int i = 0; i < (is_64 ? 8 : 4); i++)
		b->at[start + (is_64 ? 4 : 0) + i] = (uint8_t)(length >> 8 * i);
}

/* The header of a unit, section 7.5.1; end_length() ends it. */
static inline size_t begin_unit(struct bytes *b, struct cp_dw_sizes sizes, uint8_t type, uint64_t abbrevs)
{
	size_t start = begin_length(b, sizes.offset);

	put(b, sizes.version, 2);
	if (sizes.version >= 5)
		PUT(b, type, sizes.address);
	put(b, abbrevs, sizes.offset);
	if (sizes.version < 5)
		PUT(b, sizes.address);
	return start;
}

struct file {
	struct bytes sections[CP_DW_SECTIONS];	/* an empty one is not in the file */
	uint16_t type;				/* ET_*; 0: ET_EXEC */
	struct cp_image *image;
	struct cp_dwarf *dwarf;			/* NULL: not open */
};

/* Write the file and open it. */
static inline struct cp_error *open_dwarf(struct file *f)
{
	static const char *const section_names[CP_DW_SECTIONS] = { ".debug_info", ".debug_types", ".debug_abbrev",
		".debug_line", ".debug_str", ".debug_line_str", ".debug_str_offsets", ".debug_addr", ".debug_ranges",
		".debug_rnglists", ".debug_loc", ".debug_loclists", ".debug_aranges" };
	Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = f->type ? f->type : ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 1, .e_ehsize = sizeof(Elf64_Ehdr) };
	Elf64_Shdr headers[CP_DW_SECTIONS + 2] = { 0 };
	char path[] = "/tmp/cprobe-dwarf-XXXXXX";
	struct bytes whole = { 0 }, names = { 0 };
	struct cp_error *error;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	put_bytes(&whole, &header, sizeof(header));
	put_text(&names, "");
	for (int i = 0; i < CP_DW_SECTIONS; i++) {
		const struct bytes *section = &f->sections[i];

		if (!section->size)
			continue;
		headers[header.e_shnum++] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS, .sh_name = (uint32_t)names.size,
			.sh_offset = whole.size, .sh_size = section->size, .sh_addralign = 1 };
		put_text(&names, section_names[i]);
		put_bytes(&whole, section->at, section->size);
	}
	header.e_shstrndx = header.e_shnum;
	headers[header.e_shnum++] = (Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = whole.size, .sh_size = names.size };
	put_bytes(&whole, names.at, names.size);
	header.e_shoff = whole.size;
	put_bytes(&whole, headers, header.e_shnum * sizeof(*headers));
	memcpy(whole.at, &header, sizeof(header));
	assert_int_equal(write(fd, whole.at, whole.size), whole.size);
	close(fd);
	error = cp_image_open(path, &f->image);
	unlink(path);
	free(whole.at);
	free(names.at);
	return error ? error : cp_dwarf_open(f->image, &f->dwarf);
}

static inline void close_dwarf(struct file *f)
{
	cp_dwarf_close(f->dwarf);
	cp_image_close(f->image);
	for (int i = 0; i < CP_DW_SECTIONS; i++)
		free(f->sections[i].at);
	memset(f, 0, sizeof(*f));
}

/* The error is of that kind, and its message has both values. */
static inline void assert_error(struct cp_error *error, enum cp_error_code code, const char *one, const char *other)
{
	assert_non_null(error);
	assert_int_equal(error->code, code);
	if (!strstr(error->message, one) || !strstr(error->message, other))
		fail_msg("%s: lacks %s or %s", error->message, one, other);
	cp_error_destroy(error);
}

/* A random number; tests call srand() with a seed of theirs first. */
static inline uint64_t draw(uint64_t below)
{
	return (uint64_t)rand() % below;
}

#endif
