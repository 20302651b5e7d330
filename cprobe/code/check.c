/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A branch guards the instruction when one of its ways always leads there and the other may end elsewhere. So: find
 * the blocks from which the function can end without passing the guarded block ("avoiding"). Walk back from the
 * guarded block through blocks that cannot avoid it; the branches of those that can are the guards.
 */
#include <stdlib.h>
#include <string.h>

#include "code/check.h"
#include "code/flow.h"
#include "code/origin.h"
#include "code/uses.h"

/* How deep joins of joins are followed, and how many ways may meet in one. */
#define MAX_JOINS 4
#define MAX_WAYS 8

/* How many ways into a block are looked at in a function that never ends. */
#define MAX_ENDLESS 32

struct walk {
	struct cp_origin trace;
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

static struct cp_error *report_branch(struct walk *w, size_t branch, int joins);

static struct cp_error *report_check(struct walk *w, const struct cp_check *check)
{
	++*w->count;
	return w->found(w->context, check);
}

/* A constant came along this way to a join: the branches that chose the way are the guards. */
static struct cp_error *report_way(struct walk *w, size_t block, int joins)
{
	const struct cp_flow *flow = w->trace.flow;
	const struct cp_flow_block *from = &flow->blocks[block];
	struct cp_error *error = NULL;

	if (flow->insns[from->last].kind == CP_FLOW_BRANCH)
		return report_branch(w, from->last, joins + 1);
	for (size_t p = 0; p < from->predecessor_count && !error; p++) {
		size_t last = flow->blocks[flow->predecessors[from->first_predecessor + p]].last;

		if (flow->insns[last].kind == CP_FLOW_BRANCH)
			error = report_branch(w, last, joins + 1);
	}
	return error;
}

/*
 * Unoptimised `if (!(a && b))` under __builtin_expect: the outcome was put in a register or a stack slot, in blocks
 * that the tests of a and b lead to. Those tests are the guards, if every way to the join is understood (*known) and
 * one of them says more than the branch itself (*helps). Reports only when told to, so that a first pass can ask.
 */
static struct cp_error *each_way(struct walk *w, size_t join, const struct cp_origin_need *need,
	const struct cp_check *check, int joins, bool report, bool *known, bool *helps)
{
	const struct cp_flow *flow = w->trace.flow;
	const struct cp_flow_block *block = &flow->blocks[join];
	struct cp_error *error = NULL;

	*known = joins < MAX_JOINS && block->predecessor_count <= MAX_WAYS;
	for (size_t p = 0; p < block->predecessor_count && *known && !error; p++) {
		size_t from = flow->predecessors[block->first_predecessor + p], next;
		struct cp_origin_need rest = *need;
		struct cp_check check_here = *check;

		switch (cp_origin_block(&w->trace, from, &rest, &check_here, &next)) {
		case CP_ORIGIN_CONSTANT:
			*helps = true;
			error = report ? report_way(w, from, joins) : NULL;
			break;
		case CP_ORIGIN_VALUE:
			*helps |= check_here.variable_size != 0;
			error = report ? report_check(w, &check_here) : NULL;
			break;
		case CP_ORIGIN_JOIN:
			*helps |= check_here.variable_size != 0;
			if (!check_here.variable_size)
				error = each_way(w, next, &rest, &check_here, joins + 1, report, known, helps);
			else if (report)
				error = report_check(w, &check_here);
			break;
		default:
			*known = false;
		}
	}
	return error;
}

static struct cp_error *report_branch(struct walk *w, size_t branch, int joins)
{
	uint64_t address = w->trace.flow->insns[branch].address;
	struct cp_check check = { .address = address, .branch = address, .guards = w->guarded };
	struct cp_origin_need need;
	struct cp_error *error;
	size_t join;
	bool known, helps = false;

	if (w->branch_found[branch])
		return NULL;
	w->branch_found[branch] = true;
	need = cp_origin_branch(&w->trace, branch);
	if (cp_origin_back(&w->trace, branch, &need, &check, &join) == CP_ORIGIN_JOIN && !check.variable_size) {
		error = each_way(w, join, &need, &check, joins, false, &known, &helps);
		if (error)
			return error;
		if (known && helps)
			return each_way(w, join, &need, &check, joins, true, &known, &helps);
	}
	return report_check(w, &check);
}

/* `printf(x ? "a" : "b")` chooses by cmov: the test before it is the guard. */
static struct cp_error *report_cmov(struct walk *w, size_t at)
{
	const struct cp_flow_block *block = &w->trace.flow->blocks[w->trace.flow->insns[at].block];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisRegister reg;

