/* SPDX-License-Identifier: BSD-2-Clause */
/* Where to break in the next run: between what ran and what did not. */
#include <stdlib.h>
#include <string.h>

#include "answer/asked.h"
#include "answer/place.h"
#include "base/arena.h"
#include "base/record.h"
#include "code/returns.h"

/* A call in a function that ran of one that did not. */
struct site {
	uint64_t address;
	uint32_t from, to;
	uint32_t ref;
	unsigned int round;		/* in how many turns of its function it comes */
	bool is_rare;			/* in a part for rare cases, or of what everybody calls there */
	uint64_t first;			/* ns: when the function first ran */
};

/* So many sites of one function are told before those of others. */
#define IN_A_ROW 3

/* Ways to one function that are told. */
#define MOST_REASONS 16

/* What so many functions that ran call and that did not run is for failures. */
#define EVERYBODY 16

static int compare_sites(const void *left, const void *right)
{
	const struct site *a = left, *b = right;

	if (a->is_rare != b->is_rare)
		return a->is_rare ? 1 : -1;
	if (a->round != b->round)
		return a->round < b->round ? -1 : 1;
	if (a->first != b->first)
		return a->first > b->first ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

static struct cp_error *add_site(struct cp_asked *asked, uint32_t number, struct site **sites, size_t *count)
{
	struct cp_graph *graph = &asked->graph;
	const struct cp_ref *ref = &graph->refs[number];
	struct cp_error *error;
	struct site *grown;
	uint32_t from;

	if (ref->kind > CP_REF_JUMP || ref->from == CP_NO_FUNCTION || cp_did_run(&asked->states, ref->target) ||
		cp_function_is_piece(&graph->functions.items[ref->target]))
		return NULL;
	error = cp_function_owner(&graph->functions, ref->from, &from);
	if (error || !cp_did_run(&asked->states, from) || from == ref->target || !cp_ref_is_sound(graph, number))
		return error;
	grown = cp_grow(*sites, *count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	*sites = grown;
	grown[(*count)++] = (struct site){ .address = cp_ref_site(ref), .from = from, .to = ref->target, .ref = number,
		.is_rare = from != ref->from, .first = asked->states.items[from].first };
	return NULL;
}

/* How often does each callee come up? And each function in turn. */
static struct cp_error *rank(const struct cp_asked *asked, struct site *sites, size_t count)
{
	uint32_t *calls = calloc((size_t)asked->graph.functions.count + 1, sizeof(*calls));
	uint32_t *turns = calloc((size_t)asked->graph.functions.count + 1, sizeof(*turns));

	for (size_t i = 0; i < count && calls; i++)
		calls[sites[i].to]++;
	for (size_t i = 0; i < count && calls && turns; i++) {
		sites[i].is_rare |= calls[sites[i].to] >= EVERYBODY;
		sites[i].round = turns[sites[i].from] / IN_A_ROW;
		turns[sites[i].from] += !sites[i].is_rare;
	}
	free(calls);
	free(turns);
	if (!calls || !turns)
		return &cp_error_no_memory;
	if (count)
		qsort(sites, count, sizeof(*sites), compare_sites);
	return NULL;
}

static struct cp_error *add_call(struct cp_asked *asked, uint64_t address, const char *toward, struct cp_records *records)
{
	struct cp_record *record = cp_records_add(records, CP_KIND_INSN, address);
	struct cp_details *details = record ? cp_record_details(records, record) : NULL;
	ZydisDecodedInstruction insn;
	struct cp_region region;

	if (!details)
		return &cp_error_no_memory;
	if (cp_region_at(&asked->graph.code, address, &region) &&
		cp_decode(&asked->graph.code, region.part, address, &insn, NULL))
		details->mnemonic = ZydisMnemonicGetString(insn.mnemonic);
	details->toward = toward;
	return NULL;
}

/* Does the call not return? Such ones report failures: they come last. */
static struct cp_error *is_dead_end(struct cp_asked *asked, const struct site *site, bool *ret)
{
	struct cp_dead_calls dead = { .budget = CP_LARGEST_FUNCTION };
	struct cp_flow_insn insn = { .address = site->address };
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	struct cp_region region;
	struct cp_error *error = NULL;

	*ret = false;
	if (cp_region_at(&asked->graph.code, site->address, &region) &&
		cp_decode(&asked->graph.code, region.part, site->address, &decoded, operands)) {
		cp_flow_classify(&asked->graph.code, &insn, &decoded, operands);
		if (insn.kind == CP_FLOW_CALL)
			error = cp_call_ends(asked->program, &asked->graph.code, &insn, &dead, ret);
	}
	cp_dead_calls_deinit(&dead);
	return error;
}

static struct cp_error *take_sites(struct cp_asked *asked, const struct site *sites, size_t count, size_t limit,
	struct cp_records *records)
{
	bool *later = calloc(count + 1, sizeof(*later));
	struct cp_error *error = later ? NULL : &cp_error_no_memory;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < count && !error && records->count < limit; i++) {
			if (pass == 1 && !later[i])
				continue;
			if (pass == 0)
				error = is_dead_end(asked, &sites[i], &later[i]);
			if (!error && (pass == 1 || !later[i]))
				error = add_call(asked, sites[i].address, asked->graph.functions.items[sites[i].to].name, records);
		}
	}
	free(later);
	return error;
}

static struct cp_error *frontier(struct cp_asked *asked, size_t limit, struct cp_records *records, size_t *left_out)
{
	struct site *sites = NULL;
	struct cp_error *error = NULL;
	size_t count = 0;

