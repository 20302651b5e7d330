/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops, and texts, of a baseline: what is written gives back what was there. */
#include <stdlib.h>
#include <string.h>

#include "baseline/baseline.h"
#include "unit.h"

#define MOST_OPEN 64

static uint64_t state = 88172645463325252u;

static uint32_t next_random(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 20) % below);
}

/* -- Loops -- */

struct unfolding {
	const uint32_t *ids;
	uint32_t *found;
	size_t count, room, lines, deepest;
	size_t begins[MOST_OPEN];
	uint32_t times[MOST_OPEN];
};

static void plain(void *context, size_t depth, uint32_t at)
{
	struct unfolding *u = context;

	assert_true(depth < MOST_OPEN && u->count < u->room);
	u->found[u->count++] = u->ids[at];
	u->lines++;
}

static void begin(void *context, size_t depth, uint32_t times)
{
	struct unfolding *u = context;

	assert_true(depth < MOST_OPEN && times > 1);
	u->begins[depth] = u->count;
	u->times[depth] = times;
	u->deepest = depth + 1 > u->deepest ? depth + 1 : u->deepest;
	u->lines++;
}

static void end(void *context, size_t depth)
{
	struct unfolding *u = context;
	size_t size = u->count - u->begins[depth];

	assert_true(size > 0 && u->begins[depth] + size * u->times[depth] <= u->room);
	for (uint32_t i = 1; i < u->times[depth]; i++, u->count += size)
		memcpy(u->found + u->count, u->found + u->begins[depth], size * sizeof(*u->found));
	u->lines++;
}

/* Lines that the ids take, which unfolded are the ids. */
static size_t folded(const uint32_t *ids, size_t count, size_t *deepest)
{
	struct unfolding u = { .ids = ids, .found = malloc((count + 1) * sizeof(*ids)), .room = count };
	struct cp_folder folder = { plain, begin, end, &u };

	assert_non_null(u.found);
	assert_null(cp_fold(ids, count, &folder));
	assert_int_equal(u.count, count);
	if (count)
		assert_memory_equal(u.found, ids, count * sizeof(*ids));
	assert_true(u.lines <= count);
	free(u.found);
	if (deepest)
		*deepest = u.deepest;
	return u.lines;
}

static void random_ids_unfold_to_themselves(void **unused)
{
	uint32_t ids[300];

	(void)unused;
	for (int round = 0; round < 20000; round++) {
		uint32_t different = 1 + next_random(6);
		size_t count = next_random(300);

		for (size_t i = 0; i < count; i++)
			ids[i] = next_random(different);
		folded(ids, count, NULL);
	}
}

/* Rounds in rounds, with a mistake here and there. */
static size_t structured(uint32_t *ids, size_t room, int depth)
{
	size_t count = 0;

	while (count < room && next_random(4)) {
		size_t rest = room - count, size;

		if (!depth || next_random(2)) {
			ids[count++] = next_random(8);
			continue;
		}
		size = structured(ids + count, rest < 40 ? rest : 40, depth - 1);
		for (uint32_t times = next_random(9); times && size && size <= room - count; times--, count += size)
			memmove(ids + count, ids + room - rest, size * sizeof(*ids));
		if (count && !next_random(5))
			ids[count - 1] ^= 1;
	}
	return count;
}

static void structured_ids_unfold_to_themselves(void **unused)
{
	uint32_t ids[2000];
	size_t plain_lines = 0, lines = 0;

	(void)unused;
	for (int round = 0; round < 5000; round++) {
		size_t count = structured(ids, 2000, 4);

		plain_lines += count;
		lines += folded(ids, count, NULL);
	}
	assert_true(lines < plain_lines);
}

static void a_loop_is_written_as_one(void **unused)
{
	const uint32_t ids[] = { 9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 8 };

	(void)unused;
	assert_int_equal(folded(ids, 11, NULL), 7);	/* 9 8, two edges, a round of three */
}

static void what_becomes_no_shorter_is_left(void **unused)
{
	const uint32_t twice[] = { 1, 2, 1, 2 }, thrice[] = { 7, 7, 7 }, four[] = { 7, 7, 7, 7 };
	size_t deepest;

	(void)unused;
	assert_int_equal(folded(twice, 4, &deepest), 4);
	assert_int_equal(deepest, 0);
	assert_int_equal(folded(thrice, 3, &deepest), 3);
	assert_int_equal(deepest, 0);
	assert_int_equal(folded(four, 4, &deepest), 3);
	assert_int_equal(deepest, 1);
	assert_int_equal(folded(four, 0, &deepest), 0);
	assert_int_equal(folded(four, 1, &deepest), 1);
}

/* 1, and twenty times 2 five times 3, 4. */
static void loops_are_in_loops(void **unused)
{
	uint32_t ids[1 + 20 * 7];
	size_t count = 0, deepest;

	(void)unused;
	ids[count++] = 1;
	for (int i = 0; i < 20; i++) {
		ids[count++] = 2;
		for (int j = 0; j < 5; j++)
			ids[count++] = 3;
		ids[count++] = 4;
	}
	assert_int_equal(folded(ids, count, &deepest), 1 + 2 + 1 + 3 + 1);
	assert_int_equal(deepest, 2);
}

