/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/large.h"
#include "base/radix.h"
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

/* A table and its names, checked to lie in the file. */
struct table {
	const struct cp_image *image;
	const uint8_t *bytes;
	size_t entry, count;
	const char *names;
	uint64_t names_size;	/* up to and with the last one that ends */
	const struct cp_section *xindex;
	bool wide;
};

static struct cp_error *open_table(const struct cp_image *image, const struct cp_section *section, struct table *t)
{
	const struct cp_section *strings;

	*t = (struct table){ .image = image, .bytes = cp_section_bytes(image, section),
		.wide = image->elf_class == ELFCLASS64 };
	t->entry = t->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	t->count = section->size / t->entry;
	if (section->entsize != t->entry)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: entry size %llu, a symbol has %zu bytes",
			image->path, section->name, (unsigned long long)section->entsize, t->entry);
	if (!t->bytes || section->link >= image->section_count || image->sections[section->link].type != SHT_STRTAB)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: section %s: its string table, section %u, is none",
			image->path, section->name, section->link);
	strings = &image->sections[section->link];
	t->names = (const char *)cp_section_bytes(image, strings);
	t->names_size = strings->size;
	while (t->names_size && t->names[t->names_size - 1])
		t->names_size--;	/* an unterminated last name is no name */
	for (size_t i = 1; i < image->section_count; i++) {
		if (image->sections[i].type == SHT_SYMTAB_SHNDX)
			t->xindex = &image->sections[i];
	}
	return NULL;
}

/* False: it is none that counts. */
static bool read_item(const struct table *t, size_t index, struct cp_symbol *symbol)
{
	uint32_t name;
	uint16_t section;

	read_symbol(t->bytes + index * t->entry, t->wide, symbol, &name, &section);
	symbol->section = section;
	if (section == SHN_XINDEX && t->xindex && index < t->xindex->size / 4)
		symbol->section = cp_read32(cp_section_bytes(t->image, t->xindex) + index * 4);
	if (section == SHN_UNDEF || symbol->type == STT_SECTION || symbol->type == STT_FILE ||
		name >= t->names_size || !t->names[name])
		return false;
	/* A value in a relocatable file counts from the start of its section. */
	if (t->image->type == ET_REL && symbol->section < t->image->section_count)
		symbol->address += t->image->sections[symbol->section].address;
	symbol->name = t->names + name;
	return true;
}

/* A bit for each 64 bytes of 4 MiB and of all addresses that far apart: clear, and no range covers these. */
#define FILTER_BITS 65536u

struct filter {
	uint8_t bits[FILTER_BITS / 8];
};

static void make_filter(const struct cp_cover *within, struct filter *f)
{
	size_t left = 16 * FILTER_BITS;

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < within->count; i++) {
		uint64_t first = within->pieces[i].first >> 6, count = (within->pieces[i].last >> 6) - first + 1;

		if (count >= FILTER_BITS || count > left) {
			memset(f, 0xff, sizeof(*f));
			return;
		}
		left -= count;
		for (uint64_t bit = first; bit < first + count; bit++)
			f->bits[bit % FILTER_BITS / 8] |= (uint8_t)(1u << bit % 8);
	}
}

/* False for most symbols, from their first line of cache alone. */
static inline bool may_be_within(const struct table *t, size_t index, const struct filter *f)
{
	uint64_t bit = cp_read64(t->bytes + index * t->entry + offsetof(Elf64_Sym, st_value)) >> 6;

	return f->bits[bit % FILTER_BITS / 8] >> bit % 8 & 1;
}

