"""Model-specific registers in words."""

from __future__ import annotations

import pytest

from bootsonde.model import msr


@pytest.mark.parametrize("index, value, said", [
    (0x1b, 0xfee00900, ["local APIC at 0xfee00000, xAPIC", "bootstrap processor"]),
    (0x1b, 0xfee00c00, ["local APIC at 0xfee00000, x2APIC", "application processor"]),
    (0x1b, 0xfee00000, ["local APIC at 0xfee00000, off", "application processor"]),
    (0x1b, 0xfee00400, ["local APIC at 0xfee00000, invalid: x2APIC without enable", "application processor"]),
    (0x4b564d01, 0x1234001, ["pvclock_vcpu_time_info at physical 0x1234000"]),
    (0x4b564d01, 0, ["no system time is registered (bit 0 is clear)"]),
    (0x12, 0x1000, ["no system time is registered (bit 0 is clear)"]),
    (0x4b564d00, 0x5000, ["pvclock_wall_clock at physical 0x5000"]),
    (0x11, 0, ["no wall clock was asked for"]),
    (0xc0000080, 0xd01, ["bits: SCE LME LMA NXE"]),
    (0xc0000080, 0, ["bits: none"]),
    (0x6e0, 0, ["timer is not armed"]),
    (0x6e0, 0x50, ["timer fires at TSC 0x50"]),
    (0x277, 7, []),
])
def test_values_are_described(index: int, value: int, said: list[str]) -> None:
    assert msr.describe(index, value) == said


def test_registers_have_the_names_of_the_manuals() -> None:
    assert msr.name_of(0x1b) == "IA32_APIC_BASE"
    assert msr.name_of(0x838) == "IA32_X2APIC_INIT_COUNT"
    assert msr.name_of(0x4b564d01) == "MSR_KVM_SYSTEM_TIME_NEW"
    assert msr.name_of(0x12345) == ""


@pytest.mark.parametrize("access, said", [
    (msr.MsrAccess("read", 0x1b, 0xfee00900), "rdmsr 0x1b IA32_APIC_BASE: 0xfee00900"),
    (msr.MsrAccess("write", 0x4b564d01, 0x1001), "wrmsr 0x4b564d01 MSR_KVM_SYSTEM_TIME_NEW: 0x1001"),
    (msr.MsrAccess("read", 0xdead, 0, faulted=True), "rdmsr 0xdead ?: it faulted"),
    (msr.MsrAccess("write", 0xdead, 5, faulted=True), "wrmsr 0xdead ?: it faulted, writing 0x5"),
])
def test_an_access_is_one_line(access: msr.MsrAccess, said: str) -> None:
    assert str(access) == said


def test_what_was_not_read_has_no_meaning() -> None:
    assert msr.MsrAccess("read", 0x1b, 0, faulted=True).describe() == []
    assert msr.MsrAccess("read", 0x1b, 0xfee00900).describe() == ["local APIC at 0xfee00000, xAPIC",
                                                                  "bootstrap processor"]
