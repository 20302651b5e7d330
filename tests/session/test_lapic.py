"""`bootsonde lapic`: what it says at each stage of a boot, whoever tells it, and that nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from fetched import fetched
from labkit import Lab
from terminals import Gdb, gdb, launcher

#: The reference guest's 32-bit entry, and where it maps the local APIC's page later.
PVH_ENTRY, PAGE = 0x200000, 0xfffff800fee00000
#: All that a question may change for a moment, and what the local APIC holds.
STATE = ("info registers rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags cs ss ds es fs gs",
         "x/8xb $pc", "x/32xg $rsp - 128")
NO_MONITOR = "python lapic._by_monitor = lambda vcpu, base: None"
TIMER = re.compile(r"timer: initial count (\d+), current count (\d+), divided by (\d+)")


def state(debugger: Gdb) -> list[str]:
    """But for the current count, which goes on under a running clock."""
    dump = debugger.type("monitor info lapic")
    return [*map(debugger.type, STATE), re.sub(r"current_count = \d+", "", dump)]


def commands(debugger: Gdb, lab: Lab) -> None:
    """The commands without a scenario, the guest's symbols, and a connection."""
    debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
    debugger.type("bootsonde attach")
    debugger.type("python from bootsonde.session import lapic, ondemand")
    debugger.type(f"file {lab.build / 'guest' / 'clockguest.full'}")
    debugger.type("set osabi none")


def reach(debugger: Gdb, place: str) -> None:
    debugger.type(f"tbreak {place}")
    assert "emporary breakpoint" in debugger.type("continue")


@pytest.fixture
def guest(lab: Lab) -> Iterator[Gdb]:
    """Two vCPUs; the first is at the reset vector, in real mode and in ROM, the second waits for its start-up."""
    with launcher(lab, "--smp", "2", "--append", "guest.i8254=1"), gdb(lab) as debugger:
        commands(debugger, lab)
        yield debugger


def test_at_reset(guest: Gdb) -> None:
    before = state(guest)
    assert guest.type("bootsonde lapic").splitlines() == [
        "lapic of vCPU 0, by QEMU's monitor", "  local APIC at 0xfee00000, xAPIC", "  bootstrap processor",
        "  id 0x0, version 0x14, max LVT entry 5 (0x00050014)",
        "  SVR 0xff: disabled, so that all LVT entries are masked; spurious vector 0xff",
        "  timer: one-shot, vector 0x0, masked",
        "  timer: initial count 0, current count 0, divided by 2; it stands still",
        "  LVT LINT0: fixed, vector 0x0, edge, masked", "  LVT LINT1: fixed, vector 0x0, edge, masked",
        "  LVT error: vector 0x0, masked", "  LVT perf: fixed, vector 0x0, masked",
        "  LVT thermal: fixed, vector 0x0, masked", "  TPR 0x0",
        "  DFR 0xffffffff: flat; LDR 0x00000000: logical ID 0x0",
        "  ESR 0x0: no error", "  in service (ISR): none", "  requested (IRR): none"]
    assert state(guest) == before


def test_a_halted_vcpus_mode_is_unknown_and_all_else_is_told(guest: Gdb) -> None:
    said = guest.type("bootsonde lapic vcpu 1")
    assert said.startswith("lapic of vCPU 1, by QEMU's monitor\n  id 0x1, version 0x14")
    assert "SVR 0xff: disabled" in said and "logical ID" not in said
    assert "mode and address unknown: vCPU 1 is halted and executes nothing until an interrupt" in said


def test_the_console_tells_the_same_version(guest: Gdb, lab: Lab) -> None:
    reach(guest, "lapic_setup")
    told = re.search(r"lapic0: version (0x\w+), xAPIC", lab.console("tty"))
    assert told is not None and f"({told[1]})" in guest.type("bootsonde lapic")


