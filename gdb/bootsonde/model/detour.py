"""Code by which a guest itself tells the leaves of CPUID that an overlay changes from those that it does not.

A jump takes the place of a cpuid instruction. It leads, by a longer jump where that is needed, to code in padding that
comes to one of two cpuid instructions: one for the leaves that are to be stopped at, one for all others. cpuid writes
EAX, EBX, ECX and EDX, so EBX and EDX are free before it; flags, stack and all other registers are left alone. 64-bit
code only. Source: SDM volume 2A, CPUID and Jcc (JRCXZ).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

_MASK32 = 0xffffffff
CPUID = b"\x0f\xa2"
_MOV_EDX_ECX, _MOV_ECX_EDX = b"\x89\xca", b"\x89\xd1"
_LEA_ECX_RAX_8, _LEA_ECX_RAX_32 = b"\x8d\x48", b"\x8d\x88"
#: ECX becomes 0 if it is less than 0x100 or 0x10000, by bits that no flag knows of: ECX - (ECX & mask).
_ABOVE_8, _ABOVE_16 = (movzx + b"\xf7\xd3\x8d\x4c\x19\x01" for movzx in (b"\x0f\xb6\xd9", b"\x0f\xb7\xd9"))
#: Longer runs of leaves are told by a block of 0x100 or 0x10000 leaves that begins where they do.
_SINGLES = 2
#: What a room is cut into: detours that remain from before may be in its first parts.
HOP_STEP, CAVE_STEP = 5, 64

#: First and last.
Leaves = Tuple[int, int]


@dataclass(frozen=True)
class Room:
    """Padding: an address and a size in bytes."""

    address: int
    size: int

    def places(self, size: int, step: int) -> List[int]:
        """Where in it so many bytes may be put, the first choice first."""
        return list(range(self.address, self.address + self.size - size + 1, step))


@dataclass(frozen=True)
class Detour:
    """What is written, and what an address in it stands for.

    site: of the instruction. hit: the cpuid for the leaves that are stopped at. hop: of the longer jump. begin: of the
    code; before: the addresses in it where the instruction is still to come.
    """

    site: int
    hit: int
    hop: int
    begin: int
    code: bytes
    before: Tuple[int, ...]

    def writes(self) -> List[Tuple[int, bytes]]:
        """Address and bytes, in an order in which each jump's end is there before the jump."""
        return [(self.begin, self.code), (self.hop, _jump(self.hop, self.begin)),
                (self.site, _short_jump(self.site, self.hop))]

    def covers(self, address: int) -> bool:
        """Whether it is one of the bytes that are written."""
        return any(first <= address < first + len(code) for first, code in self.writes())

    def stands_for(self, pc: int) -> Optional[int]:
        """Where a vCPU would be without the detour; None: it is not in it."""
        if pc == self.hop or pc in self.before:
            return self.site
        return self.site + len(CPUID) if self.begin <= pc < self.begin + len(self.code) else None

    def has_moved_ecx(self, pc: int) -> bool:
        """Whether the leaf's ECX is in EDX there."""
        return pc in self.before[1:]


def _jump(at: int, to: int) -> bytes:
    return b"\xe9" + (to - at - 5).to_bytes(4, "little", signed=True)


def _short_jump(at: int, to: int) -> bytes:
    return b"\xeb" + (to - at - 2).to_bytes(1, "little", signed=True)


def _lea(leaf: int) -> bytes:
    """ECX = EAX - leaf."""
    if leaf <= 0x80:
        return _LEA_ECX_RAX_8 + (-leaf).to_bytes(1, "little", signed=True)
    return _LEA_ECX_RAX_32 + (-leaf & _MASK32).to_bytes(4, "little")


def _tests(leaves: Sequence[Leaves]) -> Optional[List[List[bytes]]]:
    """The instructions after each of which ECX is 0 if it is one of the leaves; None: a run is too long for that."""
    tests = []
    for first, last in leaves:
        if last - first < _SINGLES:
            tests += [[_lea(leaf)] for leaf in range(first, last + 1)]
        elif last - first <= 0xffff:
            above = _ABOVE_8 if last - first <= 0xff else _ABOVE_16
            tests.append([_lea(first), above[:3], above[3:5], above[5:]])
        else:
            return None
    return tests


def _code(begin: int, back: int, tests: List[List[bytes]]) -> Optional[Tuple[bytes, int, Tuple[int, ...]]]:
    """(bytes, offset of the cpuid that is stopped at, addresses before either cpuid); None: it is too long."""
    end = [_MOV_ECX_EDX, CPUID]
    lines: List[List[bytes]] = [[_MOV_EDX_ECX], *([*test, b"\xe3\0"] for test in tests), end]
    hit = sum(len(code) for line in lines for code in line) + 5
    code, before = b"", []
    for line in [*lines, end]:
        for each in line:
            before.append(begin + len(code))
            if each[:1] == b"\xe3":
                if hit - len(code) - 2 > 127:
                    return None
                each = b"\xe3" + bytes([hit - len(code) - 2])
            code += each
        if line is end:
            code += _jump(begin + len(code), back)
    return code, hit + len(_MOV_ECX_EDX), tuple(before)


def detours(site: int, hop: Room, cave: Room, leaves: Sequence[Leaves]) -> Iterator[Detour]:
    """What could be written for the cpuid at `site`, the first choice first; nothing if these leaves need more room.

    hop: what a jump of two bytes reaches. cave: for the code. leaves: that are to be stopped at, apart and ascending;
    some more may be.
    """
    tests = _tests(leaves)
    if tests is None:
        return
    size = len((_code(cave.address, site, tests) or (b"",))[0])
    for begin in cave.places(size, CAVE_STEP) if size else ():
        made = _code(begin, site + len(CPUID), tests)
        for jump in hop.places(HOP_STEP, HOP_STEP):
            if made is not None:
                yield Detour(site, begin + made[1], jump, begin, made[0], made[2])
