/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking for numbers of four bytes at any place: as fast as memory on processors that have AVX2. */
#ifndef CPROBE_WORDS_H
#define CPROBE_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define CP_MAX_WORDS 8

/* Where the last of `count` little-endian numbers begins in the bytes, up to CP_MAX_WORDS; NULL: none is there. */
const uint8_t *cp_last_word(const uint8_t *bytes, const uint8_t *end, const uint32_t *words, size_t count);

#endif
