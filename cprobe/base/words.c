/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/words.h"

static bool is_word(const uint8_t *at, const uint32_t *words, size_t count)
{
	uint32_t value = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;

	for (size_t i = 0; i < count; i++) {
		if (words[i] == value)
			return true;
	}
	return false;
}

#ifdef __SSE2__
/* Bits for those of sixteen places at which two bytes are the first two of a word. */
static unsigned int candidates(const uint8_t *at, const __m128i *first, const __m128i *second, size_t count)
{
	__m128i here = _mm_loadu_si128((const __m128i *)at), next = _mm_loadu_si128((const __m128i *)(at + 1));
	__m128i hits = _mm_setzero_si128();

	for (size_t i = 0; i < count; i++)
		hits = _mm_or_si128(hits, _mm_and_si128(_mm_cmpeq_epi8(here, first[i]), _mm_cmpeq_epi8(next, second[i])));
	return (unsigned int)_mm_movemask_epi8(hits);
}

const uint8_t *cp_last_word(const uint8_t *bytes, const uint8_t *end, const uint32_t *words, size_t count)
{
	__m128i first[CP_MAX_WORDS], second[CP_MAX_WORDS];
	const uint8_t *at = end;

	for (size_t i = 0; i < count; i++) {
		first[i] = _mm_set1_epi8((char)words[i]);
		second[i] = _mm_set1_epi8((char)(words[i] >> 8));
	}
	/* From the end: the first one found is the last one. Blocks of sixteen places, with three bytes behind the last. */
	at = end - bytes >= 4 ? end - 3 : bytes;
	while (at - bytes >= 16) {
		unsigned int mask;

		at -= 16;
		for (mask = candidates(at, first, second, count); mask; mask &= ~(1u << (31 - __builtin_clz(mask)))) {
			const uint8_t *place = at + (31 - __builtin_clz(mask));

			if (is_word(place, words, count))
				return place;
		}
	}
	while (at > bytes) {
		if (is_word(--at, words, count))
			return at;
	}
	return NULL;
}
#else
const uint8_t *cp_last_word(const uint8_t *bytes, const uint8_t *end, const uint32_t *words, size_t count)
{
	for (const uint8_t *at = end - bytes >= 4 ? end - 3 : bytes; at > bytes;) {
		if (is_word(--at, words, count))
			return at;
	}
	return NULL;
}
#endif
