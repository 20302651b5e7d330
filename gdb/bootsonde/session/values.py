"""Numbers as a person types them at GDB's prompt."""

from __future__ import annotations

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.question import parse_number


def number(word: str, bits: int, what: str) -> int:
    """A number, or what GDB makes of an expression such as $eax. Raises UserError, naming `what` it should be."""
    value = parse_number(word, bits, what)
    if value is not None:
        return value
    try:
        value = int(gdb.parse_and_eval(word)) & (1 << 64) - 1
    except gdb.error as error:
        raise UserError(f"{word} is no {what}: {error}") from None
    if value >= 1 << bits:
        raise UserError(f"{word} is {value:#x}, which is no {what}: expected at most {(1 << bits) - 1:#x}")
    return value


def integer(word: str, bits: int, signed: bool) -> int:
    """A number of either sign, or what GDB makes of an expression. Raises UserError if it is none.

    GDB has registers as signed numbers: where `bits` unsigned ones are wanted, its bits are taken.
    """
    try:
        return int(word, 10 if word.lstrip("-").isdigit() else 0)
    except ValueError:
        pass
    try:
        value = gdb.parse_and_eval(word)
        number = int(value)
    except gdb.error as error:
        raise UserError(f"{word} is no value: {error}") from None
    return number + (1 << bits) if number < 0 and not signed and 8 * value.type.sizeof == bits else number
