"""The local APIC's registers in words, with vectors made by hand from the SDM's figures."""

from __future__ import annotations

import pytest

from bootsonde.model import lapic
from bootsonde.model.lapic import LocalApic

#: What QEMU 7.2 printed of the reference guest's second vCPU, then edited: pins and interrupts that it has none of.
DUMP = """dumping local APIC state for CPU 1 \n
LVT0\t 0x0000a700 active-lo level                             ExtINT (vec 0)
LVT1\t 0x00000400 active-hi edge                              NMI
LVTPC\t 0x00010000 active-hi edge  masked                      Fixed  (vec 0)
LVTERR\t 0x000000fe active-hi edge                              Fixed  (vec 254)
LVTTHMR\t 0x00011200 active-hi edge  masked pending             SMI
LVTT\t 0x000200ef active-hi edge                 periodic     Fixed  (vec 239)
Timer\t DCR=0xb (divide by 1) initial_count = 4294967295 current_count = 4289886356
SPIV\t 0x000001ff APIC enabled, focus=off, spurious vec 255
ICR\t 0x000000f0 physical edge de-assert no-shorthand
ICR2\t 0x01000000 cpu 1 (APIC ID)
ESR\t 0x00000080
ISR\t 49(level) 239\x20
IRR\t (none)

APR 0x01 TPR 0x20 DFR 0x0f LDR 0x02 PPR 0xe0
"""
SAID = [
    "local APIC at 0xfee00000, xAPIC", "application processor",
    "id 0x1, version 0x14, max LVT entry 5 (0x00050014)",
    "SVR 0x1ff: enabled; spurious vector 0xff",
    "timer: periodic, vector 0xef, not masked",
    "timer: initial count 4294967295, current count 4289886356, divided by 1",
    "LVT LINT0: ExtINT, level, active low, not masked",
    "LVT LINT1: NMI, edge, not masked",
    "LVT error: vector 0xfe, not masked",
    "LVT perf: fixed, vector 0x0, masked",
    "LVT thermal: SMI, masked, pending",
    "TPR 0x20: vectors below 0x30 wait",
    "DFR 0xffffffff: flat; LDR 0x02000000: logical ID 0x2",
    "ESR 0x80: illegal register address",
    "in service (ISR): 0x31 level, 0xef",
    "requested (IRR): none",
]


def one(base: int | None = 0xfee00800, apic_id: int | None = 0, **registers: int) -> LocalApic:
    """With these registers, by their names in model/lapic.py."""
    return LocalApic({getattr(lapic, name): value for name, value in registers.items()}, base, apic_id)


def test_what_qemu_prints_is_read_and_described() -> None:
    told = lapic.parse_monitor(DUMP)
    assert told is not None
    vcpu, registers = told
    registers[lapic.VERSION] = lapic.version_register(0x14, registers)
    assert vcpu == 1
    assert LocalApic(registers, 0xfee00800, 1).describe() == SAID


@pytest.mark.parametrize("text", ["", "No CPU available\n", "unknown command: 'info lapic'\n",
                                  "dumping local APIC state for CPU 0\n\nLVT0\t 0x00010000\n"])
def test_what_is_no_dump_is_none(text: str) -> None:
    assert lapic.parse_monitor(text) is None


def test_a_vector_that_cannot_be_is_not_taken() -> None:
    told = lapic.parse_monitor(DUMP.replace("49(level) 239", "256(level) 999 255"))
    assert told is not None and LocalApic(told[1], None, None).vectors(lapic.ISR) == [255]


@pytest.mark.parametrize("register, by", [(0x0, 2), (0x1, 4), (0x2, 8), (0x3, 16), (0x8, 32), (0x9, 64), (0xa, 128),
                                          (0xb, 1), (0x4, 2), (0xfffffff4, 2)])
def test_the_divisor_is_in_bits_0_1_and_3(register: int, by: int) -> None:
    assert lapic.divisor(register) == by


@pytest.mark.parametrize("lvt, said", [
    (0x000000ef, "timer: one-shot, vector 0xef, not masked"),
    (0x000310ef, "timer: periodic, vector 0xef, masked, pending"),
    (0x000400ec, "timer: TSC-deadline, vector 0xec, not masked"),
    (0x00060000, "timer: of reserved mode 3, vector 0x0, not masked"),
])
def test_the_timers_entry(lvt: int, said: str) -> None:
    assert said in one(LVT_TIMER=lvt).describe()


def test_a_timer_without_an_initial_count_stands_still() -> None:
    assert "timer: initial count 0, current count 0, divided by 16; it stands still" in one(
        LVT_TIMER=0xef, INITIAL_COUNT=0, CURRENT_COUNT=0, DIVIDE=3).describe()


