/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/pointers.h"

/* A table is not looked for farther in front of its element than this. */
#define LARGEST_TABLE ((uint64_t)64 << 10)

#define LARGEST_WORK ((size_t)1 << 24)

/* How many instructions after the load of a table's address may use it. */
#define MAX_STEPS 32

struct word {
	uint64_t address;	/* of the word */
	uint64_t first;		/* address of the variable that it is in; of the word where no symbol says it */
	uint64_t pointer;	/* what it holds */
};

struct search {
	const struct cp_code *code;
	const struct cp_scan *addresses;
	struct word *words;		/* sorted by address */
	size_t word_count;
	unsigned int word_size;		/* bytes */
	size_t budget;			/* of words and bytes looked at; what compilers make needs a thousandth */
	struct cp_error *(*found)(void *context, uint64_t address, uint64_t word, uint64_t pointer);
	void *context;
};

/* An address in a register, as the code behind its load uses it. */
struct base {
	ZydisRegister reg;		/* the widest form */
	uint64_t address;
	uint64_t stride;		/* plus any multiple of it; 0: none */
};

static struct cp_error *add_word(struct search *s, uint64_t address, uint64_t pointer)
{
	const struct cp_symbol *symbol = cp_symbols_at(&s->code->program->symbols, address, false);
	struct word *words = cp_grow(s->words, s->word_count, sizeof(*words));
	struct word word = { address, address, pointer };

	if (!words)
		return &cp_error_no_memory;
	if (symbol && symbol->size && address - symbol->address < LARGEST_TABLE)
		word.first = symbol->address;
	s->words = words;
	words[s->word_count++] = word;
	return NULL;
}

static struct cp_error *search_data(struct search *s, const uint8_t *bytes, uint64_t size, uint64_t address)
{
	const struct cp_scan *scan = s->addresses;
	uint64_t low = scan->spans[0].first, reach = scan->spans[scan->span_count - 1].last - low;
	struct cp_error *error = NULL;

	for (uint64_t at = -address % s->word_size; at < size && size - at >= s->word_size && !error; at += s->word_size) {
		uint64_t value = s->word_size == 8 ? cp_read64(bytes + at) : cp_read32(bytes + at);

		if (value - low <= reach && cp_scan_span_at(scan, value))
			error = add_word(s, address + at, value);
	}
	return error;
}

/* Small kernels link their data into .text: does it hold objects, or any of the addresses? */
static bool is_data_in_code(const struct search *s)
{
	struct cp_region region;

	for (size_t i = 0; i < s->addresses->span_count; i++) {
		if (cp_region_at(s->code, s->addresses->spans[i].first, &region))
			return true;
	}
	return s->code->has_data;
}

static struct cp_error *find_words(struct search *s)
{
	const struct cp_image *image = s->code->program->image;
	bool all = is_data_in_code(s);
	struct cp_error *error = NULL;

	for (size_t i = 1; i < image->section_count && !error; i++) {
		const struct cp_section *section = &image->sections[i];

		if ((section->flags & (SHF_ALLOC | SHF_COMPRESSED)) == SHF_ALLOC && (all || !(section->flags & SHF_EXECINSTR)) &&
			section->type == SHT_PROGBITS && strncmp(section->name, ".BTF", 4) && strncmp(section->name, ".orc_", 5))
			error = search_data(s, cp_section_bytes(image, section), section->size, section->address);
	}
	for (size_t i = 0; i < image->segment_count && !error && !image->section_count; i++) {
		const struct cp_segment *segment = &image->segments[i];

		if (segment->type == PT_LOAD && (all || !(segment->flags & PF_X)))
			error = search_data(s, image->data + segment->offset, segment->filesz, segment->vaddr);
	}
	return error;
}

/* Report the words that a load of first + n * stride reads; stride 0: of that address alone. */
static struct cp_error *report(struct search *s, uint64_t load, uint64_t first, uint64_t stride)
{
	size_t low = 0, high = s->word_count;
	struct cp_error *error = NULL;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->words[middle].address < first)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < s->word_count && s->budget && !error; low++, s->budget--) {
		const struct word *word = &s->words[low];
		uint64_t offset = word->address - first;

		if (offset && (!stride || offset >= LARGEST_TABLE))
			break;
		if (!offset || (first >= word->first && offset % stride == 0))
			error = s->found(s->context, load, word->address, word->pointer);
	}
	return error;
}

