/* SPDX-License-Identifier: BSD-2-Clause */
/* The plugin's arguments: plugin.c says what they mean. */
#ifndef BOOTSONDE_ARGUMENTS_H
#define BOOTSONDE_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "entries.h"
#include "header.h"

struct arguments {
	const char *out, *status, *console;
	const char **until;		/* texts on the console; owned */
	size_t until_count;
	const char *kernel;		/* the first kernel= */
	char *build_id, *more;		/* of it; of header= */
	struct entries entries;		/* what is recorded, sorted */
	struct entries known;		/* all functions of the first kernel, sorted; empty where they are not needed */
	bool knows_all;			/* a function of the kernel that is in neither list does not exist */
	struct header_listed listed;
	bool is_counting, has_values;
	enum { CALLERS_UNSAID, CALLERS_YES, CALLERS_NO } callers;
	uint64_t limit;			/* UINT64_MAX: none */
	bool has_stop;
	uint64_t stop;			/* an address, among the entries */
	int icount_shift;		/* -1: not given */
};

/* Everything in *ret lives until QEMU ends. has_calls: this QEMU can note calls. */
struct cp_error *arguments_read(int argc, char **argv, bool has_calls, struct arguments *ret);

#endif
