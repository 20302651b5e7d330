/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe symbol: every place of a name in the symbol table, with what DWARF knows of it. */
#include <elf.h>
#include <string.h>

#include "glob.h"
#include "variables.h"
#include "verb.h"

static struct cp_error *add(struct cp_program *program, const struct cp_symbol *symbol, struct cp_records *records)
{
	const struct cp_symbols *symbols = &program->symbols;
	enum cp_kind kind = symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC ? CP_KIND_FUNCTION :
		cp_symbol_is_object(symbol) ? CP_KIND_OBJECT : CP_KIND_LABEL;
	struct cp_record *record = cp_records_add(records, kind, symbol->address);

	if (!record)
		return &cp_error_no_memory;
	record->name = symbol->name;
	record->has_size = true;
	record->size = symbol->size;
	record->section = cp_symbol_section(symbols, symbol);
	if (kind == CP_KIND_OBJECT)
		return cp_variable_details(program, &records->arena, record);
	if (cp_symbol_is_code(symbols, symbol))
		return cp_function_details(program, &records->arena, record);
	return NULL;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_error *error = cp_program_need_symbols(program);

	(void)status;
	if (error)
		return error;
	if (!program->symbols.count)
		return cp_error_create(CP_ERROR_NO_DEBUG, "%s: no symbol table: give the unstripped kernel, or install its debug "
			"file%s%s", program->image->path, program->debug_why ? ": " : "",
			program->debug_why ? program->debug_why : "");
	if (program->symbols.is_dynsym)
		cp_note_missing_symbols(program);
	for (int a = 0; a < options->arg_count; a++) {
		const char *glob = options->args[a];
		bool literal = cp_glob_is_literal(glob);
		size_t before = records->count;

		for (size_t i = 0; i < program->symbols.count; i++) {
			const struct cp_symbol *symbol = &program->symbols.items[i];

			if (literal ? strcmp(glob, symbol->name) : !cp_glob_name(glob, symbol->name))
				continue;
			error = add(program, symbol, records);
			if (error)
				return error;
		}
		if (records->count == before)
			cp_note("%s: no symbol %s", program->image->path, glob);
	}
	return NULL;
}

const struct cp_verb cp_verb_symbol = {
	.name = "symbol", .usage = "KERNEL NAME...", .min_args = 1, .max_args = -1, .run = run,
	.help = "Address, size, type and section of functions and variables: all places of each name (globs allowed).",
};
