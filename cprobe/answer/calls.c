/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "answer/calls.h"
#include "answer/calltree.h"
#include "base/arena.h"

/* A deeper stack is none: what was switched away from, and never came back, is dropped from its bottom. */
#define MAX_FRAMES 512

/* Functions that call each other, from one that was entered by itself on. */
struct chain {
	uint32_t start;			/* of the frames */
	uint64_t clock;			/* ns that passed in it */
};

struct frame {
	uint32_t function, node;
	bool outermost;			/* the function's first one of its chain */
	uint64_t entered;		/* by the chain's clock */
};

struct cp_vcpu_stack {
	struct frame frames[MAX_FRAMES];
	struct chain chains[MAX_FRAMES];
	uint32_t depth, chain_count, root;	/* root: the vCPU's node */
	uint64_t t;			/* of the last event */
};

static struct chain *top_chain(struct cp_vcpu_stack *s)
{
	return &s->chains[s->chain_count - 1];
}

/* Time passes in the function entered last. */
static struct cp_error *pass(struct cp_calls *calls, struct cp_vcpu_stack *s, unsigned int vcpu, uint64_t t, uint32_t next)
{
	uint64_t ns = t - s->t;
	const struct frame *top = s->depth ? &s->frames[s->depth - 1] : NULL;
	struct cp_error *error = NULL;

	if (top) {
		calls->callers.items[top->function].self += ns;
		top_chain(s)->clock += ns;
		if (calls->options->depth)
			calls->tree.nodes[top->node].self += ns;
	}
	if (top && ns > calls->options->gap) {
		struct cp_call_gap gap = { s->t, ns, vcpu, top->function, next };

		cp_calls_add_gap(calls, &gap);
		if (calls->options->depth)
			error = cp_tree_add_gap(calls, top->node, &gap);
	}
	s->t = t;
	return error;
}

static void pop(struct cp_calls *calls, struct cp_vcpu_stack *s)
{
	const struct frame *frame = &s->frames[--s->depth];
	struct cp_called *called = &calls->callers.items[frame->function];

	called->active--;
	if (frame->outermost)
		called->inclusive += top_chain(s)->clock - frame->entered;
	if (top_chain(s)->start == s->depth)
		s->chain_count--;
}

/* Of the lowest chain some frames were dropped: count from now on what only they counted. */
static void begin_anew(struct cp_vcpu_stack *s)
{
	uint32_t end = s->chain_count > 1 ? s->chains[1].start : s->depth;

	for (uint32_t i = 0; i < end; i++) {
		uint32_t before = 0;

		while (before < i && s->frames[before].function != s->frames[i].function)
			before++;
		if (before == i && !s->frames[i].outermost) {
			s->frames[i].outermost = true;
			s->frames[i].entered = s->chains[0].clock;
		}
	}
}

/* Forget the lower half, whose functions will not be returned to. */
static void drop_bottom(struct cp_calls *calls, struct cp_vcpu_stack *s)
{
	uint32_t cut = s->depth / 2, chain = 0;

	while (chain + 1 < s->chain_count && s->chains[chain + 1].start <= cut)
		chain++;
	for (uint32_t i = 0, c = 0; i < cut; i++) {
		struct frame *frame = &s->frames[i];

		while (c + 1 < s->chain_count && s->chains[c + 1].start <= i)
			c++;
		calls->callers.items[frame->function].active--;
		if (frame->outermost)
			calls->callers.items[frame->function].inclusive += s->chains[c].clock - frame->entered;
	}
	memmove(s->frames, s->frames + cut, (s->depth - cut) * sizeof(*s->frames));
	s->depth -= cut;
	memmove(s->chains, s->chains + chain, (s->chain_count - chain) * sizeof(*s->chains));
	s->chain_count -= chain;
	s->chains[0].start = 0;
	for (uint32_t i = 1; i < s->chain_count; i++)
		s->chains[i].start -= cut;
	begin_anew(s);
}

static bool is_outermost(const struct cp_calls *calls, struct cp_vcpu_stack *s, uint32_t function)
{
	if (!calls->callers.items[function].active)
		return true;
	for (uint32_t i = top_chain(s)->start; i < s->depth; i++) {
		if (s->frames[i].function == function)
			return false;
	}
	return true;
}

/* Enter a function, from the one on top, or as the first of a new chain. */
static struct cp_error *push(struct cp_calls *calls, struct cp_vcpu_stack *s, uint32_t function, enum cp_node_kind kind,
	bool begins)
{
	uint32_t parent, node = 0;
	struct cp_error *error = NULL;

	if (s->depth == MAX_FRAMES)
		drop_bottom(calls, s);
	begins |= !s->depth;
	if (begins)
		s->chains[s->chain_count++] = (struct chain){ s->depth, 0 };
	parent = begins ? s->root : s->frames[s->depth - 1].node;
	if (calls->options->depth)
		error = cp_tree_enter(calls, parent, s->depth - top_chain(s)->start, function, kind, s->t, &node);
	if (error) {
		s->chain_count -= begins;
		return error;
	}
	s->frames[s->depth] = (struct frame){ function, node, is_outermost(calls, s, function), top_chain(s)->clock };
	s->depth++;
	calls->callers.items[function].active++;
	return NULL;
}

/* Return to the nearest frame of the function. False: there is none. */
static bool return_to(struct cp_calls *calls, struct cp_vcpu_stack *s, uint32_t function)
{
	uint64_t address = calls->callers.items[function].address;
	uint32_t at = s->depth;

	/* By the address: of functions that share it, each has a name of its own. */
	while (at && (calls->callers.items[s->frames[at - 1].function].address != address ||
		calls->callers.items[s->frames[at - 1].function].around != CP_NO_CALLER))
		at--;
	while (at && s->depth > at)
		pop(calls, s);
	return at != 0;
}

/* Return to whoever may have called: the nearest that calls it by its code, else the nearest that calls by pointers. */
static struct cp_error *return_by_code(struct cp_calls *calls, struct cp_vcpu_stack *s, uint64_t address, bool *found)
{
	uint32_t by_pointer = 0, at;

	for (at = s->depth; at; at--) {
		const struct cp_called *called = &calls->callers.items[s->frames[at - 1].function];
		bool direct, indirect;
		struct cp_error *error;

		if (called->around != CP_NO_CALLER)
			continue;
		error = cp_calls_to(&calls->callers, s->frames[at - 1].function, address, &direct, &indirect);

		if (error)
			return error;
		if (direct)
			break;
		if (indirect && !by_pointer && called->address != address)
			by_pointer = at;
	}
	if (!at)
		at = by_pointer;
	*found = at != 0;
	while (at && s->depth > at)
		pop(calls, s);
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
		if (!return_to(calls, s, caller))
			error = push(calls, s, caller, CP_NODE_CALLER, true);
	} else if (!calls->callers.trace_knows) {
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
	return cp_tree_add_text(calls, stack->depth ? stack->frames[stack->depth - 1].node : stack->root, event);
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
		while (s->depth)
			pop(calls, s);
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
		return cp_error_create(CP_ERROR_NOT_FOUND, "the trace has no entries of functions in that time: give a trace of events, "
			"not of counts alone, and a longer time");
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
	for (size_t i = 0; i < calls->stack_limit; i++)
		free(calls->stacks[i]);
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
