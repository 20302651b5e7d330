/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data through which functions are called: tables of methods, structs of operations, sets that a linker collects. And who
 * refers to them.
 */
#ifndef CPROBE_GRAPH_TABLES_H
#define CPROBE_GRAPH_TABLES_H

#include "base/radix.h"
#include "graph/graph.h"

/* The object around a word of data. */
struct cp_table {
	uint64_t start, end;	/* where no symbol says it, of the word alone */
	const char *name;	/* of the object, or the label at the word; NULL none */
	const char *section;	/* NULL unknown */
};

/* *width: of the word, in bytes. */
void cp_table_at(const struct cp_graph *graph, uint64_t place, unsigned int width, struct cp_table *ret);

/*
 * Where the set begins that the word is in: what a linker script or the linker itself marks by a global label with "start"
 * or "begin" in its name, such as __start_set_NAME. False: no such label lies below the word in its section.
 */
bool cp_table_set(const struct cp_graph *graph, const struct cp_table *table, struct cp_table *ret);

/* The refs of data in the table: *first up to, not including, *end. */
void cp_table_refs(const struct cp_graph *graph, const struct cp_table *table, uint32_t *first, uint32_t *end);

/* Pointers in data to data; made at the first question. */
struct cp_data_pointers {
	bool is_read;
	struct cp_keyed *items;	/* sorted by key, what is pointed to; index: where the pointer lies */
	size_t count;
};

void cp_data_pointers_deinit(struct cp_data_pointers *pointers);

/* A place that refers to a table. */
struct cp_table_user {
	uint64_t site;		/* of the instruction, or of the word */
	uint32_t from;		/* the instruction's function, or CP_NO_FUNCTION */
	bool data;		/* a word */
	bool exact;		/* it reads the very word that was asked about */
	bool calls;		/* an indirect call or jump through that word */
};

/*
 * Who may come to the word at `place` of the table, code first: who reads it, who takes the table's address or counts on from
 * there. Who reads other words of it does not. *ret is malloc'ed, the caller's.
 */
struct cp_error *cp_table_users(struct cp_graph *graph, struct cp_data_pointers *pointers, const struct cp_table *table,
	uint64_t place, struct cp_table_user **ret, size_t *count);

#endif
