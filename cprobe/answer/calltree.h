/* SPDX-License-Identifier: BSD-2-Clause */
/* The tree behind answer/calls.h: nodes are made while the trace is walked. */
#ifndef CPROBE_CALLTREE_H
#define CPROBE_CALLTREE_H

#include "answer/calls.h"

struct cp_error *cp_tree_add_vcpu(struct cp_calls *calls, uint32_t vcpu, uint64_t t, uint32_t *ret);

/* A call, `depth` calls below the first of its chain. Too deep, *ret is the parent. */
struct cp_error *cp_tree_enter(struct cp_calls *calls, uint32_t parent, uint64_t depth, uint32_t function,
	enum cp_node_kind kind, uint64_t t, uint32_t *ret);

struct cp_error *cp_tree_add_gap(struct cp_calls *calls, uint32_t parent, const struct cp_call_gap *gap);
struct cp_error *cp_tree_add_text(struct cp_calls *calls, uint32_t parent, const struct cp_event *event);

/* Inclusive times, once all nodes are there. */
void cp_tree_add_up(struct cp_calls *calls);

void cp_calls_add_gap(struct cp_calls *calls, const struct cp_call_gap *gap);

#endif
