/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/entered.h"
#include "code/input.h"
#include "code/jumps.h"

/* What is looked at for one instruction; compilers set such a register right before it, or a few blocks away. */
#define MAX_BLOCKS 16
#define MAX_STEPS 256

void cp_inputs_init(struct cp_program *program, const struct cp_code *code, struct cp_inputs *ret)
{
	uint64_t size = 0;

	for (size_t i = 0; i < code->part_count; i++)
		size += code->parts[i].size;
	*ret = (struct cp_inputs){ .program = program, .code = code, .budget = CP_LARGEST_FUNCTION + 2 * size };
}

static void drop_flow(struct cp_inputs *inputs)
{
	if (inputs->has_flow)
		cp_flow_deinit(&inputs->flow);
	inputs->has_flow = false;
}

void cp_inputs_deinit(struct cp_inputs *inputs)
{
	drop_flow(inputs);
	free(inputs->stretches);
}

bool cp_input_is_of(const char *mnemonic)
{
	return !strcmp(mnemonic, "cpuid") || !strcmp(mnemonic, "rdmsr") || !strcmp(mnemonic, "wrmsr");
}

static void charge(struct cp_inputs *inputs, uint64_t work)
{
	inputs->budget -= work < inputs->budget ? work : inputs->budget;
}

enum made { NOT_HERE, CONSTANT, UNKNOWN };

/* A walk back over the blocks that lead to an instruction. */
struct walk {
	struct cp_inputs *inputs;
	ZydisRegister reg;		/* widest form */
	size_t blocks[MAX_BLOCKS];	/* from whose ends it goes on */
	size_t block_count;
	struct cp_stretch stretches[MAX_BLOCKS + 1];
	size_t stretch_count;
	unsigned int steps;
	bool known;
	uint32_t value;
};

/* Is something else run there, which may change any register: a callee, a handler, a guest, firmware? */
static bool leaves_code(const ZydisDecodedInstruction *insn)
{
	switch (insn->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_VTX:
	case ZYDIS_CATEGORY_SGX:
		return true;
	default:
		return insn->mnemonic == ZYDIS_MNEMONIC_VMRUN || insn->mnemonic == ZYDIS_MNEMONIC_VMMCALL ||
			insn->mnemonic == ZYDIS_MNEMONIC_SKINIT || insn->mnemonic == ZYDIS_MNEMONIC_GETSEC ||
			insn->mnemonic == ZYDIS_MNEMONIC_RSM;
	}
}

/* What one instruction makes of the register. */
static enum made make(const struct walk *w, const struct cp_flow_insn *at, uint32_t *ret)
{
	const struct cp_code *code = w->inputs->code;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	bool whole;

