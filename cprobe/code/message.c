/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/place.h"
#include "base/arena.h"
#include "base/record.h"
#include "code/check.h"
#include "code/cstrings.h"
#include "code/message.h"
#include "code/pointers.h"
#include "code/scan.h"

/* An instruction that refers to a string. */
struct reference {
	const struct cp_string *string;
	uint64_t address, pointer;
	uint64_t length;		/* the word behind the one in data that holds the pointer; 0 none */
	bool counted;			/* the string is one of those that do not end with a NUL */
};

/* In C, linkers keep a string that others end with as the end of one of these: more ends than this are strings apart. */
#define MAX_TAILS 8

/* How far behind the load of a string's address that of its length may be. */
#define LENGTH_REACH 4

struct search {
	struct cp_program *program;
	const struct cp_code *code;
	const struct cp_where *where;
	struct cp_records *records;
	struct cp_string *strings;	/* sorted by start; they do not overlap */
	size_t string_count;
	struct cp_scan scan;		/* a span for each string */
	struct reference *references;
	size_t reference_count, unguarded;
	struct cp_guards guards;
};

/* The string that a pointer prints the text of, or NULL. */
static const struct cp_string *string_at(const struct search *s, uint64_t address)
{
	const struct cp_scan_span *span = cp_scan_span_at(&s->scan, address);

	return span ? &s->strings[span - s->scan.spans] : NULL;
}

/* The string whose address the instruction loads, pushes or stores; NULL when it does not. *pointer is the address. */
static const struct cp_string *string_of(const struct search *s, uint64_t address, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, uint64_t *pointer)
{
	const struct cp_string *string;

	for (int i = 0; i < insn->operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		ZyanU64 target;

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
			(insn->mnemonic == ZYDIS_MNEMONIC_MOV || insn->mnemonic == ZYDIS_MNEMONIC_PUSH)) {
			target = op->imm.is_signed ? (ZyanU64)op->imm.value.s : op->imm.value.u;
			string = string_at(s, *pointer = cp_code_wrap(s->code, target));
			if (string)
				return string;
		}
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && insn->mnemonic == ZYDIS_MNEMONIC_LEA &&
			op->mem.index == ZYDIS_REGISTER_NONE &&
			(op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP) &&
			ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, op, address, &target))) {
			string = string_at(s, *pointer = cp_code_wrap(s->code, target));
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

static struct cp_error *add_reference(struct search *s, uint64_t address, const struct cp_string *string,
	uint64_t pointer, uint64_t length)
{
	struct reference *references = cp_grow(s->references, s->reference_count, sizeof(*references));

	if (!references)
		return &cp_error_no_memory;
	s->references = references;
	references[s->reference_count++] = (struct reference){ string, address, pointer, length, false };
	return NULL;
}

/* The nearest start to the text first. */
static int compare_references(const void *left, const void *right)
{
	const struct reference *a = left, *b = right;

	if (a->string != b->string)
		return a->string < b->string ? -1 : 1;
	if (a->pointer != b->pointer)
		return a->pointer > b->pointer ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

/* Of a string without an end so much is told. */
#define LONGEST_COUNTED 4096

/* What a pointer into the string prints; strings of languages that count characters have no other end than the text's. */
static const char *message_of(struct search *s, const struct reference *reference)
{
	const struct cp_string *string = reference->string;
	const char *from = string->text + (reference->pointer - string->start);

	if (!reference->counted)
		return from;
	return cp_arena_printf(&s->records->arena, "%.*s", string->end - reference->pointer < LONGEST_COUNTED ?
		(int)(string->end - reference->pointer) : LONGEST_COUNTED, from);
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
	details->message = message_of(s, reference);
	if (!details->message)
		return &cp_error_no_memory;
	error = cp_places_fill(s->program, s->where, s->records, first);
	if (error || s->records->count == first)
		return error;
	first = s->records->count;
	error = cp_checks_find(&s->guards, s->program, s->code, reference->address, places, count, add_check, s, &checks);
	s->unguarded += !checks;
	return error ? error : cp_places_fill(s->program, &anywhere, s->records, first);
}

/* Two words of a table may point to one string. */
static size_t drop_doubles(struct reference *references, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!kept || compare_references(&references[kept - 1], &references[i]))
			references[kept++] = references[i];
	}
	return kept;
}

/* Is the code of a language whose strings have a length, and lie one behind the other without a NUL in between? */
static struct cp_error *counts_characters(struct cp_program *program, uint64_t address, bool *ret)
{
	struct cp_dw_unit *unit = NULL;
	struct cp_error *error = cp_program_need_dwarf(program);

	*ret = false;
	if (!error && program->dwarf)
		error = cp_unit_of_address(&program->addresses, address, &unit);
	if (!error && unit)
		error = cp_unit_root(unit);
	if (error || !unit)
		return error;
	switch (unit->language) {
	case DW_LANG_Ada83:
	case DW_LANG_Ada95:
	case DW_LANG_D:
	case DW_LANG_Fortran77:
	case DW_LANG_Fortran90:
	case DW_LANG_Fortran95:
	case DW_LANG_Fortran03:
	case DW_LANG_Fortran08:
	case DW_LANG_Go:
	case DW_LANG_Modula2:
	case DW_LANG_Modula3:
	case DW_LANG_Pascal83:
	case DW_LANG_Rust:
	case DW_LANG_Swift:
		*ret = true;
		break;
	default:		/* zig says that it is C */
		*ret = unit->producer && !strncmp(unit->producer, "zig", 3);
	}
	return NULL;
}

