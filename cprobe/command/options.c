/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/nearest.h"
#include "command/options.h"

static const char *const formats[] = { "text", "json", "gdb", NULL };
static const char *const consoles[] = { "exact", "text", "none", NULL };
static const char *const inlined[] = { "include", "exclude", "only", NULL };

/* What an option's value goes to. */
enum target { TO_FORMAT, TO_HELP, TO_FILES, TO_FUNCTIONS, TO_INLINED, TO_INSN, TO_INPUTS, TO_PADDING, TO_MESSAGE,
	TO_INLINES, TO_FROM, TO_TO, TO_GAP, TO_DEPTH, TO_LEAST, TO_LIMIT, TO_CONSOLE, TO_SLOWER, TO_KERNEL, TO_KERNEL_BASELINE,
	TO_LIKE };

static const struct option {
	const char *name;
	const char *value;		/* what it is called; NULL: the option takes none */
	const char *const *words;	/* all the values that there are; NULL: any text */
	enum target target;
	unsigned int takes;		/* verbs that have one of these take it; 0: every verb */
} table[] = {
	{ "file", "GLOB", NULL, TO_FILES, CP_TAKES_FILE },
	{ "func", "GLOB", NULL, TO_FUNCTIONS, CP_TAKES_FUNC },
	{ "inlined", "include|exclude|only", inlined, TO_INLINED, CP_TAKES_INLINED },
	{ "insn", "LIST", NULL, TO_INSN, CP_TAKES_INSN },
	{ "inputs", NULL, NULL, TO_INPUTS, CP_TAKES_INPUTS },
	{ "padding", NULL, NULL, TO_PADDING, CP_TAKES_INPUTS },
	{ "message", "TEXT", NULL, TO_MESSAGE, CP_TAKES_MESSAGE },
	{ "in-func", "GLOB", NULL, TO_FUNCTIONS, CP_TAKES_IN },
	{ "in-file", "GLOB", NULL, TO_FILES, CP_TAKES_IN },
	{ "inlines", NULL, NULL, TO_INLINES, CP_TAKES_INLINES },
	{ "from", "NS", NULL, TO_FROM, CP_TAKES_TIMES },
	{ "to", "NS", NULL, TO_TO, CP_TAKES_TIMES },
	{ "gap", "MS", NULL, TO_GAP, CP_TAKES_GAP },
	{ "depth", "N", NULL, TO_DEPTH, CP_TAKES_TREE },
	{ "least", "MS", NULL, TO_LEAST, CP_TAKES_TREE },
	{ "limit", "N", NULL, TO_LIMIT, CP_TAKES_LIMIT },
	{ "console", "exact|text|none", consoles, TO_CONSOLE, CP_TAKES_DIFF | CP_TAKES_BASELINE },
	{ "slower", "PERCENT", NULL, TO_SLOWER, CP_TAKES_DIFF | CP_TAKES_BASELINE },
	{ "like", "BASELINE", NULL, TO_LIKE, CP_TAKES_BASELINE },
	{ "kernel", "KERNEL", NULL, TO_KERNEL, CP_TAKES_DIFF | CP_TAKES_BASELINE },
	{ "kernel-baseline", "KERNEL", NULL, TO_KERNEL_BASELINE, CP_TAKES_DIFF },
	{ "format", "text|json|gdb", formats, TO_FORMAT, 0 },
	{ "help", NULL, NULL, TO_HELP, 0 },
};

#define TABLE_SIZE (sizeof(table) / sizeof(*table))

static bool takes(const struct cp_verb *verb, const struct option *option)
{
	return !option->takes || (verb->takes & option->takes);
}

/* "--file, --func, --format or --help". */
static void name_all(const struct cp_verb *verb, char *text, size_t size)
{
	const struct option *last = &table[TABLE_SIZE - 1];
	size_t used = 0;

	text[0] = 0;
	for (const struct option *o = table; o <= last; o++) {
		if (takes(verb, o) && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s--%s", !used ? "" : o == last ? " or " : ", ", o->name);
	}
}

static struct cp_error *unknown_option(const struct cp_verb *verb, const char *name)
{
	const char *names[TABLE_SIZE], *nearest;
	size_t count = 0;
	char all[256];

	for (size_t i = 0; i < TABLE_SIZE; i++) {
		if (takes(verb, &table[i]))
			names[count++] = table[i].name;
	}
	nearest = cp_nearest(name, names, count);
	if (nearest)
		return cp_error_create(CP_ERROR_USAGE, "%s: no option --%s: did you mean --%s?", verb->name, name, nearest);
	name_all(verb, all, sizeof(all));
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		if (!strcmp(table[i].name, name))
			return cp_error_create(CP_ERROR_USAGE, "%s: --%s is another verb's option: %s takes %s", verb->name, name,
				verb->name, all);
	}
	return cp_error_create(CP_ERROR_USAGE, "%s: no option --%s: give %s", verb->name, name, all);
}

