/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's machine code: its executable parts, cut into regions at the symbols, decoded by Zydis. Decoding runs
 * from a region's start to its end and steps over a byte that begins no instruction, as objdump -d does, so that the
 * two find the same instructions. As it does, a region that begins with a data object is none of code, and symbols of
 * other sections or of none cut nothing.
 */
#ifndef CPROBE_CODE_H
#define CPROBE_CODE_H

#include <Zydis/Zydis.h>

#include "program.h"

struct cp_code_part {
	const char *name;	/* of the section; "" for a segment of a file without sections */
	uint64_t address, size;
	const uint8_t *bytes;
};

/* A function of another file, which a relocatable file calls. */
struct cp_callee {
	const char *name;
	bool ends;			/* it does not return: a function of this file ends with a call of it, or DWARF says so */
};

struct cp_callee_call {
	uint64_t address;		/* of the field that is relocated, in the call */
	const char *name;
};

/* By the relocations of an ET_REL file; in all others every function has an address of its own. */
struct cp_callees {
	bool is_read;
	struct cp_callee *items;	/* sorted by name */
	size_t count;
	struct cp_callee_call *calls;	/* sorted by address */
	size_t call_count;
	bool *units_read;		/* by number: whose declarations were looked at */
};

struct cp_code {
	const struct cp_program *program;
	ZydisDecoder decoder;
	ZydisDecoder light;		/* finds only mnemonics and lengths, in half the time */
	struct cp_code_part *parts;	/* executable, with bytes in the file, sorted by address; owned */
	size_t part_count;
	struct cp_callees *callees;	/* ET_REL: see cp_callee_at(); owned */
	const struct cp_symbol *const *marks;	/* sorted by address: where regions begin; those in parts are their own */
	size_t mark_count;
	const struct cp_symbol **own_marks;	/* owned, if they are not all symbols */
	bool has_data;			/* some regions are no code */
	uint64_t got;			/* i386: what position-independent code counts its displacements from; 0 none */
};

struct cp_region {
	const struct cp_code_part *part;
	uint64_t start, end;
	bool data;			/* a data object */
};

/* Needs the program's symbols. *ret is valid until cp_code_deinit(), and no longer than the program. */
struct cp_error *cp_code_init(const struct cp_program *program, struct cp_code *ret);
void cp_code_deinit(struct cp_code *code);

/* The region around an address: from the nearest symbol at or below it to the next one. False: no code there. */
bool cp_region_at(const struct cp_code *code, uint64_t address, struct cp_region *ret);

/* The same for an address that lies in the part. */
void cp_region_of(const struct cp_code *code, const struct cp_code_part *part, uint64_t address, struct cp_region *ret);

/* Up to `end` of the part's bytes at an address. NULL: not in the part. */
const uint8_t *cp_part_bytes(const struct cp_code_part *part, uint64_t address, uint64_t *available);

/*
 * Decode one instruction at the address; `operands` may be NULL or have room for ZYDIS_MAX_OPERAND_COUNT. False: the
 * bytes there are no instruction; *insn then is a one-byte step.
 */
bool cp_decode(const struct cp_code *code, const struct cp_code_part *part, uint64_t address,
	ZydisDecodedInstruction *insn, ZydisDecodedOperand *operands);

/* The same, but only the mnemonic and the length of *insn are set. */
bool cp_decode_light(const struct cp_code *code, const struct cp_code_part *part, uint64_t address,
	ZydisDecodedInstruction *insn);

/* An address in "code": a sign-extended or rip-relative constant; i386 wraps at 32 bits. */
uint64_t cp_code_wrap(const struct cp_code *code, uint64_t address);

/* The register that a register is part of: rax for al; itself where there is none. */
ZydisRegister cp_widest(const struct cp_code *code, ZydisRegister reg);

/*
 * The function of another file that a call is relocated to: NULL none. The field is the last four bytes of the call.
 * Callees are read at the first question.
 */
struct cp_error *cp_callee_at(const struct cp_code *code, uint64_t field, struct cp_callee **ret);

/* The callee of that name, or NULL; after cp_callee_at(). */
struct cp_callee *cp_callee_named(const struct cp_callees *callees, const char *name);

/* Does the instruction write the register, given by its widest form, or a part of it? */
bool cp_writes_register(const struct cp_code *code, const ZydisDecodedInstruction *insn,
	const ZydisDecodedOperand *operands, ZydisRegister reg);

#endif
