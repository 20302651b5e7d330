/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the code of a line begins. */
#include <stdlib.h>

#include "base/glob.h"
#include "base/record.h"
#include "dwarf/by_file.h"
#include "program.h"

struct search {
	struct cp_program *program;
	const char *glob;
	unsigned int line;
	struct cp_records *records;
	unsigned int next;		/* the lowest line above `line` that has code in a matching file; 0 none */
};

/* One row of a table, of interest when its file matches. */
static struct cp_error *take_row(struct search *s, const struct cp_dw_row *row, const char *file)
{
	const struct cp_symbol *symbol = cp_symbols_at(&s->program->symbols, row->address, true);
	struct cp_record *record = cp_records_add(s->records, CP_KIND_LINE, row->address);

	if (!record)
		return &cp_error_no_memory;
	if (!cp_dwarf_charge(s->program->dwarf, sizeof(*record)))
		return cp_dwarf_overspent(s->program->dwarf);
	record->name = symbol ? symbol->name : NULL;
	record->file = file;
	record->line = row->line;
	return NULL;
}

/* The rows marked as statements, the first one of each run of rows of that line. */
static struct cp_error *scan_unit(struct search *s, struct cp_dw_unit *unit)
{
	const struct cp_dw_lines *lines;
	struct cp_error *error = cp_unit_lines(unit, &lines);
	uint64_t last_file = CP_DW_NONE;
	bool matches = false, in_run = false;
	const char *file = NULL;
	struct cp_dw_rows rows;
	uint8_t *known;		/* of each file: 0 not looked at yet, else 1 and whether it matches */

	if (error || !lines)
		return error;
	if (!cp_dwarf_charge(unit->dwarf, (uint64_t)(lines->end - lines->program)))
		return cp_dwarf_overspent(unit->dwarf);
	known = calloc(lines->file_count + 1, 1);
	if (!known)
		return &cp_error_no_memory;
	for (cp_rows_begin(lines, &rows); !error && cp_rows_next(&rows);) {
		const struct cp_dw_row *row = &rows.row;

		if (row->file != last_file) {
			size_t number = row->file < lines->file_count ? row->file : lines->file_count;

			error = cp_path_of_file(&s->program->paths, lines, row->file, &file);
			if (!error && !known[number])
				known[number] = file && cp_glob_path(s->glob, file) ? 2 : 1;
			matches = known[number] == 2;
			last_file = row->file;
		}
		if (!matches || row->end || !row->line) {
			in_run = false;
			continue;
		}
		if (row->statement && row->line > s->line && (!s->next || row->line < s->next))
			s->next = row->line;
		if (row->line != s->line) {
			in_run = false;
		} else if (row->statement && !in_run) {
			error = take_row(s, row, file);
			in_run = true;
		}
	}
	free(known);
	if (!error && rows.c.failed)
		error = cp_unit_corrupt(unit, "its line program is malformed or cut off");
	return error;
}

static struct cp_error *scan(struct search *s, struct cp_dw_unit *const *units, size_t count)
{
	struct cp_error *error = NULL;

	s->next = 0;
	for (size_t i = 0; i < count && !error; i++)
		error = scan_unit(s, units[i]);
	return error;
}

static struct cp_error *find_line(struct cp_program *program, const char *file, unsigned int line,
	struct cp_records *records)
{
	struct search s = { .program = program, .glob = file, .line = line, .records = records };
	char *items[] = { (char *)(uintptr_t)file };
	const struct cp_globs globs = { items, 1 };
	struct cp_error *error = cp_program_check_machine(program);
	size_t count, before = records->count;
	struct cp_dw_unit **units;

	if (!error)
		error = cp_program_need_symbols(program);
	if (!error)
		error = cp_program_need_dwarf(program);
	if (!error && !program->dwarf)
		error = cp_program_no_dwarf(program);
	if (!error)
		error = cp_units_of_files(program->dwarf, &globs, &units, &count);
	if (error)
		return error;
	error = scan(&s, units, count);
	if (!error && records->count == before && s.next) {
		cp_program_note(program, "%s:%u: no code at that line: the next one with code is %u", file, line, s.next);
		s.line = s.next;
		error = scan(&s, units, count);
	} else if (!error && records->count == before) {
		cp_program_note(program, "%s:%u: no code at or after that line, or no such file: cprobe list --file %s shows "
			"its functions", file, line, file);
	}
	free(units);
	return error;
}

struct cp_error *cp_find_line(struct cp_program *program, const char *file, unsigned int line,
	struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, find_line(program, file, line, records));
}
