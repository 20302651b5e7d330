"""What the reference guest makes of CPUID and MSR answers that are not its processor's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bootsonde.model.trace import Trace
from labkit import Done, Lab
from terminals import gdb, launcher
from unikernel import unikernel

#: A guest that comes to login by itself.
BOOTS = ("--append", "guest.i8254=1")
#: Leaf 0x15: a crystal of 24 MHz, 216 / 2 times as fast.
CRYSTAL = "0x15: eax = 2, ebx = 216, ecx = 24000000, edx = 0"
X2APIC = 1 << 21
#: The guest switches the local APIC to x2APIC where CPUID says that it can.
TO_X2APIC = ("--append", "guest.i8254=1 hw.x2apic_enable=1")


def run(lab: Lab, lines: list[str], *words: str, status: int = 0) -> tuple[Done, Trace]:
    done = lab.run(lab.scenario("told", *lines), "--echo", *words).expect(status)
    return done, lab.trace("told")


def overlaid(trace: Trace, kind: str) -> list[dict[str, object]]:
    return [event for event in trace.of_kind(kind) if event.get("overlay")]


def features2(done: Done) -> int:
    found = re.search(r"Features2=(0x[0-9a-f]+)", done.out)
    assert found is not None, done
    return int(found[1], 16)


# CPUID.


def test_a_leaf_that_the_processor_has_not_is_believed(lab: Lab) -> None:
    """The limit in leaf 0 grows by itself: the guest would not ask otherwise."""
    done, trace = run(lab, [f"scenario.cpuid({CRYSTAL!r})", 'scenario.until("login:")'], "--smp", "2")
    assert "TSC: P-state variant, 2592000000 Hz" in done.out
    first, *_ = [event for event in overlaid(trace, "cpuid") if event["leaf"] == "0x0"]
    assert first["values"]["eax"] == "0x15" and first["native"]["eax"] == "0xd"  # type: ignore[index]
    told = next(event for event in overlaid(trace, "cpuid") if event["leaf"] == "0x15")
    assert told["values"] == {"eax": "0x2", "ebx": "0xd8", "ecx": "0x16e3600", "edx": "0x0"}
    assert "native" not in told and told["function"] == "tsc_freq_cpuid"
    assert str(told["caller"]["function"]).startswith("probe_tsc_freq+")  # type: ignore[index]


def test_bits_are_changed_and_the_others_are_the_processors(lab: Lab) -> None:
    plain, _ = run(lab, ['scenario.at(Functions("tsc_init"))'], *BOOTS)
    done, trace = run(lab, ['scenario.cpuid("1: ecx |= x2apic, ecx &= ~sse3")', 'scenario.until("login:")'], *BOOTS)
    assert features2(plain) & (X2APIC | 1) == 1
    assert features2(done) == features2(plain) ^ (X2APIC | 1)
    assert "PASS cpuid_as_cached" in done.out, "every place that asks is told the same"
    events = overlaid(trace, "cpuid")
    assert len(events) > 1 and all(event["leaf"] == "0x1" and "native" in event for event in events)


def test_only_what_is_answered_is_an_event(lab: Lab) -> None:
    done, trace = run(lab, ['scenario.cpuid("0x80000007: edx |= invariant_tsc")', 'scenario.until("login:")'], *BOOTS)
    assert "TSC: P-state invariant" in done.out
    assert {event["leaf"] for event in trace.of_kind("cpuid")} == {"0x80000007"} and not trace.of_kind("hit")
    assert re.search(r"overlay: cpuid 0x80000007 \d+\n", done.out)


def test_what_is_never_asked_for_is_said(lab: Lab) -> None:
    done, _ = run(lab, ['scenario.cpuid("0x80000007: edx |= invariant_tsc", "0x8000000a: eax = 1")',
                        'scenario.until("login:")'], *BOOTS)
    assert "never asked for: cpuid 0x8000000a" in done.out


def test_instructions_that_ask_for_something_else_are_left_alone(lab: Lab) -> None:
    """Each breakpoint costs: cprobe says which leaf an instruction asks for."""
    every, _ = run(lab, ['scenario.at(Insn("cpuid"))'], *BOOTS)
    some, _ = run(lab, ['scenario.cpuid("0x80000007: edx |= invariant_tsc")', 'scenario.until("login:")'], *BOOTS)
    counts = [int(re.search(r"(\d+) breakpoints: every cpuid", done.out)[1])  # type: ignore[index]
              for done in (every, some)]
    assert counts[1] < 2 * counts[0], "each in both places where its code may run, yet fewer than all"


def test_watching_sees_what_the_kernel_is_told(lab: Lab) -> None:
    done, trace = run(lab, ['scenario.at(Insn("cpuid", in_func="tsc_freq_cpuid")).watch_cpuid()',
                            f"scenario.cpuid({CRYSTAL!r})", 'scenario.until("login:")'])
    events = [event for event in trace.of_kind("cpuid") if event["leaf"] == "0x15"]
    assert [event["values"]["ecx"] for event in events] == ["0x16e3600"]
    assert all("native" in event and event["overlay"] for event in events)
    assert "cpuid 0x15.0x0: eax 0x00000002 ebx 0x000000d8 ecx 0x016e3600 edx 0x00000000  by the overlay" in done.out
    assert re.search(r"^overlay: .*cpuid 0x15 1\b", done.out, re.MULTILINE)


def test_a_leaf_that_is_not_there_is_not_explained(lab: Lab) -> None:
    """The processor answers with another one's values, which would be a frequency."""
    done = lab.run(lab.stock("cpuid"), "--set", "leaf=0x40000010", *BOOTS).expect(0)
    assert "there is no such leaf, the highest is 0x40000001: these are another one's values" in done.out
    assert " kHz" not in done.out


