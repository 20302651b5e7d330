/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>

#include "base/arena.h"
#include "code/jumps.h"

/* How far in front of an indirect jump its table's address is loaded; else it may be anywhere in the function. */
#define TABLE_REACH 16

/* Entries of one table; ways of all tables. A hostile function is nothing but indirect jumps. */
#define LARGEST_TABLE 4096
#define MAX_WAYS ((size_t)1 << 17)

/*
 * A switch jumps by a table of addresses, or of distances of 32 bits from the table itself or, on i386, from the GOT. As
 * what a table is it is known by its entries: they are instructions of the function that jumps.
 */
enum table_form { TABLE_ABSOLUTE, TABLE_RELATIVE, TABLE_GOT, TABLE_FORMS };

struct table {
	uint64_t address;
	size_t jump;			/* instruction */
	size_t size;			/* entries, by the test in front of the jump; 0 unknown */
	enum table_form form;
};

struct tables {
	struct table *items;
	size_t count;
};

/* The instruction that entry `i` of the table leads to, or CP_FLOW_NONE. *readable: there is such an entry. */
static size_t table_entry(const struct cp_code *code, const struct cp_flow *flow, const struct table *table, size_t i,
	bool *readable)
{
	const struct cp_image *image = code->program->image;
	bool wide = table->form == TABLE_ABSOLUTE && image->elf_class == ELFCLASS64;
	uint64_t available = 0, target;
	const uint8_t *bytes = cp_image_at(image, cp_code_wrap(code, table->address + i * (wide ? 8 : 4)), &available);

	*readable = bytes && available >= (wide ? 8 : 4);
	if (!*readable)
		return CP_FLOW_NONE;
	target = wide ? cp_read64(bytes) : table->form == TABLE_ABSOLUTE ? cp_read32(bytes) :
		(uint64_t)(int32_t)cp_read32(bytes) + (table->form == TABLE_GOT ? code->got : table->address);
	return cp_flow_insn_at(flow, cp_code_wrap(code, target));
}

/* Is there a table of the function's instructions at the address? Two entries tell. */
static bool is_table(const struct cp_code *code, const struct cp_flow *flow, uint64_t address, struct table *table)
{
	table->address = address;
	for (int form = 0; form < TABLE_FORMS; form++) {
		bool readable;

		table->form = (enum table_form)form;
		if ((form != TABLE_GOT || code->got) && table_entry(code, flow, table, 0, &readable) != CP_FLOW_NONE &&
			table_entry(code, flow, table, 1, &readable) != CP_FLOW_NONE)
			return true;
	}
	return false;
}

/* The addresses that the instruction holds and that a table may have: a displacement counts from 0 or from the GOT. */
static int held_addresses(const struct cp_code *code, const struct cp_flow_insn *at, uint64_t ret[2])
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	int count = 0;

	if (!cp_decode(code, at->part, at->address, &insn, operands))
		return 0;
	for (int i = 0; i < insn.operand_count_visible && !count; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		ZyanU64 target;

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !op->imm.is_relative &&
			(insn.mnemonic == ZYDIS_MNEMONIC_MOV || insn.mnemonic == ZYDIS_MNEMONIC_ADD)) {
			ret[count++] = cp_code_wrap(code, op->imm.is_signed ? (uint64_t)op->imm.value.s : op->imm.value.u);
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base == ZYDIS_REGISTER_RIP) {
			if (insn.mnemonic == ZYDIS_MNEMONIC_LEA &&
				ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn, op, at->address, &target)))
				ret[count++] = target;
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.disp.has_displacement) {
			ret[count++] = cp_code_wrap(code, (uint64_t)op->mem.disp.value);
			if (code->got && op->mem.base != ZYDIS_REGISTER_NONE)
				ret[count++] = cp_code_wrap(code, code->got + (uint64_t)op->mem.disp.value);
		}
	}
	return count;
}

