/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "diff/machine.h"
#include "trace/inside.h"

const char *const cp_machine_options[] = { "-M", "-machine", "-accel", "-cpu", "-smp", "-m", "-append", "-icount", "-seed",
	"-rtc", "-initrd", NULL };

const char *cp_machine_argument(const struct cp_trace *trace, const char *option)
{
	json_t *arguments = json_object_get(json_object_get(trace->header, "qemu"), "arguments"), *item;
	const char *ret = NULL;
	size_t i;

	json_array_foreach(arguments, i, item) {
		const char *text = json_string_value(item);

		if (text && !strcmp(text, option))
			ret = json_string_value(json_array_get(arguments, i + 1));
	}
	return ret && !strcmp(option, "-initrd") && strrchr(ret, '/') ? strrchr(ret, '/') + 1 : ret;
}

static const char *text_of(const struct cp_trace *trace, const char *outer, const char *key)
{
	json_t *object = outer ? json_object_get(trace->header, outer) : trace->header;

	return json_string_value(json_object_get(object, key));
}

static struct cp_error *compare(const char *what, const char *a, const char *b, cp_machine_fn *each, void *context)
{
	struct cp_text text = { .bytes = NULL };
	struct cp_error *error;

	if (a == b || (a && b && !strcmp(a, b)))
		return NULL;
	cp_text_printf(&text, "%s: %s%s%s in the baseline, %s%s%s now", what, a ? "\"" : "", a ? a : "none", a ? "\"" : "",
		b ? "\"" : "", b ? b : "none", b ? "\"" : "");
	error = text.failed ? &cp_error_no_memory : each(context, text.bytes);
	cp_text_deinit(&text);
	return error;
}

struct cp_error *cp_machine_compare(const struct cp_trace *a, const struct cp_trace *b, cp_machine_fn *each,
	void *context)
{
	const char *id = cp_trace_build_id(a), *other = cp_trace_build_id(b);
	struct cp_error *error = NULL;

	if (id && other)
		error = compare("another kernel, by its build-id", id, other, each, context);
	else if (cp_machine_other_kernel(a, b))
		error = compare("another kernel, by its sha256", text_of(a, "kernel", "sha256"), text_of(b, "kernel", "sha256"), each,
			context);
	if (!error)
		error = compare("QEMU's version", text_of(a, "qemu", "version"), text_of(b, "qemu", "version"), each, context);
	for (size_t i = 0; cp_machine_options[i] && !error; i++) {
		const char *option = cp_machine_options[i];

		if (strcmp(option, "-smp"))
			error = compare(option, cp_machine_argument(a, option), cp_machine_argument(b, option), each, context);
	}
	if (!error)
		error = compare("scenario", text_of(a, NULL, "scenario"), text_of(b, NULL, "scenario"), each, context);
	if (!error)
		error = compare("clock", text_of(a, NULL, "clock"), text_of(b, NULL, "clock"), each, context);
	if (!error && !json_equal(json_object_get(a->header, "listed"), json_object_get(b->header, "listed")) &&
		(json_object_get(a->header, "listed") || json_object_get(b->header, "listed")))
		error = each(context, "other functions were recorded: what was asked for in one boot alone is missing or extra");
	if (!error && !cp_machine_same_values(a, b))
		error = each(context, "values of function entries are not compared: other ones were recorded");
	return error;
}

/* "2", "cpus=2,cores=2", "cores=2,cpus=2" */
unsigned long cp_machine_vcpus(const struct cp_trace *trace)
{
	const char *text = cp_machine_argument(trace, "-smp"), *key = text;

	while (key && strncmp(key, "cpus=", 5)) {
		key = strchr(key, ',');
		key = key ? key + 1 : NULL;
	}
	return text ? strtoul(key ? key + 5 : text, NULL, 10) : 0;
}

bool cp_machine_is_icount(const struct cp_trace *trace)
{
	const char *clock = text_of(trace, NULL, "clock");

	return clock && !strcmp(clock, "icount");
}

bool cp_machine_other_kernel(const struct cp_trace *a, const struct cp_trace *b)
{
	const char *id = cp_trace_build_id(a), *other = cp_trace_build_id(b);

	if (id && other)
		return strcasecmp(id, other) != 0;
	id = text_of(a, "kernel", "sha256");
	other = text_of(b, "kernel", "sha256");
	return id && other && strcasecmp(id, other) != 0;
}

bool cp_machine_same_values(const struct cp_trace *a, const struct cp_trace *b)
{
	json_t *args = json_object_get(a->header, "args"), *others = json_object_get(b->header, "args");

	return args == others || (args && others && json_equal(args, others));
}
