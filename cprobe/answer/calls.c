/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "answer/calls.h"
#include "answer/calltree.h"
#include "base/arena.h"

/* Time passes in the function entered last. */
static struct cp_error *pass(struct cp_calls *calls, struct cp_vcpu_stack *s, unsigned int vcpu, uint64_t t,
	uint32_t next)
{
	uint64_t ns = t - s->t;
	struct cp_call_gap gap = { s->t, ns, vcpu, CP_NO_CALLER, next };
	struct cp_chain *chain = cp_stack_top(s);
	const struct cp_frame *top;

	s->t = t;
	if (!chain)
		return NULL;
	top = cp_chain_top(chain);
	calls->callers.items[top->function].self += ns;
	chain->clock += ns;
	if (calls->options->depth)
		calls->tree.nodes[top->node].self += ns;
	if (ns <= calls->options->gap)
		return NULL;
	gap.in = top->function;
	cp_calls_add_gap(calls, &gap);
	return calls->options->depth ? cp_tree_add_gap(calls, top->node, &gap) : NULL;
}

/* Enter a function, from the one on top, or as the first of a new chain. */
static struct cp_error *push(struct cp_calls *calls, struct cp_vcpu_stack *s, uint32_t function, enum cp_node_kind kind,
	bool begins)
{
	struct cp_error *error = begins || !s->chain_count ? cp_stack_begin(s, function) : NULL;
	const struct cp_chain *chain = cp_stack_top(s);
	uint32_t node = 0;

	if (!error && calls->options->depth)
		error = cp_tree_enter(calls, chain->depth ? cp_chain_top(chain)->node : s->root, chain->depth, function, kind,
			s->t, &node);
	return error ? error : cp_stack_push(s, function, node);
}

/* A place on the stack: what called is the chain's frame depth - 1, and with depth 0 nothing did. */
struct place {
	uint32_t chain, depth;
	bool is_known;
};

/* Look at one frame: may it have called? *again: where the function was called from before. */
static struct cp_error *look(struct cp_calls *calls, const struct cp_vcpu_stack *s, struct place at, uint64_t address,
	struct place *direct, struct place *again, struct place *pointer)
{
	uint32_t function = s->chains[at.chain]->frames[at.depth - 1].function;
	const struct cp_called *called = &calls->callers.items[function];
	enum cp_way way;
	struct cp_error *error;

	if (called->around != CP_NO_CALLER)
		return NULL;
	error = cp_calls_to(&calls->callers, function, address, &way);
	if (error)
		return error;
	at.is_known = true;
	if (way == CP_WAY_DIRECT && !direct->is_known)
		*direct = at;
	if (way == CP_WAY_POINTER && !pointer->is_known)
		*pointer = at;
	if (calls->callers.items[function].address == address && !again->is_known)
		*again = (struct place){ at.chain, at.depth - 1, true };
	return NULL;
}

/*
 * Return to whoever may have called, by the code: the latest function that calls that one; else what called it before,
 * which is likelier than that it calls itself by a pointer; else the latest that calls by pointers. False for *found:
 * none does.
 */
static struct cp_error *return_by_code(struct cp_calls *calls, struct cp_vcpu_stack *s, uint64_t address, bool *found)
{
	struct place direct = { 0, 0, false }, again = direct, pointer = direct, *best;

	for (uint32_t i = s->chain_count; i-- && !direct.is_known; ) {
		for (uint32_t depth = s->chains[i]->depth; depth && !direct.is_known; depth--) {
			struct place at = { i, depth, true };
			struct cp_error *error = look(calls, s, at, address, &direct, &again, &pointer);

			if (error)
				return error;
		}
	}
	best = direct.is_known ? &direct : again.is_known ? &again : &pointer;
	*found = best->is_known && best->depth;
	if (best->is_known)	/* the first of a chain: that begins anew */
		cp_stack_return_to(s, best->chain, best->depth ? best->depth : 1);
	return NULL;
}

static struct cp_error *enter(struct cp_calls *calls, struct cp_vcpu_stack *s, const struct cp_event *event,
	uint32_t function)
{
	bool found = false;
	uint32_t caller = calls->callers.items[function].around;
	struct cp_error *error = caller == CP_NO_CALLER ? cp_caller_of(&calls->callers, event, &caller) : NULL;

	if (error)
		return error;
	if (caller != CP_NO_CALLER) {
		found = true;
		if (!cp_stack_return(s, caller))
			error = push(calls, s, caller, CP_NODE_CALLER, true);
	} else {
		error = return_by_code(calls, s, event->address, &found);
	}
	if (!error)
		error = push(calls, s, function, CP_NODE_FUNCTION, !found);
	return error;
}

static struct cp_error *stack_of(struct cp_calls *calls, const struct cp_event *event, struct cp_vcpu_stack **ret)
{
	size_t vcpu = event->vcpu < 0 ? 0 : (size_t)event->vcpu;
	struct cp_error *error = NULL;
	struct cp_vcpu_stack *stack;

	if (vcpu >= calls->stack_limit) {
		size_t limit = vcpu < 8 ? 8 : 2 * vcpu;
		struct cp_vcpu_stack **stacks = realloc(calls->stacks, limit * sizeof(*stacks));

		if (!stacks)
			return &cp_error_no_memory;
		memset(stacks + calls->stack_limit, 0, (limit - calls->stack_limit) * sizeof(*stacks));
		calls->stacks = stacks;
		calls->stack_limit = limit;
	}
	stack = calls->stacks[vcpu];
	if (!stack) {
		stack = calloc(1, sizeof(*stack));
		if (!stack)
			return &cp_error_no_memory;
		calls->stacks[vcpu] = stack;
		stack->callers = &calls->callers;
		stack->t = event->t;
		if (calls->options->depth)
			error = cp_tree_add_vcpu(calls, (uint32_t)vcpu, event->t, &stack->root);
	}
	*ret = stack;
	return error;
}

