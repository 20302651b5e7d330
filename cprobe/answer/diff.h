/* SPDX-License-Identifier: BSD-2-Clause */
/* The comparison of two boots, with all that is shown of it. */
#ifndef CPROBE_DIFF_H
#define CPROBE_DIFF_H

#include "baseline/baseline.h"
#include "diff/durations.h"
#include "diff/findings.h"
#include "diff/lone_names.h"
#include "diff/machine.h"

#define CP_DIFF_BEFORE	4	/* steps shown before a divergence, and lines of the console */
#define CP_DIFF_AFTER	3	/* steps shown from it on, of each boot */
#define CP_DIFF_RUN	4	/* names of a run that are shown */

/* One of the two boots. */
struct cp_diff_side {
	struct cp_trace *trace;			/* the head of one, where it is a baseline */
	struct cp_baseline *baseline;		/* NULL: it is a trace */
	struct cp_steps steps;
	struct cp_step_details *details;	/* sorted by stream and step; owned */
	size_t detail_count;
	struct cp_program *kernel;		/* the caller's; NULL: none */
};

struct cp_diff {
	const struct cp_diff_how *how;
	struct cp_names names;
	struct cp_diff_side sides[2];
	struct cp_findings findings;
	struct cp_lone_names lone[2];	/* what vCPUs did in the baseline alone, and in the other boot */
	char **notes;
	size_t note_count;
	const struct cp_place *divergence;	/* the first one; NULL: no stream has any */
	struct cp_step_details tail[CP_DIFF_BEFORE];	/* console lines before it */
	size_t tail_count;
	struct cp_durations durations;	/* of the other boot, where a baseline has any; `slower` has names of it */
	struct cp_slower *slower;
	size_t slower_count;
	unsigned long vcpus[2];		/* if they differ, else 0 */
	char *outcomes[2];		/* how the boots ended, if it differs; else NULL */
	bool differs;
};

/* What is known of a step; NULL: nothing was looked up. */
const struct cp_step_details *cp_diff_details(const struct cp_diff *diff, int side, int stream, size_t at);

/* What it is called; there must be one. */
const char *cp_diff_name(const struct cp_diff *diff, int side, int stream, size_t at);

size_t cp_diff_count(const struct cp_diff *diff, int side, int stream);

void cp_diff_print_text(FILE *out, const struct cp_diff *diff);
void cp_diff_print_json(FILE *out, const struct cp_diff *diff);

/* The values that are others: "eax=0x1 -> 0x2", for all that are. False: no memory. */
void cp_diff_values(struct cp_text *ret, const char *a, const char *b);

#endif
