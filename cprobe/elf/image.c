/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/image.h"
#include "elf/inflate.h"
#include "elf/layout.h"
#include "elf/relocate.h"

/* Does [offset, offset + size) lie inside the file? */
static bool inside(const struct cp_image *image, uint64_t offset, uint64_t size)
{
	return offset <= image->size && size <= image->size - offset;
}

static struct cp_error *map_file(const char *path, struct cp_image *image)
{
	struct cp_error *error = NULL;
	struct stat st;
	void *data;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return cp_error_create(CP_ERROR_IO, "%s: %s: give the path of a kernel ELF file", path, strerror(errno));
	if (fstat(fd, &st) < 0) {
		error = cp_error_create(CP_ERROR_IO, "%s: %s: cannot be examined", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		error = cp_error_create(CP_ERROR_IO, "%s: %s: give the path of a kernel ELF file", path,
			S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
	} else if (st.st_size < EI_NIDENT) {
		error = cp_error_create(CP_ERROR_CORRUPT, "%s: not an ELF file: %lld bytes hold no ELF header", path,
			(long long)st.st_size);
	} else {
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED) {
			error = errno == ENOMEM ? &cp_error_no_memory :
				cp_error_create(CP_ERROR_IO, "%s: %s: cannot be mapped", path, strerror(errno));
		} else {
			image->data = data;
			image->size = (uint64_t)st.st_size;
		}
	}
	if (error)
		close(fd);
	else
		image->fd = fd;
	return error;
}

struct tables {
	uint64_t phoff, shoff;
	uint32_t phnum, shnum, shstrndx;
	uint16_t phentsize, shentsize;
};

static struct cp_error *read_header(struct cp_image *image, struct tables *t)
{
	const uint8_t *p = image->data;
	bool wide;

	if (memcmp(p, ELFMAG, SELFMAG))
		return cp_error_create(CP_ERROR_CORRUPT, "%s: not an ELF file: its first bytes are %02x %02x %02x %02x "
			"(a bzImage, or compressed? give the ELF file in it, such as vmlinux: bootsonde takes it by --symbols)", image->path, p[0], p[1], p[2], p[3]);
	if (p[EI_DATA] == ELFDATA2MSB)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: big-endian ELF: cprobe reads x86-64 and i386 kernels",
			image->path);
	if ((p[EI_CLASS] != ELFCLASS32 && p[EI_CLASS] != ELFCLASS64) || p[EI_DATA] != ELFDATA2LSB)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: ELF header: class %u, data encoding %u are unknown",
			image->path, p[EI_CLASS], p[EI_DATA]);
	image->elf_class = p[EI_CLASS];
	image->osabi = p[EI_OSABI];
	wide = image->elf_class == ELFCLASS64;
	if (image->size < (wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return cp_error_create(CP_ERROR_CORRUPT, "%s: truncated: %llu bytes hold no ELF header", image->path,
			(unsigned long long)image->size);
	image->type = cp_read16(p + 16);
	image->machine = cp_read16(p + 18);
	image->entry = wide ? cp_read64(p + 24) : cp_read32(p + 24);
	t->phoff = wide ? cp_read64(p + 32) : cp_read32(p + 28);
	t->shoff = wide ? cp_read64(p + 40) : cp_read32(p + 32);
	p += wide ? 54 : 42;
	t->phentsize = cp_read16(p);
	t->phnum = cp_read16(p + 2);
	t->shentsize = cp_read16(p + 4);
	t->shnum = cp_read16(p + 6);
	t->shstrndx = cp_read16(p + 8);
	return NULL;
}

static struct cp_error *check_table(const struct cp_image *image, const char *what, uint64_t offset, uint64_t count,
	uint16_t entsize, size_t expected)
{
	if (entsize != expected)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: %s table: entry size %u, this ELF class has %zu",
			image->path, what, entsize, expected);
	if (!inside(image, offset, count * entsize))
		return cp_error_create(CP_ERROR_CORRUPT, "%s: truncated: %s table at offset 0x%llx has %llu entries of %u "
			"bytes, the file has 0x%llx bytes", image->path, what, (unsigned long long)offset,
			(unsigned long long)count, entsize, (unsigned long long)image->size);
	return NULL;
}

static void read_section(struct cp_section *s, const uint8_t *p, bool wide)
{
	s->type = cp_read32(p + 4);
	if (wide) {
		s->flags = cp_read64(p + 8);
		s->address = cp_read64(p + 16);
		s->offset = cp_read64(p + 24);
		s->size = cp_read64(p + 32);
		s->link = cp_read32(p + 40);
		s->info = cp_read32(p + 44);
		s->align = cp_read64(p + 48);
		s->entsize = cp_read64(p + 56);
	} else {
		s->flags = cp_read32(p + 8);
		s->address = cp_read32(p + 12);
		s->offset = cp_read32(p + 16);
		s->size = cp_read32(p + 20);
		s->link = cp_read32(p + 24);
		s->info = cp_read32(p + 28);
		s->align = cp_read32(p + 32);
		s->entsize = cp_read32(p + 36);
	}
}

