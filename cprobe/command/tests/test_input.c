/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "command/input.h"
#include "tests/unit.h"

/* What a line gives, or NULL unless it is of this kind. */
static const char *part_of(const char *text, enum cp_part part, enum cp_input wanted)
{
	static char result[256], line[1024];
	enum cp_input kind;
	char *room, *ret;

	assert_true(strlen(text) < sizeof(line));
	strcpy(line, text);
	assert_null(cp_input_part(line, part, &kind, &room, &ret));
	snprintf(result, sizeof(result), "%s", ret);
	free(room);
	return kind == wanted ? result : NULL;
}

static void is(const char *text, enum cp_part part, const char *wanted)
{
	const char *got = part_of(text, part, CP_INPUT_PART);

	assert_non_null(got);
	assert_string_equal(got, wanted);
}

#define FUNCTION "0xffffffff80203c61 pvclock_read+0x1f sys/x86/pvclock.c:27"

static void text(void **state)
{
	(void)state;
	is(FUNCTION " inlined in outer", CP_PART_ADDRESS, "0xffffffff80203c61");
	is(FUNCTION " function", CP_PART_NAME, "pvclock_read");
	is(FUNCTION " insn for 0x10", CP_PART_PLACE, "sys/x86/pvclock.c:27");
	is("  " FUNCTION " function \r", CP_PART_TYPE, "pvclock_read+0x1f");
	is("     8     24 timer.system_time struct x *", CP_PART_TYPE, "timer.system_time");
	assert_non_null(part_of("0x0000000000000010 ? ?:0 unknown", CP_PART_NAME, CP_INPUT_LACKING));
	assert_non_null(part_of("0x0000000000000010 ? ?:0 unknown", CP_PART_PLACE, CP_INPUT_LACKING));
	assert_non_null(part_of("     8     24 timer.system_time struct x *", CP_PART_ADDRESS, CP_INPUT_LACKING));
}

static void gdb(void **state)
{
	(void)state;
	is("# pvclock_init sys/x86/pvclock.c:27 function", CP_PART_NAME, "pvclock_init");
	is("# also pvclock_init sys/x86/pvclock.c:27 inlined in outer", CP_PART_PLACE, "sys/x86/pvclock.c:27");
	is("# " FUNCTION " function", CP_PART_ADDRESS, "0xffffffff80203c61");
	is("break *0x10", CP_PART_ADDRESS, "0x10");
	assert_non_null(part_of("break *0x10", CP_PART_NAME, CP_INPUT_PASS));
	assert_non_null(part_of("# pvclock_init pvclock.c:27 function", CP_PART_ADDRESS, CP_INPUT_PASS));
	assert_non_null(part_of("# also pvclock_init pvclock.c:27 function", CP_PART_ADDRESS, CP_INPUT_PASS));
	assert_non_null(part_of("# tsc_freq tsc.c:16 object", CP_PART_ADDRESS, CP_INPUT_LACKING));
}

static void json(void **state)
{
	(void)state;
	is("{\"address\": \"0x10\", \"name\": \"a\", \"args\": [{\"name\": \"b\", \"x\": [\"]\"]}]}", CP_PART_NAME, "a");
	is("{\"args\": [{\"name\": \"b\"}], \"address\": \"0x10\"}", CP_PART_ADDRESS, "0x10");
	is("{\"file\": \"a/b.c\", \"line\": 7, \"kind\": \"line\"}", CP_PART_PLACE, "a/b.c:7");
	is("{\"name\": \"pvti\", \"kind\": \"object\", \"type\": \"const struct pvclock *[4]\"}", CP_PART_TYPE, "pvclock");
	is("{\"name\": \"pvti\", \"kind\": \"field\", \"type\": \"int\"}", CP_PART_TYPE, "pvti");
	is("{\"name\": \"\\u00e9\\u0394\\\"\\\\\"}", CP_PART_NAME, "\xe9\xce\x94\"\\\\");
	assert_non_null(part_of("{\"name\": null}", CP_PART_NAME, CP_INPUT_LACKING));
	assert_non_null(part_of("{\"address\": \"ten\"}", CP_PART_ADDRESS, CP_INPUT_LACKING));
	assert_non_null(part_of("{\"input\": \"x\", \"error\": \"not an address\"}", CP_PART_ADDRESS, CP_INPUT_LACKING));
	assert_non_null(part_of("{}", CP_PART_NAME, CP_INPUT_LACKING));
}

static void alternatives_are_where_they_patch(void **state)
{
	(void)state;
	is("0x0000000000000010 f a.c:7 insn for 0x20", CP_PART_ADDRESS, "0x20");
	is("0x0000000000000010 f a.c:7 insn in for_0x for 0x20", CP_PART_ADDRESS, "0x20");
	is("0x0000000000000010 f a.c:7 insn in for", CP_PART_ADDRESS, "0x0000000000000010");
	is("{\"address\": \"0x10\", \"patches\": \"0x20\"}", CP_PART_ADDRESS, "0x20");
}

static void names_are_no_globs(void **state)
{
	(void)state;
	is("0x0000000000000010 operator*[] a[1].c:7 function", CP_PART_NAME, "operator\\*\\[]");
	is("0x0000000000000010 f a[1].c:7 function", CP_PART_PLACE, "a\\[1].c:7");
	/* In text "?" stands for what cannot be printed. */
	is("0x0000000000000010 f?g a.c:7 function", CP_PART_NAME, "f?g");
	is("{\"name\": \"f?g\"}", CP_PART_NAME, "f\\?g");
}

static void everything_else_is_a_word(void **state)
{
	static const char *const lines[] = { "", "lapic_init", "tsc.c:131", "struct pvclock", "0x10", "0x10 a", "0x10 a b",
		"0x10 a b c d", "0x10 a b:7 nonsense", "# just a comment", "# a b c", "break main", "break *", "break *0x",
		"build-id:    7a", "12 34 x", "{", "{\"name\": \"a\"", "{\"name\": \"a\"} x", "{\"name\": \"a", "{\"a\" 1}",
		"{\"a\": [}", "{\"a\": [1}, \"name\": \"b\"}", "{\"a\": ]}", "{\"name\": \"\\u0000\"}", "{\"name\": \"\\x\"}",
		"{\"name\": \"a\\", "{\"name\":", "{\"name\": \"\\u12", "[1]", "\"a\"", "{,}", "{\"a\": }" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		for (int part = CP_PART_ADDRESS; part <= CP_PART_TYPE; part++) {
			const char *got = part_of(lines[i], (enum cp_part)part, CP_INPUT_WORD);

			if (!got)
				fail_msg("\"%s\" is taken for cprobe's", lines[i]);
			if (lines[i][0] != '{')
				assert_string_equal(got, lines[i]);
		}
	}
}

static void nesting_is_bounded(void **state)
{
	char deep[600] = "{\"a\": ";

	(void)state;
	memset(deep + 6, '[', 300);
	assert_non_null(part_of(deep, CP_PART_NAME, CP_INPUT_WORD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),
		cmocka_unit_test(gdb),
		cmocka_unit_test(json),
		cmocka_unit_test(alternatives_are_where_they_patch),
		cmocka_unit_test(names_are_no_globs),
		cmocka_unit_test(everything_else_is_a_word),
		cmocka_unit_test(nesting_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
