/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "command/options.h"

static struct cp_error *add_glob(struct cp_globs *globs, char *glob)
{
	char **items;

	if (!*glob)
		return cp_error_create(CP_ERROR_USAGE, "an empty glob matches nothing");
	items = realloc(globs->items, (globs->count + 1) * sizeof(*items));
	if (!items)
		return &cp_error_no_memory;
	globs->items = items;
	items[globs->count++] = glob;
	return NULL;
}

static struct cp_error *set_word(const char *option, const char *value, const char *const *words, int *ret)
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], value)) {
			*ret = i;
			return NULL;
		}
	}
	return cp_error_create(CP_ERROR_USAGE, "--%s %s: give %s, %s or %s", option, value, words[0], words[1], words[2]);
}

static struct cp_error *set_option(const struct cp_verb *verb, const char *name, char *value,
	struct cp_options *options)
{
	static const char *const formats[] = { "text", "json", "gdb", NULL };
	static const char *const inlined[] = { "include", "exclude", "only", NULL };
	struct cp_error *error;
	int word = 0;

	if (!strcmp(name, "format")) {
		error = set_word(name, value, formats, &word);
		options->format = (enum cp_format)word;
		return error;
	}
	if (!strcmp(name, "inlined") && (verb->takes & CP_TAKES_INLINED)) {
		error = set_word(name, value, inlined, &word);
		options->inlined = (enum cp_inlined)word;
		return error;
	}
	if (!strcmp(name, "file") && (verb->takes & CP_TAKES_FILE))
		return add_glob(&options->where.files, value);
	if (!strcmp(name, "func") && (verb->takes & CP_TAKES_FUNC))
		return add_glob(&options->where.functions, value);
	if (!strcmp(name, "in-file") && (verb->takes & CP_TAKES_IN))
		return add_glob(&options->where.files, value);
	if (!strcmp(name, "in-func") && (verb->takes & CP_TAKES_IN))
		return add_glob(&options->where.functions, value);
	if (!strcmp(name, "insn") && (verb->takes & CP_TAKES_INSN))
		return options->insn = value, NULL;
	if (!strcmp(name, "message") && (verb->takes & CP_TAKES_MESSAGE))
		return options->message = value, NULL;
	return cp_error_create(CP_ERROR_USAGE, "%s: no option --%s", verb->name, name);
}

struct cp_error *cp_options_parse(const struct cp_verb *verb, int argc, char **argv, struct cp_options *options,
	bool *help)
{
	int positional = 0;
	bool ended = false;

	memset(options, 0, sizeof(*options));
	for (int i = 0; i < argc; i++) {
		struct cp_error *error;
		char *equals, *name = argv[i], *value;

		if (ended || strncmp(name, "--", 2)) {
			if (!ended && !strcmp(name, "-h"))
				return *help = true, NULL;
			argv[positional++] = name;
			continue;
		}
		if (!name[2]) {
			ended = true;
			continue;
		}
		if (!strcmp(name, "--help"))
			return *help = true, NULL;
		if (!strcmp(name, "--inlines") && (verb->takes & CP_TAKES_INLINES)) {
			options->inlines = true;
			continue;
		}
		name += 2;
		equals = strchr(name, '=');
		if (equals) {
			*equals = 0;
			value = equals + 1;
		} else if (i + 1 < argc) {
			value = argv[++i];
		} else {
			return cp_error_create(CP_ERROR_USAGE, "%s: --%s: unknown, or its value is missing", verb->name, name);
		}
		error = set_option(verb, name, value, options);
		if (error)
			return error;
	}
	if (!positional)
		return cp_error_create(CP_ERROR_USAGE, "%s: no KERNEL given", verb->name);
	options->kernel = argv[0];
	options->args = argv + 1;
	options->arg_count = positional - 1;
	if (options->arg_count < verb->min_args)
		return cp_error_create(CP_ERROR_USAGE, "%s: too few arguments", verb->name);
	if (verb->max_args >= 0 && options->arg_count > verb->max_args)
		return cp_error_create(CP_ERROR_USAGE, "%s: too many arguments, from \"%s\" on", verb->name,
			options->args[verb->max_args]);
	return NULL;
}

void cp_options_deinit(struct cp_options *options)
{
	free(options->where.files.items);
	free(options->where.functions.items);
}
