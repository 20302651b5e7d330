/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking for numbers of four bytes at any place, sixteen bytes at a time. */
#ifndef CPROBE_WORDS_H
#define CPROBE_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define CP_MAX_WORDS 8

/* Where the last little-endian number of `count` ones begins in the bytes; NULL: none of them is there. */
const uint8_t *cp_last_word(const uint8_t *bytes, const uint8_t *end, const uint32_t *words, size_t count);

#endif
