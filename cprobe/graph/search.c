/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "graph/search.h"

/* Functions and tables that a search goes through. The chains that people read are short. */
#define MOST_NODES 4096
#define MOST_ENDS 4096

/* Each takes some milliseconds of a large kernel's code. */
#define MOST_TABLES 32

/* A table with more functions than this is a list of strangers: that one of them ran says nothing of another. */
#define MOST_METHODS 64

static struct cp_error *add_node(struct cp_search *s, const struct cp_node *node)
{
	struct cp_node *nodes;

	if (s->node_count == MOST_NODES) {
		s->cut = true;
		return NULL;
	}
	nodes = cp_grow(s->nodes, s->node_count, sizeof(*nodes));
	if (!nodes)
		return &cp_error_no_memory;
	s->nodes = nodes;
	nodes[s->node_count] = *node;
	nodes[s->node_count].depth = node->next == CP_NO_NODE ? 0 : nodes[node->next].depth + 1;
	nodes[s->node_count].indirect = node->next == CP_NO_NODE ? 0 : nodes[node->next].indirect +
		(node->kind != CP_LINK_CALL && node->kind != CP_LINK_JUMP);
	s->node_count++;
	return NULL;
}

static struct cp_error *add_end(struct cp_search *s, const struct cp_end *end)
{
	struct cp_end *ends;

	for (size_t i = s->end_count; i-- > 0 && s->ends[i].node == end->node && end->ran != CP_NO_FUNCTION;) {
		if (s->ends[i].ran == end->ran && s->ends[i].kind == end->kind) {
			s->ends[i].more_sites++;
			return NULL;
		}
	}
	if (s->end_count == MOST_ENDS) {
		s->cut = true;
		return NULL;
	}
	ends = cp_grow(s->ends, s->end_count, sizeof(*ends));
	if (!ends)
		return &cp_error_no_memory;
	s->ends = ends;
	ends[s->end_count] = *end;
	ends[s->end_count].depth = s->nodes[end->node].depth;
	ends[s->end_count++].indirect = s->nodes[end->node].indirect;
	return NULL;
}

/* A function leads to the node: an end if it ran, else a node of its own. */
static struct cp_error *lead(struct cp_search *s, size_t node, uint32_t from, enum cp_link kind, uint64_t site)
{
	struct cp_node next = { .function = from, .next = node, .kind = kind, .site = site };
	struct cp_error *error;
	size_t before = s->node_count;

	if (cp_did_run(s->states, from))
		return add_end(s, &(struct cp_end){ .node = node, .ran = from, .kind = kind, .site = site });
	if (s->node_of[from])
		return NULL;
	error = add_node(s, &next);
	if (!error && s->node_count > before)
		s->node_of[from] = s->node_count;
	return error;
}

static struct cp_error *lead_table(struct cp_search *s, size_t node, enum cp_link kind, uint64_t word, unsigned int width)
{
	struct cp_node next = { .is_table = true, .function = CP_NO_FUNCTION, .word = word, .next = node, .kind = kind, .site = word };

	cp_table_at(s->graph, word, width, &next.table);
	for (size_t i = 0; i < s->node_count; i++) {
		if (s->nodes[i].is_table && s->nodes[i].table.start == next.table.start && s->nodes[i].next == node)
			return NULL;
	}
	return add_node(s, &next);
}

/* Exported symbols are a list for modules: they call nothing. */
static bool is_export(const struct cp_table *table)
{
	return table->section && !strncmp(table->section, "__ksymtab", 9);
}

static struct cp_error *expand_function(struct cp_search *s, size_t node)
{
	static const enum cp_link links[] = { [CP_REF_CALL] = CP_LINK_CALL, [CP_REF_JUMP] = CP_LINK_JUMP,
		[CP_REF_ADDRESS] = CP_LINK_ADDRESS, [CP_REF_WORD] = CP_LINK_HOLDS, [CP_REF_OFFSET] = CP_LINK_HOLDS };
	struct cp_graph *graph = s->graph;
	uint32_t function = s->nodes[node].function;
	struct cp_error *error = NULL;
	bool any = false, exported = false;
	uint64_t outside = 0;

	for (uint32_t i = graph->first[function]; i < graph->first[function + 1] && !error; i++) {
		const struct cp_ref *ref = &graph->refs[graph->by_target[i]];
		uint32_t from = ref->from;
		struct cp_table table;

		if (!cp_ref_is_sound(graph, graph->by_target[i]))
			continue;
		if (ref->kind >= CP_REF_WORD) {
			cp_table_at(graph, ref->place, ref->width, &table);
			exported |= is_export(&table);
			if (is_export(&table))
				continue;
			any = true;
			error = lead_table(s, node, CP_LINK_HOLDS, ref->place, ref->width);
			continue;
		}
		if (from == CP_NO_FUNCTION) {
			outside = outside ? outside : cp_ref_site(ref);
			continue;
		}
		error = cp_function_owner(&graph->functions, from, &from);
		any |= from != function;
		if (!error && from != function)
			error = lead(s, node, from, links[ref->kind], cp_ref_site(ref));
	}
	if (error || any)
		return error;
	return add_end(s, &(struct cp_end){ .node = node, .ran = CP_NO_FUNCTION, .is_exported = exported && !outside,
		.outside = outside });
}

