/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trace says of each function of the graph. */
#ifndef CPROBE_GRAPH_STATES_H
#define CPROBE_GRAPH_STATES_H

#include "graph/graph.h"
#include "trace/trace.h"

struct cp_state {
	uint64_t count, first, last;	/* entries; ns, of the first and of the last one, as struct cp_ran has it */
	unsigned int vcpu;
	uint8_t ran;		/* enum cp_ran_state */
};

struct cp_states {
	struct cp_state *items;	/* by function; owned */
	size_t strangers;	/* functions of the trace that the kernel does not have */
};

struct cp_error *cp_states_read(struct cp_graph *graph, struct cp_trace *trace, struct cp_states *ret);
void cp_states_deinit(struct cp_states *states);

static inline bool cp_did_run(const struct cp_states *states, uint32_t function)
{
	return states->items[function].ran == CP_DID_RUN;
}

/* Did the function run at a time when the caller may have called it: not before the caller did for the first time. */
static inline bool cp_may_have_called(const struct cp_states *states, uint32_t caller, uint32_t function)
{
	return cp_did_run(states, function) && states->items[function].last >= states->items[caller].first;
}

#endif