def test_a_leaf_above_the_limit_that_the_kernel_was_told_is_not_explained(lab: Lab, tmp_path: Path) -> None:
    """Without asking: nothing is written to a guest that is only watched."""
    kernel = unikernel(tmp_path, """
static void ask(unsigned leaf)
{
    unsigned a = leaf, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}
int main(void) { ask(0x15); ask(0); ask(0x16); say("login:"); return 0; }
""")
    done = lab.run(lab.scenario("asks", 'scenario.at(Insn("cpuid")).watch_cpuid()'), "--kernel", kernel).expect(0)
    first, *_, last = re.split(r"  cpuid 0x", done.out)[1:]
    assert first.startswith("15.") and "no such leaf" not in first
    assert last.startswith("16.") and "there is no such leaf, the highest is 0xd" in last and "MHz" not in last


def test_a_breakpoint_behind_an_answered_instruction_is_hit(lab: Lab) -> None:
    """The vCPU is moved onto it, which GDB does not notice."""
    _, trace = run(lab, [f"scenario.cpuid({CRYSTAL!r})", 'scenario.until("login:")',
                         'scenario.at(Insn("mov,test,cmp,shr,imul", in_func="tsc_freq_cpuid"))'])
    told = next(event for event in overlaid(trace, "cpuid") if event["leaf"] == "0x15")
    places = [int(event["address"], 0) for event in trace.of_kind("hit")]
    behind = int(str(told["address"]), 0) + 2
    probe = lab.command([str(lab.build / "cprobe" / "cprobe"), "find", str(lab.kernel), "--insn",
                         "mov,test,cmp,shr,imul", "--in-func", "tsc_freq_cpuid"])
    assert f"{behind:#x}" in probe.out, "the test is about such an instruction"
    assert behind in places


# MSRs.


def test_a_register_reads_what_is_said(lab: Lab) -> None:
    done, trace = run(lab, ['scenario.msr("IA32_APIC_BASE: read = 0xfee00100")', 'scenario.until("login:")'], *BOOTS)
    assert "FAIL lapic_mode" in done.out, "the guest looks whether it is enabled"
    events = overlaid(trace, "msr")
    assert events and {(event["access"], event["msr"], event["value"]) for event in events} == {
        ("read", "0x1b", "0xfee00100")}


def test_bits_of_a_register_are_changed(lab: Lab) -> None:
    _, trace = run(lab, ['scenario.msr("IA32_APIC_BASE: read &= ~0x800")', 'scenario.until("login:")'], *BOOTS)
    assert {(event["value"], event["native"]) for event in overlaid(trace, "msr")} == {("0xfee00100", "0xfee00900")}


def test_a_write_is_swallowed(lab: Lab) -> None:
    """The guest switches to x2APIC, believes it, and the processor has never heard of it."""
    done, trace = run(lab, ['scenario.cpuid("1: ecx |= x2apic")', 'scenario.msr("IA32_APIC_BASE: write swallow")',
                            'scenario.at(Functions("lapic_setup")).passes()'], *TO_X2APIC)
    [event] = overlaid(trace, "msr")
    assert (event["access"], event["value"], event["overlay"]) == ("write", "0xfee00d00", "swallow")
    assert "wrmsr 0x1b IA32_APIC_BASE: 0xfee00d00  swallow, in native_lapic_enable_x2apic" in done.out


def test_a_kept_register_reads_what_was_written(lab: Lab) -> None:
    _, trace = run(lab, ['scenario.cpuid("1: ecx |= x2apic")', 'scenario.msr("IA32_APIC_BASE: keep")',
                         'scenario.until("PASS lapic_mode")'],
                   "--append", TO_X2APIC[1] + " guest.lapic_calibration=0")
    seen = [(event["access"], event["value"]) for event in overlaid(trace, "msr")]
    assert seen == [("read", "0x0"), ("read", "0x0"), ("write", "0xc00"), ("read", "0xc00")]


