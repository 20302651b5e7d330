/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>

#include "dwarf/dwarf.h"
#include "elf/inflate.h"

static const char *const section_names[CP_DW_SECTIONS] = {
	[CP_DW_INFO] = ".debug_info", [CP_DW_TYPES] = ".debug_types", [CP_DW_ABBREV] = ".debug_abbrev",
	[CP_DW_LINE] = ".debug_line", [CP_DW_STR] = ".debug_str", [CP_DW_LINE_STR] = ".debug_line_str",
	[CP_DW_STR_OFFSETS] = ".debug_str_offsets", [CP_DW_ADDR] = ".debug_addr", [CP_DW_RANGES] = ".debug_ranges",
	[CP_DW_RNGLISTS] = ".debug_rnglists", [CP_DW_LOC] = ".debug_loc", [CP_DW_LOCLISTS] = ".debug_loclists",
	[CP_DW_ARANGES] = ".debug_aranges",
};

/* How often all of the debug information may be read over in one question, beside what is read once. */
#define BUDGET_FACTOR 32
#define BUDGET_LEAST (2 << 20)

static struct cp_error *load_sections(struct cp_dwarf *dwarf)
{
	for (int i = 0; i < CP_DW_SECTIONS; i++) {
		struct cp_dw_bytes *s = &dwarf->sections[i];
		const struct cp_section *section = cp_image_debug_section(dwarf->image, section_names[i]);
		struct cp_error *error;

		s->name = section_names[i];
		if (!section)
			continue;
		error = cp_section_contents(dwarf->image, section, &s->bytes, &s->size, &s->owned);
		if (error)
			return error;
		if (!s->bytes)
			s->size = 0;
		if (i != CP_DW_STR && i != CP_DW_LINE_STR)
			continue;
		s->terminated = s->size;
		while (s->terminated && s->bytes[s->terminated - 1])
			s->terminated--;
	}
	return NULL;
}

struct cp_cursor cp_dwarf_cursor(const struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset)
{
	const struct cp_dw_bytes *s = &dwarf->sections[section];
	static const uint8_t nothing[1];
	const uint8_t *bytes = s->bytes ? s->bytes : nothing;

	return (struct cp_cursor){ bytes + (offset <= s->size ? offset : s->size), bytes + s->size, offset > s->size };
}

const char *cp_dwarf_text(const struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset)
{
	const struct cp_dw_bytes *s = &dwarf->sections[section];

	return offset < s->terminated ? (const char *)s->bytes + offset : NULL;
}

struct cp_cursor cp_dwarf_peek(const struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset, uint64_t end,
	uint8_t *buffer, size_t size)
{
	const struct cp_dw_bytes *s = &dwarf->sections[section];

	if (size > end - offset)
		size = (size_t)(end - offset);
	if (s->owned)
		memcpy(buffer, s->bytes + offset, size);
	else
		size = cp_image_peek(dwarf->image, s->bytes + offset, buffer, size);
	return (struct cp_cursor){ buffer, buffer + size, false };
}

#define LONGEST_HEADER 40

/* Section 7.5.1. */
static struct cp_error *read_header(struct cp_dwarf *dwarf, enum cp_dw_section section, uint64_t offset,
	struct cp_dw_unit *unit)
{
	const struct cp_dw_bytes *s = &dwarf->sections[section];
	uint8_t bytes[LONGEST_HEADER];
	struct cp_cursor at = cp_dwarf_peek(dwarf, section, offset, s->size, bytes, sizeof(bytes)), *c = &at;
	uint64_t length, left;
	unsigned int version;

