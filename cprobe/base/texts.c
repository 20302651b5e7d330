/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/texts.h"

bool cp_texts_have_long(const void *texts, uint64_t size, size_t longest)
{
	const uint8_t *at = texts;

	/* Of so many bytes one ends a text, or there is a long one. */
	while (size >= longest) {
		const uint8_t *end = memrchr(at, 0, longest);

		if (!end)
			return true;
		size -= (uint64_t)(end + 1 - at);
		at = end + 1;
	}
	return false;
}
