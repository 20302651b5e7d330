/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline made of traces of one boot, on its way to a file. */
#ifndef CPROBE_BASELINE_MAKE_H
#define CPROBE_BASELINE_MAKE_H

#include "baseline/baseline.h"

struct cp_making {
	struct cp_trace *const *traces;
	size_t count;
	struct cp_step_rule rule;
	struct cp_arena arena;		/* of the rule's globs */
	bool times;
	uint64_t slower;		/* percent */
	struct cp_program *kernel;	/* for lines of the source; NULL: without */
};

/* Add to the rule what does not repeat in all traces, each told in a line. */
struct cp_error *cp_baseline_settle(struct cp_making *making, cp_note_fn *note, void *context);

struct cp_error *cp_baseline_write(FILE *out, const struct cp_making *making);

#endif
