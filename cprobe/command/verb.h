/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a verb is: one file verb_NAME.c with one struct cp_verb, listed in verbs.c. main parses the command line by
 * the verb's `takes`, opens the kernel, calls run and prints the records. What --help says of it is its section of the
 * man page, docs/man/cprobe.1. Of the library only cprobe.h is used here.
 */
#ifndef CPROBE_VERB_H
#define CPROBE_VERB_H

#include "cprobe.h"

/* Options beside --format and --help, which every verb takes. */
enum cp_takes {
	CP_TAKES_FILE = 1 << 0,
	CP_TAKES_FUNC = 1 << 1,
	CP_TAKES_INLINED = 1 << 2,
	CP_TAKES_INSN = 1 << 3,
	CP_TAKES_MESSAGE = 1 << 4,
	CP_TAKES_IN = 1 << 5,		/* --in-func, --in-file */
	CP_TAKES_INLINES = 1 << 6,
	CP_TAKES_INPUTS = 1 << 7,	/* --inputs, --padding */
	CP_TAKES_TIMES = 1 << 8,	/* --from, --to */
	CP_TAKES_GAP = 1 << 9,
	CP_TAKES_TREE = 1 << 10,	/* --depth, --least */
	CP_TAKES_LIMIT = 1 << 11,
	CP_TAKES_DIFF = 1 << 12,	/* --console, --slower, --kernel, --kernel-baseline */
	CP_TAKES_BASELINE = 1 << 13,	/* --console, --slower, --kernel, --like */
};

struct cp_verb;

struct cp_options {
	const struct cp_verb *verb;
	enum cp_format format;
	struct cp_where where;	/* --file and --func, or --in-file and --in-func */
	bool inlines, inputs, padding;
	enum cp_inlined inlined;
	const char *insn, *message;
	uint64_t from, to, gap, least;	/* ns */
	uint64_t depth, limit;
	bool has_console, has_slower;
	enum cp_console console;
	uint64_t slower;	/* percent, or CP_SLOWER_NO */
	const char *like;	/* a baseline; or NULL */
	const char *kernel_now, *kernel_baseline;	/* of diff's traces; or NULL */
	const char *kernel;
	const char *trace;
	char **args;	/* the positional arguments after KERNEL, without TRACE */
	int arg_count;
	unsigned int given;	/* a bit for each option of the table in options.c */
};

struct cp_verb {
	const char *name;
	const char *words;		/* what its arguments after KERNEL are, each; NULL: it takes none */
	unsigned int takes;
	uint64_t limit;			/* --limit, where it is not given */
	bool no_kernel;			/* it has no KERNEL, but a TRACE */
	bool has_trace;			/* its last word is a TRACE */
	bool no_input;			/* its words stand on the command line alone */
	bool waits;			/* answers each line of standard input when it comes, from a terminal too */
	/* Do the options make sense together? May be NULL. */
	struct cp_error *(*check)(const struct cp_options *options);
	/*
	 * Add what was found to `records`, which main sorts and prints. A verb that prints by itself (info, symbolize, those
	 * about traces) sets *status instead; `program` is NULL for one without KERNEL. Notes for the user go to standard error, by cp_complain().
	 */
	struct cp_error *(*run)(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
		int *status);
};

extern const struct cp_verb *const cp_verbs[];	/* ends with NULL */
extern const struct cp_verb cp_verb_info, cp_verb_list, cp_verb_find, cp_verb_line, cp_verb_symbol,
	cp_verb_type, cp_verb_symbolize, cp_verb_coverage, cp_verb_events, cp_verb_tree, cp_verb_top,
	cp_verb_why, cp_verb_next, cp_verb_diff, cp_verb_baseline;

/* NULL: there is none. */
const struct cp_verb *cp_verb_by_name(const char *name);

/* For a verb's check(): the format is text or json. */
struct cp_error *cp_check_text_or_json(const struct cp_options *options);

/*
 * Open the verb's TRACE and see that it is one of the program's kernel; program NULL: of any. What is wrong with it and no
 * error is said. *ret is the caller's until cp_trace_close().
 */
struct cp_error *cp_verb_trace(struct cp_program *program, const struct cp_options *options, struct cp_trace **ret);

/* "cprobe: TEXT" on standard error. */
void cp_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
