/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections made byte by byte: compressed ones, relocatable files, their relocations and symbols; honest and lying. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#ifdef CPROBE_ZSTD
#include <zstd.h>
#endif

#include "elf/inflate.h"
#include "elf/relocate.h"
#include "elf/symbols.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))
#define ALLOC (SHF_ALLOC)

/* One section: sizes and offsets of its header are filled in, unless it brings a size of its own (NOBITS). */
struct part {
	const char *name;
	const void *bytes;
	size_t size;
	Elf64_Shdr header;
};

/* Section i + 1 is parts[i]; the section names come last. */
static struct cp_error *open_parts(uint16_t type, const struct part *parts, size_t count, struct cp_image **image)
{
	char path[] = "/tmp/cprobe-elf-XXXXXX", names[1024] = "";
	Elf64_Shdr headers[16] = { 0 };
	Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = type, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (uint16_t)(count + 2), .e_shstrndx = (uint16_t)(count + 1), .e_ehsize = sizeof(Elf64_Ehdr) };
	size_t at = sizeof(header), name = 1;
	struct cp_error *error;
	int fd = mkstemp(path);

	assert_true(fd >= 0 && count + 2 <= LENGTH(headers));
	for (size_t i = 0; i < count; i++) {
		headers[i + 1] = parts[i].header;
		headers[i + 1].sh_name = (uint32_t)name;
		headers[i + 1].sh_offset = at;
		if (!headers[i + 1].sh_size)
			headers[i + 1].sh_size = parts[i].size;
		name += strlen(strcpy(names + name, parts[i].name)) + 1;
		if (parts[i].size)
			assert_int_equal(pwrite(fd, parts[i].bytes, parts[i].size, (off_t)at), parts[i].size);
		at += parts[i].size;
	}
	headers[count + 1] = (Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = at, .sh_size = name };
	assert_int_equal(pwrite(fd, names, name, (off_t)at), name);
	header.e_shoff = at + name;
	assert_int_equal(pwrite(fd, headers, (count + 2) * sizeof(*headers), (off_t)header.e_shoff),
		(count + 2) * sizeof(*headers));
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	close(fd);
	error = cp_image_open(path, image);
	unlink(path);
	return error;
}

/* The error is of that kind, and its message has both values. */
static void assert_error(struct cp_error *error, enum cp_error_code code, const char *one, const char *other)
{
	assert_non_null(error);
	assert_int_equal(error->code, code);
	if (!strstr(error->message, one) || !strstr(error->message, other))
		fail_msg("%s: lacks %s or %s", error->message, one, other);
	cp_error_destroy(error);
}

static void assert_parts_corrupt(const struct part *parts, size_t count, const char *one, const char *other)
{
	struct cp_image *image;

	assert_error(open_parts(ET_REL, parts, count, &image), CP_ERROR_CORRUPT, one, other);
}

/* -- Compressed sections ----------------------------------------------------------------------------------------- */

#define PLAIN_SIZE 10000

static uint8_t plain[PLAIN_SIZE];

/* A section's bytes: header, compressed data. */
struct packed {
	uint8_t bytes[2 * PLAIN_SIZE];
	size_t size;
};

static struct packed pack(uint32_t type, uint64_t claimed, size_t size)
{
	struct packed p = { .size = sizeof(Elf64_Chdr) };
	Elf64_Chdr header = { .ch_type = type, .ch_size = claimed, .ch_addralign = 1 };
	uLongf room = sizeof(p.bytes) - sizeof(header);

	for (size_t i = 0; i < size; i++)
		plain[i] = (uint8_t)(i / 7 ^ i * 13 >> 5);
	memcpy(p.bytes, &header, sizeof(header));
#ifdef CPROBE_ZSTD
	if (type == 2) {
		p.size += ZSTD_compress(p.bytes + p.size, room, plain, size, 3);
		return p;
	}
#endif
	assert_int_equal(compress(p.bytes + p.size, &room, plain, size), Z_OK);
	p.size += room;
	return p;
}

