/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trace could have seen, by its header's "listed": without that, what is not in it may have run all the same. */
#ifndef CPROBE_TRACE_LISTED_H
#define CPROBE_TRACE_LISTED_H

#include "trace/trace.h"

struct cp_listed_part {
	struct cp_globs files, functions;
	enum cp_inlined inlined;
	bool nothing;		/* what was recorded is not known */
};

struct cp_listed {
	struct cp_listed_part *parts;	/* none: nothing is known to have been recorded */
	size_t count;
};

/* Texts are the trace's. cp_listed_deinit() ends *ret. CP_ERROR_CORRUPT: the header's key makes no sense. */
struct cp_error *cp_trace_listed(const struct cp_trace *trace, struct cp_listed *ret);
void cp_listed_deinit(struct cp_listed *listed);

/*
 * Does it stand for what cprobe lists of a kernel as a whole? That has not what a symbol without a type alone names, as
 * Linux's first code of an interrupt; globs of names and files have.
 */
bool cp_listed_is_all(const struct cp_listed_part *part);

/* Was the function, or the inlined copy of it, recorded whenever it was entered? */
bool cp_listed_has(const struct cp_listed *listed, const char *file, const char *name, bool inlined);

#endif
