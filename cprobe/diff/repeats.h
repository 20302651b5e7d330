/* SPDX-License-Identifier: BSD-2-Clause */
/* Loops: runs of ids that are there several times, one behind the other. */
#ifndef CPROBE_REPEATS_H
#define CPROBE_REPEATS_H

#include "cprobe.h"

struct cp_repeat {
	uint32_t period;	/* ids of a round */
	uint64_t rounds;	/* of the whole loop, those of the run among them */
};

/*
 * Is ids[from ... from + run) made of whole rounds of a loop that goes on before or behind it? Loops with rounds of
 * more than a thousand ids are found only where the run is a single one.
 */
bool cp_repeat_of(const uint32_t *ids, size_t count, size_t from, size_t run, struct cp_repeat *ret);

/* The hash of a round, the same wherever in it one begins. */
uint64_t cp_rounds_hash(const uint32_t *ids, size_t period);

#endif
