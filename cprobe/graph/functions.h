/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions of a kernel by the address of their entry: those of the symbol table, and DWARF's where that lacks the local
 * ones. One for each address, whatever names share it.
 */
#ifndef CPROBE_GRAPH_FUNCTIONS_H
#define CPROBE_GRAPH_FUNCTIONS_H

#include "code/code.h"

#define CP_NO_FUNCTION UINT32_MAX

struct cp_function {
	uint64_t start, end;	/* end: behind its last byte; where nobody says it, where the next one begins */
	const char *name;
	uint32_t owner;		/* of foo.cold, foo; else itself; CP_NO_FUNCTION: see cp_function_owner() */
};

/* Code in which an address is an entry or not, by one bit each. */
struct cp_function_window {
	uint64_t low, size;
	uint64_t *bits;
	uint32_t *ranks;	/* entries below each word of bits, those of earlier windows too */
};

#define CP_MAX_WINDOWS 16

struct cp_functions_by_entry {
	struct cp_program *program;	/* not owned */
	struct cp_function *items;	/* sorted by start */
	uint32_t count;
	struct cp_function_window windows[CP_MAX_WINDOWS];	/* by address */
	size_t window_count;
	struct cp_records listed;	/* DWARF's functions: the names are in it */
};

/* Needs the program's symbols. *ret is the caller's until cp_functions_by_entry_deinit(), also after an error. */
struct cp_error *cp_functions_by_entry_init(struct cp_program *program, const struct cp_code *code,
	struct cp_functions_by_entry *ret);
void cp_functions_by_entry_deinit(struct cp_functions_by_entry *functions);

/* The function that begins at the address, or CP_NO_FUNCTION. In the header since every byte of the code is asked about. */
static inline uint32_t cp_function_entered(const struct cp_functions_by_entry *functions, uint64_t address)
{
	for (size_t w = 0; w < functions->window_count; w++) {
		const struct cp_function_window *window = &functions->windows[w];
		uint64_t at = address - window->low, bit;

		if (at >= window->size)
			continue;
		bit = UINT64_C(1) << at % 64;
		if (!(window->bits[at / 64] & bit))
			return CP_NO_FUNCTION;
		return window->ranks[at / 64] + (uint32_t)__builtin_popcountll(window->bits[at / 64] & (bit - 1));
	}
	return CP_NO_FUNCTION;
}

/* The function around the address, or CP_NO_FUNCTION. */
uint32_t cp_function_around(const struct cp_functions_by_entry *functions, uint64_t address);

/* Is it a part that the compiler split off, which is jumped to and never called? */
bool cp_function_is_piece(const struct cp_function *function);

/* The function that it is a part of; itself, as a rule. */
struct cp_error *cp_function_owner(struct cp_functions_by_entry *functions, uint32_t function, uint32_t *ret);

#endif
