/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/words.h"

static struct cp_error *ask(struct cp_program *program, const struct cp_options *options, char *word,
	struct cp_records *records)
{
	(void)options;
	return cp_find_type(program, word, records);
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	(void)status;
	return cp_words_ask(program, options, CP_PART_TYPE, ask, "type", records);
}

const struct cp_verb cp_verb_type = { .name = "type", .words = "STRUCT[.FIELD]", .run = run };
