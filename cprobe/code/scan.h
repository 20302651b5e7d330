/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From bytes that may matter to the instructions that hold them. Decoding all code of a kernel takes half a second; so
 * the bytes without which an instruction cannot be what is looked for are found first, sixteen at a time, and only the
 * regions that hold some are decoded, each from its start, as a full disassembly does.
 */
#ifndef CPROBE_SCAN_H
#define CPROBE_SCAN_H

#include "code/code.h"

#define CP_SCAN_BYTES 16

struct cp_scan_span {
	uint64_t first, last;
};

/* What is looked for: opcode bytes, or addresses if there are spans. All zero: every byte is a candidate. */
struct cp_scan {
	uint8_t first[CP_SCAN_BYTES];	/* one-byte opcodes */
	uint8_t second[CP_SCAN_BYTES];	/* bytes after 0x0f */
	size_t first_count, second_count;
	const struct cp_scan_span *spans;	/* of addresses, sorted, apart from each other; not owned */
	size_t span_count;
	const uint8_t *wanted;		/* not 0 for each wanted mnemonic; NULL: all are; not owned */
};

/*
 * Offset of the first candidate at or after `at`: an opcode byte, or four bytes that are the low half of an address in
 * a span, as an absolute or as a rip-relative one. part->size: none. The second is the same without SIMD.
 */
uint64_t cp_scan_next(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at);
uint64_t cp_scan_next_plain(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at);

/* Does the address, or its low half on i386, lie in a span? The span, or NULL. */
const struct cp_scan_span *cp_scan_span_at(const struct cp_scan *scan, uint64_t address);

/*
 * Call `visit` for each wanted instruction that covers a candidate, in address order; its error ends the scan. The
 * search for them runs on all CPUs, the calls come one after the other.
 */
struct cp_error *cp_scan_code(const struct cp_code *code, const struct cp_scan *scan,
	struct cp_error *(*visit)(void *context, const struct cp_code_part *part, uint64_t address), void *context);

#endif
