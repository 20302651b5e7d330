/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/glob.h"
#include "unit.h"

static void path_glob_matches_a_tail(void **state)
{
	(void)state;
	assert_true(cp_glob_path("pvclock.c", "/usr/src/sys/x86/x86/pvclock.c"));
	assert_true(cp_glob_path("x86/pvclock.c", "sys/x86/x86/pvclock.c"));
	assert_true(cp_glob_path("pvclock.c", "pvclock.c"));
	assert_true(cp_glob_path("*/tsc.c", "arch/x86/kernel/tsc.c"));
	assert_true(cp_glob_path("kernel/t*.c", "arch/x86/kernel/tsc.c"));
}

static void path_glob_keeps_to_whole_components(void **state)
{
	(void)state;
	assert_false(cp_glob_path("pvclock.c", "arch/x86/kpvclock.c"));
	assert_false(cp_glob_path("86/pvclock.c", "x86/pvclock.c"));
	assert_false(cp_glob_path("x86/*.c", "x86/kernel/tsc.c"));
	assert_false(cp_glob_path("pvclock.c", "pvclock.c/other.h"));
}

static void name_glob_matches_clones(void **state)
{
	(void)state;
	assert_true(cp_glob_name("tsc_*", "tsc_init"));
	assert_true(cp_glob_name("foo", "foo.part.0"));
	assert_true(cp_glob_name("foo", "foo.constprop.0.cold"));
	assert_true(cp_glob_name("foo.part.*", "foo.part.0"));
	assert_false(cp_glob_name("foo", "foobar.part.0"));
	assert_false(cp_glob_name("foo.cold", "foo"));
}

static void name_glob_may_begin_with_a_wildcard(void **state)
{
	(void)state;
	assert_true(cp_glob_name("?sc_init", "tsc_init"));
	assert_true(cp_glob_name("[a-z]sc_init", "tsc_init.cold"));
	assert_true(cp_glob_name("\\tsc_init", "tsc_init"));
	assert_true(cp_glob_name("*", ""));
	assert_false(cp_glob_name("", "tsc_init"));
	assert_false(cp_glob_name("tsc_init", ""));
}

static void no_glob_matches_all(void **state)
{
	(void)state;
	assert_true(cp_globs_name(NULL, 0, "anything"));
}

static void normalised(const char *path, const char *expected)
{
	char buffer[128];

	strcpy(buffer, path);
	cp_path_normalise(buffer);
	assert_string_equal(buffer, expected);
}

static void paths_are_normalised(void **state)
{
	(void)state;
	normalised("./a//b/./c.c", "a/b/c.c");
	normalised("/a/../b/c.c", "/b/c.c");
	normalised("../../a.c", "../../a.c");
	normalised("a/b/../../../c.c", "../c.c");
	normalised("", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_glob_matches_a_tail),
		cmocka_unit_test(path_glob_keeps_to_whole_components),
		cmocka_unit_test(name_glob_matches_clones),
		cmocka_unit_test(name_glob_may_begin_with_a_wildcard),
		cmocka_unit_test(no_glob_matches_all),
		cmocka_unit_test(paths_are_normalised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
