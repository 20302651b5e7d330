"""What a guest is told in place of its processor's answers, and what follows for leaves that nobody named."""

from __future__ import annotations

import pytest

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.cpuid_overlay import CpuidOverlay
from bootsonde.model.errors import UserError

#: A processor as QEMU's TCG shows it.
LIMITS = {0x0: 0xd, 0x40000000: 0x40000001, 0x80000000: 0x8000000a}
KVM = ("0x40000000: eax = 0x40000010, vendor = KVMKVMKVM", "0x40000010: eax = 2596140, ebx = 1000000, ecx = 0, edx = 0")


def processor(leaf: int, subleaf: int) -> CpuidAnswer:
    """Answers with what was executed; a leaf above its limit with the highest basic one."""
    limit = next((limit for first, limit in sorted(LIMITS.items(), reverse=True) if first <= leaf), 0)
    shown = leaf if leaf <= limit else LIMITS[0]
    return CpuidAnswer(shown, subleaf, LIMITS.get(shown, shown), 0xb0 + subleaf, 0xc0, 0xd0)


def told(overlay: CpuidOverlay, leaf: int, subleaf: int = 0) -> tuple[int, int, int, int]:
    """EAX, EBX, ECX, EDX as the guest sees them."""
    plan = overlay.plan(leaf, subleaf)
    if plan is None:
        answer = processor(leaf, subleaf)
    else:
        answer = plan.answer(leaf, subleaf, None if plan.ask is None else processor(plan.ask, subleaf))
    return answer.eax, answer.ebx, answer.ecx, answer.edx


def overlay(*lines: str) -> CpuidOverlay:
    made = CpuidOverlay()
    for line in lines:
        made.add(line)
    made.learn(LIMITS)
    return made


def test_a_whole_leaf_needs_no_processor() -> None:
    plan = overlay(*KVM).plan(0x40000000, 0)
    assert plan is not None and plan.ask is None
    assert told(overlay(*KVM), 0x40000000) == (0x40000010, 0x4b4d564b, 0x564b4d56, 0x4d)


def test_bits_are_changed_and_the_rest_is_the_processors() -> None:
    bits = overlay("1: ecx |= x2apic, ecx &= ~0xc0, edx &= ~tsc")
    assert told(bits, 1) == (1, 0xb0, 1 << 21, 0xc0)


def test_registers_that_are_not_named_are_the_processors() -> None:
    assert told(overlay("0x80000001: edx = 5"), 0x80000001) == (0x80000001, 0xb0, 0xc0, 5)


def test_a_leaf_that_is_not_named_is_the_processors() -> None:
    assert overlay(*KVM).plan(1, 0) is None
    assert told(overlay(*KVM), 0x80000008) == (0x80000008, 0xb0, 0xc0, 0xd0)


def test_the_vendor_of_a_basic_leaf_stands_in_ebx_edx_ecx() -> None:
    assert told(overlay("0: vendor = GenuineIntel"), 0)[1:] == (0x756e6547, 0x6c65746e, 0x49656e69)


def test_a_subleaf_is_for_itself() -> None:
    one = overlay("7.1: eax = 1")
    assert told(one, 7, 1)[0] == 1 and told(one, 7, 0)[0] == 7 and one.plan(7, 2) is None


def test_a_rule_for_all_subleaves_joins_those_for_one() -> None:
    both = overlay("7: ebx |= 0x100", "7.1: eax = 5")
    assert told(both, 7, 1) == (5, 0x1b1, 0xc0, 0xd0) and told(both, 7, 0)[1] == 0x1b0


# What follows.


def test_the_limit_grows_to_hold_the_leaf() -> None:
    assert told(overlay("0x15: eax = 1, ebx = 100, ecx = 10000000, edx = 0"), 0) == (0x15, 0xb0, 0xc0, 0xd0)


def test_leaves_between_the_two_limits_are_zero() -> None:
    grown = overlay("0x15: eax = 1, ebx = 100, ecx = 10000000, edx = 0")
    assert told(grown, 0x14) == (0, 0, 0, 0) and told(grown, 0xe) == (0, 0, 0, 0)
    assert told(overlay(*KVM), 0x40000005) == (0, 0, 0, 0)


def test_bits_of_a_leaf_that_the_processor_has_not_begin_at_zero() -> None:
    assert told(overlay("0x15: ebx |= 3"), 0x15) == (0, 3, 0, 0)


