/* SPDX-License-Identifier: BSD-2-Clause */
/* See output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"

#define STATUS_SIZE 512		/* bytes of the line, so that one pwrite(2) replaces it */

static const char *trace_path, *status_path;
static int trace = -1, status = -1;
static off_t offset;		/* of the trace, behind its last whole block */
static off_t preview_end;	/* 0: nothing unfinished lies behind that */
static char problem[128];

static struct cp_error *
make(const char *path, int *ret)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
	*ret = fd;
	return NULL;
}

struct cp_error *
output_open(const char *trace_file, const char *status_file)
{
	struct cp_error *error = make(trace_file, &trace);

	trace_path = trace_file;
	status_path = status_file;
	return error != NULL || status_file == NULL ? error : make(status_file, &status);
}

void
output_close(void)
{
	if (close(trace) != 0 && problem[0] == '\0')
		complain("%s: %s", trace_path, strerror(errno));
	if (status >= 0)
		close(status);
}

static bool
write_at(const void *data, size_t size, off_t at)
{
	const char *from = data;

	while (size > 0) {
		ssize_t done = pwrite(trace, from, size, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = EIO;
			return false;
		}
		from += done;
		size -= (size_t)done;
		at += done;
	}
	return true;
}

static void
cut(void)
{
	if (ftruncate(trace, offset) != 0)
		complain("%s: cannot be shortened: %s", trace_path, strerror(errno));
}

void
output_drop_preview(void)
{
	if (preview_end != 0)
		cut();
	preview_end = 0;
}

bool
output_append(void *unused, const void *data, size_t size)
{
	(void)unused;
	if (problem[0] != '\0')
		return false;
	output_drop_preview();
	if (!write_at(data, size, offset)) {
		snprintf(problem, sizeof(problem), "the trace cannot be written further: %s", strerror(errno));
		complain("%s", problem);
		cut();	/* the part that did fit would only have to be told from a damaged block */
		return false;
	}
	offset += (off_t)size;
	return true;
}

const char *
output_problem(void)
{
	return problem[0] != '\0' ? problem : NULL;
}

void
output_begin_preview(void)
{
	output_drop_preview();
	preview_end = offset;
}

bool
output_preview(void *unused, const void *data, size_t size)
{
	(void)unused;
	if (problem[0] != '\0' || !write_at(data, size, preview_end))
		return false;
	preview_end += (off_t)size;
	return true;
}

void
output_status(const char *text, size_t size)
{
	char line[STATUS_SIZE];

	if (status < 0 || size >= sizeof(line))
		return;
	memset(line, ' ', sizeof(line));
	memcpy(line, text, size);
	line[sizeof(line) - 1] = '\n';
	if (pwrite(status, line, sizeof(line), 0) != (ssize_t)sizeof(line)) {
		complain("%s: cannot be written further: %s", status_path, strerror(errno));
		close(status);
		status = -1;
	}
}
