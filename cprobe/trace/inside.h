/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of this room share: how a trace is kept. The file is read by pread(2) into buffers, not mapped: who
 * overwrites or cuts it meanwhile cannot change a block between its check and its decoding, nor end the reader by
 * SIGBUS.
 */
#ifndef CPROBE_TRACE_INSIDE_H
#define CPROBE_TRACE_INSIDE_H

#include <jansson.h>

#include "base/arena.h"
#include "trace/format.h"
#include "trace/trace.h"

/* No time is later: it is written as a number in JSON, which others read into 63 bits. */
#define CP_TRACE_LAST ((uint64_t)INT64_MAX)

/* Where the records of a block lie. Blocks without records are not kept. */
struct cp_trace_block {
	uint64_t at;		/* offset in the file */
	uint64_t t;
	uint32_t size, count, check;
	uint16_t kind, flags, vcpu;
};

/*
 * What an id stands for. In tables of their own is since when: 1 + the number of the block that defines it, 0 none.
 * These are looked at for every event, and stay in the processor's cache.
 */
struct cp_trace_function {
	const char *name;
	uint64_t address;
};

struct cp_trace {
	char *path;
	int fd;
	uint64_t size;			/* of the file, as it was opened */
	uint64_t start;			/* of what follows the header's line */
	cp_note_fn *note;		/* or NULL */
	void *note_context;
	json_t *header, *end;		/* end: NULL: it was cut off */
	bool is_blocks;

	struct cp_trace_block *blocks;
	size_t block_count;
	struct cp_arena arena;		/* names */
	struct cp_trace_function *functions;	/* by id, up to the limits */
	uint64_t *sites;
	uint32_t *functions_since, *sites_since;
	size_t function_limit, site_limit;
	size_t defined;			/* functions */

	struct cp_ran *ran;
	size_t ran_count;
	bool has_ran;
	bool has_callers;
	uint64_t events, last;		/* JSON Lines: hits and others; ns of the last one */
};

/* "PATH: offset 0xAT: WHAT": the trace is damaged there. */
struct cp_error *cp_trace_corrupt(const struct cp_trace *trace, uint64_t at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void cp_trace_note(const struct cp_trace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `size` bytes of the file, which must have them; an error says that it became shorter meanwhile. */
struct cp_error *cp_trace_read(const struct cp_trace *trace, uint64_t at, void *buffer, size_t size);

/* -- Blocks (index.c, cursor.c) -- */

/* Find the blocks and read what defines functions and sites, and the end record. */
struct cp_error *cp_trace_index(struct cp_trace *trace);

/* A block being decoded. Zeroed it has no block, and can be given one; cp_cursor_deinit() ends it. */
struct cp_cursor {
	const struct cp_trace *trace;
	const struct cp_trace_block *block;
	uint8_t *buffer;		/* owned */
	size_t room;
	const uint8_t *at, *end;
	uint32_t left;			/* records */
	uint64_t t;			/* of the last record */
	uint64_t values[CP_VALUES_MAX];	/* of the last hit */
};

#define CP_HITS 256		/* that are worth to be decoded at once */

struct cp_hit {
	uint64_t t;
	uint32_t function;		/* an id that is defined */
	uint32_t site;			/* an id that is defined, + 1; 0 not known */
	uint32_t value_count;		/* of the cursor's values */
};

/* Read the block's records and compare their checksum. */
struct cp_error *cp_cursor_open(struct cp_cursor *cursor, const struct cp_trace *trace, size_t block);
void cp_cursor_deinit(struct cp_cursor *cursor);

/* The next record of a block of that kind. *more false: there is none any more, and the block ends where it says. */
struct cp_error *cp_cursor_hit(struct cp_cursor *cursor, struct cp_hit *ret, bool *more);
/* The next ones, up to `room`, which is quicker; one if they have values. *count 0: there is none any more. */
struct cp_error *cp_cursor_hits(struct cp_cursor *cursor, struct cp_hit *ret, size_t room, size_t *count);
/* Texts lie in the cursor's buffer. */
struct cp_error *cp_cursor_console(struct cp_cursor *cursor, const char **text, size_t *length, bool *more);
struct cp_error *cp_cursor_json(struct cp_cursor *cursor, json_t **ret, const char **text, size_t *length, bool *more);
struct cp_error *cp_cursor_function(struct cp_cursor *cursor, uint64_t *id, uint64_t *address, const char **name,
	size_t *length, bool *more);
struct cp_error *cp_cursor_site(struct cp_cursor *cursor, uint64_t *id, uint64_t *address, bool *more);
struct cp_error *cp_cursor_count(struct cp_cursor *cursor, uint64_t *function, uint64_t *count, uint64_t *first,
	uint64_t *vcpu, bool *more);

/* -- JSON (lines.c) -- */

/* The object that a text is, for the caller to json_decref(); NULL: it is none. The error is that of no memory. */
struct cp_error *cp_trace_value(const char *text, size_t length, json_t **ret);	/* any value */
struct cp_error *cp_trace_object(const char *text, size_t length, json_t **ret);

/* Was jansson, which is not careful with it, refused memory in this thread since this was last asked? */
bool cp_trace_json_refused(void);

/* The event that an object is. What it lacks or has of another type is told as words in *fault, else that is NULL. */
void cp_trace_event_of(json_t *object, struct cp_event *ret, const char **fault);

/* Look at every line of the JSON Lines form: what ran, the end record, how much there is. */
struct cp_error *cp_trace_read_lines(struct cp_trace *trace);
struct cp_error *cp_trace_walk_lines(struct cp_trace *trace, cp_event_fn *each, void *context);

/* -- What ran (ran.c) -- */

/* An entry, or several; false: no memory. */
struct cp_ran_list {
	struct cp_ran *items;	/* malloc'ed */
	size_t count;
};

bool cp_ran_add(struct cp_ran_list *list, const struct cp_ran *ran);

/* Sort, and make one of what has one address and name. */
struct cp_error *cp_ran_finish(struct cp_ran_list *list);

#endif