static struct cp_error *contents(const char *name, uint64_t flags, const struct packed *p, uint8_t *ret, uint64_t *size)
{
	struct part part = { name, p->bytes, p->size, { .sh_type = SHT_PROGBITS, .sh_flags = flags } };
	const struct cp_section *section;
	struct cp_image *image;
	const uint8_t *bytes;
	struct cp_error *error;
	void *owned;

	assert_null(open_parts(ET_EXEC, &part, 1, &image));
	section = cp_image_debug_section(image, ".debug_x");
	assert_non_null(section);
	error = cp_section_contents(image, section, &bytes, size, &owned);
	if (!error) {
		memcpy(ret, bytes, *size < PLAIN_SIZE ? *size : PLAIN_SIZE);
		free(owned);
	}
	cp_image_close(image);
	return error;
}

static void compressed_sections_are_what_was_compressed(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, PLAIN_SIZE };
	uint8_t out[PLAIN_SIZE];
	uint64_t size;

	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct packed p = pack(ELFCOMPRESS_ZLIB, sizes[i], sizes[i]);

		assert_null(contents(".debug_x", SHF_COMPRESSED, &p, out, &size));
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(out, plain, size);
		p = pack(ELFCOMPRESS_ZLIB, sizes[i], sizes[i]);
		memmove(p.bytes + 12, p.bytes + sizeof(Elf64_Chdr), p.size - sizeof(Elf64_Chdr));
		memcpy(p.bytes, "ZLIB\0\0\0\0\0\0", 10);
		p.bytes[10] = (uint8_t)(sizes[i] >> 8);
		p.bytes[11] = (uint8_t)sizes[i];
		p.size -= sizeof(Elf64_Chdr) - 12;
		assert_null(contents(".zdebug_x", 0, &p, out, &size));
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(out, plain, size);
#ifdef CPROBE_ZSTD
		p = pack(2, sizes[i], sizes[i]);
		assert_null(contents(".debug_x", SHF_COMPRESSED, &p, out, &size));
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(out, plain, size);
#endif
	}
}

static void streams_one_behind_the_other_are_one_section(void **state)
{
	struct packed p = pack(ELFCOMPRESS_ZLIB, 300, 100), more = pack(ELFCOMPRESS_ZLIB, 0, 200);
	uint8_t out[PLAIN_SIZE];
	uint64_t size;

	(void)state;
	memcpy(p.bytes + p.size, more.bytes + sizeof(Elf64_Chdr), more.size - sizeof(Elf64_Chdr));
	p.size += more.size - sizeof(Elf64_Chdr);
	assert_null(contents(".debug_x", SHF_COMPRESSED, &p, out, &size));
	assert_int_equal(size, 300);
	assert_memory_equal(out, plain, 100);
	assert_memory_equal(out + 100, plain, 200);
}

static void lies_of_compressed_sections_are_named(void **state)
{
	static const uint32_t types[] = { ELFCOMPRESS_ZLIB,
#ifdef CPROBE_ZSTD
		2,
#endif
	};
	uint8_t out[PLAIN_SIZE];
	uint64_t size;
	struct packed p;

	(void)state;
	for (size_t i = 0; i < LENGTH(types); i++) {
		p = pack(types[i], 1001, 1000);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x3e9", "");
		p = pack(types[i], 999, 1000);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x3e7",
			"more than 0x3e7");
		p = pack(types[i], 0, 1000);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x0", "more than 0x0");
		p = pack(types[i], 1ull << 40, 1000);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x10000000000", "times");
		p = pack(types[i], UINT64_MAX, 1000);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0xffffffffffffffff", "");
		p = pack(types[i], 1000, 1000);
		p.size -= 5;
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x3e8", "");
		p.size = sizeof(Elf64_Chdr);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x3e8", "0x0");
		p = pack(types[i], 1000, 1000);
		memset(p.bytes + sizeof(Elf64_Chdr), 0xff, 20);
		assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x3e8", "damaged");
	}
	p.size = sizeof(Elf64_Chdr) - 1;
	assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_CORRUPT, "0x17", "0x18");
	p = pack(77, 1000, 1000);
	assert_error(contents(".debug_x", SHF_COMPRESSED, &p, out, &size), CP_ERROR_UNSUPPORTED, "77", "objcopy");
	p = (struct packed){ .bytes = "no ZLIB", .size = 7 };
	assert_null(contents(".zdebug_x", 0, &p, out, &size));
	assert_int_equal(size, 7);
}

