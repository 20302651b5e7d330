/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/callers.h"
#include "answer/functions.h"
#include "base/arena.h"
#include "code/flow.h"

struct cp_caller_site {
	uint64_t site;			/* 0: free */
	uint32_t function;
};

static size_t hash(uint64_t value)
{
	value *= 0x9e3779b97f4a7c15u;
	return (size_t)(value ^ value >> 29);
}

struct cp_error *cp_callers_init(struct cp_program *program, struct cp_trace *trace, struct cp_callers *ret)
{
	memset(ret, 0, sizeof(*ret));
	cp_arena_init(&ret->arena);
	ret->program = program;
	ret->trace_knows = cp_trace_has_callers(trace);
	return cp_program_need_symbols(program);
}

void cp_callers_deinit(struct cp_callers *callers)
{
	for (size_t i = 0; i < callers->count; i++)
		free(callers->items[i].targets);
	if (callers->has_code)
		cp_code_deinit(&callers->code);
	free(callers->items);
	free(callers->slots);
	free(callers->sites);
	cp_arena_deinit(&callers->arena);
}

static bool grow_slots(struct cp_callers *c)
{
	size_t size = c->slot_count ? 2 * c->slot_count : 1024;
	uint32_t *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < c->count; i++) {
		size_t at = hash(c->items[i].address);

		while (slots[at & (size - 1)])
			at++;
		slots[at & (size - 1)] = (uint32_t)i + 1;
	}
	free(c->slots);
	c->slots = slots;
	c->slot_count = size;
	return true;
}

/* The best of the program's names for the address, or "?". */
static const char *program_name(const struct cp_callers *c, uint64_t address)
{
	const struct cp_symbol *symbol = cp_symbols_at(&c->program->symbols, address, true);

	return symbol ? symbol->name : "?";
}

/* A part that the compiler split off from a function belongs to that, which is named by what stands before ".cold". */
static struct cp_error *whole_function(struct cp_callers *c, const struct cp_symbol *symbol, uint64_t *ret)
{
	const char *end = strstr(symbol->name, ".cold");
	struct cp_error *error;
	const struct cp_symbol **found;
	size_t count;
	char *base;

	*ret = symbol->address;
	if (!end || end == symbol->name)
		return NULL;
	base = cp_arena_strdup(&c->arena, symbol->name);
	if (!base)
		return &cp_error_no_memory;
	base[end - symbol->name] = 0;
	error = cp_symbols_by_name(&c->program->symbols, base, true, &found, &count);
	if (!error && count == 1)	/* of twins it is not known which */
		*ret = found[0]->address;
	return error;
}

/* The function that an address lies in; CP_NO_CALLER: none. */
static struct cp_error *function_around(struct cp_callers *c, uint64_t site, uint32_t *ret)
{
	const struct cp_symbol *symbol = cp_symbols_at(&c->program->symbols, site, true);
	struct cp_error *error;
	uint64_t address;

	*ret = CP_NO_CALLER;
	if (!symbol)
		return NULL;
	error = whole_function(c, symbol, &address);
	return error ? error : cp_called_at(c, address, NULL, ret);
}

/* One of them may be a clone's name: it is that of the function up to a dot. */
static bool is_same_function(const char *left, const char *right)
{
	size_t length = strcspn(left, ".");

	return strcspn(right, ".") == length && !strncmp(left, right, length);
}

/* DWARF's name of the function at the address, which C++'s and Rust's symbols do not have; NULL: none. */
static struct cp_error *dwarf_name(const struct cp_callers *c, uint64_t address, const char **ret)
{
	struct cp_error *error = cp_program_need_dwarf(c->program);
	struct cp_die die;
	bool found = false;

	if (!error && c->program->dwarf)
		error = cp_function_at(&c->program->addresses, address, &die, &found);
	*ret = !error && found ? cp_function_name(&die) : NULL;
	return error;
}

/* Is it another function than the one that the program has at the address, whatever clone the compiler made of that? */
static struct cp_error *is_copy(const struct cp_callers *c, uint64_t address, const char *name, bool *ret)
{
	const struct cp_symbols *symbols = &c->program->symbols;
	struct cp_error *error;
	bool known = false;
	const char *own;

