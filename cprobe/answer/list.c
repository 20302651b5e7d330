/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions defined in files, or named, with their inlined copies: DWARF's, and those that only symbols name. */
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/functions.h"
#include "answer/lines.h"
#include "answer/place.h"
#include "base/glob.h"
#include "base/radix.h"
#include "base/record.h"
#include "dwarf/by_file.h"
#include "dwarf/ranges.h"

/* The units that may hold what is wanted. *ret is malloc'ed. */
static struct cp_error *choose_units(struct cp_dwarf *dwarf, const struct cp_where *where, struct cp_dw_unit ***ret,
	size_t *count)
{
	if (where->files.count)
		return cp_units_of_files(dwarf, &where->files, ret, count);
	*count = dwarf->info_count;
	*ret = malloc((*count ? *count : 1) * sizeof(**ret));
	if (!*ret)
		return &cp_error_no_memory;
	for (size_t i = 0; i < *count; i++)
		(*ret)[i] = &dwarf->units[i];
	return NULL;
}

#define MAX_TWINS 256	/* records of one address that are looked at */

/* Few units have few functions: with so many, all symbols are as quickly read. */
#define FEW_UNITS 64

/* What the units cover. *known false: one of them does not say it, or they are not few. */
static struct cp_error *cover_of_units(struct cp_dw_unit *const *units, size_t count, struct cp_cover *ret, bool *known)
{
	struct cp_span *spans = NULL;
	struct cp_error *error = NULL;
	size_t span_count = 0;

	*known = count && count <= FEW_UNITS;
	for (size_t i = 0; i < count && *known && !error; i++) {
		struct cp_ranges ranges;
		uint64_t low, high;

		error = cp_unit_root(units[i]);
		*known = !error && cp_ranges_begin(&units[i]->extent, &ranges);
		while (*known && !error && cp_ranges_next(&ranges, &low, &high)) {
			struct cp_span *grown = cp_grow(spans, span_count, sizeof(*spans));

			if (!grown) {
				error = &cp_error_no_memory;
				break;
			}
			spans = grown;
			spans[span_count++] = (struct cp_span){ low, high - 1, 0 };
		}
	}
	*known &= span_count != 0;
	if (!error && *known && !cp_cover_init(spans, span_count, ret))
		error = &cp_error_no_memory;
	free(spans);
	return error;
}

/* The concrete functions among the records, by address. *ret is malloc'ed. */
static struct cp_error *functions_by_address(const struct cp_records *records, struct cp_keyed **ret, size_t *count)
{
	struct cp_keyed *keys;

	*count = 0;
	for (size_t i = 0; i < records->count; i++)
		*count += records->items[i].kind == CP_KIND_FUNCTION;
	keys = malloc((*count + 1) * sizeof(*keys));
	if (!keys)
		return &cp_error_no_memory;
	*count = 0;
	for (size_t i = 0; i < records->count; i++) {
		if (records->items[i].kind == CP_KIND_FUNCTION)
			keys[(*count)++] = (struct cp_keyed){ records->items[i].address, i };
	}
	if (!cp_radix_sort(keys, *count)) {
		free(keys);
		return &cp_error_no_memory;
	}
	*ret = keys;
	return NULL;
}

