/* SPDX-License-Identifier: BSD-2-Clause */
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

static struct cp_error *fill(struct cp_program *program, const struct cp_where *where, struct cp_record *record,
	bool *wanted)
{
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, record->address, true);
	const struct cp_section *section;
	const struct cp_globs *functions = &where->functions, *files = &where->files;
	const char *inner = NULL, *outer = NULL;
	struct cp_error *error;
	bool matched = !functions->count;

	if (symbol && functions->count)
		matched |= cp_globs_name(functions->items, functions->count, symbol->name);
	error = cp_inline_chain(program, record->address, functions->count ? functions->items : NULL,
		functions->count, &inner, &outer, &matched);
	if (error)
		return error;
	*wanted = matched;
	if (!matched)
		return NULL;
	if (symbol)
		outer = symbol->name;
	record->name = inner ? inner : outer;
	record->outer = inner ? outer : NULL;
	if (!record->name) {
		section = cp_image_section_at(program->image, record->address);
		record->name = section && section->name[0] ? section->name : NULL;
	}
	error = cp_line_at(program, record->address, &record->file, &record->line);
	if (error)
		return error;
	if (files->count)
		*wanted = record->file && cp_globs_path(files->items, files->count, record->file);
	return NULL;
}

struct cp_error *cp_places_fill(struct cp_program *program, const struct cp_where *where, struct cp_records *records,
	size_t first)
{
	size_t kept = first;

	for (size_t i = first; i < records->count; i++) {
		bool wanted = true;
		struct cp_error *error = cp_place_section(program, records, &records->items[i]);

		if (!error)
			error = fill(program, where, &records->items[i], &wanted);
		if (error)
			return error;
		if (wanted)
			records->items[kept++] = records->items[i];
	}
	records->count = kept;
	return NULL;
}
