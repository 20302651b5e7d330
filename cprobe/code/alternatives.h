/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's alternatives: instructions of .altinstr_replacement never run where they lie. At boot they are copied over
 * the code that an entry of .altinstructions names (struct alt_instr, arch/x86/include/asm/alternative.h).
 */
#ifndef CPROBE_ALTERNATIVES_H
#define CPROBE_ALTERNATIVES_H

#include "code/code.h"

struct cp_alternative {
	uint64_t replacement, original;		/* addresses */
	uint8_t replacement_size, original_size;
};

struct cp_alternatives {
	struct cp_alternative *items;	/* sorted by replacement; owned */
	size_t count;
};

/* A file without the two sections, or with entries that cannot be theirs, has none: that is no error. */
struct cp_error *cp_alternatives_read(const struct cp_code *code, struct cp_alternatives *ret);
void cp_alternatives_deinit(struct cp_alternatives *alternatives);

/* Where an instruction of a replacement is copied to; 0: it is in none. */
uint64_t cp_alternatives_site(const struct cp_alternatives *alternatives, uint64_t address);

#endif
