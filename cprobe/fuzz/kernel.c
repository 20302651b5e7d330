/* SPDX-License-Identifier: BSD-2-Clause */
/* An ELF file with sound headers around the sections of an input. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

/* Section 0 is the empty one, as the question is no section; the last one has the names. */
#define NAMES FUZZ_SECTIONS
#define COUNT (FUZZ_SECTIONS + 1)

static const struct {
	const char *name;
	uint32_t type;
	uint64_t flags, address;
} declared[COUNT] = {
	[FUZZ_TEXT] = { ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, FUZZ_TEXT_ADDRESS },
	[FUZZ_RODATA] = { ".rodata", SHT_PROGBITS, SHF_ALLOC, FUZZ_RODATA_ADDRESS },
	[FUZZ_DATA] = { ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, FUZZ_DATA_ADDRESS },
	[FUZZ_ALTINSTRUCTIONS] = { ".altinstructions", SHT_PROGBITS, SHF_ALLOC, FUZZ_ALTINSTRUCTIONS_ADDRESS },
	[FUZZ_ALTINSTR_REPLACEMENT] = { ".altinstr_replacement", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR,
		FUZZ_ALTINSTR_REPLACEMENT_ADDRESS },
	[FUZZ_SYMTAB] = { ".symtab", SHT_SYMTAB, 0, 0 },
	[FUZZ_STRTAB] = { ".strtab", SHT_STRTAB, 0, 0 },
	[FUZZ_DEBUG_INFO] = { ".debug_info", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_TYPES] = { ".debug_types", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_ABBREV] = { ".debug_abbrev", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_LINE] = { ".debug_line", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_STR] = { ".debug_str", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_LINE_STR] = { ".debug_line_str", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_STR_OFFSETS] = { ".debug_str_offsets", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_ADDR] = { ".debug_addr", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_RANGES] = { ".debug_ranges", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_RNGLISTS] = { ".debug_rnglists", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_LOC] = { ".debug_loc", SHT_PROGBITS, 0, 0 },
	[FUZZ_DEBUG_LOCLISTS] = { ".debug_loclists", SHT_PROGBITS, 0, 0 },
	[NAMES] = { ".shstrtab", SHT_STRTAB, 0, 0 },
};

struct part {
	const uint8_t *bytes;
	size_t size;
};

static void cut_apart(const uint8_t *data, size_t size, struct part *parts)
{
	for (size_t at = 1; at + 4 <= size;) {
		size_t number = data[at] % FUZZ_SECTIONS;
		size_t length = data[at + 1] | (size_t)data[at + 2] << 8 | (size_t)data[at + 3] << 16;

		at += 4;
		if (length > size - at)
			length = size - at;
		if (!parts[number].bytes)
			parts[number] = (struct part){ data + at, length };
		at += length;
	}
}

/* The names of all sections one behind the other, each with its NUL; where each begins. */
static size_t name_sections(char *names, uint32_t *offsets)
{
	size_t used = 1;

	names[0] = 0;
	for (size_t i = 0; i < COUNT; i++) {
		offsets[i] = declared[i].name ? (uint32_t)used : 0;
		if (declared[i].name)
			used += (size_t)(stpcpy(names + used, declared[i].name) - (names + used)) + 1;
	}
	return used;
}

static Elf64_Shdr header_of(size_t number, bool wide, bool relocatable, uint32_t name, uint64_t offset, uint64_t size)
{
	return (Elf64_Shdr){
		.sh_name = name, .sh_type = declared[number].name ? declared[number].type : SHT_NULL,
		.sh_flags = declared[number].flags, .sh_addr = relocatable ? 0 : declared[number].address,
		.sh_offset = offset, .sh_size = size, .sh_addralign = 1, .sh_link = number == FUZZ_SYMTAB ? FUZZ_STRTAB : 0,
		.sh_entsize = number != FUZZ_SYMTAB ? 0 : wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym),
	};
}