/* -- Relocatable files ------------------------------------------------------------------------------------------- */

/* The sections of a module: names by their index in the table. */
enum { TEXT = 1, DATA, BSS, DEBUG, SYMTAB, STRTAB, RELA_DATA, RELA_DEBUG, SECTIONS = RELA_DEBUG };

struct module {
	uint8_t text[20], data[32], debug[16];
	Elf64_Sym symbols[4];	/* none; foo in .text + 4; another file's; .debug_x */
	Elf64_Rela data_relocations[3], debug_relocations[2];
	struct part parts[SECTIONS];
};

static void make_module(struct module *m)
{
	memset(m, 0, sizeof(*m));
	memset(m->text, 0x90, sizeof(m->text));
	m->symbols[1] = (Elf64_Sym){ .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = TEXT,
		.st_value = 4, .st_size = 8 };
	m->symbols[2] = (Elf64_Sym){ .st_name = 5, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE) };
	m->symbols[3] = (Elf64_Sym){ .st_info = ELF64_ST_INFO(STB_LOCAL, STT_SECTION), .st_shndx = DEBUG };
	m->data_relocations[0] = (Elf64_Rela){ 0, ELF64_R_INFO(1, R_X86_64_64), 2 };
	m->data_relocations[1] = (Elf64_Rela){ 8, ELF64_R_INFO(1, R_X86_64_PC32), -4 };
	m->data_relocations[2] = (Elf64_Rela){ 16, ELF64_R_INFO(2, R_X86_64_64), 0 };
	m->debug_relocations[0] = (Elf64_Rela){ 0, ELF64_R_INFO(1, R_X86_64_64), 0 };
	m->debug_relocations[1] = (Elf64_Rela){ 8, ELF64_R_INFO(3, R_X86_64_32), 5 };
#define PART(index, name, field, ...) m->parts[(index) - 1] = \
	(struct part){ name, m->field, sizeof(m->field), { .sh_addralign = 1, __VA_ARGS__ } }
	PART(TEXT, ".text", text, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR);
	PART(DATA, ".data", data, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_WRITE);
	m->parts[DATA - 1].header.sh_addralign = 16;
	PART(DEBUG, ".debug_x", debug, .sh_type = SHT_PROGBITS);
	PART(SYMTAB, ".symtab", symbols, .sh_type = SHT_SYMTAB, .sh_link = STRTAB, .sh_entsize = sizeof(Elf64_Sym));
	PART(RELA_DATA, ".rela.data", data_relocations, .sh_type = SHT_RELA, .sh_link = SYMTAB, .sh_info = DATA,
		.sh_entsize = sizeof(Elf64_Rela));
	PART(RELA_DEBUG, ".rela.debug_x", debug_relocations, .sh_type = SHT_RELA, .sh_link = SYMTAB, .sh_info = DEBUG,
		.sh_entsize = sizeof(Elf64_Rela));
#undef PART
	m->parts[BSS - 1] = (struct part){ ".bss", NULL, 0, { .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_WRITE,
		.sh_size = 0x5000, .sh_addralign = 64 } };
	m->parts[STRTAB - 1] = (struct part){ ".strtab", "\0foo\0printk", 12, { .sh_type = SHT_STRTAB } };
}