	*unit = (struct cp_dw_unit){ .dwarf = dwarf, .offset = offset, .section = (uint8_t)section, .type = DW_UT_compile };
	unit->sizes.offset = 4;
	length = cp_get32(c);
	if (length == 0xffffffff) {
		unit->sizes.offset = 8;
		length = cp_get64(c);
	}
	left = s->size - offset - (uint64_t)(c->at - bytes);
	if (!c->failed && !length) {
		unit->end = offset + 4;	/* padding that linkers leave between units */
		return NULL;
	}
	if (c->failed || length > left)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: %s: truncated: the unit at 0x%llx has 0x%llx bytes, 0x%llx are "
			"left: is the file cut off?", dwarf->image->path, s->name, (unsigned long long)offset,
			(unsigned long long)length, (unsigned long long)left);
	unit->end = s->size - left + length;
	if (length < cp_left(c))
		c->end = c->at + length;
	version = cp_get16(c);
	if (version < 2 || version > 5)
		return cp_error_create(CP_ERROR_CORRUPT, "%s: %s: the unit at 0x%llx has DWARF version %u; 2 to 5 are known",
			dwarf->image->path, s->name, (unsigned long long)offset, version);
	unit->sizes.version = (uint8_t)version;
	if (unit->sizes.version >= 5) {
		unit->type = cp_get8(c);
		unit->sizes.address = cp_get8(c);
		unit->abbrev_offset = cp_get_sized(c, unit->sizes.offset);
	} else {
		unit->abbrev_offset = cp_get_sized(c, unit->sizes.offset);
		unit->sizes.address = cp_get8(c);
		if (section == CP_DW_TYPES)
			unit->type = DW_UT_type;
	}
	if (unit->type == DW_UT_type || unit->type == DW_UT_split_type) {
		unit->signature = cp_get64(c);
		unit->type_offset = cp_get_sized(c, unit->sizes.offset);
	} else if (unit->type == DW_UT_skeleton || unit->type == DW_UT_split_compile) {
		cp_skip(c, 8);
	}
	if (c->failed || (unit->sizes.address != 4 && unit->sizes.address != 8))
		return cp_error_create(CP_ERROR_CORRUPT, "%s: %s: the unit at 0x%llx: address size %u, or its header is cut off",
			dwarf->image->path, s->name, (unsigned long long)offset, unit->sizes.address);
	unit->first = offset + (uint64_t)(c->at - bytes);
	return NULL;
}

static struct cp_error *read_units(struct cp_dwarf *dwarf, enum cp_dw_section section)
{
	const struct cp_dw_bytes *s = &dwarf->sections[section];
	uint64_t at = 0;

	while (at < s->size) {
		struct cp_dw_unit *units, unit;
		struct cp_error *error = read_header(dwarf, section, at, &unit);

		if (error)
			return error;
		at = unit.end;
		if (!unit.sizes.version)
			continue;
		units = cp_grow(dwarf->units, dwarf->unit_count, sizeof(*units));
		if (!units)
			return &cp_error_no_memory;
		dwarf->units = units;
		unit.number = dwarf->unit_count;
		units[dwarf->unit_count++] = unit;
	}
	return NULL;
}

/* One table for each offset, and for each kind of unit in case two kinds share one. */
static struct cp_error *make_tables(struct cp_dwarf *dwarf)
{
	size_t n = dwarf->unit_count;
	struct cp_keyed *keys = malloc((n ? n : 1) * sizeof(*keys));

	dwarf->tables = calloc(n ? n : 1, sizeof(*dwarf->tables));
	for (size_t i = 0; keys && i < n; i++) {
		const struct cp_dw_unit *u = &dwarf->units[i];

		keys[i] = (struct cp_keyed){ u->abbrev_offset << 8 | (u->sizes.version == 2) << 2 | (u->sizes.address == 8) << 1 |
			(u->sizes.offset == 8), i };
	}
	if (!keys || !dwarf->tables || !cp_radix_sort(keys, n)) {
		free(keys);
		return &cp_error_no_memory;
	}
	for (size_t i = 0; i < n; i++) {
		const struct cp_dw_unit *u = &dwarf->units[keys[i].index];

		if (!i || keys[i].key != keys[i - 1].key)
			dwarf->tables[dwarf->table_count++] = (struct cp_dw_table){ .offset = u->abbrev_offset, .sizes = u->sizes };
		dwarf->units[keys[i].index].table = &dwarf->tables[dwarf->table_count - 1];
	}
	free(keys);
	return NULL;
}

static struct cp_error *sort_types(struct cp_dwarf *dwarf)
{
	for (size_t i = 0; i < dwarf->unit_count; i++) {
		struct cp_keyed *types;

		if (dwarf->units[i].type != DW_UT_type)
			continue;
		types = cp_grow(dwarf->types, dwarf->type_count, sizeof(*types));
		if (!types)
			return &cp_error_no_memory;
		dwarf->types = types;
		types[dwarf->type_count++] = (struct cp_keyed){ dwarf->units[i].signature, i };
	}
	return cp_radix_sort(dwarf->types, dwarf->type_count) ? NULL : &cp_error_no_memory;
}

static bool has_code_at_zero(const struct cp_image *image)
{
	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];

		if ((s->flags & (SHF_ALLOC | SHF_EXECINSTR)) == (SHF_ALLOC | SHF_EXECINSTR) && !s->address && s->size)
			return true;
	}
	return false;
}

bool cp_dwarf_is_tombstone(const struct cp_dwarf *dwarf, uint64_t address, unsigned int size)
{
	uint64_t most = size == 4 ? UINT32_MAX : UINT64_MAX;

	return address ? address >= most - 1 : !dwarf->code_at_zero;
}

