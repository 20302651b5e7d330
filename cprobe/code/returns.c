/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>

#include "base/arena.h"
#include "code/returns.h"

/* A function without a return and without a jump out of itself does not come back. */
static bool never_returns(const struct cp_code *code, uint64_t function, size_t *budget)
{
	const struct cp_symbol *symbol = cp_symbols_at(&code->program->symbols, function, true);
	uint64_t address = function, end;
	struct cp_region region;

	if (!symbol || symbol->address != function || !symbol->size || symbol->size > CP_LARGEST_FUNCTION ||
		!cp_region_at(code, function, &region))
		return false;
	end = function + symbol->size;
	while (address < end && address - region.part->address < region.part->size) {
		struct cp_flow_insn insn = { .address = address };
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction decoded;

		if (!*budget || !cp_decode(code, region.part, address, &decoded, operands))
			return false;
		--*budget;
		cp_flow_classify(code, &insn, &decoded, operands);
		if (insn.kind == CP_FLOW_END || ((insn.kind == CP_FLOW_JUMP || insn.kind == CP_FLOW_BRANCH) &&
			(insn.target < function || insn.target >= end)))
			return false;
		address += decoded.length;
	}
	return true;
}

static int compare_addresses(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* The call site's return address, if its callee is declared not to return. */
static bool is_dead_call(const struct cp_die *die, uint64_t *ret)
{
	bool old = cp_die_tag(die) == DW_TAG_GNU_call_site;
	struct cp_dw_attr attr;
	struct cp_die callee;

	return (old || cp_die_tag(die) == DW_TAG_call_site) &&
		cp_die_attr(die, old ? DW_AT_abstract_origin : DW_AT_call_origin, &attr) && cp_attr_ref(&attr, &callee) &&
		cp_die_attr_any(&callee, DW_AT_noreturn, &attr) && cp_attr_flag(&attr) &&
		cp_die_attr(die, old ? DW_AT_low_pc : DW_AT_call_return_pc, &attr) && cp_attr_address(&attr, ret);
}

static struct cp_error *read_dead_calls(struct cp_program *program, uint64_t address, struct cp_dead_calls *ret)
{
	struct cp_error *error = NULL;
	const uint8_t *first;
	struct cp_cursor c;
	struct cp_die die;
	size_t depth = 0;
	bool found = false;

	ret->is_read = true;
	if (program->dwarf)
		error = cp_function_at(&program->addresses, address, &die, &found);
	if (error || !found)
		return error;
	first = die.attrs;
	c = cp_unit_cursor(die.unit, die.offset);
	do {
		uint64_t *returns, at;

		if (!cp_die_read(die.unit, &c, &die)) {
			depth--;
			continue;
		}
		if (is_dead_call(&die, &at)) {
			returns = cp_grow(ret->returns, ret->count, sizeof(*returns));
			if (!returns)
				return &cp_error_no_memory;
			ret->returns = returns;
			returns[ret->count++] = at;
		}
		cp_die_skip_attrs(&die, &c);
		depth += die.abbrev->children;
	} while (depth && !c.failed);
	cp_dwarf_charge(program->dwarf, (uint64_t)(c.at - first));
	if (ret->count)
		qsort(ret->returns, ret->count, sizeof(*ret->returns), compare_addresses);
	return NULL;
}

/* Functions of other files that the unit around the address declares not to return. */
static struct cp_error *read_declared(struct cp_program *program, const struct cp_code *code, uint64_t address)
{
	struct cp_callees *callees = code->callees;
	struct cp_dw_unit *unit = NULL;
	struct cp_error *error = NULL;
	struct cp_dw_attr attr;
	struct cp_die die;

	if (program->dwarf)
		error = cp_unit_of_address(&program->addresses, address, &unit);
	if (error || !unit)
		return error;
	if (!callees->units_read)
		callees->units_read = calloc(program->dwarf->unit_count, sizeof(*callees->units_read));
	if (!callees->units_read)
		return &cp_error_no_memory;
	if (callees->units_read[unit->number])
		return NULL;
	callees->units_read[unit->number] = true;
	error = cp_unit_prepare(unit);
	for (bool more = !error && cp_die_root(unit, &die) && cp_die_child(&die, &die); more;
		more = cp_die_sibling(&die, &die)) {
		const char *name = cp_die_tag(&die) == DW_TAG_subprogram && cp_die_attr(&die, DW_AT_noreturn, &attr) &&
			cp_attr_flag(&attr) ? cp_die_name(&die) : NULL;
		struct cp_callee *callee = name ? cp_callee_named(callees, name) : NULL;

		if (callee)
			callee->ends = true;
	}
	return error;
}

/*
 * Does the call not return? Its callee shows it, or DWARF says it: at the call where the compiler optimised, else, of a
 * function of another file, in its declaration; or another function ends with a call of it.
 */
struct cp_error *cp_call_ends(struct cp_program *program, const struct cp_code *code, const struct cp_flow_insn *call,
	struct cp_dead_calls *dead, bool *ret)
{
	uint64_t behind = call->address + call->length;
	struct cp_callee *callee = NULL;
	struct cp_error *error = NULL;

	*ret = never_returns(code, call->target, &dead->budget);
	if (!*ret && !dead->is_read)
		error = read_dead_calls(program, call->address, dead);
	if (dead->count)
		*ret |= bsearch(&behind, dead->returns, dead->count, sizeof(behind), compare_addresses) != NULL;
	if (!error && !*ret && code->callees)
		error = cp_callee_at(code, behind - 4, &callee);
	if (!error && callee && !callee->ends)
		error = read_declared(program, code, call->address);
	*ret |= callee && callee->ends;
	return error;
}

void cp_dead_calls_deinit(struct cp_dead_calls *dead)
{
	free(dead->returns);
}
