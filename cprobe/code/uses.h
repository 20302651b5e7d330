/* SPDX-License-Identifier: BSD-2-Clause */
/* From the instruction that loads a message's address to the blocks that print it. */
#ifndef CPROBE_USES_H
#define CPROBE_USES_H

#include "code/origin.h"

/*
 * Set uses[] for the blocks in which a message is printed: compilers load its address ahead of the test, or of the
 * loop. That is the instruction's own block where nobody is seen to use what it loads, or where others come to the same
 * use with another message.
 */
struct cp_error *cp_uses_find(const struct cp_origin *trace, const uint64_t *places, size_t count, bool *uses);

#endif
