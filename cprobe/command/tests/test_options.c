/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "command/help.h"
#include "command/nearest.h"
#include "command/options.h"
#include "tests/unit.h"

#define MOST 12

static bool help;

/* Parse words that end with NULL, each copied, since parsing changes them. */
static struct cp_error *parse(const struct cp_verb *verb, const char *const *words, struct cp_options *options)
{
	static char copies[MOST][64];
	static char *argv[MOST + 1];
	int argc = 0;

	for (; words[argc]; argc++) {
		assert_true(argc < MOST && strlen(words[argc]) < sizeof(copies[0]));
		argv[argc] = strcpy(copies[argc], words[argc]);
	}
	return cp_options_parse(verb, argc, argv, options, &help);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void refused(const struct cp_verb *verb, const char *const *words, const char *said)
{
	struct cp_options options;
	struct cp_error *error = parse(verb, words, &options);

	assert_non_null(error);
	assert_int_equal(error->code, CP_ERROR_USAGE);
	if (!strstr(error->message, said))
		fail_msg("\"%s\" does not say \"%s\"", error->message, said);
	cp_error_destroy(error);
	cp_options_deinit(&options);
}

static void options_stand_anywhere(void **state)
{
	struct cp_options options;

	(void)state;
	assert_null(parse(&cp_verb_list, WORDS("--file", "a", "k", "--func=b=c", "--file=d", "--format", "json",
		"--inlined=only"), &options));
	assert_string_equal(options.kernel, "k");
	assert_int_equal(options.arg_count, 0);
	assert_int_equal(options.where.files.count, 2);
	assert_string_equal(options.where.files.items[1], "d");
	assert_string_equal(options.where.functions.items[0], "b=c");
	assert_int_equal(options.format, CP_FORMAT_JSON);
	assert_int_equal(options.inlined, CP_INLINED_ONLY);
	cp_options_deinit(&options);
}

static void two_dashes_end_them(void **state)
{
	struct cp_options options;

	(void)state;
	assert_null(parse(&cp_verb_symbol, WORDS("--", "-k", "--format", "-x", "--"), &options));
	assert_string_equal(options.kernel, "-k");
	assert_int_equal(options.arg_count, 3);
	assert_string_equal(options.args[0], "--format");
	assert_string_equal(options.args[2], "--");
	assert_int_equal(options.format, CP_FORMAT_TEXT);
	cp_options_deinit(&options);
	/* A value may look like an option. */
	assert_null(parse(&cp_verb_list, WORDS("k", "--file", "--", "--func", "--file"), &options));
	assert_string_equal(options.where.files.items[0], "--");
	assert_string_equal(options.where.functions.items[0], "--file");
	cp_options_deinit(&options);
	assert_null(parse(&cp_verb_symbol, WORDS("k", "-"), &options));
	assert_string_equal(options.args[0], "-");
	cp_options_deinit(&options);
}

static void what_is_wrong_is_said(void **state)
{
	(void)state;
	refused(&cp_verb_list, WORDS("k", "--fromat", "json"), "no option --fromat: did you mean --format?");
	refused(&cp_verb_list, WORDS("k", "--inline=only"), "did you mean --inlined?");
	refused(&cp_verb_find, WORDS("k", "--func", "x"), "did you mean --in-func?");
	refused(&cp_verb_list, WORDS("k", "--message", "x"), "--message is another verb's option");
	refused(&cp_verb_list, WORDS("k", "--zzzzzzzzzz"), "give --file, --func, --inlined, --format or --help");
	refused(&cp_verb_list, WORDS("k", "--"
		"0123456789012345678901234567890123456789"), "give --file");
	refused(&cp_verb_list, WORDS("k", "-f", "x"), "no option -f");
	refused(&cp_verb_list, WORDS("k", "--file"), "its value is missing: give --file GLOB");
	refused(&cp_verb_list, WORDS("k", "--file="), "its value is empty");
	refused(&cp_verb_list, WORDS("k", "--func", ""), "its value is empty");
	refused(&cp_verb_find, WORDS("k", "--insn="), "its value is empty");
	refused(&cp_verb_find, WORDS("k", "--message", ""), "its value is empty");
	refused(&cp_verb_list, WORDS("k", "--format="), "give --format text|json|gdb");
	refused(&cp_verb_list, WORDS("k", "--format=xml"), "no value \"xml\": give text, json or gdb");
	refused(&cp_verb_symbolize, WORDS("k", "--inlines=yes"), "--inlines takes no value");
	refused(&cp_verb_list, WORDS("k", "--help=me"), "--help takes no value");
	refused(&cp_verb_list, WORDS("--file", "a"), "no KERNEL given");
	refused(&cp_verb_list, WORDS(""), "KERNEL is empty");
	refused(&cp_verb_list, WORDS("k", "more"), "\"more\" is one word too many");
	refused(&cp_verb_symbol, WORDS("k", "a", ""), "an empty word: give NAME");
}

static void contradictions(void **state)
{
	struct cp_options options;

	(void)state;
	refused(&cp_verb_list, WORDS("k", "--format=json", "--format", "text"), "twice, as \"json\" and as \"text\"");
	refused(&cp_verb_list, WORDS("k", "--inlined", "include", "--inlined", "only"), "twice, as \"include\" and as \"only\"");
	refused(&cp_verb_find, WORDS("k", "--insn", "in", "--insn", "out"), "with a list such as");
	refused(&cp_verb_find, WORDS("k", "--message", "a", "--message", "b"), "twice");
	refused(&cp_verb_find, WORDS("k", "--message", "a", "--insn", "in"), "one at a time");
	refused(&cp_verb_find, WORDS("k"), "give --insn LIST or --message TEXT");
	assert_null(parse(&cp_verb_symbolize, WORDS("k", "--format=gdb", "--format", "gdb", "--inlines", "--inlines"),
		&options));
	assert_int_equal(options.format, CP_FORMAT_GDB);
	assert_true(options.inlines);
	cp_options_deinit(&options);
}

static void help_asks_for_nothing_else(void **state)
{
	static const char *const forms[][3] = { { "--help" }, { "-h" }, { "k", "--help" }, { "--help", "--nonsense" } };
	struct cp_options options;

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		help = false;
		assert_null(parse(&cp_verb_find, forms[i], &options));
		assert_true(help);
		cp_options_deinit(&options);
	}
}

static void every_verb_has_help(void **state)
{
	size_t count = 0;

	(void)state;
	while (cp_helps[count].name)
		count++;
	for (size_t i = 0; cp_verbs[i]; i++) {
		size_t h = 1;

		while (h < count && strcmp(cp_helps[h].name, cp_verbs[i]->name))
			h++;
		if (h == count)
			fail_msg("docs/man/cprobe.1 has no section of %s", cp_verbs[i]->name);
	}
}

static void nearest_words(void **state)
{
	static const char *const words[] = { "file", "func", "format", "inlined", "symbol", "symbolize" };

	(void)state;
	assert_string_equal(cp_nearest("fiel", words, 6), "file");
	assert_string_equal(cp_nearest("form", words, 6), "format");
	assert_string_equal(cp_nearest("symbolise", words, 6), "symbolize");
	assert_string_equal(cp_nearest("symbl", words, 6), "symbol");
	assert_null(cp_nearest("zebra", words, 6));
	assert_null(cp_nearest("", words, 6));
	assert_null(cp_nearest("x", words, 6));
	assert_null(cp_nearest("a-word-that-is-longer-than-any-option-ever-will-be", words, 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(two_dashes_end_them),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(help_asks_for_nothing_else),
		cmocka_unit_test(every_verb_has_help),
		cmocka_unit_test(nearest_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
