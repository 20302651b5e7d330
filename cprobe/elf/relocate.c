/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "elf/relocate.h"

/* FreeBSD's <elf.h> calls the first one R_X86_64_JMP_SLOT, and may lack the small ones of i386. */
#ifndef R_X86_64_JUMP_SLOT
#define R_X86_64_JUMP_SLOT 7
#endif
#ifndef R_386_16
#define R_386_16 20
#define R_386_PC16 21
#define R_386_8 22
#define R_386_PC8 23
#endif

/* One section of relocations, its entries and its symbols checked to lie in the file. */
struct table {
	const struct cp_image *image;
	const struct cp_section *section;
	const uint8_t *bytes, *symbols;
	const struct cp_section *xindex;	/* where symbols name sections above SHN_LORESERVE, or NULL */
	size_t count, entry, symbol_count, symbol_entry;
	uint64_t undefined;	/* where a symbol of another file is */
	bool wide, has_addend;
};

struct entry {
	uint64_t offset, addend;
	uint32_t type, symbol;
};

/* What a relocation writes. size 0: nothing, known: because it is meant to. */
struct action {
	uint8_t size;
	bool known;
	bool relative;		/* to the place itself */
	bool no_symbol;		/* its addend alone */
	bool no_addend;		/* its symbol alone */
};

#define ABSOLUTE(bytes) { .size = (bytes), .known = true }
#define RELATIVE(bytes) { .size = (bytes), .known = true, .relative = true }

static const struct action x86_64_actions[] = {
	[R_X86_64_NONE] = { .known = true },
	[R_X86_64_64] = ABSOLUTE(8), [R_X86_64_PC64] = RELATIVE(8),
	[R_X86_64_32] = ABSOLUTE(4), [R_X86_64_32S] = ABSOLUTE(4), [R_X86_64_PC32] = RELATIVE(4),
	[R_X86_64_PLT32] = RELATIVE(4),
	[R_X86_64_16] = ABSOLUTE(2), [R_X86_64_PC16] = RELATIVE(2),
	[R_X86_64_8] = ABSOLUTE(1), [R_X86_64_PC8] = RELATIVE(1),
};

static const struct action i386_actions[] = {
	[R_386_NONE] = { .known = true },
	[R_386_32] = ABSOLUTE(4), [R_386_PC32] = RELATIVE(4), [R_386_PLT32] = RELATIVE(4),
	[R_386_16] = ABSOLUTE(2), [R_386_PC16] = RELATIVE(2),
	[R_386_8] = ABSOLUTE(1), [R_386_PC8] = RELATIVE(1),
};

static const struct action x86_64_dynamic_actions[] = {
	[R_X86_64_NONE] = { .known = true },
	[R_X86_64_64] = ABSOLUTE(8), [R_X86_64_32] = ABSOLUTE(4), [R_X86_64_PC32] = RELATIVE(4),
	[R_X86_64_GLOB_DAT] = { .size = 8, .known = true, .no_addend = true },
	[R_X86_64_JUMP_SLOT] = { .size = 8, .known = true, .no_addend = true },
	[R_X86_64_RELATIVE] = { .size = 8, .known = true, .no_symbol = true },
};

static const struct action i386_dynamic_actions[] = {
	[R_386_NONE] = { .known = true },
	[R_386_32] = ABSOLUTE(4), [R_386_PC32] = RELATIVE(4),
	[R_386_GLOB_DAT] = { .size = 4, .known = true, .no_addend = true },
	[R_386_JMP_SLOT] = { .size = 4, .known = true, .no_addend = true },
	[R_386_RELATIVE] = { .size = 4, .known = true, .no_symbol = true },
};

#define FROM(table, type) ((type) < sizeof(table) / sizeof(*(table)) ? (table)[type] : none)

static struct action action_of(const struct cp_image *image, uint32_t type)
{
	static const struct action none;

