/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_trace *trace = NULL;
	size_t found = 0;
	struct cp_error *error = cp_verb_trace(program, options, &trace);

	(void)records;
	if (!error)
		error = cp_coverage(program, trace, &options->where, options->format, stdout, &found);
	cp_trace_close(trace);
	*status = found ? 0 : 1;
	if (!error && !found)
		cp_complain("%s: coverage: it has no such file or function", options->kernel);
	return error;
}

const struct cp_verb cp_verb_coverage = {
	.name = "coverage", .has_trace = true, .takes = CP_TAKES_FILE | CP_TAKES_FUNC, .check = cp_check_text_or_json, .run = run,
};
