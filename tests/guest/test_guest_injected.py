"""The guest under a plain GDB that injects: the porter's tsc_freq, and a KVM clock that is not there.

Nothing of bootsonde's own Python takes part: these tests say what the guest does, whoever injects.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import FAILED, PASSED, Outcome, Start
from .test_guest_boot import STATISTICAL, assert_login

GDB = os.environ.get("GDB", "gdb")
ICOUNT = ("-icount", "shift=3,sleep=off", "-seed", "1", "-rtc", "base=2020-01-01T00:00:00,clock=vm")
NEW, OLD, STABLE = 1 << 3, 1 << 0, 1 << 24


def under_gdb(start: Start, guest: Path, folder: Path, commands: list[str], append: str,
              options: tuple[str, ...] = (), smp: int = 2) -> tuple[Outcome, str]:
    """Boots with GDB attached from the first instruction; both have a deadline. GDB's output comes second."""
    if shutil.which(GDB) is None:
        pytest.skip(f"no {GDB}")
    socket = folder / "gdb"
    with start(append, smp=smp, options=(*options, "-S", "-gdb", f"unix:{socket},server=on,wait=off")) as running:
        deadline = time.monotonic() + 10
        while not socket.exists() and running.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        script = ["set pagination off", "set confirm off", "set architecture i386:x86-64", f"file {guest}",
                  f"target remote {socket}", *commands]
        words = [GDB, "-nx", "-q", "-batch", "-iex", "set osabi none"]
        for command in script:
            words += ["-ex", command]
        gdb = subprocess.run(words, capture_output=True, text=True, timeout=30)
        return running.outcome(), gdb.stdout + gdb.stderr


@pytest.mark.parametrize("smp", [1, 2, 4])
def test_injected_tsc_freq_reaches_login(start: Start, guest: Path, tmp_path: Path, smp: int) -> None:
    """The porter's `set tsc_freq` at the check, with the true frequency under icount: 1 GHz."""
    outcome, gdb = under_gdb(start, guest, tmp_path, [
        "break lapic_init", "continue", "backtrace", "print tsc_freq", "set var tsc_freq = 1000000000", "delete",
        "continue"], "guest.exit=1", ICOUNT, smp)
    assert "$1 = 0" in gdb, gdb
    assert re.search(r"#0  lapic_init .*\n#1 .* mi_startup .*\n#2 .* kernel_high ", gdb), gdb
    assert "Backtrace stopped" not in gdb
    assert_login(outcome)
    lines = outcome.lines
    assert lines.index(STATISTICAL) + 1 == lines.index("Falling back to slow lapic calibration."), outcome
    found = re.search(r"^lapic0: timer frequency (\d+) Hz$", outcome.console, re.MULTILINE)
    assert found and abs(int(found[1]) - 500_000_000) < 5_000_000, outcome


@pytest.mark.parametrize("tsc_freq", [1, 1000, 10**12], ids=str)
def test_any_tsc_freq_gets_past_the_check(start: Start, guest: Path, tmp_path: Path, tsc_freq: int) -> None:
    """The porter wrote 1. Nothing must divide by what comes of it, or wait for ever, or miss a vCPU."""
    began = time.monotonic()
    outcome, _ = under_gdb(start, guest, tmp_path, [
        "break lapic_init", "continue", f"set var tsc_freq = {tsc_freq}", "delete", "continue"], "guest.exit=1", smp=4)
    assert outcome.status in (PASSED, FAILED) and STATISTICAL in outcome.lines, outcome
    assert "PASS aps_started" in outcome.lines and "login: " in outcome.console, outcome
    assert time.monotonic() - began < 15


def test_backtrace_goes_through_an_interrupt(start: Start, guest: Path, tmp_path: Path) -> None:
    """clang's assembler leaves the signal frame mark out of .debug_frame: the frame then has a name."""
    _, gdb = under_gdb(start, guest, tmp_path, [
        "break lapic_handle_timer", "continue", "backtrace", "delete", "continue"], "guest.hv_high_test=0 guest.exit=1")
    entry = "(<signal handler called>| alltraps )"
    assert re.search(rf"#0  lapic_handle_timer .*\n#1 .* trap .*\n#2 .*{entry}.*\n", gdb), gdb
    assert re.search(r"lapic_calibrate_initcount .*\n.* lapic_calibrate_timer .*\n.* cpu_initclocks ", gdb), gdb
    assert re.search(r"#\d+ +0x[0-9a-f]+ in kernel_high [^\n]*\n(?!#)", gdb), gdb


def virtual_kvm(start: Start, guest: Path, folder: Path, features: int, mul: int = 1 << 31, version: int = 2,
                smp: int = 2) -> tuple[Outcome, str]:
    script = Path(__file__).with_name("virtual_kvm.py")
    return under_gdb(start, guest, folder, [
        f"set $features = {features}", f"set $mul = {mul}", f"set $version = {version}", f"source {script}"],
        "guest.exit=1", ICOUNT, smp)


@pytest.mark.parametrize("smp", [1, 2, 4])
def test_kvmclock_attaches_under_tcg(start: Start, guest: Path, tmp_path: Path, smp: int) -> None:
    outcome, gdb = virtual_kvm(start, guest, tmp_path, NEW | OLD | STABLE, smp=smp)
    assert_login(outcome)
    assert 'Hypervisor: Origin = "KVMKVMKVM" hv_high = 0x40000010 vm_guest = 5' in outcome.lines, outcome
    assert 'Timecounter "kvmclock" keeps time now' in outcome.lines
    assert "lapic0: timer frequency 500000000 Hz" in outcome.lines
    assert "kvmclock0: the time is 170000000" in outcome.console
    assert sorted(re.findall(r"wrmsr 0x4b564d01 by (\d)", gdb)) == [str(cpu + 1) for cpu in range(smp)], gdb


def test_kvmclock_old_msrs(start: Start, guest: Path, tmp_path: Path) -> None:
    outcome, gdb = virtual_kvm(start, guest, tmp_path, OLD)
    assert_login(outcome)
    assert "kvmclock0: MSRs 0x12 and 0x11, stable flag not supported" in outcome.lines
    assert "wrmsr 0x12 by" in gdb and "0x4b564d01" not in gdb


def test_kvm_without_a_clock(start: Start, guest: Path, tmp_path: Path) -> None:
    outcome, gdb = virtual_kvm(start, guest, tmp_path, 0)
    assert_login(outcome)
    assert "kvmclock0" not in outcome.console and "wrmsr" not in gdb


@pytest.mark.parametrize(("mul", "version"), [(0, 2), (1 << 31, 3)], ids=["mul 0", "odd version"])
def test_unusable_pvclock_is_refused(start: Start, guest: Path, tmp_path: Path, mul: int, version: int) -> None:
    """A reader that refuses says so, and boot still ends."""
    outcome, _ = virtual_kvm(start, guest, tmp_path, NEW | STABLE, mul=mul, version=version)
    assert outcome.status == FAILED, outcome
    assert {"FAIL pvclock_vcpus_agree", "FAIL pvclock_reads"} <= set(outcome.lines), outcome
    assert outcome.console.rstrip("\n").endswith("login: "), outcome