static struct cp_error *take_hit(struct cp_calls *calls, const struct cp_event *event)
{
	unsigned int vcpu = event->vcpu < 0 ? 0 : (unsigned int)event->vcpu;
	struct cp_vcpu_stack *stack;
	struct cp_called *called;
	uint32_t function;
	struct cp_error *error = stack_of(calls, event, &stack);

	if (!error)
		error = cp_called_at(&calls->callers, event->address, event->function, &function);
	if (!error)
		error = pass(calls, stack, vcpu, event->t, function);
	if (error)
		return error;
	called = &calls->callers.items[function];
	if (!called->entries++)
		called->first = event->t;
	if (!calls->events++)
		calls->first = event->t;
	calls->last_vcpu = (int)vcpu;
	return enter(calls, stack, event, function);
}

static struct cp_error *take(void *context, const struct cp_event *event)
{
	struct cp_calls *calls = context;
	const struct cp_when *when = calls->options->when;
	const struct cp_vcpu_stack *stack;
	int vcpu = event->vcpu >= 0 ? event->vcpu : calls->last_vcpu;

	if (event->t < when->from || event->t > when->to)
		return NULL;
	if (event->t > calls->last)
		calls->last = event->t;
	if (event->is_entry)
		return take_hit(calls, event);
	if (!calls->options->depth || vcpu < 0 || (size_t)vcpu >= calls->stack_limit || !calls->stacks[vcpu])
		return NULL;
	stack = calls->stacks[vcpu];
	return cp_tree_add_text(calls, stack->chain_count ? cp_chain_top(cp_stack_top(stack))->node : stack->root, event);
}

/* The time after the last event, and what has not returned. */
static struct cp_error *finish(struct cp_calls *calls, uint64_t end)
{
	struct cp_error *error = NULL;

	if (end > calls->options->when->to)
		end = calls->options->when->to;
	if (end > calls->last)
		calls->last = end;
	for (size_t i = 0; i < calls->stack_limit && !error; i++) {
		struct cp_vcpu_stack *s = calls->stacks[i];

		if (!s)
			continue;
		if (end > s->t)
			error = pass(calls, s, (unsigned int)i, end, CP_NO_CALLER);
		if (!error)
			cp_stack_deinit(s);
	}
	return error;
}

static int by_time(const void *a, const void *b)
{
	const struct cp_call_gap *x = a, *y = b;

	if (x->t != y->t)
		return x->t < y->t ? -1 : 1;
	return x->vcpu < y->vcpu ? -1 : x->vcpu > y->vcpu;
}

static struct cp_error *make(struct cp_program *program, struct cp_trace *trace, struct cp_calls *calls)
{
	struct cp_error *error = cp_callers_init(program, trace, &calls->callers);

	if (!error)
		error = cp_trace_walk(trace, take, calls);
	if (!error && !calls->events)
		return cp_error_create(CP_ERROR_NOT_FOUND, "the trace has no entries of functions in that time: give a trace of "
			"events, not of counts alone, and a longer time");
	if (!error)
		error = finish(calls, cp_trace_end_time(trace));
	qsort(calls->gaps, calls->gap_count, sizeof(*calls->gaps), by_time);
	if (!error && calls->options->depth)
		cp_tree_add_up(calls);
	return error;
}

struct cp_error *cp_calls_make(struct cp_program *program, struct cp_trace *trace, const struct cp_calls_options *options,
	struct cp_calls *ret)
{
	memset(ret, 0, sizeof(*ret));
	cp_arena_init(&ret->arena);
	ret->options = options;
	ret->last_vcpu = -1;
	cp_program_begin(program);
	return cp_program_end(program, make(program, trace, ret));
}

void cp_calls_deinit(struct cp_calls *calls)
{
	for (size_t i = 0; i < calls->stack_limit; i++) {
		if (calls->stacks[i])
			cp_stack_deinit(calls->stacks[i]);
		free(calls->stacks[i]);
	}
	free(calls->stacks);
	free(calls->tree.nodes);
	free(calls->tree.slots);
	free(calls->tree.texts);
	cp_callers_deinit(&calls->callers);
	cp_arena_deinit(&calls->arena);
}

void cp_calls_add_gap(struct cp_calls *calls, const struct cp_call_gap *gap)
{
	size_t shortest = 0;

	calls->all_gaps++;
	calls->gap_time += gap->length;
	if (calls->gap_count < CP_MAX_GAPS) {
		calls->gaps[calls->gap_count++] = *gap;
		return;
	}
	for (size_t i = 1; i < CP_MAX_GAPS; i++) {
		if (calls->gaps[i].length < calls->gaps[shortest].length)
			shortest = i;
	}
	if (gap->length > calls->gaps[shortest].length)
		calls->gaps[shortest] = *gap;
}

void cp_print_plain(FILE *out, const char *text)
{
	for (; *text; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

const char *cp_call_name(const struct cp_calls *calls, uint32_t function)
{
	return function == CP_NO_CALLER ? "?" : calls->callers.items[function].name;
}