def test_each_vcpu_has_its_own(guest: Gdb) -> None:
    """The first is set up by then, the second not yet."""
    reach(guest, "init_secondary")
    before = state(guest)
    first, second = (guest.type(f"bootsonde lapic vcpu {vcpu}") for vcpu in (0, 1))
    assert first.startswith("lapic of vCPU 0, by QEMU's monitor") and second.startswith("lapic of vCPU 1, by QEMU's")
    assert "bootstrap processor\n  id 0x0, " in first and "SVR 0x1ff: enabled" in first
    assert "application processor\n  id 0x1, " in second and "SVR 0xff: disabled" in second
    assert guest.type("bootsonde lapic") == second, "vCPU 1 is the one that is selected"
    guest.type(NO_MONITOR)
    assert guest.type("bootsonde lapic") == second.replace("QEMU's monitor", "the vCPU's own loads")
    assert state(guest) == before


def test_the_timer_counts_down(guest: Gdb) -> None:
    """It is measured from clockcalib on, and stopped in lapic_timer_stop."""
    counts = []
    for place in ("clockcalib if clkname[0] == 'l'", "lapic_timer_stop"):
        reach(guest, place)
        said = guest.type("bootsonde lapic")
        assert "timer: one-shot, vector 0xef, masked" in said, said
        found = TIMER.search(said)
        assert found is not None and (found[1], found[3]) == (str(2 ** 32 - 1), "2"), said
        counts.append(int(found[2]))
    assert 2 ** 32 - 1 > counts[0] > counts[1] > 0


def test_an_interrupt_in_service(guest: Gdb) -> None:
    reach(guest, "lapic_handle_timer")
    before = state(guest)
    said = guest.type("bootsonde lapic")
    assert "timer: one-shot, vector 0xef, not masked" in said and "in service (ISR): 0xef\n" in said, said
    assert state(guest) == before, "no end of interrupt was sent"


def test_the_monitor_tells_what_the_vcpu_reads(guest: Gdb) -> None:
    """In its page, where the kernel has mapped it by then. TMR is told in part, and the count goes on."""
    reach(guest, "lapic_handle_timer")
    guest.type("python told = lapic.read(0)[1]")
    guest.type("python same = [offset for offset in told.registers if offset != 0x390 and not 0x180 <= offset < 0x200]")
    guest.type(f"python itself = {{offset: ondemand.load({PAGE:#x} + offset) for offset in same + [0x20]}}")
    assert guest.type("python print([hex(each) for each in same if told.registers[each] != itself[each]])") == "[]\n"
    assert guest.type("python print(len(same), itself[0x20] >> 24 == told.apic_id)") == "30 True\n"


def test_one_that_is_switched_off(guest: Gdb) -> None:
    guest.type("bootsonde wrmsr IA32_APIC_BASE 0xfee00100")
    assert guest.type("bootsonde lapic").splitlines() == [
        "lapic of vCPU 0, by IA32_APIC_BASE", "  local APIC at 0xfee00000, off", "  bootstrap processor"]


# Where there is no monitor of QEMU's.


def test_the_vcpu_reads_its_page_itself_before_paging(guest: Gdb) -> None:
    reach(guest, f"*{PVH_ENTRY:#x}")
    before = state(guest)
    told = guest.type("bootsonde lapic").splitlines()
    guest.type(NO_MONITOR)
    assert guest.type("bootsonde lapic").splitlines() == ["lapic of vCPU 0, by the vCPU's own loads", *told[1:]]
    assert state(guest) == before


@pytest.mark.parametrize("place", ["reset", "lapic_timer_stop"])
def test_where_its_page_is_not_reached_that_is_said(guest: Gdb, place: str) -> None:
    if place != "reset":
        reach(guest, place)
    before = state(guest)
    guest.type(NO_MONITOR)
    said = guest.type("bootsonde lapic")
    assert "local APIC at 0xfee00000, xAPIC" in said and "SVR" not in said
    assert "0xfee00000 does not lead the vCPU to them here; ask in 32-bit code before paging, or in x2APIC mode" in said
    assert state(guest) == before
    assert guest.type("bootsonde lapic vcpu 1").startswith("bootsonde: vCPU 1 is halted")


