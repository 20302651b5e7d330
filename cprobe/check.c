/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A branch guards the instruction when one of its ways always leads there and the other may end elsewhere. So: find
 * the blocks from which the function can end without passing the guarded block ("avoiding"). Walk back from the
 * guarded block through blocks that cannot avoid it; the branches of those that can are the guards.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "flow.h"

/* How far the walk back from a branch to the load that feeds it may go. */
#define MAX_STEPS 256
#define MAX_JOINS 4

struct walk {
	struct cp_program *program;
	const struct cp_code *code;
	const struct cp_flow *flow;
	bool *branch_found;	/* by instruction: each branch is reported once */
	struct cp_error *(*found)(void *context, const struct cp_check *check);
	void *context;
	uint64_t guarded;
	const uint64_t *siblings;	/* all places of the same message, the guarded one too */
	size_t sibling_count;
	size_t *count;
};

/* Marks, backward from the blocks marked already, all blocks that lead to them; never passes through a barrier. */
static void spread_back(const struct cp_flow *flow, bool *mark, size_t *stack, const bool *barrier)
{
	size_t depth = 0;

	for (size_t b = 0; b < flow->block_count; b++) {
		if (mark[b])
			stack[depth++] = b;
	}
	while (depth) {
		const struct cp_flow_block *block = &flow->blocks[stack[--depth]];

		for (size_t p = 0; p < block->predecessor_count; p++) {
			size_t from = flow->predecessors[block->first_predecessor + p];

			if (!(barrier && barrier[from]) && !mark[from]) {
				mark[from] = true;
				stack[depth++] = from;
			}
		}
	}
}

/* What the walk back still looks for: registers by Zydis's number of the widest one, and the flags. */
struct need {
	bool registers[ZYDIS_REGISTER_MAX_VALUE + 1];
	size_t register_count;
	ZydisAccessedFlagsMask flags;
};

static ZydisRegister widest(const struct cp_code *code, ZydisRegister reg)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(code->decoder.machine_mode, reg);

	return wide == ZYDIS_REGISTER_NONE ? reg : wide;
}

static bool is_general(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	return class == ZYDIS_REGCLASS_GPR8 || class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR32 ||
		class == ZYDIS_REGCLASS_GPR64;
}

static void need_register(const struct cp_code *code, struct need *need, ZydisRegister reg)
{
	reg = widest(code, reg);
	if (is_general(reg) && !need->registers[reg]) {
		need->registers[reg] = true;
		need->register_count++;
	}
}

/* A call changes what the calling convention lets it change: the value came from there. */
static void forget_scratch(const struct cp_code *code, struct need *need)
{
	static const ZydisRegister scratch[] = { ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RCX, ZYDIS_REGISTER_RDX,
		ZYDIS_REGISTER_RSI, ZYDIS_REGISTER_RDI, ZYDIS_REGISTER_R8, ZYDIS_REGISTER_R9, ZYDIS_REGISTER_R10,
		ZYDIS_REGISTER_R11, ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_ECX, ZYDIS_REGISTER_EDX };

	(void)code;
	need->flags = 0;
	for (size_t i = 0; i < sizeof(scratch) / sizeof(*scratch); i++) {
		need->register_count -= need->registers[scratch[i]];
		need->registers[scratch[i]] = false;
	}
}

static const char *variable_of(const struct walk *w, const struct cp_flow_insn *at, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *op)
{
	const struct cp_symbol *symbol;
	ZyanU64 address;

	if (op->mem.index != ZYDIS_REGISTER_NONE || op->mem.segment == ZYDIS_REGISTER_GS ||
		op->mem.segment == ZYDIS_REGISTER_FS ||
		(op->mem.base != ZYDIS_REGISTER_NONE && op->mem.base != ZYDIS_REGISTER_RIP) ||
		!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, op, at->address, &address)))
		return NULL;
	symbol = cp_symbols_at(&w->program->symbols, cp_code_wrap(w->code, address), false);
	return symbol ? symbol->name : NULL;
}

/* Does the instruction make something that is needed? Then need what it is made of; *start moves back to it. */
static void feed(const struct walk *w, const struct cp_flow_insn *at, struct need *need, struct cp_check *check)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	bool feeds = false, loads = false, constant = true;

	if (!cp_decode(w->code, at->part, at->address, &insn, operands))
		return;
	if (at->kind == CP_FLOW_CALL) {
		forget_scratch(w->code, need);
		return;
	}
	if (need->flags && insn.cpu_flags && ((insn.cpu_flags->modified | insn.cpu_flags->set_0 | insn.cpu_flags->set_1 |
		insn.cpu_flags->undefined) & need->flags)) {
		feeds = true;
		need->flags = 0;
	}
	for (int i = 0; i < insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		ZydisRegister reg = op->type == ZYDIS_OPERAND_TYPE_REGISTER ? widest(w->code, op->reg.value) : ZYDIS_REGISTER_NONE;

		if (reg != ZYDIS_REGISTER_NONE && (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) && need->registers[reg]) {
			feeds = true;
			need->registers[reg] = false;
			need->register_count--;
		}
	}
	if (!feeds)
		return;
	if (insn.cpu_flags && insn.cpu_flags->tested) {
		need->flags = insn.cpu_flags->tested;	/* setcc, adc, cmov */
		constant = false;
	}
	for (int i = 0; i < insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &operands[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
			(op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)) {
			loads = true;
			if (!check->variable)
				check->variable = variable_of(w, at, &insn, op);
		}
	}
	for (int i = 0; i < insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &operands[i];

		/* `xor eax, eax` reads nothing that matters. */
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !(op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) ||
			!is_general(op->reg.value) || (insn.mnemonic == ZYDIS_MNEMONIC_XOR && operands[0].type == operands[1].type &&
			operands[0].reg.value == operands[1].reg.value))
			continue;
		need_register(w->code, need, op->reg.value);
		constant = false;
	}
	if (loads || !constant)
		check->address = at->address;
}

