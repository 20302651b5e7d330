"""What can be injected into: kernel variables and their parts, registers, memory. Values are checked against it.

As words of `bootsonde inject`, and in its help:

    tsc_freq  timeinfos[0].tsc_shift    a variable, or a part of one by its path
    $eax  $ah  $rip                     a register or a part of one
    mem:ADDRESS:SIZE                    memory by virtual address, 1, 2, 4 or 8 bytes
    phys:ADDRESS:SIZE                   by physical address
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Optional, Tuple

from bootsonde.model.errors import UserError
from bootsonde.model.place import Variable
from bootsonde.model.registers import register_bits
from bootsonde.model.scenario import Memory, Rule

#: Bytes that one injection writes.
SIZES = (1, 2, 4, 8)
_MEMORY = re.compile(r"(mem|phys):(.+):(\d+)")
_PATH = re.compile(r"([A-Za-z_]\w*)((?:\[\d+\])*)((?:\.[A-Za-z_]\w*(?:\[\d+\])*)*)")


@dataclass(frozen=True)
class Path:
    """A variable's part: the variable, the elements of it as an array, and the fields from there on."""

    root: str
    indices: Tuple[int, ...] = ()
    fields: str = ""

    @property
    def whole(self) -> bool:
        """Whether it is the variable itself."""
        return not self.indices and not self.fields


def parse_path(text: str) -> Path:
    """NAME, NAME[N]..., NAME.FIELD[N].FIELD. Raises UserError."""
    found = _PATH.fullmatch(text)
    if found is None:
        raise UserError(f"{text} names no variable: expected NAME, NAME.FIELD or NAME[N].FIELD")
    return Path(found[1], tuple(map(int, re.findall(r"\d+", found[2]))), found[3][1:])


def variable_limits(variable: Variable) -> Tuple[int, int]:
    """The least and the greatest value that a variable takes, by its type.

    Where DWARF does not tell the sign (char, enum, no type), either notation of the same bits is taken.
    """
    bits = 8 * variable.size
    if variable.encoding == "bool":
        return 0, 1
    least = 0 if variable.encoding in ("unsigned", "pointer") else -(1 << bits - 1)
    return least, (1 << bits - 1) - 1 if variable.signed else (1 << bits) - 1


def check_size(variable: Variable) -> None:
    """Raises UserError for a variable that cannot be written as one number."""
    if variable.size not in SIZES or variable.encoding in ("struct", "union", "array"):
        a_part = f": name a part of it, as in {variable.name}[0]" if variable.encoding == "array" else \
            f": name a field of it, as in {variable.name}.FIELD" if variable.encoding in ("struct", "union") else ""
        raise UserError(f"{variable.name} has {variable.size} bytes ({variable.type or 'no type'}); "
                        f"only 1, 2, 4 or 8 can be injected{a_part}")


def variable_bits(variable: Variable, value: int) -> int:
    """`value` as the variable's bits. Raises UserError if it does not fit its type."""
    check_size(variable)
    least, greatest = variable_limits(variable)
    if not least <= value <= greatest:
        shown = f"{value:#x} ({value})" if value > 9 else str(value)
        raise UserError(f"{shown} does not fit {variable.name}, which is {variable.type or f'{variable.size} bytes'}: "
                        f"{least} to {greatest}")
    return value & ((1 << 8 * variable.size) - 1)


def memory_bits(memory: Memory, value: int) -> int:
    """`value` as this memory's bits. Raises UserError if it does not fit, or the size is none."""
    if memory.size not in SIZES:
        raise UserError(f"{memory}: {memory.size} bytes cannot be injected, only 1, 2, 4 or 8")
    if not 0 <= memory.address <= (1 << 64) - memory.size:
        raise UserError(f"{memory.address:#x} is no address")
    if not -(1 << 8 * memory.size - 1) <= value < 1 << 8 * memory.size:
        raise UserError(f"{value:#x} does not fit {memory.size} bytes")
    return value & ((1 << 8 * memory.size) - 1)


def check_rule(rule: Rule, lookup: Callable[[str], Optional[Variable]]) -> None:
    """Check a rule's injections before the run. Raises UserError; a variable that is not there is the caller's."""
    for name, value in rule.variables.items():
        variable = lookup(name)
        if variable is not None:
            variable_bits(variable, value)
    for name, value in rule.registers.items():
        register_bits(name, value)
    for memory, value in rule.memory.items():
        memory_bits(memory, value)
    if rule.skipped is not None and rule.skipped < 1:
        raise UserError(f"skips({rule.skipped}) skips nothing")
    if rule.return_value is not None:
        register_bits("rax", rule.return_value)


def parse_memory(word: str, address: Callable[[str], int]) -> Optional[Memory]:
    """mem:ADDRESS:SIZE or phys:ADDRESS:SIZE; None if the word is neither.

    address: what makes a number of ADDRESS, which may be an expression. Raises UserError.
    """
    if not word.startswith(("mem:", "phys:")):
        return None
    found = _MEMORY.fullmatch(word)
    if found is None:
        raise UserError(f"{word}: expected mem:ADDRESS:SIZE or phys:ADDRESS:SIZE, SIZE in bytes")
    return Memory(address(found[2]), int(found[3]), found[1] == "phys")