def test_other_memory_at_its_address_is_not_taken_for_it(guest: Gdb) -> None:
    """QEMU keeps the page where it was: at the address that is written now, there is the kernel."""
    reach(guest, f"*{PVH_ENTRY:#x}")
    guest.type(NO_MONITOR)
    guest.type(f"bootsonde wrmsr IA32_APIC_BASE {PVH_ENTRY | 0x900:#x}")
    said = guest.type("bootsonde lapic")
    assert "local APIC at 0x200000, xAPIC" in said and "0x200000 does not lead the vCPU to them here" in said, said


# x2APIC, which QEMU has under TCG from 9 on, and virtual time.


@pytest.mark.parametrize("icount", ["host", "shift=0,sleep=off"])
def test_x2apic(lab: Lab, icount: str) -> None:
    """Its registers are MSRs. A kernel that reads the current count there ends QEMU 10 under icount; this does not."""
    lab.environment.update(QEMU=str(fetched("qemu-backports")))
    words = () if icount == "host" else ("--icount", icount)
    with launcher(lab, "--cpu", "max", "--append", "guest.i8254=1 hw.x2apic_enable=1", *words), gdb(lab) as debugger:
        commands(debugger, lab)
        reach(debugger, "lapic_setup")
        debugger.type("bootsonde wrmsr IA32_X2APIC_DIV_CONF 0xb")
        debugger.type("bootsonde wrmsr IA32_X2APIC_INIT_COUNT 0xffffffff")
        before = state(debugger)
        told = debugger.type("bootsonde lapic")
        debugger.type(NO_MONITOR)
        itself = debugger.type("bootsonde lapic")
        assert told.startswith("lapic of vCPU 0, by QEMU's monitor\n  local APIC at 0xfee00000, x2APIC\n")
        assert "logical ID: cluster 0x0, member bits 0x1\n" in told and "DFR" not in told
        assert itself.startswith("lapic of vCPU 0, by the vCPU's own rdmsr\n")
        first, second = TIMER.search(told), TIMER.search(itself)
        assert first is not None and second is not None and first[3] == "1"
        assert 2 ** 32 - 1 > int(first[2]) > int(second[2]) > 0
        assert [TIMER.sub("", line) for line in told.splitlines()[1:]] == [
            TIMER.sub("", line) for line in itself.splitlines()[1:]]
        assert state(debugger) == before


@pytest.mark.parametrize("name", ["own", "qemu10"])
def test_under_virtual_time(lab: Lab, name: str) -> None:
    if name == "qemu10":
        lab.environment.update(QEMU=str(fetched("qemu-backports")))
    with launcher(lab, "--icount", "shift=0,sleep=off", "--append", "guest.i8254=1"), gdb(lab) as debugger:
        commands(debugger, lab)
        reach(debugger, "lapic_timer_stop")
        assert "timer: initial count 4294967295, current count " in debugger.type("bootsonde lapic")
        reach(debugger, "tc_init")


# What cannot be.


@pytest.mark.parametrize("line, said", [
    ("bootsonde lapic 0", "usage: bootsonde lapic [vcpu N]"),
    ("bootsonde lapic vcpu", "usage: bootsonde lapic [vcpu N]"),
    ("bootsonde lapic vcpu 2", "there is no vCPU 2: this guest has 0, 1"),
])
def test_bad_input_is_one_line(guest: Gdb, line: str, said: str) -> None:
    answer = guest.type(line)
    assert said in answer and "Traceback" not in answer and answer.startswith("bootsonde: "), answer


def test_without_a_guest_it_says_what_to_do(lab: Lab) -> None:
    with gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        assert "no guest is connected: bootsonde attach" in debugger.type("bootsonde lapic")
