/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "code/fmtmatch.h"
#include "unit.h"

static bool match(const char *format, const char *text, size_t *place)
{
	unsigned int score;
	bool matches;

	*place = 0;
	assert_null(cp_format_match(format, strlen(format), text, &matches, place, &score));
	return matches;
}

static void message_as_printed_matches_its_format(void **state)
{
	size_t place;

	(void)state;
	assert_true(match("Statistical %s calibration failed!  Clocks might be ticking.\n",
		"Statistical lapic calibration failed!", &place));
	assert_int_equal(place, 0);
}

static void place_is_where_the_text_begins(void **state)
{
	size_t place;

	(void)state;
	assert_true(match("%s: TSC at %d MHz", "TSC at 2596 MHz", &place));
	assert_int_equal(place, 4);
}

static void percent_sign_is_literal_when_doubled(void **state)
{
	size_t place;

	(void)state;
	assert_true(match("load is %d%% of it", "load is 40% of it", &place));
	assert_false(match("load is %d%% of it", "load is 40 of it", &place));
}

static void conversions_alone_match_nothing(void **state)
{
	size_t place;

	(void)state;
	assert_false(match("%s", "TSC not initialized", &place));
	assert_false(match("%s: %s\n", "panic: TSC not initialized", &place));
	assert_false(match("%s %s %s", "a b c", &place));
}

static void numbers_match_numbers_only(void **state)
{
	size_t place;

	(void)state;
	assert_true(match("CPU %u is dead", "CPU 12 is dead", &place));
	assert_false(match("CPU %u is dead", "CPU one is dead", &place));
	assert_true(match("MSR 0x%08x bad", "MSR 0x4b564d01 bad", &place));
}

static void another_message_does_not_match(void **state)
{
	size_t place;

	(void)state;
	assert_false(match("Statistical %s calibration failed!", "Statistical lapic calibration passed!", &place));
}

static void empty_and_long_inputs_match_nothing(void **state)
{
	static char text[4000], format[9000];
	size_t place;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memset(format, 'x', sizeof(format) - 1);
	assert_false(match("abc", "", &place));
	assert_false(match("", "abcd", &place));
	assert_false(match(format, "xxxx", &place));
	assert_false(match("xxxx", text, &place));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_as_printed_matches_its_format),
		cmocka_unit_test(place_is_where_the_text_begins),
		cmocka_unit_test(percent_sign_is_literal_when_doubled),
		cmocka_unit_test(conversions_alone_match_nothing),
		cmocka_unit_test(numbers_match_numbers_only),
		cmocka_unit_test(another_message_does_not_match),
		cmocka_unit_test(empty_and_long_inputs_match_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