/* A hundred thousand of each: one id, ids of which none comes again, a long round that comes twice, and Fibonacci's word. */
static void long_ones_take_their_time_once(void **unused)
{
	const size_t count = 100000;
	uint32_t *ids = malloc(count * sizeof(*ids));
	size_t a = 1, b = 2;

	(void)unused;
	assert_non_null(ids);
	memset(ids, 0, count * sizeof(*ids));
	assert_int_equal(folded(ids, count, NULL), 3);
	for (size_t i = 0; i < count; i++)
		ids[i] = (uint32_t)i;
	assert_int_equal(folded(ids, count, NULL), count);
	for (size_t i = 0; i < count; i++)
		ids[i] = (uint32_t)i % 8000;
	assert_true(folded(ids, count, NULL) < 12100);
	ids[0] = ids[2] = 0;
	ids[1] = 1;
	while (b < count) {
		size_t more = a < count - b ? a : count - b;

		memmove(ids + b, ids, more * sizeof(*ids));
		a = b;
		b += more;
	}
	assert_true(folded(ids, count, NULL) < count / 2);
	free(ids);
}

/* -- Texts -- */

static void comes_back(const char *bytes, size_t length, bool is_name, const char *expected)
{
	struct cp_text text = { .bytes = NULL };
	size_t again;

	cp_baseline_escape(&text, bytes, length, is_name);
	again = text.length;
	if (expected)
		assert_string_equal(text.length ? text.bytes : "", expected);
	if (again) {
		assert_true(cp_baseline_unescape(text.bytes, &again));
		assert_int_equal(again, length);
		assert_memory_equal(text.bytes, bytes, length);
	}
	assert_true(again || !length);
	cp_text_deinit(&text);
}

static void texts_are_written_so_that_they_can_be_seen(void **unused)
{
	(void)unused;
	comes_back("tsc: 2596 MHz", 13, false, "tsc: 2596 MHz");
	comes_back("# a", 3, false, "\\# a");
	comes_back("a # b", 5, false, "a # b");
	comes_back(" a  b ", 6, false, "\\x20a  b\\x20");
	comes_back(" ", 1, false, "\\x20");
	comes_back("\ta\r", 3, false, "\\x09a\\x0d");
	comes_back("C:\\x41", 6, false, "C:\\\\x41");
	comes_back("a\0b", 3, false, "a\\x00b");
	comes_back("gr\303\274n", 5, false, "gr\303\274n");
	comes_back("\303", 1, false, "\\xc3");
	comes_back("\303(\377", 3, false, "\\xc3(\\xff");
	comes_back("[x] {y} = {z", 12, false, "[x] {y} = {z");
}

static void names_are_no_other_lines(void **unused)
{
	(void)unused;
	comes_back("}", 1, true, "\\x7d");
	comes_back("[vcpu 1]", 8, true, "\\x5bvcpu 1]");
	comes_back("(whole boot)", 12, true, "\\x28whole boot)");
	comes_back("5 times {", 9, true, "5 times\\x20{");
	comes_back("a = b {c", 8, true, "a\\x20= b\\x20{c");
	comes_back("a{b}(c)[d]", 10, true, "a{b}(c)[d]");
}

static void any_bytes_come_back(void **unused)
{
	(void)unused;
	for (int round = 0; round < 100000; round++) {
		static const char likely[] = " \t\\#x0{}=[(\n\r\0\303\274\377";
		char bytes[12];
		size_t length = next_random(sizeof(bytes) + 1);

		for (size_t i = 0; i < length; i++)
			bytes[i] = next_random(4) ? likely[next_random(sizeof(likely))] : (char)next_random(256);
		comes_back(bytes, length, next_random(2), NULL);
	}
}

static void other_backslashes_are_refused(void **unused)
{
	const char *const bad[] = { "\\", "a\\", "\\n", "\\x", "\\x1", "\\xg0", "\\x0g", "\\\\\\" };

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char text[8];
		size_t length = strlen(bad[i]);

		strcpy(text, bad[i]);
		assert_false(cp_baseline_unescape(text, &length));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_ids_unfold_to_themselves),
		cmocka_unit_test(structured_ids_unfold_to_themselves),
		cmocka_unit_test(a_loop_is_written_as_one),
		cmocka_unit_test(what_becomes_no_shorter_is_left),
		cmocka_unit_test(loops_are_in_loops),
		cmocka_unit_test(long_ones_take_their_time_once),
		cmocka_unit_test(texts_are_written_so_that_they_can_be_seen),
		cmocka_unit_test(names_are_no_other_lines),
		cmocka_unit_test(any_bytes_come_back),
		cmocka_unit_test(other_backslashes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