	if (image->machine == EM_X86_64)
		return image->type == ET_REL ? FROM(x86_64_actions, type) : FROM(x86_64_dynamic_actions, type);
	return image->type == ET_REL ? FROM(i386_actions, type) : FROM(i386_dynamic_actions, type);
}

static size_t section_index(const struct cp_image *image, const struct cp_section *section)
{
	return (size_t)(section - image->sections);
}

static struct cp_error *open_symbols(struct table *t, uint32_t type)
{
	const struct cp_image *image = t->image;
	const struct cp_section *symbols;

	/* Relocations that need no symbols name no table. */
	if (!t->section->link && image->type == ET_DYN)
		return NULL;
	symbols = t->section->link < image->section_count ? &image->sections[t->section->link] : NULL;
	t->symbol_entry = t->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	if (!symbols || symbols->type != type || symbols->entsize != t->symbol_entry)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu holds relocations: section %u is no table of their "
			"symbols, of %zu bytes each", image->path, section_index(image, t->section), t->section->link,
			t->symbol_entry);
	t->symbols = image->data + symbols->offset;
	t->symbol_count = symbols->size / t->symbol_entry;
	for (size_t i = 1; i < image->section_count; i++) {
		if (image->sections[i].type == SHT_SYMTAB_SHNDX && image->sections[i].link == t->section->link)
			t->xindex = &image->sections[i];
	}
	return NULL;
}

static struct cp_error *open_table(const struct cp_image *image, const struct cp_section *section, struct table *t)
{
	bool wide = image->elf_class == ELFCLASS64, has_addend = section->type == SHT_RELA;

	*t = (struct table){ .image = image, .section = section, .bytes = image->data + section->offset, .wide = wide,
		.has_addend = has_addend };
	t->entry = has_addend ? (wide ? sizeof(Elf64_Rela) : sizeof(Elf32_Rela)) :
		wide ? sizeof(Elf64_Rel) : sizeof(Elf32_Rel);
	t->count = section->size / t->entry;
	if (section->entsize != t->entry)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: entry size %llu, a relocation has %zu bytes",
			image->path, section_index(image, section), (unsigned long long)section->entsize, t->entry);
	return open_symbols(t, image->type == ET_REL ? SHT_SYMTAB : SHT_DYNSYM);
}

static struct entry read_entry(const struct table *t, size_t index)
{
	const uint8_t *p = t->bytes + index * t->entry;
	struct entry e = { 0 };

	if (t->wide) {
		uint64_t info = cp_read64(p + 8);

		e.offset = cp_read64(p);
		e.type = (uint32_t)info;
		e.symbol = (uint32_t)(info >> 32);
		e.addend = t->has_addend ? cp_read64(p + 16) : 0;
	} else {
		uint32_t info = cp_read32(p + 4);

		e.offset = cp_read32(p);
		e.type = info & 0xff;
		e.symbol = info >> 8;
		e.addend = t->has_addend ? (uint64_t)(int32_t)cp_read32(p + 8) : 0;
	}
	return e;
}

static struct cp_error *symbol_value(const struct table *t, size_t relocation, uint32_t index, uint64_t *ret)
{
	const struct cp_image *image = t->image;
	const uint8_t *p;
	uint32_t section;
	uint64_t value;

	if (index >= t->symbol_count)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: relocation %zu: symbol %u is none of the %zu of its "
			"table", image->path, section_index(image, t->section), relocation, index, t->symbol_count);
	p = t->symbols + index * t->symbol_entry;
	section = cp_read16(p + (t->wide ? 6 : 14));
	value = t->wide ? cp_read64(p + 8) : cp_read32(p + 4);
	if (section == SHN_UNDEF || section == SHN_COMMON) {
		*ret = t->undefined;
		return NULL;
	}
	if (section == SHN_XINDEX && t->xindex && index < t->xindex->size / 4)
		section = cp_read32(image->data + t->xindex->offset + 4 * (uint64_t)index);
	else if (section >= SHN_LORESERVE)
		section = SHN_UNDEF;	/* SHN_ABS and the like: a value of no section */
	if (section >= image->section_count)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: relocation %zu: its symbol %u is in section %u of "
			"%zu", image->path, section_index(image, t->section), relocation, index, section, image->section_count);
	if (image->type == ET_REL && section && (image->sections[section].flags & SHF_ALLOC))
		value += image->sections[section].address;
	*ret = value;
	return NULL;
}

