/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines from a file descriptor, told apart from waiting for them: what a filter needs that is also a coprocess. */
#ifndef CPROBE_COMMAND_LINES_H
#define CPROBE_COMMAND_LINES_H

#include "cprobe.h"

/* Longer ones are read to their end and not kept. No line that cprobe prints comes near it. */
#define CP_LONGEST_LINE ((size_t)1 << 20)

struct cp_lines {
	int fd;
	/* Called before a read that may block. False: do not read, there are no more lines. May be NULL. */
	bool (*before_wait)(void *context);
	void *context;

	char *buffer;
	size_t size, start, used;	/* of the buffer; unread bytes are from start to used */
	size_t seen;			/* bytes after start that are known to have no line feed */
	bool ended, cut;
};

enum cp_line_state {
	CP_LINE_END,		/* there is none any more */
	CP_LINE_GOOD,
	CP_LINE_TOO_LONG,
	CP_LINE_NUL,		/* it has a NUL byte */
};

/* `lines` with fd, before_wait and context set and the rest zero; cp_lines_deinit() frees what it holds. */
void cp_lines_deinit(struct cp_lines *lines);

/*
 * The next line without its end (LF or CR LF; the last may have none), valid until the next call; "" unless it is good.
 */
struct cp_error *cp_lines_next(struct cp_lines *lines, enum cp_line_state *state, char **ret);

/* What is wrong with a line that is not good, as words. */
const char *cp_line_fault(enum cp_line_state state);

#endif
