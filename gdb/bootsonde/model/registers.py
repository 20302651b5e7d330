"""x86-64's registers and their parts by name: which bits they are, and what writing them does to the whole.

Intel SDM volume 1, 3.4.1.1: in 64-bit mode a 32-bit result clears the upper half of the register, an 8- or 16-bit one
leaves the rest as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from bootsonde.model.errors import UserError

_MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class Register:
    """`bits` bits of the register `whole`, from bit `shift` on; `whole` is a name that GDB knows."""

    name: str
    whole: str
    bits: int
    shift: int = 0

    def written(self, whole: int, value: int) -> int:
        """The whole register after `value` has been written to this part of it."""
        mask = (1 << self.bits) - 1
        if self.bits == 32:
            return value & mask
        return whole & ~(mask << self.shift) & _MASK64 | (value & mask) << self.shift


def _table() -> Dict[str, Register]:
    table = {}

    def add(name: str, whole: str, bits: int, shift: int = 0) -> None:
        table[name] = Register(name, whole, bits, shift)

    for letter in "abcd":
        whole = f"r{letter}x"
        add(whole, whole, 64)
        add(f"e{letter}x", whole, 32)
        add(f"{letter}x", whole, 16)
        add(f"{letter}h", whole, 8, 8)
        add(f"{letter}l", whole, 8)
    for word in ("si", "di", "bp", "sp"):
        whole = f"r{word}"
        add(whole, whole, 64)
        add(f"e{word}", whole, 32)
        add(word, whole, 16)
        add(f"{word}l", whole, 8)
    for number in range(8, 16):
        whole = f"r{number}"
        add(whole, whole, 64)
        # r8l is what GDB calls r8b.
        for suffix, bits in (("d", 32), ("w", 16), ("b", 8), ("l", 8)):
            add(f"{whole}{suffix}", whole, bits)
    for name in ("rip", "fs_base", "gs_base", "k_gs_base", "cr0", "cr2", "cr3", "cr4", "cr8", "efer"):
        add(name, name, 64)
    # In GDB these are names of the whole registers, and so they are here.
    add("pc", "rip", 64)
    add("sp", "rsp", 64)
    add("eflags", "eflags", 32)
    for name in ("cs", "ss", "ds", "es", "fs", "gs"):
        add(name, name, 16)
    return table


_REGISTERS = _table()


def register_named(name: str) -> Register:
    """A register or a part of one. Raises UserError if there is none of that name."""
    register = _REGISTERS.get(name.lower())
    if register is None:
        raise UserError(f"{name} is no register: general ones and their parts (rax, eax, ax, ah, al, r8d, r8w, r8b), "
                        "rip, eflags, segment and control registers, efer")
    return register


def register_bits(name: str, value: int) -> int:
    """`value` as this register's bits; a negative one is two's complement. Raises UserError if it does not fit."""
    register = register_named(name)
    if not -(1 << register.bits - 1) <= value < 1 << register.bits:
        raise UserError(f"{value:#x} does not fit {name}, which has {register.bits} bits")
    return value & ((1 << register.bits) - 1)
