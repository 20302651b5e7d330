/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "code/uses.h"

/* How often joins are looked for on the ways of a message's address. */
#define MAX_ROUNDS 8

/* Where the message's address goes: sets of registers are bits by the numbers that instructions give them. */
struct follower {
	const struct cp_origin *trace;
	uint32_t arguments, kept;	/* registers that functions are given arguments in, and that they leave alone */
	uint32_t *held, *left;		/* by block: those that held the address at its start, at its end */
	bool *joins;			/* by block: the registers hold other things too when it is reached another way */
	bool *uses;			/* by block: set where the address is used */
	size_t *stack, depth;		/* blocks to follow it into */
	bool *stacked;
};

static uint32_t register_bit(const struct cp_code *code, ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg = cp_widest(code, reg));

	return class == ZYDIS_REGCLASS_GPR32 || class == ZYDIS_REGCLASS_GPR64 ? 1u << (ZydisRegisterGetId(reg) & 15) : 0;
}

/* The registers that an instruction reads or writes. */
static uint32_t touched(const struct cp_code *code, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, ZydisOperandActions actions)
{
	uint32_t ret = 0;

	for (int i = 0; i < insn->operand_count; i++) {
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && (operands[i].actions & actions))
			ret |= register_bit(code, operands[i].reg.value);
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY && actions == ZYDIS_OPERAND_ACTION_MASK_READ)
			ret |= register_bit(code, operands[i].mem.base) | register_bit(code, operands[i].mem.index);
	}
	return ret;
}

/* From an instruction on to where the address is in no register any more, or the block ends. */
static void follow(struct follower *f, size_t own, size_t insn, uint32_t held)
{
	const struct cp_flow *flow = f->trace->flow;
	const struct cp_code *code = f->trace->code;
	const struct cp_flow_block *block = &flow->blocks[own];

	for (size_t i = insn; i <= block->last && held; i++) {
		const struct cp_flow_insn *at = &flow->insns[i];
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction decoded;
		uint32_t written, handed_on = f->arguments;
		bool copies;

		if (!cp_decode(code, at->part, at->address, &decoded, operands))
			return;
		if (decoded.meta.category == ZYDIS_CATEGORY_RET)
			handed_on = register_bit(code, ZYDIS_REGISTER_EAX);
		else if (decoded.meta.category != ZYDIS_CATEGORY_CALL && (at->kind != CP_FLOW_JUMP || block->successor_count))
			handed_on = 0;
		written = touched(code, &decoded, operands, ZYDIS_OPERAND_ACTION_MASK_WRITE);
		copies = decoded.mnemonic == ZYDIS_MNEMONIC_MOV && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER && (register_bit(code, operands[1].reg.value) & held);
		if (!copies && ((touched(code, &decoded, operands, ZYDIS_OPERAND_ACTION_MASK_READ) | handed_on) & held))
			f->uses[own] = true;
		held = copies ? held | written : held & ~written;
		if (at->kind == CP_FLOW_CALL)
			held &= f->kept;
	}
	f->left[own] |= held;
	for (size_t n = 0; n < block->successor_count && held; n++) {
		size_t to = flow->successors[block->first_successor + n];

		if (f->joins[to] || !(held & ~f->held[to]))
			continue;
		f->held[to] |= held;
		if (!f->stacked[to])
			f->stack[f->depth++] = to;
		f->stacked[to] = true;
	}
}

/* Where the instruction loads an address, follow it; where it hands it on itself, it is used there. */
static void follow_place(struct follower *f, size_t insn)
{
	const struct cp_flow_insn *at = &f->trace->flow->insns[insn];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	uint32_t held = 0;

	if (at->kind == CP_FLOW_NEXT && cp_decode(f->trace->code, at->part, at->address, &decoded, operands) &&
		decoded.operand_count && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
		held = touched(f->trace->code, &decoded, operands, ZYDIS_OPERAND_ACTION_MASK_WRITE) &
			register_bit(f->trace->code, operands[0].reg.value);
	if (!held)
		f->uses[at->block] = true;
	else
		follow(f, at->block, insn + 1, held);
}

/* Padding behind a jump: no way leads to it, and it leads to what it pads. */
static bool is_unreached(const struct cp_flow *flow, const struct cp_flow_block *block)
{
	const struct cp_flow_insn *first = &flow->insns[block->first];

	return !block->predecessor_count && block->first && first[-1].address + first[-1].length == first->address;
}

/* Some block that the address came to is also reached with something else in the register: do not enter it again. */
static bool find_joins(struct follower *f)
{
	const struct cp_flow *flow = f->trace->flow;
	bool found = false;

	for (size_t b = 0; b < flow->block_count; b++) {
		const struct cp_flow_block *block = &flow->blocks[b];

		for (size_t p = 0; p < block->predecessor_count && f->held[b] && !f->joins[b]; p++) {
			size_t from = flow->predecessors[block->first_predecessor + p];

			f->joins[b] = (f->held[b] & ~f->left[from]) && !is_unreached(flow, &flow->blocks[from]);
		}
		found |= f->held[b] && f->joins[b];
	}
	return found;
}

struct cp_error *cp_uses_find(const struct cp_origin *trace, const uint64_t *places, size_t count, bool *uses)
{
	const struct cp_flow *flow = trace->flow;
	bool wide = trace->code->decoder.machine_mode == ZYDIS_MACHINE_MODE_LONG_64, any = false, again = true;
	size_t n = flow->block_count;
	struct follower f = { .trace = trace, .uses = uses,
		.arguments = wide ? 0x3c6 : 0x007,	/* rdi, rsi, rdx, rcx, r8, r9; with -mregparm eax, edx, ecx */
		.kept = wide ? 0xf028 : 0x0e8,		/* rbx, rbp, r12 to r15; ebx, ebp, esi, edi */
		.held = calloc(n, sizeof(*f.held)), .left = calloc(n, sizeof(*f.left)), .joins = calloc(n, sizeof(*f.joins)),
		.stack = calloc(n, sizeof(*f.stack)), .stacked = calloc(n, sizeof(*f.stacked)) };
	struct cp_error *error = f.held && f.left && f.joins && f.stack && f.stacked ? NULL : &cp_error_no_memory;

	for (int round = 0; round < MAX_ROUNDS && again && !error; round++) {
		memset(f.held, 0, n * sizeof(*f.held));
		memset(f.left, 0, n * sizeof(*f.left));
		memset(uses, 0, n * sizeof(*uses));
		for (size_t i = 0; i < count; i++) {
			size_t insn = cp_flow_insn_at(flow, places[i]);

			if (insn != CP_FLOW_NONE)
				follow_place(&f, insn);
		}
		while (f.depth) {
			size_t block = f.stack[--f.depth];

			f.stacked[block] = false;
			follow(&f, block, flow->blocks[block].first, f.held[block]);
		}
		again = find_joins(&f);
	}
	for (size_t b = 0; b < n && !again; b++)
		any |= uses[b];
	if (!any && !error)
		memset(uses, 0, n * sizeof(*uses));
	for (size_t i = 0; i < count && !any && !error; i++) {
		size_t insn = cp_flow_insn_at(flow, places[i]);

		if (insn != CP_FLOW_NONE)
			uses[flow->insns[insn].block] = true;
	}
	free(f.held);
	free(f.left);
	free(f.joins);
	free(f.stack);
	free(f.stacked);
	return error;
}
