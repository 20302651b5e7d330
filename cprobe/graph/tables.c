/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/scan.h"
#include "graph/tables.h"

/* So far in front of an element a set begins, at most. */
#define LARGEST_SET ((uint64_t)64 << 10)

void cp_table_at(const struct cp_graph *graph, uint64_t place, unsigned int width, struct cp_table *ret)
{
	const struct cp_symbols *symbols = &graph->program->symbols;
	const struct cp_symbol *object = cp_symbols_at(symbols, place, false);
	const struct cp_section *section = cp_image_section_at(graph->program->image, place);

	*ret = (struct cp_table){ .start = place, .end = place + width, .name = object ? object->name : NULL };
	ret->section = section && section->name[0] ? section->name : NULL;
	if (object && object->size && place - object->address < object->size) {
		ret->start = object->address;
		ret->end = object->address + object->size;
	}
	if (ret->name)
		return;
	for (size_t i = cp_symbols_lower(symbols, place); i < symbols->count; i++) {
		const struct cp_symbol *label = symbols->by_address[i];

		if (label->address != place)
			break;
		if (label->name[0] && label->bind == STB_LOCAL) {	/* a global one marks where something begins */
			ret->name = label->name;
			break;
		}
	}
}

/* What linkers, and the scripts of all kernels, call the label in front of a set. */
static bool is_beginning(const char *name)
{
	return strstr(name, "start") || strstr(name, "begin");
}

static bool is_end(const char *name)
{
	return !is_beginning(name) && (strstr(name, "end") || strstr(name, "stop"));
}

bool cp_table_set(const struct cp_graph *graph, const struct cp_table *table, struct cp_table *ret)
{
	const struct cp_symbols *symbols = &graph->program->symbols;
	const struct cp_section *section = cp_image_section_at(graph->program->image, table->start);
	size_t at = cp_symbols_lower(symbols, table->start + 1);
	uint64_t ended = 0;		/* an earlier set ends there: one that begins there too is meant, or none */

	while (section && at > 0) {
		const struct cp_symbol *label = symbols->by_address[--at];

		if (label->address < section->address || table->start - label->address > LARGEST_SET ||
			label->address < ended)
			break;
		if (label->type == STT_NOTYPE && label->bind != STB_LOCAL && is_end(label->name))
			ended = label->address;
		if (label->type != STT_NOTYPE || label->bind == STB_LOCAL || !is_beginning(label->name))
			continue;
		*ret = (struct cp_table){ label->address, label->address + 1, label->name, table->section };
		return true;
	}
	return false;
}

static uint32_t lower_ref(const struct cp_graph *graph, uint64_t place)
{
	uint32_t low = graph->code_count, high = graph->ref_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->refs[middle].place < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void cp_table_refs(const struct cp_graph *graph, const struct cp_table *table, uint32_t *first, uint32_t *end)
{
	*first = lower_ref(graph, table->start);
	*end = lower_ref(graph, table->end);
}

void cp_data_pointers_deinit(struct cp_data_pointers *pointers)
{
	free(pointers->items);
	*pointers = (struct cp_data_pointers){ .items = NULL };
}

static struct cp_error *add_pointers(struct cp_data_pointers *pointers, const struct cp_image *image,
	const struct cp_section *section, uint64_t low, uint64_t size)
{
	uint64_t step = image->elf_class == ELFCLASS64 ? 8 : 4;
	const uint8_t *bytes = cp_section_bytes(image, section);

	for (uint64_t at = -section->address % step; bytes && at < section->size && section->size - at >= step; at += step) {
		uint64_t value = step == 8 ? cp_read64(bytes + at) : cp_read32(bytes + at);
		struct cp_keyed *items;

		if (value - low >= size)
			continue;
		items = cp_grow(pointers->items, pointers->count, sizeof(*items));
		if (!items)
			return &cp_error_no_memory;
		pointers->items = items;
		items[pointers->count++] = (struct cp_keyed){ value, section->address + at };
	}
	return NULL;
}

/* Words that may point into loaded sections which are not code. */
static struct cp_error *read_pointers(const struct cp_graph *graph, struct cp_data_pointers *pointers)
{
	const struct cp_image *image = graph->program->image;
	uint64_t low = UINT64_MAX, high = 0;
	struct cp_error *error = NULL;

	pointers->is_read = true;
	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_section *s = &image->sections[i];

		if (!(s->flags & SHF_ALLOC) || !s->address || !s->size || ((s->flags & SHF_EXECINSTR) && !graph->code.has_data))
			continue;
		low = s->address < low ? s->address : low;
		high = s->address + s->size > high ? s->address + s->size : high;
	}
	for (size_t i = 1; i < image->section_count && !error && low < high; i++) {
		const struct cp_section *s = &image->sections[i];

		if (cp_section_has_pointers(graph, s))
			error = add_pointers(pointers, image, s, low, high - low);
	}
	return error || cp_radix_sort(pointers->items, pointers->count) ? error : &cp_error_no_memory;
}

