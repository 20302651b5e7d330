/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *check(const struct cp_options *options)
{
	if (!options->insn && !options->message)
		return cp_error_create(CP_ERROR_USAGE, "find: what? give --insn LIST or --message TEXT");
	if (options->insn && options->message)
		return cp_error_create(CP_ERROR_USAGE, "find: --insn and --message are two questions: ask one at a time");
	if ((options->inputs || options->padding) && !options->insn)
		return cp_error_create(CP_ERROR_USAGE, "find: --%s is about instructions: give --insn LIST",
			options->inputs ? "inputs" : "padding");
	return NULL;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	unsigned int more = (options->inputs ? CP_INSN_INPUTS : 0) | (options->padding ? CP_INSN_PADDING : 0);

	(void)status;
	if (options->insn)
		return cp_find_insns(program, options->insn, more, &options->where, records);
	return cp_find_message(program, options->message, &options->where, records);
}

const struct cp_verb cp_verb_find = {
	.name = "find", .takes = CP_TAKES_INSN | CP_TAKES_INPUTS | CP_TAKES_MESSAGE | CP_TAKES_IN, .check = check, .run = run,
};
