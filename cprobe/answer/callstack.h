/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a vCPU is in. A chain is functions that call each other, from one on that nobody on it called; on top of one there
 * may be others, of interrupts and of threads that were switched to. A chain that the vCPU went back from is kept aside:
 * if it was a thread's, it goes on.
 */
#ifndef CPROBE_CALLSTACK_H
#define CPROBE_CALLSTACK_H

#include "answer/callers.h"

#define CP_MAX_CHAINS 64	/* on the stack, and as many aside: the oldest are dropped */
#define CP_MAX_FRAMES 512	/* of a chain: then those of its lower half are dropped */

struct cp_frame {
	uint32_t function, node;	/* node: the tree's, if there is one */
	bool outermost;			/* the function's first one in the chain */
	uint64_t entered;		/* by the chain's clock */
};

struct cp_chain {
	struct cp_frame *frames;	/* owned */
	uint32_t depth, room;
	uint64_t clock;			/* ns that passed in it */
};

struct cp_vcpu_stack {
	struct cp_callers *callers;	/* not owned: what is left is added to its inclusive times */
	struct cp_chain *chains[CP_MAX_CHAINS], *aside[CP_MAX_CHAINS];	/* the latest one last; owned */
	uint32_t chain_count, aside_count;
	uint32_t root;			/* the vCPU's node */
	uint64_t t;			/* of the last event */
};

/* The chain on top, which always has a frame; NULL: none. */
struct cp_chain *cp_stack_top(const struct cp_vcpu_stack *stack);
struct cp_frame *cp_chain_top(const struct cp_chain *chain);

/* Begin a chain on top, to be pushed to. One on top or aside that began with the same function has ended. */
struct cp_error *cp_stack_begin(struct cp_vcpu_stack *stack, uint32_t function);
struct cp_error *cp_stack_push(struct cp_vcpu_stack *stack, uint32_t function, uint32_t node);

/* Go back to the latest frame of the function, on the stack or aside. False: there is none. */
bool cp_stack_return(struct cp_vcpu_stack *stack, uint32_t function);

/* Go back to a frame of a chain of the stack. */
void cp_stack_return_to(struct cp_vcpu_stack *stack, uint32_t chain, uint32_t depth);

/* All has returned; frees what the stack holds. */
void cp_stack_deinit(struct cp_vcpu_stack *stack);

#endif
