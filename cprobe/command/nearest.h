/* SPDX-License-Identifier: BSD-2-Clause */
/* What was meant by a misspelt word. */
#ifndef CPROBE_COMMAND_NEAREST_H
#define CPROBE_COMMAND_NEAREST_H

#include <stddef.h>

/* The candidate that the word is likely to be: its beginning or end, or a few typing errors away. NULL: none is. */
const char *cp_nearest(const char *word, const char *const *candidates, size_t count);

#endif
