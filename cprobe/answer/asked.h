/* SPDX-License-Identifier: BSD-2-Clause */
/* What the questions about a kernel and a trace of it share: its call graph, what ran, and the reasons why something did not. */
#ifndef CPROBE_ASKED_H
#define CPROBE_ASKED_H

#include "graph/decisions.h"
#include "graph/search.h"

struct cp_asked {
	struct cp_program *program;
	struct cp_graph graph;
	struct cp_states states;
	struct cp_data_pointers pointers;
};

/* *ret is the caller's until cp_asked_deinit(), also after an error. The trace must outlive it. */
struct cp_error *cp_asked_init(struct cp_program *program, struct cp_trace *trace, struct cp_asked *ret);
void cp_asked_deinit(struct cp_asked *asked);

/*
 * The functions and inlined copies of a name, which may be an address as 0x-hexadecimal; without the parts that compilers
 * split off. None: no error.
 */
struct cp_error *cp_asked_places(struct cp_asked *asked, const char *function, enum cp_inlined inlined,
	struct cp_records *ret);

struct cp_run cp_run_of(const struct cp_asked *asked, uint32_t function);

/* The reason that an end of a search is. Lines are not filled in. Memory is the arena's. */
struct cp_error *cp_reason_make(struct cp_asked *asked, const struct cp_search *search, const struct cp_end *end,
	struct cp_arena *arena, struct cp_why_reason *ret);

#endif