struct cp_error *cp_symbols_read_within(const struct cp_image *image, const struct cp_section *table,
	const struct cp_cover *within, struct cp_symbols *symbols)
{
	struct table t;
	struct filter filter;
	struct cp_error *error = open_table(image, table, &t);
	struct cp_symbol *items = NULL;
	size_t count = 0, unused;
	bool filtered = within && t.wide && image->type != ET_REL;

	if (error)
		return error;
	if (filtered)
		make_filter(within, &filter);
	if (!within) {
		items = cp_large_alloc((t.count + 1) * sizeof(*items));
		if (!items)
			return &cp_error_no_memory;
	}
	for (size_t i = 1; i < t.count; i++) {
		struct cp_symbol symbol, *grown;

		if ((filtered && !may_be_within(&t, i, &filter)) || !read_item(&t, i, &symbol) ||
			(within && !cp_cover_at(within, symbol.address, &unused)))
			continue;
		grown = within ? cp_grow(items, count, sizeof(*items)) : items;
		if (!grown) {
			free(items);
			return &cp_error_no_memory;
		}
		items = grown;
		items[count++] = symbol;
		symbols->functions += symbol.type == STT_FUNC || symbol.type == STT_GNU_IFUNC;
		symbols->local_functions += symbol.type == STT_FUNC && symbol.bind == STB_LOCAL;
		symbols->objects += symbol.type == STT_OBJECT;
	}
	symbols->items = items;
	symbols->count = count;
	symbols->image = image;
	symbols->is_dynsym = table->type == SHT_DYNSYM;
	symbols->overlong.are_more = within != NULL;
	if (!within && t.names_size)
		cp_long_texts_add(&symbols->overlong, t.names, t.names_size, CP_LONGEST_NAME);
	return NULL;
}

struct cp_error *cp_symbols_read(const struct cp_image *image, const struct cp_section *table,
	struct cp_symbols *symbols)
{
	return cp_symbols_read_within(image, table, NULL, symbols);
}

void cp_symbols_deinit(struct cp_symbols *symbols)
{
	free(symbols->items);
	free(symbols->by_address);
	free(symbols->by_name);
	free(symbols->looked);
	memset(symbols, 0, sizeof(*symbols));
}

/* Functions before objects before labels, sized before unsized, global before weak before local. */
static unsigned int rank(const struct cp_symbol *s)
{
	unsigned int type = s->type == STT_FUNC || s->type == STT_GNU_IFUNC ? 0 : s->type == STT_OBJECT ? 1 : 2;
	unsigned int bind = s->bind == STB_GLOBAL ? 0 : s->bind == STB_WEAK ? 1 : 2;

	return type << 3 | (s->size ? 0u : 4u) | bind;
}

/* Names differ before this, or they may come in any order: those of a hostile file are megabytes long and overlap. */
#define NAME_LIMIT 512

static int compare(const struct cp_symbol *a, const struct cp_symbol *b)
{
	unsigned int left = rank(a), right = rank(b);

	return left != right ? (left < right ? -1 : 1) : strncmp(a->name, b->name, NAME_LIMIT);
}

/* How many bytes all names have in common; `known` of them are known to be. */
static size_t common_prefix(const struct cp_symbol *const *items, size_t count, size_t known)
{
	size_t ret = known + strnlen(items[0]->name + known, NAME_LIMIT - known);

	for (size_t i = 1; i < count; i++) {
		size_t at = known;

		while (at < ret && items[i]->name[at] == items[0]->name[at])
			at++;
		ret = at;
	}
	return ret;
}

/* By rank and the seven bytes of the name from `from` on. */
static uint64_t name_key(const struct cp_symbol *s, size_t from)
{
	uint64_t key = rank(s);
	size_t left = strnlen(s->name + from, 7);

	for (size_t i = 0; i < 7; i++)
		key = key << 8 | (i < left ? (uint8_t)s->name[from + i] : 0);
	return key;
}

#define FEW 16

/*
 * The better name first, for symbols of one address whose names have `prefix` bytes in common. As a rule two, but
 * thousands where a linker keeps one empty string. False: no memory.
 */
