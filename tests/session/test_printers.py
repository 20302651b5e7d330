"""What GDB's `print` says of clocks, in the reference guest and in structures of other kernels' making."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from labkit import Lab
from terminals import Gdb, gdb, launcher

#: Where the reference guest's direct map of the first 4 GiB ends.
MAPPED_END = 0xfffff80100000000
#: Linux's and FreeBSD's structures with their own typedefs and further fields, and what is hostile.
OTHERS = r"""
typedef unsigned char u8; typedef signed char s8; typedef unsigned int u32; typedef unsigned long long u64;
struct pvclock_vcpu_time_info {
    u32 version, pad0; u64 tsc_timestamp, system_time; u32 tsc_to_system_mul; s8 tsc_shift; u8 flags, pad[2];
} __attribute__((__packed__));
typedef struct pvclock_vcpu_time_info pvti_t;
pvti_t real = { 2, 0, 0x10, 7, 0xc5377ec6, -1, 1, { 0, 0 } };
struct pvclock_wall_clock { u32 version, sec, nsec; } wall = { 2, 1577836800, 7 };
struct timecounter {
    void *tc_get_timecount, *tc_poll_pps; u32 tc_counter_mask; u64 tc_frequency; const char *tc_name; int tc_quality;
    u32 tc_flags; void *tc_priv; struct timecounter *tc_next;
};
char name[] = "a name with \x1b[31mcolour, which goes on and on and never ends, as far as one can see";
struct timecounter hostile = { 0, 0, 0xffff, 1193182, name, 5, 0, 0, 0 };
struct timecounter nameless = { 0, 0, 0xffff, 1193182, (const char *)0x123400000000, 5, 0, 0, 0 };
struct bintime { long sec; u64 frac; };
struct timehands {
    struct timecounter *th_counter; long th_adjustment; u64 th_scale; u32 th_large_delta, th_offset_count;
    struct bintime th_offset, th_bintime; u32 th_generation; struct timehands *th_next;
};
struct timehands hands = { &hostile, 0, -1ull / 1193182, 0, 99, { 3, 1ull << 63 }, { 0, 0 }, 1, &hands };
struct timehands lost = { (struct timecounter *)0x123400000000, 0, 0, 0, 99, { 3, 0 }, { 0, 0 }, 1, 0 };
struct timehands none = { 0, 0, 0, 0, 99, { 3, 0 }, { 0, 0 }, 1, 0 };
int main(void) { return wall.sec + name[0] + real.flags + hostile.tc_flags + nameless.tc_flags + hands.th_generation +
    lost.th_generation + none.th_generation; }
"""
#: The same tag, another thing: what Linux calls by it.
LINUX_TIMECOUNTER = """
struct timecounter { const void *cc; unsigned long long cycle_last, nsec, mask, frac; } counter = { 0, 1, 2, 3, 4 };
int main(void) { return counter.nsec; }
"""


@pytest.fixture
def at_hit(lab: Lab) -> Iterator[Gdb]:
    """In the kernel, 64-bit, at the first hit of the pvclock scenario, which has GDB read the guest's symbols."""
    with launcher(lab), gdb(lab) as debugger:
        assert "cpu0 tsc_init()" in debugger.type(f"source {lab.stock('pvclock')}")
        yield debugger


def compiled(lab: Lab, source: str) -> str:
    (lab.cwd / "other.c").write_text(source)
    subprocess.run(["cc", "-g", "-O0", "-static", "-no-pie", "other.c", "-o", "other"], cwd=lab.cwd, check=True,
                   timeout=60)
    return str(lab.cwd / "other")


@pytest.fixture
def others(lab: Lab) -> Iterator[Gdb]:
    """A GDB that has bootsonde's commands and a program that no one has started: its data are those of its file."""
    with gdb(lab, compiled(lab, OTHERS)) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        yield debugger


def test_the_reference_guests_timecounter(at_hit: Gdb) -> None:
    said = at_hit.type("p *timecounter")
    assert said.startswith('$1 = timecounter "dummy", 1000000 Hz, quality -1000000, mask 0xffffffff '
                           "(wraps after 4294.967296000 s), flags 0x0 = {tc_get_timecount = "), said
    assert '"dummy", tc_quality = -1000000, tc_flags = 0,' in said


def test_the_reference_guests_timehands(at_hit: Gdb) -> None:
    said = at_hit.type("p *timehands")
    assert said.startswith('$1 = timehands of "dummy", offset 0.000000000 s at count 0, 1000000 Hz by its scale = '
                           "{th_counter = "), said
    assert "th_offset = {sec = 0, frac = 0}" in said
    at_hit.type("set var timehands->th_offset.sec = 5")
    at_hit.type("set var timehands->th_offset.frac = 1ull << 63")
    assert "offset 5.500000000 s at count 0" in at_hit.type("p th0")


def test_the_reference_guests_pvclock(at_hit: Gdb) -> None:
    assert "pvclock: version 0, mul 0: nobody has filled it in, " in at_hit.type("p timeinfos[0]")
    for field, value in (("version", "3"), ("tsc_to_system_mul", "0xc5377ec6"), ("tsc_shift", "-1"), ("flags", "1")):
        at_hit.type(f"set var timeinfos[1].{field} = {value}")
    said = at_hit.type("p timeinfos[1]")
    assert ("pvclock: version 3, odd: it is being written, TSC 2596128000 Hz (mul 0xc5377ec6, shift -1), "
            "0 ns at TSC 0x0, flags: stable across vCPUs = {version = 3, pad0 = 0,") in said
    assert at_hit.type("p timeinfos").count("pvclock: version") >= 2, "in an array too"


