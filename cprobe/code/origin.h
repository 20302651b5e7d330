/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a conditional branch, or the jump of a switch, back to what decides it: by registers, flags and stack slots to
 * the loads behind them.
 */
#ifndef CPROBE_ORIGIN_H
#define CPROBE_ORIGIN_H

#include "code/check.h"
#include "code/flow.h"

/* A place in memory given by a register and an offset: a local variable, or a variable whose address was loaded. */
struct cp_origin_place {
	ZydisRegister base;		/* the widest form; ZYDIS_REGISTER_NONE: no such place */
	int64_t offset;
};

#define CP_ORIGIN_SLOTS 2	/* i386 keeps a 64-bit local variable in two */

/* What a walk back still looks for. */
struct cp_origin_need {
	bool registers[ZYDIS_REGISTER_MAX_VALUE + 1];	/* by the number of the widest form */
	size_t register_count;
	ZydisAccessedFlagsMask flags;
	struct cp_origin_place slots[CP_ORIGIN_SLOTS];	/* on the stack: the value is what was stored there last */
	struct cp_origin_place pointer;	/* the check reads here: what is the address? Never moves the check */
	unsigned int pointer_size;	/* bytes that it reads there */
	bool table;			/* a switch: not what is read from its table is wanted, but what chose the entry */
	bool loaded;			/* something was read: a variable, an argument, what a call or the CPU answered */
};

enum cp_origin_end {
	CP_ORIGIN_CONSTANT,	/* made of constants only: what decided is which way led here */
	CP_ORIGIN_VALUE,		/* made of something read */
	CP_ORIGIN_JOIN,		/* several ways lead to the beginning of a block, before which the rest was made */
	CP_ORIGIN_LOST,		/* too far away */
};

struct cp_origin {
	const struct cp_program *program;
	const struct cp_code *code;
	const struct cp_flow *flow;
};

/* What the branch at that index of the flow's instructions is decided by. */
struct cp_origin_need cp_origin_branch(const struct cp_origin *trace, size_t branch);

/*
 * Walk back from before instruction `from` to where all that is needed was made. *check's address moves to the first
 * instruction that takes part, its variable is set to the first one met that is read from memory. *need is what is
 * left; *join is set for CP_ORIGIN_JOIN to the block.
 */
enum cp_origin_end cp_origin_back(const struct cp_origin *trace, size_t from, struct cp_origin_need *need,
	struct cp_check *check, size_t *join);

/* The same from the end of a block, its last instruction included. */
enum cp_origin_end cp_origin_block(const struct cp_origin *trace, size_t block, struct cp_origin_need *need,
	struct cp_check *check, size_t *join);

#endif
