/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/words.h"

/* By the value of a byte, and by its low and high half: a bit for each word whose first, or second, byte it may be. */
struct filter {
	uint8_t whole[2][256], low[2][16], high[2][16];
};

static void make_filter(struct filter *f, const uint32_t *words, size_t count)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < count; i++) {
		for (int place = 0; place < 2; place++) {
			uint8_t byte = (uint8_t)(words[i] >> (8 * place)), bit = (uint8_t)(1u << i);

			f->whole[place][byte] |= bit;
			f->low[place][byte & 15] |= bit;
			f->high[place][byte >> 4] |= bit;
		}
	}
}

static bool is_word(const uint8_t *at, const uint32_t *words, size_t count)
{
	uint32_t value = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;

	for (size_t i = 0; i < count; i++) {
		if (words[i] == value)
			return true;
	}
	return false;
}

/* Of the words that begin before `end`, behind which are three bytes, the last one. */
static const uint8_t *last_by_bytes(const struct filter *f, const uint8_t *bytes, const uint8_t *end,
	const uint32_t *words, size_t count)
{
	for (const uint8_t *at = end; at > bytes;) {
		at--;
		if ((f->whole[0][at[0]] & f->whole[1][at[1]]) && is_word(at, words, count))
			return at;
	}
	return NULL;
}

#ifdef __x86_64__
#define BLOCK 32

/* The bits of 32 bytes, from tables of their halves. */
static inline __attribute__((target("avx2"))) __m256i look_up(__m256i bytes, __m256i low, __m256i high)
{
	const __m256i half = _mm256_set1_epi8(15);
	__m256i highs = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half);

	return _mm256_and_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(bytes, half)), _mm256_shuffle_epi8(high, highs));
}

static inline __attribute__((target("avx2"))) __m256i table(const uint8_t *bytes)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
}

/* The same, a block of places at a time and as quickly for eight words as for one; *end: what is left to look at. */
static __attribute__((target("avx2"))) const uint8_t *last_by_blocks(const struct filter *f, const uint8_t *bytes,
	const uint8_t **end, const uint32_t *words, size_t count)
{
	const __m256i low0 = table(f->low[0]), high0 = table(f->high[0]), low1 = table(f->low[1]), high1 = table(f->high[1]);
	const uint8_t *at = *end;

	for (; at - bytes >= BLOCK; *end = at) {
		__m256i bits;
		uint32_t mask;

		at -= BLOCK;
		bits = _mm256_and_si256(look_up(_mm256_loadu_si256((const __m256i *)at), low0, high0),
			look_up(_mm256_loadu_si256((const __m256i *)(at + 1)), low1, high1));
		if (_mm256_testz_si256(bits, bits))
			continue;
		mask = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bits, _mm256_setzero_si256()));
		for (; mask; mask &= ~(1u << (31 - __builtin_clz(mask)))) {
			const uint8_t *place = at + (31 - __builtin_clz(mask));

			if (is_word(place, words, count))
				return place;
		}
	}
	return NULL;
}
#else
static const uint8_t *last_by_blocks(const struct filter *f, const uint8_t *bytes, const uint8_t **end,
	const uint32_t *words, size_t count)
{
	(void)f, (void)bytes, (void)end, (void)words, (void)count;
	return NULL;
}
#endif

static bool has_blocks(void)
{
#ifdef __x86_64__
	return __builtin_cpu_supports("avx2");
#else
	return false;
#endif
}

const uint8_t *cp_last_word(const uint8_t *bytes, const uint8_t *end, const uint32_t *words, size_t count)
{
	const uint8_t *found = NULL;
	struct filter f;

	if (end - bytes < 4)
		return NULL;
	make_filter(&f, words, count);
	end -= 3;
	/* From the end: the first one found is the last one. */
	if (has_blocks())
		found = last_by_blocks(&f, bytes, &end, words, count);
	return found ? found : last_by_bytes(&f, bytes, end, words, count);
}
