/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "answer/functions.h"
#include "base/record.h"
#include "code/input.h"
#include "graph/condition.h"

/* The instruction whose flags the branch reads: so far back it may be. */
#define MAX_BACK 16

struct comparison {
	const char *is, *is_not;	/* after "cmp a, b": a OP b when the branch is taken, when it is not */
	const char *zero, *not_zero;	/* after what sets the flags by a result: RESULT OP 0 */
};

static const struct comparison *comparison_of(ZydisMnemonic mnemonic)
{
	static const struct {
		ZydisMnemonic mnemonic;
		struct comparison how;
	} table[] = {
		{ ZYDIS_MNEMONIC_JZ, { "==", "!=", "==", "!=" } },
		{ ZYDIS_MNEMONIC_JNZ, { "!=", "==", "!=", "==" } },
		{ ZYDIS_MNEMONIC_JB, { "<", ">=", NULL, NULL } },
		{ ZYDIS_MNEMONIC_JNB, { ">=", "<", NULL, NULL } },
		{ ZYDIS_MNEMONIC_JBE, { "<=", ">", "==", "!=" } },
		{ ZYDIS_MNEMONIC_JNBE, { ">", "<=", "!=", "==" } },
		{ ZYDIS_MNEMONIC_JL, { "<", ">=", "<", ">=" } },
		{ ZYDIS_MNEMONIC_JNL, { ">=", "<", ">=", "<" } },
		{ ZYDIS_MNEMONIC_JLE, { "<=", ">", "<=", ">" } },
		{ ZYDIS_MNEMONIC_JNLE, { ">", "<=", ">", "<=" } },
		{ ZYDIS_MNEMONIC_JS, { NULL, NULL, "<", ">=" } },
		{ ZYDIS_MNEMONIC_JNS, { NULL, NULL, ">=", "<" } },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].mnemonic == mnemonic)
			return &table[i].how;
	}
	return NULL;
}

/* Adds to a text that may be full. */
static void __attribute__((format(printf, 2, 3))) append(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + used, CP_LONGEST_CONDITION - used, format, ap);
	va_end(ap);
}

/* The argument that is in the register at the function's entry: by DWARF, else "argument 1" by the convention. */
static struct cp_error *name_argument(struct cp_program *program, uint64_t entry, ZydisRegister reg, char *text)
{
	static const char *const order[] = { "rdi", "rsi", "rdx", "rcx", "r8", "r9" };
	const char *own = ZydisRegisterGetString(reg);
	struct cp_records records;
	struct cp_record *record;
	struct cp_error *error;
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, entry, true);

	cp_records_init(&records, CP_FULL);
	record = cp_records_add(&records, CP_KIND_FUNCTION, entry);
	if (!record) {
		cp_records_deinit(&records);
		return &cp_error_no_memory;
	}
	record->name = symbol ? symbol->name : NULL;
	error = cp_function_details(program, &records, record);
	for (size_t i = 0; !error && record->details && i < record->details->arg_count && !*text; i++) {
		const struct cp_arg *arg = &record->details->args[i];

		if (arg->name && arg->location && own && !strcmp(arg->location, own))
			append(text, "%.64s", arg->name);
	}
	cp_records_deinit(&records);
	for (size_t i = 0; i < sizeof(order) / sizeof(*order) && !*text && own; i++) {
		if (!strcmp(order[i], own))
			append(text, "argument %zu", i + 1);
	}
	return error;
}

static struct cp_error *name_cpu(struct cp_program *program, const struct cp_origin *trace, const struct cp_check *check,
	char *text)
{
	size_t at = cp_flow_insn_at(trace->flow, check->source_at);
	const char *reg = ZydisRegisterGetString(check->source_register), *mnemonic;
	ZydisDecodedInstruction insn;
	struct cp_error *error = NULL;
	struct cp_inputs inputs;
	bool known = false;
	uint32_t input = 0;

	if (at == CP_FLOW_NONE || !cp_decode(trace->code, trace->flow->insns[at].part, check->source_at, &insn, NULL))
		return NULL;
	mnemonic = ZydisMnemonicGetString(insn.mnemonic);
	if (cp_input_is_of(mnemonic)) {
		cp_inputs_init(program, trace->code, &inputs);
		error = cp_inputs_read(&inputs, check->source_at, &known, &input);
		cp_inputs_deinit(&inputs);
	}
	append(text, "%s(", mnemonic);
	if (known)
		append(text, "0x%" PRIx32, input);
	append(text, ")");
	if (insn.mnemonic == ZYDIS_MNEMONIC_CPUID && reg)
		append(text, ".%s", reg[0] == 'r' ? (reg[1] == 'a' ? "eax" : reg[1] == 'b' ? "ebx" : reg[1] == 'c' ? "ecx" :
			"edx") : reg);
	return error;
}

