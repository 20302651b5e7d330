/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "code/input.h"

/* Blocks that are looked at for one instruction; compilers set such a register within one or two. */
#define MAX_BLOCKS 16

void cp_inputs_init(struct cp_program *program, const struct cp_code *code, struct cp_inputs *ret)
{
	uint64_t size = 0;

	for (size_t i = 0; i < code->part_count; i++)
		size += code->parts[i].size;
	*ret = (struct cp_inputs){ .program = program, .code = code, .budget = 2 * size };
}

void cp_inputs_deinit(struct cp_inputs *inputs)
{
	if (inputs->has_flow)
		cp_flow_deinit(&inputs->flow);
	inputs->has_flow = false;
}

bool cp_input_is_of(const char *mnemonic)
{
	return !strcmp(mnemonic, "cpuid") || !strcmp(mnemonic, "rdmsr") || !strcmp(mnemonic, "wrmsr");
}

enum made { NOT_HERE, CONSTANT, UNKNOWN };

/* A walk back over the blocks that lead to an instruction. */
struct walk {
	const struct cp_code *code;
	const struct cp_flow *flow;
	ZydisRegister reg;		/* widest form */
	size_t seen[MAX_BLOCKS];
	size_t seen_count;
	bool known;
	uint32_t value;
};

/* What one instruction makes of the register. */
static enum made make(const struct walk *w, const struct cp_flow_insn *at, uint32_t *ret)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	bool whole;

	if (!cp_decode(w->code, at->part, at->address, &insn, operands))
		return UNKNOWN;
	if (at->kind == CP_FLOW_CALL)
		return UNKNOWN;	/* the ABI lets a callee change all registers that are asked for here */
	if (!cp_writes_register(w->code, &insn, operands, w->reg))
		return NOT_HERE;
	/* A write of the lower 8 or 16 bits leaves the rest. */
	whole = insn.operand_count >= 2 && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[0].size >= 32 &&
		cp_widest(w->code, operands[0].reg.value) == w->reg;
	if (whole && insn.mnemonic == ZYDIS_MNEMONIC_MOV && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		*ret = (uint32_t)operands[1].imm.value.u;
		return CONSTANT;
	}
	if (whole && insn.mnemonic == ZYDIS_MNEMONIC_XOR && operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		operands[0].reg.value == operands[1].reg.value) {
		*ret = 0;
		return CONSTANT;
	}
	return UNKNOWN;
}

/* Can the block be entered from outside of the function? */
static bool is_entry(const struct cp_inputs *inputs, const struct cp_flow_block *block)
{
	uint64_t address = inputs->flow.insns[block->first].address;
	const struct cp_symbol *symbol = cp_symbols_at(&inputs->program->symbols, address, true);

	return !block->predecessor_count || !symbol || symbol->address == address;
}

/* Before instruction `end` of its block, and before that. False: not the same constant on every way. */
static bool walk_back(const struct cp_inputs *inputs, struct walk *w, size_t block_index, size_t end)
{
	const struct cp_flow_block *block = &w->flow->blocks[block_index];

	for (size_t i = end; i-- > block->first;) {
		uint32_t value;
		enum made made = make(w, &w->flow->insns[i], &value);

		if (made == NOT_HERE)
			continue;
		if (made == UNKNOWN || (w->known && w->value != value))
			return false;
		w->known = true;
		w->value = value;
		return true;
	}
	if (is_entry(inputs, block))
		return false;
	for (size_t p = 0; p < block->predecessor_count; p++) {
		size_t from = w->flow->predecessors[block->first_predecessor + p];
		bool seen = false;

		for (size_t s = 0; s < w->seen_count; s++)
			seen |= w->seen[s] == from;
		if (seen)
			continue;
		if (w->seen_count == MAX_BLOCKS)
			return false;
		w->seen[w->seen_count++] = from;
		if (!walk_back(inputs, w, from, w->flow->blocks[from].last + 1))
			return false;
	}
	return true;
}

/* The flow of the function around the address, which may be the one that is there already. */
static struct cp_error *take_flow(struct cp_inputs *inputs, uint64_t address)
{
	struct cp_error *error;

	if (inputs->has_flow && cp_flow_insn_at(&inputs->flow, address) != CP_FLOW_NONE)
		return NULL;
	cp_inputs_deinit(inputs);
	error = cp_flow_build(inputs->program, inputs->code, address, &inputs->flow);
	inputs->has_flow = true;
	inputs->budget -= inputs->flow.work < inputs->budget ? inputs->flow.work : inputs->budget;
	return error;
}

struct cp_error *cp_inputs_read(struct cp_inputs *inputs, uint64_t address, bool *known, uint32_t *ret)
{
	struct walk walk = { .code = inputs->code, .flow = &inputs->flow };
	ZydisDecodedInstruction insn;
	struct cp_error *error;
	size_t at;

	*known = false;
	if (!inputs->budget)
		return NULL;
	error = take_flow(inputs, address);
	at = error ? CP_FLOW_NONE : cp_flow_insn_at(&inputs->flow, address);
	if (at == CP_FLOW_NONE || inputs->flow.guessed ||
		!cp_decode(inputs->code, inputs->flow.insns[at].part, address, &insn, NULL))
		return error;
	walk.reg = cp_widest(inputs->code, insn.mnemonic == ZYDIS_MNEMONIC_CPUID ? ZYDIS_REGISTER_EAX : ZYDIS_REGISTER_ECX);
	*known = walk_back(inputs, &walk, inputs->flow.insns[at].block, at) && walk.known;
	if (*known)
		*ret = walk.value;
	return NULL;
}
