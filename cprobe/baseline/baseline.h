/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A baseline: what a boot is to do, as a text that people read, edit and keep in git. docs/baseline.md has the format.
 * It is read into a struct cp_baseline, and made of traces of one boot (make.c, write.c).
 */
#ifndef CPROBE_BASELINE_H
#define CPROBE_BASELINE_H

#include <sys/types.h>

#include "diff/durations.h"
#include "diff/steps.h"

#define CP_BASELINE_MAGIC "bootsonde-baseline"
#define CP_BASELINE_VERSION 1
#define CP_BASELINE_SLOWER 10	/* percent, where nobody says another number */
#define CP_BASELINE_MOST_STEPS (1u << 26)	/* loops unrolled */
#define CP_BASELINE_LARGEST ((off_t)256 << 20)	/* bytes of the file */

enum cp_baseline_kind {
	CP_BASELINE_STEP,
	CP_BASELINE_TIMES,	/* what follows, up to its end, so many times */
	CP_BASELINE_END,
};

/* What is a step, in whatever lines. Strings are the baseline's. */
struct cp_baseline_step {
	const char *what;	/* of the console: what is the line; ends with a 0, and may have some */
	size_t what_length;
	const char *values;	/* NULL: any */
	size_t values_length;
	bool is_line;		/* of the console */
};

/* A line of the sections that have steps. */
struct cp_baseline_line {
	uint8_t kind;		/* an enum cp_baseline_kind */
	int stream;
	uint32_t of;		/* STEP: which one; TIMES: how often, 1 or more */
};

/* Where a function is in the source. */
struct cp_baseline_place {
	const char *name, *file;
	unsigned int line;	/* 0: not known */
};

struct cp_baseline {
	char *path;
	struct cp_arena arena;
	struct cp_trace *head;	/* of a trace it has the path, the header and the end record, and no events */
	struct cp_step_rule rule;	/* its globs are the baseline's */
	bool times;		/* are durations compared? */
	uint64_t slower;	/* percent */
	struct cp_durations durations;
	struct cp_baseline_step *steps;	/* each once */
	size_t step_count;
	struct cp_baseline_line *lines;	/* loops are whole, and unrolled they are no more than CP_BASELINE_MOST_STEPS */
	size_t line_count;
	struct cp_baseline_place *places;	/* sorted by name */
	size_t place_count;
};

/* The words of [compare], by enum cp_ignored. */
extern const char *const cp_ignored_words[CP_IGNORED_KINDS];

/* How a boot may end: of a word that was cut none is another one. */
#define CP_BASELINE_OUTCOMES "passed, failed, stopped, exit, timeout, lost, interrupted or usage"
bool cp_baseline_is_outcome(const char *text);

/* Where a function is; NULL: it does not say. */
const struct cp_baseline_place *cp_baseline_place_of(const struct cp_baseline *baseline, const char *name);

/* All its steps; `names` must outlive *ret, as must the baseline. */
struct cp_error *cp_steps_of_baseline(const struct cp_baseline *baseline, const struct cp_step_rule *rule,
	struct cp_names *names, struct cp_steps *ret);

/* -- Texts in it (escape.c) -- */

/*
 * What stands in a line for bytes: \\, \# at the beginning, \xNN for what cannot be seen, for what is no
 * UTF-8, and for blanks at both ends. In a name also for the blank of " {" and " =", and for what a line with another
 * meaning begins with.
 */
void cp_baseline_escape(struct cp_text *ret, const char *bytes, size_t length, bool is_name);

/* The bytes that a line stands for, in place. false: a backslash that begins none of these. */
bool cp_baseline_unescape(char *text, size_t *length);

/* -- Loops (fold.c) -- */

/* Who writes ids down, with loops as such. Depth 0: in no loop. */
struct cp_folder {
	void (*plain)(void *context, size_t depth, uint32_t at);	/* the id of that index */
	void (*open)(void *context, size_t depth, uint32_t times);	/* what follows, up to `close`, so many times */
	void (*close)(void *context, size_t depth);
	void *context;
};

/*
 * Take what is there several times in a row as a loop, loops in it too, where that makes it shorter: its two edges count as
 * one id each. The same answer for the same ids.
 */
struct cp_error *cp_fold(const uint32_t *ids, size_t count, const struct cp_folder *folder);

#endif
