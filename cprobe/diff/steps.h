/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a boot did, as it is compared with another one: streams of steps, one for each vCPU, one for the console, and
 * one for what no vCPU did. Of a step two numbers are kept in memory: what it was, the same in both boots, and a hash
 * of its values. More of the few that are shown is looked up when they are known.
 *
 * Steps come from a trace; another source has a function of its own that fills struct cp_steps by cp_steps_add().
 */
#ifndef CPROBE_STEPS_H
#define CPROBE_STEPS_H

#include "base/arena.h"
#include "diff/ignored.h"
#include "diff/names.h"
#include "trace/trace.h"

#define CP_STREAM_CONSOLE	-2
#define CP_STREAM_SESSION	-1	/* what no vCPU did, else than on the console */

/* What is taken for the same. */
struct cp_step_rule {
	enum cp_console console;
	bool other_kernel;	/* values that may be addresses in the kernel are not compared */
	bool no_values;		/* of function entries: those of the two boots are of other things */
	bool as_text;		/* values are compared as they are written, and events are taken one by one: the other is a text */
	struct cp_globs ignored[CP_IGNORED_KINDS];
};

/* A step as a source has it. Pointers hold during the call only. */
struct cp_step {
	int stream;		/* a vCPU, or CP_STREAM_* */
	const char *what;	/* a function's name; else kind and what it is about; on the console the line's text */
	size_t what_length;
	uint64_t values;	/* a hash, by cp_names_hash(); 0: it has none, and is equal to any */
	uint64_t t;		/* ns */
};

struct cp_stream {
	int number;
	uint32_t *what;		/* numbers of names; owned, as the others */
	uint64_t *values;	/* hashes; NULL: no step has any */
	uint64_t *times;	/* ns; NULL for vCPUs */
	size_t count, room;
	bool has_values;	/* blocks: some of its blocks have */
};

#define CP_TIME_UNKNOWN UINT64_MAX

/* More of a step. Strings are the struct's own, for cp_step_details_deinit(); NULL: it has none. */
struct cp_step_details {
	size_t stream, at;	/* which: an index of streams, and of its steps; set before it is asked for */
	bool known;
	uint64_t t;		/* ns, or CP_TIME_UNKNOWN */
	uint64_t address;	/* of a function's entry; 0: none */
	char *values;		/* "eax=0x1, ebx=0x2" */
	char *text;		/* a console's line */
	char *file;		/* of the source, as the trace has it */
	unsigned int line;
};

struct cp_steps {
	struct cp_names *names;		/* the two boots' */
	struct cp_step_rule rule;
	struct cp_stream *streams;	/* sorted by number, when they are all there */
	size_t stream_count;
	uint32_t *by_number;		/* 1 + index of a stream, by its number + 2, while they are made; owned */
	bool cut;			/* the source ended before the boot did */
	struct cp_trace *trace;		/* where details are looked up, as is what `look` uses; the caller's */
	const void *source;
	/* For a source that is no trace; as cp_steps_look(), and `wanted` is sorted by stream and step. */
	struct cp_error *(*look)(const struct cp_steps *steps, struct cp_step_details *wanted, size_t count);
};

void cp_steps_deinit(struct cp_steps *steps);

/* The stream of that number, which is made if it is new, before they are sorted; NULL: no memory. */
struct cp_stream *cp_steps_make_stream(struct cp_steps *steps, int number);

struct cp_error *cp_steps_add(struct cp_steps *steps, const struct cp_step *step);

/* The same of a step whose name has its number already. */
struct cp_error *cp_steps_add_number(struct cp_steps *steps, int stream, uint32_t what, uint64_t values, uint64_t t);
void cp_steps_sort(struct cp_steps *steps);

/* NULL: there is none of that number. */
const struct cp_stream *cp_steps_stream(const struct cp_steps *steps, int number);

/* Does the trace have an order of steps? */
struct cp_error *cp_steps_check(const struct cp_trace *trace);

/* All steps of a trace. `names` must outlive *ret, which is the caller's until cp_steps_deinit(). */
struct cp_error *cp_steps_of_trace(struct cp_trace *trace, const struct cp_step_rule *rule, struct cp_names *names,
	struct cp_steps *ret);

/* Are they taken one by one, in order of time: lines, blocks into which a session has told more, or to be as texts? */
bool cp_steps_are_told(const struct cp_steps *steps);

/* Fill the details of some steps; `wanted` may be put into another order. */
struct cp_error *cp_steps_look(const struct cp_steps *steps, struct cp_step_details *wanted, size_t count);
void cp_step_details_deinit(struct cp_step_details *details, size_t count);

/* Of two such structs, for qsort() and bsearch(): by stream and step. */
int cp_step_details_by_place(const void *a, const void *b);

/* Bytes as a string, malloc'ed; false: no memory. */
bool cp_step_details_text(char **ret, const char *bytes, size_t length);

/* -- One event of a trace (event.c) -- */

/* A text that grows; zeroed it is empty. `failed`: there was no memory, and it is not whole. */
struct cp_text {
	char *bytes;		/* owned; ends with a 0, unless it is NULL */
	size_t length, room;
	bool failed;
};

void cp_text_clear(struct cp_text *text);	/* it keeps its memory */
void cp_text_add(struct cp_text *text, const char *bytes, size_t length);
void cp_text_printf(struct cp_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cp_text_deinit(struct cp_text *text);

/* An event as a step, in words. Zeroed it is for use again and again, by one rule; cp_step_texts_deinit() ends it. */
struct cp_step_texts {
	int stream;
	bool is_step;		/* false: it is not compared */
	struct cp_text what, values;
	uint64_t hash;		/* of the values; 0: it has none */
	struct cp_ignoring ignoring;
};

void cp_step_texts_deinit(struct cp_step_texts *texts);

struct cp_error *cp_step_of_event(const struct cp_event *event, const struct cp_step_rule *rule,
	const struct cp_trace *trace, struct cp_step_texts *ret);

/* A console's line as a step. */
void cp_step_of_line(const char *line, size_t length, const struct cp_step_rule *rule, struct cp_step_texts *ret);

/*
 * Leave out what the rule says, of a step with its texts; then make the hash of its values, if it has none yet. Texts that
 * have failed, here too, are for the caller to look at.
 */
void cp_step_finish(const struct cp_step_rule *rule, struct cp_step_texts *step);

/* Text in which addresses of the kernel's half are words "(address)". */
void cp_step_add_masked(struct cp_text *text, const char *bytes, size_t length);

/* The hash of values of an entry in blocks, without its texts. */
uint64_t cp_step_hash_values(const uint64_t *values, size_t count, const struct cp_step_rule *rule, int without);

/* Which of the header's "args" is the return address, whose place is another one in another kernel; -1: none. */
int cp_step_return_value(const struct cp_trace *trace);

#endif
