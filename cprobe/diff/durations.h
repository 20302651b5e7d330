/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the guest's time went: for each function the time from its entries to what its vCPU entered next, all together.
 * Only of traces in blocks that count instructions: what GDB stops at costs virtual time, and no two runs on the host's
 * clock are alike.
 */
#ifndef CPROBE_DURATIONS_H
#define CPROBE_DURATIONS_H

#include "diff/steps.h"

struct cp_duration {
	const char *name;	/* the owner's of the table */
	uint64_t ns;
};

struct cp_durations {
	struct cp_duration *items;	/* sorted by name; malloc'ed */
	size_t count;
	uint64_t whole;			/* ns, of the boot; 0: there are no durations */
	struct cp_names names;		/* whose the names are, of a table that was made of a trace */
};

/* What is less is not told: a hundredth of the boot, and of a short boot some thousand instructions. ns. */
uint64_t cp_durations_least(const struct cp_durations *durations);

/* Left empty where the trace has no such times. Steps that `rule` ignores are none. cp_durations_deinit() ends *ret. */
struct cp_error *cp_durations_of_trace(struct cp_trace *trace, const struct cp_step_rule *rule, struct cp_durations *ret);
void cp_durations_deinit(struct cp_durations *durations);

/* By name, when they are all there. */
void cp_durations_sort(struct cp_durations *durations);

/* NULL: there is none. */
const struct cp_duration *cp_duration_of(const struct cp_durations *durations, const char *name);

/* What takes longer than it did, by more than so many percent, and by more than is told at all. */
struct cp_slower {
	const char *name;	/* NULL: the whole boot */
	uint64_t was, is;	/* ns; was 0: less than is told */
};

/*
 * Sorted by what was lost, the most first. `expected` may have what is told alone: a function that it has not took less.
 * *ret is the caller's to free(); its names are those of the two tables.
 */
struct cp_error *cp_durations_compare(const struct cp_durations *expected, const struct cp_durations *now, uint64_t percent,
	struct cp_slower **ret, size_t *count);

#endif