/* The method of the table that ran, the last one in front of the word, else the first one behind it. */
static uint32_t method_that_ran(const struct cp_search *s, const struct cp_node *node, uint64_t *word)
{
	const struct cp_graph *graph = s->graph;
	uint32_t first, end, ret = CP_NO_FUNCTION;

	cp_table_refs(graph, &node->table, &first, &end);
	for (uint32_t i = first; i < end && end - first <= MOST_METHODS; i++) {
		const struct cp_ref *ref = &graph->refs[i];

		if (!cp_did_run(s->states, ref->target) || (ref->place > node->word && ret != CP_NO_FUNCTION))
			continue;
		ret = ref->target;
		*word = ref->place;
	}
	return ret;
}

static struct cp_error *follow_users(struct cp_search *s, size_t node, const struct cp_table_user *users, size_t count,
	bool *any)
{
	unsigned int width = s->graph->program->image->machine == EM_X86_64 ? 8 : 4;
	struct cp_error *error = NULL;

	for (size_t i = 0; i < count && !error; i++) {
		uint32_t from = users[i].from;

		*any = true;
		if (users[i].data) {
			error = lead_table(s, node, CP_LINK_POINTS, users[i].site, width);
			continue;
		}
		if (from != CP_NO_FUNCTION)
			error = cp_function_owner(&s->graph->functions, from, &from);
		if (!error && from != CP_NO_FUNCTION)
			error = lead(s, node, from, users[i].exact ? CP_LINK_THROUGH : CP_LINK_USES, users[i].site);
	}
	return error;
}

/* Who reads the very word, if anybody does: those who only name the table need not be told then. */
static size_t keep_exact(struct cp_table_user *users, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (users[i].exact)
			users[kept++] = users[i];
	}
	return kept;
}

/* The set that the table is an element of, by the linker's mark. *any: there is one. */
static struct cp_error *lead_set(struct cp_search *s, size_t node, const struct cp_table *table, bool *any)
{
	struct cp_node element = { .is_table = true, .function = CP_NO_FUNCTION, .next = node, .kind = CP_LINK_ELEMENT,
		.site = table->start };

	if (!cp_table_set(s->graph, table, &element.table) || element.table.start == table->start)
		return NULL;
	*any = true;
	element.word = element.table.start;
	for (size_t i = 0; i < s->node_count; i++) {
		if (s->nodes[i].is_table && s->nodes[i].table.start == element.word)
			return NULL;
	}
	return add_node(s, &element);
}

/*
 * Whoever reads the very word calls through it. Else, of a table of whose methods one ran, what that one did decides. Else
 * who uses the table, what points to it, or the set that it is an element of.
 */
static struct cp_error *expand_table(struct cp_search *s, size_t node)
{
	struct cp_table table = s->nodes[node].table;
	struct cp_table_user *users = NULL;
	struct cp_error *error = NULL;
	size_t count = 0, exact = 0;
	uint64_t word = 0;
	uint32_t method;
	bool any = false;

	if (s->tables_left) {
		s->tables_left--;
		error = cp_table_users(s->graph, s->pointers, &table, s->nodes[node].word, &users, &count);
	}
	exact = error ? 0 : keep_exact(users, count);
	if (!error && exact) {
		error = follow_users(s, node, users, exact, &any);
		free(users);
		return error;
	}
	method = method_that_ran(s, &s->nodes[node], &word);
	if (!error && method != CP_NO_FUNCTION)
		error = add_end(s, &(struct cp_end){ .node = node, .ran = method, .kind = CP_LINK_METHOD, .site = word });
	else if (!error)
		error = follow_users(s, node, users, count, &any);
	free(users);
	if (error || method != CP_NO_FUNCTION || any)
		return error;
	error = lead_set(s, node, &table, &any);
	if (error || any)
		return error;
	return add_end(s, &(struct cp_end){ .node = node, .ran = CP_NO_FUNCTION, .not_looked = !s->tables_left });
}

/* Direct calls before what is inferred, near before far, what ran before where the search found no more. */
static int compare_ends(const void *left, const void *right)
{
	const struct cp_end *a = left, *b = right;
	bool end_a = a->ran == CP_NO_FUNCTION, end_b = b->ran == CP_NO_FUNCTION;

	if (end_a != end_b)
		return end_a ? 1 : -1;
	if (a->indirect != b->indirect)
		return a->indirect < b->indirect ? -1 : 1;
	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return a->node != b->node ? (a->node < b->node ? -1 : 1) : a->site < b->site ? -1 : a->site > b->site;
}

struct cp_error *cp_search_run(struct cp_graph *graph, const struct cp_states *states, struct cp_data_pointers *pointers,
	uint32_t function, struct cp_search *ret)
{
	struct cp_node start = { .function = function, .next = CP_NO_NODE };
	struct cp_error *error;

	*ret = (struct cp_search){ .graph = graph, .states = states, .pointers = pointers, .tables_left = MOST_TABLES };
	ret->node_of = calloc((size_t)graph->functions.count + 1, sizeof(*ret->node_of));
	error = ret->node_of ? add_node(ret, &start) : &cp_error_no_memory;
	if (!error)
		ret->node_of[function] = 1;
	for (size_t n = 0; n < ret->node_count && !error; n++)
		error = ret->nodes[n].is_table ? expand_table(ret, n) : expand_function(ret, n);
	if (!error && ret->end_count)
		qsort(ret->ends, ret->end_count, sizeof(*ret->ends), compare_ends);
	return error;
}

void cp_search_deinit(struct cp_search *search)
{
	free(search->nodes);
	free(search->ends);
	free(search->node_of);
	memset(search, 0, sizeof(*search));
}