struct cp_error *cp_dwarf_open(const struct cp_image *image, struct cp_dwarf **ret)
{
	struct cp_dwarf *dwarf = calloc(1, sizeof(*dwarf));
	struct cp_error *error;

	if (!dwarf)
		return &cp_error_no_memory;
	dwarf->image = image;
	dwarf->code_at_zero = has_code_at_zero(image);
	for (int i = 0; i < CP_DW_LOCKS; i++) {
		pthread_mutex_init(&dwarf->locks[i], NULL);
		cp_arena_init(&dwarf->arenas[i]);
	}
	error = load_sections(dwarf);
	if (!error)
		error = read_units(dwarf, CP_DW_INFO);
	dwarf->info_count = dwarf->unit_count;
	if (!error)
		error = read_units(dwarf, CP_DW_TYPES);
	if (!error)
		error = make_tables(dwarf);
	if (!error)
		error = sort_types(dwarf);
	if (error) {
		cp_dwarf_close(dwarf);
		return error;
	}
	cp_dwarf_begin(dwarf);
	*ret = dwarf;
	return NULL;
}

void cp_dwarf_close(struct cp_dwarf *dwarf)
{
	if (!dwarf)
		return;
	for (int i = 0; i < CP_DW_SECTIONS; i++)
		free(dwarf->sections[i].owned);
	for (int i = 0; i < CP_DW_LOCKS; i++) {
		pthread_mutex_destroy(&dwarf->locks[i]);
		cp_arena_deinit(&dwarf->arenas[i]);
	}
	for (size_t i = 0; i < dwarf->table_count; i++)
		cp_abbrevs_deinit(&dwarf->tables[i].abbrevs);
	free(dwarf->units);
	free(dwarf->tables);
	free(dwarf->types);
	free(dwarf);
}

void cp_dwarf_begin(struct cp_dwarf *dwarf)
{
	uint64_t size = 0;

	for (int i = 0; i < CP_DW_SECTIONS; i++)
		size += dwarf->sections[i].size;
	__atomic_store_n(&dwarf->budget, (int64_t)(size * BUDGET_FACTOR + BUDGET_LEAST), __ATOMIC_RELAXED);
	__atomic_store_n(&dwarf->lacked_memory, false, __ATOMIC_RELAXED);
}

struct cp_error *cp_dwarf_end(const struct cp_dwarf *dwarf)
{
	if (__atomic_load_n(&dwarf->lacked_memory, __ATOMIC_RELAXED))
		return &cp_error_no_memory;
	return __atomic_load_n(&dwarf->budget, __ATOMIC_RELAXED) < 0 ? cp_dwarf_overspent(dwarf) : NULL;
}

bool cp_dwarf_charge(struct cp_dwarf *dwarf, uint64_t bytes)
{
	return __atomic_sub_fetch(&dwarf->budget, (int64_t)bytes, __ATOMIC_RELAXED) >= 0;
}

const char *cp_dwarf_shared(struct cp_dwarf *dwarf, const char *text)
{
	if (!text || strnlen(text, CP_LONG_TEXT) < CP_LONG_TEXT)
		return text;
	return cp_dwarf_charge(dwarf, strlen(text)) ? text : NULL;
}

void cp_dwarf_long_texts(const struct cp_dwarf *dwarf, struct cp_long_texts *ret)
{
	static const enum cp_dw_section sections[] = { CP_DW_STR, CP_DW_LINE_STR };

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		const struct cp_dw_bytes *s = &dwarf->sections[sections[i]];

		if (s->bytes)
			cp_long_texts_add(ret, (const char *)s->bytes, s->terminated, CP_LONG_TEXT);
	}
}

struct cp_error *cp_dwarf_overspent(const struct cp_dwarf *dwarf)
{
	return cp_error_create(CP_ERROR_CORRUPT, "%s: its DWARF has tables, lists or names that so many units or DIEs share "
		"that reading them would never end: no compiler makes that", dwarf->image->path);
}

struct cp_dw_unit *cp_dwarf_type_unit(const struct cp_dwarf *dwarf, uint64_t signature)
{
	size_t at = cp_keyed_lower(dwarf->types, dwarf->type_count, signature);

	return at < dwarf->type_count && dwarf->types[at].key == signature ? &dwarf->units[dwarf->types[at].index] : NULL;
}

struct cp_dw_unit *cp_dwarf_unit_at(const struct cp_dwarf *dwarf, uint64_t offset)
{
	size_t low = 0, high = dwarf->info_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (dwarf->units[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low && offset < dwarf->units[low - 1].end ? &dwarf->units[low - 1] : NULL;
}
