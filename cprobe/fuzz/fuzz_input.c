/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of standard input. Byte 0 even: the bytes are lines, read as verbs read them. Odd: they are the name, the file and
 * so on of a record, and what is printed of it is understood again.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/glob.h"
#include "command/input.h"
#include "command/lines.h"
#include "fuzz/fuzz.h"

static void read_lines(const uint8_t *data, size_t size)
{
	struct cp_lines lines = { .fd = -1 };
	enum cp_line_state state;
	char *line;
	int ends[2];

	if (size > 4096)
		size = 4096;	/* what a pipe holds */
	FUZZ_ASSERT(!pipe(ends));
	FUZZ_ASSERT(write(ends[1], data, size) == (ssize_t)size);
	close(ends[1]);
	lines.fd = ends[0];
	for (size_t number = 0;; number++) {
		enum cp_input kind;
		char *room = NULL, *text = NULL;

		fuzz_take_error(cp_lines_next(&lines, &state, &line));
		if (state == CP_LINE_END)
			break;
		FUZZ_ASSERT(number <= size);
		FUZZ_ASSERT(strlen(line) <= size && !strchr(line, '\n'));
		fuzz_take_error(cp_input_part(line, number % 4, &kind, &room, &text));
		FUZZ_ASSERT(kind == CP_INPUT_LACKING || kind == CP_INPUT_PASS || strlen(text) <= 2 * size + 32);
		free(room);
	}
	cp_lines_deinit(&lines);
	close(ends[0]);
}

/* A string from the front of the bytes, up to a NUL. */
static char *cut(const uint8_t **data, size_t *size)
{
	const uint8_t *nul = memchr(*data, 0, *size);
	size_t length = nul ? (size_t)(nul - *data) : *size;
	char *text = strndup((const char *)*data, length);

	FUZZ_ASSERT(text);
	*data += nul ? length + 1 : length;
	*size -= nul ? length + 1 : length;
	return text;
}

static void read_back(const struct cp_records *records, enum cp_part part, const char *expected)
{
	char *printed = NULL, *room = NULL, *text = NULL, *newline;
	enum cp_input kind;
	size_t size;
	FILE *out = open_memstream(&printed, &size);

	FUZZ_ASSERT(out);
	fuzz_take_error(cp_records_print(out, records, CP_FORMAT_JSON));
	FUZZ_ASSERT(!fclose(out));
	newline = strchr(printed, '\n');
	FUZZ_ASSERT(newline && !newline[1]);
	*newline = 0;
	fuzz_take_error(cp_input_part(printed, part, &kind, &room, &text));
	FUZZ_ASSERT(kind == CP_INPUT_PART || (!*expected || !strcmp(expected, "?")));
	if (kind == CP_INPUT_PART)
		FUZZ_ASSERT(!strcmp(text, expected) || !fnmatch(text, expected, 0));
	free(printed);
	free(room);
}

static void round_trip(const uint8_t *data, size_t size)
{
	char *name = cut(&data, &size), *file = cut(&data, &size), place[600];
	struct cp_record record = { .address = 0xffffffff80201000, .name = name, .file = file, .line = 77,
		.kind = CP_KIND_FUNCTION };
	struct cp_records records;
	char *plus;

	cp_records_init(&records, CP_BRIEF);
	records.items = &record;
	records.count = 1;
	read_back(&records, CP_PART_ADDRESS, "0xffffffff80201000");
	snprintf(place, sizeof(place), "%s:77", file);
	if (strlen(file) < 256 && *file && strcmp(file, "?"))
		read_back(&records, CP_PART_PLACE, place);
	plus = strrchr(name, '+');	/* an offset is cut off */
	if (!plus && strlen(name) < 256)
		read_back(&records, CP_PART_NAME, name);
	free(name);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		round_trip(data + 1, size - 1);
	else
		read_lines(data + 1, size - 1);
	return 0;
}