/* What the test looks at. "" where that is not known. */
static struct cp_error *name_source(struct cp_program *program, const struct cp_origin *trace, uint64_t entry,
	const struct cp_check *check, char *text)
{
	const struct cp_symbol *symbol;

	switch (check->source) {
	case CP_SOURCE_MEMORY:
		if (check->variable) {
			symbol = cp_symbols_at(&program->symbols, check->variable_address, false);
			append(text, "%.64s", check->variable);
			if (symbol && symbol->address != check->variable_address)
				append(text, "+0x%" PRIx64, check->variable_address - symbol->address);
		} else if (check->variable_address) {
			append(text, "*0x%" PRIx64, check->variable_address);
		} else if (check->source_register != ZYDIS_REGISTER_NONE) {
			const char *base = ZydisRegisterGetString(check->source_register);
			int64_t offset = check->source_offset;

			if (offset)
				append(text, "*(%s %c 0x%" PRIx64 ")", base, offset < 0 ? '-' : '+', (uint64_t)(offset < 0 ? -offset : offset));
			else
				append(text, "*%s", base);
		}
		return NULL;
	case CP_SOURCE_RETURNED:
	case CP_SOURCE_STORED:
		symbol = check->source_target ? cp_symbols_at(&program->symbols, check->source_target, true) : NULL;
		if (!symbol || symbol->address != check->source_target)
			append(text, check->source == CP_SOURCE_STORED ? "what a call stored" : "a call's result");
		else
			append(text, check->source == CP_SOURCE_STORED ? "what %.64s() stored" : "%.64s()", symbol->name);
		return NULL;
	case CP_SOURCE_CPU:
		return name_cpu(program, trace, check, text);
	case CP_SOURCE_ARGUMENT:
		return name_argument(program, entry, check->source_register, text);
	case CP_SOURCE_UNKNOWN:
		break;
	}
	return NULL;
}

/* The instruction that sets what the branch reads; the branch itself: none near. */
static size_t flags_of(const struct cp_origin *trace, size_t branch, ZydisAccessedFlagsMask wanted,
	ZydisDecodedInstruction *insn, ZydisDecodedOperand *operands)
{
	const struct cp_flow *flow = trace->flow;
	size_t i = branch;

	for (int steps = 0; steps < MAX_BACK; steps++) {
		const struct cp_flow_block *block = &flow->blocks[flow->insns[i].block];

		if (i > block->first)
			i--;
		else if (block->predecessor_count == 1)
			i = flow->blocks[flow->predecessors[block->first_predecessor]].last;
		else
			break;
		if (!cp_decode(trace->code, flow->insns[i].part, flow->insns[i].address, insn, operands))
			break;
		if (insn->cpu_flags && ((insn->cpu_flags->modified | insn->cpu_flags->set_0 | insn->cpu_flags->set_1) & wanted))
			return i;
	}
	return branch;
}

/* What lies between the value that was read and the one that is compared. */
struct between {
	bool has_mask, opaque;		/* opaque: it is not known, or something else than a mask */
	uint64_t mask;
};

/* Where the compared value is: in a register, or in a place on the stack. */
struct holder {
	ZydisRegister reg;		/* the widest form; ZYDIS_REGISTER_NONE: in memory */
	ZydisRegister base;
	int64_t offset;
};