def test_raw_is_raw(at_hit: Gdb) -> None:
    said = at_hit.type("p/r *timecounter")
    assert said.startswith("$1 = {tc_get_timecount = ") and "quality -" not in said, said


@pytest.mark.parametrize("expression", ["*(struct timecounter*)8", "*(struct timecounter*)0x123400000000",
                                        "*(struct timehands*)0x123400000000",
                                        "*(struct pvclock_vcpu_time_info*)0x123400000000"])
def test_a_wild_pointer_is_gdbs_own_error(at_hit: Gdb, expression: str) -> None:
    """The guest has memory at 8, which holds other things."""
    said = at_hit.type(f"p {expression}")
    assert ("Cannot access memory at address 0x123400000000" if "1234" in expression else "timecounter") in said
    assert "Traceback" not in said and "Python" not in said, said


def test_a_null_pointer_has_no_name_though_there_is_memory_at_0(at_hit: Gdb) -> None:
    at_hit.type("set var timecounter->tc_name = 0")
    assert "= timecounter, name unreadable, 1000000 Hz" in at_hit.type("p *timecounter")
    at_hit.type("set var timehands->th_counter = 0")
    assert "= timehands of unreadable counter, offset 0.000000000 s" in at_hit.type("p *timehands")
    assert at_hit.type("p *(char *)0").startswith("$3 = ")


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(at_hit: Gdb) -> None:
    """A structure that goes on where no memory is mapped: print itself never asks, other users of the printer do."""
    where = f"{MAPPED_END - 40:#x}"
    value = f"*(struct timecounter *){where}"
    assert at_hit.type(f"p {value}") == f"Cannot access memory at address {where}\n"
    at_hit.type(f"python decoded = gdb.default_visualizer(gdb.parse_and_eval('{value}'))")
    said = at_hit.type("python print(decoded.to_string()); print([name for name, field in decoded.children() "
                       "if str(field) == 'unreadable'])")
    assert "quality " in said and "quality unreadable" not in said
    assert said.endswith("['tc_priv', 'tc_next', 'tc_fill_vdso_timehands']\n"), said


def test_they_are_registered_once_and_can_be_disabled(at_hit: Gdb, lab: Lab) -> None:
    listed = "  bootsonde\n    pvclock_vcpu_time_info\n    pvclock_wall_clock\n    timecounter\n    timehands\n"
    assert listed in at_hit.type("info pretty-printer global bootsonde")
    at_hit.type("disable pretty-printer global bootsonde")
    at_hit.type(f"source {lab.root / 'gdb' / 'commands.py'}")
    at_hit.type(f"source {lab.stock('cpuid')}")
    shown = at_hit.type("info pretty-printer")
    assert shown.count("bootsonde") == 1 and "bootsonde [disabled]" in shown, shown
    assert at_hit.type("p *timecounter").startswith("$1 = {tc_get_timecount")
    at_hit.type("enable pretty-printer global bootsonde")
    assert '= timecounter "dummy"' in at_hit.type("p *timecounter")


@pytest.mark.parametrize("variable, said", [
    ("real", "= pvclock: version 2, TSC 2596128000 Hz (mul 0xc5377ec6, shift -1), 7 ns at TSC 0x10, flags: stable "
             "across vCPUs = {version = 2, "),
    ("*(const volatile pvti_t *)&real", "= pvclock: version 2, TSC 2596128000 Hz"),
    ("wall", "= wall clock: version 2, 1577836800.000000007 s after 1970 began, 2020-01-01 00:00:00 UTC = "
             "{version = 2, sec = 1577836800, nsec = 7}"),
    ("nameless", "= timecounter, name unreadable, 1193182 Hz, quality 5, mask 0xffff (wraps after 0.054925401 s), "
                 "flags 0x0 = {tc_get_timecount = 0x0,"),
    ("lost", "= timehands of unreadable counter, offset 3.000000000 s at count 99, scale 0: time stands still = "
             "{th_counter = 0x123400000000,"),
    ("none", "= timehands of unreadable counter, offset 3.000000000 s at count 99,"),
    ("hands", '= timehands of "a name with colour, which g", offset 3.500000000 s at count 99, 1193182 Hz by its '
              "scale = {th_counter = "),
])
def test_structures_of_other_kernels(others: Gdb, variable: str, said: str) -> None:
    shown = others.type(f"p {variable}")
    assert said in shown and "Traceback" not in shown, shown


def test_a_name_is_bounded_and_fit_for_a_terminal(others: Gdb) -> None:
    """GDB's own field shows all of it, with escapes."""
    shown = others.type("p hostile")
    assert '= timecounter "a name with colour, which g", 1193182 Hz' in shown and "\x1b" not in shown, shown


def test_another_thing_of_the_same_tag_is_left_to_gdb(lab: Lab) -> None:
    with gdb(lab, compiled(lab, LINUX_TIMECOUNTER)) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        assert debugger.type("p counter") == "$1 = {cc = 0x0, cycle_last = 1, nsec = 2, mask = 3, frac = 4}\n"
