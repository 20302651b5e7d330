"""Bits that are set and cleared, as they are written."""

from __future__ import annotations

import pytest

from bootsonde.model.edits import Edit, parse_edit
from bootsonde.model.errors import UserError


@pytest.mark.parametrize("text, before, after", [
    ("= 0x10", 0xffffffff, 0x10), ("=16", 0, 16), ("|= 0x3", 0x8, 0xb), ("|= one|0x100", 0, 0x101), ("&= ~0x8", 0xf, 7),
    ("&= ~(0x8|one)", 0xf, 6), ("&= 0xc", 0xf, 0xc), ("= ~0", 0, 0xffffffff)])
def test_what_is_written_is_done(text: str, before: int, after: int) -> None:
    assert parse_edit(text, 32, {"one": 1}.get).apply(before) == after


@pytest.mark.parametrize("text, said", [
    ("", "expected = VALUE, |= BITS or &= ~BITS"), ("+= 1", "expected = VALUE"), ("=", "nothing is neither"),
    ("|= x2apic", "x2apic is neither a number nor a name that is known here"),
    ("= 0x100000000", "expected 0 to 0xffffffff"),
    ("= -1", "expected 0 to"), ("|= 1|", "nothing is neither")])
def test_what_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said.replace("|", r"\|")):
        parse_edit(text, 32)


def test_two_edits_are_joined_unless_they_contradict() -> None:
    joined = Edit(ones=1).joined(Edit(zeros=2))
    assert joined.apply(6) == 5 and joined.leaves(3) and not Edit(1, 6).leaves(3)
    with pytest.raises(ValueError, match="bits 0x3 would be set and cleared"):
        Edit(ones=7).joined(Edit(zeros=3))