static bool holds(const struct cp_origin *trace, const ZydisDecodedOperand *op, struct holder *ret)
{
	*ret = (struct holder){ .reg = ZYDIS_REGISTER_NONE };
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		ret->reg = cp_widest(trace->code, op->reg.value);
		return true;
	}
	ret->base = op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base != ZYDIS_REGISTER_NONE ?
		cp_widest(trace->code, op->mem.base) : ZYDIS_REGISTER_NONE;
	ret->offset = op->type == ZYDIS_OPERAND_TYPE_MEMORY ? op->mem.disp.value : 0;
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.index == ZYDIS_REGISTER_NONE &&
		(ret->base == ZYDIS_REGISTER_RSP || ret->base == ZYDIS_REGISTER_RBP || ret->base == ZYDIS_REGISTER_ESP ||
		ret->base == ZYDIS_REGISTER_EBP);
}

static bool is_move(ZydisMnemonic mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_MOV || mnemonic == ZYDIS_MNEMONIC_MOVZX || mnemonic == ZYDIS_MNEMONIC_MOVSX ||
		mnemonic == ZYDIS_MNEMONIC_MOVSXD;
}

static bool is_same(const struct holder *a, const struct holder *b)
{
	return a->reg == b->reg && (a->reg != ZYDIS_REGISTER_NONE || (a->base == b->base && a->offset == b->offset));
}

/*
 * One instruction before: does it make the value? Then the holder is what it makes it of. False: the value was read there.
 */
static bool step_back(const struct cp_origin *trace, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands,
	struct holder *holder, struct between *between)
{
	struct holder to;

