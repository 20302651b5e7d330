/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

void fuzz_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, what);
	abort();
}

/* The file that each input is written to in turn; it goes with the process. */
static char path[] = "/tmp/cprobe-fuzz-XXXXXX";

static void remove_file(void)
{
	unlink(path);
}

static int file(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = mkstemp(path);
		FUZZ_ASSERT(fd >= 0);
		atexit(remove_file);
		setenv("CPROBE_DEBUG_DIR", "/nonexistent", 1);	/* else answers would depend on the machine */
	}
	return fd;
}

static void ignore(void *context, const char *text)
{
	(void)context;
	FUZZ_ASSERT(text && !strchr(text, '\n'));
}

static void put(const uint8_t *data, size_t size)
{
	int fd = file();

	FUZZ_ASSERT(!ftruncate(fd, 0));
	FUZZ_ASSERT(pwrite(fd, data, size, 0) == (ssize_t)size);
}

struct cp_baseline *fuzz_open_baseline(const uint8_t *data, size_t size)
{
	struct cp_baseline *baseline = NULL;

	put(data, size);
	fuzz_take_error(cp_baseline_open(path, &baseline));
	return baseline;
}

struct cp_program *fuzz_open(const uint8_t *data, size_t size)
{
	struct cp_program *program = NULL;

	put(data, size);
	fuzz_take_error(cp_program_open(path, ignore, NULL, &program));
	return program;
}

void fuzz_take_error(struct cp_error *error)
{
	if (!error)
		return;
	FUZZ_ASSERT(*error->message);
	FUZZ_ASSERT(error->code != CP_ERROR_NO_MEMORY);
	cp_error_destroy(error);
}

static size_t lines_of(const struct cp_records *records, enum cp_format format)
{
	char *text = NULL;
	size_t size = 0, lines = 0;
	FILE *out = open_memstream(&text, &size);

	FUZZ_ASSERT(out);
	fuzz_take_error(cp_records_print(out, records, format));
	FUZZ_ASSERT(!fclose(out));
	for (size_t i = 0; i < size; i++) {
		FUZZ_ASSERT(text[i] == '\n' || (unsigned char)text[i] >= 0x20);
		FUZZ_ASSERT(text[i] != 0x7f);
		lines += text[i] == '\n';
	}
	free(text);
	return lines;
}

void fuzz_take_records(struct cp_records *records, enum fuzz_lines lines)
{
	if (lines == FUZZ_SORTED) {
		fuzz_take_error(cp_records_sort(records));
		for (size_t i = 1; i < records->count; i++) {
			const struct cp_record *r = &records->items[i];

			FUZZ_ASSERT(r->kind == CP_KIND_FIELD || r->kind == CP_KIND_TYPE || r[-1].address <= r->address);
		}
	}
	FUZZ_ASSERT(lines_of(records, CP_FORMAT_TEXT) == records->count || lines == FUZZ_WITH_INLINES);
	FUZZ_ASSERT(lines_of(records, CP_FORMAT_JSON) == records->count);
	lines_of(records, CP_FORMAT_GDB);
}