static uint64_t read_field(const uint8_t *p, unsigned int size)
{
	return size == 8 ? cp_read64(p) : size == 4 ? (uint64_t)(int32_t)cp_read32(p) :
		size == 2 ? (uint64_t)(int16_t)cp_read16(p) : (uint64_t)(int8_t)*p;
}

static void write_field(uint8_t *p, unsigned int size, uint64_t value)
{
	for (unsigned int i = 0; i < size; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

/* A relocation on its way: which, by which table, and of which symbol's value. */
struct change {
	const struct table *table;
	size_t index;
	struct entry entry;
	struct action action;
	uint64_t value;
};

static struct cp_error *read_change(const struct table *t, size_t index, struct change *c)
{
	*c = (struct change){ .table = t, .index = index, .entry = read_entry(t, index) };
	c->action = action_of(t->image, c->entry.type);
	/* Symbol 0 is the one that stands for none. */
	if (!c->action.size || c->action.no_symbol || !c->entry.symbol)
		return NULL;
	return symbol_value(t, index, c->entry.symbol, &c->value);
}

/* To `size` bytes of the target section, which runs at `address`. The entry's offset counts from there. */
static struct cp_error *apply(const struct change *c, const struct cp_section *target, uint8_t *bytes, uint64_t size,
	uint64_t address)
{
	const struct table *t = c->table;
	uint64_t offset = c->entry.offset, value = c->value;
	unsigned int width = c->action.size;

	if (offset > size || width > size - offset)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %zu: relocation %zu: %u bytes at offset 0x%llx leave "
			"section %zu of 0x%llx bytes", t->image->path, section_index(t->image, t->section), c->index, width,
			(unsigned long long)offset, section_index(t->image, target), (unsigned long long)size);
	if (!c->action.no_addend)
		value += t->has_addend ? c->entry.addend : read_field(bytes + offset, width);
	if (c->action.relative)
		value -= address + offset;
	write_field(bytes + offset, width, value);
	return NULL;
}

/* The section with the relocations of an ET_REL file's section, or NULL. */
static const struct cp_section *relocations_of(const struct cp_image *image, const struct cp_section *section)
{
	return section->relocations ? &image->sections[section->relocations] : NULL;
}

static struct cp_error *relocate(const struct cp_image *image, const struct cp_section *section, uint8_t *bytes,
	uint64_t size, size_t *skipped)
{
	bool loaded = section->flags & SHF_ALLOC;
	struct cp_error *error;
	struct table t;

	error = open_table(image, relocations_of(image, section), &t);
	if (error)
		return error;
	t.undefined = loaded ? image->undefined : 0;
	for (size_t i = 0; i < t.count && !error; i++) {
		struct change c;

		error = read_change(&t, i, &c);
		if (!error && c.action.size)
			error = apply(&c, section, bytes, size, loaded ? section->address : 0);
		*skipped += !c.action.known;
	}
	return error;
}

bool cp_section_is_relocated(const struct cp_image *image, const struct cp_section *section)
{
	return section->relocations && !(section->flags & SHF_ALLOC) && cp_section_bytes(image, section);
}

struct cp_error *cp_relocate_section(const struct cp_image *image, const struct cp_section *section, uint8_t *bytes,
	uint64_t size)
{
	size_t skipped = 0;

	return cp_section_is_relocated(image, section) ? relocate(image, section, bytes, size, &skipped) : NULL;
}

static bool is_table(const struct cp_section *section)
{
	return section->type == SHT_RELA || section->type == SHT_REL;
}

/* A loaded section whose bytes in the mapping can be changed. */
static bool is_target(const struct cp_image *image, const struct cp_section *section)
{
	return (section->flags & SHF_ALLOC) && !(section->flags & SHF_COMPRESSED) && cp_section_bytes(image, section);
}

/* The mapping's own bytes; only after make_writable(). */
static uint8_t *bytes_of(struct cp_image *image, const struct cp_section *section)
{
	return (uint8_t *)(uintptr_t)image->data + section->offset;
}

static struct cp_error *relocate_modules_sections(struct cp_image *image)
{
	struct cp_error *error = NULL;

	for (size_t i = 1; i < image->section_count && !error; i++) {
		struct cp_section *s = &image->sections[i];

		if (s->relocations && is_target(image, s))
			error = relocate(image, s, bytes_of(image, s), s->size, &image->skipped_relocations);
	}
	return error;
}

/* A table whose offsets are addresses. */
static struct cp_error *relocate_addresses(struct cp_image *image, const struct cp_section *section)
{
	const struct cp_section *target = NULL;
	struct cp_error *error;
	struct table t;

	error = open_table(image, section, &t);
	for (size_t i = 0; !error && i < t.count; i++) {
		struct change c;

		error = read_change(&t, i, &c);
		if (!target || c.entry.offset - target->address >= target->size)
			target = cp_image_section_at(image, c.entry.offset);
		image->skipped_relocations += !c.action.known || !target;
		/* What another file would define stays as it is. */
		if (error || !c.action.size || (!c.value && c.entry.symbol && !c.action.no_symbol) || !target ||
			!is_target(image, target))
			continue;
		c.entry.offset -= target->address;
		error = apply(&c, target, bytes_of(image, target), target->size, target->address);
	}
	return error;
}

/* Which tables are to be applied, by how many bytes they claim together; each target gets its first one. */
static uint64_t choose_tables(struct cp_image *image)
{
	uint64_t total = 0;

	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];
		struct cp_section *target = s->info < image->section_count ? &image->sections[s->info] : NULL;

		if (!is_table(s))
			continue;
		if (image->type == ET_DYN && (s->flags & SHF_ALLOC)) {
			total += s->size;
		} else if (image->type == ET_REL && s->info && target && !target->relocations && !is_table(target)) {
			target->relocations = (uint32_t)i;
			total += is_target(image, target) ? s->size : 0;
		}
		if (total > image->size)
			break;
	}
	return total;
}

