/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "graph/decisions.h"

/* Of a function that has more branches, these are told. */
#define MAX_DECISIONS 64

/* Blocks looked at for one site: what a function of Linux takes is a thousandth. */
#define LARGEST_WORK ((size_t)1 << 26)

struct finder {
	struct cp_graph *graph;
	const struct cp_states *states;
	uint32_t function;
	struct cp_flow flow;
	struct cp_origin trace;
	size_t entry, target;		/* blocks: the function's first, and that of the site */
	bool *leads;			/* by block: a way from it leads to the target */
	bool *on, *away;		/* by block: reached by one way of the branch that is looked at, by the other */
	bool *own;			/* by block: reached by one of its ways */
	size_t *stack, *order;		/* blocks; in the order in which they are come to */
	size_t order_count, work;
};

static struct cp_error *begin(struct finder *f, uint64_t address)
{
	struct cp_error *error = cp_flow_build(f->graph->program, &f->graph->code, address, &f->flow);
	size_t n = f->flow.block_count + 1;

	if (error)
		return error;
	f->trace = (struct cp_origin){ f->graph->program, &f->graph->code, &f->flow };
	f->leads = calloc(n, sizeof(*f->leads));
	f->on = calloc(n, sizeof(*f->on));
	f->away = calloc(n, sizeof(*f->away));
	f->own = calloc(n, sizeof(*f->own));
	f->stack = calloc(n, sizeof(*f->stack));
	f->order = calloc(n, sizeof(*f->order));
	return f->leads && f->on && f->away && f->own && f->stack && f->order ? NULL : &cp_error_no_memory;
}

static void finish(struct finder *f)
{
	cp_flow_deinit(&f->flow);
	free(f->leads);
	free(f->on);
	free(f->away);
	free(f->own);
	free(f->stack);
	free(f->order);
}

/* Mark what can be reached from the blocks on the stack, which are marked already, without passing the barrier. */
static void spread(struct finder *f, size_t depth, bool *mark, size_t barrier, bool back)
{
	while (depth) {
		const struct cp_flow_block *block = &f->flow.blocks[f->stack[--depth]];
		size_t count = back ? block->predecessor_count : block->successor_count;
		const size_t *next = back ? f->flow.predecessors + block->first_predecessor :
			f->flow.successors + block->first_successor;

		f->work += 1 + count;
		for (size_t i = 0; i < count; i++) {
			if (mark[next[i]] || next[i] == barrier)
				continue;
			mark[next[i]] = true;
			f->stack[depth++] = next[i];
		}
	}
}

static void spread_from(struct finder *f, size_t block, bool *mark, size_t barrier)
{
	if (block == barrier || mark[block])
		return;
	mark[block] = true;
	f->stack[0] = block;
	spread(f, 1, mark, barrier, false);
}

/* The order in which blocks are come to: by the number of branches passed, then by the address. */
static void find_order(struct finder *f, size_t entry)
{
	size_t next = 0;

	f->order[f->order_count++] = entry;
	f->on[entry] = true;
	while (next < f->order_count) {
		const struct cp_flow_block *block = &f->flow.blocks[f->order[next++]];

		for (size_t s = 0; s < block->successor_count; s++) {
			size_t to = f->flow.successors[block->first_successor + s];

			if (!f->on[to])
				f->order[f->order_count++] = to;
			f->on[to] = true;
		}
	}
	memset(f->on, 0, f->flow.block_count * sizeof(*f->on));
}

static bool is_branch(const struct finder *f, size_t block)
{
	const struct cp_flow_insn *last = &f->flow.insns[f->flow.blocks[block].last];

	return f->flow.blocks[block].successor_count > 1 && (last->kind == CP_FLOW_BRANCH || last->kind == CP_FLOW_JUMP);
}

