"""What commands that ask a stopped vCPU take: WORD... [vcpu N]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from bootsonde.model import msr
from bootsonde.model.errors import UserError


@dataclass(frozen=True)
class Question:
    """The words before `vcpu N`, and N."""

    words: List[str]
    vcpu: Optional[int]


def parse_question(text: str, usage: str, least: int, most: int) -> Question:
    """Split a command's argument. Raises UserError with the usage if it has not `least` to `most` words."""
    words, vcpu = text.split(), None
    if "vcpu" in words:
        at = words.index("vcpu")
        if at != len(words) - 2 or not words[-1].isdigit():
            raise UserError(f"{text.strip()}: usage: {usage}")
        words, vcpu = words[:at], int(words[-1])
    if not least <= len(words) <= most:
        raise UserError(f"usage: {usage}")
    return Question(words, vcpu)


def parse_number(word: str, bits: int, what: str) -> Optional[int]:
    """A number in Python's and C's notation of at most `bits` bits; None if the word is no number.

    Raises UserError if it is too large or negative.
    """
    try:
        value = int(word, 0)
    except ValueError:
        if not word.isdigit():
            return None
        value = int(word)  # 0123: nobody means octal here
    if not 0 <= value < 1 << bits:
        raise UserError(f"{word} is no {what}: expected 0 to {(1 << bits) - 1:#x}")
    return value


def msr_named(word: str) -> Optional[int]:
    """The index of a register by its name in the manuals, in either case; None: there is none."""
    for index, name in msr.NAMES.items():
        if name == word.upper():
            return index
    return None
