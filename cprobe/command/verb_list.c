/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	(void)status;
	return cp_list(program, &options->where, options->inlined, records);
}

const struct cp_verb cp_verb_list = {
	.name = "list", .takes = CP_TAKES_FILE | CP_TAKES_FUNC | CP_TAKES_INLINED, .run = run,
};
