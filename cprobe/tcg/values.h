/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is recorded with an entry: the registers of the first six arguments, the return address, chosen memory. QEMU 9.0
 * and later give registers, 9.2 and later memory.
 */
#ifndef BOOTSONDE_VALUES_H
#define BOOTSONDE_VALUES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cprobe.h"

#define VALUES_MAX 32

/* The registers, and where there is memory to read, the return address. CP_ERROR_UNSUPPORTED: this QEMU has neither. */
struct cp_error *values_init(void);
/* NAME@REGISTER[+OFFSET|-OFFSET]:SIZE: 1, 2, 4 or 8 bytes at an address that a register holds. NAME is kept. */
struct cp_error *values_add_memory(const char *text);

/* The names, as a JSON array. */
void values_print(FILE *out);

/*
 * In a callback that may read registers. Returns how many there are: the first one that cannot be read ends them. At most
 * VALUES_MAX.
 */
size_t values_read(unsigned int vcpu, uint64_t *ret);

#endif
