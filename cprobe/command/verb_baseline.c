/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "command/verb.h"

static struct cp_error *check(const struct cp_options *options)
{
	if (options->format == CP_FORMAT_TEXT)
		return NULL;
	return cp_error_create(CP_ERROR_USAGE, "baseline: a baseline is a text: leave --format out");
}

static void note(void *context, const char *text)
{
	(void)context;
	cp_complain("%s", text);
}

static struct cp_error *open_all(const struct cp_options *options, struct cp_program **kernel, struct cp_baseline **like,
	struct cp_trace **traces, size_t *count)
{
	struct cp_error *error = options->like ? cp_baseline_open(options->like, like) : NULL;

	if (!error && options->kernel_now)
		error = cp_program_open(options->kernel_now, note, NULL, kernel);
	for (int i = 0; i < options->arg_count && !error; i++) {
		error = cp_trace_open(options->args[i], note, NULL, &traces[*count]);
		if (!error)
			++*count;
	}
	if (!error)
		error = cp_verb_trace(NULL, options, &traces[*count]);
	if (!error)
		++*count;
	for (size_t i = 0; i < *count && !error && *kernel; i++)
		error = cp_trace_check(traces[i], *kernel);
	return error;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_trace **traces = calloc((size_t)options->arg_count + 1, sizeof(struct cp_trace *));
	struct cp_baseline_how how = { .has_console = options->has_console, .console = options->console,
		.has_slower = options->has_slower, .slower = options->slower };
	struct cp_program *kernel = NULL;
	struct cp_baseline *like = NULL;
	size_t count = 0;
	struct cp_error *error = traces ? open_all(options, &kernel, &like, traces, &count) : &cp_error_no_memory;

	(void)program;
	(void)records;
	how.like = like;
	how.kernel = kernel;
	if (!error)
		error = cp_baseline_make(traces, count, &how, note, NULL, stdout);
	*status = 0;
	for (size_t i = 0; i < count; i++)
		cp_trace_close(traces[i]);
	free(traces);
	cp_baseline_close(like);
	cp_program_close(kernel);
	return error;
}

const struct cp_verb cp_verb_baseline = {
	.name = "baseline", .words = "TRACE", .no_kernel = true, .has_trace = true, .no_input = true,
	.takes = CP_TAKES_BASELINE, .check = check, .run = run,
};
