/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers of the instructions that led to functions: given when they are translated, looked up by the writer. */
#ifndef BOOTSONDE_SITES_H
#define BOOTSONDE_SITES_H

#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"

#define SITES_MAX	((size_t)1 << 21)	/* further ones have number 0, not known */

struct cp_error *sites_init(void);
/* Not thread-safe: under the lock of the translation. target: 0, or the function that it can only lead to. */
uint32_t sites_number(uint64_t address, uint64_t target);
/* Of any number that sites_number() has returned, from any thread that got it from the one that did. */
uint64_t sites_address(size_t number, uint64_t *target);

#endif
