/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe list: the functions defined in files, or named, with their inlined copies. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "glob.h"
#include "verb.h"

static struct cp_error *from_units(struct cp_program *program, struct cp_units *units,
	const struct cp_function_filter *filter, struct cp_records *records)
{
	struct cp_error *error = NULL;
	struct cp_unit **wanted;
	size_t count;

	if (!filter->file_count) {
		for (size_t i = 0; i < units->count && !error; i++)
			error = cp_functions_of_unit(program, &units->items[i], filter, records);
		return error;
	}
	error = cp_units_for_files(units, filter->files, filter->file_count, &wanted, &count);
	if (error)
		return error;
	for (size_t i = 0; i < count && !error; i++)
		error = cp_functions_of_unit(program, wanted[i], filter, records);
	free(wanted);
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
static struct cp_error *from_symbols(struct cp_program *program, const struct cp_function_filter *filter, bool details,
	struct cp_records *records)
{
	size_t sorted;

	cp_records_sort(records);
	sorted = records->count;
	for (size_t i = 0; i < program->symbols.count; i++) {
		const struct cp_symbol *symbol = &program->symbols.items[i];
		struct cp_record *record;

		if (!cp_symbol_is_code(&program->symbols, symbol) ||
			(symbol->type != STT_FUNC && symbol->type != STT_GNU_IFUNC && !filter->name_count) ||
			!cp_globs_name(filter->names, filter->name_count, symbol->name) || known(records, sorted, symbol))
			continue;
		record = cp_records_add(records, CP_KIND_FUNCTION, symbol->address);
		if (!record)
			return &cp_error_no_memory;
		record->name = symbol->name;
		record->section = cp_symbol_section(&program->symbols, symbol);
		record->has_size = true;
		record->size = symbol->size;
		if (details) {
			struct cp_error *error = cp_function_details(program, &records->arena, record);

			if (error)
				return error;
		}
	}
	return NULL;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	const struct cp_function_filter filter = {
		.files = options->files.items, .file_count = options->files.count,
		.names = options->functions.items, .name_count = options->functions.count,
		.inlined = options->inlined,
	};
	bool symbols_only = filter.inlined == CP_INLINED_EXCLUDE && !filter.file_count;
	struct cp_units *units;
	struct cp_error *error = cp_program_check_machine(program);

	(void)status;
	if (!error)
		error = cp_program_need_symbols(program);
	if (!error)
		error = cp_program_units(program, &units);
	if (error)
		return error;
	if (!units && (filter.file_count || filter.inlined == CP_INLINED_ONLY))
		return cp_program_no_dwarf(program);
	if (units && !(symbols_only && program->symbols.count && !program->symbols.is_dynsym)) {
		error = from_units(program, units, &filter, records);
		if (error)
			return error;
	}
	if (filter.file_count || filter.inlined == CP_INLINED_ONLY)
		return NULL;
	if (!units)
		cp_note("%s: no DWARF%s%s: files, lines, arguments and inlined copies are missing", program->image->path,
			program->debug_why ? ": " : "", program->debug_why ? program->debug_why : "");
	cp_note_missing_symbols(program);
	return from_symbols(program, &filter, units != NULL, records);
}

const struct cp_verb cp_verb_list = {
	.name = "list", .usage = "KERNEL [--file GLOB]... [--func GLOB]... [--inlined include|exclude|only]",
	.takes = CP_TAKES_FILE | CP_TAKES_FUNC | CP_TAKES_INLINED, .run = run,
	.help = "The functions defined in files that a glob matches, or named so: every place of each, with the inlined\n"
		"copies and the function around them. --file globs match a path's tail: pvclock.c matches sys/x86/x86/pvclock.c.",
};
