/* SPDX-License-Identifier: BSD-2-Clause */
/* See arguments.h. */
#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"

static const char *const inlined_words[] = { "include", "exclude", "only", NULL };
static const char *const yes_words[] = { "yes", "no", NULL };
static const char *const mode_words[] = { "events", "counts", NULL };

/* A kernel= and what belongs to it. The arrays have room for as many globs as there are arguments. */
struct question {
	const char *kernel;
	struct cp_where where;
	enum cp_inlined inlined;
};

/* The value of KEY=VALUE, or NULL if the argument is another. */
static const char *
value_of(const char *argument, const char *key)
{
	size_t length = strlen(key);

	return strncmp(argument, key, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

static struct cp_error *
bad_value(const char *argument, const char *what)
{
	return cp_error_create(CP_ERROR_USAGE, "%s: %s", argument, what);
}

static struct cp_error *
choose(const char *argument, const char *value, const char *const *words, const char *what, int *ret)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], value) == 0) {
			*ret = i;
			return NULL;
		}
	}
	return bad_value(argument, what);
}

static struct cp_error *
number(const char *argument, const char *value, int base, uint64_t most, const char *what, uint64_t *ret)
{
	char *end;
	unsigned long long parsed;

	errno = 0;
	parsed = strtoull(value, &end, base);
	if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 || parsed > most)
		return bad_value(argument, what);
	*ret = parsed;
	return NULL;
}

static struct cp_error *
ask(struct question *question, struct arguments *arguments)
{
	struct cp_error *error = NULL;
	char *build_id = NULL;

	if (question->kernel == NULL)
		return NULL;
	error = entries_list(question->kernel, &question->where, question->inlined, &arguments->entries, &build_id);
	if (arguments->kernel == NULL) {
		arguments->kernel = question->kernel;
		arguments->build_id = build_id;
	} else {
		free(build_id);
	}
	arguments->listed.has_kernel = true;
	arguments->listed.has_all |= question->where.files.count + question->where.functions.count == 0;
	arguments->listed.inlined = inlined_words[question->inlined];
	question->kernel = NULL;
	question->where.files.count = question->where.functions.count = 0;
	question->inlined = CP_INLINED_INCLUDE;
	return error;
}

/* in-file=, func= and inlined=; *known: it is one of these. */
static struct cp_error *
narrow(char *argument, struct question *question, struct arguments *arguments, bool *known)
{
	struct header_listed *listed = &arguments->listed;
	const char *value;
	int chosen = 0;
	struct cp_error *error;

	*known = true;
	if ((value = value_of(argument, "in-file")) == NULL && (value = value_of(argument, "func")) == NULL &&
	    (value = value_of(argument, "inlined")) == NULL) {
		*known = false;
		return NULL;
	}
	if (question->kernel == NULL)
		return bad_value(argument, "which kernel's? give kernel=PATH before it");
	if (*value == '\0')
		return bad_value(argument, "its value is empty");
	if (value_of(argument, "in-file") != NULL) {
		question->where.files.items[question->where.files.count++] = argument + (value - argument);
		listed->files[listed->file_count++] = argument + (value - argument);
	} else if (value_of(argument, "func") != NULL) {
		question->where.functions.items[question->where.functions.count++] = argument + (value - argument);
		listed->functions[listed->function_count++] = argument + (value - argument);
	} else {
		error = choose(argument, value, inlined_words, "give inlined=include, inlined=exclude or inlined=only",
		    &chosen);
		if (error != NULL)
			return error;
		question->inlined = (enum cp_inlined)chosen;
	}
	return NULL;
}

/* What is recorded of each entry, and until when. */
static struct cp_error *
take_setting(const char *argument, struct arguments *arguments, bool *known)
{
	struct cp_error *error = NULL;
	const char *value;
	uint64_t parsed;
	int chosen = 0;

	*known = true;
	if ((value = value_of(argument, "mode")) != NULL) {
		error = choose(argument, value, mode_words, "give mode=events or mode=counts", &chosen);
		arguments->is_counting = chosen == 1;
	} else if ((value = value_of(argument, "callers")) != NULL) {
		error = choose(argument, value, yes_words, "give callers=yes or callers=no", &chosen);
		arguments->callers = chosen == 0 ? CALLERS_YES : CALLERS_NO;
	} else if ((value = value_of(argument, "args")) != NULL) {
		error = choose(argument, value, yes_words, "give args=yes or args=no", &chosen);
		if (error == NULL && chosen == 0 && !arguments->has_values)
			error = values_init();
		arguments->has_values = chosen == 0;
	} else if ((value = value_of(argument, "mem")) != NULL) {
		error = arguments->has_values ? values_add_memory(value) : bad_value(argument, "give args=yes before it");
	} else if ((value = value_of(argument, "limit")) != NULL) {
		error = number(argument, value, 10, UINT64_MAX - 1, "give a number of events, 1 or more", &arguments->limit);
		if (error == NULL && arguments->limit == 0)
			error = bad_value(argument, "give a number of events, 1 or more");
	} else if ((value = value_of(argument, "stop-at")) != NULL) {
		error = number(argument, value, 16, UINT64_MAX, "give the address of a function, such as stop-at=0x1000",
		    &arguments->stop);
		arguments->has_stop = true;
	} else if ((value = value_of(argument, "icount-shift")) != NULL) {
		error = number(argument, value, 10, 10, "give icount's shift, 0 to 10", &parsed);
		if (error == NULL)
			arguments->icount_shift = (int)parsed;
	} else {
		*known = false;
	}
	return error;
}

