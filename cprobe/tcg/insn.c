/* SPDX-License-Identifier: BSD-2-Clause */
/* See insn.h. */
#include "insn.h"

#include <stdbool.h>
#include <string.h>

static bool
is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:	/* segments */
	case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
		return true;
	default:
		return byte >= 0x40 && byte <= 0x4f;	/* REX; in 32-bit code inc and dec, which nothing follows */
	}
}

static enum insn_kind
direct(const uint8_t *end, size_t size, uint64_t next, uint64_t *target)
{
	int32_t wide;

	if (size == 1) {
		*target = next + (uint64_t)(int64_t)(int8_t)end[-1];
		return INSN_DIRECT;
	}
	memcpy(&wide, end - sizeof(wide), sizeof(wide));
	*target = next + (uint64_t)(int64_t)wide;
	return INSN_DIRECT;
}

static enum insn_kind
two_bytes(const uint8_t *at, size_t left, uint64_t next, uint64_t *target)
{
	if (left == 6 && (at[1] & 0xf0) == 0x80)
		return direct(at + left, 4, next, target);
	if (left == 3 && at[1] == 0x01 && at[2] == 0xc9)
		return INSN_HALT;
	return INSN_OTHER;
}

enum insn_kind
insn_decode(const uint8_t *bytes, size_t size, uint64_t address, uint64_t *target)
{
	const uint8_t *at = bytes, *end = bytes + size;
	uint64_t next = address + size;

	while (at < end && is_prefix(*at))
		at++;
	if (at == end)
		return INSN_OTHER;
	switch (*at) {
	case 0xe8: case 0xe9:
		return end - at == 5 ? direct(end, 4, next, target) : INSN_OTHER;
	case 0xeb:
		return end - at == 2 ? direct(end, 1, next, target) : INSN_OTHER;
	case 0x0f:
		return end - at > 1 ? two_bytes(at, (size_t)(end - at), next, target) : INSN_OTHER;
	case 0xff:
		if (end - at > 1 && ((at[1] & 0x38) == 0x10 || (at[1] & 0x38) == 0x20))
			return INSN_INDIRECT;
		return INSN_OTHER;
	case 0xe6: case 0xe7:
		if (end - at > 1)
			*target = at[1];
		return INSN_OUT;
	case 0xee: case 0xef: case 0x6e: case 0x6f:
		return INSN_OUT;
	case 0xf4:
		return INSN_HALT;
	default:
		if ((*at & 0xf0) == 0x70 && end - at == 2)
			return direct(end, 1, next, target);
		return INSN_OTHER;
	}
}
