"""scenarios/kvmclock.py on the reference guest: a KVM clock under plain TCG, and the same guest under real KVM."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bootsonde.host.qmp import Qmp
from bootsonde.model import msr
from bootsonde.model.pvclock import PAUSED, STABLE, PvclockTime, WallClock
from bootsonde.model.trace import Trace
from labkit import Done, Lab, open_lab, wait_for
from terminals import Gdb, gdb, launcher

ZERO = bytes(PvclockTime.SIZE)
KVM_CPU = "max,-arch-capabilities"


@dataclass
class Run:
    """A boot with the clock, between these two times of the host's, seconds since 1970."""

    done: Done
    trace: Trace
    began: float
    ended: float

    @property
    def console(self) -> list[str]:
        return [event["text"] for event in self.trace.of_kind("console")]

    def number(self, pattern: str) -> float:
        """The one number that the console tells in a line like this."""
        (found,) = [match for match in (re.fullmatch(pattern, line) for line in self.console) if match]
        return float(found[1])

    def leaf(self, leaf: int) -> list[dict[str, int]]:
        """What the kernel was told at each time that it asked for a leaf."""
        return [{name: int(value, 0) for name, value in event["values"].items()}
                for event in self.trace.of_kind("cpuid") if int(event["leaf"], 0) == leaf]

    def writes(self, *indices: int) -> list[dict[str, Any]]:
        """The wrmsr events of these registers."""
        return [event for event in self.trace.of_kind("msr")
                if event["access"] == "write" and int(event["msr"], 0) in indices]

    def filled(self, structure: str) -> list[dict[str, Any]]:
        """The events in which a structure was written into the guest's memory."""
        return [event for event in self.trace.of_kind("inject") if event["target"] == structure]

    def structures(self) -> dict[int, PvclockTime]:
        """By vCPU."""
        return {event["vcpu"]: PvclockTime.unpack(bytes.fromhex(event["after"]))
                for event in self.filled(PvclockTime.STRUCT)}


def boot(lab: Lab, *words: str) -> Run:
    """A boot that passes. words: with --trace FILE last, if at all."""
    began = time.time()
    done = lab.run(lab.stock("kvmclock"), *words).expect(0)
    return Run(done, lab.read(words[-1]) if "--trace" in words else lab.trace("kvmclock"), began, time.time())


