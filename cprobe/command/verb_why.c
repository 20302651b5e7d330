/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints by itself: reasons are no records. */
#include <stdlib.h>

#include "command/nearest.h"
#include "command/verb.h"

static struct cp_error *check(const struct cp_options *options)
{
	if (options->arg_count != 1)
		return cp_error_create(CP_ERROR_USAGE, "why: give KERNEL, one FUNC and the TRACE of a boot in which it did not run");
	return NULL;
}

static bool is_variable(struct cp_program *program, const char *name)
{
	struct cp_records records;
	struct cp_error *error;
	bool ret = false;

	cp_records_init(&records, CP_BRIEF);
	error = cp_find_symbol(program, name, &records);
	for (size_t i = 0; i < records.count && !error; i++)
		ret |= records.items[i].kind == CP_KIND_OBJECT;
	cp_records_deinit(&records);
	cp_error_destroy(error);
	return ret;
}

/* Which name was meant? */
static void suggest(struct cp_program *program, const char *function)
{
	struct cp_where everywhere = { .files = { NULL, 0 } };
	const char **names, *nearest = NULL;
	struct cp_records records;
	struct cp_error *error;
	size_t count = 0;

	if (is_variable(program, function)) {
		cp_complain("why: %s is a variable: in GDB, bootsonde watch %s shows who writes it", function, function);
		return;
	}
	cp_records_init(&records, CP_BRIEF);
	error = cp_list(program, &everywhere, CP_INLINED_EXCLUDE, &records);
	names = calloc(records.count + 1, sizeof(*names));
	for (size_t i = 0; i < records.count && names && !error; i++) {
		if (records.items[i].name)
			names[count++] = records.items[i].name;
	}
	if (names)
		nearest = cp_nearest(function, names, count);
	if (nearest)
		cp_complain("why: did you mean %s?", nearest);
	free(names);
	cp_records_deinit(&records);
	cp_error_destroy(error);
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	size_t limit = options->limit ? options->limit : SIZE_MAX;
	struct cp_trace *trace = NULL;
	struct cp_error *error = cp_verb_trace(program, options, &trace);
	struct cp_why why;

	(void)records;
	if (!error)
		error = cp_why(program, trace, options->args[0], limit, &why);
	if (error && error->code == CP_ERROR_NOT_FOUND) {
		*status = 1;
		cp_complain("%s", error->message);
		suggest(program, options->args[0]);
		cp_error_destroy(error);
		error = NULL;
	} else if (!error) {
		*status = 0;
		error = cp_why_print(stdout, &why, options->format);
		cp_why_deinit(&why);
	}
	cp_trace_close(trace);
	return error;
}

const struct cp_verb cp_verb_why = {
	.name = "why", .limit = 8, .words = "FUNC", .has_trace = true, .takes = CP_TAKES_LIMIT, .check = check, .run = run,
};
