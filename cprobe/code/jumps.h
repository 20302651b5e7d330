/* SPDX-License-Identifier: BSD-2-Clause */
/* Where indirect jumps lead: switches by their tables, tail calls out of the function. */
#ifndef CPROBE_JUMPS_H
#define CPROBE_JUMPS_H

#include "code/flow.h"

/* Fill flow->ways for the jumps whose tables can be read. The flow has its instructions. */
struct cp_error *cp_jumps_read(const struct cp_code *code, struct cp_flow *flow);

bool cp_jump_is_indirect(const struct cp_flow_insn *at);

/* Does an indirect jump leave the function? */
bool cp_jump_is_tail_call(const struct cp_code *code, const struct cp_flow *flow, size_t jump);

#endif
