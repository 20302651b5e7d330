"""Detours: the code does what the instruction did, for every leaf, and tells those that are stopped at."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from bootsonde.model.cpuid_overlay import CpuidOverlay
from bootsonde.model.detour import Detour, Room, detours

SITE, HOP, CAVE = 0xffffffff81001000, Room(0xffffffff81001020, 15), Room(0xffffffff81805000, 256)
KVM = [(0x40000000, 0x40000010)]
MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1


def first(leaves: list[tuple[int, int]], hop: Room = HOP, cave: Room = CAVE) -> Detour:
    return next(detours(SITE, hop, cave, leaves))


def disassembled(detour: Detour, folder: Path) -> dict[int, tuple[str, list[str], int]]:
    """By objdump: address -> mnemonic, operands in Intel's order, the next address."""
    ret = {}
    for number, (address, code) in enumerate(detour.writes()):
        path = folder / f"code{number}"
        path.write_bytes(code)
        out = subprocess.run(["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn",
                              f"--adjust-vma={address:#x}", path], capture_output=True, text=True, check=True).stdout
        lines = [(int(at, 16), text.split(None, 1)) for at, colon, text in
                 (line.strip().partition(":\t") for line in out.splitlines()) if colon]
        ends = [at for at, _ in lines[1:]] + [address + len(code)]
        for (at, words), end in zip(lines, ends):
            ret[at] = (words[0], words[1].strip().split(",") if len(words) > 1 else [], end)
    return ret


def execute(code: dict[int, tuple[str, list[str], int]], rax: int, rcx: int) -> tuple[int, int, int]:
    """From the site to the end: (address of the cpuid, EAX and ECX there). Only the instructions that are used."""
    regs = {"rax": rax, "rcx": rcx, "rbx": random.getrandbits(64), "rdx": random.getrandbits(64)}
    pc, seen = SITE, (0, 0, 0)
    for _ in range(100):
        if pc == SITE + 2:
            assert seen[0], "there was a cpuid on the way"
            return seen
        mnemonic, operands, pc_next = code[pc]
        if mnemonic == "cpuid":
            assert not seen[0]
            seen = (pc, regs["rax"] & MASK32, regs["rcx"] & MASK32)
        elif mnemonic == "jrcxz":
            pc_next = int(operands[0], 16) if not regs["rcx"] else pc_next
        elif mnemonic == "jmp":
            pc_next = int(operands[0], 16)
        elif mnemonic == "lea":
            inner = operands[1].strip("[]").replace("*1", "").replace("-", "+-").split("+")
            value = sum(int(each, 16) if "0x" in each else regs[each] for each in inner)
            regs["r" + operands[0][1:]] = value & MASK32
        elif mnemonic == "not":
            regs["r" + operands[0][1:]] = ~regs["r" + operands[0][1:]] & MASK32
        else:
            name, mask = {"ecx": ("rcx", MASK32), "edx": ("rdx", MASK32), "cl": ("rcx", 0xff),
                          "cx": ("rcx", 0xffff)}[operands[1]]
            assert mnemonic in ("mov", "movzx")
            regs["r" + operands[0][1:]] = regs[name] & mask
        pc = pc_next
    raise AssertionError("it does not end")


@pytest.mark.parametrize("leaves", [KVM, [(1, 1)], [(1, 2), (0x80, 0x80), (0x81, 0x81)],
                                    [(7, 7), (0x40000000, 0x40000100)],
                                    [(0x80000007, 0x80000007), (0xffffffff, 0xffffffff)], [(0x80000000, 0x8000ffff)]])
def test_leaves_come_to_their_cpuid_with_all_that_it_takes(leaves: list[tuple[int, int]], tmp_path: Path) -> None:
    detour = first(leaves)
    code = disassembled(detour, tmp_path)
    edges = {edge + near for run in leaves for edge in run for near in (-1, 0, 1)}
    asked = {leaf & MASK32 for leaf in edges | {0, 1, 0x40000100, 0x40010000, 0x80000000}}
    for leaf in asked | {random.getrandbits(32) for _ in range(200)}:
        subleaf = random.getrandbits(32)
        rax, rcx = (random.getrandbits(32) << 32 | value for value in (leaf, subleaf))
        at, eax, ecx = execute(code, rax, rcx)
        assert (eax, ecx) == (leaf, subleaf)
        if any(low <= leaf <= high for low, high in leaves):
            assert at == detour.hit, hex(leaf)
        elif not any(low <= leaf <= low | 0xffff for low, high in leaves if high - low >= 2):
            assert at != detour.hit, hex(leaf)


