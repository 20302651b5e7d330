"""What becomes of reads and writes of model-specific registers, as it is written down."""

from __future__ import annotations

import pytest

from bootsonde.model.edits import Edit
from bootsonde.model.errors import UserError
from bootsonde.model.msr_overlay import FAULT, KEEP, SWALLOW, MsrOverlay, MsrRule

ALL = (1 << 64) - 1


def overlay(*lines: str) -> MsrOverlay:
    made = MsrOverlay()
    for line in lines:
        made.add(line)
    return made


@pytest.mark.parametrize("line, index, rule", [
    ("0xce: read = 0x8000", 0xce, MsrRule(Edit(0x8000, ALL ^ 0x8000))),
    ("IA32_APIC_BASE: read |= 0x400", 0x1b, MsrRule(Edit(0x400))),
    ("0x1b: read &= ~0x100, write swallow", 0x1b, MsrRule(Edit(0, 0x100), SWALLOW)),
    ("ia32_bios_sign_id: write fault", 0x8b, MsrRule(None, FAULT)), ("0xce: read fault", 0xce, MsrRule(FAULT)),
    ("0xce: fault", 0xce, MsrRule(FAULT, FAULT)), ("0x3b: keep", 0x3b, MsrRule(KEEP, KEEP))])
def test_a_line_is_a_rule(line: str, index: int, rule: MsrRule) -> None:
    assert overlay(line).rule(index) == rule


def test_a_register_that_is_not_named_is_the_processors() -> None:
    assert overlay("0xce: fault").rule(0x1b) == MsrRule()


def test_lines_of_one_register_are_joined() -> None:
    assert overlay("0x1b: read |= 1", "0x1b: read &= ~2", "0x1b: write swallow").rule(0x1b) == MsrRule(
        Edit(1, 2), SWALLOW)


@pytest.mark.parametrize("line, reads, writes", [("0xce: read = 1", True, False), ("0xce: write fault", False, True),
                                                 ("0xce: keep", True, True)])
def test_which_instructions_matter(line: str, reads: bool, writes: bool) -> None:
    assert (overlay(line).reads, overlay(line).writes) == (reads, writes)


@pytest.mark.parametrize("line, said", [
    ("", "expected MSR"), ("0xce", "expected MSR"), ("IA32_NOTHING: fault", "expected MSR"), ("0xce: ", "nothing"),
    ("0xce: ignore", "ignore: expected MSR"), ("0xce: read", "expected MSR"), ("0xce: write = 1", "expected MSR"),
    ("0x100000000: fault", "0x100000000 is no MSR"), ("0xce: read = 0x10000000000000000", "expected 0 to"),
    ("0xce: read = 1, read = 2", "read contradicts itself: bits 0x3"),
    ("0xce: read = 1, fault", "read contradicts itself"), ("0xce: keep, write swallow", "write contradicts itself")])
def test_what_cannot_be_read_or_contradicts_itself(line: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        MsrOverlay().add(line)


def test_a_line_that_contradicts_another_changes_nothing() -> None:
    made = overlay("0xce: read = 1")
    with pytest.raises(UserError, match="read contradicts itself"):
        made.add("0xce: read fault, write swallow")
    assert made.rule(0xce) == overlay("0xce: read = 1").rule(0xce)


def test_what_is_described_can_be_added_again() -> None:
    made = overlay("0xce: read = 1, write swallow", "0x1b: read |= 1, read &= ~2", "0x3b: keep", "0x8b: fault",
                   "0xfe: read fault", "0x277: write fault")
    assert overlay(*made.describe()).describe() == made.describe()
    assert made.describe()[0] == "IA32_APIC_BASE: read |= 0x1, read &= ~0x2"
