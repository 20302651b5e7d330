/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/flow.h"
#include "code/jumps.h"
#include "code/returns.h"
#include "dwarf/ranges.h"

/* Where no symbol says how large a function is, this much code on both sides is looked at. */
#define GUESSED_REACH ((uint64_t)32 << 10)

/* Decoding that begins between two instructions falls into step within this many bytes, or begins a byte later. */
#define MAX_SHIFT 16
#define MAX_RANGES 16

/* Of guesses: a hostile function is nothing but indirect jumps. */
#define MAX_WAYS ((size_t)1 << 17)

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range items[MAX_RANGES];
	size_t count;
};

static void add_range(struct ranges *ranges, uint64_t start, uint64_t end)
{
	if (start >= end || end - start > CP_LARGEST_FUNCTION || ranges->count == MAX_RANGES)
		return;
	for (size_t i = 0; i < ranges->count; i++) {
		if (start < ranges->items[i].end && ranges->items[i].start < end)
			return;
	}
	ranges->items[ranges->count++] = (struct range){ start, end };
}

static struct cp_error *ranges_by_dwarf(struct cp_program *program, uint64_t address, struct ranges *ranges)
{
	struct cp_error *error = cp_program_need_dwarf(program);
	struct cp_ranges own;
	uint64_t low, high;
	struct cp_die die;
	bool found = false;

	if (error || !program->dwarf)
		return error;
	error = cp_function_at(&program->addresses, address, &die, &found);
	if (!error && found && cp_ranges_of(&die, &own)) {
		while (cp_ranges_next(&own, &low, &high))
			add_range(ranges, low, high);
	}
	return error;
}

/* The symbol's own range and those of its .cold part or of what it is the .cold part of. */
static struct cp_error *ranges_by_symbols(struct cp_program *program, uint64_t address, struct ranges *ranges)
{
	const struct cp_symbol *own = cp_symbols_at(&program->symbols, address, true), **named;
	char name[CP_LONGEST_NAME + sizeof(".cold")];
	struct cp_error *error;
	const char *cold;
	size_t count;

	if (!own || !own->size)
		return NULL;
	add_range(ranges, own->address, own->address + own->size);
	cold = strstr(own->name, ".cold");
	if (cold)
		snprintf(name, sizeof(name), "%.*s", (int)(cold - own->name), own->name);
	else
		snprintf(name, sizeof(name), "%s.cold", own->name);
	error = cp_symbols_by_name(&program->symbols, name, cold != NULL, &named, &count);
	for (size_t i = 0; i < count && !error; i++) {
		if (named[i]->size)
			add_range(ranges, named[i]->address, named[i]->address + named[i]->size);
	}
	return error;
}

/* A kernel without symbols, or code that none covers: the code around the address, up to the next symbols. */
static void guess_range(const struct cp_code *code, uint64_t address, struct ranges *ranges)
{
	struct cp_region region;

	if (!cp_region_at(code, address, &region))
		return;
	if (address - region.start > GUESSED_REACH)
		region.start = address - GUESSED_REACH;
	if (region.end - address > GUESSED_REACH)
		region.end = address + GUESSED_REACH;
	add_range(ranges, region.start, region.end);
}

void cp_flow_classify(const struct cp_code *code, struct cp_flow_insn *at, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands)
{
	ZyanU64 target = 0;

	at->length = insn->length;
	if (insn->operand_count_visible && operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operands[0].imm.is_relative &&
		ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, &operands[0], at->address, &target)))
		at->target = cp_code_wrap(code, target);
	switch (insn->meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		at->kind = CP_FLOW_BRANCH;
		break;
	case ZYDIS_CATEGORY_UNCOND_BR:
		at->kind = CP_FLOW_JUMP;
		break;
	case ZYDIS_CATEGORY_CALL:
		at->kind = CP_FLOW_CALL;
		break;
	case ZYDIS_CATEGORY_RET:
		at->kind = CP_FLOW_END;
		break;
	default:
		at->kind = CP_FLOW_NEXT;
		at->trap = insn->mnemonic == ZYDIS_MNEMONIC_UD2;
	}
}

static struct cp_error *decode(const struct cp_code *code, const struct ranges *ranges, struct cp_flow *flow)
{
	for (size_t r = 0; r < ranges->count; r++) {
		uint64_t address = ranges->items[r].start;
		struct cp_region region;

		if (!cp_region_at(code, address, &region))
			continue;
		while (address < ranges->items[r].end && address - region.part->address < region.part->size) {
			ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
			ZydisDecodedInstruction insn;
			struct cp_flow_insn *insns;

			if (address >= region.end)
				cp_region_of(code, region.part, address, &region);
			if (region.data) {
				address = region.end;
				continue;
			}
			insns = cp_grow(flow->insns, flow->insn_count, sizeof(*insns));
			if (!insns)
				return &cp_error_no_memory;
			flow->insns = insns;
			insns += flow->insn_count++;
			memset(insns, 0, sizeof(*insns));
			insns->address = address;
			insns->part = region.part;
			if (cp_decode(code, region.part, address, &insn, operands))
				cp_flow_classify(code, insns, &insn, operands);
			else
				insns->length = 1;
			address += insns->length;
		}
	}
	return NULL;
}

