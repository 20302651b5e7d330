/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer/asked.h"
#include "answer/functions.h"
#include "base/glob.h"
#include "base/record.h"

struct cp_error *cp_asked_init(struct cp_program *program, struct cp_trace *trace, struct cp_asked *ret)
{
	struct cp_error *error = cp_program_check_machine(program);

	memset(ret, 0, sizeof(*ret));
	ret->program = program;
	if (!error)
		error = cp_program_need_all(program);
	if (!error && !program->symbols.count && !program->dwarf)
		error = cp_error_create(CP_ERROR_NO_DEBUG, "%s: no symbol table and no DWARF, here or in a debug file: no function has "
			"a name: give the kernel that was not stripped, or put its debug file beside it", program->image->path);
	if (!error)
		error = cp_graph_init(program, &ret->graph);
	if (!error)
		error = cp_states_read(&ret->graph, trace, &ret->states);
	if (!error && ret->states.strangers)
		cp_program_note(program, "%zu functions of the trace are none of %s's: they are passed over", ret->states.strangers,
			program->image->path);
	return error;
}

void cp_asked_deinit(struct cp_asked *asked)
{
	cp_data_pointers_deinit(&asked->pointers);
	cp_states_deinit(&asked->states);
	cp_graph_deinit(&asked->graph);
}

static struct cp_error *place_at(struct cp_asked *asked, const char *text, struct cp_records *ret)
{
	struct cp_record *record;
	uint32_t function;
	uint64_t address;
	char *end;

	errno = 0;
	address = strtoull(text, &end, 16);
	if (errno || *end)
		return cp_error_create(CP_ERROR_USAGE, "\"%s\" is no address: give a function's name, or 0x-hexadecimal", text);
	function = cp_function_around(&asked->graph.functions, address);
	if (function == CP_NO_FUNCTION)
		return NULL;
	record = cp_records_add(ret, CP_KIND_FUNCTION, asked->graph.functions.items[function].start);
	if (!record)
		return &cp_error_no_memory;
	record->name = asked->graph.functions.items[function].name;
	return cp_function_details(asked->program, ret, record);
}

struct cp_error *cp_asked_places(struct cp_asked *asked, const char *function, enum cp_inlined inlined,
	struct cp_records *ret)
{
	char *name = strdup(function);
	struct cp_where where = { .functions = { &name, 1 } };
	struct cp_error *error;
	size_t kept = 0;

	if (!name)
		return &cp_error_no_memory;
	if (!strncmp(function, "0x", 2))
		error = place_at(asked, function, ret);
	else if (!cp_glob_is_literal(function))
		error = cp_error_create(CP_ERROR_USAGE, "\"%s\" is a pattern: give the name of one function", function);
	else
		error = cp_list(asked->program, &where, asked->program->dwarf ? inlined : CP_INLINED_EXCLUDE, ret);
	free(name);
	if (!error)
		error = cp_records_sort(ret);
	for (size_t i = 0; i < ret->count && !error; i++) {
		const struct cp_record *record = &ret->items[i];
		uint32_t at = cp_function_entered(&asked->graph.functions, record->address);

		if (record->kind == CP_KIND_FUNCTION && (at == CP_NO_FUNCTION ||
			cp_function_is_piece(&asked->graph.functions.items[at]) ||
			(kept && ret->items[kept - 1].address == record->address)))
			continue;
		ret->items[kept++] = *record;
	}
	if (!error)
		ret->count = kept;
	return error;
}

struct cp_run cp_run_of(const struct cp_asked *asked, uint32_t function)
{
	const struct cp_state *state = &asked->states.items[function];

	return (struct cp_run){ (enum cp_ran_state)state->ran, state->count, state->first, state->vcpu };
}
