/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a function did not run. */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/asked.h"
#include "answer/functions.h"
#include "answer/lines.h"
#include "base/arena.h"

/* Inlined copies that are told. */
#define MOST_COPIES 256

/* Chains to where nothing ran that are told. */
#define BARE_ENDS 2

static struct cp_error *find_reasons(struct cp_asked *asked, uint32_t function, size_t limit, struct cp_arena *arena,
	struct cp_why_place *place)
{
	struct cp_search search;
	struct cp_error *error = cp_search_run(&asked->graph, &asked->states, &asked->pointers, function, &search);
	size_t count = 0, told = 0, bare = 0;

	/* Ends without anything that ran say little: the nearest are enough. They are the last. */
	while (!error && count < search.end_count && count < limit &&
		(search.ends[count].ran != CP_NO_FUNCTION || bare++ < BARE_ENDS))
		count++;
	place->reasons = error ? NULL : cp_arena_alloc(arena, (count + 1) * sizeof(*place->reasons));
	if (!error && !place->reasons)
		error = &cp_error_no_memory;
	for (; told < count && !error; told++)
		error = cp_reason_make(asked, &search, &search.ends[told], arena, &place->reasons[told]);
	if (!error) {
		place->reason_count = told;
		place->left_out = search.end_count - told;
		place->cut = search.cut;
	}
	cp_search_deinit(&search);
	return error;
}

static struct cp_error *make_place(struct cp_asked *asked, const struct cp_record *record, size_t limit,
	struct cp_arena *arena, struct cp_why_place *place)
{
	uint32_t function = record->kind == CP_KIND_FUNCTION ? cp_function_entered(&asked->graph.functions, record->address) :
		cp_function_around(&asked->graph.functions, record->address);
	struct cp_error *error = NULL;

	*place = (struct cp_why_place){ .name = record->name, .file = record->file, .line = record->line,
		.address = record->address };
	if (function != CP_NO_FUNCTION)
		error = cp_function_owner(&asked->graph.functions, function, &function);
	if (error || function == CP_NO_FUNCTION)
		return error;
	place->run = cp_run_of(asked, function);
	if (record->kind == CP_KIND_INLINED) {
		place->outer = asked->graph.functions.items[function].name;
		return NULL;
	}
	if (place->run.state != CP_DID_RUN)
		error = find_reasons(asked, function, limit, arena, place);
	for (size_t r = 0; r < place->reason_count && place->name; r++)	/* of several names, that which was asked about */
		place->reasons[r].links[place->reasons[r].link_count - 1].name = place->name;
	return error;
}

static struct cp_error *make_places(struct cp_asked *asked, const struct cp_records *records, size_t limit,
	struct cp_why *ret)
{
	struct cp_error *error = NULL;
	size_t copies = 0;

	ret->places = cp_arena_alloc(&ret->arena, (records->count + 1) * sizeof(*ret->places));
	if (!ret->places)
		return &cp_error_no_memory;
	for (size_t pass = 0; pass < 2; pass++) {	/* the function itself first */
		for (size_t i = 0; i < records->count && !error; i++) {
			bool copy = records->items[i].kind == CP_KIND_INLINED;

			if (copy != (pass == 1))
				continue;
			if (copy && copies++ >= MOST_COPIES) {
				ret->copies_left_out++;
				continue;
			}
			error = make_place(asked, &records->items[i], limit, &ret->arena, &ret->places[ret->place_count++]);
		}
	}
	return error;
}

/* All instructions that are told, for their lines. */
struct wanted {
	struct cp_line *lines;		/* NULL: only count */
	size_t count;
	bool take;			/* take over what was filled in */
};

static void visit_line(struct wanted *w, uint64_t address, const char **file, unsigned int *line)
{
	if (w->take) {
		*file = w->lines[w->count].file;
		*line = w->lines[w->count].line;
	} else if (w->lines) {
		w->lines[w->count].address = address;
	}
	w->count++;
}

