"""Lengths in 32-bit code: what this says from a 64-bit length agrees with objdump's decoding, or it says nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bootsonde.model.insnlength import length_in_32_bit

PREFIXES = (b"", b"\x66", b"\xf3", b"\x2e", b"\x66\xf0")
#: ModRM bytes of each addressing form, with room for SIB, displacement and immediate.
TAILS = tuple(bytes([modrm]) + b"\x24\x11\x22\x33\x44\x55\x66\x77\x88\x99\x10" for modrm in
              (0x00, 0x04, 0x05, 0x45, 0x84, 0xc1, 0xd8))
STRIDE = 32


def decoded(path: Path, machine: str) -> dict[int, tuple[int, str]]:
    """offset -> (length, text) of the first instruction of each slot."""
    out = subprocess.run(["objdump", "-D", "-w", "-b", "binary", "-m", machine, str(path)], capture_output=True,
                         text=True, timeout=60, check=True).stdout
    found = {}
    for line in out.splitlines():
        row = re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(.*)", line)
        if row is not None:
            found[int(row[1], 16)] = (len(row[2].split()), row[3])
    return found


@pytest.mark.parametrize("two_bytes", [False, True])
def test_agrees_with_objdump(tmp_path: Path, two_bytes: bool) -> None:
    codes = [prefix + (b"\x0f" if two_bytes else b"") + bytes([opcode]) + tail
             for opcode in range(256) for prefix in PREFIXES for tail in TAILS]
    told = 0
    # Slots are separated by nops, in which decoding is in step again.
    whole = tmp_path / "whole"
    whole.write_bytes(b"".join(code.ljust(STRIDE, b"\x90") for code in codes))
    in_64, in_32 = decoded(whole, "i386:x86-64"), decoded(whole, "i386")
    wrong = []
    for at, code in zip(range(0, len(codes) * STRIDE, STRIDE), codes):
        if "(bad)" in in_32.get(at, (0, "(bad)"))[1] or at not in in_64:
            continue
        length, text = in_64[at]
        said = length_in_32_bit(code.ljust(15, b"\x90"), None if "(bad)" in text else length)
        told += said is not None
        if said not in (None, in_32[at][0]):
            wrong.append((code.hex(" "), said, in_32[at], text))
    assert not wrong
    assert told > len(codes) / 2
