/* SPDX-License-Identifier: BSD-2-Clause */
/* Which calls do not return: behind them another block begins. */
#ifndef CPROBE_RETURNS_H
#define CPROBE_RETURNS_H

#include "code/flow.h"

/* What is known of the calls of one function that do not return; zeroed but for the budget. */
struct cp_dead_calls {
	size_t budget;			/* of callees' instructions to look at */
	bool is_read;			/* by DWARF: where they would return to, sorted */
	uint64_t *returns;
	size_t count;
};

void cp_dead_calls_deinit(struct cp_dead_calls *dead);

struct cp_error *cp_call_ends(struct cp_program *program, const struct cp_code *code, const struct cp_flow_insn *call,
	struct cp_dead_calls *dead, bool *ret);

#endif
