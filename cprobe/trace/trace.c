/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening a trace: its header says which form it has. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/inside.h"

#define FORMAT "bootsonde-trace"
#define VERSION 1

/* A header line that is longer is none: it holds QEMU's arguments, and what was asked for. */
#define LONGEST_HEADER ((size_t)1 << 20)

struct cp_error *cp_trace_corrupt(const struct cp_trace *trace, uint64_t at, const char *format, ...)
{
	struct cp_error *error;
	char *text = NULL;
	va_list ap;
	int length;

	va_start(ap, format);
	length = vasprintf(&text, format, ap);
	va_end(ap);
	if (length < 0)
		return &cp_error_no_memory;
	error = cp_error_create(CP_ERROR_CORRUPT, "%s: the trace is damaged at offset 0x%" PRIx64 ": %s", trace->path, at,
		text);
	free(text);
	return error;
}

void cp_trace_note(const struct cp_trace *trace, const char *format, ...)
{
	char text[1024];
	va_list ap;

	if (!trace->note)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	trace->note(trace->note_context, text);
}

struct cp_error *cp_trace_read(const struct cp_trace *trace, uint64_t at, void *buffer, size_t size)
{
	for (size_t done = 0; done < size; ) {
		ssize_t got = pread(trace->fd, (char *)buffer + done, size - done, (off_t)(at + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cp_error_create(CP_ERROR_IO, "%s: %s: cannot be read", trace->path, strerror(errno));
		if (!got)
			return cp_error_create(CP_ERROR_IO, "%s: became shorter while it was read: it ends at offset 0x%" PRIx64
				", and had 0x%" PRIx64 " bytes: is it being written anew?", trace->path, at + done, trace->size);
		done += (size_t)got;
	}
	return NULL;
}

static struct cp_error *open_file(struct cp_trace *trace)
{
	struct stat st;

	trace->fd = open(trace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (trace->fd < 0)
		return cp_error_create(CP_ERROR_IO, "%s: %s: give the path of a trace", trace->path, strerror(errno));
	if (fstat(trace->fd, &st) < 0)
		return cp_error_create(CP_ERROR_IO, "%s: %s: cannot be examined", trace->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cp_error_create(CP_ERROR_IO, "%s: %s: give the path of a trace", trace->path,
			S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
	trace->size = (uint64_t)st.st_size;
	return NULL;
}

static struct cp_error *no_trace(const struct cp_trace *trace, const char *why)
{
	return cp_error_create(CP_ERROR_CORRUPT, "%s: no trace: %s: give a file that bootsonde run --trace or bootsonde trace "
		"wrote", trace->path, why);
}

/* Does the header say what this cprobe reads? */
static struct cp_error *check_header(struct cp_trace *trace)
{
	const char *format = json_string_value(json_object_get(trace->header, "format"));
	json_t *version = json_object_get(trace->header, "version");
	json_t *encoding = json_object_get(trace->header, "encoding");

	if (!format || strcmp(format, FORMAT))
		return no_trace(trace, "the format that its first line names is not \"" FORMAT "\"");
	if (!json_is_integer(version) || json_integer_value(version) != VERSION)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: trace version %" JSON_INTEGER_FORMAT ": this cprobe reads "
			"version %d", trace->path, json_integer_value(version), VERSION);
	if (encoding && !(json_is_string(encoding) && !strcmp(json_string_value(encoding), "blocks")))
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: encoding \"%s\": this cprobe reads JSON Lines and blocks",
			trace->path, json_is_string(encoding) ? json_string_value(encoding) : "?");
	trace->is_blocks = encoding != NULL;
	return NULL;
}

static struct cp_error *read_header(struct cp_trace *trace)
{
	size_t room = trace->size < LONGEST_HEADER ? (size_t)trace->size : LONGEST_HEADER, have = 0, next = 4096;
	char *text = malloc(room ? room : 1), *end = NULL;
	struct cp_error *error = NULL;

	if (!text)
		return &cp_error_no_memory;
	/* Most headers are short, and what follows is read again. */
	while (!error && !end && have < room) {
		size_t count = next < room - have ? next : room - have;

		error = cp_trace_read(trace, have, text + have, count);
		if (!error)
			end = memchr(text + have, '\n', count);
		have += count;
		next = room;
	}
	if (!error && !end) {
		error = no_trace(trace, trace->size ? "its first line is no header" : "it is empty");
	} else if (!error) {
		error = cp_trace_object(text, (size_t)(end - text), &trace->header);
		trace->start = (uint64_t)(end - text) + 1;
		if (!error)
			error = trace->header ? check_header(trace) : no_trace(trace, "its first line is no JSON object");
	}
	free(text);
	return error;
}

struct cp_error *cp_trace_open(const char *path, cp_note_fn *note, void *context, struct cp_trace **ret)
{
	struct cp_trace *trace = calloc(1, sizeof(*trace));
	struct cp_error *error;

	if (!trace)
		return &cp_error_no_memory;
	trace->fd = -1;
	trace->note = note;
	trace->note_context = context;
	cp_arena_init(&trace->arena);
	trace->path = strdup(path);
	error = trace->path ? open_file(trace) : &cp_error_no_memory;
	if (!error)
		error = read_header(trace);
	if (!error)
		error = trace->is_blocks ? cp_trace_index(trace) : cp_trace_read_lines(trace);
	if (error) {
		cp_trace_close(trace);
		return error;
	}
	*ret = trace;
	return NULL;
}

void cp_trace_close(struct cp_trace *trace)
{
	if (!trace)
		return;
	if (trace->fd >= 0)
		close(trace->fd);
	json_decref(trace->header);
	json_decref(trace->end);
	free(trace->blocks);
	free(trace->functions);
	free(trace->sites);
	free(trace->functions_since);
	free(trace->sites_since);
	free(trace->ran);
	cp_arena_deinit(&trace->arena);
	free(trace->path);
	free(trace);
}

bool cp_trace_has_callers(const struct cp_trace *trace)
{
	return trace->has_callers;
}

uint64_t cp_trace_end_time(const struct cp_trace *trace)
{
	json_t *t = json_object_get(trace->end, "t");

	return json_is_integer(t) && json_integer_value(t) > 0 ? (uint64_t)json_integer_value(t) : 0;
}

const char *cp_trace_build_id(const struct cp_trace *trace)
{
	json_t *kernel = json_object_get(trace->header, "kernel");
	const char *id = json_string_value(json_object_get(kernel, "build_id"));

	if (!id)
		id = json_string_value(json_object_get(kernel, "build-id"));	/* what sessions in GDB call it */
	return id && *id ? id : NULL;
}

struct cp_error *cp_trace_check(const struct cp_trace *trace, struct cp_program *program)
{
	const char *id = cp_trace_build_id(trace);
	struct cp_info info;
	struct cp_error *error = cp_info(program, &info);

	if (error)
		return error;
	if (id && info.build_id[0]) {
		if (!strcasecmp(id, info.build_id))
			return NULL;
		return cp_error_create(CP_ERROR_CORRUPT, "%s: a trace of another kernel, of build-id %s; %s has %s: give the kernel "
			"that was traced", trace->path, id, info.path, info.build_id);
	}
	cp_trace_note(trace, "%s: whether it is a trace of %s is not known: %s no build-id", trace->path, info.path,
		id ? "the kernel has" : info.build_id[0] ? "the trace names" : "the kernel has, and the trace names,");
	return NULL;
}