static void visit_lines(struct cp_why *why, struct wanted *w)
{
	w->count = 0;
	for (size_t p = 0; p < why->place_count; p++) {
		for (size_t r = 0; r < why->places[p].reason_count; r++) {
			struct cp_why_reason *reason = &why->places[p].reasons[r];

			for (size_t l = 0; l < reason->link_count; l++) {
				struct cp_why_link *link = &reason->links[l];

				if (!link->is_table && link->kind <= CP_LINK_USES)
					visit_line(w, link->site, &link->file, &link->line);
			}
			for (size_t t = 0; t < reason->test_count; t++)
				visit_line(w, reason->tests[t].branch, &reason->tests[t].file, &reason->tests[t].line);
		}
	}
}

static struct cp_error *fill_lines(struct cp_program *program, struct cp_why *why)
{
	struct wanted wanted = { .lines = NULL };
	struct cp_error *error;

	visit_lines(why, &wanted);
	wanted.lines = calloc(wanted.count + 1, sizeof(*wanted.lines));
	if (!wanted.lines)
		return &cp_error_no_memory;
	visit_lines(why, &wanted);
	error = cp_lines_fill(program, wanted.lines, wanted.count);
	wanted.take = true;
	if (!error)
		visit_lines(why, &wanted);
	free(wanted.lines);
	return error;
}

/* A name that DWARF has for a function without any code: declared only, or left out because nobody uses it. */
static struct cp_error *find_declared(struct cp_program *program, const char *name, struct cp_why *ret)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; program->dwarf && i < program->dwarf->info_count && !error && !ret->declared; i++) {
		struct cp_dw_unit *unit = &program->dwarf->units[i];
		struct cp_die die;

		error = cp_unit_prepare(unit);
		for (bool more = !error && cp_die_root(unit, &die) && cp_die_child(&die, &die); more && !ret->declared;
			more = cp_die_sibling(&die, &die)) {
			const char *own = cp_die_tag(&die) == DW_TAG_subprogram ? cp_function_name(&die) : NULL;

			ret->declared = own && !strcmp(own, name);
			if (ret->declared)
				error = cp_path_of_decl(&program->paths, &die, &ret->declared_file, &ret->declared_line);
		}
	}
	return error;
}

static struct cp_error *ask(struct cp_asked *asked, const char *function, size_t limit, struct cp_why *ret)
{
	struct cp_records records;
	struct cp_error *error;

	cp_records_init(&records, CP_BRIEF);
	error = cp_asked_places(asked, function, CP_INLINED_INCLUDE, &records);
	if (!error)
		error = make_places(asked, &records, limit, ret);
	cp_arena_take(&ret->arena, &records.arena);
	cp_records_deinit(&records);
	if (!error && !ret->place_count)
		error = find_declared(asked->program, function, ret);
	if (!error && !ret->place_count && !ret->declared)
		error = cp_error_create(CP_ERROR_NOT_FOUND, "%s: this kernel has no function %s", asked->program->image->path,
			function);
	return error ? error : fill_lines(asked->program, ret);
}

struct cp_error *cp_why(struct cp_program *program, struct cp_trace *trace, const char *function, size_t limit,
	struct cp_why *ret)
{
	struct cp_why why = { .place_count = 0 };
	struct cp_asked asked;
	struct cp_error *error;

	cp_arena_init(&why.arena);
	cp_program_begin(program);
	error = cp_asked_init(program, trace, &asked);
	if (!error)
		error = ask(&asked, function, limit, &why);
	/* Names that DWARF's own list made live as long as the answer. */
	cp_arena_take(&why.arena, &asked.graph.functions.listed.arena);
	cp_asked_deinit(&asked);
	error = cp_program_end(program, error);
	why.function = cp_arena_strdup(&why.arena, function);
	if (!error && !why.function)
		error = &cp_error_no_memory;
	if (error) {
		cp_arena_deinit(&why.arena);
		return error;
	}
	*ret = why;
	return NULL;
}

void cp_why_deinit(struct cp_why *why)
{
	cp_arena_deinit(&why->arena);
}
