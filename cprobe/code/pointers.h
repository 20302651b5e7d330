/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses kept in data, and the code that loads them from there: a table of messages, a variable that points to one. */
#ifndef CPROBE_POINTERS_H
#define CPROBE_POINTERS_H

#include "code/scan.h"

/*
 * Call `found` for each instruction that certainly can load a word of data that holds an address in one of the spans:
 * it reads that very word, or an element of the table, by a symbol, that the word is in. `word` is its address,
 * `pointer` what it holds. Its error ends the search.
 */
struct cp_error *cp_pointers_find(const struct cp_code *code, const struct cp_scan *addresses,
	struct cp_error *(*found)(void *context, uint64_t address, uint64_t word, uint64_t pointer), void *context);

#endif
