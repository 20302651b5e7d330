/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses to names and lines. */
#include "answer/functions.h"
#include "answer/lines.h"
#include "base/record.h"
#include "program.h"

static struct cp_error *answer(struct cp_program *program, uint64_t address, struct cp_records *records)
{
	struct cp_record *record = cp_records_add(records, CP_KIND_FUNCTION, address);
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, address, true);
	struct cp_error *error;
	const char *inner;

	if (!record)
		return &cp_error_no_memory;
	if (!symbol) {
		symbol = cp_symbols_at(&program->symbols, address, false);
		record->kind = symbol ? CP_KIND_OBJECT : CP_KIND_LABEL;
	}
	if (symbol) {
		struct cp_details *details = cp_record_details(records, record);

		if (!details)
			return &cp_error_no_memory;
		record->name = symbol->name;
		record->has_size = details->has_offset = true;
		record->size = symbol->size;
		details->offset = address - symbol->address;
	}
	if (record->kind == CP_KIND_OBJECT)
		return NULL;
	error = cp_line_at(program, address, &record->file, &record->line);
	if (error || symbol || !record->file)
		return error;
	record->kind = CP_KIND_FUNCTION;
	return cp_inline_chain(program, address, NULL, 0, &inner, &record->name, NULL);
}

struct cp_error *cp_symbolize(struct cp_program *program, const uint64_t *addresses, size_t count, bool inlines,
	struct cp_records *records)
{
	struct cp_error *error = cp_program_need_symbols(program);

	(void)inlines;
	if (!error && !program->symbols.count)
		cp_program_note_symbols(program);
	for (size_t i = 0; i < count && !error; i++)
		error = answer(program, addresses[i], records);
	return error;
}
