/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code that other code enters in its middle, where no symbol is. Linux does so by jump labels, from .altinstr_aux and
 * from parts that it splits off; assembly may.
 */
#ifndef CPROBE_ENTERED_H
#define CPROBE_ENTERED_H

#include "code/code.h"

/* Instructions one behind the other, of which none may be entered. */
struct cp_stretch {
	uint64_t first, last;		/* their addresses */
	uint64_t start, end;		/* the code around them whose own jumps are allowed */
	bool *sound;			/* made false where one is entered */
};

/* Sorts the stretches. */
struct cp_error *cp_stretches_check(const struct cp_code *code, struct cp_stretch *stretches, size_t count);

#endif
