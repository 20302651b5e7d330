/* SPDX-License-Identifier: BSD-2-Clause */
#include "command/verb.h"

static struct cp_error *check(const struct cp_options *options)
{
	if (options->arg_count != 1)
		return cp_error_create(CP_ERROR_USAGE, "diff: give BASELINE, a baseline or a trace of the boot as it is to be, and "
			"TRACE");
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

static struct cp_error *compare(const struct cp_options *options, const struct cp_expected *expected,
	struct cp_trace *trace, int *status)
{
	struct cp_diff_how how = { .has_console = options->has_console, .console = options->console, .limit = options->limit,
		.has_slower = options->has_slower, .slower = options->slower };
	struct cp_program *kernels[2] = { NULL, NULL };
	struct cp_error *error = NULL;
	bool differs = false;

	if (options->kernel_baseline && expected->baseline)
		error = cp_error_create(CP_ERROR_USAGE, "diff: %s is a baseline, and names the lines of its functions itself: leave "
			"--kernel-baseline out", options->args[0]);
	if (!error && expected->trace)
		error = open_kernel(options->kernel_baseline, expected->trace, &kernels[0]);
	if (!error)
		error = open_kernel(options->kernel_now, trace, &kernels[1]);
	how.kernels[0] = kernels[0];
	how.kernels[1] = kernels[1];
	if (!error)
		error = cp_diff(expected, trace, &how, options->format, stdout, &differs);
	*status = differs;
	cp_program_close(kernels[0]);
	cp_program_close(kernels[1]);
	return error;
}

static struct cp_error *open_expected(const char *path, struct cp_expected *ret)
{
	bool is_baseline;
	struct cp_error *error = cp_is_baseline(path, &is_baseline);

	if (error)
		return error;
	return is_baseline ? cp_baseline_open(path, &ret->baseline) : cp_trace_open(path, note, NULL, &ret->trace);
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_expected expected = { NULL, NULL };
	struct cp_trace *trace = NULL;
	struct cp_error *error = open_expected(options->args[0], &expected);

	(void)records;
	(void)program;
	if (!error)
		error = cp_verb_trace(NULL, options, &trace);
	if (!error)
		error = compare(options, &expected, trace, status);
	cp_baseline_close(expected.baseline);
	cp_trace_close(expected.trace);
	cp_trace_close(trace);
	return error;
}

const struct cp_verb cp_verb_diff = {
	.name = "diff", .limit = 5, .words = "BASELINE", .no_kernel = true, .has_trace = true,
	.takes = CP_TAKES_LIMIT | CP_TAKES_DIFF, .check = check, .run = run,
};