/* Does the branch at the block's end lead to the target one way and not the other? Sets f->on and f->away. */
static bool decides(struct finder *f, size_t block)
{
	const struct cp_flow_block *b = &f->flow.blocks[block];
	size_t n = f->flow.block_count * sizeof(*f->on);
	bool on = false, away = false;

	memset(f->on, 0, n);
	memset(f->away, 0, n);
	for (size_t s = 0; s < b->successor_count; s++) {
		size_t to = f->flow.successors[b->first_successor + s];
		bool *mark = f->away;

		if (to == f->target) {
			on = true;
			spread_from(f, to, f->on, block);
			continue;
		}
		if (f->leads[to]) {	/* but not, maybe, before it comes to this branch again */
			memset(f->own, 0, n);
			spread_from(f, to, f->own, block);
			if (f->own[f->target])
				mark = f->on;
		}
		on |= mark == f->on;
		away |= mark == f->away;
		spread_from(f, to, mark, block);
	}
	return on && away;
}

/* The first sound direct call in the instruction, or CP_NO_FUNCTION. */
static uint32_t callee_of(const struct finder *f, const struct cp_flow_insn *insn)
{
	if ((insn->kind != CP_FLOW_CALL && insn->kind != CP_FLOW_JUMP && insn->kind != CP_FLOW_BRANCH &&
		insn->kind != CP_FLOW_END) || !insn->target)
		return CP_NO_FUNCTION;
	return cp_function_entered(&f->graph->functions, insn->target);
}

/* Is the function called from blocks of that mark alone, in the whole kernel? */
static bool called_only_there(struct finder *f, uint32_t callee, const bool *mark, const bool *other)
{
	struct cp_graph *graph = f->graph;

	for (uint32_t i = graph->first[callee]; i < graph->first[callee + 1]; i++) {
		uint32_t ref = graph->by_target[i];
		size_t insn;

		f->work++;
		if (!cp_ref_is_sound(graph, ref))
			continue;
		insn = cp_flow_insn_at(&f->flow, cp_ref_site(&graph->refs[ref]));
		if (graph->refs[ref].kind > CP_REF_JUMP || insn == CP_FLOW_NONE)
			return false;
		if (!mark[f->flow.insns[insn].block] || other[f->flow.insns[insn].block])
			return false;
	}
	return true;
}

#define MOST_CALLERS 64

/* A function that ran and that is called only in blocks which one way alone leads to. */
static uint32_t witness(struct finder *f, const bool *mark, const bool *other)
{
	for (size_t b = 0; b < f->flow.block_count; b++) {
		const struct cp_flow_block *block = &f->flow.blocks[b];

		for (size_t i = block->first; i <= block->last && mark[b] && !other[b]; i++) {
			uint32_t callee = callee_of(f, &f->flow.insns[i]);

			if (callee != CP_NO_FUNCTION && callee != f->function &&
				cp_may_have_called(f->states, f->function, callee) &&
				f->graph->first[callee + 1] - f->graph->first[callee] <= MOST_CALLERS &&
				called_only_there(f, callee, mark, other))
				return callee;
		}
	}
	return CP_NO_FUNCTION;
}

/*
 * A function that only returns or jumps on, such as Linux's return thunks and the trampolines of static calls: kernels patch
 * the code that calls it, so that it does not run where it is called.
 */
static bool is_trampoline(const struct finder *f, uint32_t function)
{
	uint64_t at = f->graph->functions.items[function].start;
	ZydisDecodedInstruction insn;
	struct cp_region region;

	if (!cp_region_at(&f->graph->code, at, &region) || !cp_decode(&f->graph->code, region.part, at, &insn, NULL))
		return true;
	if (insn.mnemonic == ZYDIS_MNEMONIC_ENDBR64 || insn.mnemonic == ZYDIS_MNEMONIC_ENDBR32)
		cp_decode(&f->graph->code, region.part, at + insn.length, &insn, NULL);
	return insn.meta.category == ZYDIS_CATEGORY_RET || insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
}

/* Is the instruction one that an alternative may take the place of? */
static bool is_patched(const struct finder *f, uint64_t address)
{
	const struct cp_alternatives *all = &f->graph->alternatives;

	for (size_t i = 0; i < all->count; i++) {
		if (address - all->items[i].original < all->items[i].original_size)
			return true;
	}
	return false;
}

