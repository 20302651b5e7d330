/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/args.h"
#include "base/record.h"
#include "dwarf/dwtype.h"

/* DWARF register numbers, System V x86-64 psABI figure 3.36 and i386 psABI table 2.14. */
static const char *const names_64[] = {
	"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
};
static const char *const names_32[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip" };

/* Order of the integer arguments, psABI 3.2.3. */
static const char *const abi_registers[] = { "rdi", "rsi", "rdx", "rcx", "r8", "r9" };

#define MAX_ARGS 64

static const char *register_name(bool is_64bit, uint64_t number)
{
	if (is_64bit)
		return number < sizeof(names_64) / sizeof(*names_64) ? names_64[number] : NULL;
	return number < sizeof(names_32) / sizeof(*names_32) ? names_32[number] : NULL;
}

static const char *memory(struct cp_arena *arena, const char *base, int64_t offset)
{
	return cp_arena_printf(arena, "mem(%s%+lld)", base, (long long)offset);
}

/* Is the function's frame base the canonical frame address, which at entry is the stack pointer plus one word? */
static bool frame_is_cfa(Dwarf_Die *function)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t count;

	return dwarf_attr_integrate(function, DW_AT_frame_base, &attr) && !dwarf_getlocation(&attr, &ops, &count) &&
		count == 1 && ops[0].atom == DW_OP_call_frame_cfa;
}

/* One expression as text; NULL with *known false when it is nothing that holds at entry. */
static const char *expression(struct cp_arena *arena, const Dwarf_Op *ops, size_t count, bool is_64bit, bool cfa,
	bool *known)
{
	const char *name = NULL;
	int word = is_64bit ? 8 : 4;

	*known = false;
	if (count == 0)
		return NULL;
	if (count == 1 && ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31)
		name = register_name(is_64bit, ops[0].atom - DW_OP_reg0);
	else if (count == 1 && ops[0].atom == DW_OP_regx)
		name = register_name(is_64bit, ops[0].number);
	else if (count == 1 && ops[0].atom == DW_OP_fbreg && cfa && (int64_t)ops[0].number >= 0)
		name = memory(arena, is_64bit ? "rsp" : "esp", (int64_t)ops[0].number + word);
	else if (count == 1 && ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31 &&
		register_name(is_64bit, ops[0].atom - DW_OP_breg0))
		name = memory(arena, register_name(is_64bit, ops[0].atom - DW_OP_breg0), (int64_t)ops[0].number);
	else if (count == 2 && ops[1].atom == DW_OP_stack_value && ops[0].atom >= DW_OP_lit0 && ops[0].atom <= DW_OP_lit31)
		name = cp_arena_printf(arena, "const(%u)", (unsigned int)(ops[0].atom - DW_OP_lit0));
	else if (count == 2 && ops[1].atom == DW_OP_stack_value && (ops[0].atom == DW_OP_const1u ||
		ops[0].atom == DW_OP_const2u || ops[0].atom == DW_OP_const4u || ops[0].atom == DW_OP_const8u ||
		ops[0].atom == DW_OP_constu))
		name = cp_arena_printf(arena, "const(%llu)", (unsigned long long)ops[0].number);
	else if (count == 2 && ops[1].atom == DW_OP_stack_value && (ops[0].atom == DW_OP_const1s ||
		ops[0].atom == DW_OP_const2s || ops[0].atom == DW_OP_const4s || ops[0].atom == DW_OP_const8s ||
		ops[0].atom == DW_OP_consts))
		name = cp_arena_printf(arena, "const(%lld)", (long long)ops[0].number);
	*known = name != NULL;
	return name;
}

enum arg_class { ARG_INTEGER, ARG_FLOAT, ARG_OTHER };

static enum arg_class classify(Dwarf_Die *parameter)
{
	const char *encoding = cp_type_encoding(parameter);
	uint64_t size;