static struct cp_error *find_option(const struct cp_verb *verb, const char *name, const struct option **ret)
{
	for (size_t i = 0; i < TABLE_SIZE; i++) {
		if (takes(verb, &table[i]) && !strcmp(table[i].name, name)) {
			*ret = &table[i];
			return NULL;
		}
	}
	return unknown_option(verb, name);
}

static struct cp_error *add_glob(struct cp_globs *globs, char *glob)
{
	char **items = realloc(globs->items, (globs->count + 1) * sizeof(*items));

	if (!items)
		return &cp_error_no_memory;
	globs->items = items;
	items[globs->count++] = glob;
	return NULL;
}

static struct cp_error *contradiction(const struct option *option, const char *before, const char *value)
{
	return cp_error_create(CP_ERROR_USAGE, "--%s is given twice, as \"%s\" and as \"%s\": give it once%s", option->name,
		before, value, option->target == TO_INSN ? ", with a list such as cpuid,rdtsc" : "");
}

static struct cp_error *set_word(const struct option *option, const char *value, bool again, int *ret)
{
	int word = 0;

	while (option->words[word] && strcmp(option->words[word], value))
		word++;
	if (!option->words[word])
		return cp_error_create(CP_ERROR_USAGE, "--%s: no value \"%s\": give %s, %s or %s", option->name, value,
			option->words[0], option->words[1], option->words[2]);
	if (again && word != *ret)
		return contradiction(option, option->words[*ret], value);
	*ret = word;
	return NULL;
}

static struct cp_error *set_text(const struct option *option, const char *value, const char **ret)
{
	if (*ret && strcmp(*ret, value))
		return contradiction(option, *ret, value);
	*ret = value;
	return NULL;
}

/* A number, or one of a unit that is `scale` of those that are kept; the last one given counts. */
static struct cp_error *set_number(const struct option *option, const char *value, uint64_t scale, uint64_t *ret)
{
	uint64_t number;
	char *end;

	errno = 0;
	number = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || number > INT64_MAX / scale)
		return cp_error_create(CP_ERROR_USAGE, "--%s: \"%s\" is no number: give --%s %s, a whole number", option->name, value,
			option->name, option->value);
	*ret = number * scale;
	return NULL;
}

static struct cp_error *set_option(const struct option *option, char *value, struct cp_options *options)
{
	bool again = options->given & 1u << (option - table);
	struct cp_error *error;
	int word;

	options->given |= 1u << (option - table);
	switch (option->target) {
	case TO_FILES:
		return add_glob(&options->where.files, value);
	case TO_FUNCTIONS:
		return add_glob(&options->where.functions, value);
	case TO_INSN:
		return set_text(option, value, &options->insn);
	case TO_MESSAGE:
		return set_text(option, value, &options->message);
	case TO_FORMAT:
		word = (int)options->format;
		error = set_word(option, value, again, &word);
		options->format = (enum cp_format)word;
		return error;
	case TO_INLINED:
		word = (int)options->inlined;
		error = set_word(option, value, again, &word);
		options->inlined = (enum cp_inlined)word;
		return error;
	case TO_CONSOLE:
		word = (int)options->console;
		error = set_word(option, value, again, &word);
		options->console = (enum cp_console)word;
		options->has_console = true;
		return error;
	case TO_SLOWER:
		options->has_slower = true;
		if (!strcmp(value, "no")) {
			options->slower = CP_SLOWER_NO;
			return NULL;
		}
		return set_number(option, value, 1, &options->slower);
	case TO_KERNEL:
		return set_text(option, value, &options->kernel_now);
	case TO_LIKE:
		return set_text(option, value, &options->like);
	case TO_KERNEL_BASELINE:
		return set_text(option, value, &options->kernel_baseline);
	case TO_FROM:
		return set_number(option, value, 1, &options->from);
	case TO_TO:
		return set_number(option, value, 1, &options->to);
	case TO_GAP:
		return set_number(option, value, 1000000, &options->gap);
	case TO_DEPTH:
		return set_number(option, value, 1, &options->depth);
	case TO_LEAST:
		return set_number(option, value, 1000000, &options->least);
	case TO_LIMIT:
		return set_number(option, value, 1, &options->limit);
	case TO_INPUTS:
		options->inputs = true;
		return NULL;
	case TO_PADDING:
		options->padding = true;
		return NULL;
	case TO_INLINES:
		options->inlines = true;
		return NULL;
	case TO_HELP:
		break;
	}
	return NULL;
}

