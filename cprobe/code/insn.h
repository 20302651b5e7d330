/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions by mnemonic: every site of a set, the same set that a full disassembly gives. */
#ifndef CPROBE_INSN_H
#define CPROBE_INSN_H

#include "code/code.h"

/* The wanted mnemonics. */
struct cp_insn_set {
	bool wanted[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	bool prefilter;		/* each of them has opcode bytes that are looked for before anything is decoded */
	bool second[256];	/* bytes wanted after 0x0f */
	bool first[256];	/* one-byte opcodes */
	bool any_first;
};

/* From "cpuid,rdtsc"; names are Zydis's, lower case. */
struct cp_error *cp_insn_set_parse(const char *list, struct cp_insn_set *ret);

/* Call `found` for each site, in address order within a part; its error ends the search. */
struct cp_error *cp_insn_find(const struct cp_code *code, const struct cp_insn_set *set,
	struct cp_error *(*found)(void *context, const struct cp_code_part *part, uint64_t address,
	const ZydisDecodedInstruction *insn), void *context);

#endif
