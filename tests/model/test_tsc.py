"""The TSC as CPUID describes it, of machines that tell much and little."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from vendors import packed

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.tsc import describe_tsc


def machine(leaves: dict[int, tuple[int, int, int, int]]) -> Callable[[int], CpuidAnswer]:
    """CPUID of a machine. Asking for a leaf above its limits fails the test: real ones answer with another's values."""
    def ask(leaf: int) -> CpuidAnswer:
        assert leaf in leaves, f"leaf {leaf:#x} is above the limit"
        return CpuidAnswer(leaf, 0, *leaves[leaf])
    return ask


TCG = {0: (0xd, 0, 0, 0), 1: (0x60fb1, 0, 1 << 31, 1 << 4), 0x80000000: (0x8000000a, 0, 0, 0),
       0x80000001: (0, 0, 0, 1 << 27), 0x80000007: (0, 0, 0, 0), 0x40000000: (0x40000001, *packed("TCGTCGTCGTCG"))}
BARE = {0: (0x16, 0, 0, 0), 1: (0, 0, 1 << 24, 1 << 4), 0x80000000: (0x80000008, 0, 0, 0),
        0x80000001: (0, 0, 0, 1 << 27), 0x80000007: (0, 0, 0, 1 << 8), 0x15: (2, 216, 24_000_000, 0),
        0x16: (2600, 4000, 100, 0)}
KVM = {**TCG, 0x40000000: (0x40000010, *packed("KVMKVMKVM")), 0x40000010: (2_596_128, 1_000_000, 0, 0)}


def test_tcg_tells_no_frequency() -> None:
    assert describe_tsc(machine(TCG)) == [
        "has TSC", "has RDTSCP", "lacks invariant TSC", "lacks TSC deadline timer",
        "leaf 0x15: not there, the highest is 0xd",
        'leaf 0x40000010: not there, the highest of "TCGTCGTCGTCG" is 0x40000001',
        "no leaf tells the frequency: the kernel has to measure it"]


def test_a_processor_tells_it_by_leaf_15() -> None:
    said = describe_tsc(machine(BARE))
    assert "leaf 0x15: 2592000000 Hz" in said and "leaf 0x16: base frequency 2600 MHz, informational" in said
    assert "has invariant TSC" in said and "no hypervisor" in said
    assert said[-1] == "the frequency is told: 2592000000 Hz"


def test_a_hypervisor_tells_it_by_leaf_40000010() -> None:
    said = describe_tsc(machine(KVM))
    assert 'leaf 0x40000010 of "KVMKVMKVM": 2596128 kHz' in said and said[-1] == "the frequency is told: 2596128000 Hz"


@pytest.mark.parametrize("change, said", [
    ({0x15: (2, 216, 0, 0)}, "leaf 0x15: a field is 0, so no frequency"),
    ({0x80000000: (0, 0, 0, 0)}, "lacks RDTSCP"),
    ({1: (0, 0, 0, 0)}, "lacks TSC"),
])
def test_what_is_lacking_is_said(change: dict[int, tuple[int, int, int, int]], said: str) -> None:
    assert said in describe_tsc(machine({**BARE, **change}))


def test_a_hypervisor_may_say_0() -> None:
    """As KVM does for the limit, where it means 0x40000001, and a broken one for the frequency."""
    limit = machine({**KVM, 0x40000000: (0, *packed("KVMKVMKVM"))})
    assert 'leaf 0x40000010: not there, the highest of "KVMKVMKVM" is 0x40000001' in describe_tsc(limit)
    said = describe_tsc(machine({**KVM, 0x40000010: (0, 0, 0, 0)}))
    assert 'leaf 0x40000010 of "KVMKVMKVM": 0 kHz, which is no frequency' in said
    assert said[-1].startswith("no leaf tells the frequency")