	if (!encoding)
		return ARG_OTHER;
	if (!strcmp(encoding, "pointer"))
		return ARG_INTEGER;
	size = cp_type_size(parameter);
	if (!size || size > 8 || !strcmp(encoding, "struct") || !strcmp(encoding, "union") ||
		!strcmp(encoding, "array") || !strcmp(encoding, "function"))
		return ARG_OTHER;
	return strcmp(encoding, "float") ? ARG_INTEGER : ARG_FLOAT;
}

/* What the calling convention has handed out so far. */
struct abi_state {
	bool holds;
	size_t integers, floats;
	int64_t stack;
};

static const char *abi_location(struct cp_arena *arena, Dwarf_Die *parameter, bool is_64bit, struct abi_state *state)
{
	enum arg_class class = classify(parameter);
	const char *ret;

	if (!state->holds)
		return NULL;
	if (class == ARG_OTHER || (class == ARG_FLOAT && (!is_64bit || state->floats >= 8))) {
		state->holds = false;
		return NULL;
	}
	if (class == ARG_FLOAT)
		return names_64[17 + state->floats++];
	if (is_64bit && state->integers < sizeof(abi_registers) / sizeof(*abi_registers))
		return abi_registers[state->integers++];
	ret = memory(arena, is_64bit ? "rsp" : "esp", state->stack);
	state->stack += is_64bit ? 8 : 4;
	if (!is_64bit && cp_type_size(parameter) > 4)
		state->stack += 4;
	return ret;
}

/* The location that DWARF gives for the address, if it gives one that needs no frame. */
static const char *dwarf_location(struct cp_arena *arena, Dwarf_Die *parameter, bool is_64bit, bool cfa, uint64_t entry)
{
	Dwarf_Attribute attr;
	const char *ret = NULL;
	Dwarf_Op *ops;
	size_t count;
	bool known;

	if (dwarf_attr(parameter, DW_AT_location, &attr)) {
		if (dwarf_getlocation_addr(&attr, entry, &ops, &count, 1) == 1)
			ret = expression(arena, ops, count, is_64bit, cfa, &known);
	} else if (dwarf_attr(parameter, DW_AT_const_value, &attr)) {
		Dwarf_Sword value;

		if (!dwarf_formsdata(&attr, &value))
			ret = cp_arena_printf(arena, "const(%lld)", (long long)value);
	}
	return ret;
}

/* Functions that gcc on i386 passes in registers say so in their location lists only; those were asked first. */
struct cp_error *cp_args_read(struct cp_records *records, Dwarf_Die *die, bool is_64bit, bool abi,
	struct cp_record *record)
{
	struct cp_details *details = cp_record_details(records, record);
	struct cp_arena *arena = &records->arena;
	struct abi_state state = { .holds = abi, .stack = is_64bit ? 8 : 4 };
	bool cfa = frame_is_cfa(die), inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
	struct cp_arg args[MAX_ARGS];
	size_t count = 0;
	Dwarf_Die child;

	if (!details)
		return &cp_error_no_memory;
	if (dwarf_child(die, &child) == 0) {
		do {
			struct cp_arg *arg = &args[count];
			const char *abi_answer;

			if (dwarf_tag(&child) != DW_TAG_formal_parameter || count == MAX_ARGS)
				continue;
			arg->name = dwarf_diename(&child);
			arg->type = cp_type_text(arena, &child);
			arg->size = cp_type_size(&child);
			if (!arg->type)
				return &cp_error_no_memory;
			abi_answer = inlined ? NULL : abi_location(arena, &child, is_64bit, &state);
			arg->location = dwarf_location(arena, &child, is_64bit, cfa && !inlined, record->address);
			arg->location_from = "dwarf";
			if (!arg->location) {
				arg->location = abi_answer;
				arg->location_from = "abi";
			}
			count++;
		} while (dwarf_siblingof(&child, &child) == 0);
	}
	details->has_args = true;
	details->arg_count = count;
	if (!count)
		return NULL;
	details->args = cp_arena_alloc(arena, count * sizeof(*args));
	if (!details->args)
		return &cp_error_no_memory;
	memcpy(details->args, args, count * sizeof(*args));
	return NULL;
}
