/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_when when = { options->from, options->to, options->where.functions };
	struct cp_trace *trace = NULL;
	uint64_t count = 0;
	bool is_narrow = options->where.functions.count || options->from || options->to != UINT64_MAX;
	struct cp_error *error = cp_verb_trace(program, options, &trace);

	(void)records;
	if (!error)
		error = cp_events(trace, &when, options->format, stdout, &count);
	cp_trace_close(trace);
	*status = count ? 0 : 1;
	if (!error && !count)
		cp_complain("%s: events: nothing matched%s", options->trace, is_narrow ? "" :
			": no function of those recorded was entered, or it has counts alone, which coverage shows");
	return error;
}

const struct cp_verb cp_verb_events = {
	.name = "events", .no_kernel = true, .has_trace = true, .takes = CP_TAKES_FUNC | CP_TAKES_TIMES,
	.check = cp_check_text_or_json, .run = run,
};