/* The memory operand that the instruction loads, moves or pushes a whole pointer from; NULL: none. */
static const ZydisDecodedOperand *loaded(const struct search *s, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands)
{
	int source = insn->mnemonic == ZYDIS_MNEMONIC_PUSH ? 0 : 1;

	if (insn->mnemonic != ZYDIS_MNEMONIC_MOV && insn->mnemonic != ZYDIS_MNEMONIC_PUSH &&
		insn->meta.category != ZYDIS_CATEGORY_CMOV)
		return NULL;
	if (insn->operand_count_visible <= source || operands[source].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		operands[source].size != s->word_size * 8 || operands[source].mem.segment == ZYDIS_REGISTER_GS ||
		operands[source].mem.segment == ZYDIS_REGISTER_FS)
		return NULL;
	return &operands[source];
}

/* What the instruction makes is a multiple of that: `shl reg, 4`, `imul reg, x, 24`, `lea reg, [x*8]`. 0: of nothing. */
static uint64_t multiple(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *operands)
{
	const ZydisDecodedOperand *last = operands;
	bool constant;

	if (!insn->operand_count_visible)
		return 0;
	last += insn->operand_count_visible - 1;
	constant = last->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && last->imm.value.s > 0;
	if (insn->mnemonic == ZYDIS_MNEMONIC_SHL && constant && last->imm.value.u < 16)
		return (uint64_t)1 << last->imm.value.u;
	if (insn->mnemonic == ZYDIS_MNEMONIC_IMUL && constant)
		return last->imm.value.u;
	if (insn->mnemonic == ZYDIS_MNEMONIC_LEA && last->mem.base == ZYDIS_REGISTER_NONE && !last->mem.disp.value)
		return last->mem.scale;
	return 0;
}

/* A multiple of what is in the register before the instruction, on the way that falls through to it. */
static uint64_t stride_of(struct search *s, const struct cp_code_part *part, uint64_t address, ZydisRegister reg)
{
	struct cp_region region;
	uint64_t stride = 0;

	cp_region_of(s->code, part, address, &region);
	if (address - region.start > s->budget)
		return 0;
	s->budget -= address - region.start;
	for (uint64_t at = region.start; at < address;) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;

		if (!cp_decode(s->code, part, at, &insn, operands) || insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
			insn.meta.category == ZYDIS_CATEGORY_RET || insn.meta.category == ZYDIS_CATEGORY_CALL)
			stride = 0;
		else if (cp_writes_register(s->code, &insn, operands, reg))
			stride = multiple(&insn, operands);
		at += insn.length;
	}
	return stride;
}

static bool kept_over_calls(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_RBX || reg == ZYDIS_REGISTER_RBP || reg == ZYDIS_REGISTER_EBX ||
		reg == ZYDIS_REGISTER_EBP || reg == ZYDIS_REGISTER_ESI || reg == ZYDIS_REGISTER_EDI ||
		(reg >= ZYDIS_REGISTER_R12 && reg <= ZYDIS_REGISTER_R15);
}

/* A load from a table with an index: scaled by the load itself or before it. */
static struct cp_error *report_index(struct search *s, const struct cp_code_part *part, uint64_t load, uint64_t table,
	const ZydisDecodedOperand *op)
{
	uint64_t stride = op->mem.scale;

	if (stride == 1)
		stride = stride_of(s, part, load, cp_widest(s->code, op->mem.index));
	return stride && stride % s->word_size == 0 ? report(s, load, table, stride) : NULL;
}

/*
 * A table's address is in a register: what do the instructions behind read from there? A way that falls through every
 * branch is one that the code can take; an element behind the first is read when the register is moved on by its size.
 */
static struct cp_error *follow(struct search *s, const struct cp_code_part *part, uint64_t address,
	const struct base *base)
{
	uint64_t load = 0, first = 0;	/* a load through the register alone */
	struct cp_error *error = NULL;

	for (int steps = 0; steps < MAX_STEPS && !error; steps++) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;
		const ZydisDecodedOperand *op;

		if (!cp_decode(s->code, part, address, &insn, operands))
			return NULL;
		op = loaded(s, &insn, operands);
		if (op && op->mem.base != ZYDIS_REGISTER_NONE && cp_widest(s->code, op->mem.base) == base->reg) {
			uint64_t at = cp_code_wrap(s->code, base->address + (uint64_t)op->mem.disp.value);

			if (op->mem.index == ZYDIS_REGISTER_NONE)
				error = report(s, load = address, first = at, base->stride);
			else
				error = report_index(s, part, address, at, op);
		} else if (op && op->mem.index != ZYDIS_REGISTER_NONE && op->mem.scale == 1 &&
			cp_widest(s->code, op->mem.index) == base->reg) {
			uint64_t at = cp_code_wrap(s->code, base->address + (uint64_t)op->mem.disp.value);
			uint64_t stride = stride_of(s, part, address, cp_widest(s->code, op->mem.base));

			if (stride)
				error = report(s, address, at, stride);
		}
		if (error)
			return error;
		if (load && insn.mnemonic == ZYDIS_MNEMONIC_ADD && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
			operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[1].imm.value.s > 0 &&
			cp_widest(s->code, operands[0].reg.value) == base->reg)
			return report(s, load, first, operands[1].imm.value.u);
		if (cp_writes_register(s->code, &insn, operands, base->reg) || insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
			insn.meta.category == ZYDIS_CATEGORY_RET ||
			(insn.meta.category == ZYDIS_CATEGORY_CALL && !kept_over_calls(base->reg)))
			return NULL;
		address += insn.length;
	}
	return error;
}