	*ret = false;
	for (size_t i = cp_symbols_lower(symbols, address); i < symbols->count; i++) {
		const struct cp_symbol *symbol = symbols->by_address[i];

		if (symbol->address != address)
			break;
		if (is_same_function(symbol->name, name))
			return NULL;
		known |= symbol->type == STT_FUNC;
	}
	if (!known && !cp_symbols_at(symbols, address, true))
		return NULL;
	error = dwarf_name(c, address, &own);
	*ret = !own || !is_same_function(own, name);
	return error;
}

static struct cp_error *add_called(struct cp_callers *c, uint64_t address, const char *name, uint32_t *ret)
{
	struct cp_called *grown;
	struct cp_error *error;
	uint32_t around = CP_NO_CALLER;
	bool inlined = false;

	error = name ? is_copy(c, address, name, &inlined) : NULL;
	if (!error && inlined)	/* an inlined copy runs within the function around it */
		error = function_around(c, address, &around);
	if (error)
		return error;
	if (name)
		name = cp_arena_strdup(&c->arena, name);
	else
		name = program_name(c, address);
	grown = name ? cp_grow(c->items, c->count, sizeof(*grown)) : NULL;
	if (!grown)
		return &cp_error_no_memory;
	c->items = grown;
	*ret = (uint32_t)c->count++;
	grown[*ret] = (struct cp_called){ .name = name, .address = address, .around = around, .canonical = *ret };
	return NULL;
}

static uint32_t *slot_of(const struct cp_callers *c, uint64_t address, const char *name)
{
	for (size_t at = hash(address);; at++) {
		uint32_t *slot = &c->slots[at & (c->slot_count - 1)];
		const struct cp_called *called = *slot ? &c->items[*slot - 1] : NULL;

		if (!called || (called->address == address &&
			(name ? called->name == name || !strcmp(called->name, name) : called->around == CP_NO_CALLER)))
			return slot;
	}
}

struct cp_error *cp_called_at(struct cp_callers *c, uint64_t address, const char *name, uint32_t *ret)
{
	struct cp_error *error;
	uint32_t *slot;

	if (2 * c->count >= c->slot_count && !grow_slots(c))
		return &cp_error_no_memory;
	slot = slot_of(c, address, name);
	if (*slot) {
		*ret = *slot - 1;
		return NULL;
	}
	error = add_called(c, address, name, ret);
	if (error)
		return error;
	/* One with another name, or this one itself, which is not in the table yet. */
	slot = slot_of(c, address, NULL);
	if (*slot && c->items[*ret].around == CP_NO_CALLER)
		c->items[*ret].canonical = *slot - 1;
	/* The function around it may have been made meanwhile, and the table with it. */
	if (2 * c->count >= c->slot_count && !grow_slots(c))
		return &cp_error_no_memory;
	slot = slot_of(c, address, name);
	*slot = *ret + 1;
	return NULL;
}

static bool grow_sites(struct cp_callers *c)
{
	size_t size = c->site_slots ? 2 * c->site_slots : 4096;
	struct cp_caller_site *sites = calloc(size, sizeof(*sites));

	if (!sites)
		return false;
	for (size_t i = 0; i < c->site_slots; i++) {
		size_t at = hash(c->sites[i].site);

		if (!c->sites[i].site)
			continue;
		while (sites[at & (size - 1)].site)
			at++;
		sites[at & (size - 1)] = c->sites[i];
	}
	free(c->sites);
	c->sites = sites;
	c->site_slots = size;
	return true;
}

static struct cp_error *by_site(struct cp_callers *c, uint64_t site, uint32_t *ret)
{
	struct cp_caller_site *slot;
	struct cp_error *error;

	if (2 * c->site_count >= c->site_slots && !grow_sites(c))
		return &cp_error_no_memory;
	for (size_t at = hash(site);; at++) {
		slot = &c->sites[at & (c->site_slots - 1)];
		if (slot->site == site) {
			*ret = slot->function;
			return NULL;
		}
		if (!slot->site)
			break;
	}
	error = function_around(c, site, ret);
	if (error)
		return error;
	*slot = (struct cp_caller_site){ site, *ret };
	c->site_count++;
	return NULL;
}

