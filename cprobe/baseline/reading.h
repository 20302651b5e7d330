/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline's text being read: what the files that read it share. What a person wrote wrongly is told with its line. */
#ifndef CPROBE_BASELINE_READING_H
#define CPROBE_BASELINE_READING_H

#include "baseline/baseline.h"

#define CP_BASELINE_DEEPEST 32	/* loops in loops */

enum cp_section {
	CP_IN_HEAD, CP_IN_BOOT, CP_IN_RECORDED, CP_IN_COMPARE, CP_IN_DURATIONS, CP_IN_FUNCTIONS, CP_IN_END, CP_IN_STEPS
};

/* A loop that is open, and at index 0 what is in none. */
struct cp_open_loop {
	unsigned int number;	/* of its line */
	uint32_t times;
	uint64_t steps;		/* of a round so far, loops in it unrolled; its end counts as one */
};

/* Steps that were read already, by what stands in their lines. */
struct cp_known_steps {
	struct cp_names texts;
	uint32_t *steps;	/* by number of a text: an index of the baseline's steps; owned */
};

struct cp_reading {
	struct cp_baseline *to;
	unsigned int number;		/* of the line */
	enum cp_section section;
	unsigned int begun;		/* the section's line */
	uint32_t keys;			/* bits: of those that stand once, which were there */
	int stream;			/* CP_IN_STEPS */
	bool has_ended;			/* the outcome was there */
	struct cp_open_loop loops[CP_BASELINE_DEEPEST + 1];
	size_t depth;
	struct cp_known_steps known[2];	/* of vCPUs and the session; of the console */
	bool seen[CP_IN_STEPS];		/* sections */
	bool seen_steps[65536 - CP_STREAM_CONSOLE];	/* sections with steps, by stream - CP_STREAM_CONSOLE */
};

/* "PATH:LINE: WHAT" */
struct cp_error *cp_reading_bad(const struct cp_reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Without blanks at both ends; in place. */
char *cp_reading_trim(char *text);

/* As cp_baseline_unescape(), of a whole text. */
struct cp_error *cp_reading_unescape(const struct cp_reading *r, char *text, size_t *length);

/* A line of a section with keys, which may be written into. */
struct cp_error *cp_reading_key(struct cp_reading *r, char *line);

#endif
