/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections of texts, one behind the other, as .strtab and .debug_str are. */
#ifndef CPROBE_TEXTS_H
#define CPROBE_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CP_MAX_LONG_TEXTS 32

/* The long ones of some sections: what a compiler was called with, say. Zeroed, there are none. */
struct cp_long_texts {
	struct {
		const char *start, *end;	/* end: its zero */
	} items[CP_MAX_LONG_TEXTS];
	size_t count;
	bool are_more;			/* than that: any text may be long */
};

/* Add those of `longest` bytes or more. The section's last text is ended by a zero, too. Most bytes are not looked at. */
void cp_long_texts_add(struct cp_long_texts *all, const char *texts, uint64_t size, size_t longest);

/* How long a text of the sections is, or its end that is pointed to, if that is `longest` bytes or more; else 0. */
size_t cp_long_texts_length(const struct cp_long_texts *all, const char *text, size_t longest);

#endif
