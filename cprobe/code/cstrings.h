/* SPDX-License-Identifier: BSD-2-Clause */
/* C strings of the kernel's data that print a text. */
#ifndef CPROBE_CSTRINGS_H
#define CPROBE_CSTRINGS_H

#include "elf/image.h"

struct cp_string {
	uint64_t start;		/* address of its first byte, printk's level prefix included */
	uint64_t place;		/* where the text begins: a pointer up to here still prints it */
	const char *text;	/* at start, in the mapped file, ends with a NUL */
};

/*
 * The strings that hold the text; if none does, the formats that print it, those with the most literal characters of
 * it. Sorted by start. *ret is malloc'ed, the caller's.
 */
struct cp_error *cp_strings_find(const struct cp_image *image, const char *text, struct cp_string **ret, size_t *count);

#endif
