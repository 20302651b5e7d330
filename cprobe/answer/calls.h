/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who called whom, and where a boot's time went, inferred from entries of functions: a trace has no returns.
 *
 * Each vCPU has a stack of the functions that were entered. An event's call site lies in a function: what lies above
 * that on the stack has returned. Where the site's function is not there, it begins a new chain on top, as a thread that
 * was switched to does; so does an entry without a site, as an interrupt's. Time from one event of a vCPU to its next
 * belongs to the function that was entered last. Memory grows with what was called from where, not with the number of
 * events.
 */
#ifndef CPROBE_CALLS_H
#define CPROBE_CALLS_H

#include "answer/callstack.h"

#define CP_NO_NODE UINT32_MAX

struct cp_call_gap {
	uint64_t t, length;	/* ns: when it began, how long it was */
	unsigned int vcpu;
	uint32_t in, next;	/* functions: entered last before it, and entered after it; CP_NO_CALLER at the trace's end */
};

#define CP_MAX_GAPS 32		/* that are kept, the longest ones */

enum cp_node_kind {
	CP_NODE_VCPU,
	CP_NODE_FUNCTION,
	CP_NODE_CALLER,		/* a function whose entry was not seen, in which the call sites of its children lie */
	CP_NODE_CONSOLE,
	CP_NODE_GAP,
	CP_NODE_EVENT,		/* of another kind */
};

/* A function as it was called from one place of the tree, all its calls there taken together. */
struct cp_node {
	uint64_t count, first;	/* entries, ns of the first */
	uint64_t self, inclusive;	/* ns; gap: self is its length */
	uint64_t deeper;	/* entries of functions that are too deep to be shown */
	uint32_t parent, first_child, last_child, next;	/* CP_NO_NODE: none */
	uint32_t what;		/* function, text or vCPU */
	uint8_t kind;
};

struct cp_call_tree {
	struct cp_node *nodes;	/* parents before their children; owned */
	size_t count;
	uint32_t *slots;	/* by parent and function: 1 + node; 0 free; owned */
	size_t slot_count;
	char **texts;		/* of console lines and events; in the arena */
	size_t text_count;
	uint64_t most_depth;
	bool full;		/* more would have been told apart with more memory */
};

struct cp_calls;

struct cp_calls_options {
	const struct cp_when *when;
	uint64_t gap;		/* ns; a time without an event that is longer is a gap */
	uint64_t depth;		/* of the tree; 0: make none */
};

struct cp_calls {
	struct cp_callers callers;
	const struct cp_calls_options *options;
	struct cp_call_tree tree;
	struct cp_vcpu_stack **stacks;	/* by vCPU; NULL: nothing of it was seen; owned */
	size_t stack_limit;
	struct cp_call_gap gaps[CP_MAX_GAPS];	/* by time, once made */
	size_t gap_count;
	uint64_t all_gaps, gap_time;
	uint64_t events, first, last;	/* ns */
	int last_vcpu;		/* of the last event; -1 none */
	struct cp_arena arena;
};

/* *ret is the caller's until cp_calls_deinit(), also after an error. CP_ERROR_NOT_FOUND: the trace has no events. */
struct cp_error *cp_calls_make(struct cp_program *program, struct cp_trace *trace, const struct cp_calls_options *options,
	struct cp_calls *ret);
void cp_calls_deinit(struct cp_calls *calls);

/* Names come from files that may lie: control characters become "?". */
void cp_print_plain(FILE *out, const char *text);

/* A function's name; "?" for CP_NO_CALLER. */
const char *cp_call_name(const struct cp_calls *calls, uint32_t function);

#endif
