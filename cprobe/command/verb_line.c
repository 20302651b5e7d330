/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "command/words.h"

static struct cp_error *ask(struct cp_program *program, const struct cp_options *options, char *place,
	struct cp_records *records)
{
	char *colon = strrchr(place, ':'), *end;
	struct cp_error *error;
	unsigned long line;

	(void)options;
	errno = 0;
	line = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
	if (!line || errno || *end || line > UINT_MAX || colon == place)
		return cp_error_create(CP_ERROR_USAGE, "line: \"%s\": give FILE:LINE, such as local_apic.c:547", place);
	*colon = 0;
	error = cp_find_line(program, place, (unsigned int)line, records);
	*colon = ':';
	return error;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	(void)status;
	return cp_words_ask(program, options, CP_PART_PLACE, ask, NULL, records);
}

const struct cp_verb cp_verb_line = { .name = "line", .words = "FILE:LINE", .run = run };
