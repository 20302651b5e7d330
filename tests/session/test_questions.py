"""Questions to a stopped vCPU: what it answers, and that nothing else about the guest is changed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator

import pytest

from labkit import Lab
from terminals import Gdb, gdb, launcher

#: The reference guest's 32-bit entry, where a PVH loader starts it.
PVH_ENTRY = 0x200000
#: All that a question may change for a moment.
STATE = ("info registers rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags cs ss ds es fs gs",
         "x/8xb $pc")


def state(debugger: Gdb) -> list[str]:
    return [debugger.type(question) for question in STATE]


def commands(debugger: Gdb, lab: Lab) -> None:
    """The commands without a scenario, and a connection to the one guest that waits."""
    debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
    debugger.type("bootsonde attach")
    debugger.type("python from bootsonde.session import ondemand")


@pytest.fixture
def at_reset(lab: Lab) -> Iterator[Gdb]:
    """Two vCPUs; the first is at the reset vector, in real mode and in ROM, the second waits for its start-up."""
    with launcher(lab, "--smp", "2"), gdb(lab) as debugger:
        commands(debugger, lab)
        yield debugger


@pytest.fixture
def at_hit(lab: Lab) -> Iterator[Gdb]:
    """In the kernel, 64-bit, at the first hit of the pvclock scenario."""
    with launcher(lab), gdb(lab) as debugger:
        assert "cpu0 tsc_init()" in debugger.type(f"source {lab.stock('pvclock')}")
        debugger.type("python from bootsonde.session import ondemand")
        yield debugger


# Answers.


def test_in_real_mode_and_in_rom(at_reset: Gdb) -> None:
    before = state(at_reset)
    said = at_reset.type("bootsonde cpuid 0x40000000")
    assert "cpuid 0x40000000.0x0: eax 0x40000001" in said and 'vendor "TCGTCGTCGTCG": QEMU TCG' in said
    assert "local APIC at 0xfee00000, xAPIC" in at_reset.type("bootsonde rdmsr IA32_APIC_BASE")
    assert state(at_reset) == before


def test_in_32_bit_code_before_paging(at_reset: Gdb) -> None:
    at_reset.type(f"break *{PVH_ENTRY:#x}")
    at_reset.type("continue")
    before = state(at_reset)
    assert 'vendor "AuthenticAMD"' in at_reset.type("bootsonde cpuid 0")
    assert "IA32_EFER: 0x0\n  bits: none" in at_reset.type("bootsonde rdmsr 0xc0000080")
    assert state(at_reset) == before


def test_in_the_kernel_and_its_boot_goes_on(at_hit: Gdb, lab: Lab) -> None:
    before = state(at_hit)
    said = at_hit.type("bootsonde cpuid 1")
    assert "bits: LME LMA" in at_hit.type("bootsonde rdmsr IA32_EFER")
    assert state(at_hit) == before
    went_on = at_hit.type("bootsonde go")
    console = lab.console("tty")
    told = re.search(r"Id=(0x[0-9a-f]+) Features=(0x[0-9a-f]+) Features2=(0x[0-9a-f]+)", console)
    asked = re.search(r"eax (0x\w+) ebx 0x\w+ ecx (0x\w+) edx (0x\w+)", said)
    assert told is not None and asked is not None
    identifier, features, features2 = (int(word, 16) for word in told.groups())
    eax, ecx, edx = (int(word, 16) for word in asked.groups())
    assert (eax, ecx) == (identifier, features2) and edx & ~(1 << 28) == features & ~(1 << 28), (said, console)
    assert 'passed: the console shows "login:"' in went_on
    assert "tsc_init 1," in went_on, "the breakpoint at which the vCPU stood counts once"


def test_a_leaf_that_is_not_there_is_not_decoded(at_hit: Gdb) -> None:
    """QEMU answers it with the highest basic leaf, which would be a TSC of some hundred kHz."""
    said = at_hit.type("bootsonde cpuid 0x40000010")
    assert "there is no such leaf, the highest is 0x40000001: these are another one's values" in said
    assert "kHz" not in said


def test_the_time_stamp_counter_advances(at_hit: Gdb) -> None:
    first, second = (int(re.search(r"\((\d+)\)", at_hit.type("bootsonde rdtsc"))[1])  # type: ignore[index]
                     for _ in range(2))
    assert 0 < first < second


def test_why_the_kernel_does_not_know_its_frequency(at_hit: Gdb) -> None:
    before = state(at_hit)
    said = at_hit.type("bootsonde tsc")
    assert re.match(r"tsc 0x[0-9a-f]+ \(\d+\)\n  has TSC\n", said), said
    assert 'leaf 0x40000010: not there, the highest of "TCGTCGTCGTCG" is 0x40000001' in said
    assert "no leaf tells the frequency: the kernel has to measure it" in said
    assert state(at_hit) == before


def test_a_pvclock_is_read_where_it_lies(at_hit: Gdb) -> None:
    """The reference guest's own structure, filled by hand: a TSC of 2.6 GHz, stable, 7 ns at its beginning."""
    assert "mul 0: nobody has filled it in" in at_hit.type("bootsonde pvclock &timeinfos[0]")
    fields = ((0, "int", 2), (16, "long", 7), (24, "int", 0xc5377ec6), (28, "char", -1), (29, "char", 1))
    for offset, kind, value in fields:
        at_hit.type(f"set *({kind}*)((char*)&timeinfos[0] + {offset}) = {value}")
    said = at_hit.type("bootsonde pvclock &timeinfos[0]")
    assert "TSC 2596128000 Hz (mul 0xc5377ec6, shift -1)" in said and "flags: stable across vCPUs" in said
    now = re.search(r"(\d+) ns now, at TSC 0x([0-9a-f]+)", said)
    assert now is not None
    assert abs(int(now[1]) - 7 - int(now[2], 16) * 1000 // 2596) < int(now[1]) / 1000
    physical = at_hit.type("bootsonde pvclock phys (long)&timeinfos[0]-0xffffffff80000000")
    assert physical.splitlines()[1:4] == said.splitlines()[1:4] and physical.startswith("pvclock at physical 0x")


def test_what_is_written_stays(at_hit: Gdb) -> None:
    before = state(at_hit)
    assert "wrote 0x123456789abcdef0, was 0x0" in at_hit.type("bootsonde wrmsr IA32_LSTAR 0x123456789abcdef0")
    assert "IA32_LSTAR: 0x123456789abcdef0" in at_hit.type("bootsonde rdmsr 0xc0000082")
    assert state(at_hit) == before


def test_what_a_register_does_not_keep_is_said(at_hit: Gdb) -> None:
    """QEMU has no such register under TCG: it ignores the write and reads 0."""
    assert "wrote 0x1001, was 0x0; it reads 0x0" in at_hit.type("bootsonde wrmsr MSR_KVM_SYSTEM_TIME_NEW 0x1001")


def test_an_expression_is_gdbs(at_hit: Gdb) -> None:
    at_hit.type("set $leaf = 0x80000000")
    assert "cpuid 0x80000000.0x0" in at_hit.type("bootsonde cpuid $leaf")


def test_the_frame_that_was_selected_stays(at_hit: Gdb) -> None:
    at_hit.type("up")
    before = at_hit.type("frame")
    assert "cpuid 0x1.0x0" in at_hit.type("bootsonde cpuid 1")
    assert at_hit.type("frame") == before and "hammer_time" in before


def test_registers_are_those_of_the_vcpu_whatever_frame_is_selected(at_hit: Gdb) -> None:
    """In a caller's frame, $rip and $rsp are what the stack says; writing them would write there."""
    before = [*state(at_hit), at_hit.type("x/4xg $rsp")]
    at_hit.type("up")
    assert "ud2 faulted" in at_hit.type(r"python ondemand.execute('ud2', b'\x0f\x0b', {}, ())")
    at_hit.type("down")
    assert [*state(at_hit), at_hit.type("x/4xg $rsp")] == before


def test_questions_are_events_of_the_trace(at_hit: Gdb, lab: Lab) -> None:
    at_hit.type("bootsonde cpuid 0x15 1")
    at_hit.type("bootsonde wrmsr IA32_LSTAR 0x77")
    at_hit.type("bootsonde rdmsr IA32_LSTAR")
    at_hit.type("bootsonde detach")
    trace = lab.trace("pvclock")
    [answer] = [event for event in trace.of_kind("cpuid") if event.get("asked")]
    assert (answer["leaf"], answer["subleaf"]) == ("0x15", "0x1")
    assert set(answer["values"]) == {"eax", "ebx", "ecx", "edx"}
    written, read = trace.of_kind("msr")
    assert (written["access"], written["before"], written["after"]) == ("write", "0x0", "0x77")
    assert (read["access"], read["msr"], read["value"]) == ("read", "0xc0000082", "0x77")


# Other vCPUs.


def test_another_vcpu_answers_for_itself(lab: Lab) -> None:
    scenario = lab.scenario("ap", 'scenario.at(Functions("init_secondary"), vcpu=1)')
    with launcher(lab, "--smp", "2", "--append", "guest.i8254=1"), gdb(lab) as debugger:
        assert "cpu1 init_secondary" in debugger.type(f"source {scenario}")
        before = state(debugger)
        first, second = (debugger.type(f"bootsonde cpuid 1 vcpu {vcpu}") for vcpu in (0, 1))
        assert "ebx 0x00020800" in first and "ebx 0x01020800" in second, "the initial APIC ID is in bits 31 to 24"
        assert state(debugger) == before


def test_a_halted_vcpu_is_not_asked(at_reset: Gdb) -> None:
    said = at_reset.type("bootsonde cpuid 1 vcpu 1")
    assert "vCPU 1 is halted" in said and "choose another with `vcpu N`" in said
    assert "cpuid 0x1.0x0" in at_reset.type("bootsonde cpuid 1")


# What cannot be.


@pytest.mark.parametrize("line, said", [
    ("bootsonde cpuid", "usage: bootsonde cpuid LEAF [SUBLEAF] [vcpu N]"),
    ("bootsonde cpuid 0x100000000", "0x100000000 is no leaf: expected 0 to 0xffffffff"),
    ("bootsonde cpuid no_such_name", "no_such_name is no leaf: No symbol"),
    ("bootsonde cpuid 1 vcpu 9", "there is no vCPU 9: this guest has 0, 1"),
    ("bootsonde rdmsr IA32_NONE", "IA32_NONE is no MSR: No symbol"),
    ("bootsonde wrmsr 0x10", "usage: bootsonde wrmsr MSR VALUE [vcpu N]"),
    ("bootsonde rdtsc 1", "usage: bootsonde rdtsc [vcpu N]"),
    ("bootsonde pvclock phys", "usage: bootsonde pvclock [[phys] ADDRESS] [vcpu N]"),
    ("bootsonde pvclock 1 2", "usage: bootsonde pvclock [[phys] ADDRESS] [vcpu N]"),
    ("bootsonde pvclock", "MSR 0x4b564d01 reads 0, as it always does under TCG"),
    ("bootsonde tsc vcpu 2", "there is no vCPU 2: this guest has 0, 1"),
])
def test_bad_input_is_one_line_and_changes_nothing(at_reset: Gdb, line: str, said: str) -> None:
    before = state(at_reset)
    answer = at_reset.type(line)
    assert said in answer and "Traceback" not in answer and answer.startswith("bootsonde: "), answer
    assert state(at_reset) == before


def test_without_a_guest_it_says_what_to_do(lab: Lab) -> None:
    with gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        assert "no guest is connected: bootsonde attach" in debugger.type("bootsonde cpuid 1")


def test_the_commands_are_for_gdb(lab: Lab) -> None:
    done = lab.command([sys.executable, str(lab.root / "gdb" / "commands.py")]).expect(1)
    assert done.err == "bootsonde: this is for GDB's prompt: (gdb) source gdb/commands.py\n"


def test_where_no_memory_is_mapped_nothing_is_executed(at_hit: Gdb) -> None:
    at_hit.type("set $before = $pc")
    at_hit.type("set $pc = 0x123400000000")
    said = at_hit.type("bootsonde cpuid 1")
    assert "at 0x123400000000, where no memory is mapped" in said
    assert "0x123400000000" in at_hit.type("p/x $pc")
    at_hit.type("set $pc = $before")
    assert "cpuid 0x1.0x0" in at_hit.type("bootsonde cpuid 1")


@pytest.mark.parametrize("where", ["at_reset", "at_hit"])
def test_a_fault_leaves_nothing_behind(request: pytest.FixtureRequest, where: str) -> None:
    debugger: Gdb = request.getfixturevalue(where)
    stack = "x/32xg $rsp - 256" if where == "at_hit" else "x/32xg 0xff00"
    before = [*state(debugger), debugger.type(stack)]
    said = debugger.type(r"python ondemand.execute('ud2', b'\x0f\x0b', {}, ())")
    assert "ud2 faulted on vCPU 0; registers and memory are as before" in said
    assert [*state(debugger), debugger.type(stack)] == before


def test_ctrl_c_waits_until_the_guest_is_as_before(at_hit: Gdb) -> None:
    before = state(at_hit)
    for attempt in range(12):
        at_hit.start("python print('began'); [ondemand.cpuid(1) for _ in range(1000)]")
        at_hit.expect("began")
        time.sleep(0.05 + 0.0137 * attempt)  # at another moment of a question each time
        at_hit.interrupt()
        assert state(at_hit) == before
