/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses to names and lines. */
#include <dwarf.h>
#include <stdlib.h>

#include "answer/functions.h"
#include "answer/lines.h"
#include "base/record.h"

static struct cp_error *by_symbol(struct cp_program *program, uint64_t address, struct cp_records *records)
{
	struct cp_record *record = cp_records_add(records, CP_KIND_FUNCTION, address);
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, address, true);
	struct cp_details *details;

	if (!record)
		return &cp_error_no_memory;
	if (!symbol) {
		symbol = cp_symbols_at(&program->symbols, address, false);
		record->kind = symbol ? CP_KIND_OBJECT : CP_KIND_LABEL;
	}
	if (!symbol)
		return NULL;
	details = cp_record_details(records, record);
	if (!details)
		return &cp_error_no_memory;
	record->name = symbol->name;
	record->has_size = details->has_offset = true;
	record->size = symbol->size;
	details->offset = address - symbol->address;
	return NULL;
}

/* What is inlined at the address, innermost first. */
static struct cp_error *add_inlines(struct cp_program *program, const struct cp_scopes *scopes,
	struct cp_records *records, struct cp_record *record)
{
	struct cp_details *details = cp_record_details(records, record);
	size_t n = scopes->inlined_count;

	if (details)
		details->inlines = cp_arena_alloc(&records->arena, (n + 1) * sizeof(*details->inlines));
	if (!details || !details->inlines)
		return &cp_error_no_memory;
	for (size_t i = n; i-- > 0;) {
		struct cp_inline *copy = &details->inlines[details->inline_count];
		const struct cp_die *die = &scopes->inlined[i];
		struct cp_dw_attr attr;
		struct cp_error *error;
		uint64_t number;

		copy->name = cp_function_name(die);
		if (!copy->name)
			continue;
		details->inline_count++;
		if (cp_die_attr(die, DW_AT_call_file, &attr)) {
			error = cp_path_of_attr(&program->paths, &attr, &copy->call_file);
			if (error)
				return error;
		}
		if (cp_die_attr(die, DW_AT_call_line, &attr) && cp_attr_number(&attr, &number))
			copy->call_line = (unsigned int)number;
	}
	return NULL;
}

/* What DWARF alone knows: inlined copies, and functions of kernels without symbols. */
static struct cp_error *by_dwarf(struct cp_program *program, bool inlines, struct cp_records *records,
	struct cp_record *record)
{
	struct cp_scopes scopes;
	struct cp_error *error;
	bool found;

	error = cp_scopes_at(&program->addresses, record->address, &scopes, &found);
	if (error || !found)
		return error;
	if (!record->name) {
		record->kind = CP_KIND_FUNCTION;
		record->name = cp_function_name(&scopes.function);
	}
	return inlines ? add_inlines(program, &scopes, records, record) : NULL;
}

static struct cp_error *symbolize(struct cp_program *program, const uint64_t *addresses, size_t count, bool inlines,
	struct cp_records *records)
{
	struct cp_error *error = cp_program_need_all(program);
	struct cp_line *lines = malloc((count ? count : 1) * sizeof(*lines));
	size_t first = records->count;

	if (!error && !lines)
		error = &cp_error_no_memory;
	if (!error && !program->symbols.count)
		cp_program_note_symbols(program);
	if (!error && !program->dwarf && count && !records->count)
		cp_program_note(program, "%s: no DWARF%s%s: files and lines are missing", program->image->path,
			program->debug_why ? ": " : "", program->debug_why ? program->debug_why : "");
	for (size_t i = 0; i < count && !error; i++) {
		lines[i].address = addresses[i];
		error = by_symbol(program, addresses[i], records);
	}
	if (!error)
		error = cp_lines_fill(program, lines, count);
	for (size_t i = 0; i < count && !error; i++) {
		struct cp_record *record = &records->items[first + i];

		if (record->kind == CP_KIND_OBJECT)
			continue;
		record->file = lines[i].file;
		record->line = lines[i].line;
		/* A whole symbol table that names nothing there: padding. */
		if (program->dwarf && (inlines || (!record->name && record->file && !program->symbols.local_functions)))
			error = by_dwarf(program, inlines, records, record);
		if (!record->name && record->file)
			record->kind = CP_KIND_LINE;	/* padding behind a function, say */
	}
	free(lines);
	return error;
}

struct cp_error *cp_symbolize(struct cp_program *program, const uint64_t *addresses, size_t count, bool inlines,
	struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, symbolize(program, addresses, count, inlines, records));
}