@pytest.fixture(scope="module", params=[1, 2, 4], ids=lambda smp: f"{smp} vCPU")
def smp(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def run(smp: int, root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with open_lab(root, build, tmp_path_factory.mktemp("kvmclock")) as lab:
        made = boot(lab, "--smp", str(smp))
        lab.expect_nothing_left()
        yield made


# The guest believes in it.


def test_passes_at_login(run: Run) -> None:
    assert run.done.err == "" and 'bootsonde: passed: the console shows "login:"' in run.done.out


def test_kvm_is_detected(run: Run) -> None:
    assert 'Hypervisor: Origin = "KVMKVMKVM" hv_high = 0x40000010 vm_guest = 5' in run.console


def test_kvmclock_is_the_timecounter(run: Run) -> None:
    assert 'Timecounter "kvmclock" frequency 1000000000 Hz quality 975' in run.console
    assert [line for line in run.console if line.endswith("keeps time now")] == [
        'Timecounter "kvmclock" keeps time now']


def test_the_guests_own_checks_pass(run: Run) -> None:
    """They read the clock on every vCPU, compare it with the TSC, and take the time of day."""
    words = [line.split(" ")[0] for line in run.console]
    assert "FAIL" not in words
    for check in ("timecounter_monotonic", "pvclock_vcpus_agree", "pvclock_tsc_freq", "pvclock_wall_clock",
                  "pvclock_reads"):
        assert f"PASS {check}" in run.console


def test_all_vcpus_come_up(run: Run, smp: int) -> None:
    assert f"SMP: {smp} of {smp} CPUs online" in run.console


# What it was given.


def test_each_vcpu_registers_once(run: Run, smp: int) -> None:
    assert sorted(event["vcpu"] for event in run.writes(msr.KVM_SYSTEM_TIME, msr.KVM_SYSTEM_TIME_OLD)) == list(
        range(smp))


def test_each_structure_is_filled_where_its_vcpu_says(run: Run, smp: int) -> None:
    """The register's value is the physical address with bit 0 set."""
    said = {event["vcpu"]: int(event["value"], 0) for event in run.writes(msr.KVM_SYSTEM_TIME)}
    filled = run.filled(PvclockTime.STRUCT)
    assert {event["vcpu"]: int(event["physical"], 0) | 1 for event in filled} == said
    assert len(filled) == len(set(said.values())) == smp
    assert all(bytes.fromhex(event["before"]) == ZERO != bytes.fromhex(event["after"]) for event in filled)


def test_who_registers_is_known(run: Run) -> None:
    for event in run.writes(msr.KVM_SYSTEM_TIME):
        assert event["function"] == "kvm_clock_system_time_enable"
        assert event["caller"]["function"].startswith("kvm_clock_system_time_enable_pcpu+")
    (wall,) = run.writes(msr.KVM_WALL_CLOCK)
    assert wall["caller"]["function"].startswith("pvclock_gettime+"), "called through a pointer in memory"


def test_all_vcpus_have_one_clock(run: Run, smp: int) -> None:
    structures = run.structures()
    assert len(structures) == smp and len(set(structures.values())) == 1, structures
    assert structures[0].flags == STABLE and structures[0].version == 2


def test_the_structures_say_the_announced_frequency(run: Run) -> None:
    leaves = run.leaf(0x40000010)
    assert len(leaves) == 2, "asked for the TSC's and for the bus's"
    hz = leaves[0]["eax"] * 1000
    assert leaves == [{"eax": hz // 1000, "ebx": 1_000_000, "ecx": 0, "edx": 0}] * 2
    assert abs((run.structures()[0].hz or 0) - hz) <= 2, "mul has 32 bits"
    assert run.number(r"TSC: P-state \w+, (\d+) Hz") == hz
    assert run.number(r"lapic0: timer frequency (\d+) Hz") == 500_000_000, "of QEMU's 1 GHz, divided by two"


def test_the_clock_began_with_the_machine(run: Run) -> None:
    """QEMU's TSC counts from 0 then, and an hour of its ticks is an hour of the clock."""
    first = run.structures()[0]
    assert first.hz is not None
    assert abs(first.ns(3600 * first.hz) - 3600 * 10 ** 9) < 100_000


def test_the_wall_clock_is_the_hosts(run: Run) -> None:
    """The guest adds its clock's time, which stands still while the guest does."""
    (event,) = run.filled(WallClock.STRUCT)
    wall = WallClock.unpack(bytes.fromhex(event["after"]))
    assert run.began - 1 < wall.sec + wall.nsec / 1e9 < run.ended
    assert run.began - 1 < run.number(r"kvmclock0: the time is (\d+\.\d+)") < run.ended + 1


def test_what_brings_the_clock_up_is_recorded(run: Run) -> None:
    hits = [event["function"] for event in run.trace.of_kind("hit")]
    wanted = ["kvm_clock_identify", "kvm_clock_attach", "pvclock_init", "tc_init", "kvm_clock_get_wallclock"]
    assert [name for name in dict.fromkeys(hits) if name in wanted] == wanted
    init = next(event for event in run.trace.of_kind("hit") if event["function"] == "pvclock_init")
    assert [(each["name"], each.get("text") or int(each["value"], 0)) for each in init["args"][2:4]] == [
        ("tc_name", "kvmclock"), ("tc_quality", 975)]


# kvmclock(4)'s two tunables.


@pytest.mark.parametrize(("cpu", "append", "vdso"), [
    ("max", "", "enabled, algorithm 3, stable mask 0x1"),
    ("max,-rdtscp", "", "disabled"),
    ("max,-rdtscp", "dev.kvmclock.0.vdso_enable_without_rdtscp=1", "enabled, algorithm 3, stable mask 0x1"),
    ("max", "dev.kvmclock.0.vdso_force_unstable=1", "enabled, algorithm 3, stable mask 0x0"),
], ids=["default", "no RDTSCP", "enable_without_rdtscp", "force_unstable"])
def test_tunables_decide_what_user_mode_may_do(lab: Lab, cpu: str, append: str, vdso: str) -> None:
    """FreeBSD's C library reads the clock by itself where the kernel lets it."""
    made = boot(lab, "--cpu", cpu, "--append", append, "--set", "watch=pvclock_tc_vdso_timehands")
    assert [line for line in made.console if line.startswith("vdso:")] == [f"vdso: timehands {vdso}"]
    (asked,) = made.trace.of_kind("hit")
    assert asked["function"] == "pvclock_tc_vdso_timehands"


# Settings.


def test_a_frequency_that_is_given(lab: Lab) -> None:
    made = boot(lab, "--set", "tsc_hz=2000000000")
    assert {leaf["eax"] for leaf in made.leaf(0x40000010)} == {2_000_000}
    assert abs((made.structures()[0].hz or 0) - 2_000_000_000) <= 2
    assert "as measured" not in made.done.out


@pytest.mark.parametrize(("features", "registers", "flags"), [
    ("0x1000009", (msr.KVM_SYSTEM_TIME, msr.KVM_WALL_CLOCK), STABLE),
    ("9", (msr.KVM_SYSTEM_TIME, msr.KVM_WALL_CLOCK), 0),
    ("1", (msr.KVM_SYSTEM_TIME_OLD, msr.KVM_WALL_CLOCK_OLD), 0),
], ids=["all", "not stable", "old registers"])
def test_features_choose_registers_and_flags(lab: Lab, features: str, registers: tuple[int, int], flags: int) -> None:
    made = boot(lab, "--set", f"features={features}", "--smp", "2")
    assert {leaf["eax"] for leaf in made.leaf(0x40000001)} == {int(features, 0)}
    assert {int(event["msr"], 0) for event in made.trace.of_kind("msr")} == set(registers)
    assert [structure.flags for structure in made.structures().values()] == [flags, flags]
    said = "supported" if flags else "not supported"
    assert f"kvmclock0: MSRs {registers[0]:#x} and {registers[1]:#x}, stable flag {said}" in made.console


def test_kvm_without_a_clock(lab: Lab) -> None:
    """Then the kernel asks for nothing more, and the TSC keeps time."""
    made = boot(lab, "--set", "features=0")
    assert made.trace.of_kind("msr") == [] and made.structures() == {}
    assert 'Timecounter "TSC" keeps time now' in made.console
    assert "KVM clock: no vCPU has registered" in made.done.out


def test_paused_is_a_flag(lab: Lab) -> None:
    assert boot(lab, "--set", "paused=yes").structures()[0].flags == STABLE | PAUSED


def test_under_icount_the_tsc_is_one_ghz(lab: Lab) -> None:
    made = boot(lab, "--icount", "shift=3,sleep=off", "--smp", "2")
    assert {leaf["eax"] for leaf in made.leaf(0x40000010)} == {1_000_000}
    assert [structure.hz for structure in made.structures().values()] == [1_000_000_000] * 2
    assert "KVM clock: a TSC of 1000.000 MHz\n" in made.done.out


def test_under_icount_the_day_is_virtual_too(lab: Lab, cprobe: Path) -> None:
    """Two boots are told the same time of day: that of the guest's RTC, not the host's. Their own times are left out:
    on a busy host QEMU's virtual clock may go a few ticks of a timer further while GDB has stopped the guest."""
    made = [boot(lab, "--icount", "shift=3,sleep=off", "--smp", "2", "--trace", name) for name in ("1", "2")]
    for name in ("1", "2"):
        wall, = [event["after"] for event in lab.read(name).of_kind("inject") if event["target"] == WallClock.STRUCT]
        assert WallClock.unpack(bytes.fromhex(wall)) == WallClock(2, 1577836800, 0)
    lab.command([str(cprobe), "diff", "--console", "text", "1", "2"]).expect(0)
    assert all("PASS pvclock_wall_clock" in each.console for each in made)


@pytest.mark.parametrize(("setting", "remedy"), [
    ("fault=nonsense", "fault=nonsense: expected one of odd (the version stays odd"),
    ("tsc_hz=1", "a TSC of 1 Hz: expected 1000 Hz to 4294967295 kHz"),
    ("tsc_hz=fast", "kvmclock wants a number here: the TSC's frequency"),
    ("paused=perhaps", "--set paused=perhaps"),
])
def test_a_bad_setting_is_refused(lab: Lab, setting: str, remedy: str) -> None:
    done = lab.run(lab.stock("kvmclock"), "--set", setting).expect(2)
    assert remedy in done.err and "Traceback" not in done.out + done.err, done
    assert not (lab.cwd / "kvmclock.trace.jsonl").exists()
    lab.expect_nothing_left()


# It keeps time.

#: The local APIC timer's registers; a divider of 8 makes 2^32 ticks of QEMU's 1 GHz last half a minute.
LAPIC_DIVIDE, BY_8, LAPIC_INITIAL = 0x3e0, 2, 0x380
#: A reading of both clocks may take so long, ns.
TOGETHER_NS = 3_000_000
WINDOW_S = 1.5


def countdown_ns(debugger: Gdb) -> int:
    """QEMU's virtual clock, as its local APIC timer counts it down, from any beginning."""
    found = re.search(r"\(divide by 8\) initial_count = 4294967295 current_count = (\d+)",
                      debugger.type("monitor info lapic"))
    assert found is not None and int(found[1]) > 0, found
    return (0xffffffff - int(found[1])) * 8


def both_clocks(debugger: Gdb) -> tuple[int, int]:
    """(virtual ns, the guest's ns by its own reader), at one moment. Both stand still while the guest does; what
    passes is what the guest needs for reading, and more where the machine is busy: then again."""
    for _ in range(50):
        before = countdown_ns(debugger)
        read = re.search(r"= (\d+)", debugger.type("print (unsigned long)pvclock_getsystime(kvm_clock_pvclock())"))
        after = countdown_ns(debugger)
        assert read is not None and before < after
        if after - before < TOGETHER_NS:
            return (before + after) // 2, int(read[1])
    pytest.fail("the guest's clock was never read quickly")


def test_the_guests_time_is_qemus_virtual_time(lab: Lab) -> None:
    """Within 1 %, between two moments that are far apart. QEMU computes the two differently: the TSC from the host's,
    the local APIC's timer from the host's monotonic clock; the frequency that was announced makes one of the other."""
    scenario = lab.scenario("clock", "scenario.kvm_clock()", 'scenario.until("spin at stage login")')
    with launcher(lab, "--append", "guest.fault=spin@login"), gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        assert 'passed: the console shows "spin at stage login"' in debugger.type(f"source {scenario}")
        for register, value in ((LAPIC_DIVIDE, BY_8), (LAPIC_INITIAL, 0xffffffff)):
            debugger.type(f"call lapic_write32((enum LAPIC_REGISTERS){register}, {value})")
        first = both_clocks(debugger)
        debugger.start("continue")
        time.sleep(WINDOW_S)
        debugger.interrupt()
        virtual, shown = (later - earlier for earlier, later in zip(first, both_clocks(debugger)))
    assert virtual > 0.9 * WINDOW_S * 1e9
    assert abs(shown / virtual - 1) < 0.01, (shown, virtual)


# Beside the real one.


@dataclass
class Pages:
    """What a guest has in its memory: each vCPU's structure, the wall clock, and its console."""

    times: list[bytes]
    wall: bytes
    console: str

    @property
    def decoded(self) -> list[PvclockTime]:
        return [PvclockTime.unpack(data) for data in self.times]

    def number(self, pattern: str) -> float:
        found = re.search(pattern, self.console, re.M)
        assert found is not None, self.console
        return float(found[1])


def physical(monitor: Qmp, address: int, size: int) -> bytes:
    said = monitor.execute("human-monitor-command", {"command-line": f"xp/{size}xb {address:#x}"})
    return bytes(int(word, 16) for word in re.findall(r"\b0x([0-9a-f]{2})\b", said or ""))


def steady(monitor: Qmp, address: int, size: int) -> bytes:
    """Read until nobody has written meanwhile, as KVM may at any time."""
    for _ in range(50):
        first, second = physical(monitor, address, size), physical(monitor, address, size)
        if first == second and len(first) == size:
            return first
    pytest.fail(f"{address:#x} never stands still")


@pytest.fixture(scope="module")
def pages(root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pages, Pages]:
    """Of the same guest with two vCPUs, at the same addresses: (under KVM, under the overlay)."""
    with open_lab(root, build, tmp_path_factory.mktemp("kvm")) as lab:
        kvm = ("--accel", "kvm", "--cpu", KVM_CPU, "--no-wait")
        probe = lab.command([str(root / "launch" / "microvm_debug.sh"), *kvm, "--append", "guest.fault=exit",
                             str(lab.kernel)])
        if probe.status != 33:
            pytest.skip(f"KVM does not run a guest here: {probe.err.strip().splitlines()[-1:]}")
        made = boot(lab, "--smp", "2")
        times = sorted(made.filled(PvclockTime.STRUCT), key=lambda event: int(event["vcpu"]))
        (wall,) = made.filled(WallClock.STRUCT)
        overlay = Pages([bytes.fromhex(event["after"]) for event in times], bytes.fromhex(wall["after"]),
                        "\n".join(made.console))
        with lab.waiting(*kvm, "--smp", "2", "--qmp", lab.runtime / "qmp", name="kvm") as process:
            wait_for("login under KVM", lambda: "login:" in lab.console("kvm"))
            monitor = Qmp(str(lab.runtime / "qmp"), time.monotonic() + 10, lambda: process.poll() is not None)
            try:
                real = Pages([steady(monitor, int(event["physical"], 0), PvclockTime.SIZE) for event in times],
                             steady(monitor, int(wall["physical"], 0), WallClock.SIZE), lab.console("kvm"))
            finally:
                monitor.close()
        return real, overlay


def test_kvm_and_overlay_have_the_same_layout(pages: tuple[Pages, Pages]) -> None:
    """Packed again it is what was read: the padding is 0. Flags are known ones; the version says that nobody writes."""
    for guest in pages:
        for data, decoded in zip(guest.times, guest.decoded):
            assert decoded.pack() == data, data.hex()
            assert decoded.version > 0 and not decoded.is_being_written
            assert decoded.flags & ~(STABLE | PAUSED) == 0


def test_kvm_and_overlay_scale_in_the_same_form(pages: tuple[Pages, Pages]) -> None:
    """mul fills its 32 bits, so that shift follows from the frequency. mul itself may differ in its last bits, as KVM
    measures the host's TSC on its own."""
    for guest in pages:
        assert all(decoded.mul >> 31 == 1 for decoded in guest.decoded), guest.decoded
    (shift,) = {decoded.shift for guest in pages for decoded in guest.decoded}
    assert -31 <= shift <= 0, "a TSC of 1 GHz or more"


def test_kvm_and_overlay_say_the_tscs_frequency(pages: tuple[Pages, Pages]) -> None:
    """Both guests count the host's TSC; each kernel's own value was told to it apart from the structure, by a leaf, or
    under a KVM that has no such leaf taken from it."""
    real, overlay = pages
    for guest in (real, overlay):
        told = guest.number(r"^TSC: P-state \w+, (\d+) Hz")
        assert all(abs((decoded.hz or 0) / told - 1) < 0.01 for decoded in guest.decoded)
    assert abs((overlay.decoded[0].hz or 0) / (real.decoded[0].hz or 1) - 1) < 0.01


def test_kvm_and_overlay_agree_across_vcpus(pages: tuple[Pages, Pages]) -> None:
    """Where the flag says so, one line through all vCPUs' moments: KVM takes a moment for each when it updates it, the
    overlay the same for all."""
    real, overlay = pages
    assert len({(decoded.tsc_timestamp, decoded.system_time) for decoded in overlay.decoded}) == 1
    for guest in (real, overlay):
        stable = {decoded.flags & STABLE for decoded in guest.decoded}
        assert len(stable) == 1
        if stable == {STABLE}:
            tsc = max(decoded.tsc_timestamp for decoded in guest.decoded)
            shown = [decoded.ns(tsc) for decoded in guest.decoded]
            assert max(shown) - min(shown) <= 1000, shown


def test_kvm_and_overlay_set_the_stable_flag(pages: tuple[Pages, Pages]) -> None:
    """The overlay always may. KVM does where its host itself keeps time by the TSC."""
    real, overlay = pages
    assert all(decoded.flags & STABLE for decoded in overlay.decoded)
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    if source != "tsc":
        pytest.skip(f"this host keeps time by {source}: its KVM promises nothing of all vCPUs")
    assert all(decoded.flags & STABLE for decoded in real.decoded)


def test_kvm_and_overlay_have_the_hosts_wall_clock(pages: tuple[Pages, Pages]) -> None:
    """It is the time at which the clock showed 0, so shortly before the kernel's look at it."""
    for guest in pages:
        wall = WallClock.unpack(guest.wall)
        assert wall.version > 0 and wall.version % 2 == 0 and wall.nsec < 10 ** 9
        seen = guest.number(r"^kvmclock0: the time is (\d+\.\d+)")
        assert 0 < seen - (wall.sec + wall.nsec / 1e9) < 10
        assert abs(seen - time.time()) < 60


def test_kvm_and_overlay_say_the_same_on_the_console(pages: tuple[Pages, Pages]) -> None:
    """The kernel makes the same of both."""
    lines = [[line for line in guest.console.splitlines() if "kvmclock" in line and "the time is" not in line]
             for guest in pages]
    assert len(lines[0]) >= 3 and lines[0] == lines[1]
