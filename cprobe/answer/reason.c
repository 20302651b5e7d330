/* SPDX-License-Identifier: BSD-2-Clause */
/* From an end of a search to the reason that is told: the chain, the tests on the way, the methods of the table. */
#include <string.h>

#include "answer/asked.h"
#include "base/arena.h"

/* A table with more functions than this is told by their number alone. */
#define MOST_METHODS 64

/* Calls in a method that are looked at for one that was never made; tests of one that made all. */
#define MOST_CALLS 16
#define MOST_TESTS 8

#define XEN_ELFNOTE_PHYS32_ENTRY 18

static void fill_function(const struct cp_asked *asked, uint32_t function, struct cp_why_link *link)
{
	link->name = asked->graph.functions.items[function].name;
	link->address = asked->graph.functions.items[function].start;
	link->run = cp_run_of(asked, function);
}

static struct cp_error *make_links(const struct cp_asked *asked, const struct cp_search *search, const struct cp_end *end,
	struct cp_arena *arena, struct cp_why_reason *ret)
{
	size_t count = ret->ran ? 1 : 0, at = 0;

	for (size_t n = end->node; n != CP_NO_NODE; n = search->nodes[n].next)
		count++;
	ret->links = cp_arena_alloc(arena, count * sizeof(*ret->links));
	if (!ret->links)
		return &cp_error_no_memory;
	ret->link_count = count;
	if (ret->ran) {
		fill_function(asked, end->ran, &ret->links[at]);
		ret->links[at].kind = end->kind;
		ret->links[at++].site = end->site;
	}
	for (size_t n = end->node; n != CP_NO_NODE; n = search->nodes[n].next) {
		const struct cp_node *node = &search->nodes[n];
		struct cp_why_link *link = &ret->links[at++];

		link->is_table = node->is_table;
		if (node->is_table) {
			link->name = node->table.name;
			link->section = node->table.section;
			link->address = node->table.start;
		} else {
			fill_function(asked, node->function, link);
		}
		link->kind = node->kind;
		link->site = node->site;
	}
	return NULL;
}

/* The methods of the table that holds a function of the chain. */
static struct cp_error *make_methods(const struct cp_asked *asked, const struct cp_search *search, const struct cp_end *end,
	struct cp_arena *arena, struct cp_why_reason *ret)
{
	const struct cp_graph *graph = &asked->graph;
	const struct cp_node *table = NULL;
	uint32_t first, last;

	for (size_t n = end->node; n != CP_NO_NODE && !table; n = search->nodes[n].next) {
		if (search->nodes[n].is_table && search->nodes[n].kind == CP_LINK_HOLDS)
			table = &search->nodes[n];
	}
	if (!table)
		return NULL;
	cp_table_refs(graph, &table->table, &first, &last);
	ret->table = table->table.name;
	ret->method_count = last - first;
	if (last - first < 2 || last - first > MOST_METHODS)
		return NULL;
	ret->methods = cp_arena_alloc(arena, ret->method_count * sizeof(*ret->methods));
	if (!ret->methods)
		return &cp_error_no_memory;
	for (uint32_t i = first; i < last; i++) {
		uint32_t function = graph->refs[i].target;

		ret->methods[i - first] = (struct cp_why_method){ graph->functions.items[function].name,
			graph->functions.items[function].start, cp_run_of(asked, function) };
	}
	return NULL;
}

static struct cp_error *take_decisions(const struct cp_asked *asked, const struct cp_decisions *decisions, size_t most,
	struct cp_arena *arena, struct cp_why_reason *ret)
{
	static const char *const sources[] = { [CP_SOURCE_UNKNOWN] = NULL, [CP_SOURCE_MEMORY] = "variable",
		[CP_SOURCE_RETURNED] = "returned", [CP_SOURCE_STORED] = "stored", [CP_SOURCE_CPU] = "cpu",
		[CP_SOURCE_ARGUMENT] = "argument" };
	size_t count = decisions->count < most ? decisions->count : most;

	ret->tests = cp_arena_alloc(arena, (count + 1) * sizeof(*ret->tests));
	if (!ret->tests)
		return &cp_error_no_memory;
	for (size_t i = 0; i < count; i++) {
		const struct cp_decision *from = &decisions->items[i];
		struct cp_why_test *test = &ret->tests[ret->test_count];

		if (i && !strcmp(from->condition.text, from[-1].condition.text) && from->condition.text[0] &&
			from->went == from[-1].went)
			continue;	/* compilers copy tests */
		ret->test_count++;
		test->address = from->condition.address;
		test->branch = from->condition.check.branch;
		test->variable = from->condition.check.variable;
		test->variable_address = from->condition.check.variable_address;
		test->variable_size = from->condition.check.variable_size;
		if (from->condition.text[0]) {
			test->condition = cp_arena_strdup(arena, from->condition.text);
			if (!test->condition)
				return &cp_error_no_memory;
			test->source = sources[from->condition.check.source];
		}
		test->has_detour = from->has_detour;
		test->went = from->went == CP_WENT_ON ? CP_WHY_HELD : from->went == CP_WENT_AWAY ? CP_WHY_NEVER_HELD : CP_WHY_UNKNOWN;
		if (from->by != CP_NO_FUNCTION)
			test->by = asked->graph.functions.items[from->by].name;
	}
	ret->tests_left_out = decisions->count - count + decisions->left_out;
	ret->way_unseen = decisions->lost;
	return NULL;
}

