/* SPDX-License-Identifier: BSD-2-Clause */
#include "glob.h"
#include "lines.h"
#include "place.h"

struct cp_error *cp_place_fill(struct cp_program *program, const struct cp_options *options,
	struct cp_record *record, bool *wanted)
{
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, record->address, true);
	const struct cp_section *section = cp_image_section_at(program->image, record->address);
	const struct cp_globs *functions = &options->in_functions, *files = &options->in_files;
	const char *inner = NULL, *outer = NULL;
	struct cp_error *error;
	bool matched = !functions->count;

	record->section = section && section->name[0] ? section->name : NULL;
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
	record->name = inner ? inner : outer ? outer : record->section;
	record->outer = inner ? outer : NULL;
	error = cp_line_at(program, record->address, &record->file, &record->line);
	if (error)
		return error;
	if (files->count)
		*wanted = record->file && cp_globs_path(files->items, files->count, record->file);
	return NULL;
}
