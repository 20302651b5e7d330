/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8, as names and messages of a kernel may hold it, or may not. */
#ifndef CPROBE_UTF8_H
#define CPROBE_UTF8_H

#include <stddef.h>

/* Bytes of the sequence at p, 1 to 4; 0 when it is none (overlong, surrogate, stray). Reads no further than its end. */
size_t cp_utf8_length(const unsigned char *p);

#endif
