/* SPDX-License-Identifier: BSD-2-Clause */
#include "cprobe.h"
#include "unit.h"

static void message_is_formatted(void **state)
{
	struct cp_error *error = cp_error_create(CP_ERROR_CORRUPT, "%s: %d", "k", 7);

	(void)state;
	assert_string_equal(error->message, "k: 7");
	cp_error_destroy(error);
}

static void codes_decide_the_exit_status(void **state)
{
	struct cp_error error = { CP_ERROR_NOT_FOUND, NULL };

	(void)state;
	assert_int_equal(cp_error_exit_status(&error), 1);
	error.code = CP_ERROR_NO_DEBUG;
	assert_int_equal(cp_error_exit_status(&error), 1);
	error.code = CP_ERROR_USAGE;
	assert_int_equal(cp_error_exit_status(&error), 2);
	error.code = CP_ERROR_CORRUPT;
	assert_int_equal(cp_error_exit_status(&error), 3);
	assert_int_equal(cp_error_exit_status(&cp_error_no_memory), 3);
}

static void destroy_takes_null_and_the_static_error(void **state)
{
	(void)state;
	cp_error_destroy(NULL);
	cp_error_destroy(&cp_error_no_memory);
	assert_non_null(cp_error_no_memory.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_is_formatted),
		cmocka_unit_test(codes_decide_the_exit_status),
		cmocka_unit_test(destroy_takes_null_and_the_static_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
