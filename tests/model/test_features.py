"""Names of CPUID's feature bits."""

from __future__ import annotations

import pytest

from bootsonde.model.features import FEATURES, bit_named, names_of


@pytest.mark.parametrize("leaf, register, bit, name", [
    (0x1, "edx", 4, "tsc"), (0x1, "edx", 9, "apic"), (0x1, "edx", 31, "pbe"), (0x1, "ecx", 21, "x2apic"),
    (0x1, "ecx", 24, "tsc_deadline"), (0x1, "ecx", 31, "hypervisor"), (0x6, "eax", 2, "arat"),
    (0x7, "ebx", 1, "tsc_adjust"), (0x7, "ebx", 20, "smap"), (0x7, "ebx", 31, "avx512vl"), (0x7, "ecx", 22, "rdpid"),
    (0x40000001, "eax", 3, "kvmclock2"), (0x40000001, "eax", 24, "kvmclock_stable"), (0x80000001, "edx", 27, "rdtscp"),
    (0x80000001, "ecx", 22, "topoext"), (0x80000007, "edx", 8, "invariant_tsc")])
def test_a_bit_has_its_name(leaf: int, register: str, bit: int, name: str) -> None:
    """Bits as the manuals number them: tables that are written as lists of names must not be shifted."""
    assert names_of(leaf, 0, register, 1 << bit) == [name]
    assert bit_named(leaf, None, register, name.upper()) == 1 << bit


def test_names_are_unique_in_a_register_and_within_32_bits() -> None:
    for where, bits in FEATURES.items():
        assert len(set(bits.values())) == len(bits), where
        assert all(0 <= bit < 32 for bit in bits), where


def test_a_name_of_another_register_is_unknown() -> None:
    assert bit_named(1, None, "edx", "x2apic") is None
    assert names_of(1, 0, "edx", 1 << 10) == [], "reserved"