def test_a_leaf_above_the_limit_shows_the_highest_basic_leaf() -> None:
    """The one that the guest is told of, with its sub-leaf, whatever range was asked for."""
    grown = overlay("0x15: eax = 1, ebx = 100, ecx = 7, edx = 0")
    assert told(grown, 0x16) == told(grown, 0x40000010) == told(grown, 0x8fffffff) == (1, 100, 7, 0)
    assert told(overlay(*KVM), 0x40000011, 3) == (0xd, 0xb3, 0xc0, 0xd0)


def test_above_both_limits_the_processor_is_left_to_itself() -> None:
    """AMD's answer zero there: what the overlay does not touch stays as it is."""
    assert overlay(*KVM).plan(0x40000100, 0) is None


def test_a_limit_that_is_lowered_hides_leaves() -> None:
    hidden = overlay("0: eax = 4")
    assert told(hidden, 0)[0] == 4
    assert told(hidden, 7) == told(hidden, 4) == (4, 0xb0, 0xc0, 0xd0)


def test_kvms_limit_of_0_means_0x40000001() -> None:
    old = overlay("0x40000000: eax = 0, vendor = KVMKVMKVM", "0x40000001: eax = 9, ebx = 0, ecx = 0, edx = 0")
    assert told(old, 0x40000000)[0] == 0 and told(old, 0x40000001)[0] == 9
    assert told(old, 0x40000002) == (0xd, 0xb0, 0xc0, 0xd0)


def test_a_range_that_the_processor_has_not_can_be_made() -> None:
    made = overlay("0xc0000001: edx = 1, eax = 0, ebx = 0, ecx = 0")
    assert told(made, 0xc0000000) == (0xc0000001, 0, 0, 0) and told(made, 0xc0000001) == (0, 0, 0, 1)


@pytest.mark.parametrize("lines, leaf, may", [
    (KVM, 0x40000000, True), (KVM, 0x40000001, True), (KVM, 0x1, False), (KVM, 0x80000001, False),
    (("1: ecx |= 1",), 0x80000001, True)])
def test_where_an_answer_may_be_another(lines: tuple[str, ...], leaf: int, may: bool) -> None:
    """The processor's limits are not known yet: a leaf above them shows a basic one."""
    assert overlay(*lines).may_change(leaf) is may


# What is refused.


@pytest.mark.parametrize("line, said", [
    ("", "expected LEAF"), ("1", "expected LEAF"), ("one: eax = 1", "expected LEAF"), ("1: ", "expected LEAF"),
    ("1: eax", "eax: expected LEAF"), ("1: efx = 1", "efx = 1: expected LEAF"), ("1.x: eax = 1", "expected LEAF"),
    ("0x100000000: eax = 1", "a leaf and a sub-leaf have 32 bits"), ("1: ecx |= x3apic", "ecx: x3apic is neither"),
    ("1: eax = 0x100000000", "expected 0 to 0xffffffff"), ("0: vendor = ", "expected 1 to 12 characters"),
    ("0: vendor = GenuineIntel2", "expected 1 to 12 characters"), ("1: eax = 1, ", "nothing: expected LEAF"),
    ("1: eax = 1, eax = 2", "eax contradicts itself"), ("1: ecx |= 4, ecx &= ~4", "ecx contradicts itself: bits 0x4"),
    ("0x40000000: vendor = KVMKVMKVM, ebx = 1", "ebx contradicts itself")])
def test_what_cannot_be_read_or_contradicts_itself(line: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        CpuidOverlay().add(line)


@pytest.mark.parametrize("first, second, said", [
    ("1: eax = 1", "1: eax = 2", "eax contradicts itself"), ("7: eax = 1", "7.1: eax = 2", "eax contradicts"),
    ("7.1: eax = 1", "7: eax = 2", "eax contradicts"),
    ("0x40000000: eax = 0x40000001", "0x40000010: eax = 5", "is above the limit 0x40000001 that leaf 0x40000000"),
    ("0x15: eax = 1", "0: eax = 0xd", "cpuid 0x15 is above the limit 0xd")])
def test_a_line_that_contradicts_another_changes_nothing(first: str, second: str, said: str) -> None:
    made = overlay(first)
    before = made.describe()
    with pytest.raises(UserError, match=said):
        made.add(second)
    assert made.describe() == before


def test_what_is_described_can_be_added_again() -> None:
    made = overlay("1: ecx |= x2apic, ecx &= ~1, edx = 5", "7.1: eax = 1", *KVM)
    assert overlay(*made.describe()).describe() == made.describe()
    assert made.describe()[0] == "0x1: ecx |= 0x200000, ecx &= ~0x1, edx = 0x5"
