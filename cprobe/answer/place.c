/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "answer/functions.h"
#include "answer/lines.h"
#include "answer/place.h"
#include "base/glob.h"
#include "base/record.h"

struct cp_error *cp_place_section(const struct cp_program *program, struct cp_records *records,
	struct cp_record *record)
{
	const struct cp_section *section;
	struct cp_details *details;

	if (records->amount != CP_FULL)
		return NULL;
	details = cp_record_details(records, record);
	if (!details)
		return &cp_error_no_memory;
	section = cp_image_section_at(program->image, record->address);
	details->section = section && section->name[0] ? section->name : NULL;
	return NULL;
}

/* Does one of the globs name the symbol, the function or a function inlined there? */
static bool is_in(const struct cp_globs *functions, const struct cp_symbol *symbol, const struct cp_scopes *scopes,
	bool found)
{
	const char *name = found ? cp_function_name(&scopes->function) : NULL;

	if (!functions->count || (symbol && cp_globs_name(functions->items, functions->count, symbol->name)) ||
		(name && cp_globs_name(functions->items, functions->count, name)))
		return true;
	for (size_t i = 0; found && i < scopes->inlined_count; i++) {
		name = cp_function_name(&scopes->inlined[i]);
		if (name && cp_globs_name(functions->items, functions->count, name))
			return true;
	}
	return false;
}

/* Name and outer; *wanted: is it in the functions that are asked for? */
static struct cp_error *fill_names(struct cp_program *program, const struct cp_where *where, struct cp_record *record,
	bool *wanted)
{
	uint64_t address = cp_record_code_address(record);
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, address, true);
	const char *inner = NULL, *outer = NULL;
	const struct cp_section *section;
	struct cp_scopes scopes;
	bool found = false;

	if (program->dwarf) {
		struct cp_error *error = cp_scopes_at(&program->addresses, address, &scopes, &found);

		if (error)
			return error;
	}
	*wanted = is_in(&where->functions, symbol, &scopes, found);
	if (symbol)
		outer = symbol->name;
	else if (found)
		outer = cp_function_name(&scopes.function);
	for (size_t i = 0; found && i < scopes.inlined_count; i++) {
		const char *name = cp_function_name(&scopes.inlined[i]);

		inner = name ? name : inner;
	}
	record->name = inner ? inner : outer;
	record->outer = inner ? outer : NULL;
	if (!record->name) {
		section = cp_image_section_at(program->image, address);
		record->name = section && section->name[0] ? section->name : NULL;
	}
	return NULL;
}

static struct cp_error *fill_lines(struct cp_program *program, struct cp_record *records, size_t count)
{
	struct cp_line *lines = malloc((count ? count : 1) * sizeof(*lines));
	struct cp_error *error;

	if (!lines)
		return &cp_error_no_memory;
	for (size_t i = 0; i < count; i++)
		lines[i].address = cp_record_code_address(&records[i]);
	error = cp_lines_fill(program, lines, count);
	for (size_t i = 0; i < count && !error; i++) {
		records[i].file = lines[i].file;
		records[i].line = lines[i].line;
	}
	free(lines);
	return error;
}

struct cp_error *cp_places_fill(struct cp_program *program, const struct cp_where *where, struct cp_records *records,
	size_t first)
{
	const struct cp_globs *files = &where->files;
	struct cp_error *error = cp_program_need_dwarf(program);
	size_t kept = first;

	for (size_t i = first; i < records->count && !error; i++) {
		bool wanted = true;

		error = cp_place_section(program, records, &records->items[i]);
		if (!error)
			error = fill_names(program, where, &records->items[i], &wanted);
		if (!error && wanted)
			records->items[kept++] = records->items[i];
	}
	if (!error && kept > first)
		error = fill_lines(program, records->items + first, kept - first);
	if (error)
		return error;
	records->count = kept;
	if (!files->count)
		return NULL;
	for (size_t i = kept = first; i < records->count; i++) {
		const char *file = records->items[i].file;

		if (file && cp_globs_path(files->items, files->count, file))
			records->items[kept++] = records->items[i];
	}
	records->count = kept;
	return NULL;
}
