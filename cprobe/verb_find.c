/* SPDX-License-Identifier: BSD-2-Clause */
/* cprobe find: instructions by mnemonic, or the code behind a message. */
#include <ctype.h>
#include <string.h>

#include "insn.h"
#include "message.h"
#include "place.h"
#include "verb.h"

struct search {
	struct cp_program *program;
	const struct cp_options *options;
	struct cp_records *records;
};

static struct cp_error *take(void *context, const struct cp_code_part *part, uint64_t address,
	const ZydisDecodedInstruction *insn)
{
	struct search *search = context;
	struct cp_record *record = cp_records_add(search->records, CP_KIND_INSN, address);
	struct cp_error *error;
	bool wanted;

	(void)part;
	if (!record)
		return &cp_error_no_memory;
	record->mnemonic = ZydisMnemonicGetString(insn->mnemonic);
	error = cp_place_fill(search->program, search->options, record, &wanted);
	if (!error && !wanted)
		search->records->count--;
	return error;
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct search search = { program, options, records };
	struct cp_insn_set set;
	struct cp_code code;
	struct cp_error *error;

	(void)status;
	if (!options->insn == !options->message)
		return cp_error_create(CP_ERROR_USAGE, "find: give --insn LIST or --message TEXT");
	error = options->insn ? cp_insn_set_parse(options->insn, &set) : NULL;
	if (!error)
		error = cp_program_check_machine(program);
	if (!error)
		error = cp_program_need_symbols(program);
	if (!error)
		error = cp_program_need_dwarf(program);
	if (error)
		return error;
	if (!program->dwarf)
		cp_note("%s: no DWARF: files, lines and inlined copies are missing", program->image->path);
	cp_note_missing_symbols(program);
	error = cp_code_init(program, &code);
	if (error)
		return error;
	error = options->insn ? cp_insn_find(&code, &set, take, &search) :
		cp_message_find(program, &code, options, records);
	cp_code_deinit(&code);
	return error;
}

const struct cp_verb cp_verb_find = {
	.name = "find", .usage = "KERNEL (--insn LIST | --message TEXT) [--in-func GLOB]... [--in-file GLOB]...",
	.takes = CP_TAKES_INSN | CP_TAKES_MESSAGE | CP_TAKES_IN, .run = run,
	.help = "--insn cpuid,rdtsc: every such instruction, by mnemonic. --message TEXT: the instructions that load the\n"
		"address of a C string that prints TEXT (a format's conversions match what they print), and, as kind check,\n"
		"the first instruction of each test that guards them: stopped there, a debugger can still change the outcome.\n"
		"--format json says which variable the test reads, and where in it (variable_address, variable_size).",
};
