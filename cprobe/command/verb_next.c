/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints by itself: the order says what is nearest to the end, and is not that of addresses. */
#include "command/verb.h"

static struct cp_error *check(const struct cp_options *options)
{
	if (options->where.functions.count > 1)
		return cp_error_create(CP_ERROR_USAGE, "next: --func is given twice: ask about one function at a time");
	return NULL;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	size_t limit = options->limit ? options->limit : SIZE_MAX, left_out = 0;
	const char *function = options->where.functions.count ? options->where.functions.items[0] : NULL;
	struct cp_trace *trace = NULL;
	struct cp_error *error = cp_verb_trace(program, options, &trace);

	if (!error)
		error = cp_next(program, trace, function, limit, records, &left_out);
	cp_trace_close(trace);
	if (error)
		return error;
	*status = records->count ? 0 : 1;
	if (!records->count)
		cp_complain("%s: next: nothing is left to break on%s", options->kernel, function ? "" :
			": what ran calls nothing by name that did not run; --func NAME goes through pointers and tables, too");
	if (left_out)
		cp_complain("next: %zu more places are left out: --limit tells how many are shown", left_out);
	return cp_records_print(stdout, records, options->format);
}

const struct cp_verb cp_verb_next = {
	.name = "next", .limit = 40, .has_trace = true, .takes = CP_TAKES_FUNC | CP_TAKES_LIMIT, .check = check, .run = run,
};