	for (uint32_t i = 0; i < asked->graph.code_count && !error; i++)
		error = add_site(asked, i, &sites, &count);
	if (!error)
		error = rank(asked, sites, count);
	if (!error)
		error = take_sites(asked, sites, count, limit, records);
	if (!error)
		*left_out = count - records->count;
	free(sites);
	return error;
}

/* -- On the way to one function -- */

static struct cp_error *add_test(const struct cp_why_test *test, uint64_t guards, const char *toward,
	struct cp_records *records)
{
	struct cp_record *record = cp_records_add(records, CP_KIND_CHECK, test->address);
	struct cp_details *details = record ? cp_record_details(records, record) : NULL;

	if (!details)
		return &cp_error_no_memory;
	details->has_guards = true;
	details->guards = guards;
	details->branch = test->branch;
	details->variable = test->variable;
	details->variable_address = test->variable_address;
	details->variable_size = test->variable_size;
	details->toward = toward;
	return NULL;
}

static struct cp_error *add_reason(struct cp_asked *asked, const struct cp_why_reason *reason, struct cp_records *records)
{
	const struct cp_why_link *first = &reason->links[0];
	const char *toward = reason->toward;
	struct cp_error *error = NULL;

	for (size_t l = reason->ran; l < reason->link_count && !toward; l++)
		toward = reason->links[l].is_table ? NULL : reason->links[l].name;
	for (size_t t = 0; t < reason->test_count && !error; t++)
		error = add_test(&reason->tests[t], first->kind == CP_LINK_METHOD ? reason->tests[t].branch : first->site, toward, records);
	if (!error && reason->ran && first->kind != CP_LINK_METHOD)
		error = add_call(asked, first->site, toward, records);
	for (size_t l = reason->ran; l < reason->link_count && !error; l++) {
		const struct cp_why_link *link = &reason->links[l];
		struct cp_record *record;

		if (link->is_table)
			continue;
		record = cp_records_add(records, CP_KIND_FUNCTION, link->address);
		if (!record)
			return &cp_error_no_memory;
	}
	return error;
}

static struct cp_error *toward(struct cp_asked *asked, const struct cp_record *place, struct cp_records *records)
{
	uint32_t function = cp_function_entered(&asked->graph.functions, place->address);
	struct cp_search search;
	struct cp_error *error;

	if (function == CP_NO_FUNCTION)
		return NULL;
	if (cp_did_run(&asked->states, function)) {
		cp_program_note(asked->program, "next: %s ran: the trace has the way to it", place->name);
		return NULL;
	}
	error = cp_search_run(&asked->graph, &asked->states, &asked->pointers, function, &search);
	for (size_t i = 0; i < search.end_count && i < MOST_REASONS && !error; i++) {
		struct cp_why_reason reason;

		error = cp_reason_make(asked, &search, &search.ends[i], &records->arena, &reason);
		if (!error)
			error = add_reason(asked, &reason, records);
	}
	cp_search_deinit(&search);
	return error;
}

static struct cp_error *toward_all(struct cp_asked *asked, const char *function, struct cp_records *records)
{
	struct cp_records places;
	struct cp_error *error;

	cp_records_init(&places, CP_BRIEF);
	error = cp_asked_places(asked, function, CP_INLINED_EXCLUDE, &places);
	if (!error && !places.count)
		error = cp_error_create(CP_ERROR_NOT_FOUND, "%s: this kernel has no function %s, or only inlined copies of it",
			asked->program->image->path, function);
	for (size_t i = 0; i < places.count && !error; i++)
		error = toward(asked, &places.items[i], records);
	cp_records_deinit(&places);
	return error;
}

/* Each place once, where it first came up. */
static struct cp_error *drop_repeats(struct cp_records *records)
{
	struct cp_keyed *keys = malloc((records->count + 1) * sizeof(*keys));
	bool *drop = calloc(records->count + 1, sizeof(*drop));
	size_t kept = 0;

	for (size_t i = 0; i < records->count && keys; i++)
		keys[i] = (struct cp_keyed){ records->items[i].address, i };
	if (!keys || !drop || !cp_radix_sort(keys, records->count)) {
		free(keys);
		free(drop);
		return &cp_error_no_memory;
	}
	for (size_t i = 1; i < records->count; i++)
		drop[keys[i].index] = keys[i].key == keys[i - 1].key;
	for (size_t i = 0; i < records->count; i++) {
		if (!drop[i])
			records->items[kept++] = records->items[i];
	}
	records->count = kept;
	free(keys);
	free(drop);
	return NULL;
}

static struct cp_error *ask(struct cp_asked *asked, const char *function, size_t limit, struct cp_records *records,
	size_t *left_out)
{
	static const struct cp_where everywhere;
	struct cp_error *error = function ? toward_all(asked, function, records) : frontier(asked, limit, records, left_out);

	if (!error)
		error = drop_repeats(records);
	if (!error && records->count > limit) {
		*left_out = records->count - limit;
		records->count = limit;
	}
	if (!error)
		error = cp_places_fill(asked->program, &everywhere, records, 0);
	return error;
}

struct cp_error *cp_next(struct cp_program *program, struct cp_trace *trace, const char *function, size_t limit,
	struct cp_records *records, size_t *left_out)
{
	struct cp_asked asked;
	struct cp_error *error;
	size_t left = 0;

	cp_program_begin(program);
	error = cp_asked_init(program, trace, &asked);
	if (!error)
		error = ask(&asked, function, limit, records, &left);
	cp_arena_take(&records->arena, &asked.graph.functions.listed.arena);
	cp_asked_deinit(&asked);
	error = cp_program_end(program, error);
	if (!error)
		*left_out = left;
	return error;
}
