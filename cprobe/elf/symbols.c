/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "elf/symbols.h"

const struct cp_section *cp_symbols_table(const struct cp_image *image, uint32_t type)
{
	for (size_t i = 1; i < image->section_count; i++) {
		if (image->sections[i].type == type)
			return &image->sections[i];
	}
	return NULL;
}

static void read_symbol(const uint8_t *p, bool wide, struct cp_symbol *symbol, uint32_t *name, uint16_t *section)
{
	uint8_t info;

	*name = cp_read32(p);
	if (wide) {
		info = p[4];
		*section = cp_read16(p + 6);
		symbol->address = cp_read64(p + 8);
		symbol->size = cp_read64(p + 16);
	} else {
		symbol->address = cp_read32(p + 4);
		symbol->size = cp_read32(p + 8);
		info = p[12];
		*section = cp_read16(p + 14);
	}
	symbol->type = ELF64_ST_TYPE(info);
	symbol->bind = ELF64_ST_BIND(info);
}

struct cp_error *cp_symbols_read(const struct cp_image *image, const struct cp_section *table,
	struct cp_symbols *symbols)
{
	bool wide = image->elf_class == ELFCLASS64;
	size_t entry = wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	const uint8_t *bytes = cp_section_bytes(image, table);
	const struct cp_section *strings, *xindex = NULL;
	size_t count = table->size / entry;
	const char *names;
	uint64_t names_size;

	if (table->entsize != entry)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: entry size %llu, a symbol has %zu bytes",
			image->path, table->name, (unsigned long long)table->entsize, entry);
	if (!bytes || table->link >= image->section_count || image->sections[table->link].type != SHT_STRTAB)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: its string table, section %u, is none",
			image->path, table->name, table->link);
	strings = &image->sections[table->link];
	names = (const char *)cp_section_bytes(image, strings);
	names_size = strings->size;
	while (names_size && names[names_size - 1])
		names_size--;	/* an unterminated last name is no name */
	for (size_t i = 1; i < image->section_count; i++) {
		if (image->sections[i].type == SHT_SYMTAB_SHNDX)
			xindex = &image->sections[i];
	}
	symbols->items = malloc((count ? count : 1) * sizeof(*symbols->items));
	if (!symbols->items)
		return &cp_error_no_memory;
	symbols->image = image;
	symbols->is_dynsym = table->type == SHT_DYNSYM;
	for (size_t i = 1; i < count; i++) {
		struct cp_symbol *symbol = &symbols->items[symbols->count];
		uint32_t name;
		uint16_t section;

		read_symbol(bytes + i * entry, wide, symbol, &name, &section);
		symbol->section = section;
		if (section == SHN_XINDEX && xindex && i < xindex->size / 4)
			symbol->section = cp_read32(cp_section_bytes(image, xindex) + i * 4);
		if (section == SHN_UNDEF || symbol->type == STT_SECTION || symbol->type == STT_FILE ||
			name >= names_size || !names[name])
			continue;
		symbol->name = names + name;
		/* A value in a relocatable file counts from the start of its section. */
		if (image->type == ET_REL && symbol->section < image->section_count)
			symbol->address += image->sections[symbol->section].address;
		symbols->functions += symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC;
		symbols->objects += symbol->type == STT_OBJECT;
		symbols->count++;
	}
	return NULL;
}

void cp_symbols_deinit(struct cp_symbols *symbols)
{
	free(symbols->items);
	free(symbols->by_address);
	memset(symbols, 0, sizeof(*symbols));
}

static unsigned int type_rank(const struct cp_symbol *s)
{
	return s->type == STT_FUNC || s->type == STT_GNU_IFUNC ? 0 : s->type == STT_OBJECT ? 1 : 2;
}

static unsigned int bind_rank(const struct cp_symbol *s)
{
	return s->bind == STB_GLOBAL ? 0 : s->bind == STB_WEAK ? 1 : 2;
}

/* Functions before labels, sized before unsized, global before weak before local, shorter and then smaller names. */
static int compare(const void *left, const void *right)
{
	const struct cp_symbol *a = *(const struct cp_symbol *const *)left;
	const struct cp_symbol *b = *(const struct cp_symbol *const *)right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (type_rank(a) != type_rank(b))
		return type_rank(a) < type_rank(b) ? -1 : 1;
	if (!a->size != !b->size)
		return a->size ? -1 : 1;
	if (bind_rank(a) != bind_rank(b))
		return bind_rank(a) < bind_rank(b) ? -1 : 1;
	return strcmp(a->name, b->name);
}

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