	if (insn->meta.category == ZYDIS_CATEGORY_CALL)
		return holder->reg != ZYDIS_REGISTER_RAX && holder->reg != ZYDIS_REGISTER_EAX;
	if (holder->reg != ZYDIS_REGISTER_NONE && insn->operand_count && !insn->operand_count_visible &&
		cp_writes_register(trace->code, insn, operands, holder->reg))
		return false;			/* cpuid */
	if (!insn->operand_count_visible || !(operands[0].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ||
		!holds(trace, &operands[0], &to) || !is_same(&to, holder))
		return true;
	if (is_move(insn->mnemonic))
		return holds(trace, &operands[1], holder);
	if (insn->mnemonic == ZYDIS_MNEMONIC_AND && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !between->has_mask) {
		between->has_mask = true;
		between->mask = operands[1].imm.value.u;
		return true;
	}
	between->opaque = true;
	return false;
}

/* From the instruction that compares back to where its first operand was read. */
static struct between read_between(const struct cp_origin *trace, size_t flags, const ZydisDecodedOperand *compared,
	const struct cp_check *check)
{
	const struct cp_flow *flow = trace->flow;
	struct between ret = { .has_mask = false };
	struct holder holder;
	size_t i = flags;

	if (!holds(trace, compared, &holder))
		return ret;			/* a variable itself */
	for (int steps = 0; steps < MAX_BACK * 4; steps++) {
		const struct cp_flow_block *block = &flow->blocks[flow->insns[i].block];
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;

		if (i > block->first)
			i--;
		else if (block->predecessor_count == 1)
			i = flow->blocks[flow->predecessors[block->first_predecessor]].last;
		else
			break;
		if (!cp_decode(trace->code, flow->insns[i].part, flow->insns[i].address, &insn, operands))
			break;
		if (!step_back(trace, &insn, operands, &holder, &ret))
			return ret;
	}
	ret.opaque |= check->source != CP_SOURCE_ARGUMENT;
	return ret;
}

static const ZydisDecodedOperand *constant_of(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
	for (int i = 0; i < insn->operand_count_visible; i++) {
		if (operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return &operands[i];
	}
	return NULL;
}

static void append_constant(const struct cp_program *program, char *text, uint64_t value, unsigned int bits)
{
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, value, true);

	if (bits >= 32 && symbol && symbol->address == value) {		/* is it that function that a pointer points to? */
		append(text, "%.64s", symbol->name);
		return;
	}
	if (bits < 64)
		value &= (UINT64_C(1) << bits) - 1;
	append(text, value < 10 ? "%" PRIu64 : "0x%" PRIx64, value);
}

/* "SOURCE OP CONSTANT", by the instruction that sets the flags. */
static void print_comparison(const struct cp_program *program, const ZydisDecodedInstruction *branch, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, const char *source, bool taken, char *text)
{
	const struct comparison *how = comparison_of(branch->mnemonic);
	const ZydisDecodedOperand *constant = constant_of(insn, operands);
	const char *op, *zero;

	if (insn->mnemonic == ZYDIS_MNEMONIC_BT && constant && (branch->mnemonic == ZYDIS_MNEMONIC_JB ||
		branch->mnemonic == ZYDIS_MNEMONIC_JNB)) {
		append(text, "bit %" PRIu64 " of %s is %s", constant->imm.value.u, source,
			(branch->mnemonic == ZYDIS_MNEMONIC_JB) == taken ? "set" : "clear");
		return;
	}
	op = how ? taken ? how->is : how->is_not : NULL;
	zero = how ? taken ? how->zero : how->not_zero : NULL;
	if (insn->mnemonic == ZYDIS_MNEMONIC_CMP && op) {
		append(text, "%s %s ", source, op);
		if (constant)
			append_constant(program, text, constant->imm.value.u, operands[0].size);
		else
			append(text, "another value");
	} else if (insn->mnemonic == ZYDIS_MNEMONIC_TEST && zero && constant) {
		append(text, "(%s & ", source);
		append_constant(program, text, constant->imm.value.u, operands[0].size);
		append(text, ") %s 0", zero);
	} else if ((insn->mnemonic == ZYDIS_MNEMONIC_AND || insn->mnemonic == ZYDIS_MNEMONIC_SUB) && zero && constant) {
		append(text, "(%s %s ", source, insn->mnemonic == ZYDIS_MNEMONIC_AND ? "&" : "-");
		append_constant(program, text, constant->imm.value.u, operands[0].size);
		append(text, ") %s 0", zero);
	} else if (insn->mnemonic == ZYDIS_MNEMONIC_TEST && zero && operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[0].reg.value == operands[1].reg.value) {
		append(text, "%s %s 0", source, zero);
	} else {
		append(text, "a test of %s", source);
	}
}

static void compare(const struct cp_program *program, const struct cp_origin *trace, const struct cp_check *check,
	const ZydisDecodedInstruction *branch, size_t flags, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands,
	const char *source, bool taken, char *text)
{
	struct between between = read_between(trace, flags, &operands[0], check);
	char masked[CP_LONGEST_CONDITION];

	if (check->source == CP_SOURCE_STORED)	/* it is in memory, where anything may be done with it */
		between.opaque = false;
	if (between.opaque) {
		append(text, "a test of %s", source);
	} else if (between.has_mask) {
		snprintf(masked, sizeof(masked), "(%.128s & 0x%" PRIx64 ")", source, between.mask & UINT32_MAX);
		print_comparison(program, branch, insn, operands, masked, taken, text);
	} else {
		print_comparison(program, branch, insn, operands, source, taken, text);
	}
}

struct cp_error *cp_condition_read(struct cp_program *program, const struct cp_origin *trace, uint64_t entry,
	size_t branch, bool taken, struct cp_condition *ret)
{
	const struct cp_flow_insn *at = &trace->flow->insns[branch];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT], unused[ZYDIS_MAX_OPERAND_COUNT];
	struct cp_origin_need need = cp_origin_branch(trace, branch);
	char source[CP_LONGEST_CONDITION] = "";
	ZydisDecodedInstruction insn, jump;
	struct cp_error *error;
	size_t join, flags;

	*ret = (struct cp_condition){ .address = at->address, .check = { .address = at->address, .branch = at->address } };
	cp_origin_back(trace, branch, &need, &ret->check, &join);
	ret->address = ret->check.address;
	error = name_source(program, trace, entry, &ret->check, source);
	if (error || !source[0] || !cp_decode(trace->code, at->part, at->address, &jump, unused))
		return error;
	flags = jump.cpu_flags ? flags_of(trace, branch, jump.cpu_flags->tested, &insn, operands) : branch;
	if (at->kind != CP_FLOW_BRANCH || flags == branch)
		append(ret->text, "a test of %s", source);
	else
		compare(program, trace, &ret->check, &jump, flags, &insn, operands, source, taken, ret->text);
	return NULL;
}
