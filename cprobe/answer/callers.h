/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of a trace, and which of them an event was called from. */
#ifndef CPROBE_CALLERS_H
#define CPROBE_CALLERS_H

#include "code/code.h"
#include "program.h"
#include "trace/trace.h"

#define CP_NO_CALLER UINT32_MAX

struct cp_called {
	const char *name;		/* the program's, or in the callers' arena */
	uint64_t address;
	uint64_t entries, self, inclusive, first;	/* ns */
	uint32_t canonical;		/* the first one met of those that share the address; itself for an inlined copy */
	uint32_t active;		/* canonical: frames of all that share the address */
	uint32_t around;		/* of an inlined copy: the function that it is in; else CP_NO_CALLER */
	uint32_t target_count;
	uint64_t *targets;		/* of direct calls and tail jumps, sorted; owned; see has_targets */
	bool has_targets;
	bool has_indirect, has_thunk;	/* it calls by pointers; by way of a thunk that returns there */
};

struct cp_callers {
	struct cp_program *program;
	struct cp_called *items;	/* in the order in which they were met; owned */
	size_t count;
	uint32_t *slots;		/* by address: 1 + index; owned */
	size_t slot_count;
	struct cp_caller_site *sites;	/* by call site; owned */
	size_t site_slots, site_count;
	struct cp_arena arena;
	struct cp_code code;
	bool has_code;
	bool trace_knows;		/* the trace says of some events who called */
};

/* Needs no symbols yet. *ret is the caller's until cp_callers_deinit(), also after an error. */
struct cp_error *cp_callers_init(struct cp_program *program, struct cp_trace *trace, struct cp_callers *ret);
void cp_callers_deinit(struct cp_callers *callers);

/*
 * The function or inlined copy of that name that begins at the address, made if it is new; `name` is copied. NULL:
 * whatever function begins there, by the program's name if it is new.
 */
struct cp_error *cp_called_at(struct cp_callers *callers, uint64_t address, const char *name, uint32_t *ret);

/* The function that the event says it was called from; CP_NO_CALLER: it does not say. */
struct cp_error *cp_caller_of(struct cp_callers *callers, const struct cp_event *event, uint32_t *ret);

enum cp_way { CP_WAY_NONE, CP_WAY_POINTER, CP_WAY_DIRECT };

/*
 * How the code of a function may call or jump to that address. A trace that has call sites has none of a call by a
 * thunk, which ends in a return: of such a trace, only that way is looked for.
 */
struct cp_error *cp_calls_to(struct cp_callers *callers, uint32_t function, uint64_t address, enum cp_way *ret);

#endif
