/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "graph/states.h"
#include "trace/listed.h"

struct name {
	const char *name;
	uint32_t function;
};

static int compare_names(const void *left, const void *right)
{
	const struct name *a = left, *b = right;

	return strcmp(a->name, b->name);
}

/* For functions that ran elsewhere than where they are linked: early code, a kernel that moved itself. */
static struct cp_error *sort_names(const struct cp_graph *graph, struct name **ret)
{
	struct name *names = malloc(((size_t)graph->functions.count + 1) * sizeof(*names));

	if (!names)
		return &cp_error_no_memory;
	for (uint32_t f = 0; f < graph->functions.count; f++)
		names[f] = (struct name){ graph->functions.items[f].name, f };
	if (graph->functions.count)
		qsort(names, graph->functions.count, sizeof(*names), compare_names);
	*ret = names;
	return NULL;
}

static uint32_t by_name(const struct name *names, uint32_t count, const char *name)
{
	struct name key = { .name = name };
	const struct name *found = bsearch(&key, names, count, sizeof(key), compare_names);

	if (!found || (found > names && !strcmp(found[-1].name, name)) ||
		(found + 1 < names + count && !strcmp(found[1].name, name)))
		return CP_NO_FUNCTION;		/* static twins: which one? */
	return found->function;
}

/* Several names of one function are there once each, with the same numbers. */
static void take(struct cp_state *state, const struct cp_ran *ran)
{
	struct cp_state both = { ran->count, ran->first, ran->last, ran->vcpu, CP_DID_RUN };

	if (state->ran == CP_DID_RUN && state->first <= ran->first) {
		both.first = state->first;
		both.vcpu = state->vcpu;
	}
	if (state->ran == CP_DID_RUN) {
		both.count = state->count > ran->count ? state->count : ran->count;
		both.last = state->last > ran->last ? state->last : ran->last;
	}
	*state = both;
}

/* What was recorded did not run, unless it did. */
static struct cp_error *mark_part(struct cp_graph *graph, const struct cp_listed_part *part, struct cp_states *states)
{
	struct cp_where where = { part->files, part->functions };
	struct cp_records records;
	struct cp_error *error;

	if (part->inlined == CP_INLINED_ONLY)
		return NULL;
	cp_records_init(&records, CP_NAMES);
	error = cp_list(graph->program, &where, CP_INLINED_EXCLUDE, &records);
	for (size_t i = 0; i < records.count && !error; i++) {
		uint32_t function = cp_function_entered(&graph->functions, records.items[i].address);

		if (function != CP_NO_FUNCTION)
			states->items[function].ran = CP_DID_NOT_RUN;
	}
	cp_records_deinit(&records);
	return error;
}

static struct cp_error *mark_listed(struct cp_graph *graph, struct cp_trace *trace, struct cp_states *states)
{
	struct cp_listed listed;
	struct cp_error *error = cp_trace_listed(trace, &listed);

	if (error)
		return error;
	for (size_t i = 0; i < listed.count && !error; i++)
		error = mark_part(graph, &listed.parts[i], states);
	cp_listed_deinit(&listed);
	return error;
}

struct cp_error *cp_states_read(struct cp_graph *graph, struct cp_trace *trace, struct cp_states *ret)
{
	const struct cp_ran *ran = NULL;
	struct name *names = NULL;
	struct cp_error *error;
	size_t count = 0;

	*ret = (struct cp_states){ .items = calloc((size_t)graph->functions.count + 1, sizeof(*ret->items)) };
	error = ret->items ? cp_trace_ran(trace, &ran, &count) : &cp_error_no_memory;
	if (!error)
		error = mark_listed(graph, trace, ret);
	for (size_t i = 0; i < count && !error; i++) {
		uint32_t function = cp_function_entered(&graph->functions, ran[i].address);

		if (function == CP_NO_FUNCTION && !names)
			error = sort_names(graph, &names);
		if (function == CP_NO_FUNCTION && names && ran[i].name)
			function = by_name(names, graph->functions.count, ran[i].name);
		if (function != CP_NO_FUNCTION)
			take(&ret->items[function], &ran[i]);
		else if (cp_function_around(&graph->functions, ran[i].address) == CP_NO_FUNCTION)
			ret->strangers++;	/* no inlined copy either */
	}
	free(names);
	return error;
}

void cp_states_deinit(struct cp_states *states)
{
	free(states->items);
	*states = (struct cp_states){ .items = NULL };
}
