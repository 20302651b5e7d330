"""CPUID answers as a person reads them."""

from __future__ import annotations

import pytest
from vendors import packed

from bootsonde.model.cpuid import CpuidAnswer, highest_of, range_of


def test_the_hypervisor_vendor_stands_in_ebx_ecx_edx() -> None:
    ebx, ecx, edx = packed("TCGTCGTCGTCG")
    answer = CpuidAnswer(0x40000000, 0, 0x40000001, ebx, ecx, edx)
    assert answer.vendor == "TCGTCGTCGTCG"
    assert answer.describe() == ["EAX: highest hypervisor leaf 0x40000001", 'vendor "TCGTCGTCGTCG": QEMU TCG']


def test_the_processor_vendor_stands_in_ebx_edx_ecx() -> None:
    ebx, edx, ecx = packed("AuthenticAMD")
    assert CpuidAnswer(0, 0, 0xd, ebx, ecx, edx).vendor == "AuthenticAMD"
    assert CpuidAnswer(0x80000000, 0, 0x80000008, ebx, ecx, edx).describe()[1] == 'vendor "AuthenticAMD"'


def test_kvm_pads_its_signature_and_may_give_0_for_the_highest_leaf() -> None:
    ebx, ecx, edx = packed("KVMKVMKVM")
    assert CpuidAnswer(0x40000000, 0, 0, ebx, ecx, edx).describe() == [
        "EAX: highest hypervisor leaf 0, which means 0x40000001", 'vendor "KVMKVMKVM": KVM']


def test_unprintable_bytes_of_a_vendor_become_dots() -> None:
    assert CpuidAnswer(0x40000000, 0, 0, 0x1b5d2041, 0x20202020, 0x41414141).vendor == "A ].    AAAA"


@pytest.mark.parametrize("answer, said", [
    (CpuidAnswer(0x40000010, 0, 2_596_128, 1_000_000, 0, 0), "EAX: TSC 2596128 kHz"),
    (CpuidAnswer(0x15, 0, 2, 216, 24_000_000, 0), "TSC 2592000000 Hz (24000000 x 216 / 2)"),
    (CpuidAnswer(0x15, 0, 2, 216, 0, 0), "TSC frequency not given: a field is 0"),
    (CpuidAnswer(1, 0, 0, 0, 1 << 24 | 1 << 31, 1 << 4), "clock features: tsc_deadline, hypervisor, tsc"),
    (CpuidAnswer(1, 0, 0, 0, 1 << 21, 1 << 4 | 1), "EDX: fpu tsc"),
    (CpuidAnswer(7, 0, 0, 1 << 1 | 1 << 18, 0, 0), "EBX: tsc_adjust rdseed"),
    (CpuidAnswer(0x40000001, 0, 1 << 3, 0, 0, 0), "clock features: kvmclock2"),
])
def test_clock_leaves_are_decoded(answer: CpuidAnswer, said: str) -> None:
    assert said in answer.describe()


@pytest.mark.parametrize("leaf, first", [(0x15, 0), (0x40000010, 0x40000000), (0x40000100, 0x40000000),
                                         (0x80000007, 0x80000000)])
def test_a_leaf_belongs_to_a_range(leaf: int, first: int) -> None:
    assert range_of(leaf) == first


@pytest.mark.parametrize("leaf, eax, highest", [(0, 0xd, 0xd), (0x40000000, 0, 0x40000001),
                                                (0x40000000, 0x40000010, 0x40000010), (0x80000000, 0, 0)])
def test_the_first_leaf_of_a_range_tells_its_limit(leaf: int, eax: int, highest: int) -> None:
    assert highest_of(CpuidAnswer(leaf, 0, eax, 0, 0, 0)) == highest
