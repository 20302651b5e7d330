/* SPDX-License-Identifier: BSD-2-Clause */
#include "code/origin.h"

/* How many instructions a walk back may pass. */
#define MAX_STEPS 256

static bool is_general(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	return class == ZYDIS_REGCLASS_GPR8 || class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR32 ||
		class == ZYDIS_REGCLASS_GPR64;
}

static bool is_stack(ZydisRegister wide)
{
	return wide == ZYDIS_REGISTER_RSP || wide == ZYDIS_REGISTER_RBP || wide == ZYDIS_REGISTER_ESP ||
		wide == ZYDIS_REGISTER_EBP;
}

static bool reads(const ZydisDecodedOperand *op)
{
	return op->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
}

static bool writes(const ZydisDecodedOperand *op)
{
	return op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

static void need_register(const struct cp_code *code, struct cp_origin_need *need, ZydisRegister reg)
{
	reg = cp_widest(code, reg);
	if (is_general(reg) && !need->registers[reg]) {
		need->registers[reg] = true;
		need->register_count++;
	}
}

/* What an address is made of. False: of constants, or of a place on the stack. */
static bool need_address(const struct cp_code *code, struct cp_origin_need *need, const ZydisDecodedOperand *op)
{
	size_t before = need->register_count;

	if (!is_stack(cp_widest(code, op->mem.base)))
		need_register(code, need, op->mem.base);
	need_register(code, need, op->mem.index);
	return need->register_count != before;
}

static void drop_register(struct cp_origin_need *need, ZydisRegister reg)
{
	need->register_count -= need->registers[reg];
	need->registers[reg] = false;
}

static bool anything_needed(const struct cp_origin_need *need)
{
	for (size_t i = 0; i < CP_ORIGIN_SLOTS; i++) {
		if (need->slots[i].base != ZYDIS_REGISTER_NONE)
			return true;
	}
	return need->flags || need->register_count;
}

/* The value came from where this walk cannot follow. */
static void lose_slot(struct cp_origin_need *need, struct cp_origin_place *slot)
{
	slot->base = ZYDIS_REGISTER_NONE;
	need->loaded = true;
}

static void need_slot(struct cp_origin_need *need, const struct cp_origin_place *place)
{
	for (size_t i = 0; i < CP_ORIGIN_SLOTS; i++) {
		if (need->slots[i].base == ZYDIS_REGISTER_NONE) {
			need->slots[i] = *place;
			return;
		}
	}
	need->loaded = true;
}

/* `xor eax, eax` and `sub eax, eax` read nothing that matters. */
static bool makes_zero(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
	return (insn->mnemonic == ZYDIS_MNEMONIC_XOR || insn->mnemonic == ZYDIS_MNEMONIC_SUB) &&
		operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		operands[0].reg.value == operands[1].reg.value;
}

/* `lea rax, [ADDRESS]` */
static bool is_address(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_LEA && operands[1].mem.index == ZYDIS_REGISTER_NONE &&
		(operands[1].mem.base == ZYDIS_REGISTER_NONE || operands[1].mem.base == ZYDIS_REGISTER_RIP);
}

/* A memory operand of a register and an offset only, in the flat address space. */
static bool is_place(const struct cp_code *code, const ZydisDecodedOperand *op, struct cp_origin_place *ret)
{
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
		op->mem.index != ZYDIS_REGISTER_NONE || op->mem.segment == ZYDIS_REGISTER_GS ||
		op->mem.segment == ZYDIS_REGISTER_FS || !is_general(op->mem.base))
		return false;
	ret->base = cp_widest(code, op->mem.base);
	ret->offset = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	return true;
}

static bool is_fixed(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op, uint64_t at, ZyanU64 *ret)
{
	return op->mem.index == ZYDIS_REGISTER_NONE && op->mem.segment != ZYDIS_REGISTER_GS &&
		op->mem.segment != ZYDIS_REGISTER_FS &&
		(op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP) &&
		ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, op, at, ret));
}

/* The check reads at a fixed address: which variable is it? */
static void name_variable(const struct cp_origin *t, uint64_t address, unsigned int size, struct cp_check *check)
{
	const struct cp_symbol *symbol;
	uint64_t unused;

	address = cp_code_wrap(t->code, address);
	if (!cp_image_paddr(t->program->image, address, &unused) && !cp_image_section_at(t->program->image, address))
		return;
	symbol = cp_symbols_at(&t->program->symbols, address, false);
	check->variable = symbol ? symbol->name : NULL;
	check->variable_address = address;
	check->variable_size = size;
}

