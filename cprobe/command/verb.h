/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a verb is: one file verb_NAME.c with one struct cp_verb, listed in verbs.c. main parses the command line by
 * the verb's `takes`, opens the kernel, calls run and prints the records.
 */
#ifndef CPROBE_VERB_H
#define CPROBE_VERB_H

#include "cprobe.h"

/* Options beside --format, which every verb takes. */
enum cp_takes {
	CP_TAKES_FILE = 1 << 0,		/* --file GLOB, repeated */
	CP_TAKES_FUNC = 1 << 1,		/* --func GLOB, repeated */
	CP_TAKES_INLINED = 1 << 2,
	CP_TAKES_INSN = 1 << 3,
	CP_TAKES_MESSAGE = 1 << 4,
	CP_TAKES_IN = 1 << 5,		/* --in-func GLOB, --in-file GLOB, repeated */
	CP_TAKES_INLINES = 1 << 6,	/* --inlines, without a value */
};

struct cp_options {
	enum cp_format format;
	struct cp_where where;	/* --file and --func, or --in-file and --in-func */
	bool inlines;
	enum cp_inlined inlined;
	const char *insn, *message;
	const char *kernel;
	char **args;	/* the positional arguments after KERNEL */
	int arg_count;
};

struct cp_verb {
	const char *name, *usage, *help;
	unsigned int takes;
	int min_args, max_args;		/* after KERNEL; max -1: any number */
	/*
	 * Add what was found to `records`, which main sorts and prints. A verb that prints by itself (info, symbolize) sets
	 * *status instead. Notes for the user go to standard error, by cp_complain().
	 */
	struct cp_error *(*run)(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
		int *status);
};

extern const struct cp_verb *const cp_verbs[];	/* ends with NULL */
extern const struct cp_verb cp_verb_info, cp_verb_list, cp_verb_find, cp_verb_line, cp_verb_symbol,
	cp_verb_type, cp_verb_symbolize;

/* "cprobe: TEXT" on standard error. */
void cp_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
