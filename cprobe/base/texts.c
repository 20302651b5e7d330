/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/texts.h"

void cp_long_texts_add(struct cp_long_texts *all, const char *texts, uint64_t size, size_t longest)
{
	const char *at = texts, *end = texts + size;

	/* Of so many bytes one ends a text, or a long one begins with them. */
	while ((uint64_t)(end - at) >= longest && !all->are_more) {
		const char *zero = memrchr(at, 0, longest);

		if (!zero) {
			zero = memchr(at, 0, (size_t)(end - at));
			if (!zero)
				return;
			if (all->count == CP_MAX_LONG_TEXTS) {
				all->are_more = true;
				return;
			}
			all->items[all->count].start = at;
			all->items[all->count++].end = zero;
		}
		at = zero + 1;
	}
}

size_t cp_long_texts_length(const struct cp_long_texts *all, const char *text, size_t longest)
{
	size_t length;

	if (all->are_more)
		return strnlen(text, longest) < longest ? 0 : strlen(text);
	for (size_t i = 0; i < all->count; i++) {
		if (text < all->items[i].start || text > all->items[i].end)
			continue;
		length = (size_t)(all->items[i].end - text);
		return length < longest ? 0 : length;
	}
	return 0;
}
