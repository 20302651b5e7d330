/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trace says of each function of the graph. */
#ifndef CPROBE_GRAPH_STATES_H
#define CPROBE_GRAPH_STATES_H

#include "graph/graph.h"
#include "trace/trace.h"

struct cp_state {
	uint64_t count, first;	/* entries; ns, of the first one */
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

#endif