static int compare_insns(const void *left, const void *right)
{
	const struct cp_flow_insn *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

size_t cp_flow_insn_at(const struct cp_flow *flow, uint64_t address)
{
	size_t low = 0, high = flow->insn_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (flow->insns[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < flow->insn_count && flow->insns[low].address == address ? low : CP_FLOW_NONE;
}

bool cp_flow_follows(const struct cp_flow *flow, size_t insn)
{
	return insn && flow->insns[insn - 1].address + flow->insns[insn - 1].length == flow->insns[insn].address;
}

struct cp_error *cp_flow_add_edge(struct cp_flow_edge **edges, size_t *count, size_t from, size_t to)
{
	struct cp_flow_edge *grown = cp_grow(*edges, *count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	*edges = grown;
	grown[(*count)++] = (struct cp_flow_edge){ from, to };
	return NULL;
}

/* Between two blocks: nops and int3 that only align the second. */
static bool is_padding(const struct cp_code *code, const struct cp_flow_insn *at)
{
	ZydisDecodedInstruction insn;

	return cp_decode(code, at->part, at->address, &insn, NULL) && !at->leader &&
		(insn.mnemonic == ZYDIS_MNEMONIC_NOP || insn.mnemonic == ZYDIS_MNEMONIC_INT3);
}

static struct cp_error *find_leaders(struct cp_program *program, const struct cp_code *code, struct cp_flow *flow)
{
	struct cp_dead_calls dead = { .budget = CP_LARGEST_FUNCTION };
	struct cp_error *error = NULL;

	for (size_t i = 0; i < flow->insn_count; i++) {
		struct cp_flow_insn *insn = &flow->insns[i];
		bool jumps = insn->kind == CP_FLOW_BRANCH || insn->kind == CP_FLOW_JUMP;
		bool enters = flow->guessed && insn->kind == CP_FLOW_CALL;
		size_t target = jumps || enters ? cp_flow_insn_at(flow, insn->target) : CP_FLOW_NONE;

		if (target != CP_FLOW_NONE) {
			flow->insns[target].leader = true;
			flow->insns[target].entry |= enters;
		}
		if (i == 0 || flow->insns[i - 1].address + flow->insns[i - 1].length != insn->address)
			insn->leader = true;
		if (insn->kind != CP_FLOW_NEXT && insn->kind != CP_FLOW_CALL && i + 1 < flow->insn_count)
			flow->insns[i + 1].leader = true;
	}
	for (size_t w = 0; w < flow->way_count; w++)
		flow->insns[flow->ways[w].to].leader = true;
	/* Calls and traps after which only others' jumps arrive end their block; WARN's ud2 goes on. */
	for (size_t i = 0; i < flow->insn_count && !error; i++) {
		struct cp_flow_insn *insn = &flow->insns[i];
		bool joined, ends = insn->trap;
		size_t next = i + 1;

		if (!insn->trap && insn->kind != CP_FLOW_CALL)
			continue;
		while (next < flow->insn_count && is_padding(code, &flow->insns[next]))
			next++;
		joined = next == flow->insn_count || flow->insns[next].leader;
		if (joined && !ends)
			error = cp_call_ends(program, code, insn, &dead, &ends);
		if (joined && ends)
			insn->kind = CP_FLOW_END;
		if (insn->kind == CP_FLOW_END && i + 1 < flow->insn_count)
			flow->insns[i + 1].leader = true;
	}
	flow->work += CP_LARGEST_FUNCTION - dead.budget;
	cp_dead_calls_deinit(&dead);
	return error;
}

static struct cp_error *link_blocks(struct cp_flow *flow, size_t from, size_t insn)
{
	if (insn >= flow->insn_count)
		return NULL;
	flow->blocks[from].successor_count++;
	flow->blocks[flow->insns[insn].block].predecessor_count++;
	return cp_flow_add_edge(&flow->edges, &flow->edge_count, from, flow->insns[insn].block);
}

static struct cp_error *link_direct(struct cp_flow *flow, size_t b)
{
	const struct cp_flow_block *block = &flow->blocks[b];
	const struct cp_flow_insn *last = &flow->insns[block->last];
	bool adjacent = block->last + 1 < flow->insn_count && !last[1].entry &&
		last[1].address == last->address + last->length;
	struct cp_error *error = NULL;

	if (last->kind == CP_FLOW_BRANCH || last->kind == CP_FLOW_JUMP)
		error = link_blocks(flow, b, cp_flow_insn_at(flow, last->target));
	if (!error && last->kind != CP_FLOW_JUMP && last->kind != CP_FLOW_END && adjacent)
		error = link_blocks(flow, b, block->last + 1);
	return error;
}

/* A block that nothing leads to, though it is neither where a range begins nor padding. */
static bool is_orphan(const struct cp_code *code, const struct cp_flow *flow, const struct cp_flow_block *block)
{
	ZydisDecodedInstruction insn;

	if (block->predecessor_count || !cp_flow_follows(flow, block->first))
		return false;
	for (size_t i = block->first; i <= block->last; i++) {
		if (!cp_decode(code, flow->insns[i].part, flow->insns[i].address, &insn, NULL) ||
			(insn.mnemonic != ZYDIS_MNEMONIC_NOP && insn.mnemonic != ZYDIS_MNEMONIC_INT3))
			return true;
	}
	return false;
}

/* A jump within the function whose table was not understood leads to every block that nothing else leads to. */
static struct cp_error *link_orphans(const struct cp_code *code, struct cp_flow *flow)
{
	size_t *orphans = NULL, count = 0, budget = MAX_WAYS;
	struct cp_error *error = NULL;
	bool looked = false;

	for (size_t b = 0; b < flow->block_count && !error && !flow->guessed; b++) {
		size_t last = flow->blocks[b].last;

		if (!cp_jump_is_indirect(&flow->insns[last]) || flow->blocks[b].successor_count || cp_jump_is_tail_call(code, flow, last))
			continue;
		orphans = looked ? orphans : calloc(flow->block_count, sizeof(*orphans));
		for (size_t o = 0; o < flow->block_count && orphans && !looked; o++) {
			if (is_orphan(code, flow, &flow->blocks[o]))
				orphans[count++] = flow->blocks[o].first;
		}
		looked = true;
		error = orphans ? NULL : &cp_error_no_memory;
		for (size_t o = 0; o < count && budget && !error; o++, budget--)
			error = link_blocks(flow, b, orphans[o]);
	}
	free(orphans);
	return error;
}

static struct cp_error *make_blocks(const struct cp_code *code, struct cp_flow *flow)
{
	struct cp_error *error = NULL;
	size_t in = 0, out = 0, b = 0;

	for (size_t i = 0; i < flow->insn_count; i++)
		flow->block_count += flow->insns[i].leader;
	flow->blocks = calloc(flow->block_count + 1, sizeof(*flow->blocks));
	if (!flow->blocks)
		return &cp_error_no_memory;
	for (size_t i = 0; i < flow->insn_count; i++) {
		if (flow->insns[i].leader)
			flow->blocks[b++].first = i;
		flow->insns[i].block = b - 1;
		flow->blocks[b - 1].last = i;
	}
	for (b = 0; b < flow->block_count && !error; b++)
		error = link_direct(flow, b);
	for (size_t w = 0; w < flow->way_count && !error; w++)
		error = link_blocks(flow, flow->insns[flow->ways[w].from].block, flow->ways[w].to);
	if (!error)
		error = link_orphans(code, flow);
	if (error)
		return error;
	flow->predecessors = calloc(flow->edge_count + 1, sizeof(*flow->predecessors));
	flow->successors = calloc(flow->edge_count + 1, sizeof(*flow->successors));
	if (!flow->predecessors || !flow->successors)
		return &cp_error_no_memory;
	for (b = 0; b < flow->block_count; b++) {
		flow->blocks[b].first_predecessor = in;
		flow->blocks[b].first_successor = out;
		in += flow->blocks[b].predecessor_count;
		out += flow->blocks[b].successor_count;
		flow->blocks[b].predecessor_count = flow->blocks[b].successor_count = 0;
	}
	for (size_t e = 0; e < flow->edge_count; e++) {
		struct cp_flow_block *from = &flow->blocks[flow->edges[e].from], *to = &flow->blocks[flow->edges[e].to];

		flow->predecessors[to->first_predecessor + to->predecessor_count++] = flow->edges[e].from;
		flow->successors[from->first_successor + from->successor_count++] = flow->edges[e].to;
	}
	return NULL;
}

struct cp_error *cp_flow_build(struct cp_program *program, const struct cp_code *code, uint64_t address,
	struct cp_flow *ret)
{
	struct ranges ranges = { .count = 0 };
	struct cp_error *error;

	memset(ret, 0, sizeof(*ret));
	error = ranges_by_dwarf(program, address, &ranges);
	if (!error)
		error = ranges_by_symbols(program, address, &ranges);
	if (error)
		return error;
	ret->guessed = !ranges.count;
	if (ret->guessed)
		guess_range(code, address, &ranges);
	for (int shift = 0; shift < (ret->guessed ? MAX_SHIFT : 1); shift++) {
		ret->insn_count = 0;
		error = decode(code, &ranges, ret);
		if (error || !ret->insn_count)
			return error;
		ret->work += ret->insn_count;
		qsort(ret->insns, ret->insn_count, sizeof(*ret->insns), compare_insns);
		if (cp_flow_insn_at(ret, address) != CP_FLOW_NONE)
			break;
		ranges.items[0].start++;
	}
	error = cp_jumps_read(code, ret);
	if (error)
		return error;
	error = find_leaders(program, code, ret);
	return error ? error : make_blocks(code, ret);
}

void cp_flow_deinit(struct cp_flow *flow)
{
	free(flow->insns);
	free(flow->blocks);
	free(flow->predecessors);
	free(flow->successors);
	free(flow->edges);
	free(flow->ways);
	memset(flow, 0, sizeof(*flow));
}
