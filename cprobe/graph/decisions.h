/* SPDX-License-Identifier: BSD-2-Clause */
/* The branches in a function that decide whether it comes to one of its instructions, and which way the trace says they went. */
#ifndef CPROBE_GRAPH_DECISIONS_H
#define CPROBE_GRAPH_DECISIONS_H

#include "graph/condition.h"
#include "graph/states.h"

enum cp_went { CP_WENT_UNKNOWN, CP_WENT_ON, CP_WENT_AWAY };

struct cp_decision {
	struct cp_condition condition;	/* under which it leads to the instruction */
	enum cp_went went;		/* at least once on; or never */
	uint32_t by;			/* the function from whose having run, or not, that follows */
	bool has_detour;		/* other ways lead to the instruction without coming to it */
};

struct cp_decisions {
	struct cp_decision *items;	/* in the order in which they are come to; owned */
	size_t count;
	size_t left_out;		/* farther ones */
	bool lost;			/* how the function comes there is not seen: by a jump that is patched in, say */
};

/*
 * `site` lies in the function, or in a part that was split off from it. Branches that lead there on one side only; those
 * to both sides decide nothing. *ret is the caller's until cp_decisions_deinit().
 */
struct cp_error *cp_decisions_find(struct cp_graph *graph, const struct cp_states *states, uint32_t function, uint64_t site,
	struct cp_decisions *ret);

/* All conditional branches of the function, the condition being that which makes it go on. */
struct cp_error *cp_decisions_all(struct cp_graph *graph, uint32_t function, struct cp_decisions *ret);
void cp_decisions_deinit(struct cp_decisions *decisions);

#endif
