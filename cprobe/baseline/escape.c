/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "baseline/baseline.h"

/* What begins a section's line, an end of a loop, or the whole boot's duration. */
static bool begins_another(unsigned char c)
{
	return c == '[' || c == '}' || c == '(';
}

static bool must_escape(const char *bytes, size_t length, size_t at, bool is_name)
{
	unsigned char c = (unsigned char)bytes[at];

	if (c == ' ')
		return !at || at + 1 == length || (is_name && (bytes[at + 1] == '{' || bytes[at + 1] == '='));
	return c < 0x20 || c == 0x7f || (is_name && !at && begins_another(c));
}

/* cp_utf8_length(), which wants a 0 behind the bytes, or more of them. */
static size_t utf8_length(const char *bytes, size_t length)
{
	unsigned char room[5] = { 0 };

	memcpy(room, bytes, length < 4 ? length : 4);
	return cp_utf8_length(room);
}

void cp_baseline_escape(struct cp_text *ret, const char *bytes, size_t length, bool is_name)
{
	size_t at = 0;

	while (at < length) {
		unsigned char c = (unsigned char)bytes[at];
		size_t size = c < 0x80 ? 1 : utf8_length(bytes + at, length - at);

		if (c == '\\')
			cp_text_add(ret, "\\\\", 2);
		else if (c == '#' && !at)
			cp_text_add(ret, "\\#", 2);
		else if (!size || must_escape(bytes, length, at, is_name))
			cp_text_printf(ret, "\\x%02x", c);
		else
			cp_text_add(ret, bytes + at, size);
		at += size ? size : 1;
	}
}

bool cp_baseline_unescape(char *text, size_t *length)
{
	size_t out = 0, at = 0;

	while (at < *length) {
		char hex[3] = { 0 };

		if (text[at] != '\\') {
			text[out++] = text[at++];
		} else if (at + 1 < *length && (text[at + 1] == '\\' || text[at + 1] == '#')) {
			text[out++] = text[at + 1];
			at += 2;
		} else if (at + 3 < *length && text[at + 1] == 'x' && isxdigit((unsigned char)text[at + 2]) &&
			isxdigit((unsigned char)text[at + 3])) {
			memcpy(hex, text + at + 2, 2);
			text[out++] = (char)strtoul(hex, NULL, 16);
			at += 4;
		} else {
			return false;
		}
	}
	text[out] = 0;
	*length = out;
	return true;
}
