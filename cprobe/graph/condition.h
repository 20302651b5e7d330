/* SPDX-License-Identifier: BSD-2-Clause */
/* What a conditional branch tests, in words that a C programmer reads: "vm_guest == 5", "device_find_child() == 0". */
#ifndef CPROBE_GRAPH_CONDITION_H
#define CPROBE_GRAPH_CONDITION_H

#include "code/origin.h"

#define CP_LONGEST_CONDITION 256

struct cp_condition {
	uint64_t address;		/* of the test's first instruction */
	struct cp_check check;		/* what is known of what it looks at */
	char text[CP_LONGEST_CONDITION];	/* "" where it is not recognised */
};

/*
 * The condition under which the branch at that index of the flow's instructions is taken, or is not. `entry` is that of the
 * function, by which its arguments are known. Names are those of
 * symbols, and of arguments where DWARF has them.
 */
struct cp_error *cp_condition_read(struct cp_program *program, const struct cp_origin *trace, uint64_t entry,
	size_t branch, bool taken, struct cp_condition *ret);

#endif
