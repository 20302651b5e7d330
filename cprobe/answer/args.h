/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a function's arguments are when a breakpoint at its first instruction stops: by DWARF where it says so for
 * that address, else by the System V calling convention, which holds for functions whose parameters no optimiser
 * touched. "rdi" is a register by GDB's name, "mem(rsp+8)" a place on the stack, "const(4)" a value known at compile
 * time; an argument without a location is nowhere, or not known to be anywhere.
 */
#ifndef CPROBE_ARGS_H
#define CPROBE_ARGS_H

#include "dwarf/die.h"

/*
 * Fill record->args from the DW_TAG_formal_parameter children of a concrete function or inlined copy that begins at
 * record->address. `abi`: may the calling convention answer? (Not for clones such as foo.isra.0, not for copies.)
 */
struct cp_error *cp_args_read(struct cp_records *records, const struct cp_die *die, bool is_64bit, bool abi,
	struct cp_record *record);

#endif