static void sections_of_a_module_lie_one_behind_the_other(void **state)
{
	struct cp_symbols symbols = { 0 };
	struct cp_image *image;
	struct module m;
	uint64_t available;

	(void)state;
	make_module(&m);
	assert_null(open_parts(ET_REL, m.parts, SECTIONS, &image));
	assert_int_equal(image->sections[TEXT].address, 0);
	assert_int_equal(image->sections[DATA].address, 32);
	assert_int_equal(image->sections[BSS].address, 64);
	assert_int_equal(image->sections[DEBUG].address, 0);
	assert_ptr_equal(cp_image_section_at(image, 0), &image->sections[TEXT]);
	assert_null(cp_image_section_at(image, 20));
	assert_ptr_equal(cp_image_section_at(image, 0x5000), &image->sections[BSS]);
	assert_null(cp_image_section_at(image, image->undefined));
	assert_null(cp_image_at(image, 0x5000, &available));
	assert_null(cp_symbols_read(image, cp_symbols_table(image, SHT_SYMTAB), &symbols));
	assert_int_equal(symbols.count, 1);
	assert_int_equal(symbols.items[0].address, 4);
	cp_symbols_deinit(&symbols);
	cp_image_close(image);
}

static void impossible_layouts_are_corrupt(void **state)
{
	struct module m;

	(void)state;
	make_module(&m);
	m.parts[DATA - 1].header.sh_addralign = 3;
	assert_parts_corrupt(m.parts, SECTIONS, "section 2", "0x3");
	m.parts[DATA - 1].header.sh_addralign = 1ull << 63;
	assert_parts_corrupt(m.parts, SECTIONS, "section 2", "0x8000000000000000");
	make_module(&m);
	m.parts[BSS - 1].header.sh_size = UINT64_MAX - 4096;
	assert_parts_corrupt(m.parts, SECTIONS, "section 3", "0xffffffffffffefff");
}

static void relocations_are_applied(void **state)
{
	struct cp_image *image;
	struct module m;
	const uint8_t *bytes;
	uint64_t size;
	void *owned;

	(void)state;
	make_module(&m);
	assert_null(open_parts(ET_REL, m.parts, SECTIONS, &image));
	bytes = cp_section_bytes(image, &image->sections[DATA]);
	assert_int_equal(cp_read64(bytes), 4 + 2);
	assert_int_equal((int32_t)cp_read32(bytes + 8), 4 - 4 - (32 + 8));
	assert_int_equal(cp_read64(bytes + 16), image->undefined);
	assert_null(cp_section_contents(image, &image->sections[DEBUG], &bytes, &size, &owned));
	assert_int_equal(size, sizeof(m.debug));
	assert_non_null(owned);
	assert_int_equal(cp_read64(bytes), 4);
	assert_int_equal(cp_read32(bytes + 8), 5);
	assert_int_equal(cp_read64(cp_section_bytes(image, &image->sections[DEBUG])), 0);
	free(owned);
	cp_image_close(image);
}

static void compressed_debug_sections_are_relocated(void **state)
{
	struct packed p = pack(ELFCOMPRESS_ZLIB, 1000, 1000);
	struct cp_image *image;
	struct module m;
	const uint8_t *bytes;
	uint64_t size;
	void *owned;

	(void)state;
	make_module(&m);
	m.debug_relocations[0].r_offset = 992;
	m.parts[DEBUG - 1].bytes = p.bytes;
	m.parts[DEBUG - 1].size = p.size;
	m.parts[DEBUG - 1].header.sh_flags = SHF_COMPRESSED;
	assert_null(open_parts(ET_REL, m.parts, SECTIONS, &image));
	assert_null(cp_section_contents(image, &image->sections[DEBUG], &bytes, &size, &owned));
	assert_int_equal(cp_read64(bytes + 992), 4);
	free(owned);
	cp_image_close(image);
}

static void linked_kernels_are_not_relocated(void **state)
{
	struct cp_image *image;
	struct module m;

	(void)state;
	make_module(&m);
	assert_null(open_parts(ET_EXEC, m.parts, SECTIONS, &image));
	assert_false(image->relocated);
	assert_int_equal(cp_read64(cp_section_bytes(image, &image->sections[DATA])), 0);
	cp_image_close(image);
}

