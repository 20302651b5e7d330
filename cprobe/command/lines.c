/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/lines.h"

#define FIRST_SIZE ((size_t)64 * 1024)

void cp_lines_deinit(struct cp_lines *lines)
{
	free(lines->buffer);
	lines->buffer = NULL;
}

/* Room for at least one more byte, beside the NUL that ends a line without line feed. */
static struct cp_error *make_room(struct cp_lines *lines)
{
	size_t size = lines->size ? lines->size : FIRST_SIZE;
	char *buffer;

	if (lines->start) {
		memmove(lines->buffer, lines->buffer + lines->start, lines->used - lines->start);
		lines->used -= lines->start;
		lines->start = 0;
	}
	if (lines->used > CP_LONGEST_LINE) {
		lines->cut = true;
		lines->used = lines->seen = 0;
	}
	while (size < lines->used + 2)
		size *= 2;
	if (size == lines->size)
		return NULL;
	buffer = realloc(lines->buffer, size);
	if (!buffer)
		return &cp_error_no_memory;
	lines->buffer = buffer;
	lines->size = size;
	return NULL;
}

static bool would_wait(int fd)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };

	return poll(&input, 1, 0) <= 0;
}

/* More bytes, or the end. */
static struct cp_error *fill(struct cp_lines *lines)
{
	struct cp_error *error = make_room(lines);

	if (error)
		return error;
	if (lines->before_wait && would_wait(lines->fd) && !lines->before_wait(lines->context)) {
		lines->ended = true;
		lines->used = lines->start;
		return NULL;
	}
	for (;;) {
		ssize_t got = read(lines->fd, lines->buffer + lines->used, lines->size - 1 - lines->used);

		if (got >= 0) {
			lines->used += (size_t)got;
			lines->ended = got == 0;
			return NULL;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK) {	/* whoever shares it made it non-blocking */
			struct pollfd input = { .fd = lines->fd, .events = POLLIN };

			poll(&input, 1, -1);
		} else if (errno != EINTR) {
			return cp_error_create(CP_ERROR_IO, "standard input: %s", strerror(errno));
		}
	}
}

/* Hand out `length` bytes; their end is overwritten. */
static char *take(struct cp_lines *lines, size_t length, enum cp_line_state *state)
{
	char *line = lines->buffer + lines->start;

	lines->start += length < lines->used - lines->start ? length + 1 : length;
	lines->seen = 0;
	line[length] = 0;
	*state = lines->cut ? CP_LINE_TOO_LONG : memchr(line, 0, length) ? CP_LINE_NUL : CP_LINE_GOOD;
	lines->cut = false;
	if (*state != CP_LINE_GOOD)
		length = 0;
	else if (length && line[length - 1] == '\r')
		length--;
	line[length] = 0;
	return line;
}

struct cp_error *cp_lines_next(struct cp_lines *lines, enum cp_line_state *state, char **ret)
{
	static char nothing[1];

	for (;;) {
		size_t unread = lines->used - lines->start;
		char *newline = unread > lines->seen ? memchr(lines->buffer + lines->start + lines->seen, '\n',
			unread - lines->seen) : NULL;
		struct cp_error *error;

		if (newline) {
			*ret = take(lines, (size_t)(newline - lines->buffer) - lines->start, state);
			return NULL;
		}
		lines->seen = unread;
		if (lines->ended && (unread || lines->cut)) {
			*ret = take(lines, unread, state);
			return NULL;
		}
		if (lines->ended) {
			*state = CP_LINE_END;
			*ret = nothing;
			return NULL;
		}
		error = fill(lines);
		if (error)
			return error;
	}
}

const char *cp_line_fault(enum cp_line_state state)
{
	return state == CP_LINE_TOO_LONG ? "longer than 1 MiB" : "with a NUL byte";
}
