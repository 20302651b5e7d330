/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/args.h"
#include "base/record.h"
#include "dwarf/location.h"
#include "dwarf/types.h"

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

/* What stands for a text that there was no memory for. */
static const char lacking[] = "";

static const char *made(const char *text)
{
	return text ? text : lacking;
}

static const char *memory(struct cp_arena *arena, const char *base, int64_t offset)
{
	return made(cp_arena_printf(arena, "mem(%s%+lld)", base, (long long)offset));
}

/* Is the function's frame base the canonical frame address, which at entry is the stack pointer plus one word? */
static bool frame_is_cfa(const struct cp_die *function)
{
	struct cp_dw_attr attr;
	struct cp_cursor c;

	return cp_die_attr_any(function, DW_AT_frame_base, &attr) && cp_attr_block(&attr, &c) &&
		cp_get8(&c) == DW_OP_call_frame_cfa && !c.failed && !cp_left(&c);
}

/* DW_OP_lit0 to DW_OP_consts: a number that the expression gives. False: the operation is another one. */
static bool literal(struct cp_cursor *c, uint8_t op, bool *is_signed, uint64_t *ret)
{
	*is_signed = false;
	if (op >= DW_OP_lit0 && op <= DW_OP_lit31)
		return *ret = op - DW_OP_lit0, true;
	switch (op) {
	case DW_OP_const1u:
		return *ret = cp_get8(c), true;
	case DW_OP_const2u:
		return *ret = cp_get16(c), true;
	case DW_OP_const4u:
		return *ret = cp_get32(c), true;
	case DW_OP_const8u:
		return *ret = cp_get64(c), true;
	case DW_OP_constu:
		return *ret = cp_get_uleb(c), true;
	}
	*is_signed = true;
	switch (op) {
	case DW_OP_const1s:
		return *ret = (uint64_t)(int8_t)cp_get8(c), true;
	case DW_OP_const2s:
		return *ret = (uint64_t)(int16_t)cp_get16(c), true;
	case DW_OP_const4s:
		return *ret = (uint64_t)(int32_t)cp_get32(c), true;
	case DW_OP_const8s:
		return *ret = cp_get64(c), true;
	case DW_OP_consts:
		return *ret = (uint64_t)cp_get_sleb(c), true;
	}
	return false;
}

/* One expression as text; NULL when it is nothing that holds at entry. */
static const char *expression(struct cp_arena *arena, struct cp_cursor c, bool is_64bit, bool cfa)
{
	uint8_t op = cp_get8(&c);
	const char *name = NULL, *base = NULL;
	bool is_signed;
	uint64_t number;
	int64_t offset;

	if (literal(&c, op, &is_signed, &number)) {
		if (cp_get8(&c) != DW_OP_stack_value || c.failed || cp_left(&c))
			return NULL;
		return made(is_signed ? cp_arena_printf(arena, "const(%lld)", (long long)number) :
			cp_arena_printf(arena, "const(%llu)", (unsigned long long)number));
	}
	if (op >= DW_OP_reg0 && op <= DW_OP_reg31) {
		name = register_name(is_64bit, op - DW_OP_reg0);
	} else if (op == DW_OP_regx) {
		name = register_name(is_64bit, cp_get_uleb(&c));
	} else if (op == DW_OP_fbreg && cfa) {
		offset = cp_get_sleb(&c);
		if (offset >= 0)
			name = memory(arena, is_64bit ? "rsp" : "esp", offset + (is_64bit ? 8 : 4));
	} else if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		base = register_name(is_64bit, op - DW_OP_breg0);
		offset = cp_get_sleb(&c);
		name = base ? memory(arena, base, offset) : NULL;
	}
	return c.failed || cp_left(&c) ? NULL : name;
}

enum arg_class { ARG_INTEGER, ARG_FLOAT, ARG_OTHER };

static enum arg_class classify(const struct cp_die *parameter)
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

static const char *abi_location(struct cp_arena *arena, const struct cp_die *parameter, bool is_64bit,
	struct abi_state *state)
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

/* A DW_AT_const_value: the short forms are of the type's sign, which is told apart by what fits. */
static int64_t constant(const struct cp_dw_attr *attr, uint64_t value)
{
	switch (attr->form) {
	case DW_FORM_data1:
		return (int8_t)value;
	case DW_FORM_data2:
		return (int16_t)value;
	case DW_FORM_data4:
		return (int32_t)value;
	default:
		return (int64_t)value;
	}
}

/*
 * The location that DWARF gives for the address, if it gives one that needs no frame. *is_odd: it gives one that is no
 * register, place or number, such as two registers for one value.
 */
static const char *dwarf_location(struct cp_arena *arena, const struct cp_die *parameter, bool is_64bit, bool cfa,
	uint64_t entry, bool *is_odd)
{
	const char *ret;

	struct cp_dw_attr attr;
	struct cp_cursor c;
	uint64_t value;

	*is_odd = false;
	if (cp_die_attr(parameter, DW_AT_location, &attr)) {
		if (!cp_location_at(&attr, entry, &c))
			return NULL;
		ret = expression(arena, c, is_64bit, cfa);
		*is_odd = !ret && cp_left(&c) && *c.at != DW_OP_fbreg;
		return ret;
	}
	if (cp_die_attr(parameter, DW_AT_const_value, &attr) && cp_attr_is_constant(&attr) && cp_attr_number(&attr, &value))
		return made(cp_arena_printf(arena, "const(%lld)", (long long)constant(&attr, value)));
	return NULL;
}

/* gcc writes its options into the producer: with this one, i386 passes arguments in registers. */
static bool by_registers(const struct cp_die *die)
{
	return die->unit->producer && strstr(die->unit->producer, "-mregparm=");
}

/*
 * Other functions that gcc on i386 passes in registers (local ones) say so in their location lists only; those are asked
 * first. What they tell in no way that has a text here is not guessed.
 */
struct cp_error *cp_args_read(struct cp_records *records, const struct cp_die *die, bool is_64bit, bool abi,
	struct cp_record *record)
{
	struct cp_details *details = cp_record_details(records, record);
	struct cp_arena *arena = &records->arena;
	struct abi_state state = { .holds = abi && (is_64bit || !by_registers(die)), .stack = is_64bit ? 8 : 4 };
	bool cfa = frame_is_cfa(die), inlined = cp_die_tag(die) == DW_TAG_inlined_subroutine;
	struct cp_arg args[MAX_ARGS];
	size_t count = 0;
	struct cp_die child;
	bool more;

	if (!details)
		return &cp_error_no_memory;
	for (more = cp_die_child(die, &child); more; more = cp_die_sibling(&child, &child)) {
		struct cp_arg *arg = &args[count];
		const char *abi_answer;
		bool is_odd;

		if (cp_die_tag(&child) != DW_TAG_formal_parameter || count == MAX_ARGS)
			continue;
		arg->name = cp_die_name(&child);
		arg->size = cp_type_size(&child);
		arg->type = cp_type_text(arena, &child);
		if (!arg->type)
			return &cp_error_no_memory;
		abi_answer = inlined ? NULL : abi_location(arena, &child, is_64bit, &state);
		arg->location = dwarf_location(arena, &child, is_64bit, cfa && !inlined, record->address, &is_odd);
		arg->location_from = "dwarf";
		if (is_odd && !is_64bit)
			state.holds = false, abi_answer = NULL;
		if (!arg->location) {
			arg->location = abi_answer;
			arg->location_from = "abi";
		}
		if (arg->location == lacking)
			return &cp_error_no_memory;
		count++;
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
