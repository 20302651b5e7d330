/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *check(const struct cp_options *options)
{
	if (options->arg_count != 1)
		return cp_error_create(CP_ERROR_USAGE, "diff: give two traces: BASELINE, of the boot as it is to be, and TRACE");
	return cp_check_text_or_json(options);
}

static void note(void *context, const char *text)
{
	(void)context;
	cp_complain("%s", text);
}

/* A kernel for lines of the source: that of the trace, or none. */
static struct cp_error *open_kernel(const char *path, struct cp_trace *trace, struct cp_program **ret)
{
	struct cp_error *error = path ? cp_program_open(path, note, NULL, ret) : NULL;

	return error || !path ? error : cp_trace_check(trace, *ret);
}

static struct cp_error *compare(const struct cp_options *options, struct cp_trace *const *traces, int *status)
{
	struct cp_diff_how how = { .console = options->console, .limit = options->limit, .times = options->has_slower,
		.slower = options->slower };
	struct cp_error *error = open_kernel(options->kernel_baseline, traces[0], &how.kernels[0]);
	struct cp_program *kernel = NULL;
	bool differs = false;

	if (!error)
		error = open_kernel(options->kernel_now, traces[1], &kernel);
	how.kernels[1] = kernel;
	if (!error)
		error = cp_diff(traces[0], traces[1], &how, options->format, stdout, &differs);
	*status = differs;
	cp_program_close(how.kernels[0]);
	cp_program_close(kernel);
	return error;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_trace *traces[2] = { NULL, NULL };
	struct cp_error *error = cp_trace_open(options->args[0], note, NULL, &traces[0]);

	(void)records;
	(void)program;
	if (!error)
		error = cp_verb_trace(NULL, options, &traces[1]);
	if (!error)
		error = compare(options, traces, status);
	cp_trace_close(traces[0]);
	cp_trace_close(traces[1]);
	return error;
}

const struct cp_verb cp_verb_diff = {
	.name = "diff", .limit = 5, .words = "BASELINE", .no_kernel = true, .has_trace = true,
	.takes = CP_TAKES_LIMIT | CP_TAKES_DIFF, .check = check, .run = run,
};
