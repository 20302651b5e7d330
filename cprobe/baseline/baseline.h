/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A baseline: what a boot is to do, as a text that people read, edit and keep in git. docs/baseline.md has the format.
 * It is read into a struct cp_baseline, and made of traces of one boot (make.c, write.c).
 */
#ifndef CPROBE_BASELINE_H
#define CPROBE_BASELINE_H

#include "diff/durations.h"
#include "diff/steps.h"

#define CP_BASELINE_MAGIC "bootsonde-baseline"
#define CP_BASELINE_VERSION 1
#define CP_BASELINE_SLOWER 10	/* percent, where nobody says another number */

enum cp_baseline_kind {
	CP_BASELINE_STEP,
	CP_BASELINE_TIMES,	/* what follows, up to its end, so many times */
	CP_BASELINE_END,
};

/* A line of the sections that have steps. Strings are the baseline's. */
struct cp_baseline_line {
	enum cp_baseline_kind kind;
	int stream;
	unsigned int number;	/* of the line in the file, from 1 on */
	uint64_t times;
	const char *what, *values;	/* of the console: what is the line; values NULL: any */
	size_t what_length;
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
	struct cp_baseline_line *lines;
	size_t line_count;
	struct cp_baseline_place *places;	/* sorted by name */
	size_t place_count;
};

/* All its steps; `names` must outlive *ret, as must the baseline. */
struct cp_error *cp_steps_of_baseline(const struct cp_baseline *baseline, const struct cp_step_rule *rule,
	struct cp_names *names, struct cp_steps *ret);

/* -- Texts in it (escape.c) -- */

/*
 * What stands in a line for bytes, which a 0 ends: \\, \# at the beginning, \xNN for what cannot be seen, for blanks at
 * both ends, and for the blank of " {" where `is_name`.
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
