"""Bits of a register that are to be set and cleared, as a person writes it: `= V`, `|= V`, `&= V`, `&= ~V`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Optional

from bootsonde.model.errors import UserError

_OPERATION = re.compile(r"(\||&)?=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Edit:
    """Bits that become 1 and bits that become 0; the others stay."""

    ones: int = 0
    zeros: int = 0

    def apply(self, value: int) -> int:
        """The register's value with the edit."""
        return value & ~self.zeros | self.ones

    def leaves(self, width: int) -> bool:
        """Whether any of `width` bits stays as it was."""
        return self.ones | self.zeros != (1 << width) - 1

    def joined(self, other: Edit) -> Edit:
        """Both. Raises ValueError if one sets what the other clears."""
        ones, zeros = self.ones | other.ones, self.zeros | other.zeros
        if ones & zeros:
            raise ValueError(f"bits {ones & zeros:#x} would be set and cleared")
        return Edit(ones, zeros)


def parse_edit(text: str, width: int, named: Callable[[str], Optional[int]] = lambda name: None) -> Edit:
    """`= V`, `|= V` or `&= V`, V a sum such as `0x10|x2apic`, a tilde before it meaning all other bits.

    named: a name's bits, or None if it has none. Raises UserError.
    """
    found = _OPERATION.fullmatch(text.strip())
    if found is None:
        raise UserError(f"{text.strip() or 'nothing'}: expected = VALUE, |= BITS or &= ~BITS")
    operation, words = found.group(1), found.group(2).strip()
    mask = (1 << width) - 1
    inverted = words.startswith("~")
    value = 0
    for word in words.lstrip("~").strip("() ").split("|"):
        word = word.strip()
        bits = named(word)
        if bits is None:
            try:
                bits = int(word, 0)
            except ValueError:
                raise UserError(f"{word or 'nothing'} is neither a number nor a name that is known here") from None
        if not 0 <= bits <= mask:
            raise UserError(f"{word}: expected 0 to {mask:#x}")
        value |= bits
    value = ~value & mask if inverted else value
    if operation == "|":
        return Edit(ones=value)
    return Edit(zeros=~value & mask) if operation == "&" else Edit(value, ~value & mask)