	if (!cp_decode(code, at->part, at->address, &insn, operands) || leaves_code(&insn))
		return UNKNOWN;
	if (!cp_writes_register(code, &insn, operands, w->reg))
		return NOT_HERE;
	/* A write of the lower 8 or 16 bits leaves the rest. */
	whole = insn.operand_count >= 2 && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[0].size >= 32 &&
		cp_widest(code, operands[0].reg.value) == w->reg;
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

/* The instructions around one that lie one behind the other. */
static void find_run(struct cp_inputs *inputs, size_t insn)
{
	size_t first = insn, end = insn + 1;

	if (insn >= inputs->run_first && insn < inputs->run_end)
		return;
	while (cp_flow_follows(&inputs->flow, first))
		first--;
	while (end < inputs->flow.insn_count && cp_flow_follows(&inputs->flow, end))
		end++;
	inputs->run_first = first;
	inputs->run_end = end;
	charge(inputs, end - first);
}

/* The code around the instruction that is all in the flow and has no other symbol. False: none says how large it is. */
static bool own_region(struct cp_inputs *inputs, size_t insn, struct cp_region *ret)
{
	const struct cp_flow_insn *insns = inputs->flow.insns;
	const struct cp_symbol *symbol = cp_symbols_at(&inputs->program->symbols, insns[insn].address, true);

	if (!symbol || !symbol->size || !cp_region_at(inputs->code, insns[insn].address, ret))
		return false;
	find_run(inputs, insn);
	if (ret->end > insns[inputs->run_end - 1].address)
		ret->end = insns[inputs->run_end - 1].address + 1;
	if (ret->start < symbol->address)
		ret->start = symbol->address;
	if (ret->start < insns[inputs->run_first].address)
		ret->start = insns[inputs->run_first].address;
	return true;
}

/* Is the block entered by an edge that the flow leaves out? A warning's ud2 goes on; a call may come back after all. */
static bool has_hidden_edge(const struct cp_inputs *inputs, const struct cp_flow_block *block)
{
	const struct cp_flow_insn *before = &inputs->flow.insns[block->first] - 1;
	ZydisDecodedInstruction insn;

	if (!block->predecessor_count || !cp_flow_follows(&inputs->flow, block->first))
		return true;
	return before->kind == CP_FLOW_END && (!cp_decode(inputs->code, before->part, before->address, &insn, NULL) ||
		insn.meta.category != ZYDIS_CATEGORY_RET);
}

static bool add_predecessors(struct walk *w, const struct cp_flow_block *block)
{
	for (size_t p = 0; p < block->predecessor_count; p++) {
		size_t from = w->inputs->flow.predecessors[block->first_predecessor + p], b = 0;

		while (b < w->block_count && w->blocks[b] != from)
			b++;
		if (b == MAX_BLOCKS)
			return false;
		if (b == w->block_count)
			w->blocks[w->block_count++] = from;
	}
	return true;
}

/* Back from before instruction `end` of its block. False: not the same constant on every way. */
static bool walk_back(struct walk *w, const struct cp_flow_block *block, size_t end)
{
	const struct cp_flow_insn *insns = w->inputs->flow.insns;
	struct cp_stretch *stretch = &w->stretches[w->stretch_count];
	enum made made = NOT_HERE;
	struct cp_region region;
	uint32_t value = 0;
	size_t i = end;

	if (!own_region(w->inputs, i > block->last ? block->last : i, &region))
		return false;
	for (; i > block->first && (i > block->last || insns[i].address > region.start) && made == NOT_HERE; i--) {
		if (w->steps++ == MAX_STEPS)
			return false;
		made = make(w, &insns[i - 1], &value);
	}
	if (made == UNKNOWN || (made == CONSTANT && w->known && w->value != value))
		return false;
	if (made == CONSTANT) {
		w->known = true;
		w->value = value;
		i++;
	}
	if (i <= block->last) {
		*stretch = (struct cp_stretch){ .first = insns[i].address, .last = insns[end > block->last ? block->last : end].address,
			.start = region.start, .end = region.end };
		w->stretch_count++;
	}
	return made == CONSTANT || (insns[i].address > region.start && !has_hidden_edge(w->inputs, block) &&
		add_predecessors(w, block));
}

/* Back over all blocks. */
static bool walk(struct walk *w, size_t from)
{
	const struct cp_flow *flow = &w->inputs->flow;
	bool same = walk_back(w, &flow->blocks[flow->insns[from].block], from);

	for (size_t b = 0; b < w->block_count && same; b++) {
		const struct cp_flow_block *block = &flow->blocks[w->blocks[b]];

		same = walk_back(w, block, block->last + 1);
	}
	return same && w->known;
}

/* Is there a jump of which it is not known where it leads? Then nothing is known of who comes from where. */
static bool has_open_jump(const struct cp_flow *flow)
{
	size_t w = 0;

	for (size_t i = 0; i < flow->insn_count; i++) {
		while (w < flow->way_count && flow->ways[w].from < i)
			w++;
		if (cp_jump_is_indirect(&flow->insns[i]) && (w == flow->way_count || flow->ways[w].from != i))
			return true;
	}
	return false;
}

/* The flow of the function around the address, which may be the one that is there already. */
static struct cp_error *take_flow(struct cp_inputs *inputs, uint64_t address)
{
	struct cp_error *error;

	if (inputs->has_flow && cp_flow_insn_at(&inputs->flow, address) != CP_FLOW_NONE)
		return NULL;
	drop_flow(inputs);
	error = cp_flow_build(inputs->program, inputs->code, address, &inputs->flow);
	inputs->has_flow = true;
	inputs->run_end = 0;
	inputs->lost = has_open_jump(&inputs->flow);
	charge(inputs, 1 + inputs->flow.work);
	return error;
}

static struct cp_error *keep_stretches(struct cp_inputs *inputs, const struct walk *w, bool *sound)
{
	for (size_t i = 0; i < w->stretch_count; i++) {
		struct cp_stretch *stretches = cp_grow(inputs->stretches, inputs->stretch_count, sizeof(*stretches));

		if (!stretches)
			return &cp_error_no_memory;
		inputs->stretches = stretches;
		stretches[inputs->stretch_count] = w->stretches[i];
		stretches[inputs->stretch_count++].sound = sound;
	}
	return NULL;
}

struct cp_error *cp_inputs_read(struct cp_inputs *inputs, uint64_t address, bool *known, uint32_t *ret)
{
	const struct cp_code *code = inputs->code;
	struct walk w = { .inputs = inputs };
	ZydisDecodedInstruction insn;
	struct cp_error *error;
	size_t at;

	*known = false;
	if (!inputs->budget || code->program->image->type == ET_REL)
		return NULL;
	error = take_flow(inputs, address);
	at = error ? CP_FLOW_NONE : cp_flow_insn_at(&inputs->flow, address);
	if (at == CP_FLOW_NONE || inputs->flow.guessed || inputs->lost ||
		!cp_decode(code, inputs->flow.insns[at].part, address, &insn, NULL) ||
		(insn.attributes & ZYDIS_ATTRIB_HAS_REX))	/* 32-bit code: inc or dec, and then the instruction */
		return error;
	w.reg = cp_widest(code, insn.mnemonic == ZYDIS_MNEMONIC_CPUID ? ZYDIS_REGISTER_EAX : ZYDIS_REGISTER_ECX);
	*known = walk(&w, at);
	*ret = w.value;
	charge(inputs, w.steps);
	return *known ? keep_stretches(inputs, &w, known) : NULL;
}

struct cp_error *cp_inputs_check(struct cp_inputs *inputs)
{
	return cp_stretches_check(inputs->code, inputs->stretches, inputs->stretch_count);
}
