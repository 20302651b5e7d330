/* SPDX-License-Identifier: BSD-2-Clause */
/* Sections of texts, one behind the other, as .strtab and .debug_str are. */
#ifndef CPROBE_TEXTS_H
#define CPROBE_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is one of them of `longest` bytes or more? The last one is ended by a zero, too. Most bytes are not looked at. */
bool cp_texts_have_long(const void *texts, uint64_t size, size_t longest);

#endif