/* `lea reg, [ADDRESS]`, `lea reg, [x*8 + ADDRESS]` or `mov reg, ADDRESS`. */
static bool loads_address(const struct search *s, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, uint64_t address, struct base *ret)
{
	const ZydisDecodedOperand *from = &operands[1];
	ZyanU64 target, stride = 0;

	if (insn->operand_count_visible != 2 || operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		target = from->imm.is_signed ? (ZyanU64)from->imm.value.s : from->imm.value.u;
	} else if (insn->mnemonic != ZYDIS_MNEMONIC_LEA) {
		return false;
	} else if (from->mem.base == ZYDIS_REGISTER_NONE && from->mem.index != ZYDIS_REGISTER_NONE) {
		target = (ZyanU64)from->mem.disp.value;
		stride = from->mem.scale;
	} else if (from->mem.index != ZYDIS_REGISTER_NONE ||
		(from->mem.base != ZYDIS_REGISTER_NONE && from->mem.base != ZYDIS_REGISTER_RIP) ||
		!ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, from, address, &target))) {
		return false;
	}
	*ret = (struct base){ cp_widest(s->code, operands[0].reg.value), cp_code_wrap(s->code, target), stride };
	return stride % s->word_size == 0;
}

static struct cp_error *visit(void *context, const struct cp_code_part *part, uint64_t address)
{
	struct search *s = context;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	const ZydisDecodedOperand *op;
	struct base base;
	ZyanU64 target;

	if (!cp_decode(s->code, part, address, &insn, operands))
		return NULL;
	if (loads_address(s, &insn, operands, address, &base))
		return follow(s, part, address + insn.length, &base);
	op = loaded(s, &insn, operands);
	if (!op)
		return NULL;
	if (op->mem.index != ZYDIS_REGISTER_NONE && op->mem.base == ZYDIS_REGISTER_NONE && op->mem.scale == s->word_size)
		return report(s, address, cp_code_wrap(s->code, (uint64_t)op->mem.disp.value), s->word_size);
	if (op->mem.index == ZYDIS_REGISTER_NONE && op->mem.base != ZYDIS_REGISTER_NONE &&
		op->mem.base != ZYDIS_REGISTER_RIP) {
		target = stride_of(s, part, address, cp_widest(s->code, op->mem.base));
		return target ? report(s, address, cp_code_wrap(s->code, (uint64_t)op->mem.disp.value), target) : NULL;
	}
	if (op->mem.index == ZYDIS_REGISTER_NONE &&
		(op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP) &&
		ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn, op, address, &target)))
		return report(s, address, cp_code_wrap(s->code, target), 0);
	return NULL;
}

static int compare_words(const void *left, const void *right)
{
	const struct word *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

/* The words and what lies before them in their tables, as spans that are apart. */
static size_t make_spans(const struct search *s, struct cp_scan_span *spans)
{
	size_t count = 0;

	for (size_t i = 0; i < s->word_count; i++) {
		struct cp_scan_span span = { s->words[i].first, s->words[i].address };

		for (; count && spans[count - 1].last >= span.first; count--) {
			if (spans[count - 1].first < span.first)
				span.first = spans[count - 1].first;
		}
		spans[count++] = span;
	}
	return count;
}

struct cp_error *cp_pointers_find(const struct cp_code *code, const struct cp_scan *addresses,
	struct cp_error *(*found)(void *context, uint64_t address, uint64_t word, uint64_t pointer), void *context)
{
	struct search s = { .code = code, .addresses = addresses, .found = found, .context = context, .budget = LARGEST_WORK,
		.word_size = code->program->image->elf_class == ELFCLASS64 ? 8 : 4 };
	struct cp_error *error = addresses->span_count ? find_words(&s) : NULL;
	struct cp_scan_span *spans = NULL;

	if (!error && s.word_count) {
		qsort(s.words, s.word_count, sizeof(*s.words), compare_words);
		spans = malloc(s.word_count * sizeof(*spans));
		error = spans ? NULL : &cp_error_no_memory;
	}
	if (spans) {
		struct cp_scan scan = { .spans = spans, .span_count = make_spans(&s, spans) };

		error = cp_scan_code(code, &scan, visit, &s);
	}
	free(spans);
	free(s.words);
	return error;
}
