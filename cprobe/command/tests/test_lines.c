/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/lines.h"
#include "tests/unit.h"

struct input {
	struct cp_lines lines;
	int pipe[2];
	int waits, lets;	/* how often it was about to wait; how often it may */
	const char *then;	/* is written when it waits, once */
};

static bool before_wait(void *context)
{
	struct input *input = context;

	if (++input->waits > input->lets)
		return false;
	if (input->then) {
		assert_int_equal(write(input->pipe[1], input->then, strlen(input->then)), strlen(input->then));
		input->then = NULL;
	}
	return true;
}

static void start(struct input *input, const char *text, size_t length)
{
	memset(input, 0, sizeof(*input));
	assert_int_equal(pipe(input->pipe), 0);
	input->lines.fd = input->pipe[0];
	input->lines.before_wait = before_wait;
	input->lines.context = input;
	assert_int_equal(write(input->pipe[1], text, length), (ssize_t)length);
}

static void end(struct input *input)
{
	cp_lines_deinit(&input->lines);
	close(input->pipe[0]);
	close(input->pipe[1]);
}

static void expect(struct input *input, enum cp_line_state wanted, const char *text)
{
	enum cp_line_state state;
	char *line;

	assert_null(cp_lines_next(&input->lines, &state, &line));
	assert_int_equal(state, wanted);
	assert_string_equal(line, text);
}

static void ends_of_lines(void **state)
{
	static const char text[] = "one\ntwo\r\n\n\r\n a\rb \nnul\0byte\nlast\r";
	struct input input;

	(void)state;
	start(&input, text, sizeof(text) - 1);
	expect(&input, CP_LINE_GOOD, "one");
	expect(&input, CP_LINE_GOOD, "two");
	expect(&input, CP_LINE_GOOD, "");
	expect(&input, CP_LINE_GOOD, "");
	expect(&input, CP_LINE_GOOD, " a\rb ");
	expect(&input, CP_LINE_NUL, "");
	close(input.pipe[1]);
	input.pipe[1] = -1;
	expect(&input, CP_LINE_GOOD, "last");
	expect(&input, CP_LINE_END, "");
	expect(&input, CP_LINE_END, "");
	end(&input);
}

static void waiting_is_announced_with_half_a_line(void **state)
{
	struct input input;

	(void)state;
	start(&input, "one\ntw", 6);
	input.lets = 1;
	input.then = "o\nthree\n";
	expect(&input, CP_LINE_GOOD, "one");
	assert_int_equal(input.waits, 0);
	expect(&input, CP_LINE_GOOD, "two");
	assert_int_equal(input.waits, 1);
	expect(&input, CP_LINE_GOOD, "three");
	assert_int_equal(input.waits, 1);
	end(&input);
}

static void who_may_not_wait_gets_no_more(void **state)
{
	struct input input;

	(void)state;
	start(&input, "one\ntw", 6);
	expect(&input, CP_LINE_GOOD, "one");
	expect(&input, CP_LINE_END, "");
	expect(&input, CP_LINE_END, "");
	end(&input);
}

/* From a file: LENGTH letters, a line feed, "short". */
static void long_line(size_t length, enum cp_line_state wanted)
{
	char path[] = "/tmp/test_linesXXXXXX", *text = malloc(length + 6);
	struct cp_lines lines = { .fd = mkstemp(path) };
	enum cp_line_state state;
	char *line;

	assert_non_null(text);
	assert_true(lines.fd >= 0);
	unlink(path);
	memset(text, 'x', length);
	memcpy(text + length, "\nshort", 6);
	assert_int_equal(write(lines.fd, text, length + 6), (ssize_t)length + 6);
	assert_int_equal(lseek(lines.fd, 0, SEEK_SET), 0);
	assert_null(cp_lines_next(&lines, &state, &line));
	assert_int_equal(state, wanted);
	assert_int_equal(strlen(line), wanted == CP_LINE_GOOD ? length : 0);
	assert_null(cp_lines_next(&lines, &state, &line));
	assert_int_equal(state, CP_LINE_GOOD);
	assert_string_equal(line, "short");
	assert_null(cp_lines_next(&lines, &state, &line));
	assert_int_equal(state, CP_LINE_END);
	assert_true(lines.size <= 4 * CP_LONGEST_LINE);
	close(lines.fd);
	cp_lines_deinit(&lines);
	free(text);
}

static void long_lines(void **state)
{
	(void)state;
	long_line(4095, CP_LINE_GOOD);
	long_line(65535, CP_LINE_GOOD);
	long_line(65536, CP_LINE_GOOD);
	long_line(CP_LONGEST_LINE, CP_LINE_GOOD);
	long_line(4 * CP_LONGEST_LINE, CP_LINE_TOO_LONG);
	long_line(17 * CP_LONGEST_LINE + 12345, CP_LINE_TOO_LONG);
}

static void a_descriptor_that_cannot_be_read_is_an_error(void **state)
{
	struct cp_lines lines = { .fd = open("/", O_RDONLY) };
	enum cp_line_state line_state;
	struct cp_error *error;
	char *line;

	(void)state;
	error = cp_lines_next(&lines, &line_state, &line);
	assert_non_null(error);
	assert_int_equal(error->code, CP_ERROR_IO);
	assert_non_null(strstr(error->message, "standard input"));
	cp_error_destroy(error);
	cp_lines_deinit(&lines);
	close(lines.fd);
}

static void a_pipe_that_does_not_block_is_waited_for(void **state)
{
	struct input input;

	(void)state;
	start(&input, "", 0);
	input.lets = 1;
	input.then = "late\n";
	assert_int_equal(fcntl(input.pipe[0], F_SETFL, O_NONBLOCK), 0);
	expect(&input, CP_LINE_GOOD, "late");
	end(&input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_of_lines),
		cmocka_unit_test(waiting_is_announced_with_half_a_line),
		cmocka_unit_test(who_may_not_wait_gets_no_more),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(a_descriptor_that_cannot_be_read_is_an_error),
		cmocka_unit_test(a_pipe_that_does_not_block_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
