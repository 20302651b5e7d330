"""Conditions: names become what a GDB without symbols understands."""

from __future__ import annotations

from typing import Optional

import pytest

from bootsonde.model.errors import UserError
from bootsonde.model.expression import Change, cast_change, resolve, with_change
from bootsonde.model.place import Variable

VARIABLES = {
    "tsc_freq": Variable("tsc_freq", 0xffffffff80300000, 8),
    "smp_tsc": Variable("smp_tsc", 0xffffffff80300008, 4, "int", True),
    "table": Variable("table", 0xffffffff80300010, 48),
}


def lookup(name: str) -> Optional[Variable]:
    return VARIABLES.get(name)


@pytest.mark.parametrize("expression, resolved", [
    ("tsc_freq == 0", "(*(unsigned long *)0xffffffff80300000) == 0"),
    ("smp_tsc<-1", "(*(signed int *)0xffffffff80300008)<-1"),
    ("$rdi != 0x10ul", "$rdi != 0x10ul"),
    ("id == 3 && tsc_freq", "$rdi == 3 && (*(unsigned long *)0xffffffff80300000)"),
    ("(unsigned char)id == 'a'", "(unsigned char)$rdi == 'a'"),
])
def test_names_become_addresses_and_registers(expression: str, resolved: str) -> None:
    assert resolve(expression, {"id": "rdi"}, lookup) == resolved


def test_a_parameter_hides_a_variable_of_its_name() -> None:
    assert resolve("tsc_freq", {"tsc_freq": "rsi"}, lookup) == "$rsi"


@pytest.mark.parametrize("expression, named", [("tsc_frq == 0", "tsc_frq"), ("table == 0", "48 bytes")])
def test_what_cannot_be_had_is_named(expression: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        resolve(expression, {}, lookup)


@pytest.mark.parametrize("name, change, wanted", [
    ("tsc_freq", Change(0, 5), "((unsigned long)0x0) == 0 && ((unsigned long)0x5) > $rdi"),
    ("smp_tsc", Change(None, 0xffffffff), "((signed int)0x0) == 0 && ((signed int)0xffffffff) > $rdi"),
])
def test_a_writes_values_have_the_variables_type(name: str, change: Change, wanted: str) -> None:
    assert with_change(cast_change("$old == 0 && $new > $rdi", VARIABLES[name]), change) == wanted


def test_elsewhere_old_and_new_are_gdbs_own() -> None:
    assert with_change("$new == 1", None) == "$new == 1"