static void kernels_that_load_themselves_are_relocated(void **state)
{
	struct cp_image *image;
	struct module m;

	(void)state;
	make_module(&m);
	m.parts[TEXT - 1].header.sh_addr = 0x1000;
	m.parts[DATA - 1].header.sh_addr = 0x2000;
	m.parts[BSS - 1].header.sh_addr = 0x3000;
	m.parts[SYMTAB - 1].header.sh_type = SHT_DYNSYM;
	m.parts[RELA_DATA - 1].header.sh_flags = SHF_ALLOC;
	m.parts[RELA_DATA - 1].header.sh_addr = 0x9000;
	m.symbols[1].st_value = 0x1004;
	m.data_relocations[0] = (Elf64_Rela){ 0x2000, ELF64_R_INFO(0, R_X86_64_RELATIVE), 0x1002 };
	m.data_relocations[1] = (Elf64_Rela){ 0x2008, ELF64_R_INFO(1, R_X86_64_GLOB_DAT), 0 };
	m.data_relocations[2] = (Elf64_Rela){ 0x7000, ELF64_R_INFO(0, R_X86_64_RELATIVE), 1 };
	assert_null(open_parts(ET_DYN, m.parts, SECTIONS, &image));
	assert_int_equal(cp_read64(cp_section_bytes(image, &image->sections[DATA])), 0x1002);
	assert_int_equal(cp_read64(cp_section_bytes(image, &image->sections[DATA]) + 8), 0x1004);
	assert_int_equal(image->skipped_relocations, 0);
	cp_image_close(image);
	m.data_relocations[2].r_offset = 0x2019;
	assert_error(open_parts(ET_DYN, m.parts, SECTIONS, &image), CP_ERROR_CORRUPT, "0x19", "0x20 bytes");
}

static void lies_of_relocations_are_named(void **state)
{
	struct cp_image *image;
	struct module m;
	const uint8_t *bytes;
	uint64_t size;
	void *owned;

	(void)state;
	make_module(&m);
	m.data_relocations[2].r_offset = 25;
	assert_parts_corrupt(m.parts, SECTIONS, "offset 0x19", "0x20 bytes");
	m.data_relocations[2].r_offset = UINT64_MAX;
	assert_parts_corrupt(m.parts, SECTIONS, "0xffffffffffffffff", "0x20 bytes");
	make_module(&m);
	m.data_relocations[2].r_info = ELF64_R_INFO(4, R_X86_64_64);
	assert_parts_corrupt(m.parts, SECTIONS, "symbol 4", "of the 4");
	make_module(&m);
	m.parts[SYMTAB - 1].size = 0;
	assert_parts_corrupt(m.parts, SECTIONS, "symbol 1", "of the 0");
	make_module(&m);
	m.symbols[1].st_shndx = 100;
	assert_parts_corrupt(m.parts, SECTIONS, "section 100", "of 10");
	make_module(&m);
	m.parts[RELA_DATA - 1].header.sh_entsize = 16;
	assert_parts_corrupt(m.parts, SECTIONS, "size 16", "24 bytes");
	make_module(&m);
	m.parts[RELA_DATA - 1].header.sh_link = RELA_DATA;
	assert_parts_corrupt(m.parts, SECTIONS, "section 7", "of their symbols");
	make_module(&m);
	m.data_relocations[2].r_info = ELF64_R_INFO(1, 200);
	m.parts[RELA_DEBUG - 1].header.sh_info = RELA_DEBUG;
	assert_null(open_parts(ET_REL, m.parts, SECTIONS, &image));
	assert_int_equal(image->skipped_relocations, 1);
	cp_image_close(image);
	make_module(&m);
	m.debug_relocations[1].r_offset = 13;
	assert_null(open_parts(ET_REL, m.parts, SECTIONS, &image));
	assert_error(cp_section_contents(image, &image->sections[DEBUG], &bytes, &size, &owned), CP_ERROR_CORRUPT,
		"offset 0xd", "0x10 bytes");
	cp_image_close(image);
}