/*
 * The start of the test that a branch decides by. *join is set to the block at whose beginning a needed register came
 * from several places, CP_FLOW_NONE when there was none.
 */
static void trace_test(const struct walk *w, size_t branch, struct cp_check *check, size_t *join)
{
	const struct cp_flow *flow = w->flow;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	const struct cp_flow_insn *at = &flow->insns[branch];
	ZydisDecodedInstruction insn;
	struct need need = { .flags = 0 };
	size_t i = branch;

	check->branch = check->address = at->address;
	check->guards = w->guarded;
	check->variable = NULL;
	*join = CP_FLOW_NONE;
	if (!cp_decode(w->code, at->part, at->address, &insn, operands))
		return;
	if (insn.cpu_flags)
		need.flags = insn.cpu_flags->tested;
	for (int o = 0; o < insn.operand_count; o++) {		/* jrcxz, loop; cmov's operands are what it chooses from */
		if (!need.flags && operands[o].type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operands[o].reg.value))
			need_register(w->code, &need, operands[o].reg.value);
	}
	for (int steps = 0; steps < MAX_STEPS && (need.flags || need.register_count); steps++) {
		const struct cp_flow_block *block = &flow->blocks[flow->insns[i].block];

		if (i == block->first) {
			if (block->predecessor_count != 1) {
				if (block->predecessor_count > 1 && !check->variable)
					*join = flow->insns[i].block;
				return;
			}
			i = flow->blocks[flow->predecessors[block->first_predecessor]].last;
		} else {
			i--;
		}
		feed(w, &flow->insns[i], &need, check);
	}
}

static bool ends_in_constant(const struct walk *w, size_t block)
{
	const struct cp_flow_block *b = &w->flow->blocks[block];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	size_t i = b->last;

	if (w->flow->insns[i].kind == CP_FLOW_JUMP && i > b->first)
		i--;
	if (!cp_decode(w->code, w->flow->insns[i].part, w->flow->insns[i].address, &insn, operands))
		return false;
	return (insn.mnemonic == ZYDIS_MNEMONIC_MOV && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) || (insn.mnemonic == ZYDIS_MNEMONIC_XOR &&
		operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		operands[0].reg.value == operands[1].reg.value);
}

static struct cp_error *report_branch(struct walk *w, size_t branch, int joins);

/*
 * Unoptimised `if (!(a && b))` under __builtin_expect: the outcome was put in a register as 0 or 1, in blocks that the
 * tests of a and b lead to. Those tests are the guards.
 */
static struct cp_error *report_join(struct walk *w, size_t join, int joins, bool *done)
{
	const struct cp_flow *flow = w->flow;
	const struct cp_flow_block *block = &flow->blocks[join];

	*done = joins < MAX_JOINS;
	for (size_t p = 0; p < block->predecessor_count && *done; p++)
		*done = ends_in_constant(w, flow->predecessors[block->first_predecessor + p]);
	for (size_t p = 0; p < block->predecessor_count && *done; p++) {
		const struct cp_flow_block *from = &flow->blocks[flow->predecessors[block->first_predecessor + p]];

		for (size_t q = 0; q < from->predecessor_count; q++) {
			size_t last = flow->blocks[flow->predecessors[from->first_predecessor + q]].last;
			struct cp_error *error = flow->insns[last].kind == CP_FLOW_BRANCH ? report_branch(w, last, joins + 1) : NULL;

			if (error)
				return error;
		}
	}
	return NULL;
}

static struct cp_error *report_branch(struct walk *w, size_t branch, int joins)
{
	struct cp_check check;
	struct cp_error *error;
	size_t join;
	bool done = false;

	if (w->branch_found[branch])
		return NULL;
	w->branch_found[branch] = true;
	trace_test(w, branch, &check, &join);
	if (join != CP_FLOW_NONE) {
		error = report_join(w, join, joins, &done);
		if (error || done)
			return error;
	}
	++*w->count;
	return w->found(w->context, &check);
}

/* `printf(x ? "a" : "b")` chooses by cmov: the test before it is the guard. */
static struct cp_error *report_cmov(struct walk *w, size_t at)
{
	const struct cp_flow_block *block = &w->flow->blocks[w->flow->insns[at].block];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisRegister reg;

