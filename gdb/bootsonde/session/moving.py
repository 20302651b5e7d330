"""Moving a stopped vCPU: past instructions that it is not to execute, or out of a function that is not to run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Tuple

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.insnlength import length_in_32_bit
from bootsonde.session import machine

_LONGEST = 15


@dataclass(frozen=True)
class Skipped:
    """Instructions that were not executed, as text where it is known, and where the vCPU was and is."""

    instructions: List[str]
    before: int
    after: int


def code_bits() -> int:
    """16, 32 or 64: how the selected vCPU decodes instructions.

    QEMU's monitor has it with the code segment (CS64); elsewhere only whether long mode is on can be told.
    """
    vcpu = machine.current_vcpu()
    try:
        text = str(gdb.execute("monitor info registers -a", to_string=True)).replace("\r", "")
    except gdb.error:
        return 64 if machine.register("efer") >> 10 & 1 else 32
    blocks = re.split(r"^\s*CPU#(\d+)\s*$", text, flags=re.M)
    found = re.search(r"^CS =.*\bCS(\d+)\b", dict(zip(blocks[1::2], blocks[2::2])).get(str(vcpu), ""), re.M)
    return int(found[1]) if found else 16


def instruction_at(pc: int, bits: int) -> Tuple[str, int]:
    """(text, length) of the instruction at pc, of 32-bit code its bytes for the text. Raises UserError if it cannot be
    told."""
    try:
        _, text, length = machine.instructions(pc, pc)[0]
        bad = "(bad)" in text
        if bits == 64:
            if bad:
                raise UserError(f"there is no instruction at {pc:#x} that GDB can decode: set $rip instead")
            return text, length
        code = machine.read(pc, _LONGEST)
    except gdb.MemoryError:
        raise UserError(f"there is no instruction at {pc:#x}: no memory is mapped there") from None
    known = length_in_32_bit(code, None if bad else length)
    if known is None:
        raise UserError(f"the length of the instruction at {pc:#x} ({code.hex(' ')}) cannot be told in 32-bit code: "
                        "set $rip instead")
    return code[:known].hex(" "), known


def skip_instructions(count: int) -> Skipped:
    """Move the selected vCPU past `count` instructions. Raises UserError, with nothing changed."""
    bits = code_bits()
    if bits == 16:
        raise UserError("instructions cannot be skipped in 16-bit code: set $rip instead")
    before = pc = machine.register("rip")
    texts = []
    for _ in range(count):
        text, length = instruction_at(pc, bits)
        texts.append(text)
        pc += length
    _, _, after = machine.set_register("rip", pc)
    return Skipped(texts, before, after)