/* A target that is also the table of names: what was checked before it changed must not be believed after. */
static void names_that_relocations_overwrite_are_checked_afterwards(void **state)
{
	Elf64_Rela relocation = { 0, ELF64_R_INFO(0, R_X86_64_64), -1 };
	struct part parts[] = {
		{ "abcdefg", "AAAAAAAA", 8, { .sh_type = SHT_STRTAB, .sh_flags = ALLOC, .sh_addralign = 1 } },
		{ "b", &relocation, sizeof(relocation), { .sh_type = SHT_RELA, .sh_link = 3, .sh_info = 1,
			.sh_entsize = sizeof(relocation) } },
		{ "c", (Elf64_Sym[1]){ { 0 } }, sizeof(Elf64_Sym), { .sh_type = SHT_SYMTAB, .sh_entsize = sizeof(Elf64_Sym) } },
	};
	struct cp_image *image;
	struct cp_error *error;

	(void)state;
	/* The last 8 bytes of the names, "efg\0b\0c\0" or so: the file's layout puts them behind the parts. */
	parts[0].header.sh_size = 8 + sizeof(relocation) + sizeof(Elf64_Sym) + 1 + 8 + 2 + 2;
	relocation.r_offset = parts[0].header.sh_size - 8;
	error = open_parts(ET_REL, parts, 3, &image);
	assert_error(error, CP_ERROR_CORRUPT, "name offset", "table");
}

static void tables_that_share_their_bytes_cannot_multiply(void **state)
{
	static Elf64_Rela relocations[100];
	struct part parts[7] = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(relocations); i++)
		relocations[i] = (Elf64_Rela){ 0, ELF64_R_INFO(0, R_X86_64_8), 0 };
	for (size_t i = 0; i < 3; i++) {
		parts[i] = (struct part){ "t", "x", 1, { .sh_type = SHT_PROGBITS, .sh_flags = ALLOC, .sh_addralign = 1 } };
		parts[3 + i] = (struct part){ "r", relocations, 24, { .sh_type = SHT_RELA, .sh_info = (uint32_t)i + 1,
			.sh_link = 7, .sh_entsize = 24, .sh_size = 2400 - 24 * i } };
	}
	parts[5].size = 2352;
	parts[6] = (struct part){ "s", (Elf64_Sym[1]){ { 0 } }, sizeof(Elf64_Sym), { .sh_type = SHT_SYMTAB,
		.sh_entsize = sizeof(Elf64_Sym) } };
	assert_parts_corrupt(parts, LENGTH(parts), "claim", "the file has");
}

static void sections_of_the_same_bytes_are_refused(void **state)
{
	static const char bytes[4096];
	struct part parts[8] = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(parts); i++)
		parts[i] = (struct part){ "t", bytes, i + 1 < LENGTH(parts) ? 1 : sizeof(bytes), { .sh_type = SHT_PROGBITS,
			.sh_flags = ALLOC, .sh_size = sizeof(bytes) } };
	assert_parts_corrupt(parts, LENGTH(parts), "sections overlap", "the file has");
}

/* -- Addresses and symbols --------------------------------------------------------------------------------------- */

static void cover_finds_the_first_that_covers(void **state)
{
	struct cp_span spans[40];
	struct cp_cover cover;

	(void)state;
	srand(7);
	for (size_t i = 0; i < LENGTH(spans); i++) {
		uint64_t first = (uint64_t)rand() % 300;

		spans[i] = (struct cp_span){ first, first + (uint64_t)rand() % (i % 4 ? 5 : 60), i };
	}
	spans[39] = (struct cp_span){ UINT64_MAX - 5, UINT64_MAX, 39 };
	assert_true(cp_cover_init(spans, LENGTH(spans), &cover));
	for (uint64_t at = UINT64_MAX - 10; at != 400; at++) {
		size_t expected = 0, got = SIZE_MAX;

		while (expected < LENGTH(spans) && (at < spans[expected].first || at > spans[expected].last))
			expected++;
		assert_int_equal(cp_cover_at(&cover, at, &got), expected < LENGTH(spans));
		assert_true(expected == LENGTH(spans) || got == expected);
	}
	cp_cover_deinit(&cover);
	assert_true(cp_cover_init(NULL, 0, &cover));
	assert_false(cp_cover_at(&cover, 0, &(size_t){ 0 }));
	cp_cover_deinit(&cover);
}

#define MANY 3000

