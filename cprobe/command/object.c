/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "command/object.h"

/* Objects in objects in arrays ...: cprobe's json has two levels. */
#define DEEPEST 64

static void skip_space(char **at)
{
	*at += strspn(*at, " \t\r");
}

static bool read_hex(const char *at, uint32_t *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++) {
		if (!isxdigit((unsigned char)at[i]))
			return false;
		*ret = *ret * 16 + (uint32_t)(isdigit((unsigned char)at[i]) ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
	}
	return true;
}

/* As UTF-8. Up to 0xff it is a byte that was none: characters are printed as they are. */
static char *put_character(char *to, uint32_t c)
{
	if (c <= 0xff) {
		*to++ = (char)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*to++ = (char)(0xe0 | c >> 12);
		} else {
			*to++ = (char)(0xf0 | c >> 18);
			*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (c & 0x3f));
	return to;
}

static bool read_escape(char **at, char **to)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *letter = **at ? strchr(letters, **at) : NULL;
	uint32_t c, low;

	if (letter) {
		*(*to)++ = meant[letter - letters];
		++*at;
		return true;
	}
	if (**at != 'u' || !read_hex(*at + 1, &c) || !c)
		return false;
	*at += 5;
	if (c >= 0xd800 && c < 0xdc00 && (*at)[0] == '\\' && (*at)[1] == 'u' && read_hex(*at + 2, &low) && low >= 0xdc00 &&
	    low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		*at += 6;
	}
	*to = put_character(*to, c);
	return true;
}

/* A string, rewritten in place, where it needs no more room than its quotes and escapes. */
static bool read_string(char **at, char **ret)
{
	char *to = *at;

	if (**at != '"')
		return false;
	*ret = to;
	++*at;
	while (**at != '"') {
		if (!**at)
			return false;
		if (**at != '\\') {
			*to++ = *(*at)++;
			continue;
		}
		++*at;
		if (!read_escape(at, &to))
			return false;
	}
	++*at;
	*to = 0;
	return true;
}

/* A number, true, false or null. */
static bool read_bare(char **at, char **start, size_t *length)
{
	*start = *at;
	*length = strspn(*at, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
	*at += *length;
	return *length > 0;
}

/* An array or an object, passed over. Strings are stepped over; what is between them need only nest. */
static bool skip_nested(char **at)
{
	char closers[DEEPEST];
	size_t depth = 0;
	char *unused;

	do {
		if (**at == '"') {
			if (!read_string(at, &unused))
				return false;
			continue;
		}
		if (**at == '{' || **at == '[') {
			if (depth == DEEPEST)
				return false;
			closers[depth++] = **at == '{' ? '}' : ']';
		} else if (**at == '}' || **at == ']') {
			if (closers[--depth] != **at)
				return false;
		} else if (!**at) {
			return false;
		}
		++*at;
	} while (depth);
	return true;
}

/* *end is where a bare value must be ended, once what follows it was read; NULL: a string, or none. */
static bool read_value(char **at, char **ret, char **end)
{
	size_t length;

	*end = *ret = NULL;
	if (**at == '"')
		return read_string(at, ret);
	if (**at == '{' || **at == '[')
		return skip_nested(at);
	if (!read_bare(at, ret, &length))
		return false;
	*end = *ret + length;
	return true;
}

bool cp_object_read(char *text, const struct cp_member *members, size_t count)
{
	char *at = text;

	if (*at++ != '{')
		return false;
	skip_space(&at);
	if (*at == '}')
		return !at[1];
	for (;;) {
		char *key, *value, *end, next;

		skip_space(&at);
		if (!read_string(&at, &key))
			return false;
		skip_space(&at);
		if (*at++ != ':')
			return false;
		skip_space(&at);
		if (!read_value(&at, &value, &end))
			return false;
		skip_space(&at);
		next = *at++;
		if (end)
			*end = 0;
		if (end && !strcmp(value, "null"))
			value = NULL;
		for (size_t i = 0; value && i < count; i++) {
			if (!strcmp(members[i].key, key))
				*members[i].ret = value;
		}
		if (next == '}') {
			skip_space(&at);
			return !*at;
		}
		if (next != ',')
			return false;
	}
}
