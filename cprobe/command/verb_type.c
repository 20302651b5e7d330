/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_error *error = NULL;

	(void)status;
	for (int i = 0; i < options->arg_count && !error; i++) {
		size_t before = records->count;

		error = cp_find_type(program, options->args[i], records);
		if (!error && records->count == before)
			cp_complain("%s: no type %s", options->kernel, options->args[i]);
	}
	return error;
}

const struct cp_verb cp_verb_type = {
	.name = "type", .usage = "KERNEL STRUCT[.FIELD]...", .min_args = 1, .max_args = -1, .run = run,
	.help = "The layout of a struct or union by DWARF, or one field of it: offset, size, name and type, in bytes.",
};
