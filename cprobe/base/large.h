/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arrays of megabytes that are filled once, from huge pages where the system has them: most of the time of reading
 * 100,000 symbols went into giving the process its memory 4 KiB at a time.
 */
#ifndef CPROBE_LARGE_H
#define CPROBE_LARGE_H

#include <stddef.h>

/* As malloc(3); free(3) ends it. */
void *cp_large_alloc(size_t size);

#endif
