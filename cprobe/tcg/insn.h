/* SPDX-License-Identifier: BSD-2-Clause */
/* What the plugin wants to know of an x86 instruction: where it may lead, and whether it writes to a port. */
#ifndef BOOTSONDE_INSN_H
#define BOOTSONDE_INSN_H

#include <stddef.h>
#include <stdint.h>

#define INSN_MAX 15	/* bytes */

enum insn_kind {
	INSN_OTHER,
	INSN_DIRECT,	/* call, jmp, jcc to `target` */
	INSN_INDIRECT,	/* near call or jmp through a register or memory */
	INSN_OUT,	/* out, outs */
	INSN_HALT,	/* hlt, mwait */
};

/*
 * size: as QEMU has it; the bytes are read no further. `target` is written for INSN_DIRECT, and for an INSN_OUT that names
 * its port, which is below 0x100.
 */
enum insn_kind insn_decode(const uint8_t *bytes, size_t size, uint64_t address, uint64_t *target);

#endif
