/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions defined in files, or named, with their inlined copies: DWARF's, and those that only symbols name. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/functions.h"
#include "answer/place.h"
#include "base/glob.h"
#include "base/record.h"
#include "dwarf/by_file.h"

static struct cp_error *from_units(struct cp_program *program, const struct cp_where *where, enum cp_inlined inlined,
	struct cp_records *records)
{
	struct cp_dwarf *dwarf = program->dwarf;
	struct cp_dw_unit **units;
	struct cp_error *error;
	size_t count;

	if (where->files.count) {
		error = cp_units_of_files(dwarf, &where->files, &units, &count);
	} else {
		count = dwarf->info_count;
		units = malloc((count ? count : 1) * sizeof(*units));
		error = units ? NULL : &cp_error_no_memory;
		for (size_t i = 0; units && i < count; i++)
			units[i] = &dwarf->units[i];
	}
	if (error)
		return error;
	error = cp_functions_of_units(program, units, count, &program->symbols, where, inlined, records);
	free(units);
	return error;
}

static int by_address(const void *left, const void *right)
{
	const struct cp_record *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

/* Is there a function record of that name at the address among the first `count`, which are sorted? */
static bool known(const struct cp_records *records, size_t count, const struct cp_symbol *symbol)
{
	struct cp_record key = { .address = symbol->address };
	const struct cp_record *at = count ? bsearch(&key, records->items, count, sizeof(key), by_address) : NULL;

	if (!at)
		return false;
	while (at > records->items && at[-1].address == symbol->address)
		at--;
	for (; at < records->items + count && at->address == symbol->address; at++) {
		if (at->kind == CP_KIND_FUNCTION && !strcmp(at->name, symbol->name))
			return true;
	}
	return false;
}

/* Functions and aliases that the symbol table alone names: assembly, clones, everything without DWARF. */
static struct cp_error *from_symbols(struct cp_program *program, const struct cp_globs *names,
	struct cp_records *records)
{
	struct cp_error *error = cp_records_sort(records);
	size_t sorted = records->count;

	for (size_t i = 0; i < program->symbols.count && !error; i++) {
		const struct cp_symbol *symbol = &program->symbols.items[i];
		struct cp_record *record;

		if (!cp_symbol_is_code(&program->symbols, symbol) ||
			(symbol->type != STT_FUNC && symbol->type != STT_GNU_IFUNC && !names->count) ||
			!cp_globs_name(names->items, names->count, symbol->name) || known(records, sorted, symbol))
			continue;
		record = cp_records_add(records, CP_KIND_FUNCTION, symbol->address);
		if (!record)
			return &cp_error_no_memory;
		record->name = symbol->name;
		record->has_size = true;
		record->size = symbol->size;
		error = cp_place_section(program, records, record);
		if (!error)
			error = cp_function_details(program, records, record);
	}
	return error;
}

struct cp_error *cp_list(struct cp_program *program, const struct cp_where *where, enum cp_inlined inlined,
	struct cp_records *records)
{
	bool symbols_only = inlined == CP_INLINED_EXCLUDE && !where->files.count;
	struct cp_error *error = cp_program_check_machine(program);

	if (!error)
		error = cp_program_need_symbols(program);
	if (!error)
		error = cp_program_need_dwarf(program);
	if (error)
		return error;
	if (!program->dwarf && (where->files.count || inlined == CP_INLINED_ONLY))
		return cp_program_no_dwarf(program);
	if (program->dwarf && !(symbols_only && program->symbols.count && !program->symbols.is_dynsym)) {
		error = from_units(program, where, inlined, records);
		if (error)
			return error;
	}
	if (where->files.count || inlined == CP_INLINED_ONLY)
		return NULL;
	if (!program->dwarf)
		cp_program_note(program, "%s: no DWARF%s%s: files, lines, arguments and inlined copies are missing",
			program->image->path, program->debug_why ? ": " : "", program->debug_why ? program->debug_why : "");
	cp_program_note_symbols(program);
	return from_symbols(program, &where->functions, records);
}
