/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/code.h"

static struct cp_error *add_part(struct cp_code *code, const char *name, uint64_t address, uint64_t size,
	const uint8_t *bytes)
{
	struct cp_code_part *parts;

	if (!bytes || !size)
		return NULL;
	parts = cp_grow(code->parts, code->part_count, sizeof(*parts));
	if (!parts)
		return &cp_error_no_memory;
	code->parts = parts;
	parts[code->part_count++] = (struct cp_code_part){ name, address, size, bytes };
	return NULL;
}

static int compare_parts(const void *left, const void *right)
{
	const struct cp_code_part *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

/* Linkers begin what _GLOBAL_OFFSET_TABLE_ names with .got.plt, or with .got where there is no other. */
static uint64_t find_got(const struct cp_image *image)
{
	const struct cp_section *got = cp_image_section(image, ".got.plt");

	if (image->machine == EM_X86_64)
		return 0;
	if (!got)
		got = cp_image_section(image, ".got");
	return got ? got->address : 0;
}

/* The part that an address lies in, or NULL. */
static const struct cp_code_part *part_at(const struct cp_code *code, uint64_t address)
{
	size_t low = 0, high = code->part_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (code->parts[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address - code->parts[low - 1].address < code->parts[low - 1].size ? &code->parts[low - 1] : NULL;
}

/* Names of sections differ before this: those of a hostile file are megabytes long. */
#define NAME_LIMIT 64

/*
 * For each section of the symbols' file the part that it is: that may be a debug file, in which sections have other
 * numbers. Without sections in the kernel's own file every one is.
 */
static struct cp_error *find_owners(const struct cp_code *code, const struct cp_code_part ***ret)
{
	const struct cp_image *image = code->program->symbols.image;
	const struct cp_code_part **owners = calloc(image->section_count + 1, sizeof(*owners));

	if (!owners)
		return &cp_error_no_memory;
	for (size_t i = 1; i < image->section_count; i++) {
		const struct cp_code_part *part = part_at(code, image->sections[i].address);

		if (part && (!*part->name || (part->address == image->sections[i].address &&
			!strncmp(part->name, image->sections[i].name, NAME_LIMIT))))
			owners[i] = part;
	}
	*ret = owners;
	return NULL;
}

/* Does a symbol that is no mark lie where it would be taken for one? Those inside their own sections cannot. */
static bool is_foreign(const struct cp_code *code, const struct cp_symbol *symbol)
{
	const struct cp_image *image = code->program->symbols.image;
	const struct cp_section *own = symbol->section < image->section_count ? &image->sections[symbol->section] : NULL;
	const struct cp_code_part *part = NULL;

	if (!own || symbol->address - own->address >= own->size)
		part = part_at(code, symbol->address);
	return part && (symbol->address != part->address || symbol->type == STT_OBJECT);
}

/* The marks are all symbols, as a rule: every one in a part is the part's own. */
static struct cp_error *find_marks(struct cp_code *code)
{
	const struct cp_symbols *symbols = &code->program->symbols;
	size_t sections = symbols->image ? symbols->image->section_count : 0;
	const struct cp_code_part **owners;
	struct cp_error *error;
	bool foreign = false;

	code->marks = symbols->by_address;
	code->mark_count = symbols->count;
	if (!symbols->count || !code->part_count)
		return NULL;
	error = find_owners(code, &owners);
	if (error)
		return error;
	for (size_t i = 0; i < symbols->count; i++) {
		const struct cp_symbol *s = &symbols->items[i];
		const struct cp_code_part *part = s->section < sections ? owners[s->section] : NULL;

		if (part && s->address - part->address < part->size)
			code->has_data |= s->type == STT_OBJECT;
		else if (!foreign)
			foreign = is_foreign(code, s);
	}
	code->own_marks = foreign ? calloc(symbols->count, sizeof(*code->own_marks)) : NULL;
	if (foreign && !code->own_marks)
		error = &cp_error_no_memory;
	if (foreign)
		code->mark_count = 0;
	for (size_t i = 0; i < symbols->count && code->own_marks; i++) {
		const struct cp_symbol *s = symbols->by_address[i];
		const struct cp_code_part *part = s->section < sections ? owners[s->section] : NULL;

		if (part && s->address - part->address < part->size)
			code->own_marks[code->mark_count++] = s;
	}
	if (foreign)
		code->marks = code->own_marks;
	free(owners);
	return error;
}

struct cp_error *cp_code_init(const struct cp_program *program, struct cp_code *ret)
{
	const struct cp_image *image = program->image;
	bool wide = image->machine == EM_X86_64;
	struct cp_error *error = NULL;
	struct cp_code code = { .program = program, .got = find_got(program->image) };

	ZydisDecoderInit(&code.decoder, wide ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32,
		wide ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
	code.light = code.decoder;
	ZydisDecoderEnableMode(&code.light, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
	for (size_t i = 1; i < image->section_count && !error; i++) {
		const struct cp_section *s = &image->sections[i];

		if ((s->flags & (SHF_ALLOC | SHF_EXECINSTR)) == (SHF_ALLOC | SHF_EXECINSTR) && !(s->flags & SHF_COMPRESSED))
			error = add_part(&code, s->name, s->address, s->size, cp_section_bytes(image, s));
	}
	/* No section says that it is code (there are none, or a linker script lost the flag): what the segments say. */
	bool by_segments = !code.part_count;
	for (size_t i = 0; i < image->segment_count && !error && by_segments; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type == PT_LOAD && (s->flags & PF_X))
			error = add_part(&code, "", s->vaddr, s->filesz, image->data + s->offset);
	}
	if (!error && image->type == ET_REL) {
		code.callees = calloc(1, sizeof(*code.callees));
		error = code.callees ? NULL : &cp_error_no_memory;
	}
	if (code.part_count)
		qsort(code.parts, code.part_count, sizeof(*code.parts), compare_parts);
	if (!error)
		error = find_marks(&code);
	if (error) {
		cp_code_deinit(&code);
		return error;
	}
	*ret = code;
	return NULL;
}

void cp_code_deinit(struct cp_code *code)
{
	if (code->callees) {
		free(code->callees->items);
		free(code->callees->calls);
		free(code->callees->units_read);
	}
	free(code->callees);
	free(code->own_marks);
	free(code->parts);
	memset(code, 0, sizeof(*code));
}

const uint8_t *cp_part_bytes(const struct cp_code_part *part, uint64_t address, uint64_t *available)
{
	if (address < part->address || address - part->address >= part->size)
		return NULL;
	*available = part->size - (address - part->address);
	return part->bytes + (address - part->address);
}

/* The first mark at or above an address. */
static size_t lower_mark(const struct cp_code *code, uint64_t address)
{
	size_t low = 0, high = code->mark_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (code->marks[middle]->address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void cp_region_of(const struct cp_code *code, const struct cp_code_part *part, uint64_t address, struct cp_region *ret)
{
	size_t next = address == UINT64_MAX ? code->mark_count : lower_mark(code, address + 1);

	*ret = (struct cp_region){ part, part->address, part->address + part->size, false };
	if (next > 0 && code->marks[next - 1]->address > ret->start)
		ret->start = code->marks[next - 1]->address;
	if (next < code->mark_count && code->marks[next]->address < ret->end)
		ret->end = code->marks[next]->address;
	if (code->has_data) {		/* of several symbols the first one is the best */
		next = lower_mark(code, ret->start);
		ret->data = next < code->mark_count && code->marks[next]->address == ret->start &&
			code->marks[next]->type == STT_OBJECT;
	}
}

bool cp_region_at(const struct cp_code *code, uint64_t address, struct cp_region *ret)
{
	const struct cp_code_part *part = part_at(code, address);

	if (part)
		cp_region_of(code, part, address, ret);
	return part;
}

bool cp_decode(const struct cp_code *code, const struct cp_code_part *part, uint64_t address,
	ZydisDecodedInstruction *insn, ZydisDecodedOperand *operands)
{
	uint64_t available = 0;
	const uint8_t *bytes = cp_part_bytes(part, address, &available);
	ZydisDecoderContext context;

	if (bytes && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&code->decoder, &context, bytes, available, insn)) &&
		insn->length && (!operands || ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&code->decoder, &context, insn, operands,
		insn->operand_count))))
		return true;
	memset(insn, 0, sizeof(*insn));
	insn->length = 1;
	return false;
}

bool cp_decode_light(const struct cp_code *code, const struct cp_code_part *part, uint64_t address,
	ZydisDecodedInstruction *insn)
{
	uint64_t available = 0;
	const uint8_t *bytes = cp_part_bytes(part, address, &available);

	if (bytes && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&code->light, NULL, bytes, available, insn)) &&
		insn->length)
		return true;
	insn->mnemonic = ZYDIS_MNEMONIC_INVALID;
	insn->length = 1;
	return false;
}

uint64_t cp_code_wrap(const struct cp_code *code, uint64_t address)
{
	return code->program->image->machine == EM_X86_64 ? address : (uint32_t)address;
}

ZydisRegister cp_widest(const struct cp_code *code, ZydisRegister reg)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(code->decoder.machine_mode, reg);

	return wide == ZYDIS_REGISTER_NONE ? reg : wide;
}

bool cp_writes_register(const struct cp_code *code, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, ZydisRegister reg)
{
	for (int i = 0; i < insn->operand_count; i++) {
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
			cp_widest(code, operands[i].reg.value) == reg)
			return true;
	}
	return false;
}
