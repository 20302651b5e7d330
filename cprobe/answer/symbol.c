/* SPDX-License-Identifier: BSD-2-Clause */
/* Every place of a name in the symbol table, with what DWARF knows of it. */
#include <elf.h>
#include <string.h>

#include "answer/functions.h"
#include "answer/place.h"
#include "answer/variables.h"
#include "base/glob.h"
#include "base/record.h"

static struct cp_error *add(struct cp_program *program, const struct cp_symbol *symbol, struct cp_records *records)
{
	const struct cp_symbols *symbols = &program->symbols;
	enum cp_kind kind = symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC ? CP_KIND_FUNCTION :
		cp_symbol_is_object(symbol) ? CP_KIND_OBJECT : CP_KIND_LABEL;
	struct cp_record *record = cp_records_add(records, kind, symbol->address);
	struct cp_details *details = record ? cp_record_details(records, record) : NULL;

	if (!details)
		return &cp_error_no_memory;
	record->name = symbol->name;
	record->has_size = true;
	record->size = symbol->size;
	details->section = cp_symbol_section(symbols, symbol);
	if (kind == CP_KIND_OBJECT)
		return cp_variable_details(program, records, record);
	if (cp_symbol_is_code(symbols, symbol))
		return cp_function_details(program, records, record);
	return NULL;
}

static struct cp_error *find_symbol(struct cp_program *program, const char *glob, struct cp_records *records)
{
	struct cp_error *error = cp_program_need_symbols(program);
	bool literal = cp_glob_is_literal(glob);
	size_t overlong = 0;

	if (error)
		return error;
	if (!program->symbols.count)
		return cp_error_create(CP_ERROR_NO_DEBUG, "%s: no symbol table: give the unstripped kernel, or install its debug "
			"file%s%s", program->image->path, program->debug_why ? ": " : "",
			program->debug_why ? program->debug_why : "");
	if (program->symbols.is_dynsym)
		cp_program_note_symbols(program);
	for (size_t i = 0; i < program->symbols.count && !error; i++) {
		const struct cp_symbol *symbol = &program->symbols.items[i];

		if (!literal && cp_symbol_is_overlong(&program->symbols, symbol))
			overlong++;
		else if (literal ? !strcmp(glob, symbol->name) : cp_glob_name(glob, symbol->name))
			error = add(program, symbol, records);
	}
	cp_program_note_overlong(program, overlong);
	return error;
}

struct cp_error *cp_find_symbol(struct cp_program *program, const char *glob, struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, find_symbol(program, glob, records));
}
