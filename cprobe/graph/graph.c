/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "code/flow.h"
#include "graph/graph.h"

/* The function that an instruction is in, that of the place to which a replacement is copied. Jumps inside of one go. */
static void find_from(struct cp_graph *graph)
{
	const struct cp_section *replaced = cp_image_section(graph->program->image, ".altinstr_replacement");
	uint32_t kept = 0, around = CP_NO_FUNCTION;
	uint64_t known_to = 0, known_from = 1;

	for (uint32_t i = 0; i < graph->ref_count; i++) {
		struct cp_ref *ref = &graph->refs[i];

		if (i == graph->code_count)
			graph->code_count = kept;
		if (ref->kind <= CP_REF_ADDRESS) {
			uint64_t place = ref->place;

			if (replaced && place - replaced->address < replaced->size)
				place = cp_alternatives_site(&graph->alternatives, place - 1);
			if (place < known_from || place >= known_to) {
				around = cp_function_around(&graph->functions, place);
				known_from = place;
				known_to = around == CP_NO_FUNCTION ? place : graph->functions.items[around].end;
				if (around != CP_NO_FUNCTION && around + 1 < graph->functions.count &&
					graph->functions.items[around + 1].start < known_to)
					known_to = graph->functions.items[around + 1].start;
			}
			ref->from = around;
			if (ref->kind == CP_REF_JUMP && ref->from == ref->target)
				continue;
		} else {
			ref->state = CP_REF_SOUND;
		}
		graph->refs[kept++] = *ref;
	}
	if (graph->code_count == graph->ref_count)
		graph->code_count = kept;
	graph->ref_count = kept;
}

/* Counting sort of the refs by target, or by the function that they are in. */
static struct cp_error *index_refs(const struct cp_graph *graph, bool by_from, uint32_t **ret, uint32_t **first)
{
	uint32_t functions = graph->functions.count, *order = malloc(((size_t)graph->ref_count + 1) * sizeof(*order));
	uint32_t *starts = calloc((size_t)functions + 2, sizeof(*starts));

	*ret = order;
	*first = starts;
	if (!order || !starts)
		return &cp_error_no_memory;
	for (uint32_t i = 0; i < graph->ref_count; i++) {
		uint32_t key = by_from ? graph->refs[i].from : graph->refs[i].target;

		if (key != CP_NO_FUNCTION)
			starts[key + 1]++;
	}
	for (uint32_t f = 0; f < functions; f++)
		starts[f + 1] += starts[f];
	for (uint32_t i = 0; i < graph->ref_count; i++) {
		uint32_t key = by_from ? graph->refs[i].from : graph->refs[i].target;

		if (key != CP_NO_FUNCTION)
			order[starts[key]++] = i;
	}
	for (uint32_t f = functions; f > 0; f--)	/* each start has moved to where the next one was */
		starts[f] = starts[f - 1];
	starts[0] = 0;
	return NULL;
}

struct cp_error *cp_graph_init(struct cp_program *program, struct cp_graph *ret)
{
	struct cp_error *error;

	memset(ret, 0, sizeof(*ret));
	ret->program = program;
	error = cp_program_need_code(program);
	if (!error)
		error = cp_code_init(program, &ret->code);
	if (!error)
		error = cp_functions_by_entry_init(program, &ret->code, &ret->functions);
	if (!error)
		error = cp_alternatives_read(&ret->code, &ret->alternatives);
	if (!error)
		error = cp_refs_find(ret);
	if (error)
		return error;
	find_from(ret);
	error = index_refs(ret, false, &ret->by_target, &ret->first);
	return error ? error : index_refs(ret, true, &ret->by_from, &ret->from_first);
}

void cp_graph_deinit(struct cp_graph *graph)
{
	free(graph->refs);
	free(graph->by_target);
	free(graph->first);
	free(graph->by_from);
	free(graph->from_first);
	cp_alternatives_deinit(&graph->alternatives);
	cp_functions_by_entry_deinit(&graph->functions);
	cp_code_deinit(&graph->code);
	memset(graph, 0, sizeof(*graph));
}