static bool sort_names(const struct cp_symbol **items, size_t count, size_t prefix)
{
	const struct cp_symbol **before;
	struct cp_keyed *keys;
	bool good;

	for (size_t i = 1; count <= FEW && i < count; i++) {
		const struct cp_symbol *item = items[i];
		size_t at = i;

		for (; at > 0 && compare(items[at - 1], item) > 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
	prefix = count <= FEW ? NAME_LIMIT : common_prefix(items, count, prefix);
	if (prefix + 7 > NAME_LIMIT)
		return true;
	keys = malloc(count * sizeof(*keys));
	before = malloc(count * sizeof(*before));
	for (size_t i = 0; keys && i < count; i++)
		keys[i] = (struct cp_keyed){ name_key(items[i], prefix), i };
	good = keys && before && cp_radix_sort(keys, count);
	if (good) {
		memcpy(before, items, count * sizeof(*before));
		for (size_t i = 0; i < count; i++)
			items[i] = before[keys[i].index];
	}
	free(before);
	for (size_t first = 0, i = 1; good && i <= count; i++) {
		if (i < count && keys[i].key == keys[first].key)
			continue;
		/* Names that end within the seven bytes are equal, and stay in the order of the file. */
		if (i - first > 1 && (keys[first].key & 0xff))
			good = sort_names(items + first, i - first, prefix + 7);
		first = i;
	}
	free(keys);
	return good;
}

/*
 * In a kernel addresses are low ones (offsets into per-CPU data, absolute values) or in the top 2 GiB: cut to 32 bits
 * they have the same order, and sorting them takes half as long.
 */
static bool fit_32_bits(const struct cp_symbols *symbols)
{
	uint64_t outside = 0;

	for (size_t i = 0; i < symbols->count; i++)
		outside |= symbols->items[i].address ^ (uint64_t)(int32_t)symbols->items[i].address;
	return !outside;
}

struct cp_error *cp_symbols_sort(struct cp_symbols *symbols)
{
	size_t count = symbols->count;
	const struct cp_symbol **sorted;
	struct cp_keyed *keys;
	uint64_t mask = fit_32_bits(symbols) ? UINT32_MAX : UINT64_MAX;
	bool good;

	if (symbols->by_address)
		return NULL;
	sorted = cp_large_alloc((count + 1) * sizeof(*sorted));
	keys = cp_large_alloc((count + 1) * sizeof(*keys));
	for (size_t i = 0; keys && i < count; i++)
		keys[i] = (struct cp_keyed){ symbols->items[i].address & mask, i };
	good = sorted && keys && (!count || cp_radix_sort(keys, count));
	for (size_t i = 0; good && i < count; i++)
		sorted[i] = &symbols->items[keys[i].index];
	for (size_t first = 0, i = 1; good && i <= count; i++) {
		if (i < count && keys[i].key == keys[first].key)
			continue;
		if (i - first > 1)
			good = sort_names(sorted + first, i - first, 0);
		first = i;
	}
	free(keys);
	if (!good) {
		free(sorted);
		return &cp_error_no_memory;
	}
	symbols->by_address = sorted;
	return NULL;
}

/* The same, known to be within [low, high]. */
static size_t lower_within(const struct cp_symbols *symbols, uint64_t address, size_t low, size_t high)
{
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->by_address[middle]->address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t cp_symbols_lower(const struct cp_symbols *symbols, uint64_t address)
{
	return lower_within(symbols, address, 0, symbols->count);
}

size_t cp_symbols_lower_near(const struct cp_symbols *symbols, uint64_t address, size_t near)
{
	const struct cp_symbol **all = symbols->by_address;
	size_t low = near, high = near, step = 1;

	if (near >= symbols->count)
		return cp_symbols_lower(symbols, address);
	/* Steps of twice the length each, until the place is passed. */
	if (all[near]->address < address) {
		for (; high < symbols->count && all[high]->address < address; step *= 2) {
			low = high + 1;
			high = symbols->count - high < step ? symbols->count : high + step;
		}
	} else {
		for (; low && all[low]->address >= address; step *= 2) {
			high = low;
			low = low < step ? 0 : low - step;
		}
	}
	return lower_within(symbols, address, low, high);
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

/*
 * How far back a sized symbol may begin: bounds the walk when thousands of small ones lie inside a large one. Behind so many
 * that end before the address it ends sooner: overlaps are rare and short.
 */
#define LOOK_BACK 4096
#define OVERLAPS 64

const struct cp_symbol *cp_symbols_at(const struct cp_symbols *symbols, uint64_t address, bool code)
{
	size_t i = cp_symbols_lower(symbols, address + 1), steps = 0;
	const struct cp_symbol *nearest = NULL;
	bool passed = false;	/* a sized one that ends before the address: nothing without size goes on behind it */
	size_t ended = 0;	/* such ones, of any kind */

	if (address == UINT64_MAX)
		i = symbols->count;
	while (i > 0 && steps++ < LOOK_BACK && (nearest || ended < OVERLAPS)) {
		const struct cp_symbol *symbol = symbols->by_address[--i];
		const struct cp_section *section = section_of(symbols, symbol);

		ended += symbol->size && address - symbol->address >= symbol->size;
		if (code ? !cp_symbol_is_code(symbols, symbol) : !cp_symbol_is_object(symbol))
			continue;
		if (section && (address < section->address || address - section->address >= section->size)) {
			if (section->flags & SHF_ALLOC)
				break;
			continue;
		}
		if (symbol->size ? address - symbol->address < symbol->size : address == symbol->address || (code && !passed)) {
			/* At one address the best name comes first: walk on to it. */
			if (!nearest || (nearest->address == symbol->address))
				nearest = symbol;
			else if (!nearest->size && symbol->size)
				return symbol;
		} else if (nearest && symbol->address != nearest->address && (nearest->size || symbol->size)) {
			break;
		} else if (symbol->size && !nearest) {
			passed = true;	/* padding belongs to nobody */
		}
	}
	return nearest;
}

bool cp_symbol_is_overlong(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	return cp_long_texts_length(&symbols->overlong, symbol->name, CP_LONGEST_NAME) != 0;
}

#define FEW_LOOKS 64
#define MOST_NAMED 1024	/* of one beginning; parts and clones of a function are a handful */

static int compare_names(const void *left, const void *right)
{
	const struct cp_symbol *const *a = left, *const *b = right;
	int order = strcmp((*a)->name, (*b)->name);

	return order ? order : *a < *b ? -1 : *a > *b;
}

static bool is_named_function(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	return (symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC) && !cp_symbol_is_overlong(symbols, symbol);
}

static struct cp_error *look_by_name(struct cp_symbols *symbols, const char *name, size_t length, size_t *count)
{
	const struct cp_symbol **found;

	*count = 0;
	for (size_t i = 0; i < symbols->count && *count < MOST_NAMED; i++) {
		const struct cp_symbol *symbol = &symbols->items[i];

		if (strncmp(symbol->name, name, length) || !is_named_function(symbols, symbol))
			continue;
		found = cp_grow(symbols->looked, *count, sizeof(*found));
		if (!found)
			return &cp_error_no_memory;
		symbols->looked = found;
		found[(*count)++] = symbol;
	}
	return NULL;
}

static struct cp_error *sort_by_name(struct cp_symbols *symbols)
{
	symbols->by_name = malloc((symbols->count + 1) * sizeof(*symbols->by_name));
	if (!symbols->by_name)
		return &cp_error_no_memory;
	for (size_t i = 0; i < symbols->count; i++) {
		if (is_named_function(symbols, &symbols->items[i]))
			symbols->by_name[symbols->by_name_count++] = &symbols->items[i];
	}
	if (symbols->by_name_count)
		qsort(symbols->by_name, symbols->by_name_count, sizeof(*symbols->by_name), compare_names);
	return NULL;
}

struct cp_error *cp_symbols_by_name(struct cp_symbols *symbols, const char *name, bool whole,
	const struct cp_symbol ***ret, size_t *count)
{
	size_t low = 0, high, length = strlen(name) + whole;	/* its NUL too */
	struct cp_error *error;

	if (!symbols->by_name && symbols->looks++ < FEW_LOOKS) {
		error = look_by_name(symbols, name, length, count);
		*ret = symbols->looked;
		return error;
	}
	error = symbols->by_name ? NULL : sort_by_name(symbols);
	if (error)
		return error;
	high = symbols->by_name_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strncmp(symbols->by_name[middle]->name, name, length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = symbols->by_name + low;
	for (*count = 0; low < symbols->by_name_count && *count < MOST_NAMED; low++, ++*count) {
		if (strncmp(symbols->by_name[low]->name, name, length))
			break;
	}
	return NULL;
}