/* C++'s and Rust's names of functions that DWARF has by the name in the source. */
static bool is_mangled(const char *name)
{
	return name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

/*
 * Is there a function record of that name at the address? `at` is the first key there. Else *twin is the index of one at
 * the address with a place, or SIZE_MAX.
 */
static bool known(const struct cp_records *records, const struct cp_keyed *keys, size_t count, size_t at,
	const struct cp_symbol *symbol, size_t *twin)
{
	*twin = SIZE_MAX;
	for (size_t most = at + MAX_TWINS; at < count && at < most && keys[at].key == symbol->address; at++) {
		const struct cp_record *record = &records->items[keys[at].index];

		if (record->name == symbol->name || !strcmp(record->name, symbol->name) || is_mangled(symbol->name))
			return true;
		if (record->file)
			*twin = keys[at].index;
	}
	return false;
}

/*
 * Assembly calls much of its code by symbols without type: those with a size, and those that others may call. Marks of the
 * linker lie behind the code.
 */
static bool is_assembly_function(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	const struct cp_section *section;

	if (symbol->type != STT_NOTYPE || !cp_symbol_is_code(symbols, symbol) || (!symbol->size && symbol->bind == STB_LOCAL))
		return symbol->type == STT_FUNC;
	section = cp_image_section_at(symbols->image, symbol->address);
	return section && (section->flags & SHF_EXECINSTR);
}

/* Assembly's functions may be in the symbol table alone: those that a unit covers. */
static struct cp_error *add_assembly(const struct cp_symbols *symbols, struct cp_dw_unit *unit,
	const struct cp_globs *names, const struct cp_keyed *keys, size_t count, struct cp_records *records)
{
	struct cp_ranges ranges;
	uint64_t low, high;

	if (!cp_unit_is_assembly(unit) || !cp_ranges_begin(&unit->extent, &ranges))
		return NULL;
	while (cp_ranges_next(&ranges, &low, &high)) {
		for (size_t i = cp_symbols_lower(symbols, low); i < symbols->count; i++) {
			const struct cp_symbol *symbol = symbols->by_address[i];
			struct cp_record *record;
			size_t twin;

			if (symbol->address >= high)
				break;
			if (!is_assembly_function(symbols, symbol) || !cp_globs_name(names->items, names->count, symbol->name) ||
				known(records, keys, count, cp_keyed_lower(keys, count, symbol->address), symbol, &twin))
				continue;
			record = cp_records_add(records, CP_KIND_FUNCTION, symbol->address);
			if (!record)
				return &cp_error_no_memory;
			record->name = symbol->name;
			record->has_size = true;
			record->size = symbol->size;
		}
	}
	return NULL;
}

static struct cp_error *add_all_assembly(struct cp_program *program, const struct cp_symbols *symbols,
	struct cp_dw_unit *const *units, size_t unit_count, const struct cp_globs *names, struct cp_records *records)
{
	size_t count, first = records->count;
	struct cp_keyed *keys;
	struct cp_error *error = functions_by_address(records, &keys, &count);

	if (error)
		return error;
	for (size_t i = 0; i < unit_count && !error; i++)
		error = add_assembly(symbols, units[i], names, keys, count, records);
	for (size_t i = first; i < records->count && !error; i++)
		error = cp_place_section(program, records, &records->items[i]);
	free(keys);
	return error;
}

/*
 * Functions whose debug data does not say where they are declared, or that have none (assembly, C++'s lambdas): where
 * their code begins. Those that are then in no wanted file are dropped.
 */
static struct cp_error *place_by_lines(struct cp_program *program, const struct cp_globs *files,
	struct cp_records *records)
{
	struct cp_line *lines;
	struct cp_error *error;
	size_t count = 0, next = 0, kept = 0;

	for (size_t i = 0; i < records->count; i++)
		count += !records->items[i].file;
	if (!count)
		return NULL;
	lines = malloc(count * sizeof(*lines));
	if (!lines)
		return &cp_error_no_memory;
	for (size_t i = 0; i < records->count; i++) {
		if (!records->items[i].file)
			lines[next++].address = records->items[i].address;
	}
	error = cp_lines_fill(program, lines, count);
	next = 0;
	for (size_t i = 0; i < records->count && !error; i++) {
		struct cp_record *record = &records->items[i];

		if (!record->file) {
			record->file = lines[next].file;
			record->line = lines[next++].line;
			if (files->count && !(record->file && cp_globs_path(files->items, files->count, record->file)))
				continue;
		}
		records->items[kept++] = *record;
	}
	free(lines);
	if (!error)
		records->count = kept;
	return error;
}

static struct cp_error *from_units(struct cp_program *program, const struct cp_where *where, enum cp_inlined inlined,
	struct cp_records *records)
{
	const struct cp_symbols *symbols = &program->symbols;
	struct cp_symbols own = { .items = NULL };
	struct cp_dw_unit **units;
	struct cp_cover cover;
	struct cp_error *error;
	bool known = false;
	size_t count;

	error = choose_units(program->dwarf, where, &units, &count);
	if (error)
		return error;
	error = cover_of_units(units, count, &cover, &known);
	if (!error && known) {
		error = cp_program_symbols_within(program, &cover, &own);
		cp_cover_deinit(&cover);
		symbols = &own;
	} else if (!error && count) {
		error = cp_program_need_symbols(program);
	}
	if (!error)
		error = cp_functions_of_units(program, units, count, symbols, where, inlined, records);
	if (!error && where->files.count && inlined != CP_INLINED_ONLY)
		error = add_all_assembly(program, symbols, units, count, &where->functions, records);
	cp_symbols_deinit(&own);
	free(units);
	return error;
}

/*
 * Functions and aliases that the symbol table alone names: assembly, clones, everything without DWARF. `walked`: DWARF's
 * functions of those names are among the records; of all names, it has nothing to say of others but where their lines are.
 */
static struct cp_error *from_symbols(struct cp_program *program, const struct cp_symbols *symbols,
	const struct cp_globs *names, bool walked, struct cp_records *records)
{
	bool untyped = !symbols->functions;	/* NASM, for one, gives no types */
	bool has_details = records->amount == CP_FULL || (records->amount == CP_BRIEF && !(walked && !names->count));
	size_t overlong = 0, at = 0, count;
	struct cp_keyed *keys;
	struct cp_error *error = functions_by_address(records, &keys, &count);

	if (error)
		return error;
	for (size_t i = 0; i < symbols->count && !error; i++) {
		const struct cp_symbol *symbol = symbols->by_address[i];
		struct cp_record *record;
		size_t twin;

		while (at < count && keys[at].key < symbol->address)
			at++;
		if (cp_symbol_is_overlong(symbols, symbol)) {
			overlong++;
			continue;
		}
		if (!cp_symbol_is_code(symbols, symbol) ||
			(symbol->type != STT_FUNC && symbol->type != STT_GNU_IFUNC && !names->count &&
			!(untyped && is_assembly_function(symbols, symbol))) ||
			!cp_globs_name(names->items, names->count, symbol->name) || known(records, keys, count, at, symbol, &twin))
			continue;
		record = cp_records_add(records, CP_KIND_FUNCTION, symbol->address);
		if (!record) {
			error = &cp_error_no_memory;
			break;
		}
		record->name = symbol->name;
		record->has_size = true;
		record->size = symbol->size;
		if (twin != SIZE_MAX && records->amount != CP_FULL) {	/* an alias of what the unit was read for already */
			record->file = records->items[twin].file;
			record->line = records->items[twin].line;
			continue;
		}
		error = cp_place_section(program, records, record);
		if (!error && has_details)
			error = cp_function_details(program, records, record);
	}
	cp_program_note_overlong(program, overlong);
	free(keys);
	return error;
}

/* Is some unit in a language whose functions have other names in the symbol table than in the source? */
static struct cp_error *has_mangled_names(struct cp_dwarf *dwarf, bool *ret)
{
	struct cp_error *error = NULL;

	*ret = false;
	for (size_t i = 0; i < dwarf->info_count && !error && !*ret; i++) {
		error = cp_unit_root(&dwarf->units[i]);
		*ret = !error && dwarf->units[i].tag == DW_TAG_compile_unit && !cp_unit_is_c(&dwarf->units[i]);
	}
	return error;
}

/* The code symbols of those names, in a table of their own: few, and so soon sorted. Overlong ones stay, to be counted. */
static struct cp_error *choose_symbols(const struct cp_symbols *all, const struct cp_globs *names, struct cp_symbols *ret)
{
	*ret = (struct cp_symbols){ .image = all->image, .overlong = all->overlong, .functions = all->functions };
	for (size_t i = 0; i < all->count; i++) {
		const struct cp_symbol *symbol = &all->items[i];
		struct cp_symbol *grown;

		if (!cp_symbol_is_overlong(all, symbol) && (!cp_symbol_is_code(all, symbol) ||
			!cp_globs_name(names->items, names->count, symbol->name)))
			continue;
		grown = cp_grow(ret->items, ret->count, sizeof(*grown));
		if (!grown)
			return &cp_error_no_memory;
		ret->items = grown;
		ret->items[ret->count++] = *symbol;
	}
	return cp_symbols_sort(ret);
}

static struct cp_error *list_chosen(struct cp_program *program, const struct cp_globs *names, struct cp_records *records)
{
	struct cp_symbols chosen;
	struct cp_error *error = choose_symbols(&program->symbols, names, &chosen);

	if (!error)
		error = from_symbols(program, &chosen, names, true, records);
	cp_symbols_deinit(&chosen);
	return error;
}

/* .symtab has every function of C and assembly by its name. *done false: DWARF is to be asked. */
static struct cp_error *list_names(struct cp_program *program, const struct cp_globs *names, struct cp_records *records,
	bool *done)
{
	const struct cp_symbols *symbols = &program->symbols;
	struct cp_error *error = cp_program_read_symbols(program);

	*done = !error && symbols->count && !symbols->is_dynsym;
	for (size_t i = 0; *done && i < symbols->count; i++)
		*done = !is_mangled(symbols->items[i].name);
	if (error || !*done)
		return error;
	if (names->count && !symbols->by_address)
		return list_chosen(program, names, records);
	error = cp_program_need_symbols(program);
	return error ? error : from_symbols(program, symbols, names, true, records);
}

static struct cp_error *list(struct cp_program *program, const struct cp_where *where, enum cp_inlined inlined,
	struct cp_records *records)
{
	bool by_file = where->files.count || inlined == CP_INLINED_ONLY;	/* symbols know neither files nor copies */
	bool walked;
	struct cp_error *error = cp_program_check_machine(program);

	if (!error && records->amount == CP_NAMES && !by_file && inlined == CP_INLINED_EXCLUDE) {
		error = list_names(program, &where->functions, records, &walked);
		if (error || walked)
			return error;
	}
	if (!error)
		error = by_file ? cp_program_need_dwarf(program) : cp_program_need_all(program);
	if (error)
		return error;
	if (!program->dwarf && by_file)
		return cp_program_no_dwarf(program);
	/* .symtab has every function, and of C by its name: without copies, DWARF is asked for the places of those found alone. */
	walked = program->dwarf && (by_file || inlined != CP_INLINED_EXCLUDE || !program->symbols.count ||
		program->symbols.is_dynsym);
	if (program->dwarf && !walked)
		error = has_mangled_names(program->dwarf, &walked);
	if (error)
		return error;
	if (walked) {
		error = from_units(program, where, inlined, records);
		if (error)
			return error;
	}
	if (by_file)
		return place_by_lines(program, &where->files, records);
	if (!program->dwarf)
		cp_program_note(program, "%s: no DWARF%s%s: files, lines, arguments and inlined copies are missing",
			program->image->path, program->debug_why ? ": " : "", program->debug_why ? program->debug_why : "");
	cp_program_note_symbols(program);
	error = from_symbols(program, &program->symbols, &where->functions, walked, records);
	return error ? error : place_by_lines(program, &where->files, records);
}

struct cp_error *cp_list(struct cp_program *program, const struct cp_where *where, enum cp_inlined inlined,
	struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, list(program, where, inlined, records));
}
