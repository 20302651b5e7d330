"""What can be injected into, and which values it takes."""

from __future__ import annotations

from typing import Optional

import pytest

from bootsonde.model.errors import UserError
from bootsonde.model.place import Functions, Variable
from bootsonde.model.scenario import Memory, Rule
from bootsonde.model.target import Path, check_rule, memory_bits, parse_memory, parse_path, variable_bits


def variable(size: int, encoding: Optional[str]) -> Variable:
    return Variable("v", 0xffffffff80300000, size, f"a {encoding}", encoding == "signed", encoding)


@pytest.mark.parametrize("size, encoding, value, bits", [
    (4, "signed", -1, 0xffffffff), (4, "signed", 0x7fffffff, 0x7fffffff), (8, "unsigned", (1 << 64) - 1, (1 << 64) - 1),
    (1, "bool", 1, 1), (1, "char", -1, 0xff), (1, "char", 255, 0xff), (4, "enum", -1, 0xffffffff),
    (8, "pointer", 0xffffffff80200000, 0xffffffff80200000), (2, None, -2, 0xfffe), (2, None, 0xfffe, 0xfffe),
])
def test_values_that_fit(size: int, encoding: Optional[str], value: int, bits: int) -> None:
    assert variable_bits(variable(size, encoding), value) == bits


@pytest.mark.parametrize("size, encoding, value, range_", [
    (4, "signed", 0x80000000, "-2147483648 to 2147483647"), (4, "unsigned", -1, "0 to 4294967295"),
    (1, "bool", 2, "0 to 1"), (1, "char", 256, "-128 to 255"), (8, "pointer", -1, "0 to 18446744073709551615"),
    (2, None, 0x10000, "-32768 to 65535"),
])
def test_values_that_do_not_fit_are_told_the_range(size: int, encoding: Optional[str], value: int, range_: str) -> None:
    with pytest.raises(UserError, match=f"does not fit v, which is a {encoding}: {range_}"):
        variable_bits(variable(size, encoding), value)


@pytest.mark.parametrize("size, encoding, advice", [(12, "struct", "name a field of it, as in v.FIELD"),
                                                    (8, "array", r"name a part of it, as in v\[0\]"),
                                                    (16, "signed", "only 1, 2, 4 or 8 can be injected")])
def test_what_is_no_number_is_refused(size: int, encoding: str, advice: str) -> None:
    with pytest.raises(UserError, match=advice):
        variable_bits(variable(size, encoding), 0)


@pytest.mark.parametrize("text, path", [
    ("tsc_freq", Path("tsc_freq")), ("a[3]", Path("a", (3,))), ("a[1][2]", Path("a", (1, 2))),
    ("a.b.c", Path("a", (), "b.c")), ("a[1].b[2].c[3]", Path("a", (1,), "b[2].c[3]")),
])
def test_paths(text: str, path: Path) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", "a.", ".b", "a[", "a[]", "a[x]", "a->b", "a b", "1a", "*a", "a[-1]"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(UserError, match="names no variable: expected NAME, NAME.FIELD or NAME"):
        parse_path(text)


def test_memory_words() -> None:
    assert parse_memory("mem:0x1000:4", lambda word: int(word, 0)) == Memory(0x1000, 4)
    assert parse_memory("phys:a:b:2", lambda word: {"a:b": 7}[word]) == Memory(7, 2, True)
    assert parse_memory("memory", int) is None
    for bad in ("mem:0x1000", "mem:0x1000:", "mem::4", "phys:1:x"):
        with pytest.raises(UserError, match="expected mem:ADDRESS:SIZE or phys:ADDRESS:SIZE"):
            parse_memory(bad, lambda word: int(word, 0))


@pytest.mark.parametrize("memory, value, said", [
    (Memory(0, 3), 0, "3 bytes cannot be injected, only 1, 2, 4 or 8"),
    (Memory(0, 1), 256, "0x100 does not fit 1 bytes"),
    (Memory((1 << 64) - 4, 8), 0, "is no address"), (Memory(-1, 1), 0, "is no address"),
])
def test_memory_that_cannot_be(memory: Memory, value: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        memory_bits(memory, value)


@pytest.mark.parametrize("rule", [
    Rule(Functions("f")).inject(v=1 << 32), Rule(Functions("f")).inject({"v": -1}),
    Rule(Functions("f")).set_registers(al=256), Rule(Functions("f")).set_registers(nothing=1),
    Rule(Functions("f")).set_memory(0x1000, 1, size=5), Rule(Functions("f")).returns(1 << 64)])
def test_a_rule_is_checked_before_the_run(rule: Rule) -> None:
    assert rule.changes
    with pytest.raises(UserError):
        check_rule(rule, lambda name: variable(4, "unsigned"))
