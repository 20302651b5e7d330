/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which names a rule leaves out. Each name is asked of the globs once, and globs without a wildcard are looked up: a
 * baseline may have thousands of them, and a trace millions of steps.
 */
#ifndef CPROBE_IGNORED_H
#define CPROBE_IGNORED_H

#include "base/arena.h"
#include "diff/names.h"

/* What is left out of a comparison, each by globs on what a step is. */
enum cp_ignored {
	CP_IGNORED_STEPS,	/* of vCPUs, and of the session */
	CP_IGNORED_VALUES,	/* of such steps */
	CP_IGNORED_LINES,	/* of the console; their numbers are written as # */
	CP_IGNORED_NUMBERS,	/* in such lines */
	CP_IGNORED_KINDS
};

/* One more glob; the text is copied into the arena. */
struct cp_error *cp_globs_add(struct cp_globs *globs, struct cp_arena *arena, const char *glob);

/* Zeroed it has asked nothing. */
struct cp_ignoring {
	bool ready;
	struct cp_names plain;		/* globs without a wildcard, as the names that they mean */
	uint8_t *plain_bits;		/* by number of those: 1 << kind; owned */
	struct cp_globs others[CP_IGNORED_KINDS];	/* the arrays are owned, the texts the rule's */
	struct cp_names asked;
	uint8_t *bits;			/* by number of those; owned */
};

/*
 * The kinds by which the name, up to its first 0, is left out: 1 << kind each. `globs`: an array by kind, the same one each
 * time. A glob of a step without a dot means the compiler's clones too, as cp_glob_name() has it; of a line it does not.
 */
struct cp_error *cp_ignoring_ask(struct cp_ignoring *ignoring, const struct cp_globs *globs, const char *name, size_t length,
	unsigned int *ret);
void cp_ignoring_deinit(struct cp_ignoring *ignoring);

#endif
