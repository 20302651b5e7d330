/* SPDX-License-Identifier: BSD-2-Clause */
/* The words that a verb asks about: its arguments, or without any the lines of standard input. */
#ifndef CPROBE_COMMAND_WORDS_H
#define CPROBE_COMMAND_WORDS_H

#include "command/input.h"
#include "command/verb.h"

/* Ask about one word, which may be changed meanwhile, but is as it was afterwards. */
typedef struct cp_error *cp_word_fn(struct cp_program *program, const struct cp_options *options, char *word,
	struct cp_records *records);

/*
 * Ask about each argument; an error ends it. Or about each line of standard input: there a line that makes no sense is
 * said on standard error and passed over, and what was asked once is not asked again. A word that gave no record is said
 * to be no `noun`, if there is one; of many from standard input, the first ones and how many more there were.
 */
struct cp_error *cp_words_ask(struct cp_program *program, const struct cp_options *options, enum cp_part part,
	cp_word_fn *ask, const char *noun, struct cp_records *records);

#endif
