/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading bytes that nobody vouches for: a cursor never leaves its bytes. A read that would sets `failed`, moves to the
 * end and gives 0; callers may read on and ask once.
 */
#ifndef CPROBE_CURSOR_H
#define CPROBE_CURSOR_H

#include <string.h>

#include "elf/image.h"

struct cp_cursor {
	const uint8_t *at, *end;
	bool failed;
};

static inline uint64_t cp_left(const struct cp_cursor *c)
{
	return (uint64_t)(c->end - c->at);
}

static inline void cp_fail(struct cp_cursor *c)
{
	c->failed = true;
	c->at = c->end;
}

static inline void cp_skip(struct cp_cursor *c, uint64_t count)
{
	if (count > cp_left(c))
		cp_fail(c);
	else
		c->at += count;
}

static inline uint8_t cp_get8(struct cp_cursor *c)
{
	if (c->at == c->end) {
		c->failed = true;
		return 0;
	}
	return *c->at++;
}

static inline uint16_t cp_get16(struct cp_cursor *c)
{
	const uint8_t *p = c->at;

	cp_skip(c, 2);
	return c->failed ? 0 : cp_read16(p);
}

static inline uint32_t cp_get24(struct cp_cursor *c)
{
	const uint8_t *p = c->at;

	cp_skip(c, 3);
	return c->failed ? 0 : p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static inline uint32_t cp_get32(struct cp_cursor *c)
{
	const uint8_t *p = c->at;

	cp_skip(c, 4);
	return c->failed ? 0 : cp_read32(p);
}

static inline uint64_t cp_get64(struct cp_cursor *c)
{
	const uint8_t *p = c->at;

	cp_skip(c, 8);
	return c->failed ? 0 : cp_read64(p);
}

/* A field of 1, 2, 4 or 8 bytes: an address, or an offset. */
static inline uint64_t cp_get_sized(struct cp_cursor *c, unsigned int size)
{
	switch (size) {
	case 1:
		return cp_get8(c);
	case 2:
		return cp_get16(c);
	case 4:
		return cp_get32(c);
	case 8:
		return cp_get64(c);
	default:
		cp_fail(c);
		return 0;
	}
}

/*
 * LEB128, DWARF 5 section 7.6. Bits above the 64th are dropped, and a number of more bytes than any compiler or linker pads
 * one to is malformed: reading it again and again would take as long as it is.
 */
#define CP_LONGEST_LEB 16

static inline uint64_t cp_get_uleb(struct cp_cursor *c)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	if (c->at < c->end && !(*c->at & 0x80))
		return *c->at++;	/* almost all are one byte */
	while (c->at < c->end && shift < 7 * CP_LONGEST_LEB) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
		shift += 7;
	}
	cp_fail(c);
	return 0;
}

static inline int64_t cp_get_sleb(struct cp_cursor *c)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	while (c->at < c->end && shift < 7 * CP_LONGEST_LEB) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80)) {
			if (shift < 64 && (byte & 0x40))
				value |= ~(uint64_t)0 << shift;
			return (int64_t)value;
		}
	}
	cp_fail(c);
	return 0;
}

static inline void cp_skip_leb(struct cp_cursor *c)
{
	for (int i = 0; c->at < c->end && i < CP_LONGEST_LEB; i++) {
		if (!(*c->at++ & 0x80))
			return;
	}
	cp_fail(c);
}

/* A NUL-terminated string; NULL: it does not end before the bytes do. */
static inline const char *cp_get_string(struct cp_cursor *c)
{
	const uint8_t *start = c->at, *nul = memchr(start, 0, cp_left(c));

	if (!nul) {
		cp_fail(c);
		return NULL;
	}
	c->at = nul + 1;
	return (const char *)start;
}

#endif
