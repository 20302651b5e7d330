/* SPDX-License-Identifier: BSD-2-Clause */
/* C strings of the kernel's data that print a text. */
#ifndef CPROBE_CSTRINGS_H
#define CPROBE_CSTRINGS_H

#include "elf/image.h"

struct cp_string {
	uint64_t start;		/* address of its first byte, printk's level prefix or a byte with its length included */
	uint64_t place;		/* where the text begins: a pointer up to here still prints it */
	uint64_t end;		/* behind the text; of a format behind all of it */
	const char *text;	/* at start, in the mapped file, ends with a NUL */
};

/*
 * The strings that hold the text; if none does, the formats that print it, those with the most literal characters of
 * it. Sorted by start, apart from each other: a string that holds the text more than once is one for each time. *ret is
 * malloc'ed, the caller's.
 */
struct cp_error *cp_strings_find(const struct cp_image *image, const char *text, struct cp_string **ret, size_t *count);

#endif
