"""Registers' parts: which bits they are, what a write of them does to the whole, which values fit."""

from __future__ import annotations

import pytest

from bootsonde.model.errors import UserError
from bootsonde.model.registers import register_bits, register_named

WHOLE = 0x1122334455667788


@pytest.mark.parametrize("name, whole, after", [
    ("rax", "rax", 0xff), ("eax", "rax", 0xff), ("ax", "rax", 0x11223344556600ff), ("al", "rax", 0x11223344556677ff),
    ("ah", "rax", 0x112233445566ff88), ("r8d", "r8", 0xff), ("r15w", "r15", 0x11223344556600ff),
    ("r9b", "r9", 0x11223344556677ff), ("r9l", "r9", 0x11223344556677ff), ("sil", "rsi", 0x11223344556677ff),
    ("bp", "rbp", 0x11223344556600ff), ("EAX", "rax", 0xff), ("pc", "rip", 0xff), ("sp", "rsp", 0xff),
])
def test_a_part_is_written_as_the_processor_does(name: str, whole: str, after: int) -> None:
    register = register_named(name)
    assert (register.whole, register.written(WHOLE, 0xff)) == (whole, after)


@pytest.mark.parametrize("name, value, bits", [
    ("al", 255, 0xff), ("al", -128, 0x80), ("ah", -1, 0xff), ("ax", 0xffff, 0xffff), ("eax", -1, 0xffffffff),
    ("rax", -1, (1 << 64) - 1), ("rip", (1 << 64) - 1, (1 << 64) - 1), ("eflags", 0x246, 0x246),
])
def test_values_that_fit(name: str, value: int, bits: int) -> None:
    assert register_bits(name, value) == bits


@pytest.mark.parametrize("name, value", [("al", 256), ("al", -129), ("ah", 0x100), ("r8w", 0x10000), ("eax", 1 << 32),
                                         ("rax", 1 << 64), ("eflags", 1 << 32)])
def test_values_that_do_not_fit(name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"does not fit {name}, which has"):
        register_bits(name, value)


@pytest.mark.parametrize("name", ["", "eex", "r16", "sih", "r8h", "xmm0", "rflags"])
def test_what_is_no_register(name: str) -> None:
    with pytest.raises(UserError, match="is no register: general ones and their parts"):
        register_named(name)
