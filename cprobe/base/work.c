/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <unistd.h>

#include "base/work.h"

/* Items are handed out in runs, unless they are few: neighbours lie next to each other in the file. */
#define RUN 8

struct work {
	size_t items, run, next;
	struct cp_error *(*each)(void *context, size_t worker, size_t item);
	void *context;
	struct cp_error *error;		/* the first one */
};

struct worker {
	struct work *work;
	size_t number;
};

size_t cp_workers(size_t items, size_t least)
{
	size_t workers = items / (least ? least : 1);
	long cpus;

	if (workers <= 1)
		return 1;
	cpus = sysconf(_SC_NPROCESSORS_ONLN);	/* reads a file */
	if (cpus > 0 && workers > (size_t)cpus)
		workers = (size_t)cpus;
	return workers > CP_MAX_WORKERS ? CP_MAX_WORKERS : workers;
}

static void *run(void *argument)
{
	const struct worker *worker = argument;
	struct work *work = worker->work;

	while (!__atomic_load_n(&work->error, __ATOMIC_RELAXED)) {
		size_t first = __atomic_fetch_add(&work->next, work->run, __ATOMIC_RELAXED);

		if (first >= work->items)
			break;
		for (size_t i = first; i < work->items && i < first + work->run; i++) {
			struct cp_error *error = work->each(work->context, worker->number, i), *none = NULL;

			if (!error)
				continue;
			if (!__atomic_compare_exchange_n(&work->error, &none, error, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
				cp_error_destroy(error);
			return NULL;
		}
	}
	return NULL;
}

struct cp_error *cp_work(size_t items, size_t workers,
	struct cp_error *(*each)(void *context, size_t worker, size_t item), void *context)
{
	struct work work = { .items = items, .run = items / RUN < workers ? 1 : RUN, .each = each, .context = context };
	struct worker all[CP_MAX_WORKERS];
	pthread_t threads[CP_MAX_WORKERS];
	bool started[CP_MAX_WORKERS] = { false };

	for (size_t w = 0; w < workers && w < CP_MAX_WORKERS; w++) {
		all[w] = (struct worker){ &work, w };
		if (w)
			started[w] = !pthread_create(&threads[w], NULL, run, &all[w]);
	}
	run(&all[0]);
	for (size_t w = 1; w < workers && w < CP_MAX_WORKERS; w++) {
		if (started[w])
			pthread_join(threads[w], NULL);
	}
	return work.error;
}