/* Did the function not run, as far as this one can have called it? */
static bool was_not_called(const struct finder *f, uint32_t callee, uint64_t site)
{
	return callee != CP_NO_FUNCTION && f->states->items[callee].ran != CP_NOT_RECORDED &&
		!cp_may_have_called(f->states, f->function, callee) && !is_trampoline(f, callee) && !is_patched(f, site);
}

/* What is called straight behind the ways of that mark, and did not run though it was recorded: they were not taken. */
static uint32_t absent(struct finder *f, size_t block, const bool *mark, const bool *other)
{
	const struct cp_flow_block *b = &f->flow.blocks[block];
	size_t at = f->flow.block_count, steps = 0;

	for (size_t s = 0; s < b->successor_count; s++) {
		size_t to = f->flow.successors[b->first_successor + s];

		if (mark[to] && !other[to]) {
			if (at != f->flow.block_count)
				return CP_NO_FUNCTION;	/* a switch with several */
			at = to;
		}
	}
	for (; at < f->flow.block_count && steps <= f->flow.block_count; steps++) {
		const struct cp_flow_block *here = &f->flow.blocks[at];

		for (size_t i = here->first; i <= here->last; i++) {
			const struct cp_flow_insn *insn = &f->flow.insns[i];
			uint32_t callee = callee_of(f, insn);

			if (insn->kind == CP_FLOW_BRANCH)
				return CP_NO_FUNCTION;
			if (was_not_called(f, callee, insn->address))
				return callee;
			if (insn->kind == CP_FLOW_CALL)
				return CP_NO_FUNCTION;	/* it may not have come back */
		}
		if (here->successor_count != 1)
			break;
		at = f->flow.successors[here->first_successor];
	}
	return CP_NO_FUNCTION;
}

/* `tail`: the function that the branch itself leads to, or CP_NO_FUNCTION. */
static void settle(struct finder *f, size_t block, uint32_t tail, struct cp_decision *decision)
{
	decision->by = witness(f, f->on, f->away);
	if (decision->by != CP_NO_FUNCTION) {
		decision->went = CP_WENT_ON;
		return;
	}
	decision->by = tail == CP_NO_FUNCTION ? absent(f, block, f->on, f->away) : was_not_called(f, tail, f->flow.insns[f->flow.blocks[block].last].address) ?
		tail : CP_NO_FUNCTION;
	if (decision->by != CP_NO_FUNCTION)
		decision->went = CP_WENT_AWAY;
}

/* Is there a way to the target that does not come to the block? */
static bool has_detour(struct finder *f, size_t block)
{
	memset(f->own, 0, f->flow.block_count * sizeof(*f->own));
	spread_from(f, f->entry, f->own, block);
	return f->own[f->target];
}

/* Did the way that leads away end in what was not called, as a failed assertion does? Then it is no reason. */
static bool was_not_left(struct finder *f, size_t block)
{
	return f->states && absent(f, block, f->away, f->on) != CP_NO_FUNCTION;
}

static struct cp_error *add(struct finder *f, size_t block, bool taken, uint32_t tail, struct cp_decisions *ret)
{
	struct cp_decision *items;
	struct cp_decision decision = { .went = CP_WENT_UNKNOWN, .by = CP_NO_FUNCTION };
	struct cp_error *error;

	if (ret->count == MAX_DECISIONS) {
		ret->left_out++;
		return NULL;
	}
	error = cp_condition_read(f->graph->program, &f->trace, f->graph->functions.items[f->function].start,
		f->flow.blocks[block].last, taken, &decision.condition);
	if (error)
		return error;
	if (f->states) {
		settle(f, block, tail, &decision);
		decision.has_detour = has_detour(f, block);
	}
	items = cp_grow(ret->items, ret->count, sizeof(*items));
	if (!items)
		return &cp_error_no_memory;
	ret->items = items;
	items[ret->count++] = decision;
	return NULL;
}

