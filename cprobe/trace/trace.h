/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trace of either form: JSON Lines, as sessions in GDB write it, or blocks (format.h). The file is read when it is
 * walked; nothing is kept of it but where its blocks lie, and what their numbers stand for.
 */
#ifndef CPROBE_TRACE_TRACE_H
#define CPROBE_TRACE_TRACE_H

#include "cprobe.h"

/* A function that the trace saw entered. Strings are the trace's. */
struct cp_ran {
	uint64_t address;	/* of its entry, as the guest ran it */
	const char *name;
	uint64_t count;		/* entries */
	uint64_t first;		/* ns, of the first entry */
	unsigned int vcpu;	/* of the first entry */
	uint64_t last;		/* ns, of the last entry; UINT64_MAX: several were only counted */
};

/*
 * What the trace says ran, sorted by address; a function that several names share an address with is there once for each
 * name. The array is the trace's. Counted blocks and events are added up.
 */
struct cp_error *cp_trace_ran(struct cp_trace *trace, const struct cp_ran **ret, size_t *count);

/* Does the trace say of some entry where it was called from? */
bool cp_trace_has_callers(const struct cp_trace *trace);

/* When the trace ended, ns; 0: it does not say. */
uint64_t cp_trace_end_time(const struct cp_trace *trace);

/* The kernel's build-id by the header, which is the trace's; NULL: it names none. */
const char *cp_trace_build_id(const struct cp_trace *trace);

/* An event of any kind, as a walk gives it. Pointers hold during the call only. */
struct cp_event {
	uint64_t t;			/* ns */
	int vcpu;			/* -1: none is meant */
	const char *kind;		/* "hit", "console", "inject", ... */
	const char *function;		/* hit: its name, else NULL */
	uint64_t address;		/* hit: where */
	uint64_t site;			/* hit: the instruction that called or jumped to it; 0 unknown */
	const char *caller;		/* hit: the function that called it, where the trace names it; else NULL. Maybe with +0xOFFSET */
	uint64_t return_address;	/* hit: within that function; 0 unknown */
	bool is_entry;			/* hit: of a function, and not at a place within it */
	uint32_t id;			/* hit of a trace in blocks: 1 + the function's number, below cp_trace_ids(); else 0 */
	const uint64_t *values;		/* hit of a trace in blocks: in the order of the header's "args" */
	size_t value_count;
	const char *text;		/* console: the line, not ended by a 0 */
	size_t text_length;
	const char *json;		/* the event as JSON, not ended by a 0, where the trace has it so; else NULL */
	size_t json_length;
};

/* Return an error to end the walk with it. */
typedef struct cp_error *cp_event_fn(void *context, const struct cp_event *event);

/* What is more than the number of any function in blocks, and 1. */
size_t cp_trace_ids(const struct cp_trace *trace);

/* All events, vCPUs merged by time; what happened at one time keeps the file's order. */
struct cp_error *cp_trace_walk(struct cp_trace *trace, cp_event_fn *each, void *context);

/*
 * The same, in order for each vCPU by itself, and for the console. Of blocks alone, without other events in them, that takes
 * much less time.
 */
struct cp_error *cp_trace_walk_apart(struct cp_trace *trace, cp_event_fn *each, void *context);

#endif
