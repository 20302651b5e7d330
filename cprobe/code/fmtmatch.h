/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a printf format print a text? A conversion stands for what it can print: %d for digits, %s for anything. */
#ifndef CPROBE_FMTMATCH_H
#define CPROBE_FMTMATCH_H

#include "cprobe.h"

/* Characters of a literal run that a match must have at least, so that "%s" alone matches nothing. */
#define CP_FORMAT_RUN 4

/*
 * Is `text` part of something that the format prints? If *matches, *place is the offset in the format where the text begins (that
 * of a conversion if it begins within one's output), *score how many characters of the text are literal in the
 * format. At least two fifths of the text, and CP_FORMAT_RUN of them in a row, must be. Texts longer than 1024 bytes
 * and formats longer than 4096 match nothing.
 */
struct cp_error *cp_format_match(const char *format, size_t length, const char *text, bool *matches, size_t *place,
	unsigned int *score);

#endif
