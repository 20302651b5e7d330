/* SPDX-License-Identifier: BSD-2-Clause */
/* The same for many items, on all CPUs. */
#ifndef CPROBE_WORK_H
#define CPROBE_WORK_H

#include "cprobe.h"

#define CP_MAX_WORKERS 16

/* How many workers the items deserve: one for each CPU at most, and for each `least` items. */
size_t cp_workers(size_t items, size_t least);

/*
 * Call each(context, worker, item) for every item below `items`, in no order; worker is below `workers`, and no two
 * calls with one worker run at a time. The first error ends it and is returned. Threads that cannot be had are done
 * without.
 */
struct cp_error *cp_work(size_t items, size_t workers,
	struct cp_error *(*each)(void *context, size_t worker, size_t item), void *context);

#endif
