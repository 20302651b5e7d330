/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	(void)status;
	return cp_list(program, &options->where, options->inlined, records);
}

const struct cp_verb cp_verb_list = {
	.name = "list", .usage = "KERNEL [--file GLOB]... [--func GLOB]... [--inlined include|exclude|only]",
	.takes = CP_TAKES_FILE | CP_TAKES_FUNC | CP_TAKES_INLINED, .run = run,
	.help = "The functions defined in files that a glob matches, or named so: every place of each, with the inlined\n"
		"copies and the function around them. --file globs match a path's tail: pvclock.c matches sys/x86/x86/pvclock.c.",
};
