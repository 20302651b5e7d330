"""What `bootsonde cpuid`, `rdmsr` and their like take."""

from __future__ import annotations

import pytest

from bootsonde.model.errors import UserError
from bootsonde.model.question import Question, msr_named, parse_number, parse_question


@pytest.mark.parametrize("text, words, vcpu", [
    ("1", ["1"], None), (" 0x40000000   0 ", ["0x40000000", "0"], None), ("7 1 vcpu 3", ["7", "1"], 3),
    ("1 vcpu 0", ["1"], 0),
])
def test_words_and_vcpu_are_told_apart(text: str, words: list[str], vcpu: int | None) -> None:
    assert parse_question(text, "usage", 1, 2) == Question(words, vcpu)


@pytest.mark.parametrize("text", ["", "1 2 3", "1 vcpu", "1 vcpu x", "vcpu 1 1", "1 vcpu 1 vcpu 2", "vcpu 1",
                                  "1 vcpu -1"])
def test_others_are_told_the_usage(text: str) -> None:
    with pytest.raises(UserError, match="usage: bootsonde cpuid LEAF"):
        parse_question(text, "bootsonde cpuid LEAF", 1, 2)


@pytest.mark.parametrize("word, value", [("0x40000000", 0x40000000), ("7", 7), ("0123", 123), ("0b101", 5),
                                         ("$eax", None), ("tsc_freq", None)])
def test_numbers_are_c_or_python(word: str, value: int | None) -> None:
    assert parse_number(word, 32, "leaf") == value


@pytest.mark.parametrize("word", ["0x100000000", "-1", "99999999999"])
def test_numbers_that_do_not_fit_are_refused(word: str) -> None:
    with pytest.raises(UserError, match="is no leaf: expected 0 to 0xffffffff"):
        parse_number(word, 32, "leaf")


def test_registers_go_by_the_manuals_names() -> None:
    assert msr_named("IA32_APIC_BASE") == msr_named("ia32_apic_base") == 0x1b
    assert msr_named("IA32_NONE") is None