def test_a_fault_reaches_the_guests_handler_with_its_registers(lab: Lab) -> None:
    """#GP at the instruction, as of a register that the processor has not."""
    done, trace = run(lab, ['scenario.msr("IA32_APIC_BASE: fault")'], *BOOTS, status=1)
    event = overlaid(trace, "msr")[0]
    assert event["faulted"] is True and event["access"] == "read"
    trap = re.search(r"general protection.*", done.out)
    assert trap is not None, done
    assert str(event["address"])[2:] in done.out.split(trap[0])[1] or str(event["address"])[2:] in trap[0]


def test_code_before_paging_is_answered_where_it_runs(lab: Lab) -> None:
    """The guest's 32-bit entry reads IA32_EFER at link address - 0xffffffff80000000."""
    _, trace = run(lab, ['scenario.msr("IA32_EFER: read |= 1")', 'scenario.until("login:")'], *BOOTS)
    first = overlaid(trace, "msr")[0]
    assert int(str(first["address"]), 0) < 1 << 30 and (first["value"], first["native"]) == ("0x1", "0x0")
    assert first["function"] == "btext"


# Lines.


@pytest.mark.parametrize("line, said", [
    ('scenario.cpuid("one: eax = 1")', "told: cpuid one: eax = 1: expected LEAF[.SUBLEAF]"),
    ('scenario.cpuid("1: eax = 1", "1: eax = 2")', "eax contradicts itself"),
    ('scenario.msr("IA32_NOTHING: fault")', "told: msr IA32_NOTHING: fault: expected MSR"),
    ('scenario.kvm_clock(fault="late")', "told: fault=late: expected one of odd")])
def test_a_line_that_cannot_be_read_ends_the_run_before_it_begins(lab: Lab, line: str, said: str) -> None:
    done = lab.run(lab.scenario("told", line)).expect(2)
    assert said in done.err and "Traceback" not in done.err + done.out
    lab.expect_nothing_left()


def test_lines_are_added_at_a_stop(lab: Lab) -> None:
    scenario = lab.scenario("told", 'scenario.at(Functions("tsc_init"))', 'scenario.until("login:")')
    with launcher(lab), gdb(lab) as debugger:
        debugger.type(f"source {scenario}")
        assert re.search(r"[1-9]\d* breakpoints more\n +cpuid 0x15: eax = 0x2",
                         debugger.type(f"bootsonde overlay cpuid {CRYSTAL}"))
        debugger.type("bootsonde overlay msr 0xce: read = 5")
        shown = debugger.type("bootsonde overlay")
        assert "cpuid 0x15: eax = 0x2, ebx = 0xd8" in shown and "msr MSR_PLATFORM_INFO: read = 0x5" in shown
        asked = debugger.type("bootsonde cpuid 0x15")
        assert "the overlay has the kernel told: cpuid 0x15.0x0: eax 0x00000002" in asked
        assert "eax contradicts itself" in debugger.type("bootsonde overlay cpuid 0x15: eax = 3")
        assert "usage: bootsonde overlay" in debugger.type("bootsonde overlay 0x15")
        debugger.type("set var cpu_high = 0x15")  # Leaf 0 was asked for before this stop.
        debugger.type("bootsonde go")
        assert "2592000000 Hz" in lab.console("tty")


# The clock.


def test_a_persons_guest_under_icount_has_a_tsc_of_1_ghz(lab: Lab) -> None:
    """The launcher's state file says so; the host's frequency would be wrong."""
    with launcher(lab, "--icount", "shift=3,sleep=off", "--smp", "2"), gdb(lab) as debugger:
        assert "KVM clock: a TSC of 1000.000 MHz\n" in debugger.type(f"source {lab.stock('kvmclock')}")
        assert 'passed: the console shows "login:"' in debugger.type("bootsonde go")
        assert "PASS pvclock_tsc_freq" in lab.console("tty")


def test_a_kernel_without_a_symbol_gets_its_clock(lab: Lab) -> None:
    """Nothing says where functions begin: every cpuid and wrmsr is stopped at."""
    kernel = lab.cwd / "kernel"
    lab.command(["objcopy", "--strip-all", "--remove-section=.gnu_debuglink", str(lab.kernel), str(kernel)]).expect(0)
    done = lab.run(lab.stock("kvmclock"), "--kernel", kernel, "--smp", "2", "--echo").expect(0)
    assert 'Timecounter "kvmclock" keeps time now' in done.out and "0 failed, 0 skipped" in done.out
    assert re.search(r"told \.text at 0xffffffff802[0-9a-f]{5}\n", done.out)
    assert re.search(r"KVM clock: vCPU 0 at physical 0x\w+, vCPU 1 at physical 0x\w+\n", done.out)


