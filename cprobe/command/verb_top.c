/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_view view = { .when = { options->from, options->to, { NULL, 0 } }, .gap = options->gap,
		.limit = options->limit };
	struct cp_trace *trace = NULL;
	struct cp_error *error = cp_verb_trace(program, options, &trace);

	(void)records;
	if (!error)
		error = cp_top(program, trace, &view, options->format, stdout);
	cp_trace_close(trace);
	*status = 0;
	return error;
}

const struct cp_verb cp_verb_top = {
	.name = "top", .limit = 40, .has_trace = true, .takes = CP_TAKES_TIMES | CP_TAKES_GAP | CP_TAKES_LIMIT,
	.check = cp_check_text_or_json, .run = run,
};