/* One argument; what is wrong with it is said. */
static struct cp_error *
take(char *argument, struct question *question, struct arguments *arguments)
{
	struct cp_error *error;
	const char *value;
	bool known;

	if ((value = value_of(argument, "list")) != NULL) {
		arguments->listed.has_list = true;
		return entries_read(value, &arguments->entries);
	}
	if ((value = value_of(argument, "kernel")) != NULL) {
		error = ask(question, arguments);
		question->kernel = value;
		return error;
	}
	if ((value = value_of(argument, "header")) != NULL) {
		free(arguments->more);
		arguments->more = NULL;
		return header_read(value, &arguments->more);
	}
	if ((value = value_of(argument, "out")) != NULL) {
		arguments->out = value;
		return NULL;
	}
	if ((value = value_of(argument, "status")) != NULL) {
		arguments->status = value;
		return NULL;
	}
	if ((value = value_of(argument, "console")) != NULL) {
		arguments->console = value;
		return NULL;
	}
	if ((value = value_of(argument, "until")) != NULL) {
		arguments->until[arguments->until_count++] = value;
		return *value != '\0' ? NULL : bad_value(argument, "its value is empty");
	}
	error = narrow(argument, question, arguments, &known);
	if (!known)
		error = take_setting(argument, arguments, &known);
	return known ? error : bad_value(argument, "unknown argument; there are list=FILE, kernel=PATH, in-file=GLOB, "
		"func=GLOB, inlined=WHICH, out=TRACE, status=FILE, console=FILE, header=FILE, mode=MODE, callers=yes|no, "
		"args=yes, mem=PLACE, until=TEXT, limit=N, stop-at=ADDRESS and icount-shift=N");
}

/* An address to stop at is recorded too, whether it was listed or not. */
static struct cp_error *
list_stop(struct arguments *arguments)
{
	const struct entry *entry = entries_find(&arguments->entries, arguments->stop);

	if (!arguments->has_stop || entry != NULL)
		return NULL;
	if (arguments->known.count != 0)
		entry = entries_find(&arguments->known, arguments->stop);
	return entries_add(&arguments->entries, arguments->stop, entry != NULL ? entry->name : "?");
}

/* Indirect calls are told from what else comes to a function's entry by knowing all entries. */
static struct cp_error *
list_known(struct arguments *arguments, bool has_calls)
{
	struct cp_where everything = { .files = { .count = 0 } };
	struct cp_error *error;
	char *build_id = NULL;

	if (arguments->kernel == NULL || !(arguments->has_stop || (has_calls && arguments->callers != CALLERS_NO &&
	    !arguments->is_counting)))
		return NULL;
	arguments->knows_all = true;
	if (arguments->listed.has_all && strcmp(arguments->listed.inlined, "only") != 0)
		return NULL;
	error = entries_list(arguments->kernel, &everything, CP_INLINED_EXCLUDE, &arguments->known, &build_id);
	free(build_id);
	return error != NULL ? error : entries_sort(&arguments->known);
}

static struct cp_error *
take_all(int argc, char **argv, bool has_calls, struct question *question, struct arguments *arguments)
{
	struct cp_error *error = NULL;

	for (int i = 0; i < argc && error == NULL; i++)
		error = take(argv[i], question, arguments);
	if (error == NULL)
		error = ask(question, arguments);
	if (error != NULL)
		return error;
	if (arguments->entries.count == 0 || arguments->out == NULL)
		return cp_error_create(CP_ERROR_USAGE, "list=FILE or kernel=PATH, and out=TRACE are needed");
	if (arguments->is_counting && (arguments->has_values || arguments->limit != UINT64_MAX ||
	    arguments->console != NULL || arguments->callers == CALLERS_YES))
		return cp_error_create(CP_ERROR_USAGE, "mode=counts records no events: leave args, limit, console and "
			"callers out");
	if (arguments->until_count > 0 && arguments->console == NULL)
		return cp_error_create(CP_ERROR_USAGE, "until=%s: give console=FILE, where the console is logged",
			arguments->until[0]);
	error = entries_sort(&arguments->entries);
	if (error == NULL)
		error = list_known(arguments, has_calls);
	return error != NULL ? error : list_stop(arguments);
}

struct cp_error *
arguments_read(int argc, char **argv, bool has_calls, struct arguments *ret)
{
	struct question question = { .kernel = NULL };
	size_t room = (size_t)argc + 1;
	struct cp_error *error;

	*ret = (struct arguments){ .limit = UINT64_MAX, .icount_shift = -1, .listed = { .inlined = "include" } };
	question.where.files.items = calloc(room, sizeof(char *));
	question.where.functions.items = calloc(room, sizeof(char *));
	ret->listed.files = calloc(room, sizeof(char *));
	ret->listed.functions = calloc(room, sizeof(char *));
	ret->until = calloc(room, sizeof(char *));
	if (question.where.files.items == NULL || question.where.functions.items == NULL || ret->listed.files == NULL ||
	    ret->listed.functions == NULL || ret->until == NULL)
		error = &cp_error_no_memory;
	else
		error = take_all(argc, argv, has_calls, &question, ret);
	free(question.where.files.items);
	free(question.where.functions.items);
	return error;
}
