/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verbs about traces share. */
#include "command/verb.h"

static void note(void *context, const char *text)
{
	(void)context;
	cp_complain("%s", text);
}

struct cp_error *cp_verb_trace(struct cp_program *program, const struct cp_options *options, struct cp_trace **ret)
{
	struct cp_trace *trace;
	struct cp_error *error = cp_trace_open(options->trace, note, NULL, &trace);

	if (error)
		return error;
	error = program ? cp_trace_check(trace, program) : NULL;
	if (error)
		cp_trace_close(trace);
	else
		*ret = trace;
	return error;
}

struct cp_error *cp_check_text_or_json(const struct cp_options *options)
{
	if (options->format != CP_FORMAT_GDB)
		return NULL;
	return cp_error_create(CP_ERROR_USAGE, "%s: what a trace says is no list of breakpoints: give --format text or json",
		options->verb->name);
}
