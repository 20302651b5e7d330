/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions by mnemonic: every site of a set, the same set that a full disassembly gives. */
#ifndef CPROBE_INSN_H
#define CPROBE_INSN_H

#include "code/scan.h"

/* Which forms of a mnemonic are wanted. */
enum cp_insn_form {
	CP_INSN_16 = 1, CP_INSN_32 = 2, CP_INSN_64 = 4,		/* by operand size */
	CP_INSN_NEAR = 8, CP_INSN_FAR = 16,			/* calls, jumps and returns */
	CP_INSN_ANY = 7 | 24,
};

/* The wanted mnemonics. */
struct cp_insn_set {
	uint8_t wanted[ZYDIS_MNEMONIC_MAX_VALUE + 1];	/* enum cp_insn_form; 0 not wanted */
	struct cp_scan scan;	/* without `wanted` */
};

/* From "cpuid,rdtsc"; names are Zydis's or objdump's, in any case of letters. */
struct cp_error *cp_insn_set_parse(const char *list, struct cp_insn_set *ret);

/* Call `found` for each site, in address order within a part; its error ends the search. */
struct cp_error *cp_insn_find(const struct cp_code *code, const struct cp_insn_set *set,
	struct cp_error *(*found)(void *context, const struct cp_code_part *part, uint64_t address,
	const ZydisDecodedInstruction *insn), void *context);

#endif