/* Does the instruction refer to the function as the ref says? */
static bool refers(const struct cp_graph *graph, const struct cp_ref *ref, const struct cp_code_part *part, uint64_t at)
{
	uint64_t entry = graph->functions.items[ref->target].start;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct cp_flow_insn flow = { .address = at };
	ZydisDecodedInstruction insn;

	if (!cp_decode(&graph->code, part, at, &insn, operands))
		return false;
	cp_flow_classify(&graph->code, &flow, &insn, operands);
	if (ref->kind == CP_REF_CALL)
		return flow.kind == CP_FLOW_CALL && flow.target == entry;
	if (ref->kind == CP_REF_JUMP)
		return (flow.kind == CP_FLOW_JUMP || flow.kind == CP_FLOW_BRANCH) && flow.target == entry &&
			at + insn.length == ref->place + ref->width;
	if (flow.kind != CP_FLOW_NEXT)
		return false;
	for (int i = 0; i < insn.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		ZyanU64 target;

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && (insn.mnemonic == ZYDIS_MNEMONIC_MOV ||
			insn.mnemonic == ZYDIS_MNEMONIC_PUSH) && cp_code_wrap(&graph->code, op->imm.is_signed ?
			(ZyanU64)op->imm.value.s : op->imm.value.u) == entry)
			return true;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && insn.mnemonic == ZYDIS_MNEMONIC_LEA && graph->code.got &&
			op->mem.index == ZYDIS_REGISTER_NONE && op->mem.base != ZYDIS_REGISTER_NONE &&
			cp_code_wrap(&graph->code, graph->code.got + (uint64_t)op->mem.disp.value) == entry)
			return true;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && insn.mnemonic == ZYDIS_MNEMONIC_LEA &&
			op->mem.index == ZYDIS_REGISTER_NONE &&
			(op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP) &&
			ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn, op, at, &target)) &&
			cp_code_wrap(&graph->code, target) == entry)
			return true;
	}
	return false;
}

/* The first ref of code at or behind the place. */
static uint32_t lower_ref(const struct cp_graph *graph, uint64_t place)
{
	uint32_t low = 0, high = graph->code_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->refs[middle].place < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Decode the region around a ref and settle all that are in it. */
static void settle_region(struct cp_graph *graph, uint64_t place)
{
	struct cp_region region;
	uint64_t address;
	uint32_t next;

	if (!cp_region_at(&graph->code, place - 1, &region))
		return;
	next = lower_ref(graph, region.start);
	address = region.data ? region.end : region.start;
	while (address < region.end && next < graph->code_count && graph->refs[next].place < region.end) {
		ZydisDecodedInstruction insn;
		bool good = cp_decode_light(&graph->code, region.part, address, &insn) && insn.length <= region.end - address;

		for (; next < graph->code_count && graph->refs[next].place < address + insn.length; next++) {
			struct cp_ref *ref = &graph->refs[next];
			bool sound = good && ref->place > address && refers(graph, ref, region.part, address);

			ref->state = sound ? CP_REF_SOUND : CP_REF_FALSE;
			ref->back = (uint8_t)(ref->place - address);
		}
		address += insn.length;
	}
}

bool cp_ref_is_sound(struct cp_graph *graph, uint32_t ref)
{
	if (graph->refs[ref].state == CP_REF_UNKNOWN) {
		settle_region(graph, graph->refs[ref].place);
		if (graph->refs[ref].state == CP_REF_UNKNOWN)
			graph->refs[ref].state = CP_REF_FALSE;
	}
	return graph->refs[ref].state == CP_REF_SOUND;
}

uint64_t cp_ref_site(const struct cp_ref *ref)
{
	return ref->kind <= CP_REF_ADDRESS ? ref->place - ref->back : ref->place;
}
