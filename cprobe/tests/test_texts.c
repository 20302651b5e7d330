/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/texts.h"
#include "unit.h"

#define LONGEST 8
#define MOST 128

/* Texts of those lengths, one behind the other in bytes of just their size, and where each begins. */
struct section {
	char *bytes, *texts[MOST];
	size_t size, count;
	struct cp_long_texts found;
};

static void make(struct section *s, const size_t *lengths, size_t count)
{
	char *at;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < count; i++)
		s->size += lengths[i] + 1;
	s->bytes = at = malloc(s->size);
	assert_non_null(at);
	memset(at, 'x', s->size);
	for (size_t i = 0; i < count; i++) {
		s->texts[s->count++] = at;
		at += lengths[i];
		*at++ = 0;
	}
	cp_long_texts_add(&s->found, s->bytes, s->size, LONGEST);
}

/* Each of them, and each end of each, is as long as strlen(3) says, or short. */
static void assert_lengths(const size_t *lengths, size_t count)
{
	struct section s;

	make(&s, lengths, count);
	for (size_t i = 0; i < count; i++) {
		for (size_t from = 0; from <= lengths[i]; from++) {
			size_t length = lengths[i] - from;

			assert_int_equal(cp_long_texts_length(&s.found, s.texts[i] + from, LONGEST), length < LONGEST ? 0 : length);
		}
	}
	free(s.bytes);
}

#define ASSERT_LENGTHS(...) \
	assert_lengths((const size_t[]){ __VA_ARGS__ }, sizeof((const size_t[]){ __VA_ARGS__ }) / sizeof(size_t))

static void of_no_texts_none_is_long(void **state)
{
	struct cp_long_texts found = { .count = 0 };

	(void)state;
	cp_long_texts_add(&found, "", 0, LONGEST);
	assert_int_equal(found.count, 0);
	assert_int_equal(cp_long_texts_length(&found, "a text of another section", LONGEST), 0);
}

static void a_text_is_long_from_the_limit_on(void **state)
{
	(void)state;
	ASSERT_LENGTHS(LONGEST - 1);
	ASSERT_LENGTHS(LONGEST);
	ASSERT_LENGTHS(LONGEST + 1);
}

static void long_ones_are_found_wherever_they_lie(void **state)
{
	(void)state;
	ASSERT_LENGTHS(8, 0, 3);
	ASSERT_LENGTHS(0, 7, 8, 1, 2, 40, 7, 7);
	ASSERT_LENGTHS(3, 7, 7, 0, 30);
	ASSERT_LENGTHS(9, 9, 9, 0, 0, 9);
}

static void more_than_can_be_kept_are_found_too(void **state)
{
	size_t lengths[CP_MAX_LONG_TEXTS + 3];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		lengths[i] = i % 5 ? LONGEST + i : 3;
	assert_lengths(lengths, CP_MAX_LONG_TEXTS);
	assert_lengths(lengths, sizeof(lengths) / sizeof(*lengths));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		lengths[i] = LONGEST;
	assert_lengths(lengths, CP_MAX_LONG_TEXTS);
	assert_lengths(lengths, CP_MAX_LONG_TEXTS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_no_texts_none_is_long),
		cmocka_unit_test(a_text_is_long_from_the_limit_on),
		cmocka_unit_test(long_ones_are_found_wherever_they_lie),
		cmocka_unit_test(more_than_can_be_kept_are_found_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