def test_a_block_is_no_larger_than_it_has_to_be(tmp_path: Path) -> None:
    """The leaves at which kernels look for other hypervisors are 0x100 apart."""
    detour = first(KVM)
    code = disassembled(detour, tmp_path)
    assert [execute(code, leaf, 0)[0] == detour.hit for leaf in (0x40000000, 0x400000ff, 0x40000100, 0x3fffffff)] == [
        True, True, False, False]
    assert len(detour.code) <= 48


def test_flags_stack_and_memory_are_left_alone(tmp_path: Path) -> None:
    code = disassembled(first([(1, 1), *KVM, (0x80000000, 0x80000fff)]), tmp_path)
    used = {mnemonic for mnemonic, _, _ in code.values()}
    assert used == {"mov", "movzx", "lea", "not", "jrcxz", "jmp", "cpuid"}


def test_each_address_stands_for_one_at_the_site(tmp_path: Path) -> None:
    """What a vCPU there would have to do is what is left of the detour."""
    detour = first([(1, 1), *KVM])
    behind = False
    for address, (mnemonic, operands, _) in sorted(disassembled(detour, tmp_path).items()):
        if address == SITE:
            continue
        behind = detour.begin <= address and behind and mnemonic == "jmp"
        assert detour.stands_for(address) == (SITE + 2 if behind else SITE), hex(address)
        behind = mnemonic == "cpuid"
        assert detour.has_moved_ecx(address) == (address not in (detour.hop, detour.begin) and not (
            mnemonic == "jmp" and operands == [hex(SITE + 2)])), hex(address)
    assert detour.stands_for(SITE) is None and detour.stands_for(SITE + 2) is None


def test_parts_that_are_taken_are_passed_over() -> None:
    every = list(detours(SITE, HOP, CAVE, KVM))
    assert len({(each.hop, each.begin) for each in every}) == len(every) == 3 * 4
    for each in every:
        for address, code in each.writes()[:2]:
            assert any(room.address <= address and address + len(code) <= room.address + room.size
                       for room in (HOP, CAVE))


@pytest.mark.parametrize("leaves, hop, cave", [
    ([(0, 0x10000)], HOP, CAVE), ([(leaf, leaf) for leaf in range(0, 400, 2)], HOP, CAVE),
    (KVM, HOP, Room(CAVE.address, 32)), (KVM, Room(HOP.address, 4), CAVE)],
    ids=["a long run", "many leaves", "a small cave", "a small hop"])
def test_what_has_no_room_is_none(leaves: list[tuple[int, int]], hop: Room, cave: Room) -> None:
    assert not list(detours(SITE, hop, cave, leaves))


# What an overlay changes.


LIMITS = {0: 0xd, 0x40000000: 0x40000001, 0x80000000: 0x8000000a}


def overlay(*lines: str) -> CpuidOverlay:
    made = CpuidOverlay()
    for line in lines:
        made.add(line)
    made.learn(LIMITS)
    return made


@pytest.mark.parametrize("lines, runs", [
    (["0x40000000: eax = 0x40000010, vendor = KVMKVMKVM", "0x40000001: eax = 9, ebx = 0, ecx = 0, edx = 0",
      "0x40000010: eax = 1, ebx = 2"], KVM),
    (["1: ecx |= x2apic", "7.0: ebx &= ~2"], [(1, 1), (7, 7)]),
    (["0x80000007: edx |= invariant_tsc"], [(0x80000007, 0x80000007)]),
    (["0x8000001f: eax = 1"], [(0x80000000, 0x80000000), (0x8000000b, 0x8000001f)]),
    (["0xc0000001: edx = 1"], [(0xc0000000, 0xc0000001)]),
    (["0x80000000: eax = 0x80000004"], [(0x80000000, 0x80000000), (0x80000005, 0x8000000a)]),
    (["0x15: eax = 2"], None), (["0xd: eax = 2"], None), (["0xd.1: eax = 2"], None), (["0: eax = 4"], None)])
def test_all_other_leaves_are_the_processors(lines: list[str], runs: list[tuple[int, int]] | None) -> None:
    made = overlay(*lines)
    assert made.changed() == runs
    if runs is None:
        assert made.plan(0x12345678, 1) is not None, "an answer like any other is changed"
        return
    edges = {edge + near for edge in [0, *LIMITS, *LIMITS.values(), 0xc0000000, *(edge for run in runs for edge in run)]
             for near in range(-3, 4)}
    for leaf in {edge & MASK32 for edge in edges} | {random.getrandbits(32) for _ in range(500)}:
        if not any(low <= leaf <= high for low, high in runs):
            assert all(made.plan(leaf, subleaf) is None for subleaf in (0, 1, 7)), hex(leaf)
