/* SPDX-License-Identifier: BSD-2-Clause */
/* What a cpuid, rdmsr or wrmsr is asked for, where the code before it says so: the leaf in EAX, the MSR in ECX. */
#ifndef CPROBE_INPUT_H
#define CPROBE_INPUT_H

#include "code/entered.h"
#include "code/flow.h"

/* Reads the inputs of many instructions, best in the order of their addresses: a function is decoded once then. */
struct cp_inputs {
	struct cp_program *program;
	const struct cp_code *code;
	struct cp_flow flow;		/* of the function last looked at */
	bool has_flow;
	bool lost;			/* it jumps to places that are not known */
	size_t run_first, run_end;	/* instructions of it that lie one behind the other */
	uint64_t budget;		/* instructions that may still be decoded */
	struct cp_stretch *stretches;
	size_t stretch_count;
};

void cp_inputs_init(struct cp_program *program, const struct cp_code *code, struct cp_inputs *ret);
void cp_inputs_deinit(struct cp_inputs *inputs);

/* Does the instruction have such an input? */
bool cp_input_is_of(const char *mnemonic);

/*
 * The input of the instruction at the address. *known is false where it is no constant, where ways to the instruction
 * differ, or where they are not all known: no symbol says how large the function is, a jump leads anywhere. `known` is
 * kept until cp_inputs_check().
 */
struct cp_error *cp_inputs_read(struct cp_inputs *inputs, uint64_t address, bool *known, uint32_t *ret);

/* After all of them: takes back what is not known as other code enters the function behind the constant. */
struct cp_error *cp_inputs_check(struct cp_inputs *inputs);

#endif