	if (!cp_decode(w->code, w->flow->insns[at].part, w->flow->insns[at].address, &insn, operands) ||
		operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return NULL;
	reg = widest(w->code, operands[0].reg.value);
	for (size_t i = at + 1; i <= block->last && w->flow->insns[i].kind == CP_FLOW_NEXT; i++) {
		const struct cp_flow_insn *next = &w->flow->insns[i];

		if (!cp_decode(w->code, next->part, next->address, &insn, operands))
			return NULL;
		if (insn.meta.category != ZYDIS_CATEGORY_CMOV)
			continue;
		for (int o = 0; o < insn.operand_count_visible; o++) {
			if (operands[o].type == ZYDIS_OPERAND_TYPE_REGISTER && widest(w->code, operands[o].reg.value) == reg)
				return report_branch(w, i, 0);
		}
	}
	return NULL;
}

/* The guards, given which blocks can avoid the guarded one. `stack` and `seen` have room for every block. */
static struct cp_error *walk_back(struct walk *w, size_t target, const bool *avoiding, bool *seen,
	const bool *targets, size_t *stack)
{
	const struct cp_flow *flow = w->flow;
	size_t depth = 0;

	stack[depth++] = target;
	seen[target] = true;
	while (depth) {
		const struct cp_flow_block *block = &flow->blocks[stack[--depth]];

		for (size_t p = 0; p < block->predecessor_count; p++) {
			size_t from = flow->predecessors[block->first_predecessor + p];
			size_t last = flow->blocks[from].last;

			if (avoiding[from] && flow->insns[last].kind == CP_FLOW_BRANCH) {
				struct cp_error *error = report_branch(w, last, 0);

				if (error)
					return error;
			} else if (!avoiding[from] && !targets[from] && !seen[from]) {
				seen[from] = true;
				stack[depth++] = from;
			}
		}
	}
	return NULL;
}

static struct cp_error *find_guards(struct walk *w, size_t insn)
{
	const struct cp_flow *flow = w->flow;
	size_t target = flow->insns[insn].block, n = flow->block_count;
	bool *leads = calloc(n, sizeof(*leads)), *avoiding = calloc(n, sizeof(*avoiding)), *seen = calloc(n, sizeof(*seen));
	bool *targets = calloc(n, sizeof(*targets));	/* compilers copy the tail of a function, and the message with it */
	size_t *stack = calloc(n, sizeof(*stack));
	struct cp_error *error = &cp_error_no_memory;
	bool ends = false;

	if (!leads || !avoiding || !seen || !stack || !targets)
		goto out;
	targets[target] = leads[target] = true;
	for (size_t i = 0; i < w->sibling_count; i++) {
		size_t sibling = cp_flow_insn_at(flow, w->siblings[i]);

		if (sibling != CP_FLOW_NONE)
			targets[flow->insns[sibling].block] = leads[flow->insns[sibling].block] = true;
	}
	spread_back(flow, leads, stack, NULL);
	for (size_t b = 0; b < n; b++) {
		bool end = !flow->blocks[b].successor_count || flow->insns[flow->blocks[b].last].kind == CP_FLOW_END;

		ends |= end;
		avoiding[b] = !targets[b] && (!leads[b] || end);
	}
	spread_back(flow, avoiding, stack, targets);
	error = report_cmov(w, insn);
	if (!error)
		error = walk_back(w, target, avoiding, seen, targets, stack);
	if (error || *w->count || ends)
		goto out;
	/* In a function that never ends nothing avoids anything: take the branches right before the guarded block. */
	for (size_t p = 0; p < flow->blocks[target].predecessor_count && !error; p++) {
		size_t last = flow->blocks[flow->predecessors[flow->blocks[target].first_predecessor + p]].last;

		if (flow->insns[last].kind == CP_FLOW_BRANCH)
			error = report_branch(w, last, 0);
	}
out:
	free(leads);
	free(targets);
	free(avoiding);
	free(seen);
	free(stack);
	return error;
}

struct cp_error *cp_checks_find(struct cp_program *program, const struct cp_code *code, uint64_t address,
	const uint64_t *siblings, size_t sibling_count, struct cp_error *(*found)(void *context, const struct cp_check *check),
	void *context, size_t *count)
{
	struct cp_flow flow;
	struct walk w = { .program = program, .code = code, .flow = &flow, .found = found, .context = context,
		.guarded = address, .siblings = siblings, .sibling_count = sibling_count, .count = count };
	struct cp_error *error;
	size_t insn;

	*count = 0;
	error = cp_flow_build(program, code, address, &flow);
	insn = error ? CP_FLOW_NONE : cp_flow_insn_at(&flow, address);
	if (insn != CP_FLOW_NONE) {
		w.branch_found = calloc(flow.insn_count, sizeof(*w.branch_found));
		error = w.branch_found ? find_guards(&w, insn) : &cp_error_no_memory;
		free(w.branch_found);
	}
	cp_flow_deinit(&flow);
	return error;
}