/* One pass of a radix sort by address: from `in` to `out`, stable. False: that digit is the same in all. */
static bool radix_pass(const struct cp_symbol **in, const struct cp_symbol **out, size_t count, unsigned int shift)
{
	size_t starts[DIGITS] = { 0 }, at = 0;

	for (size_t i = 0; i < count; i++)
		starts[in[i]->address >> shift & (DIGITS - 1)]++;
	if (starts[in[0]->address >> shift & (DIGITS - 1)] == count)
		return false;
	for (size_t d = 0; d < DIGITS; d++) {
		size_t here = starts[d];

		starts[d] = at;
		at += here;
	}
	for (size_t i = 0; i < count; i++)
		out[starts[in[i]->address >> shift & (DIGITS - 1)]++] = in[i];
	return true;
}

struct cp_error *cp_symbols_sort(struct cp_symbols *symbols)
{
	size_t count = symbols->count, room = (count ? count : 1) * sizeof(*symbols->by_address);
	const struct cp_symbol **sorted, **spare;

	if (symbols->by_address)
		return NULL;
	sorted = malloc(room);
	spare = malloc(room);
	if (!sorted || !spare) {
		free(sorted);
		free(spare);
		return &cp_error_no_memory;
	}
	for (size_t i = 0; i < count; i++)
		sorted[i] = &symbols->items[i];
	/* qsort(3) on 100,000 symbols takes longer than all the rest of `cprobe symbol`; only equal addresses need it. */
	for (unsigned int shift = 0; count && shift < 64; shift += DIGIT_BITS) {
		if (radix_pass(sorted, spare, count, shift)) {
			const struct cp_symbol **swap = sorted;

			sorted = spare;
			spare = swap;
		}
	}
	free(spare);
	for (size_t first = 0, i = 1; i <= count; i++) {
		if (i < count && sorted[i]->address == sorted[first]->address)
			continue;
		if (i - first > 1)
			qsort(sorted + first, i - first, sizeof(*sorted), compare);
		first = i;
	}
	symbols->by_address = sorted;
	return NULL;
}

size_t cp_symbols_lower(const struct cp_symbols *symbols, uint64_t address)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->by_address[middle]->address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct cp_section *section_of(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	if (symbol->section == 0 || symbol->section >= symbols->image->section_count)
		return NULL;
	return &symbols->image->sections[symbol->section];
}

bool cp_symbol_is_object(const struct cp_symbol *symbol)
{
	return symbol->type == STT_OBJECT || symbol->type == STT_COMMON;
}

bool cp_symbol_is_code(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	const struct cp_section *section;

	if (symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC)
		return true;
	if (symbol->type != STT_NOTYPE)
		return false;
	section = section_of(symbols, symbol);
	return section && (section->flags & SHF_EXECINSTR);
}

const char *cp_symbol_section(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	const struct cp_section *section = section_of(symbols, symbol);

	return section && section->name[0] ? section->name : NULL;
}

/* How far back a sized symbol may begin: bounds the walk when thousands of small ones lie inside a large one. */
#define LOOK_BACK 4096

const struct cp_symbol *cp_symbols_at(const struct cp_symbols *symbols, uint64_t address, bool code)
{
	size_t i = cp_symbols_lower(symbols, address + 1), steps = 0;
	const struct cp_symbol *nearest = NULL;

	if (address == UINT64_MAX)
		i = symbols->count;
	while (i > 0 && steps++ < LOOK_BACK) {
		const struct cp_symbol *symbol = symbols->by_address[--i];
		const struct cp_section *section = section_of(symbols, symbol);

		if (code ? !cp_symbol_is_code(symbols, symbol) : !cp_symbol_is_object(symbol))
			continue;
		if (section && (address < section->address || address - section->address >= section->size)) {
			if (section->flags & SHF_ALLOC)
				break;
			continue;
		}
		if (symbol->size ? address - symbol->address < symbol->size : address == symbol->address || code) {
			/* At one address the best name comes first: walk on to it. */
			if (!nearest || (nearest->address == symbol->address))
				nearest = symbol;
			else if (!nearest->size && symbol->size)
				return symbol;
		} else if (nearest && symbol->address != nearest->address && (nearest->size || symbol->size)) {
			break;
		} else if (symbol->size && !nearest) {
			/* Past the end of a sized symbol: padding belongs to nobody. Overlaps are rare and short. */
			if (steps > 64)
				break;
		}
	}
	return nearest;
}