/* The check reads memory: the first place that it reads is its variable. */
static void take_load(const struct cp_origin *t, const struct cp_flow_insn *at, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *op, struct cp_origin_need *need, struct cp_check *check)
{
	struct cp_origin_place place;
	ZyanU64 address;

	need->loaded = true;
	if (!check->source) {
		check->source = CP_SOURCE_MEMORY;
		check->source_at = at->address;
		if (is_place(t->code, op, &place)) {
			check->source_register = place.base;
			check->source_offset = place.offset;
		}
	}
	if (check->variable_size)
		return;
	if (is_fixed(insn, op, at->address, &address)) {
		name_variable(t, address, op->size / 8, check);
		need->pointer.base = ZYDIS_REGISTER_NONE;
	} else if (need->pointer.base == ZYDIS_REGISTER_NONE && is_place(t->code, op, &place)) {
		need->pointer = place;
		need->pointer_size = op->size / 8;
	}
}

/* Is the slot's address, or that of what it is part of, taken anywhere in the function? Then a call may change it. */
static bool slot_escapes(const struct cp_origin *t, const struct cp_origin_place *slot)
{
	for (size_t i = 0; i < t->flow->insn_count; i++) {
		const struct cp_flow_insn *at = &t->flow->insns[i];
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;

		if (cp_decode(t->code, at->part, at->address, &insn, operands) && insn.mnemonic == ZYDIS_MNEMONIC_LEA &&
			operands[1].mem.base != ZYDIS_REGISTER_NONE && cp_widest(t->code, operands[1].mem.base) == slot->base &&
			operands[1].mem.disp.value <= slot->offset && !is_stack(cp_widest(t->code, operands[0].reg.value)))
			return true;
	}
	return false;
}

/* Does the called function leave the register alone? Compilers that know it keep values there over the call. */
static bool call_keeps(const struct cp_origin *t, uint64_t function, ZydisRegister reg)
{
	const struct cp_symbol *symbol = cp_symbols_at(&t->program->symbols, function, true);
	uint64_t size = symbol && symbol->address == function ? symbol->size : 0, address = function;
	struct cp_region region;
	bool straight = true;

	if (!function || !cp_region_at(t->code, function, &region))
		return false;
	for (int steps = 0; steps < MAX_STEPS; steps++) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;

		if (size && address - function >= size)
			return true;
		if (!cp_decode(t->code, region.part, address, &insn, operands) ||
			insn.meta.category == ZYDIS_CATEGORY_CALL || insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
			cp_writes_register(t->code, &insn, operands, reg))
			return false;
		straight &= insn.meta.category != ZYDIS_CATEGORY_COND_BR;
		if (insn.meta.category == ZYDIS_CATEGORY_RET && (straight || !size))
			return straight;
		address += insn.length;
	}
	return false;
}

static void take_call(const struct cp_flow_insn *at, enum cp_check_source source, struct cp_check *check)
{
	if (check->source)
		return;
	check->source = source;
	check->source_at = at->address;
	check->source_target = at->target;
}

/* What is needed after a call and not kept over it came from there: values are returned in rax and rdx. */
static void pass_call(const struct cp_origin *t, const struct cp_flow_insn *at, struct cp_origin_need *need,
	struct cp_check *check)
{
	static const ZydisRegister returned[] = { ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RDX, ZYDIS_REGISTER_EAX,
		ZYDIS_REGISTER_EDX };

	need->loaded |= need->flags != 0;
	need->flags = 0;
	for (size_t i = 0; i < sizeof(returned) / sizeof(*returned); i++) {
		bool pointer = need->pointer.base == returned[i];

		if ((!need->registers[returned[i]] && !pointer) || call_keeps(t, at->target, returned[i]))
			continue;
		need->loaded |= need->registers[returned[i]];
		if (need->registers[returned[i]])
			take_call(at, CP_SOURCE_RETURNED, check);
		drop_register(need, returned[i]);
		if (pointer)
			need->pointer.base = ZYDIS_REGISTER_NONE;
	}
	for (size_t i = 0; i < CP_ORIGIN_SLOTS; i++) {
		if (need->slots[i].base == ZYDIS_REGISTER_NONE || !slot_escapes(t, &need->slots[i]))
			continue;
		lose_slot(need, &need->slots[i]);
		take_call(at, CP_SOURCE_STORED, check);
	}
}