	if (!cp_decode(w->trace.code, w->trace.flow->insns[at].part, w->trace.flow->insns[at].address, &insn, operands) ||
		operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return NULL;
	reg = cp_widest(w->trace.code, operands[0].reg.value);
	for (size_t i = at + 1; i <= block->last && w->trace.flow->insns[i].kind == CP_FLOW_NEXT; i++) {
		const struct cp_flow_insn *next = &w->trace.flow->insns[i];

		if (!cp_decode(w->trace.code, next->part, next->address, &insn, operands))
			return NULL;
		if (insn.meta.category != ZYDIS_CATEGORY_CMOV)
			continue;
		for (int o = 0; o < insn.operand_count_visible; o++) {
			if (operands[o].type == ZYDIS_OPERAND_TYPE_REGISTER && cp_widest(w->trace.code, operands[o].reg.value) == reg)
				return report_branch(w, i, 0);
		}
	}
	return NULL;
}

/* Does what the block ends with choose between ways: a conditional branch, or the jump of a switch? */
static bool chooses(const struct cp_flow *flow, size_t block)
{
	const struct cp_flow_insn *last = &flow->insns[flow->blocks[block].last];

	return last->kind == CP_FLOW_BRANCH || (last->kind == CP_FLOW_JUMP && flow->blocks[block].successor_count > 1);
}

/* The guards, given which blocks can avoid the guarded one. `stack` and `seen` have room for every block. */
static struct cp_error *walk_back(struct walk *w, size_t target, const bool *avoiding, bool *seen,
	const bool *targets, size_t *stack)
{
	const struct cp_flow *flow = w->trace.flow;
	size_t depth = 0;

	stack[depth++] = target;
	seen[target] = true;
	while (depth) {
		const struct cp_flow_block *block = &flow->blocks[stack[--depth]];

		for (size_t p = 0; p < block->predecessor_count; p++) {
			size_t from = flow->predecessors[block->first_predecessor + p];
			size_t last = flow->blocks[from].last;

			if (avoiding[from] && chooses(flow, from)) {
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

bool cp_block_is_stack_check(const struct cp_program *program, const struct cp_flow *flow, size_t block)
{
	const struct cp_flow_insn *last = &flow->insns[flow->blocks[block].last];
	const struct cp_symbol *symbol = last->target ? cp_symbols_at(&program->symbols, last->target, true) : NULL;

	return symbol && symbol->address == last->target && !strncmp(symbol->name, "__stack_chk_fail", 16);
}

/* Does a way from the block lead to the target that does not pass the barrier? `seen` and `stack`: room for all blocks. */
static bool reaches(const struct cp_flow *flow, size_t block, size_t target, size_t barrier, bool *seen, size_t *stack)
{
	size_t depth = 0;

	memset(seen, 0, flow->block_count * sizeof(*seen));
	seen[barrier] = true;
	if (!seen[block])
		stack[depth++] = block;
	seen[block] = true;
	while (depth && !seen[target]) {
		const struct cp_flow_block *from = &flow->blocks[stack[--depth]];

		for (size_t s = 0; s < from->successor_count; s++) {
			size_t to = flow->successors[from->first_successor + s];

			if (!seen[to])
				stack[depth++] = to;
			seen[to] = true;
		}
	}
	return target != barrier && seen[target];
}

/*
 * In a function that never ends nothing avoids anything: take the branches right before the guarded block, but not those
 * both of whose ways lead there before they come to the branch again.
 */
static struct cp_error *endless_guards(struct walk *w, size_t target, bool *seen, size_t *stack)
{
	const struct cp_flow *flow = w->trace.flow;
	const struct cp_flow_block *block = &flow->blocks[target];
	struct cp_error *error = NULL;

	for (size_t p = 0; p < block->predecessor_count && p < MAX_ENDLESS && !error; p++) {
		size_t from = flow->predecessors[block->first_predecessor + p];
		const struct cp_flow_block *way = &flow->blocks[from];
		bool decides = chooses(flow, from) && from != target;

		for (size_t s = 0; s < way->successor_count && decides; s++) {
			size_t to = flow->successors[way->first_successor + s];

			decides = to == target || !reaches(flow, to, target, from, seen, stack);
		}
		if (decides)
			error = report_branch(w, way->last, 0);
	}
	return error;
}

/* By block; each has room for all of them. */
struct marks {
	bool *uses;			/* the message is printed here */
	bool *targets;			/* it or a sibling: compilers copy the tail of a function, and the message with it */
	bool *avoiding;			/* the function can end without it from here on */
	bool *seen;			/* by the walk back */
	size_t *stack;
};

static struct cp_error *mark_blocks(struct walk *w, struct marks *m, bool *ends)
{
	const struct cp_flow *flow = w->trace.flow;
	bool *leads = calloc(flow->block_count, sizeof(*leads));
	struct cp_error *error = leads ? cp_uses_find(&w->trace, &w->guarded, 1, m->uses) : &cp_error_no_memory;

	if (!error)
		error = cp_uses_find(&w->trace, w->siblings, w->sibling_count, m->targets);
	if (error) {
		free(leads);
		return error;
	}
	for (size_t b = 0; b < flow->block_count; b++)
		leads[b] = m->targets[b] |= m->uses[b];
	spread_back(flow, leads, m->stack, NULL);
	for (size_t b = 0; b < flow->block_count; b++) {
		bool end = !flow->blocks[b].successor_count || flow->insns[flow->blocks[b].last].kind == CP_FLOW_END;

		*ends |= end;
		m->avoiding[b] = !m->targets[b] && (!leads[b] || end) && !cp_block_is_stack_check(w->trace.program, flow, b);
	}
	spread_back(flow, m->avoiding, m->stack, m->targets);
	free(leads);
	return NULL;
}

static struct cp_error *find_guards(struct walk *w, size_t insn, struct marks *m)
{
	const struct cp_flow *flow = w->trace.flow;
	bool ends = false;
	struct cp_error *error = mark_blocks(w, m, &ends);

	if (!error)
		error = report_cmov(w, insn);
	for (size_t b = 0; b < flow->block_count && !error; b++) {
		if (m->uses[b])
			error = walk_back(w, b, m->avoiding, m->seen, m->targets, m->stack);
	}
	for (size_t b = 0; b < flow->block_count && !error && !*w->count && !ends; b++) {
		if (m->uses[b])
			error = endless_guards(w, b, m->seen, m->stack);
	}
	return error;
}

/* Some seconds of it. No kernel comes near: all of Linux's messages that say "failed" take a twentieth. */
#define LARGEST_WORK ((uint64_t)1 << 29)

/* A message that is printed from so many places is no assertion's. */
#define MOST_SIBLINGS 4096

/* The function around the address, again if it was the last one. Where its bounds are guessed the address is the middle. */
static struct cp_error *build_flow(struct cp_guards *guards, struct cp_program *program, const struct cp_code *code,
	uint64_t address)
{
	struct cp_flow *flow = &guards->flow;
	struct cp_error *error;

	if (guards->has_flow && !flow->guessed && cp_flow_insn_at(flow, address) != CP_FLOW_NONE)
		return NULL;
	cp_flow_deinit(flow);
	guards->has_flow = false;
	error = cp_flow_build(program, code, address, flow);
	guards->has_flow = !error;
	guards->work += flow->work;
	return error;
}

static struct cp_error *guards_of(struct walk *w, size_t insn)
{
	const struct cp_flow *flow = w->trace.flow;
	struct marks m = { calloc(flow->block_count, sizeof(*m.uses)), calloc(flow->block_count, sizeof(*m.targets)),
		calloc(flow->block_count, sizeof(*m.avoiding)), calloc(flow->block_count, sizeof(*m.seen)),
		calloc(flow->block_count, sizeof(*m.stack)) };
	struct cp_error *error = &cp_error_no_memory;

	w->branch_found = calloc(flow->insn_count, sizeof(*w->branch_found));
	if (w->branch_found && m.uses && m.targets && m.avoiding && m.seen && m.stack)
		error = find_guards(w, insn, &m);
	free(w->branch_found);
	free(m.uses);
	free(m.targets);
	free(m.avoiding);
	free(m.seen);
	free(m.stack);
	return error;
}

struct cp_error *cp_checks_find(struct cp_guards *guards, struct cp_program *program, const struct cp_code *code,
	uint64_t address, const uint64_t *siblings, size_t sibling_count,
	struct cp_error *(*found)(void *context, const struct cp_check *check), void *context, size_t *count)
{
	struct walk w = { .trace = { program, code, &guards->flow }, .found = found, .context = context,
		.guarded = address, .siblings = siblings, .sibling_count = sibling_count, .count = count };
	const struct cp_flow *flow = &guards->flow;
	struct cp_error *error;
	size_t insn;

	*count = 0;
	if (guards->work >= LARGEST_WORK || sibling_count > MOST_SIBLINGS) {
		guards->skipped++;
		return NULL;
	}
	error = build_flow(guards, program, code, address);
	insn = error ? CP_FLOW_NONE : cp_flow_insn_at(flow, address);
	if (insn == CP_FLOW_NONE)
		return error;
	/* The instructions of its block, all blocks some times over, and where the siblings are used. */
	guards->work += flow->blocks[flow->insns[insn].block].last - flow->blocks[flow->insns[insn].block].first +
		8 * flow->block_count + flow->insn_count / 8 + 64 * sibling_count;
	return guards_of(&w, insn);
}

void cp_guards_deinit(struct cp_guards *guards)
{
	cp_flow_deinit(&guards->flow);
	memset(guards, 0, sizeof(*guards));
}
