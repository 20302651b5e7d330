/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a function that did not run backwards to functions that did: through direct calls, through instructions that take a
 * function's address, and through the tables that hold it, those that point to these, and the code that uses them.
 */
#ifndef CPROBE_GRAPH_SEARCH_H
#define CPROBE_GRAPH_SEARCH_H

#include "graph/states.h"
#include "graph/tables.h"

#define CP_NO_NODE SIZE_MAX

/* A function that did not run or was not recorded, or a table. */
struct cp_node {
	bool is_table;
	uint32_t function;		/* of a function */
	struct cp_table table;		/* of a table */
	uint64_t word;			/* the word of it that matters */
	size_t next;			/* the node that it leads to; CP_NO_NODE: it is what was asked about */
	enum cp_link kind;		/* how */
	uint64_t site;			/* where: an instruction, or a word of data */
	size_t depth;			/* links to what was asked about */
	unsigned int indirect;		/* of which so many are not direct calls */
};

/* Where the search came to what ran, or to an end. */
struct cp_end {
	size_t node;			/* the last one that did not run */
	uint32_t ran;			/* the function that did; CP_NO_FUNCTION: nothing refers to the node, or it was not looked for */
	enum cp_link kind;		/* how it leads to the node */
	uint64_t site;
	size_t depth;
	unsigned int indirect;		/* as the node has them */
	unsigned int more_sites;	/* of the same function and kind */
	bool not_looked;		/* too many tables */
	bool is_exported;		/* to modules */
	uint64_t outside;		/* code in no function that refers to it; 0 none */
};

struct cp_search {
	struct cp_graph *graph;
	const struct cp_states *states;
	struct cp_data_pointers *pointers;	/* not owned */
	struct cp_node *nodes;
	size_t node_count;
	struct cp_end *ends;		/* the nearest and the most certain first */
	size_t end_count;
	size_t *node_of;		/* by function, + 1 */
	size_t tables_left;		/* that may still be looked for in all of the code */
	bool cut;			/* there are more nodes than are looked at */
};

/* *ret is the caller's until cp_search_deinit(), also after an error. `pointers` outlives it. */
struct cp_error *cp_search_run(struct cp_graph *graph, const struct cp_states *states, struct cp_data_pointers *pointers,
	uint32_t function, struct cp_search *ret);
void cp_search_deinit(struct cp_search *search);

#endif