struct cp_error *cp_image_relocate(struct cp_image *image)
{
	struct cp_error *error = NULL;
	uint64_t total;

	if ((image->type != ET_REL && image->type != ET_DYN) || !cp_image_is_x86(image))
		return NULL;
	total = choose_tables(image);
	/* Tables that share their bytes would cost as many times the file's size as there are sections. */
	if (total > image->size)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: sections of relocations claim 0x%llx bytes and more, the file "
			"has 0x%llx", image->path, (unsigned long long)total, (unsigned long long)image->size);
	if (!total)
		return NULL;
	if (mprotect((void *)(uintptr_t)image->data, image->size, PROT_READ | PROT_WRITE))
		return cp_error_create(CP_ERROR_IO, "%s: %s: its relocations need a writable copy of it in memory", image->path,
			strerror(errno));
	if (image->type == ET_REL)
		error = relocate_modules_sections(image);
	for (size_t i = 1; image->type == ET_DYN && i < image->section_count && !error; i++) {
		const struct cp_section *s = &image->sections[i];

		if (is_table(s) && (s->flags & SHF_ALLOC))
			error = relocate_addresses(image, s);
	}
	mprotect((void *)(uintptr_t)image->data, image->size, PROT_READ);
	image->relocated = true;
	return error;
}
