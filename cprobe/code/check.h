/* SPDX-License-Identifier: BSD-2-Clause */
/* The tests that guard an instruction: where a debugger must stop to make the outcome another one. */
#ifndef CPROBE_CHECK_H
#define CPROBE_CHECK_H

#include "code/flow.h"

struct cp_check {
	uint64_t address;	/* first instruction of the test: the load that feeds the compare, or the compare */
	uint64_t branch;	/* the conditional branch, or switch's jump, whose outcome leads to the guarded instruction */
	uint64_t guards;	/* the guarded instruction */
	const char *variable;	/* symbol that the test reads from memory, or NULL */
	uint64_t variable_address;	/* where it reads: within the variable, that of the tested field; 0 unknown */
	unsigned int variable_size;	/* bytes it reads there; 0: it reads no memory */
};

/*
 * What is kept from one instruction to the next that is asked about: the flow of the function that both are in. And how much
 * work was done: a hostile file has very many messages in very large functions.
 */
struct cp_guards {
	struct cp_flow flow;
	bool has_flow;
	uint64_t work;			/* instructions and blocks looked at */
	size_t skipped;			/* instructions whose guards were not looked for, since there was too much work */
};

/* Zeroed before the first time. */
void cp_guards_deinit(struct cp_guards *guards);

/*
 * Call `found` for each conditional branch on whose outcome it directly depends whether the instruction is reached.
 * Compilers copy code: `siblings` are all places of the same message, and a branch that leads to one or the other of
 * them guards none. What its register is handed on for is guarded, where the instruction only loads an address. *count:
 * how many calls.
 */
struct cp_error *cp_checks_find(struct cp_guards *guards, struct cp_program *program, const struct cp_code *code,
	uint64_t address, const uint64_t *siblings, size_t sibling_count,
	struct cp_error *(*found)(void *context, const struct cp_check *check), void *context, size_t *count);

#endif
