/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/words.h"
#include "unit.h"

#define ROUNDS 20000
#define LONGEST 200	/* blocks, and what is left of one */

static unsigned int draw(unsigned int below)
{
	return (unsigned int)rand() % below;
}

static const uint8_t *plain_last(const uint8_t *bytes, size_t size, const uint32_t *words, size_t count)
{
	for (size_t at = size; at-- > 0;) {
		for (size_t i = 0; i < count && size - at >= 4; i++) {
			if (!memcmp(bytes + at, &words[i], 4))	/* tests run on little-endian machines */
				return bytes + at;
		}
	}
	return NULL;
}

/* Few values, so that there are many that begin like a word and are none. Bytes of just the size: ASan sees the ends. */
static void the_last_word_is_found_wherever_it_lies(void **state)
{
	static const uint8_t values[] = { 0, 0x0f, 0xf0, 0xff, 0x10, 0x01 };
	size_t hits = 0;

	(void)state;
	srand(3);
	for (int round = 0; round < ROUNDS; round++) {
		size_t size = draw(LONGEST), count = 1 + draw(CP_MAX_WORDS);
		unsigned int variety = 2 + draw(sizeof(values) - 1);
		uint8_t *bytes = malloc(size ? size : 1), word[4];
		uint32_t words[CP_MAX_WORDS];
		const uint8_t *expected;

		assert_non_null(bytes);
		for (size_t i = 0; i < size; i++)
			bytes[i] = values[draw(variety)];
		for (size_t i = 0; i < count; i++) {
			for (size_t k = 0; k < sizeof(word); k++)
				word[k] = values[draw(sizeof(values))];
			memcpy(&words[i], word, sizeof(word));
		}
		expected = plain_last(bytes, size, words, count);
		assert_ptr_equal(cp_last_word(bytes, bytes + size, words, count), expected);
		hits += expected != NULL;
		free(bytes);
	}
	assert_in_range(hits, ROUNDS / 10, ROUNDS * 9 / 10);
}

static void every_place_of_a_block_is_looked_at(void **state)
{
	const uint32_t word = 0x04030201;
	uint8_t bytes[3 * 32] = { 0 };

	(void)state;
	for (size_t at = 0; at + 4 <= sizeof(bytes); at++) {
		memcpy(bytes + at, &word, 4);
		assert_ptr_equal(cp_last_word(bytes, bytes + sizeof(bytes), &word, 1), bytes + at);
		memset(bytes + at, 0, 4);
	}
	assert_null(cp_last_word(bytes, bytes + sizeof(bytes), &word, 1));
}

static void a_word_that_is_cut_off_is_none(void **state)
{
	const uint32_t word = 0x04030201;
	uint8_t bytes[] = { 1, 2, 3, 4 };

	(void)state;
	for (size_t size = 0; size < 4; size++)
		assert_null(cp_last_word(bytes, bytes + size, &word, 1));
	assert_ptr_equal(cp_last_word(bytes, bytes + 4, &word, 1), bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_word_is_found_wherever_it_lies),
		cmocka_unit_test(every_place_of_a_block_is_looked_at),
		cmocka_unit_test(a_word_that_is_cut_off_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
