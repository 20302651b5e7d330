/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "answer/callstack.h"

struct cp_chain *cp_stack_top(const struct cp_vcpu_stack *s)
{
	return s->chain_count ? s->chains[s->chain_count - 1] : NULL;
}

struct cp_frame *cp_chain_top(const struct cp_chain *chain)
{
	return &chain->frames[chain->depth - 1];
}

/* By the address: functions that share it have each a name of its own. */
static uint32_t canonical(const struct cp_vcpu_stack *s, uint32_t function)
{
	return s->callers->items[function].canonical;
}

/* A frame has ended. */
static void leave(struct cp_vcpu_stack *s, const struct cp_chain *chain, const struct cp_frame *frame)
{
	struct cp_called *called = &s->callers->items[frame->function];

	s->callers->items[called->canonical].active--;
	if (frame->outermost)
		called->inclusive += chain->clock - frame->entered;
}

static void cut(struct cp_vcpu_stack *s, struct cp_chain *chain, uint32_t depth)
{
	while (chain->depth > depth)
		leave(s, chain, &chain->frames[--chain->depth]);
}

static void end(struct cp_vcpu_stack *s, struct cp_chain *chain)
{
	cut(s, chain, 0);
	free(chain->frames);
	free(chain);
}

/* Take one out of a list. */
static struct cp_chain *take(struct cp_chain **list, uint32_t *count, uint32_t at)
{
	struct cp_chain *ret = list[at];

	memmove(list + at, list + at + 1, (*count - at - 1) * sizeof(struct cp_chain *));
	(*count)--;
	return ret;
}

static void put(struct cp_vcpu_stack *s, struct cp_chain **list, uint32_t *count, struct cp_chain *chain)
{
	if (*count == CP_MAX_CHAINS)
		end(s, take(list, count, 0));
	list[(*count)++] = chain;
}

struct cp_error *cp_stack_begin(struct cp_vcpu_stack *s, uint32_t function)
{
	struct cp_chain *chain = calloc(1, sizeof(*chain));

	if (!chain)
		return &cp_error_no_memory;
	chain->room = 16;
	chain->frames = malloc(chain->room * sizeof(*chain->frames));
	if (!chain->frames) {
		free(chain);
		return &cp_error_no_memory;
	}
	while (s->chain_count && cp_stack_top(s)->frames[0].function == function)
		end(s, s->chains[--s->chain_count]);
	for (uint32_t i = s->aside_count; i--; ) {
		if (s->aside[i]->frames[0].function == function)
			end(s, take(s->aside, &s->aside_count, i));
	}
	put(s, s->chains, &s->chain_count, chain);
	return NULL;
}

/* Some frames were dropped: those left count from now on what only these counted. */
static void begin_anew(struct cp_chain *chain)
{
	for (uint32_t i = 0; i < chain->depth; i++) {
		uint32_t before = 0;

		while (before < i && chain->frames[before].function != chain->frames[i].function)
			before++;
		if (before == i && !chain->frames[i].outermost) {
			chain->frames[i].outermost = true;
			chain->frames[i].entered = chain->clock;
		}
	}
}

static void drop_half(struct cp_vcpu_stack *s, struct cp_chain *chain)
{
	uint32_t half = chain->depth / 2;

	for (uint32_t i = 0; i < half; i++)
		leave(s, chain, &chain->frames[i]);
	chain->depth -= half;
	memmove(chain->frames, chain->frames + half, chain->depth * sizeof(*chain->frames));
	begin_anew(chain);
}

static struct cp_error *make_room(struct cp_vcpu_stack *s, struct cp_chain *chain)
{
	struct cp_frame *grown;

	if (chain->depth == CP_MAX_FRAMES)
		drop_half(s, chain);
	if (chain->depth < chain->room)
		return NULL;
	grown = realloc(chain->frames, 2 * chain->room * sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	chain->frames = grown;
	chain->room *= 2;
	return NULL;
}

struct cp_error *cp_stack_push(struct cp_vcpu_stack *s, uint32_t function, uint32_t node)
{
	struct cp_chain *chain = cp_stack_top(s);
	struct cp_called *called = &s->callers->items[canonical(s, function)];
	struct cp_error *error = make_room(s, chain);
	bool outermost = true;

	if (error)
		return error;
	for (uint32_t i = 0; called->active && i < chain->depth && outermost; i++)
		outermost = chain->frames[i].function != function;
	chain->frames[chain->depth++] = (struct cp_frame){ function, node, outermost, chain->clock };
	called->active++;
	return NULL;
}

/* 1 + the index of the latest frame of the function, which is a canonical one; 0: none. */
static uint32_t find(const struct cp_vcpu_stack *s, const struct cp_chain *chain, uint32_t function)
{
	uint32_t at = chain->depth;

	while (at && canonical(s, chain->frames[at - 1].function) != function)
		at--;
	return at;
}

void cp_stack_return_to(struct cp_vcpu_stack *s, uint32_t chain, uint32_t depth)
{
	while (s->chain_count > chain + 1)
		put(s, s->aside, &s->aside_count, s->chains[--s->chain_count]);
	cut(s, s->chains[chain], depth);
}

bool cp_stack_return(struct cp_vcpu_stack *s, uint32_t function)
{
	function = canonical(s, function);
	if (!s->callers->items[function].active)
		return false;
	for (uint32_t i = s->chain_count; i--; ) {
		uint32_t depth = find(s, s->chains[i], function);

		if (depth) {
			cp_stack_return_to(s, i, depth);
			return true;
		}
	}
	for (uint32_t i = s->aside_count; i--; ) {
		uint32_t depth = find(s, s->aside[i], function);

		if (depth) {
			put(s, s->chains, &s->chain_count, take(s->aside, &s->aside_count, i));
			cut(s, cp_stack_top(s), depth);
			return true;
		}
	}
	return false;
}

void cp_stack_deinit(struct cp_vcpu_stack *s)
{
	while (s->chain_count)
		end(s, s->chains[--s->chain_count]);
	while (s->aside_count)
		end(s, s->aside[--s->aside_count]);
}
