/* SPDX-License-Identifier: BSD-2-Clause */
/* The first line of a trace. */
#ifndef BOOTSONDE_HEADER_H
#define BOOTSONDE_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "cprobe.h"

/* What was asked to be listed, so that a reader knows what a function's absence means. */
struct header_listed {
	bool has_list, has_kernel;
	bool has_all;			/* a kernel= without globs */
	char **files, **functions;	/* globs of all kernels */
	size_t file_count, function_count;
	const char *inlined;
};

struct header {
	const char *kernel, *build_id;	/* of the first kernel=, or NULL */
	const char *more;		/* what header_read() gave, or NULL */
	bool is_counting, has_callers, has_values;
	size_t functions;
	const struct header_listed *listed;
};

/*
 * The members of the JSON object in a file, without its braces, in one line: to be freed. Members that the plugin itself
 * writes are refused.
 */
struct cp_error *header_read(const char *path, char **ret);

/* The line with its end: to be freed. After clock_start(). */
struct cp_error *header_make(const struct header *header, char **ret);

#endif