@pytest.mark.parametrize("icount", [(), ("--icount", "shift=3,sleep=off")], ids=["host time", "icount"])
def test_a_processor_without_a_hypervisor_gets_one(lab: Lab, icount: tuple[str, ...]) -> None:
    """Under KVM leaf 1 says that there is one; the guest looks."""
    done = lab.run(lab.stock("kvmclock"), "--cpu", "qemu64,-hypervisor", "--echo", *icount).expect(0)
    assert 'Origin = "KVMKVMKVM"' in done.out and 'Timecounter "kvmclock" keeps time now' in done.out
    assert "PASS cpuid_as_cached" in done.out


@pytest.mark.parametrize("again", ["no", "yes"])
def test_wrmsr_is_left_alone_once_the_clock_is_set(lab: Lab, again: str) -> None:
    """It is set with the wall clock that the guest asks for last."""
    done = lab.run(lab.stock("kvmclock"), "--smp", "2", "--set", f"again={again}").expect(0)
    assert ("wrmsr is left alone" in done.out) == (again == "no")
    assert "wrmsr MSR_KVM_SYSTEM_TIME_NEW 2, wrmsr MSR_KVM_WALL_CLOCK_NEW 1" in done.out


def test_every_vcpus_clock_is_shown(lab: Lab) -> None:
    scenario = lab.scenario("clocks", 'scenario.kvm_clock(tsc_hz=2000000000)', 'scenario.at(Functions("selftest_run"))')
    with launcher(lab, "--smp", "2"), gdb(lab) as debugger:
        debugger.type("set bootsonde-symbols-at-prompt never")
        assert "cpu0 selftest_run()" in debugger.type(f"source {scenario}")
        said = debugger.type("bootsonde pvclock")
        assert re.findall(r"vCPU (\d): pvclock at physical 0x", said) == ["0", "1"]
        assert said.count("TSC 2000000000 Hz") == 2 and said.count("flags: stable across vCPUs") == 2
        assert len(set(re.findall(r"(\d+) ns now, at TSC", said))) == 1, "both show the same time"
        assert "vCPU 0" not in debugger.type("bootsonde pvclock vcpu 1")
        assert "vCPU 7 has not registered a pvclock" in debugger.type("bootsonde pvclock vcpu 7")


def test_a_question_says_what_the_kernel_would_read(lab: Lab) -> None:
    scenario = lab.scenario("told", 'scenario.msr("IA32_APIC_BASE: read &= ~0x800", "0xce: read = 7", "0x8b: fault")',
                            'scenario.at(Functions("tsc_init"))')
    with launcher(lab), gdb(lab) as debugger:
        debugger.type("set bootsonde-symbols-at-prompt never")
        debugger.type(f"source {scenario}")
        for register, told in (("IA32_APIC_BASE", "0xfee00100"), ("0xce", "0x7"), ("0x8b", "a fault")):
            assert f"the overlay has the kernel told: {told}\n" in debugger.type(f"bootsonde rdmsr {register}")
        assert "overlay" not in debugger.type("bootsonde rdmsr IA32_EFER")


# Faults of the clock.


@pytest.mark.parametrize("fault, failed", [
    ("odd", {"pvclock_vcpus_agree", "pvclock_reads"}),
    ("mul0", {"pvclock_vcpus_agree", "pvclock_tsc_freq", "pvclock_reads"}),
    ("torn", set()), ("backwards", {"timecounter_monotonic", "pvclock_vcpus_agree"})])
def test_a_fault_shows_what_the_reader_is_worth(lab: Lab, fault: str, failed: set[str]) -> None:
    """The reference guest's reader waits for an even version and looks again; the time itself it has to believe."""
    done = lab.run(lab.stock("kvmclock"), "--smp", "2", "--echo", "--set", f"fault={fault}").expect(0)
    assert set(re.findall(r"FAIL (\w+)", done.out)) == failed
    wrote = [event for event in lab.trace("kvmclock").of_kind("inject")
             if event["target"] == "pvclock_vcpu_time_info" and event["function"] == "pvclock_read_time_info"]
    assert (len(wrote) == 10) if fault == "torn" else (1 <= len(wrote) <= 5) if fault == "backwards" else not wrote


def test_a_seed_is_another_course_of_faults(lab: Lab) -> None:
    def course(seed: int) -> list[str]:
        lab.run(lab.stock("kvmclock"), "--set", "fault=torn", "--set", f"seed={seed}", "--set", "tsc_hz=2000000000",
                "--set", "faults=2").expect(0)
        return [event["after"][16 * 2 + 8:16 * 2 + 16] for event in lab.trace("kvmclock").of_kind("inject")]

    assert len(course(1)) == 6 and course(1)[1:] != course(2)[1:]
