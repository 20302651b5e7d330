/* SPDX-License-Identifier: BSD-2-Clause */
/* The tests that guard an instruction: where a debugger must stop to make the outcome another one. */
#ifndef CPROBE_CHECK_H
#define CPROBE_CHECK_H

#include "code/flow.h"

/* Where the first value that a test looks at came from, if it is not the variable alone. */
enum cp_check_source {
	CP_SOURCE_UNKNOWN,
	CP_SOURCE_MEMORY,	/* a variable, or what a pointer leads to */
	CP_SOURCE_RETURNED,	/* by a called function */
	CP_SOURCE_STORED,	/* by a called function, in a local variable */
	CP_SOURCE_CPU,		/* cpuid, rdmsr, rdtsc, in ... */
	CP_SOURCE_ARGUMENT,	/* in a register at the function's entry */
};

struct cp_check {
	uint64_t address;	/* first instruction of the test: the load that feeds the compare, or the compare */
	uint64_t branch;	/* the conditional branch, or switch's jump, whose outcome leads to the guarded instruction */
	uint64_t guards;	/* the guarded instruction */
	const char *variable;	/* symbol that the test reads from memory, or NULL */
	uint64_t variable_address;	/* where it reads: within the variable, that of the tested field; 0 unknown */
	unsigned int variable_size;	/* bytes it reads there; 0: it reads no memory */
	enum cp_check_source source;
	uint64_t source_at;	/* the call, the CPU's instruction or the load */
	uint64_t source_target;	/* of a direct call; 0 none */
	ZydisRegister source_register;	/* widest form: that the CPU answered in, of an argument, or a load's base */
	int64_t source_offset;	/* of a load, from the base */
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

/* A block that ends with the call of what reports a smashed stack: its test decides nothing. */
bool cp_block_is_stack_check(const struct cp_program *program, const struct cp_flow *flow, size_t block);

#endif