/* Is the string too short to reach the text, by the length that is loaded behind its address or lies behind it? */
static bool is_too_short(const struct search *s, const struct reference *reference)
{
	uint64_t wanted = reference->string->end - reference->pointer, length = reference->length, at = reference->address;
	struct cp_region region;

	if (reference->pointer == reference->string->place || !cp_region_at(s->code, at, &region))
		return false;
	for (int i = 0; i <= LENGTH_REACH && !length; i++) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction insn;

		if (!cp_decode(s->code, region.part, at, &insn, operands))
			return false;
		if (i && insn.mnemonic == ZYDIS_MNEMONIC_MOV && operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			length = operands[1].imm.value.u;
		at += insn.length;
	}
	return length && length < wanted;
}

/*
 * Of references to one run of text that may be many strings, the ones to the nearest start at or below the text: where
 * too many starts are referred to for one string, and where the code's language counts characters.
 */
static struct cp_error *drop_neighbours(struct search *s, size_t first, size_t end, size_t *kept)
{
	uint64_t nearest = s->references[first].pointer;
	struct cp_error *error = NULL;
	size_t starts = 1;

	for (size_t i = first + 1; i < end; i++)
		starts += s->references[i].pointer != s->references[i - 1].pointer;
	for (size_t i = first; i < end && !error; i++) {
		struct reference reference = s->references[i];

		reference.counted = starts > MAX_TAILS;
		if (!reference.counted)
			error = counts_characters(s->program, reference.address, &reference.counted);
		if (!reference.counted || (reference.pointer == nearest && !is_too_short(s, &reference)))
			s->references[(*kept)++] = reference;
	}
	return error;
}

/* The end of the references to the same string as the one at `first`. */
static size_t same_string(const struct search *s, size_t first)
{
	size_t end = first;

	while (end < s->reference_count && s->references[end].string == s->references[first].string)
		end++;
	return end;
}

/* Those that matter, sorted, each once. */
static struct cp_error *tidy_references(struct search *s)
{
	struct cp_error *error = NULL;
	size_t kept = 0;

	if (s->reference_count)
		qsort(s->references, s->reference_count, sizeof(*s->references), compare_references);
	s->reference_count = drop_doubles(s->references, s->reference_count);
	for (size_t first = 0, end; first < s->reference_count && !error; first = end) {
		end = same_string(s, first);
		error = drop_neighbours(s, first, end, &kept);
	}
	s->reference_count = kept;
	return error;
}

static struct cp_error *add_messages(struct search *s)
{
	struct cp_error *error = tidy_references(s);
	size_t n = s->reference_count;
	uint64_t *places = error ? NULL : calloc(n ? n : 1, sizeof(*places));

	if (!places)
		return error ? error : &cp_error_no_memory;
	for (size_t i = 0; i < n; i++)
		places[i] = s->references[i].address;
	for (size_t first = 0, end; first < n && !error; first = end) {
		end = same_string(s, first);
		for (size_t i = first; i < end && !error; i++)
			error = add_message(s, &s->references[i], places + first, end - first);
	}
	free(places);
	return error;
}

static struct cp_error *visit(void *context, const struct cp_code_part *part, uint64_t address)
{
	struct search *s = context;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	const struct cp_string *string = NULL;
	uint64_t pointer;

	if (cp_decode(s->code, part, address, &insn, operands))
		string = string_of(s, address, &insn, operands, &pointer);
	return string ? add_reference(s, address, string, pointer, 0) : NULL;
}

static struct cp_error *add_pointer(void *context, uint64_t address, uint64_t word, uint64_t pointer)
{
	struct search *s = context;
	const struct cp_image *image = s->program->image;
	uint64_t available = 0, size = image->elf_class == ELFCLASS64 ? 8 : 4;
	const uint8_t *behind = cp_image_at(image, word + size, &available);

	return add_reference(s, address, string_at(s, pointer), pointer,
		!behind || available < size ? 0 : size == 8 ? cp_read64(behind) : cp_read32(behind));
}

/* The code that loads the strings' addresses. */
static struct cp_error *find_references(struct search *s)
{
	struct cp_scan_span *spans = calloc(s->string_count ? s->string_count : 1, sizeof(*spans));
	struct cp_error *error = NULL;

	if (!spans)
		return &cp_error_no_memory;
	for (size_t i = 0; i < s->string_count; i++)
		spans[i] = (struct cp_scan_span){ s->strings[i].start, s->strings[i].place };
	s->scan = (struct cp_scan){ .spans = spans, .span_count = s->string_count };
	if (s->string_count)
		error = cp_scan_code(s->code, &s->scan, visit, s);
	if (!error)
		error = cp_pointers_find(s->code, &s->scan, add_pointer, s);
	free(spans);
	return error;
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
	if (!error)
		error = find_references(&s);
	if (!error)
		error = add_messages(&s);
	if (!error && !s.string_count)
		cp_program_note(program, "%s: no string prints \"%s\"", program->image->path, text);
	else if (!error && !records->count)
		cp_program_note(program, "%s: the string is there, but no instruction loads its address", program->image->path);
	else if (!error && s.unguarded > s.guards.skipped)
		cp_program_note(program, "%s: no test was found that guards %zu of the places", program->image->path,
			s.unguarded - s.guards.skipped);
	if (!error && s.guards.skipped)
		cp_program_note(program, "%s: the tests that guard %zu of the places were not looked for: there are too many: "
			"give more of the message, or --in-func", program->image->path, s.guards.skipped);
	cp_guards_deinit(&s.guards);
	free(s.strings);
	free(s.references);
	return error;
}