static bool holds_table(const struct cp_code *code, const struct cp_flow *flow, size_t insn, struct table *table)
{
	uint64_t addresses[2];
	int count = held_addresses(code, &flow->insns[insn], addresses);

	for (int i = 0; i < count; i++) {
		if (is_table(code, flow, addresses[i], table))
			return true;
	}
	return false;
}

/* `cmp REGISTER, 5; ja DEFAULT; ...` ahead of the jump, with no other branch in between: a table of six. 0 unknown. */
static size_t tested_size(const struct cp_code *code, const struct cp_flow *flow, size_t jump)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	size_t i = jump;
	bool above;

	for (int steps = 0; steps < TABLE_REACH && cp_flow_follows(flow, i) && flow->insns[i - 1].kind == CP_FLOW_NEXT; steps++)
		i--;
	if (!cp_flow_follows(flow, i) || !cp_flow_follows(flow, i - 1) || flow->insns[i - 1].kind != CP_FLOW_BRANCH ||
		!cp_decode(code, flow->insns[i - 1].part, flow->insns[i - 1].address, &insn, NULL))
		return 0;
	above = insn.mnemonic == ZYDIS_MNEMONIC_JNBE;
	if ((!above && insn.mnemonic != ZYDIS_MNEMONIC_JNB) ||
		!cp_decode(code, flow->insns[i - 2].part, flow->insns[i - 2].address, &insn, operands) ||
		(insn.mnemonic != ZYDIS_MNEMONIC_CMP && insn.mnemonic != ZYDIS_MNEMONIC_SUB) ||
		operands[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || operands[1].imm.value.u >= LARGEST_TABLE)
		return 0;
	return operands[1].imm.value.u + above;
}

/* The table that the instructions right ahead of the jump load the address of. */
static bool near_table(const struct cp_code *code, const struct cp_flow *flow, size_t jump, struct table *ret)
{
	size_t i = jump;

	for (int steps = 0; steps < TABLE_REACH; steps++, i--) {
		if (holds_table(code, flow, i, ret))
			return true;
		if (!cp_flow_follows(flow, i) || flow->insns[i - 1].kind == CP_FLOW_JUMP || flow->insns[i - 1].kind == CP_FLOW_END)
			break;
	}
	return false;
}

/*
 * Does the jump leave the function? It does when the stack is put in order for it, or when it goes where a word that no
 * index chose points to, or where the caller said: `jmp *8(%rdi)`, `mov 8(%rdi), %rax; jmp *%rax`, `jmp *%rsi`.
 */
bool cp_jump_is_tail_call(const struct cp_code *code, const struct cp_flow *flow, size_t jump)
{
	ZydisRegister stack = cp_widest(code, ZYDIS_REGISTER_ESP), frame = cp_widest(code, ZYDIS_REGISTER_EBP);
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisRegister reg = ZYDIS_REGISTER_NONE;
	ZydisDecodedInstruction insn;

	for (size_t i = jump, steps = 0; steps < TABLE_REACH; steps++, i--) {
		const struct cp_flow_insn *at = &flow->insns[i];
		const ZydisDecodedOperand *from = &operands[i == jump ? 0 : 1];

		if (!cp_decode(code, at->part, at->address, &insn, operands) || cp_writes_register(code, &insn, operands, stack))
			return true;
		if (i == jump || cp_writes_register(code, &insn, operands, reg)) {
			if (i != jump && insn.mnemonic != ZYDIS_MNEMONIC_MOV)
				return false;
			if (from->type == ZYDIS_OPERAND_TYPE_MEMORY)
				return from->mem.index == ZYDIS_REGISTER_NONE && cp_widest(code, from->mem.base) != stack &&
					cp_widest(code, from->mem.base) != frame;
			if (from->type != ZYDIS_OPERAND_TYPE_REGISTER)
				return true;
			reg = cp_widest(code, from->reg.value);
		}
		if (!cp_flow_follows(flow, i) || flow->insns[i - 1].kind != CP_FLOW_NEXT)
			break;
	}
	return true;
}

bool cp_jump_is_indirect(const struct cp_flow_insn *at)
{
	return at->kind == CP_FLOW_JUMP && !at->target;
}

