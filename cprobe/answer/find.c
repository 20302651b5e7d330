/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions by mnemonic, and the code behind a message. */
#include <elf.h>
#include <stdlib.h>

#include "answer/place.h"
#include "base/record.h"
#include "code/alternatives.h"
#include "code/input.h"
#include "code/insn.h"
#include "code/message.h"
#include "code/padding.h"

/* Everything that decoding and naming need. */
static struct cp_error *prepare(struct cp_program *program, struct cp_code *code)
{
	struct cp_error *error = cp_program_check_machine(program);

	if (!error)
		error = cp_program_need_all(program);
	if (error)
		return error;
	if (!program->dwarf)
		cp_program_note(program, "%s: no DWARF: files, lines and inlined copies are missing", program->image->path);
	cp_program_note_symbols(program);
	error = cp_program_need_code(program);
	return error ? error : cp_code_init(program, code);
}

struct sites {
	struct cp_records *records;
	struct cp_alternatives alternatives;
};

static struct cp_error *take(void *context, const struct cp_code_part *part, uint64_t address,
	const ZydisDecodedInstruction *insn)
{
	struct sites *sites = context;
	struct cp_record *record = cp_records_add(sites->records, CP_KIND_INSN, address);
	struct cp_details *details = record ? cp_record_details(sites->records, record) : NULL;

	(void)part;
	if (!details)
		return &cp_error_no_memory;
	details->mnemonic = ZydisMnemonicGetString(insn->mnemonic);
	details->patches = cp_alternatives_site(&sites->alternatives, address);
	return NULL;
}

/* Say what those instructions ask for. */
static struct cp_error *add_inputs(struct cp_program *program, const struct cp_code *code, struct cp_records *records,
	size_t first)
{
	struct cp_error *error = NULL;
	struct cp_inputs inputs;

	cp_inputs_init(program, code, &inputs);
	for (size_t i = first; i < records->count && !error; i++) {
		struct cp_details *d = records->items[i].details;

		if (d->mnemonic && cp_input_is_of(d->mnemonic))
			error = cp_inputs_read(&inputs, records->items[i].address, &d->has_input, &d->input);
	}
	if (!error)
		error = cp_inputs_check(&inputs);
	if (!error && !inputs.budget)
		cp_program_note(program, "%s: too much code to read what its instructions ask for: some say nothing of it",
			program->image->path);
	cp_inputs_deinit(&inputs);
	return error;
}

static int compare_detours(const void *left, const void *right)
{
	const struct cp_detour *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

/* Say where those instructions might be replaced by a jump to; alternatives do not run where they are. */
static struct cp_error *add_padding(const struct cp_code *code, struct cp_records *records, size_t first)
{
	struct cp_detour *detours = calloc(records->count - first + 1, sizeof(*detours));
	struct cp_error *error = detours ? NULL : &cp_error_no_memory;
	size_t count = 0;

	for (size_t i = first; i < records->count && !error; i++) {
		if (!records->items[i].details->patches)
			detours[count++].address = records->items[i].address;
	}
	if (!error) {
		qsort(detours, count, sizeof(*detours), compare_detours);
		error = cp_detours_find(code, detours, count);
	}
	for (size_t i = first; i < records->count && !error; i++) {
		struct cp_detour key = { .address = records->items[i].address };
		const struct cp_detour *found = bsearch(&key, detours, count, sizeof(*detours), compare_detours);
		struct cp_details *d = records->items[i].details;

		if (!found || !found->hop.size)
			continue;
		d->hop = found->hop.address;
		d->hop_size = found->hop.size;
		d->cave = found->cave.address;
		d->cave_size = found->cave.size;
	}
	free(detours);
	return error;
}

static struct cp_error *find_insns(struct cp_program *program, const char *mnemonics, unsigned int more,
	const struct cp_where *where, struct cp_records *records)
{
	struct sites sites = { .records = records };
	size_t first = records->count;
	struct cp_insn_set set;
	struct cp_code code;
	struct cp_error *error = cp_insn_set_parse(mnemonics, &set);

	if (!error)
		error = prepare(program, &code);
	if (error)
		return error;
	error = cp_alternatives_read(&code, &sites.alternatives);
	if (!error)
		error = cp_insn_find(&code, &set, take, &sites);
	cp_alternatives_deinit(&sites.alternatives);
	if (!error)
		error = cp_places_fill(program, where, records, first);
	if (!error && (more & CP_INSN_INPUTS))
		error = add_inputs(program, &code, records, first);
	if (!error && (more & CP_INSN_PADDING))
		error = add_padding(&code, records, first);
	cp_code_deinit(&code);
	return error;
}

struct cp_error *cp_find_insns(struct cp_program *program, const char *mnemonics, unsigned int more,
	const struct cp_where *where, struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, find_insns(program, mnemonics, more, where, records));
}

static struct cp_error *find_message(struct cp_program *program, const char *text, const struct cp_where *where,
	struct cp_records *records)
{
	struct cp_code code;
	struct cp_error *error = prepare(program, &code);

	if (error)
		return error;
	error = cp_message_find(program, &code, text, where, records);
	cp_code_deinit(&code);
	return error;
}

struct cp_error *cp_find_message(struct cp_program *program, const char *text, const struct cp_where *where,
	struct cp_records *records)
{
	cp_program_begin(program);
	return cp_program_end(program, find_message(program, text, where, records));
}