/* `where`: NAME, or NAME+0xOFFSET as a session in GDB has it. */
static struct cp_error *by_name(struct cp_callers *c, const char *where, uint32_t *ret)
{
	const char *offset = strstr(where, "+0x");
	char *name = offset ? strndup(where, (size_t)(offset - where)) : strdup(where);
	const struct cp_symbol **found;
	struct cp_error *error;
	size_t count;

	*ret = CP_NO_CALLER;
	if (!name)
		return &cp_error_no_memory;
	error = cp_symbols_by_name(&c->program->symbols, name, true, &found, &count);
	if (!error && count)
		error = cp_called_at(c, found[0]->address, found[0]->name, ret);
	free(name);
	return error;
}

struct cp_error *cp_caller_of(struct cp_callers *c, const struct cp_event *event, uint32_t *ret)
{
	struct cp_error *error = NULL;

	*ret = CP_NO_CALLER;
	if (event->site)
		return by_site(c, event->site, ret);
	/* Where nothing follows a call, its return address is another function's. */
	if (event->return_address > 1)
		error = by_site(c, event->return_address - 1, ret);
	return !error && *ret == CP_NO_CALLER && event->caller ? by_name(c, event->caller, ret) : error;
}

/* -- Where the trace does not say it: what the code can call -- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Compilers call a thunk of that name for a call by a register: gcc and clang, -mindirect-branch. */
static bool is_thunk(const struct cp_callers *c, uint64_t target)
{
	const struct cp_symbol *symbol = cp_symbols_at(&c->program->symbols, target, true);

	return symbol && !strncmp(symbol->name, "__x86_indirect_", 15);
}

static struct cp_error *take_targets(struct cp_callers *c, struct cp_called *called, const struct cp_flow *flow)
{
	called->targets = malloc((flow->insn_count + 1) * sizeof(*called->targets));
	if (!called->targets)
		return &cp_error_no_memory;
	for (size_t i = 0; i < flow->insn_count; i++) {
		const struct cp_flow_insn *insn = &flow->insns[i];

		if (insn->kind != CP_FLOW_CALL && insn->kind != CP_FLOW_JUMP && insn->kind != CP_FLOW_BRANCH)
			continue;
		if (insn->target && is_thunk(c, insn->target))
			called->has_indirect = called->has_thunk = true;
		else if (!insn->target)
			called->has_indirect = true;
		else if (insn->kind == CP_FLOW_CALL || cp_flow_insn_at(flow, insn->target) == CP_FLOW_NONE)
			called->targets[called->target_count++] = insn->target;
	}
	qsort(called->targets, called->target_count, sizeof(*called->targets), compare);
	return NULL;
}

static struct cp_error *read_targets(struct cp_callers *c, uint32_t function)
{
	struct cp_error *error = NULL;
	struct cp_flow flow;

	if (!c->has_code) {
		error = cp_program_check_machine(c->program);
		if (!error)
			error = cp_code_init(c->program, &c->code);
		if (error)
			return error;
		c->has_code = true;
	}
	c->items[function].has_targets = true;
	error = cp_flow_build(c->program, &c->code, c->items[function].address, &flow);
	if (!error)
		error = take_targets(c, &c->items[function], &flow);
	cp_flow_deinit(&flow);
	return error;
}

struct cp_error *cp_calls_to(struct cp_callers *c, uint32_t function, uint64_t address, enum cp_way *ret)
{
	const struct cp_called *called;
	struct cp_error *error = c->items[function].has_targets ? NULL : read_targets(c, function);

	if (error)
		return error;
	called = &c->items[function];
	*ret = (c->trace_knows ? called->has_thunk : called->has_indirect) && called->address != address ? CP_WAY_POINTER :
		CP_WAY_NONE;
	if (!c->trace_knows && called->target_count &&
		bsearch(&address, called->targets, called->target_count, sizeof(address), compare))
		*ret = CP_WAY_DIRECT;
	return NULL;
}