static struct cp_error *tests_of_site(struct cp_asked *asked, const struct cp_end *end, struct cp_arena *arena,
	struct cp_why_reason *ret)
{
	struct cp_decisions decisions;
	struct cp_error *error = cp_decisions_find(&asked->graph, &asked->states, end->ran, end->site, &decisions);

	if (!error)
		error = take_decisions(asked, &decisions, SIZE_MAX, arena, ret);
	cp_decisions_deinit(&decisions);
	return error;
}

/* The call in the method that most tests lead to, of those whose callee ran or of those whose did not. */
static struct cp_error *deepest_call(struct cp_asked *asked, uint32_t method, bool ran, struct cp_decisions *best,
	uint32_t *toward)
{
	struct cp_graph *graph = &asked->graph;
	struct cp_error *error = NULL;
	size_t calls = 0;

	for (uint32_t i = graph->from_first[method]; i < graph->from_first[method + 1] && calls < MOST_CALLS && !error; i++) {
		uint32_t number = graph->by_from[i], target = graph->refs[number].target;
		struct cp_decisions decisions;

		if (graph->refs[number].kind > CP_REF_JUMP || target == method || cp_may_have_called(&asked->states, method, target) != ran ||
			cp_function_is_piece(&graph->functions.items[target]) || !cp_ref_is_sound(graph, number))
			continue;
		calls++;
		error = cp_decisions_find(graph, &asked->states, method, cp_ref_site(&graph->refs[number]), &decisions);
		if (!error && decisions.count > best->count) {
			cp_decisions_deinit(best);
			*best = decisions;
			*toward = target;
		} else {
			cp_decisions_deinit(&decisions);
		}
	}
	return error;
}

/*
 * A method that ran is followed by the next one if it does what it should: the call that most tests lead to shows where it
 * may have given up, one that was never made if there is any. One without calls decided by its tests.
 */
static struct cp_error *tests_of_method(struct cp_asked *asked, uint32_t method, struct cp_arena *arena,
	struct cp_why_reason *ret)
{
	struct cp_decisions best = { .items = NULL };
	uint32_t toward = CP_NO_FUNCTION;
	struct cp_error *error = deepest_call(asked, method, false, &best, &toward);

	if (!error && !best.count)
		error = deepest_call(asked, method, true, &best, &toward);
	if (toward != CP_NO_FUNCTION) {
		ret->toward = asked->graph.functions.items[toward].name;
		ret->toward_ran = cp_may_have_called(&asked->states, method, toward);
	}
	if (!error && !best.count)
		error = cp_decisions_all(&asked->graph, method, &best);
	if (!error)
		error = take_decisions(asked, &best, ret->toward ? SIZE_MAX : MOST_TESTS, arena, ret);
	cp_decisions_deinit(&best);
	return error;
}

/* Is it where the kernel is started: by its header, or by the note for PVH? */
static bool is_entry(const struct cp_asked *asked, const struct cp_search *search, const struct cp_end *end)
{
	const struct cp_image *image = asked->program->image;
	const struct cp_node *node = &search->nodes[end->node];
	uint64_t start, paddr, pvh;
	struct cp_note note;

	if (node->is_table)
		return false;
	start = asked->graph.functions.items[node->function].start;
	if (!cp_image_paddr(image, start, &paddr))
		paddr = start;
	if (cp_image_note(image, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &note) && note.desc_size >= 4) {
		pvh = note.desc_size >= 8 ? cp_read64(note.desc) : cp_read32(note.desc);
		if (pvh == paddr)
			return true;
	}
	return start == image->entry || paddr == image->entry;
}

struct cp_error *cp_reason_make(struct cp_asked *asked, const struct cp_search *search, const struct cp_end *end,
	struct cp_arena *arena, struct cp_why_reason *ret)
{
	struct cp_error *error;

	memset(ret, 0, sizeof(*ret));
	ret->ran = end->ran != CP_NO_FUNCTION;
	ret->more_sites = end->more_sites;
	ret->not_looked = end->not_looked;
	ret->is_exported = end->is_exported;
	ret->outside = end->outside;
	error = make_links(asked, search, end, arena, ret);
	if (!error)
		error = make_methods(asked, search, end, arena, ret);
	ret->is_entry = !ret->ran && is_entry(asked, search, end);
	if (!error && ret->ran)
		error = end->kind == CP_LINK_METHOD ? tests_of_method(asked, end->ran, arena, ret) :
			tests_of_site(asked, end, arena, ret);
	return error;
}