def test_counts_mean_nothing_in_tsc_deadline_mode() -> None:
    said = one(LVT_TIMER=0x400ec, INITIAL_COUNT=7, CURRENT_COUNT=5, DIVIDE=3).describe()
    assert "timer: fires at the TSC that MSR 0x6e0 says; the counts are not used" in said
    assert not any("initial count" in line for line in said)


@pytest.mark.parametrize("mode, name", enumerate(["fixed", "reserved mode 1", "SMI", "reserved mode 3", "NMI", "INIT",
                                                  "reserved mode 6", "ExtINT"]))
def test_delivery_modes_are_in_bits_8_to_10(mode: int, name: str) -> None:
    vector = "" if mode else ", vector 0x20"
    assert f"LVT LINT1: {name}{vector}, edge, not masked" in one(LVT_LINT1=mode << 8 | 0x20).describe()


def test_a_level_that_waits_for_its_end_of_interrupt() -> None:
    assert "LVT LINT0: fixed, vector 0x31, level, not acknowledged yet, not masked" in one(LVT_LINT0=0xc031).describe()


@pytest.mark.parametrize("base, said", [
    (0xfee00900, ["local APIC at 0xfee00000, xAPIC", "bootstrap processor"]),
    (0xfee00000, ["local APIC at 0xfee00000, off", "application processor"]),
    (0xfee00400, ["local APIC at 0xfee00000, invalid: x2APIC without enable", "application processor"]),
    (0xfee00c00, ["local APIC at 0xfee00000, x2APIC", "application processor"]),
])
def test_modes(base: int, said: list[str]) -> None:
    shown = one(base, SVR=0x1ff).describe()
    assert shown[:2] == said
    assert (len(shown) > 2) == (base >> 11 & 1 == 1), "of one that is off there is nothing else to say"


def test_a_mode_that_is_not_known_is_not_guessed() -> None:
    said = one(None, 3, SVR=0xff, LDR=1 << 24, DFR=0xffffffff).describe()
    assert said[0] == "id 0x3, version unknown"
    assert "SVR 0xff: disabled, so that all LVT entries are masked; spurious vector 0xff" in said
    assert not any("logical ID" in line or "local APIC at" in line for line in said)


@pytest.mark.parametrize("apic_id, said", [(0, "logical ID: cluster 0x0, member bits 0x1"),
                                           (0x123, "logical ID: cluster 0x12, member bits 0x8")])
def test_x2apics_logical_id_follows_from_its_id(apic_id: int, said: str) -> None:
    assert said in one(0xfee00c00, apic_id, SVR=0x1ff).describe()


@pytest.mark.parametrize("dfr, model", [(0xffffffff, "flat"), (0x0fffffff, "cluster"),
                                        (0x7fffffff, "reserved model 0x7")])
def test_destination_models(dfr: int, model: str) -> None:
    assert f"DFR {dfr:#010x}: {model}; LDR 0x81000000: logical ID 0x81" in one(DFR=dfr, LDR=0x81000000).describe()


def test_errors_are_named() -> None:
    assert "ESR 0xe4: send accept, illegal vector sent, illegal vector received, illegal register address" in one(
        ESR=0xe4).describe()


def test_vectors_of_all_eight_registers() -> None:
    words = lapic.bitmap(lapic.IRR, [16, 31, 32, 255])
    assert words[0x200] == 0x80010000 and words[0x210] == 1 and words[0x270] == 1 << 31 and len(words) == 8
    assert LocalApic(words, None, None).vectors(lapic.IRR) == [16, 31, 32, 255]


def test_only_what_an_apic_has_is_asked_for() -> None:
    """A register that is not there is an error in ESR, or #GP in x2APIC mode; 0xb0 is end of interrupt."""
    few, six, x2apic = (lapic.offsets(version, mode) for version, mode in ((0x30014, False), (0x60015, False),
                                                                           (0x50014, True)))
    assert lapic.LVT_PERF not in few and lapic.LVT_THERMAL not in few and lapic.DFR in few
    assert {lapic.LVT_PERF, lapic.LVT_THERMAL, lapic.LVT_CMCI} < set(six)
    assert lapic.DFR not in x2apic and lapic.LVT_CMCI not in x2apic and lapic.LVT_THERMAL in x2apic
    assert not {0xb0, 0x310, 0x3f0} & {*few, *six, *x2apic}


@pytest.mark.parametrize("register, is_one", [(0x50014, True), (0x1060015, True), (0, False), (0xffffffff, False),
                                              (0x50082, False), (0x10014, False), (0x464c457f, False)])
def test_a_version_register_can_be_told_from_other_memory(register: int, is_one: bool) -> None:
    assert lapic.is_version(register) == is_one
