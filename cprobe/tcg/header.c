/* SPDX-License-Identifier: BSD-2-Clause */
/* See header.h. */
#include "header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "values.h"

#define NESTING_MAX 64

static const char *const own[] = {
	"format", "version", "encoding", "clock", "clock_source", "mode", "functions", "callers", "args", "listed", "started",
};

static struct cp_error *
read_file(const char *path, char **ret)
{
	FILE *file = fopen(path, "r");
	size_t room = 0;
	ssize_t size;
	char *text = NULL;

	if (file == NULL)
		return cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
	size = getdelim(&text, &room, '\0', file);
	if (size < 0 || ferror(file)) {
		fclose(file);
		free(text);
		return cp_error_create(CP_ERROR_IO, "%s: is empty or cannot be read: give a JSON object", path);
	}
	fclose(file);
	*ret = text;
	return NULL;
}

/* Behind the string's end, or NULL. */
static char *
skip_string(char *at)
{
	for (at++; *at != '\0' && *at != '"'; at++)
		if (*at == '\\' && *++at == '\0')
			return NULL;
	return *at == '"' ? at + 1 : NULL;
}

static const char *
own_key(const char *begin, const char *end)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if ((size_t)(end - begin) == strlen(own[i]) + 2 && strncmp(begin + 1, own[i], strlen(own[i])) == 0)
			return own[i];
	return NULL;
}

/*
 * From the opening brace to its end: are braces and strings in order, and is no key one of ours? The rest is the trace's
 * reader's to judge. Line breaks become blanks. *end: the closing brace; NULL: malformed.
 */
static const char *
scan(char *at, char **end)
{
	char closing[NESTING_MAX];
	int depth = 0;

	*end = NULL;
	while (*at != '\0') {
		if (*at == '"') {
			char *after = skip_string(at), *colon;

			if (after == NULL)
				return NULL;
			colon = after + strspn(after, " \t\r\n");
			if (depth == 1 && *colon == ':' && own_key(at, after) != NULL)
				return own_key(at, after);
			at = after;
			continue;
		}
		if (*at == '{' || *at == '[') {
			if (depth == NESTING_MAX)
				return NULL;
			closing[depth++] = *at == '{' ? '}' : ']';
		} else if (*at == '}' || *at == ']') {
			if (depth == 0 || closing[--depth] != *at)
				return NULL;
			if (depth == 0) {
				*end = at;
				return NULL;
			}
		} else if (*at == '\n' || *at == '\r') {
			*at = ' ';
		}
		at++;
	}
	return NULL;
}

struct cp_error *
header_read(const char *path, char **ret)
{
	char *text = NULL, *begin, *end = NULL;
	const char *ours = NULL;
	struct cp_error *error = read_file(path, &text);

	if (error != NULL)
		return error;
	begin = text + strspn(text, " \t\r\n");
	if (*begin == '{')
		ours = scan(begin, &end);
	if (ours != NULL)
		error = cp_error_create(CP_ERROR_USAGE, "%s: \"%s\" is written by the plugin itself: leave it out", path, ours);
	else if (end == NULL || end[1 + strspn(end + 1, " \t\r\n")] != '\0')
		error = cp_error_create(CP_ERROR_CORRUPT, "%s: is no JSON object, such as {\"kernel\":{\"name\":\"K\"}}", path);
	if (error == NULL) {
		*end = '\0';
		begin++;
		begin += strspn(begin, " \t");
		*ret = strdup(begin);
		if (*ret == NULL)
			error = &cp_error_no_memory;
	}
	free(text);
	return error;
}

static void
print_kernel(FILE *out, const struct header *header)
{
	const char *base = strrchr(header->kernel, '/');

	fputs(",\"kernel\":{\"name\":", out);
	cp_json_string(out, base != NULL ? base + 1 : header->kernel);
	if (header->build_id != NULL)
		fprintf(out, ",\"build_id\":\"%s\"", header->build_id);
	fputc('}', out);
}

static void
print_globs(FILE *out, char **globs, size_t count)
{
	fputc('[', out);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fputc(',', out);
		cp_json_string(out, globs[i]);
	}
	fputc(']', out);
}

static void
print_listed(FILE *out, const struct header_listed *listed)
{
	fprintf(out, ",\"listed\":{\"all\":%s,\"kernel\":%s,", listed->has_all ? "true" : "false",
	    listed->has_kernel ? "true" : "false");
	if (listed->has_list)
		fputs("\"list\":true,", out);
	fputs("\"files\":", out);
	print_globs(out, listed->files, listed->file_count);
	fputs(",\"functions\":", out);
	print_globs(out, listed->functions, listed->function_count);
	fprintf(out, ",\"inlined\":\"%s\"}", listed->inlined);
}

struct cp_error *
header_make(const struct header *header, char **ret)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool failed;

	if (out == NULL)
		return &cp_error_no_memory;
	fputs("{\"format\":\"bootsonde-trace\",\"version\":1,\"encoding\":\"blocks\"", out);
	if (header->more == NULL && header->kernel != NULL)
		print_kernel(out, header);
	if (header->more != NULL && header->more[0] != '\0')
		fprintf(out, ",%s", header->more);
	fprintf(out, ",\"clock\":\"%s\",\"clock_source\":\"%s\"", host_clock.is_virtual ? "icount" : "host",
	    host_clock.is_virtual ? (host_clock.is_exact ? "qemu" : "instructions") :
	    (host_clock.has_tsc ? "tsc" : "monotonic"));
	fprintf(out, ",\"mode\":\"%s\",\"functions\":%zu,\"callers\":%s,\"args\":",
	    header->is_counting ? "counts" : "events", header->functions, header->has_callers ? "true" : "false");
	if (header->has_values)
		values_print(out);
	else
		fputs("[]", out);
	print_listed(out, header->listed);
	if (!host_clock.is_virtual)
		fprintf(out, ",\"started\":%" PRIu64, host_clock.start);
	fputs("}\n", out);
	failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return &cp_error_no_memory;
	}
	*ret = text;
	return NULL;
}
