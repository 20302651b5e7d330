"""The reference guest by itself: to the assertion, by each tunable, on 1 to 4 vCPUs, through each fault."""

from __future__ import annotations

import re
import time

import pytest

from .conftest import FAILED, KVM_CPU, PASSED, Boot, Outcome, Start

SUMMARY = re.compile(r"^summary: (\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
ASSERTION = "panic: TSC not initialized"
STATISTICAL = "Statistical lapic calibration failed!  Clocks might be ticking at variable rates."


def counts(outcome: Outcome) -> tuple[int, int, int]:
    """Passed, failed, skipped; they must be the lines' own counts."""
    found = SUMMARY.findall(outcome.console)
    assert len(found) == 1, outcome
    words = [line.split(" ")[0] for line in outcome.lines]
    passed, failed, skipped = (int(number) for number in found[0])
    assert (words.count("PASS"), words.count("FAIL"), words.count("SKIP")) == (passed, failed, skipped), outcome
    return passed, failed, skipped


def assert_login(outcome: Outcome) -> None:
    assert outcome.status == PASSED, outcome
    assert counts(outcome)[1] == 0, outcome
    assert outcome.console.rstrip("\n").endswith("login: "), outcome


def test_plain_boot_stops_at_the_assertion(boot: Boot) -> None:
    start = time.monotonic()
    outcome = boot()
    took = time.monotonic() - start
    assert outcome.status == FAILED, outcome
    assert ASSERTION in outcome.lines and "cpuid = 0" in outcome.lines and "KDB: stack backtrace:" in outcome.lines
    assert 'Hypervisor: Origin = "TCGTCGTCGTCG" hv_high = 0x40000001 vm_guest = 1' in outcome.lines
    assert sum(line.startswith("#") for line in outcome.lines) >= 4, outcome
    assert counts(outcome)[1] == 1
    assert "login:" not in outcome.console
    assert took < 5, f"{took:.1f} s, and it takes 0.05 s on an idle machine"


@pytest.mark.parametrize("smp", [1, 2, 4])
def test_vcpus_start(boot: Boot, smp: int) -> None:
    outcome = boot("guest.i8254=1 guest.exit=1 boot_verbose=1", smp=smp)
    assert_login(outcome)
    assert f"SMP: {smp} of {smp} CPUs online" in outcome.lines
    assert f"cpu{smp - 1}: APIC ID {smp - 1}" in outcome.lines
    assert ("PASS aps_started" if smp > 1 else "SKIP aps_started: one vCPU") in outcome.lines
    assert re.search(r"^MP table: .*entry_count 0$", outcome.console, re.MULTILINE)


def test_i8254_is_a_reference_for_both_calibrations(boot: Boot) -> None:
    """The PIT under load is unreliable (FACTS): three tries for both frequencies within 5 %."""
    for _ in range(3):
        outcome = boot("guest.i8254=1 guest.exit=1")
        assert_login(outcome)
        assert 'Timecounter "i8254" frequency 1193182 Hz quality 0' in outcome.lines
        lapic = re.search(r"^lapic0: timer frequency (\d+) Hz$", outcome.console, re.MULTILINE)
        tsc = re.search(r"^TSC: calibrated against i8254: (\d+) Hz$", outcome.console, re.MULTILINE)
        if lapic and tsc and abs(int(lapic[1]) - 500_000_000) < 25_000_000 and "Statistical" not in outcome.console:
            return
    pytest.fail(f"never calibrated: {outcome}")


def test_i8254_under_icount_is_exact_and_repeats(boot: Boot) -> None:
    """1 ns an instruction: the TSC is 1 GHz and QEMU's APIC timer 1 GHz, divided by two."""
    options = ("-icount", "shift=3,sleep=off", "-seed", "1", "-rtc", "base=2020-01-01T00:00:00,clock=vm")
    first = boot("guest.i8254=1 guest.exit=1", options=options)
    assert_login(first)
    tsc = re.search(r"^TSC: calibrated against i8254: (\d+) Hz$", first.console, re.MULTILINE)
    lapic = re.search(r"^lapic0: timer frequency (\d+) Hz$", first.console, re.MULTILINE)
    assert tsc and abs(int(tsc[1]) - 1_000_000_000) < 2_000_000, first
    assert lapic and abs(int(lapic[1]) - 500_000_000) < 1_000_000, first
    assert boot("guest.i8254=1 guest.exit=1", options=options).console == first.console


def test_without_hv_high_test_the_failed_calibration_is_reached(boot: Boot) -> None:
    """TCG answers leaf 0x40000010 with its highest basic leaf: a wrong, non-zero frequency gets past the assertion."""
    start = time.monotonic()
    outcome = boot("guest.hv_high_test=0 guest.exit=1")
    assert time.monotonic() - start < 10
    assert_login(outcome)
    lines = outcome.lines
    assert lines.index(STATISTICAL) + 1 == lines.index("Falling back to slow lapic calibration."), outcome


def test_disabled_tsc_calibration_leaves_the_tsc_unknown(boot: Boot) -> None:
    outcome = boot("guest.i8254=1 machdep.disable_tsc_calibration=1")
    assert outcome.status == FAILED and ASSERTION in outcome.lines, outcome


def test_lapic_calibration_can_be_left_out(boot: Boot) -> None:
    outcome = boot("guest.i8254=1 guest.lapic_calibration=0 guest.exit=1")
    assert_login(outcome)
    assert "lapic0: calibration disabled by guest.lapic_calibration" in outcome.lines
    assert "lapic0: timer frequency" not in outcome.console


@pytest.mark.parametrize("smp", [1, 4])
def test_x2apic_where_there_is_one(boot: Boot, smp: int) -> None:
    """TCG has x2APIC from QEMU 9 on; before, the tunable changes nothing. The self-check compares with the MSR."""
    plain = boot("guest.i8254=1 guest.exit=1", smp=smp)
    assert_login(plain)
    assert "lapic0: version 0x00050014, xAPIC" in plain.lines
    asked = boot("guest.i8254=1 guest.exit=1 hw.x2apic_enable=1", smp=smp)
    assert_login(asked)
    features2 = re.search(r"Features2=0x([0-9a-f]+)$", asked.console, re.MULTILINE)
    assert features2, asked
    mode = "x2APIC" if int(features2[1], 16) & 1 << 21 else "xAPIC"
    assert re.search(rf"^lapic0: version 0x[0-9a-f]+, {mode}$", asked.console, re.MULTILINE), asked


def test_kvm_x2apic(boot: Boot, kvm: None) -> None:
    outcome = boot("guest.exit=1 hw.x2apic_enable=1", smp=2, accel="kvm", cpu=KVM_CPU)
    assert_login(outcome)
    assert re.search(r"^lapic0: version 0x[0-9a-f]+, x2APIC$", outcome.console, re.MULTILINE), outcome


def test_smp_can_be_disabled(boot: Boot) -> None:
    outcome = boot("guest.i8254=1 kern.smp.disabled=1 guest.exit=1", smp=2)
    assert "SMP: 1 of 2 CPUs online" in outcome.lines
    assert outcome.status == FAILED and "FAIL aps_started" in outcome.lines, outcome


def test_timecounter_by_name(boot: Boot) -> None:
    best = boot("guest.i8254=1 guest.exit=1")
    assert 'Timecounter "TSC" keeps time now' in best.lines, best
    named = boot("guest.i8254=1 kern.timecounter.hardware=i8254 guest.exit=1")
    assert 'Timecounter "i8254" keeps time now' in named.lines, named
    assert 'Timecounter "TSC" keeps time now' not in named.lines, named


def test_verbose_says_more(boot: Boot) -> None:
    assert "TSC: frequency 0 Hz" in boot("boot_verbose=1").lines
    assert "TSC: frequency 0 Hz" not in boot("boot_verbose=0").lines


def test_unknown_tunables_are_said(boot: Boot) -> None:
    outcome = boot("guest.i8245=1 guest.i8254 boot_verbose=1")
    assert "kenv: unknown tunable: guest.i8245=1" in outcome.lines
    assert "kenv: unknown tunable: guest.i8254" in outcome.lines, "a word without a value"
    assert "kenv: unknown tunable: boot_verbose=1" not in outcome.lines


def test_overlong_command_line_is_cut_and_said(boot: Boot) -> None:
    outcome = boot("boot_verbose=1 " + "x" * 1500)
    assert outcome.status == FAILED and ASSERTION in outcome.lines, outcome
    assert "kenv: command line cut at 1023 characters" in outcome.lines
    assert boot(" ".join(["boot_verbose=1"] * 40)).status == FAILED


def test_faults_end_as_named(boot: Boot) -> None:
    panic = boot("guest.fault=panic")
    assert panic.status == FAILED and "panic: guest.fault asked for it" in panic.lines, panic
    page = boot("guest.fault=pagefault@tsc")
    assert page.status == FAILED and "panic: page fault" in page.lines, page
    assert "fault virtual address = 0x123400000000" in page.lines
    left = boot("guest.fault=exit")
    assert left.status == PASSED and "summary:" not in left.console, "status alone is not success"
    for name in ("reset", "triple"):
        reset = boot(f"guest.fault={name}")
        assert reset.status == 0 and "summary:" not in reset.console, reset
        assert reset.console.endswith(f"guest.fault: {name} at stage cpu\n"), reset


@pytest.mark.parametrize("name", ["hang", "spin"])
def test_hangs_hang(boot: Boot, name: str) -> None:
    outcome = boot(f"guest.fault={name}", seconds=1.5)
    assert outcome.status is None and outcome.console.endswith(f"guest.fault: {name} at stage cpu\n"), outcome


@pytest.mark.parametrize("stage", ["cpu", "tsc", "lapic", "smp", "configure", "clocks", "login"])
def test_every_stage_has_its_fault_point(boot: Boot, stage: str) -> None:
    outcome = boot(f"guest.i8254=1 guest.fault=panic@{stage}")
    assert outcome.status == FAILED and f"guest.fault: panic at stage {stage}" in outcome.lines, outcome


def test_unknown_fault_is_said(boot: Boot) -> None:
    assert "guest.fault: no fault of that name" in boot("guest.fault=flood").lines


def test_null_pointers_fault_after_smp(boot: Boot) -> None:
    """The identity map is gone from stage `configure` on."""
    before = boot("guest.i8254=1 guest.exit=1 guest.fault=null@lapic")
    assert before.status == PASSED, before
    after = boot("guest.i8254=1 guest.exit=1 guest.fault=null@login")
    assert after.status == FAILED and "fault virtual address = 0x10" in after.lines, after


def test_kdb_prompt(start: Start) -> None:
    with start("guest.kdb=1") as running:
        assert running.read_until("db> "), running.console
        assert "KDB: enter: panic" in running.console
        running.type("bt\r")
        assert running.read_until("KDB: stack backtrace:") and running.read_until("db> ")
        running.type("nonsense\r")
        assert running.read_until("No such command") and running.read_until("db> ")
        running.type("c\r")
        assert running.outcome().status == FAILED


def test_login_prompt(start: Start) -> None:
    """Echo, Ctrl-C, a name nobody has, and the way out."""
    with start("guest.i8254=1") as running:
        assert running.read_until("login: "), running.console
        running.type("abc\x03")
        assert running.read_until("abc^C\nlogin: "), running.console
        running.type("root\r")
        assert running.read_until("root\nLogin incorrect\nlogin: "), running.console
        running.type("exix\x7ft\r")
        outcome = running.outcome()
    assert outcome.status == PASSED, outcome


def test_login_prompt_idles(start: Start) -> None:
    """Waiting costs no CPU: both vCPUs halt."""
    with start("guest.i8254=1") as running:
        assert running.read_until("login: "), running.console
        try:
            stat = f"/proc/{running.process.pid}/stat"
            used = [sum(map(int, open(stat).read().rsplit(")", 1)[1].split()[11:13]))]
            time.sleep(1.0)
            used.append(sum(map(int, open(stat).read().rsplit(")", 1)[1].split()[11:13])))
        except FileNotFoundError:
            pytest.skip("no /proc")
    assert used[1] - used[0] < 30, "hundredths of a second of CPU time in one second"


def test_without_debug_exit_device_it_halts(start: Start) -> None:
    with start() as running:
        command = [word for word in running.command if not word.startswith("isa-debug-exit")]
    command.remove("-device")
    with type(running)(command) as halted:
        assert halted.read_until("The operating system has halted."), halted.console
        assert halted.process.poll() is None


def test_other_machines(boot: Boot) -> None:
    """No PIT and no PIC; a CPU model without most features."""
    outcome = boot(options=("-M", "microvm,acpi=off,pit=off,pic=off"))
    assert outcome.status == FAILED and ASSERTION in outcome.lines, outcome
    assert_login(boot("guest.i8254=1 guest.exit=1", cpu="qemu64"))


@pytest.mark.parametrize("smp", [1, 2, 4])
def test_kvm_uses_kvmclock(boot: Boot, kvm: None, smp: int) -> None:
    outcome = boot("guest.exit=1", smp=smp, accel="kvm", cpu=KVM_CPU)
    assert_login(outcome)
    assert 'Timecounter "kvmclock" frequency 1000000000 Hz quality 975' in outcome.lines
    assert 'Timecounter "kvmclock" keeps time now' in outcome.lines
    assert 'Timecounter "TSC" keeps time now' not in outcome.lines
    assert f"SMP: {smp} of {smp} CPUs online" in outcome.lines
    for check in ("pvclock_vcpus_agree", "pvclock_tsc_freq", "pvclock_wall_clock", "pvclock_reads"):
        assert f"PASS {check}" in outcome.lines, outcome


def test_kvm_with_fewer_features(boot: Boot, kvm: None) -> None:
    """QEMU can hide the stable flag, and the clock altogether."""
    unstable = boot("guest.exit=1", accel="kvm", cpu=KVM_CPU + ",-kvmclock-stable-bit")
    assert_login(unstable)
    assert "kvmclock0: MSRs 0x4b564d01 and 0x4b564d00, stable flag not supported" in unstable.lines
    none = boot("guest.i8254=1 guest.exit=1", accel="kvm", cpu=KVM_CPU + ",-kvmclock")
    assert_login(none)
    assert "kvmclock0" not in none.console and "SKIP pvclock: no kvmclock" in none.lines


def test_kvmclock_tunables(boot: Boot, kvm: None) -> None:
    """kvmclock(4)'s two, as the call of pvclock_tc_vdso_timehands shows them."""
    cpu = KVM_CPU + ",-rdtscp"
    tunable = "dev.kvmclock.0.vdso_enable_without_rdtscp=1"
    assert "vdso: timehands disabled" in boot("guest.exit=1", accel="kvm", cpu=cpu).lines
    assert "vdso: timehands enabled, algorithm 3, stable mask 0x1" in boot(
        f"guest.exit=1 {tunable}", accel="kvm", cpu=cpu).lines
    assert "vdso: timehands enabled, algorithm 3, stable mask 0x0" in boot(
        f"guest.exit=1 {tunable} dev.kvmclock.0.vdso_force_unstable=1", accel="kvm", cpu=cpu).lines