struct users {
	struct cp_graph *graph;
	const struct cp_table *table;
	uint64_t place;
	struct cp_table_user *items;
	size_t count;
};

/* A table that more places refer to than this is no table of methods. */
#define MOST_USERS 1024

static struct cp_error *add_user(struct users *users, const struct cp_table_user *user)
{
	struct cp_table_user *items;

	if (users->count == MOST_USERS)
		return NULL;
	items = cp_grow(users->items, users->count, sizeof(*items));
	if (!items)
		return &cp_error_no_memory;
	users->items = items;
	items[users->count++] = *user;
	return NULL;
}

/* The address that an operand is or has; *fixed: it is memory just there. False: neither. */
static bool address_of(const struct cp_graph *graph, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op,
	uint64_t at, uint64_t *ret, bool *fixed)
{
	bool relative = op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP;
	ZyanU64 target;

	*fixed = false;
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !op->imm.is_relative) {
		target = op->imm.is_signed ? (ZyanU64)op->imm.value.s : op->imm.value.u;
	} else if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.segment == ZYDIS_REGISTER_GS ||
		op->mem.segment == ZYDIS_REGISTER_FS) {
		return false;
	} else if (relative && op->mem.index == ZYDIS_REGISTER_NONE) {
		if (!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, op, at, &target)))
			return false;
		*fixed = op->mem.type == ZYDIS_MEMOP_TYPE_MEM;
	} else {
		target = (ZyanU64)op->mem.disp.value;
	}
	*ret = cp_code_wrap(&graph->code, target);
	return true;
}

static struct cp_error *visit(void *context, const struct cp_code_part *part, uint64_t address)
{
	struct users *users = context;
	const struct cp_table *table = users->table;
	struct cp_graph *graph = users->graph;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct cp_table_user user = { .site = address };
	ZydisDecodedInstruction insn;
	bool refers = false;

	if (!cp_decode(&graph->code, part, address, &insn, operands))
		return NULL;
	for (int i = 0; i < insn.operand_count_visible; i++) {
		uint64_t target;
		bool fixed;

		/* What a loop compares with is the end of what lies in front of the table. */
		if (insn.mnemonic == ZYDIS_MNEMONIC_CMP && operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			continue;
		if (!address_of(graph, &insn, &operands[i], address, &target, &fixed) ||
			target - table->start >= table->end - table->start || (fixed ? target != users->place : target > users->place))
			continue;
		refers = true;
		user.exact |= fixed && (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ);
		user.calls |= fixed && (insn.meta.category == ZYDIS_CATEGORY_CALL || insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR);
	}
	user.from = cp_function_around(&graph->functions, address);
	return refers ? add_user(users, &user) : NULL;
}

struct cp_error *cp_table_users(struct cp_graph *graph, struct cp_data_pointers *pointers, const struct cp_table *table,
	uint64_t place, struct cp_table_user **ret, size_t *count)
{
	struct cp_scan_span span = { table->start, table->end - 1 };
	struct cp_scan scan = { .spans = &span, .span_count = 1 };
	struct users users = { .graph = graph, .table = table, .place = place };
	struct cp_error *error = pointers->is_read ? NULL : read_pointers(graph, pointers);

	if (!error)
		error = cp_scan_code(&graph->code, &scan, visit, &users);
	for (size_t i = error ? 0 : cp_keyed_lower(pointers->items, pointers->count, table->start);
		i < pointers->count && pointers->items[i].key < table->end && !error; i++) {
		uint64_t word = pointers->items[i].index;

		if (word - table->start >= table->end - table->start)	/* a list's head points to itself */
			error = add_user(&users, &(struct cp_table_user){ .site = word, .from = CP_NO_FUNCTION, .data = true });
	}
	if (error) {
		free(users.items);
		return error;
	}
	*ret = users.items;
	*count = users.count;
	return NULL;
}