/* `mov rax, ADDRESS` or `lea rax, [ADDRESS]` ahead of `cmp [rax + OFFSET], ...`: the variable at a fixed address. */
static void feed_pointer(const struct cp_origin *t, const struct cp_flow_insn *at, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, struct cp_origin_need *need, struct cp_check *check)
{
	struct cp_origin_place place = need->pointer;
	ZyanU64 address;

	if (place.base == ZYDIS_REGISTER_NONE || !cp_writes_register(t->code, insn, operands, place.base))
		return;
	need->pointer.base = ZYDIS_REGISTER_NONE;
	if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		address = operands[1].imm.is_signed ? (ZyanU64)operands[1].imm.value.s : operands[1].imm.value.u;
		name_variable(t, address + (uint64_t)place.offset, need->pointer_size, check);
	} else if (insn->mnemonic == ZYDIS_MNEMONIC_LEA && is_fixed(insn, &operands[1], at->address, &address)) {
		name_variable(t, address + (uint64_t)place.offset, need->pointer_size, check);
	} else if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		need->pointer = (struct cp_origin_place){ cp_widest(t->code, operands[1].reg.value), place.offset };
	}
}

/* Takes from *need what the instruction makes. False: nothing. */
static bool satisfy(const struct cp_origin *t, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands,
	struct cp_origin_need *need)
{
	bool feeds = false;

	if (need->flags && insn->cpu_flags && ((insn->cpu_flags->modified | insn->cpu_flags->set_0 |
		insn->cpu_flags->set_1 | insn->cpu_flags->undefined) & need->flags)) {
		feeds = true;
		need->flags = 0;
	}
	for (int i = 0; i < insn->operand_count; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		struct cp_origin_place place;
		ZydisRegister reg;

		if (!writes(op))
			continue;
		for (size_t n = 0; n < CP_ORIGIN_SLOTS && is_place(t->code, op, &place); n++) {
			if (place.base == need->slots[n].base && place.offset == need->slots[n].offset) {
				feeds = true;
				need->slots[n].base = ZYDIS_REGISTER_NONE;
			}
		}
		reg = op->type == ZYDIS_OPERAND_TYPE_REGISTER ? cp_widest(t->code, op->reg.value) : ZYDIS_REGISTER_NONE;
		if (reg != ZYDIS_REGISTER_NONE && need->registers[reg]) {
			feeds = true;
			drop_register(need, reg);
		}
		for (size_t n = 0; n < CP_ORIGIN_SLOTS; n++) {
			if (reg != ZYDIS_REGISTER_NONE && reg == need->slots[n].base)
				lose_slot(need, &need->slots[n]);	/* the stack pointer moves */
		}
	}
	return feeds;
}

static bool cpu_answers(ZydisMnemonic mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_CPUID || mnemonic == ZYDIS_MNEMONIC_RDMSR || mnemonic == ZYDIS_MNEMONIC_RDTSC ||
		mnemonic == ZYDIS_MNEMONIC_RDTSCP || mnemonic == ZYDIS_MNEMONIC_IN || mnemonic == ZYDIS_MNEMONIC_RDPMC ||
		mnemonic == ZYDIS_MNEMONIC_XGETBV || mnemonic == ZYDIS_MNEMONIC_RDRAND || mnemonic == ZYDIS_MNEMONIC_RDSEED;
}

/* A register that is needed and that the instruction writes. */
static ZydisRegister made_register(const struct cp_origin *t, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, const struct cp_origin_need *need)
{
	for (int i = 0; i < insn->operand_count; i++) {
		if (writes(&operands[i]) && operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			need->registers[cp_widest(t->code, operands[i].reg.value)])
			return cp_widest(t->code, operands[i].reg.value);
	}
	return ZYDIS_REGISTER_NONE;
}

