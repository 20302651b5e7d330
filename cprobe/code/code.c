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

struct cp_error *cp_code_init(const struct cp_program *program, struct cp_code *ret)
{
	const struct cp_image *image = program->image;
	bool wide = image->machine == EM_X86_64;
	struct cp_error *error = NULL;
	struct cp_code code = { .program = program };

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
	if (error) {
		free(code.parts);
		return error;
	}
	if (code.part_count)
		qsort(code.parts, code.part_count, sizeof(*code.parts), compare_parts);
	*ret = code;
	return NULL;
}

void cp_code_deinit(struct cp_code *code)
{
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

void cp_region_of(const struct cp_code *code, const struct cp_code_part *part, uint64_t address, struct cp_region *ret)
{
	const struct cp_symbols *symbols = &code->program->symbols;
	size_t next = address == UINT64_MAX ? symbols->count : cp_symbols_lower(symbols, address + 1);

	*ret = (struct cp_region){ part, part->address, part->address + part->size };
	if (next > 0 && symbols->by_address[next - 1]->address > ret->start)
		ret->start = symbols->by_address[next - 1]->address;
	if (next < symbols->count && symbols->by_address[next]->address < ret->end)
		ret->end = symbols->by_address[next]->address;
}

bool cp_region_at(const struct cp_code *code, uint64_t address, struct cp_region *ret)
{
	const struct cp_code_part *part = NULL;
	uint64_t unused;

	for (size_t i = 0; i < code->part_count; i++) {
		if (cp_part_bytes(&code->parts[i], address, &unused))
			part = &code->parts[i];
	}
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
