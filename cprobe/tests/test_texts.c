/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/texts.h"
#include "unit.h"

#define LONGEST 8

/* Texts of those lengths, in bytes of just their size. */
static bool have_long(const size_t *lengths, size_t count)
{
	size_t size = 0;
	char *bytes;
	bool ret;

	for (size_t i = 0; i < count; i++)
		size += lengths[i] + 1;
	bytes = malloc(size ? size : 1);
	assert_non_null(bytes);
	memset(bytes, 'x', size);
	for (size_t i = 0, at = 0; i < count; i++) {
		at += lengths[i];
		bytes[at++] = 0;
	}
	ret = cp_texts_have_long(bytes, size, LONGEST);
	free(bytes);
	return ret;
}

#define HAVE_LONG(...) \
	have_long((const size_t[]){ __VA_ARGS__ }, sizeof((const size_t[]){ __VA_ARGS__ }) / sizeof(size_t))

static void no_texts_are_not_long(void **state)
{
	(void)state;
	assert_false(cp_texts_have_long(NULL, 0, LONGEST));
}

static void a_text_is_long_from_the_limit_on(void **state)
{
	(void)state;
	assert_false(HAVE_LONG(LONGEST - 1));
	assert_true(HAVE_LONG(LONGEST));
	assert_true(HAVE_LONG(LONGEST + 1));
}

static void a_long_one_is_found_wherever_it_lies(void **state)
{
	(void)state;
	assert_false(HAVE_LONG(0, 7, 0, 3, 7, 7, 1));
	assert_true(HAVE_LONG(8, 0, 3));
	assert_true(HAVE_LONG(0, 7, 8, 1, 2));
	assert_true(HAVE_LONG(3, 7, 7, 0, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_texts_are_not_long),
		cmocka_unit_test(a_text_is_long_from_the_limit_on),
		cmocka_unit_test(a_long_one_is_found_wherever_it_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