static void symbols_come_by_address_and_the_better_name_first(void **state)
{
	static Elf64_Sym table[MANY];
	static char names[MANY * 40] = "";
	struct part parts[] = {
		{ ".symtab", table, sizeof(table), { .sh_type = SHT_SYMTAB, .sh_link = 2, .sh_entsize = sizeof(Elf64_Sym) } },
		{ ".strtab", names, sizeof(names), { .sh_type = SHT_STRTAB } },
	};
	struct cp_symbols symbols = { 0 }, some = { 0 };
	struct cp_span span = { 0xffffffff81000000 + 700, 0xffffffff81000000 + 720, 0 };
	struct cp_cover cover;
	struct cp_image *image;
	size_t at = 1;

	(void)state;
	srand(5);
	for (size_t i = 1; i < MANY; i++) {
		table[i] = (Elf64_Sym){ .st_name = (uint32_t)at, .st_shndx = SHN_ABS,
			.st_info = (unsigned char)ELF64_ST_INFO(rand() % 3, rand() % 3), .st_size = (uint64_t)(rand() % 2),
			.st_value = i % 2 ? 0x1000 : 0xffffffff81000000 + (uint64_t)(rand() % 1000) };
		at += (size_t)sprintf(names + at, "__common_%.*s%d", rand() % 20, "aaaaaaaaaaaaaaaaaaaa", rand() % 500) + 1;
	}
	assert_null(open_parts(ET_EXEC, parts, 2, &image));
	assert_null(cp_symbols_read(image, &image->sections[1], &symbols));
	assert_int_equal(symbols.count, MANY - 1);
	assert_null(cp_symbols_sort(&symbols));
	for (size_t i = 1; i < symbols.count; i++) {
		const struct cp_symbol *a = symbols.by_address[i - 1], *b = symbols.by_address[i];
		static const unsigned int types[] = { 2, 1, 0 }, binds[] = { 2, 0, 1 };
		unsigned int left = types[a->type] << 3 | (a->size ? 0u : 4u) | binds[a->bind];
		unsigned int right = types[b->type] << 3 | (b->size ? 0u : 4u) | binds[b->bind];

		assert_true(a->address <= b->address);
		assert_true(a->address < b->address || left <= right);
		assert_true(a->address < b->address || left < right || strcmp(a->name, b->name) <= 0);
		assert_true(a->address < b->address || left < right || strcmp(a->name, b->name) || a < b);
	}
	assert_true(cp_cover_init(&span, 1, &cover));
	assert_null(cp_symbols_read_within(image, &image->sections[1], &cover, &some));
	assert_null(cp_symbols_sort(&some));
	for (size_t i = 0, first = cp_symbols_lower(&symbols, span.first); i < some.count; i++)
		assert_string_equal(some.by_address[i]->name, symbols.by_address[first + i]->name);
	assert_int_equal(some.count, cp_symbols_lower(&symbols, span.last + 1) - cp_symbols_lower(&symbols, span.first));
	assert_true(some.count > 0);
	cp_cover_deinit(&cover);
	cp_symbols_deinit(&some);
	cp_symbols_deinit(&symbols);
	cp_image_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compressed_sections_are_what_was_compressed),
		cmocka_unit_test(streams_one_behind_the_other_are_one_section),
		cmocka_unit_test(lies_of_compressed_sections_are_named),
		cmocka_unit_test(sections_of_a_module_lie_one_behind_the_other),
		cmocka_unit_test(impossible_layouts_are_corrupt),
		cmocka_unit_test(relocations_are_applied),
		cmocka_unit_test(compressed_debug_sections_are_relocated),
		cmocka_unit_test(linked_kernels_are_not_relocated),
		cmocka_unit_test(kernels_that_load_themselves_are_relocated),
		cmocka_unit_test(lies_of_relocations_are_named),
		cmocka_unit_test(names_that_relocations_overwrite_are_checked_afterwards),
		cmocka_unit_test(tables_that_share_their_bytes_cannot_multiply),
		cmocka_unit_test(sections_of_the_same_bytes_are_refused),
		cmocka_unit_test(cover_finds_the_first_that_covers),
		cmocka_unit_test(symbols_come_by_address_and_the_better_name_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