/* Does the instruction make something that is needed? Then need what it is made of; the check moves back to it. */
static void feed(const struct cp_origin *t, const struct cp_flow_insn *at, struct cp_origin_need *need,
	struct cp_check *check)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	bool constant = true;
	ZydisRegister made;

	if (!cp_decode(t->code, at->part, at->address, &insn, operands))
		return;
	if (at->kind == CP_FLOW_CALL) {
		pass_call(t, at, need, check);
		return;
	}
	feed_pointer(t, at, &insn, operands, need, check);
	made = made_register(t, &insn, operands, need);
	if (!satisfy(t, &insn, operands, need))
		return;
	if (cpu_answers(insn.mnemonic) && !check->source) {
		check->source = CP_SOURCE_CPU;
		check->source_at = at->address;
		check->source_register = made;
	}
	if (insn.cpu_flags && insn.cpu_flags->tested) {
		need->flags = insn.cpu_flags->tested;	/* setcc, adc, cmov */
		constant = false;
	}
	for (int i = 0; i < insn.operand_count; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		struct cp_origin_place place;

		if (insn.mnemonic == ZYDIS_MNEMONIC_LEA && i == 1)
			constant = !need_address(t->code, need, op);
		if (!reads(op))
			continue;
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(op->reg.value) && !makes_zero(&insn, operands)) {
			need_register(t->code, need, op->reg.value);
			constant = false;
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_MEM) {
			constant = false;
			if (is_place(t->code, op, &place) && is_stack(place.base))
				need_slot(need, &place);
			else if (!need->table || !need_address(t->code, need, op))
				take_load(t, at, &insn, op, need, check);
			need->table &= is_place(t->code, op, &place) && is_stack(place.base);
		}
	}
	if (constant && insn.mnemonic != ZYDIS_MNEMONIC_MOV && !is_address(&insn, operands) && !makes_zero(&insn, operands)) {
		need->loaded = true;	/* rdtsc, cpuid, in: the CPU answers */
		constant = false;
	}
	if (!constant)
		check->address = at->address;
}

struct cp_origin_need cp_origin_branch(const struct cp_origin *trace, size_t branch)
{
	const struct cp_flow_insn *at = &trace->flow->insns[branch];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct cp_origin_need need = { .flags = 0 };
	ZydisDecodedInstruction insn;

	if (!cp_decode(trace->code, at->part, at->address, &insn, operands))
		return need;
	if (insn.cpu_flags)
		need.flags = insn.cpu_flags->tested;
	if (at->kind == CP_FLOW_JUMP) {
		need.table = operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY || !need_address(trace->code, &need, &operands[0]);
		if (operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
			need_register(trace->code, &need, operands[0].reg.value);
		return need;
	}
	for (int i = 0; i < insn.operand_count; i++) {		/* jrcxz, loop; cmov's operands are what it chooses from */
		if (!need.flags && operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
			need_register(trace->code, &need, operands[i].reg.value);
	}
	return need;
}

enum cp_origin_end cp_origin_back(const struct cp_origin *trace, size_t from, struct cp_origin_need *need,
	struct cp_check *check, size_t *join)
{
	const struct cp_flow *flow = trace->flow;
	size_t i = from;

	for (int steps = 0; steps < MAX_STEPS; steps++) {
		const struct cp_flow_block *block = &flow->blocks[flow->insns[i].block];
		bool needed = anything_needed(need);

		if (!needed && need->pointer.base == ZYDIS_REGISTER_NONE)
			return need->loaded ? CP_ORIGIN_VALUE : CP_ORIGIN_CONSTANT;
		if (i > block->first) {
			i--;
		} else if (block->predecessor_count == 1) {
			i = flow->blocks[flow->predecessors[block->first_predecessor]].last;
		} else {
			*join = flow->insns[i].block;
			for (ZydisRegister r = 0; r <= ZYDIS_REGISTER_MAX_VALUE && !block->predecessor_count && !check->source; r++) {
				if (need->registers[r]) {
					check->source = CP_SOURCE_ARGUMENT;
					check->source_register = r;
				}
			}
			return needed && block->predecessor_count ? CP_ORIGIN_JOIN : CP_ORIGIN_VALUE;	/* an argument */
		}
		feed(trace, &flow->insns[i], need, check);
	}
	return CP_ORIGIN_LOST;
}

enum cp_origin_end cp_origin_block(const struct cp_origin *trace, size_t block, struct cp_origin_need *need,
	struct cp_check *check, size_t *join)
{
	size_t last = trace->flow->blocks[block].last;

	feed(trace, &trace->flow->insns[last], need, check);
	return cp_origin_back(trace, last, need, check, join);
}
