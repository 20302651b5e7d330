/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "answer/place.h"
#include "base/arena.h"
#include "base/record.h"
#include "code/check.h"
#include "code/message.h"
#include "code/cstrings.h"

/* An instruction that refers to a string. */
struct reference {
	const struct cp_string *string;
	uint64_t address;
};

struct search {
	struct cp_program *program;
	const struct cp_code *code;
	const struct cp_where *where;
	struct cp_records *records;
	struct cp_string *strings;	/* sorted by start; they do not overlap */
	size_t string_count;
	struct reference *references;
	size_t reference_count, unguarded;
};

/* The string that a pointer prints the text of, or NULL. */
static const struct cp_string *string_at(const struct search *s, uint64_t address)
{
	size_t low = 0, high = s->string_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->strings[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address <= s->strings[low - 1].place ? &s->strings[low - 1] : NULL;
}

/* The string whose address the instruction loads, pushes or stores; NULL when it does not. */
static const struct cp_string *string_of(const struct search *s, uint64_t address, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands)
{
	const struct cp_string *string;

	for (int i = 0; i < insn->operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		ZyanU64 target;

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
			(insn->mnemonic == ZYDIS_MNEMONIC_MOV || insn->mnemonic == ZYDIS_MNEMONIC_PUSH)) {
			target = op->imm.is_signed ? (ZyanU64)op->imm.value.s : op->imm.value.u;
			string = string_at(s, cp_code_wrap(s->code, target));
			if (string)
				return string;
		}
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && insn->mnemonic == ZYDIS_MNEMONIC_LEA &&
			op->mem.index == ZYDIS_REGISTER_NONE &&
			(op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP) &&
			ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, op, address, &target))) {
			string = string_at(s, cp_code_wrap(s->code, target));
			if (string)
				return string;
		}
	}
	return NULL;
}

static struct cp_error *add_check(void *context, const struct cp_check *check)
{
	struct search *s = context;
	struct cp_record *record = cp_records_add(s->records, CP_KIND_CHECK, check->address);
	struct cp_details *details = record ? cp_record_details(s->records, record) : NULL;

	if (!details)
		return &cp_error_no_memory;
	details->has_guards = true;
	details->guards = check->guards;
	details->branch = check->branch;
	details->variable = check->variable;
	details->variable_address = check->variable_address;
	details->variable_size = check->variable_size;
	return NULL;
}

static struct cp_error *add_reference(struct search *s, uint64_t address, const struct cp_string *string)
{
	struct reference *references = cp_grow(s->references, s->reference_count, sizeof(*references));

	if (!references)
		return &cp_error_no_memory;
	s->references = references;
	references[s->reference_count++] = (struct reference){ string, address };
	return NULL;
}

static int compare_references(const void *left, const void *right)
{
	const struct reference *a = left, *b = right;

	if (a->string != b->string)
		return a->string < b->string ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

/* The records of one reference; `places` are those of the same string. */
static struct cp_error *add_message(struct search *s, const struct reference *reference, const uint64_t *places,
	size_t count)
{
	const struct cp_where anywhere = { { NULL, 0 }, { NULL, 0 } };
	size_t first = s->records->count, checks = 0;
	struct cp_record *record = cp_records_add(s->records, CP_KIND_MESSAGE, reference->address);
	struct cp_details *details = record ? cp_record_details(s->records, record) : NULL;
	struct cp_error *error;

	if (!details)
		return &cp_error_no_memory;
	details->message = reference->string->text;
	error = cp_places_fill(s->program, s->where, s->records, first);
	if (error || s->records->count == first)
		return error;
	first = s->records->count;
	error = cp_checks_find(s->program, s->code, reference->address, places, count, add_check, s, &checks);
	s->unguarded += !checks;
	return error ? error : cp_places_fill(s->program, &anywhere, s->records, first);
}

static struct cp_error *add_messages(struct search *s)
{
	size_t n = s->reference_count;
	uint64_t *places = calloc(n ? n : 1, sizeof(*places));
	struct cp_error *error = places ? NULL : &cp_error_no_memory;

	if (n)
		qsort(s->references, n, sizeof(*s->references), compare_references);
	for (size_t i = 0; i < n && !error; i++)
		places[i] = s->references[i].address;
	for (size_t first = 0, end; first < n && !error; first = end) {
		for (end = first + 1; end < n && s->references[end].string == s->references[first].string;)
			end++;
		for (size_t i = first; i < end && !error; i++)
			error = add_message(s, &s->references[i], places + first, end - first);
	}
	free(places);
	return error;
}

/* Decode a region that holds a candidate, and take the references in it. */
static struct cp_error *scan_region(struct search *s, const struct cp_region *region)
{
	uint64_t address = region->start;

	while (address < region->end) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;

		if (cp_decode(s->code, region->part, address, &insn, operands)) {
			const struct cp_string *string = string_of(s, address, &insn, operands);
			struct cp_error *error = string ? add_reference(s, address, string) : NULL;

			if (error)
				return error;
		}
		address += insn.length;
	}
	return NULL;
}

/*
 * Four bytes that, as an absolute or as a rip-relative address, lie in the span of the strings: a candidate. Only
 * their low halves are compared: decoding decides.
 */
static struct cp_error *scan_part(struct search *s, const struct cp_code_part *part)
{
	uint32_t low = (uint32_t)s->strings[0].start;
	uint64_t wide = s->strings[s->string_count - 1].place - s->strings[0].start;
	uint32_t span = wide > UINT32_MAX ? UINT32_MAX : (uint32_t)wide;

	for (uint64_t at = 0; at + 4 <= part->size; at++) {
		uint32_t value = cp_read32(part->bytes + at) - low;
		uint32_t relative = value + (uint32_t)(part->address + at + 4);
		struct cp_region region;
		struct cp_error *error;

		if (value > span && relative > span)
			continue;
		if (!(value <= span && string_at(s, s->strings[0].start + value)) &&
			!(relative <= span && string_at(s, s->strings[0].start + relative)))
			continue;
		if (!cp_region_at(s->code, part->address + at, &region))
			continue;
		error = scan_region(s, &region);
		if (error)
			return error;
		at = region.end - part->address - 1;
	}
	return NULL;
}

struct cp_error *cp_message_find(struct cp_program *program, const struct cp_code *code, const char *wanted,
	const struct cp_where *where, struct cp_records *records)
{
	struct search s = { .program = program, .code = code, .where = where, .records = records };
	char *text = cp_arena_strdup(&records->arena, wanted);
	struct cp_error *error;
	size_t length;

	if (!text)
		return &cp_error_no_memory;
	/* Consoles end lines as they like: what is copied from one ends in anything. */
	for (length = strlen(text); length && strchr(" \t\r\n", text[length - 1]); length--)
		text[length - 1] = 0;
	if (!length)
		return cp_error_create(CP_ERROR_USAGE, "find: --message: give some text of the message");
	error = cp_strings_find(program->image, text, &s.strings, &s.string_count);
	for (size_t i = 0; !error && s.string_count && i < code->part_count; i++)
		error = scan_part(&s, &code->parts[i]);
	if (!error)
		error = add_messages(&s);
	if (!error && !s.string_count)
		cp_program_note(program, "%s: no string prints \"%s\"", program->image->path, text);
	else if (!error && !records->count)
		cp_program_note(program, "%s: the string is there, but no instruction loads its address", program->image->path);
	else if (!error && s.unguarded)
		cp_program_note(program, "%s: no test was found that guards %zu of the places", program->image->path, s.unguarded);
	free(s.strings);
	free(s.references);
	return error;
}
