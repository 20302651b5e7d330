"""Lengths of instructions in 32-bit code, from a disassembler that only knows 64-bit code.

GDB cannot be told that a QEMU for x86-64 runs 32-bit code. But for what follows, both decode to the same length (Intel
SDM volume 2, appendix A, superscripts i64, d64 and f64).
"""

from __future__ import annotations

from typing import Optional

_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\xf0\xf2\xf3")
#: Bytes that are REX prefixes, or nothing, in 64-bit code: inc and dec; push and pop of segments; adjustments.
_ONE = frozenset([*range(0x40, 0x50), *b"\x06\x07\x0e\x16\x17\x1e\x1f\x27\x2f\x37\x3f\x60\x61\xce\xd6"])
#: mov to and from an address without ModRM, which is 8 bytes in 64-bit code.
_OFFSETS = range(0xa0, 0xa4)
_FAR = (0x9a, 0xea)
_WITH_BYTE = (0xd4, 0xd5)
#: A relative call, jump or branch: with a prefix 66 its distance is 2 bytes here and 4 there, depending on the maker.
_NEAR = (0xe8, 0xe9)


def length_in_32_bit(code: bytes, in_64_bit: Optional[int]) -> Optional[int]:
    """The instruction's length; None if it cannot be told.

    code: from its first byte, at least 15 bytes. in_64_bit: its length as 64-bit code, None if it is none there.
    """
    prefixes = 0
    while prefixes < len(code) and code[prefixes] in _PREFIXES:
        prefixes += 1
    narrow = 0x66 in code[:prefixes]
    opcode = code[prefixes:prefixes + 2]
    if len(opcode) < 2 or opcode[0] == 0x67:
        return None
    if opcode[0] in _ONE:
        return prefixes + 1
    if opcode[0] in _WITH_BYTE:
        return prefixes + 2
    if opcode[0] in _OFFSETS:
        return prefixes + 5
    if opcode[0] in _FAR:
        return prefixes + (5 if narrow else 7)
    if opcode[0] in _NEAR or opcode[0] == 0x0f and opcode[1] >> 4 == 8:
        return None if narrow else in_64_bit
    if opcode[0] in (0x62, 0xc4, 0xc5) and opcode[1] >> 6 != 3:
        return None  # bound, les and lds here, vector prefixes there
    return in_64_bit
