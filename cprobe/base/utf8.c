/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdint.h>

#include "base/utf8.h"

size_t cp_utf8_length(const unsigned char *p)
{
	uint32_t value;
	size_t length;

	if (p[0] < 0x80)
		return 1;
	length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	value = p[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (p[i] & 0x3f);
	}
	if ((length == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) ||
		(length == 4 && (value < 0x10000 || value > 0x10ffff)))
		return 0;
	return length;
}