static void put_headers(uint8_t *to, const Elf64_Shdr *headers, bool wide)
{
	for (size_t i = 0; i < COUNT; i++) {
		const Elf64_Shdr *h = &headers[i];
		const Elf32_Shdr narrow = { h->sh_name, h->sh_type, (Elf32_Word)h->sh_flags, (Elf32_Addr)h->sh_addr,
			(Elf32_Off)h->sh_offset, (Elf32_Word)h->sh_size, h->sh_link, h->sh_info, (Elf32_Word)h->sh_addralign,
			(Elf32_Word)h->sh_entsize };

		if (wide)
			memcpy(to + i * sizeof(*h), h, sizeof(*h));
		else
			memcpy(to + i * sizeof(narrow), &narrow, sizeof(narrow));
	}
}

static void put_file_header(uint8_t *to, bool wide, uint16_t type, uint64_t sections)
{
	const Elf64_Ehdr h64 = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = type,
		.e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_shoff = sections, .e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = COUNT, .e_shstrndx = NAMES };
	const Elf32_Ehdr h32 = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = type,
		.e_machine = EM_386, .e_version = EV_CURRENT, .e_shoff = (Elf32_Off)sections, .e_ehsize = sizeof(Elf32_Ehdr),
		.e_shentsize = sizeof(Elf32_Shdr), .e_shnum = COUNT, .e_shstrndx = NAMES };

	if (wide)
		memcpy(to, &h64, sizeof(h64));
	else
		memcpy(to, &h32, sizeof(h32));
}

static struct cp_program *open_parts(const struct part *input, bool wide, bool relocatable)
{
	struct part parts[COUNT] = { { NULL, 0 } };
	char names[1024];
	uint32_t offsets[COUNT];
	Elf64_Shdr headers[COUNT];
	uint64_t at = sizeof(Elf64_Ehdr), end = at;
	struct cp_program *program;
	uint8_t *bytes;

	memcpy(&parts[1], &input[1], (FUZZ_SECTIONS - 1) * sizeof(*parts));
	parts[NAMES] = (struct part){ (const uint8_t *)names, name_sections(names, offsets) };
	for (size_t i = 0; i < COUNT; i++)
		end += parts[i].size;
	bytes = calloc(1, end + COUNT * sizeof(Elf64_Shdr));
	FUZZ_ASSERT(bytes);
	put_file_header(bytes, wide, relocatable ? ET_REL : ET_EXEC, end);
	for (size_t i = 0; i < COUNT; i++) {
		headers[i] = header_of(i, wide, relocatable, offsets[i], at, parts[i].size);
		if (parts[i].size)
			memcpy(bytes + at, parts[i].bytes, parts[i].size);
		at += parts[i].size;
	}
	put_headers(bytes + end, headers, wide);
	program = fuzz_open(bytes, end + COUNT * sizeof(Elf64_Shdr));
	free(bytes);
	FUZZ_ASSERT(program);	/* the headers are sound */
	return program;
}

void fuzz_kernel_init(const uint8_t *data, size_t size, struct fuzz_kernel *ret)
{
	struct part parts[FUZZ_SECTIONS] = { { NULL, 0 } };
	uint8_t flags = size ? data[0] : 0;
	size_t length = 0;

	memset(ret, 0, sizeof(*ret));
	cut_apart(data, size, parts);
	for (size_t i = 0; i < parts[FUZZ_QUESTION].size && length + 1 < sizeof(ret->question); i++) {
		if (parts[FUZZ_QUESTION].bytes[i])
			ret->question[length++] = (char)parts[FUZZ_QUESTION].bytes[i];
	}
	ret->text = parts[FUZZ_TEXT].bytes;
	ret->text_size = parts[FUZZ_TEXT].size;
	ret->program = open_parts(parts, !(flags & FUZZ_32), flags & FUZZ_REL);
}

void fuzz_kernel_deinit(struct fuzz_kernel *kernel)
{
	cp_program_close(kernel->program);
}
