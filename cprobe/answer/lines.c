/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "answer/lines.h"
#include "base/arena.h"
#include "base/record.h"

struct cp_error *cp_line_at(struct cp_program *program, uint64_t address, const char **file, unsigned int *line)
{
	struct cp_units *units;
	struct cp_unit *unit = NULL;
	struct cp_error *error = cp_program_units(program, &units);
	Dwarf_Line *row;
	const char *raw;
	int number = 0;

	*file = NULL;
	*line = 0;
	if (error || !units)
		return error;
	error = cp_units_at(units, address, &unit);
	if (error || !unit)
		return error;
	row = dwarf_getsrc_die(&unit->die, address);
	raw = row ? dwarf_linesrc(row, NULL, NULL) : NULL;
	if (!raw)
		return NULL;
	/* Streams of addresses stay in one file for long. */
	if (raw != units->last_raw) {
		char *copy = cp_arena_strdup(&units->arena, raw);

		if (!copy)
			return &cp_error_no_memory;
		cp_path_normalise(copy);
		units->last_raw = raw;
		units->last_path = copy;
	}
	*file = units->last_path;
	if (!dwarf_lineno(row, &number) && number > 0)
		*line = (unsigned int)number;
	return NULL;
}

/* One row of a table, of interest when its file matches. */
static struct cp_error *take_row(struct cp_program *program, Dwarf_Line *row, const char *path,
	struct cp_records *records)
{
	const struct cp_symbol *symbol;
	struct cp_record *record;
	Dwarf_Addr address;
	char *file;
	int number;

	if (dwarf_lineaddr(row, &address) || dwarf_lineno(row, &number) || (!address && program->image->type != ET_REL))
		return NULL;
	record = cp_records_add(records, CP_KIND_LINE, address);
	file = cp_arena_strdup(&records->arena, path);
	if (!record || !file)
		return &cp_error_no_memory;
	cp_path_normalise(file);
	symbol = cp_symbols_at(&program->symbols, address, true);
	record->name = symbol ? symbol->name : NULL;
	record->file = file;
	record->line = (unsigned int)number;
	return NULL;
}

static struct cp_error *scan_unit(struct cp_program *program, struct cp_unit *unit, const char *glob, unsigned int line,
	struct cp_records *records, unsigned int *next)
{
	Dwarf_Lines *rows;
	size_t count;
	const char *last_path = NULL;
	bool matches = false, in_run = false;

	if (dwarf_getsrclines(&unit->die, &rows, &count))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		Dwarf_Line *row = dwarf_onesrcline(rows, i);
		const char *path = dwarf_linesrc(row, NULL, NULL);
		bool statement = false, end = false;
		struct cp_error *error;
		int number = 0;

		if (path != last_path) {
			matches = path && cp_glob_path(glob, path);
			last_path = path;
		}
		dwarf_lineno(row, &number);
		dwarf_linebeginstatement(row, &statement);
		dwarf_lineendsequence(row, &end);
		if (!matches || end || number <= 0) {
			in_run = false;
			continue;
		}
		if (statement && (unsigned int)number > line && (!*next || (unsigned int)number < *next))
			*next = (unsigned int)number;
		if ((unsigned int)number != line) {
			in_run = false;
			continue;
		}
		if (!statement || in_run)
			continue;
		error = take_row(program, row, path, records);
		if (error)
			return error;
		in_run = true;
	}
	return NULL;
}

/*
 * The rows marked as statements, the first one of each run of rows of that line. *next is set to the lowest line above
 * it that has code in a matching file, 0 for none.
 */
static struct cp_error *find(struct cp_program *program, struct cp_unit **units, size_t count, const char *glob,
	unsigned int line, struct cp_records *records, unsigned int *next)
{
	struct cp_error *error = NULL;

	*next = 0;
	for (size_t i = 0; i < count && !error; i++)
		error = scan_unit(program, units[i], glob, line, records, next);
	return error;
}

struct cp_error *cp_find_line(struct cp_program *program, const char *file, unsigned int line,
	struct cp_records *records)
{
	char *glob = (char *)(uintptr_t)file;
	struct cp_units *units;
	struct cp_unit **wanted;
	struct cp_error *error = cp_program_check_machine(program);
	size_t count, before = records->count;
	unsigned int next = 0;

	if (!error)
		error = cp_program_need_symbols(program);
	if (!error)
		error = cp_program_units(program, &units);
	if (!error && !units)
		error = cp_program_no_dwarf(program);
	if (!error)
		error = cp_units_for_files(units, &glob, 1, &wanted, &count);
	if (error)
		return error;
	error = find(program, wanted, count, file, line, records, &next);
	if (!error && records->count == before && next) {
		cp_program_note(program, "%s:%u: no code at that line: the next one with code is %u", file, line, next);
		error = find(program, wanted, count, file, next, records, &next);
	} else if (!error && records->count == before) {
		cp_program_note(program, "%s:%u: no code at or after that line, or no such file: cprobe list --file %s shows "
			"its functions", file, line, file);
	}
	free(wanted);
	return error;
}
