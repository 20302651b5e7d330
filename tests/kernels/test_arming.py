"""When the overlay's breakpoints are set, on a kernel with many wrmsr instructions: each costs, hit or not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab
from terminals import Gdb, gdb, launcher

from bootsonde.probe import Probe

from .conftest import DEBIAN_APPEND, NO_ROOT


@pytest.fixture(scope="module")
def writes(cprobe: Path, debian: Path) -> set[int]:
    """The wrmsr instructions that may be about the clock."""
    asked = Probe(str(cprobe), str(debian / "vmlinux")).ask("find", "--insn", "wrmsr", "--inputs")
    return {int(each["address"], 16) for each in asked.records
            if "input" not in each and each["section"] != ".altinstr_replacement"}


def watched(debugger: Gdb) -> set[int]:
    """Where breakpoints are set and enabled."""
    return {int(address, 16) for address in re.findall(r"keep y +(0x[0-9a-f]+)", debugger.type("info breakpoints"))}


@contextlib.contextmanager
def stopped_at(function: str, lab: Lab, debian: Path, *lines: str) -> Iterator[Gdb]:
    """A clock is pretended, and the guest is stopped where it has come to the function."""
    scenario = lab.scenario("told", "scenario.kvm_clock()", f"scenario.until({NO_ROOT!r})", *lines,
                            f"scenario.at(Functions({function!r}))")
    with launcher(lab, "--append", DEBIAN_APPEND, kernel=debian / "vmlinux"), gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        debugger.type("set bootsonde-symbols-at-prompt never")
        debugger.type("set pagination off")
        assert f"cpu0 {function}(" in debugger.type(f"source {scenario}")
        yield debugger


def low(addresses: set[int]) -> set[int]:
    """Load addresses."""
    return {address - 0xffffffff80000000 for address in addresses}


def test_wrmsr_is_not_watched_before_the_kernel_knows_of_a_clock(lab: Lab, debian: Path, writes: set[int]) -> None:
    with stopped_at("xen_prepare_pvh", lab, debian) as debugger:
        assert len(writes) > 8 and not watched(debugger) & (writes | low(writes))


def test_wrmsr_is_watched_while_a_clock_may_be_registered(lab: Lab, debian: Path, writes: set[int]) -> None:
    with stopped_at("kvm_register_clock", lab, debian) as debugger:
        assert watched(debugger) >= writes and not watched(debugger) & low(writes)
        assert "wrmsr is left alone" in debugger.type("bootsonde go")
        assert not watched(debugger) & writes


def test_an_msr_line_has_them_watched_from_the_start(lab: Lab, debian: Path, writes: set[int]) -> None:
    with stopped_at("xen_prepare_pvh", lab, debian, 'scenario.msr("IA32_FMASK: write swallow")') as debugger:
        assert watched(debugger) >= writes | low(writes)