static struct cp_error *name_sections(struct cp_image *image, const struct tables *t)
{
	const struct cp_section *strings = NULL;

	if (t->shstrndx < image->section_count && image->sections[t->shstrndx].type == SHT_STRTAB)
		strings = &image->sections[t->shstrndx];
	for (size_t i = 0; i < image->section_count; i++) {
		struct cp_section *s = &image->sections[i];
		uint32_t name = cp_read32(image->data + t->shoff + i * t->shentsize);
		const char *table;

		s->name = "";
		if (!strings || !name)
			continue;
		table = (const char *)image->data + strings->offset;
		if (name >= strings->size || !memchr(table + name, 0, strings->size - name))
			return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: name offset 0x%x leaves the section name "
				"table of 0x%llx bytes", image->path, i, name, (unsigned long long)strings->size);
		s->name = table + name;
	}
	return NULL;
}

/* Sections or segments may have so many bytes in common. */
#define MOST_SHARED 4

static struct cp_error *read_sections(struct cp_image *image, struct tables *t)
{
	bool wide = image->elf_class == ELFCLASS64;
	size_t expected = wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	struct cp_section first;
	struct cp_error *error;

	if (!t->shoff)
		return NULL;
	error = check_table(image, "section", t->shoff, t->shnum ? t->shnum : 1, t->shentsize, expected);
	if (error)
		return error;
	read_section(&first, image->data + t->shoff, wide);
	if (!t->shnum) {
		if (first.size > UINT32_MAX)
			return cp_error_create(CP_ERROR_CORRUPT, "%s: section table: claims 0x%llx entries", image->path,
				(unsigned long long)first.size);
		t->shnum = (uint32_t)first.size;
		error = check_table(image, "section", t->shoff, t->shnum, t->shentsize, expected);
		if (error)
			return error;
	}
	if (t->shstrndx == SHN_XINDEX)
		t->shstrndx = first.link;
	if (t->phnum == PN_XNUM)
		t->phnum = first.info;
	image->sections = calloc(t->shnum ? t->shnum : 1, sizeof(*image->sections));
	if (!image->sections)
		return &cp_error_no_memory;
	image->section_count = t->shnum;
	for (size_t i = 0, total = 0; i < image->section_count; i++) {
		struct cp_section *s = &image->sections[i];

		read_section(s, image->data + t->shoff + i * expected, wide);
		if (i && s->type != SHT_NOBITS && s->type != SHT_NULL && !inside(image, s->offset, s->size))
			return cp_error_create(CP_ERROR_CORRUPT, "%s: truncated: section %zu at offset 0x%llx has 0x%llx bytes, "
				"the file has 0x%llx", image->path, i, (unsigned long long)s->offset,
				(unsigned long long)s->size, (unsigned long long)image->size);
		/* Everything that has bytes is read once at least: it must not be the same bytes again and again. */
		if (i && s->type != SHT_NOBITS && s->type != SHT_NULL)
			total += s->size;
		if (total / MOST_SHARED > image->size)
			return cp_error_create(CP_ERROR_CORRUPT, "%s: its sections overlap: the first %zu have 0x%llx bytes, the file has "
				"0x%llx", image->path, i + 1, (unsigned long long)total, (unsigned long long)image->size);
		if (s->address + s->size < s->address)
			return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: address 0x%llx plus size 0x%llx overflows",
				image->path, i, (unsigned long long)s->address, (unsigned long long)s->size);
	}
	return NULL;
}

bool cp_image_is_debug_file(const struct cp_image *image)
{
	bool ret = false;

	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];

		if (!(s->flags & SHF_EXECINSTR) || !s->size)
			continue;
		if (s->type != SHT_NOBITS)
			return false;
		ret = true;
	}
	return ret;
}

static struct cp_error *read_segments(struct cp_image *image, const struct tables *t)
{
	bool wide = image->elf_class == ELFCLASS64;
	size_t expected = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	bool has_debug = cp_image_debug_section(image, ".debug_info") != NULL;
	bool debug_only = cp_image_is_debug_file(image);
	struct cp_error *error;
	uint64_t total = 0;