/* Is the branch taken on the way to the target? */
static bool taken_on(const struct finder *f, size_t block)
{
	const struct cp_flow_insn *last = &f->flow.insns[f->flow.blocks[block].last];
	size_t to = cp_flow_insn_at(&f->flow, last->target);

	return to != CP_FLOW_NONE && f->on[f->flow.insns[to].block] && !f->away[f->flow.insns[to].block];
}

/* The test of a stack's canary leads away to what reports it. */
static bool is_stack_check(const struct finder *f, size_t block)
{
	const struct cp_flow_block *b = &f->flow.blocks[block];

	for (size_t s = 0; s < b->successor_count; s++) {
		size_t to = f->flow.successors[b->first_successor + s];

		if (cp_block_is_stack_check(f->graph->program, &f->flow, to))
			return true;
	}
	return false;
}

static struct cp_error *find(struct finder *f, uint64_t site, struct cp_decisions *ret)
{
	size_t insn = cp_flow_insn_at(&f->flow, site);
	size_t entry = cp_flow_insn_at(&f->flow, f->graph->functions.items[f->function].start);
	struct cp_error *error = NULL;

	ret->lost = insn == CP_FLOW_NONE || entry == CP_FLOW_NONE;
	if (ret->lost)
		return NULL;
	f->target = f->flow.insns[insn].block;
	f->entry = f->flow.insns[entry].block;
	f->leads[f->target] = true;
	f->stack[0] = f->target;
	spread(f, 1, f->leads, f->flow.block_count, true);
	find_order(f, f->entry);
	ret->lost = true;
	for (size_t i = 0; i < f->order_count; i++)
		ret->lost &= f->order[i] != f->target;
	for (size_t i = 0; i < f->order_count && !error && !ret->lost; i++) {
		size_t block = f->order[i];

		if (!f->leads[block] || !is_branch(f, block) || is_stack_check(f, block))
			continue;
		if (f->work > LARGEST_WORK) {
			ret->left_out++;
			continue;
		}
		if (decides(f, block) && !was_not_left(f, block))
			error = add(f, block, taken_on(f, block), CP_NO_FUNCTION, ret);
	}
	/* A conditional tail call is its own branch. */
	if (!error && !ret->lost && f->flow.insns[insn].kind == CP_FLOW_BRANCH) {
		memset(f->on, 0, f->flow.block_count * sizeof(*f->on));
		memset(f->away, 0, f->flow.block_count * sizeof(*f->away));
		error = add(f, f->target, true, callee_of(f, &f->flow.insns[insn]), ret);
	}
	return error;
}

struct cp_error *cp_decisions_find(struct cp_graph *graph, const struct cp_states *states, uint32_t function, uint64_t site,
	struct cp_decisions *ret)
{
	struct finder f = { .graph = graph, .states = states, .function = function };
	struct cp_error *error;

	*ret = (struct cp_decisions){ .items = NULL };
	error = begin(&f, site);
	if (!error)
		error = find(&f, site, ret);
	finish(&f);
	return error;
}

struct cp_error *cp_decisions_all(struct cp_graph *graph, uint32_t function, struct cp_decisions *ret)
{
	struct finder f = { .graph = graph, .function = function };
	uint64_t start = graph->functions.items[function].start;
	struct cp_error *error;
	size_t entry;

	*ret = (struct cp_decisions){ .items = NULL };
	error = begin(&f, start);
	entry = error ? CP_FLOW_NONE : cp_flow_insn_at(&f.flow, start);
	ret->lost = entry == CP_FLOW_NONE;
	if (!error && !ret->lost)
		find_order(&f, f.flow.insns[entry].block);
	for (size_t i = 0; i < f.order_count && !error; i++) {
		if (is_branch(&f, f.order[i]) && !is_stack_check(&f, f.order[i]))
			error = add(&f, f.order[i], true, CP_NO_FUNCTION, ret);
	}
	finish(&f);
	return error;
}

void cp_decisions_deinit(struct cp_decisions *decisions)
{
	free(decisions->items);
	*decisions = (struct cp_decisions){ .items = NULL };
}
