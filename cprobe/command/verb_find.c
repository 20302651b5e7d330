/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	(void)status;
	if (!options->insn == !options->message)
		return cp_error_create(CP_ERROR_USAGE, "find: give --insn LIST or --message TEXT");
	if (options->insn)
		return cp_find_insns(program, options->insn, &options->where, records);
	return cp_find_message(program, options->message, &options->where, records);
}

const struct cp_verb cp_verb_find = {
	.name = "find", .usage = "KERNEL (--insn LIST | --message TEXT) [--in-func GLOB]... [--in-file GLOB]...",
	.takes = CP_TAKES_INSN | CP_TAKES_MESSAGE | CP_TAKES_IN, .run = run,
	.help = "--insn cpuid,rdtsc: every such instruction, by mnemonic. --message TEXT: the instructions that load the\n"
		"address of a C string that prints TEXT (a format's conversions match what they print), and, as kind check,\n"
		"the first instruction of each test that guards them: stopped there, a debugger can still change the outcome.\n"
		"--format json says which variable the test reads, and where in it (variable_address, variable_size).",
};