/* One option, its "--" cut off. *next: what follows it on the command line, or NULL; NULL afterwards if it was taken. */
static struct cp_error *parse_option(char *name, char **next, struct cp_options *options, bool *help)
{
	const struct option *option = NULL;
	char *value = strchr(name, '=');
	struct cp_error *error;

	if (value)
		*value++ = 0;
	error = find_option(options->verb, name, &option);
	if (error)
		return error;
	if (!option->value && value)
		return cp_error_create(CP_ERROR_USAGE, "--%s takes no value, and \"%s\" was given", name, value);
	if (option->value && !value) {
		value = *next;
		*next = NULL;
	}
	if (option->value && !value)
		return cp_error_create(CP_ERROR_USAGE, "--%s: its value is missing: give --%s %s", name, name, option->value);
	if (option->value && !*value)
		return cp_error_create(CP_ERROR_USAGE, "--%s: its value is empty: give --%s %s", name, name, option->value);
	*help |= option->target == TO_HELP;
	return set_option(option, value, options);
}

static struct cp_error *check_words(const struct cp_options *options, int positional)
{
	const struct cp_verb *verb = options->verb;

	if (!positional && !verb->no_kernel)
		return cp_error_create(CP_ERROR_USAGE, "%s: no KERNEL given: name an ELF file", verb->name);
	if (!verb->no_kernel && !*options->kernel)
		return cp_error_create(CP_ERROR_USAGE, "%s: KERNEL is empty: name an ELF file", verb->name);
	if (verb->has_trace && (!options->trace || !*options->trace))
		return cp_error_create(CP_ERROR_USAGE, "%s: no TRACE given: name a file that bootsonde run --trace or bootsonde trace "
			"wrote", verb->name);
	if (!verb->words && options->arg_count)
		return cp_error_create(CP_ERROR_USAGE, "%s: \"%s\" is one word too many: it takes %s and options", verb->name,
			options->args[0], verb->no_kernel ? "a TRACE" : verb->has_trace ? "a KERNEL, a TRACE" : "a KERNEL");
	for (int i = 0; i < options->arg_count; i++) {
		if (!*options->args[i])
			return cp_error_create(CP_ERROR_USAGE, "%s: an empty word: give %s", verb->name, verb->words);
	}
	return verb->check ? verb->check(options) : NULL;
}

struct cp_error *cp_options_parse(const struct cp_verb *verb, int argc, char **argv, struct cp_options *options,
	bool *help)
{
	int positional = 0, first;
	bool ended = false;

	memset(options, 0, sizeof(*options));
	options->verb = verb;
	options->to = UINT64_MAX;
	options->gap = 100 * 1000 * 1000;
	options->least = CP_LEAST_AUTOMATIC;
	options->depth = 12;
	options->limit = verb->limit;
	*help = false;
	for (int i = 0; i < argc; i++) {
		char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL, *was = next;
		struct cp_error *error;

		if (ended || word[0] != '-' || !word[1]) {
			argv[positional++] = word;
		} else if (!strcmp(word, "--")) {
			ended = true;
		} else if (!strcmp(word, "-h")) {
			*help = true;
			return NULL;
		} else if (word[1] != '-') {
			return cp_error_create(CP_ERROR_USAGE, "%s: no option %s: options begin with --; a word that begins with - "
				"goes after a -- of its own", verb->name, word);
		} else {
			error = parse_option(word + 2, &next, options, help);
			if (error || *help)
				return error;
			i += was != next;
		}
	}
	first = !verb->no_kernel && positional;
	options->kernel = first ? argv[0] : NULL;
	options->args = argv + first;
	options->arg_count = positional - first;
	/* Without words of its own, a word too many is what comes after the TRACE. */
	if (verb->has_trace && options->arg_count && verb->words) {
		options->trace = options->args[--options->arg_count];
	} else if (verb->has_trace && options->arg_count) {
		options->trace = options->args++[0];
		options->arg_count--;
	}
	return check_words(options, positional);
}

void cp_options_deinit(struct cp_options *options)
{
	free(options->where.files.items);
	free(options->where.functions.items);
}