static struct cp_error *add_table(struct tables *tables, const struct table *table)
{
	struct table *items = cp_grow(tables->items, tables->count, sizeof(*items));

	if (!items)
		return &cp_error_no_memory;
	tables->items = items;
	items[tables->count++] = *table;
	return NULL;
}

/* A loop keeps its table's address in a register: the tables whose addresses any instruction of the function loads. */
static struct cp_error *loaded_tables(const struct cp_code *code, const struct cp_flow *flow, struct tables *ret)
{
	struct cp_error *error = NULL;
	struct table table;

	for (size_t i = 0; i < flow->insn_count && !error; i++) {
		table = (struct table){ .jump = i };
		if (holds_table(code, flow, i, &table))
			error = add_table(ret, &table);
	}
	return error;
}

static struct cp_error *find_tables(const struct cp_code *code, const struct cp_flow *flow, struct tables *ret)
{
	struct tables loaded = { NULL, 0 };
	struct cp_error *error = NULL;
	bool looked = false;
	size_t next = 0;		/* of `loaded`: the first one behind the jump */

	for (size_t i = 0; i < flow->insn_count && !error; i++) {
		struct table table = { .jump = i };
		bool found = cp_jump_is_indirect(&flow->insns[i]) && near_table(code, flow, i, &table);

		if (cp_jump_is_indirect(&flow->insns[i]) && !found && !cp_jump_is_tail_call(code, flow, i)) {
			error = looked ? NULL : loaded_tables(code, flow, &loaded);
			looked = true;
			while (next < loaded.count && loaded.items[next].jump < i)
				next++;
			found = loaded.count;
			if (found)
				table = loaded.items[next ? next - 1 : 0];
		}
		table.jump = i;
		table.size = found ? tested_size(code, flow, i) : 0;
		if (found && !error)
			error = add_table(ret, &table);
	}
	free(loaded.items);
	return error;
}

static int compare_tables(const void *left, const void *right)
{
	const struct table *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

static int compare_edges(const void *left, const void *right)
{
	const struct cp_flow_edge *a = left, *b = right;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to < b->to ? -1 : a->to > b->to;
}

/* Sorted, each once. */
static size_t tidy_edges(struct cp_flow_edge *edges, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(edges, count, sizeof(*edges), compare_edges);
	for (size_t i = 0; i < count; i++) {
		if (!kept || compare_edges(&edges[kept - 1], &edges[i]))
			edges[kept++] = edges[i];
	}
	return kept;
}

/* Where the indirect jumps lead by their tables: a table ends where the test says, or its entries, or another begins. */
struct cp_error *cp_jumps_read(const struct cp_code *code, struct cp_flow *flow)
{
	struct tables tables = { NULL, 0 };
	struct cp_error *error = find_tables(code, flow, &tables);
	size_t budget = MAX_WAYS;

	if (tables.count)
		qsort(tables.items, tables.count, sizeof(*tables.items), compare_tables);
	for (size_t t = 0, behind = 0; t < tables.count && !error; t++) {
		const struct table *table = &tables.items[t];
		size_t limit = table->size ? table->size : LARGEST_TABLE;
		bool readable = true;

		while (behind < tables.count && tables.items[behind].address <= table->address)
			behind++;
		for (size_t i = 0; i < limit && readable && budget && !error; i++, budget--) {
			uint64_t at = table->address +
				i * (table->form == TABLE_ABSOLUTE && code->program->image->elf_class == ELFCLASS64 ? 8 : 4);
			size_t to = table_entry(code, flow, table, i, &readable);

			if (!table->size && (to == CP_FLOW_NONE || (behind < tables.count && at >= tables.items[behind].address)))
				break;
			if (to != CP_FLOW_NONE)
				error = cp_flow_add_edge(&flow->ways, &flow->way_count, table->jump, to);
		}
	}
	free(tables.items);
	flow->way_count = tidy_edges(flow->ways, flow->way_count);
	return error;
}