	if (!t->phoff || !t->phnum)
		return NULL;
	error = check_table(image, "program header", t->phoff, t->phnum, t->phentsize, expected);
	if (error)
		return error;
	image->segments = calloc(t->phnum, sizeof(*image->segments));
	if (!image->segments)
		return &cp_error_no_memory;
	image->segment_count = t->phnum;
	for (size_t i = 0; i < image->segment_count; i++) {
		struct cp_segment *s = &image->segments[i];
		const uint8_t *p = image->data + t->phoff + i * expected;

		s->type = cp_read32(p);
		s->flags = cp_read32(p + (wide ? 4 : 24));
		s->offset = wide ? cp_read64(p + 8) : cp_read32(p + 4);
		s->vaddr = wide ? cp_read64(p + 16) : cp_read32(p + 8);
		s->paddr = wide ? cp_read64(p + 24) : cp_read32(p + 12);
		s->filesz = wide ? cp_read64(p + 32) : cp_read32(p + 16);
		s->memsz = wide ? cp_read64(p + 40) : cp_read32(p + 20);
		s->align = wide ? cp_read64(p + 48) : cp_read32(p + 28);
		/* A file of debug information only keeps the segments of its kernel, without their bytes: others are there. */
		if (debug_only && s->type == PT_LOAD)
			s->offset = s->filesz = 0;
		if (!inside(image, s->offset, s->filesz)) {
			if (s->type == PT_LOAD && !has_debug)
				return cp_error_create(CP_ERROR_CORRUPT, "%s: truncated: segment %zu at offset 0x%llx has 0x%llx "
					"bytes, the file has 0x%llx", image->path, i, (unsigned long long)s->offset,
					(unsigned long long)s->filesz, (unsigned long long)image->size);
			s->filesz = s->offset <= image->size ? image->size - s->offset : 0;
			s->offset = s->filesz ? s->offset : 0;
		}
		if (s->type == PT_LOAD && (total += s->filesz) / MOST_SHARED > image->size)
			return cp_error_create(CP_ERROR_CORRUPT, "%s: its segments overlap: the first %zu have 0x%llx bytes, the file has "
				"0x%llx", image->path, i + 1, (unsigned long long)total, (unsigned long long)image->size);
		if (s->vaddr + s->memsz < s->vaddr && s->vaddr + s->memsz != 0)
			return cp_error_create(CP_ERROR_CORRUPT, "%s: segment %zu: address 0x%llx plus size 0x%llx overflows",
				image->path, i, (unsigned long long)s->vaddr, (unsigned long long)s->memsz);
	}
	return NULL;
}

static struct cp_span span(uint64_t first, uint64_t size, size_t index)
{
	return (struct cp_span){ first, size - 1 > UINT64_MAX - first ? UINT64_MAX : first + (size - 1), index };
}

static struct cp_error *index_sections(struct cp_image *image)
{
	struct cp_span *spans = malloc((image->section_count + 1) * sizeof(*spans));
	size_t count = 0;
	bool good;

	for (size_t i = 1; spans && i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];

		/* In a linked kernel, data at 0 is a template (per-CPU data), which is not where it runs. */
		if ((s->flags & SHF_ALLOC) && !(s->flags & SHF_TLS) && s->size &&
			(s->address || (s->flags & SHF_EXECINSTR) || image->type == ET_DYN || image->type == ET_REL))
			spans[count++] = span(s->address, s->size, i);
	}
	good = spans && cp_cover_init(spans, count, &image->sections_at);
	free(spans);
	return good ? NULL : &cp_error_no_memory;
}

static struct cp_error *index_segments(struct cp_image *image)
{
	struct cp_span *bytes = malloc((image->segment_count + 1) * sizeof(*bytes));
	struct cp_span *memory = malloc((image->segment_count + 1) * sizeof(*memory));
	size_t bytes_count = 0, memory_count = 0;
	bool good;

	for (size_t i = 0; bytes && memory && i < image->segment_count; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type == PT_LOAD && s->filesz)
			bytes[bytes_count++] = span(s->vaddr, s->filesz, i);
		if (s->type == PT_LOAD && s->memsz)
			memory[memory_count++] = span(s->vaddr, s->memsz, i);
	}
	good = bytes && memory && cp_cover_init(bytes, bytes_count, &image->bytes_at) &&
		cp_cover_init(memory, memory_count, &image->memory_at);
	free(bytes);
	free(memory);
	return good ? NULL : &cp_error_no_memory;
}

struct cp_error *cp_image_open(const char *path, struct cp_image **ret)
{
	struct cp_image *image = calloc(1, sizeof(*image));
	struct tables t = { 0 };
	struct cp_error *error;

	if (!image)
		return &cp_error_no_memory;
	image->fd = -1;
	image->path = strdup(path);
	error = image->path ? map_file(path, image) : &cp_error_no_memory;
	if (!error)
		error = read_header(image, &t);
	if (!error)
		error = read_sections(image, &t);
	if (!error)
		error = cp_image_lay_out(image);
	if (!error)
		error = index_sections(image);
	if (!error)
		error = cp_image_relocate(image);
	if (!error)
		error = name_sections(image, &t);
	if (!error)
		error = read_segments(image, &t);
	if (!error)
		error = index_segments(image);
	if (error) {
		cp_image_close(image);
		return error;
	}
	*ret = image;
	return NULL;
}

void cp_image_close(struct cp_image *image)
{
	if (!image)
		return;
	if (image->data)
		munmap((void *)(uintptr_t)image->data, image->size);
	if (image->fd >= 0)
		close(image->fd);
	cp_cover_deinit(&image->sections_at);
	cp_cover_deinit(&image->bytes_at);
	cp_cover_deinit(&image->memory_at);
	free(image->segments);
	free(image->sections);
	free(image->path);
	free(image);
}

bool cp_image_is_x86(const struct cp_image *image)
{
	return image->machine == EM_X86_64 || image->machine == EM_386;
}
