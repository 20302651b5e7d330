/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes between two functions that nothing runs and nothing patches: room for a jump that replaces an instruction of
 * two bytes, and for the code that it leads to.
 */
#ifndef CPROBE_PADDING_H
#define CPROBE_PADDING_H

#include "code/code.h"

/* A jump of 32 bits. */
#define CP_SMALLEST_HOP 5

/* Less is no room for code that decides something. */
#define CP_SMALLEST_CAVE 32

/* More is not wanted: each byte may look like the target of some misread jump. */
#define CP_LARGEST_CAVE 256

/* size 0: there is none. */
struct cp_padding {
	uint64_t address, size;
};

/* For one instruction. Both lie in its section, so that they stay as long as it does. */
struct cp_detour {
	uint64_t address;		/* of the instruction; set by the caller */
	struct cp_padding hop;		/* all that a jump of two bytes reaches from there, CP_SMALLEST_HOP at least */
	struct cp_padding cave;		/* elsewhere: in the largest of the section, where least code shares its pages */
};

/*
 * Find them for all; `detours` are sorted by address. Padding is what lies between the end of a function that does not
 * run on into it, by its symbol's size, and the next symbol that has a size, if all of it is int3, or nops as
 * assemblers make them. Not behind the last function of a section: what a linker fills may be freed, or not be mapped
 * as code. Nor what any code jumps to, nor single nops in a row before a function: kernels that reserve them patch
 * them. x86-64 alone, and not relocatable files.
 */
struct cp_error *cp_detours_find(const struct cp_code *code, struct cp_detour *detours, size_t count);

#endif
