"""The project's scenarios on a kernel that nobody here wrote: Debian's cloud kernel, 588 MB with its debug data."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest
from labkit import Done, Lab, open_lab
from terminals import gdb, launcher

from bootsonde.host.identity import build_id
from bootsonde.model import msr
from bootsonde.model.pvclock import STABLE, PvclockTime
from bootsonde.model.trace import Trace

from .conftest import DEBIAN_APPEND, NO_ROOT

BOOT = ("--append", DEBIAN_APPEND, "--until", NO_ROOT)
#: Without tsc_early_khz: the clock tells this kernel the TSC's frequency. It learns of a second vCPU by ACPI alone.
KVMCLOCK_BOOT = ("--append", "console=ttyS0 nokaslr", "--until", NO_ROOT)
SMP = {1: (), 2: ("--smp", "2", "--machine", "acpi=on")}
ALSO = "tsc_init,native_calibrate_*,setup_local_APIC,native_cpuid,lapic_init"


@dataclass
class Run:
    """A run that several tests look at."""

    done: Done
    trace: Trace

    def functions(self) -> set[str]:
        return {event["function"] for event in self.trace.of_kind("hit")}

    @property
    def console(self) -> list[str]:
        """Without the kernel's time before each line."""
        return [re.sub(r"^\[ *\d+\.\d+\] ", "", event["text"]) for event in self.trace.of_kind("console")]


def boot(lab: Lab, scenario: str, *words: str | Path) -> Run:
    done = lab.run(lab.stock(scenario), *BOOT, *words)
    return Run(done, lab.trace(scenario))


@pytest.fixture(scope="module")
def pvclock(root: Path, build: Path, debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with open_lab(root, build, tmp_path_factory.mktemp("pvclock")) as lab:
        yield boot(lab, "pvclock", "--kernel", debian / "vmlinux", "--set", f"also={ALSO}", "--set", "limit=3")


@pytest.fixture(scope="module")
def cpuid(root: Path, build: Path, debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with open_lab(root, build, tmp_path_factory.mktemp("cpuid")) as lab:
        yield boot(lab, "cpuid", "--kernel", debian / "vmlinux", "--set", "limit=8")


@pytest.fixture(scope="module", params=[1, 2], ids=lambda smp: f"{smp} vCPU")
def smp(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def kvmclock(smp: int, root: Path, build: Path, debian: Path, tmp_path_factory: pytest.TempPathFactory
             ) -> Iterator[Run]:
    with open_lab(root, build, tmp_path_factory.mktemp("kvmclock")) as lab:
        done = lab.run(lab.stock("kvmclock"), "--kernel", debian / "vmlinux", *KVMCLOCK_BOOT, *SMP[smp]).expect(0)
        yield Run(done, lab.trace("kvmclock"))


def test_pvclock_passes(pvclock: Run) -> None:
    pvclock.done.expect(0)
    assert pvclock.trace.end is not None and pvclock.trace.end["outcome"] == "passed"


@pytest.mark.parametrize("function", ["native_cpuid", "tsc_init", "setup_local_APIC", "native_calibrate_cpu_early"])
def test_clock_bring_up_is_hit(pvclock: Run, function: str) -> None:
    assert function in pvclock.functions()


def test_hits_come_with_file_line_and_caller(pvclock: Run) -> None:
    (hit,) = [event for event in pvclock.trace.of_kind("hit") if event["function"] == "tsc_init"]
    assert hit["file"].endswith("arch/x86/kernel/tsc.c") and hit["line"] > 1000
    assert hit["caller"]["function"].startswith("x86_late_time_init+")


def test_every_pvclock_function_is_never_hit(pvclock: Run) -> None:
    """Under TCG there is no KVM clock; inlined copies count too."""
    out = pvclock.done.out
    never = out[out.index("pvclock.c: 0 of "):].partition("the clock bring-up")[0]
    for name in ("pvclock_clocksource_read", "pvclock_read_wallclock", "pvclock_tsc_khz", "pvclock_resume",
                 "pvclock_set_pvti_cpu0_va", "pvclock_get_pvti_cpu0_va", "pvclock_read_flags"):
        assert name in never, never
    assert not any(name.startswith("pvclock_") for name in pvclock.functions())


def test_the_missing_check_and_its_substitute_are_named(pvclock: Run) -> None:
    assert 'this kernel has not the check that guards "TSC not initialized"; nor has it lapic_init' in pvclock.done.out


def test_the_console_is_in_the_trace(pvclock: Run) -> None:
    lines = [event["text"] for event in pvclock.trace.of_kind("console")]
    assert any("Linux version 6.1" in line for line in lines)


def test_cpuid_watches_the_hypervisors_leaves(cpuid: Run) -> None:
    cpuid.done.expect(0)
    first = cpuid.trace.of_kind("cpuid")[0]
    assert (first["leaf"], first["function"]) == ("0x40000000", "native_cpuid")
    assert not first.get("injected")
    assert 'vendor "TCGTCGTCGTCG"' in cpuid.done.out


def test_cpuid_of_assembly_is_watched_too(cpuid: Run) -> None:
    assert "secondary_startup_64" in {event["function"] for event in cpuid.trace.of_kind("cpuid")}


def test_bzimage_with_the_symbols_of_vmlinux(lab: Lab, debian: Path) -> None:
    """vmlinuz unpacks itself: whether it is that vmlinux shows only at the first hit."""
    run = boot(lab, "pvclock", "--kernel", debian / "vmlinuz", "--symbols", debian / "vmlinux",
               "--set", "also=tsc_init")
    run.done.expect(0)
    assert run.functions() == {"tsc_init"}
    assert run.trace.header["kernel"]["name"] == "vmlinuz"
    assert run.trace.header["kernel"]["build-id"] == build_id(str(lab.build / "cprobe" / "cprobe"),
                                                              str(debian / "vmlinux")) is not None


@pytest.mark.parametrize("image", ["vmlinuz", "vmlinux"])
def test_symbols_of_another_kernel_are_told(lab: Lab, debian: Path, image: str) -> None:
    """Nothing of that kernel is hit, nor is anything of it in memory."""
    done = lab.run(lab.stock("pvclock"), "--append", DEBIAN_APPEND, "--until", "Linux version", "--kernel",
                   debian / image, "--symbols", lab.kernel)
    assert list(lab.trace("pvclock").of_kind("hit")) == []
    assert f"nothing of {lab.kernel} was seen in the guest's memory" in done.out


def test_panic_is_failed_at_once(lab: Lab, debian: Path) -> None:
    done = lab.run(lab.stock("pvclock"), "--kernel", debian / "vmlinux", "--append", DEBIAN_APPEND, "--timeout", "35",
                   "--set", "also=tsc_init")
    done.expect(1)
    assert "VFS: Unable to mount root fs" in done.err
    assert done.seconds < 30
    lab.expect_nothing_left()


def test_two_vcpus(lab: Lab, debian: Path) -> None:
    """setup_local_APIC runs on each. This kernel reads no MP table, so it learns of the second one by ACPI."""
    run = boot(lab, "pvclock", "--kernel", debian / "vmlinux", "--smp", "2", "--machine", "acpi=on",
               "--set", "also=setup_local_APIC")
    run.done.expect(0)
    hits = [event["vcpu"] for event in run.trace.of_kind("hit") if event["function"] == "setup_local_APIC"]
    assert sorted(hits) == [0, 1]


# A KVM clock under plain TCG.


@pytest.mark.parametrize("line", ["Hypervisor detected: KVM", "kvm-clock: Using msrs 4b564d01 and 4b564d00",
                                  "Booting paravirtualized kernel on KVM",
                                  "clocksource: Switched to clocksource kvm-clock"])
def test_kvmclock_is_believed_in(kvmclock: Run, line: str) -> None:
    assert kvmclock.console.count(line) == 1


def test_kvmclock_reaches_the_end_of_the_boot(kvmclock: Run) -> None:
    assert f'passed: the console shows "{NO_ROOT}"' in kvmclock.done.out
    assert not any("clocksource: Marking" in line and "kvm-clock" in line for line in kvmclock.console)


def test_kvmclock_tells_the_tscs_frequency(kvmclock: Run) -> None:
    """This kernel takes it from the structure, and asks no leaf."""
    announced = re.search(r"KVM clock: a TSC of (\d+\.\d+) MHz, as measured", kvmclock.done.out)
    (detected,) = [line.split()[2] for line in kvmclock.console if line.startswith("tsc: Detected ")]
    assert announced is not None and abs(float(announced[1]) - float(detected)) < 0.0015
    assert "never asked for: cpuid 0x40000010" in kvmclock.done.out
    assert not any("calibration" in line for line in kvmclock.console)


def test_kvmclock_is_registered_by_each_vcpu(kvmclock: Run, smp: int) -> None:
    writes = [event for event in kvmclock.trace.of_kind("msr") if int(event["msr"], 0) == msr.KVM_SYSTEM_TIME]
    filled = [event for event in kvmclock.trace.of_kind("inject") if event["target"] == PvclockTime.STRUCT]
    assert [event["vcpu"] for event in writes] == [event["vcpu"] for event in filled] == list(range(smp))
    assert [int(event["value"], 0) for event in writes] == [int(event["physical"], 0) | 1 for event in filled]
    (structure,) = {PvclockTime.unpack(bytes.fromhex(event["after"])) for event in filled}
    assert structure.flags == STABLE and structure.version == 2


def test_kvmclock_knows_who_asks_through_a_helper(kvmclock: Run) -> None:
    """All accesses are native_write_msr's own; whom it is called by tells them apart."""
    callers = {(int(event["msr"], 0), event["function"], event["caller"]["function"].partition("+")[0])
               for event in kvmclock.trace.of_kind("msr")}
    assert callers == {(msr.KVM_SYSTEM_TIME, "native_write_msr", "kvm_register_clock"),
                       (msr.KVM_WALL_CLOCK, "native_write_msr", "kvm_get_wallclock")}


def test_kvmclock_finds_the_signature_by_a_helper(kvmclock: Run) -> None:
    asked = [event for event in kvmclock.trace.of_kind("cpuid") if int(event["leaf"], 0) == 0x40000000]
    assert {event["function"] for event in asked} == {"native_cpuid"}
    assert {tuple(event["values"].values()) for event in asked} == {
        ("0x40000010", "0x4b4d564b", "0x564b4d56", "0x4d")}


@pytest.mark.long
def test_prompt_with_symbols(lab: Lab, debian: Path) -> None:
    """At the first hit GDB has the kernel's symbols, read just then."""
    debugger = pexpect.spawn(lab.words("run")[0], ["run", str(lab.stock("pvclock")), "--prompt", "--kernel",
                             str(debian / "vmlinux"), "--append", DEBIAN_APPEND, "--set", "also=tsc_init"],
                             cwd=str(lab.cwd), env={**lab.environment, "TERM": "dumb"}, encoding="utf-8", timeout=60)
    with contextlib.closing(debugger):
        debugger.expect_exact("(gdb) ")
        for command, answer in (("bt 2", "x86_late_time_init"), ("p tsc_khz", r"\$1 = \d+"),
                                ("info symbol tsc_init", "tsc_init in section .init.text")):
            debugger.sendline(command)
            debugger.expect(answer)
            debugger.expect_exact("(gdb) ")
        debugger.sendline("set confirm off")
        debugger.sendline("quit")
        debugger.expect(pexpect.EOF)


def test_a_stopped_vcpu_is_asked_and_the_boot_goes_on(lab: Lab, debian: Path) -> None:
    scenario = lab.scenario("ask", 'scenario.at(Functions("tsc_init"))', f"scenario.until({NO_ROOT!r})")
    with launcher(lab, "--append", DEBIAN_APPEND, "--smp", "2", kernel=debian / "vmlinux"), gdb(lab) as debugger:
        debugger.type("source " + str(lab.root / "gdb" / "commands.py"))
        debugger.type("set bootsonde-symbols-at-prompt never")
        assert "cpu0 tsc_init()" in debugger.type(f"source {scenario}")
        before = debugger.type("info registers")
        assert 'vendor "TCGTCGTCGTCG": QEMU TCG' in debugger.type("bootsonde cpuid 0x40000000")
        assert re.search(r"IA32_EFER: 0x[0-9a-f]+\n  bits: SCE LME LMA NXE", debugger.type("bootsonde rdmsr IA32_EFER"))
        # It has set its local APIC up long before.
        lapic = debugger.type("bootsonde lapic")
        assert "xAPIC\n  bootstrap processor\n  id 0x0, version 0x14" in lapic and "SVR 0x1ff: enabled" in lapic, lapic
        assert "LVT error: vector 0xfe, not masked" in lapic and "DFR 0xffffffff: flat" in lapic, lapic
        assert debugger.type("info registers") == before
        said = debugger.type("bootsonde go")
        assert f'passed: the console shows "{NO_ROOT}"' in said and "tsc_init 1" in said, said


def test_who_writes_tsc_khz(lab: Lab, debian: Path) -> None:
    """This kernel keeps no frame pointers: its callers are found by the calls in front of return addresses."""
    run = boot(lab, "watch", "--kernel", debian / "vmlinux", "--set", "names=tsc_khz,boot_cpu_data.x86_model")
    run.done.expect(0)
    (event,) = [event for event in run.trace.of_kind("watch") if event["target"] == "tsc_khz"]
    assert (event["function"], event["before"], event["after"]) == (
        "determine_cpu_tsc_frequencies", "0x0", f"{2000000:#x}")
    assert event["file"].endswith("arch/x86/kernel/tsc.c") and event["instruction"].startswith("mov %eax,")
    certain = [each["function"].split("+")[0] for each in event["callers"] if not each.get("guess")]
    assert certain == ["tsc_early_init", "setup_arch", "start_kernel"]
    models = [event for event in run.trace.of_kind("watch") if event["target"] == "boot_cpu_data.x86_model"]
    assert [event["function"] for event in models] == ["cpu_detect", "identify_cpu", "cpu_detect"]
    assert [event["caller"]["function"].split("+")[0] for event in models] == [
        "early_cpu_init", "identify_boot_cpu", "identify_cpu"]


def test_who_counts_jiffies(lab: Lab, debian: Path) -> None:
    """By an interrupt: its handlers are called through pointers, some of them."""
    run = boot(lab, "watch", "--kernel", debian / "vmlinux", "--smp", "2", "--machine", "acpi=on", "--set",
               "names=jiffies_64", "--set", "limit=3")
    run.done.expect(0)
    for event in run.trace.of_kind("watch"):
        assert event["function"] == "do_timer"
        assert int(event["after"], 16) == int(event["before"], 16) + 1
        assert event["callers"][0]["function"].startswith("tick_")


def test_a_fault_takes_the_kernels_way_out(lab: Lab, debian: Path) -> None:
    """rdmsrl_safe has a fixup; rdmsrl and wrmsrl tell what they find in ecx, edx and eax. All go on."""
    scenario = lab.scenario("faults", 'scenario.msr("IA32_BIOS_SIGN_ID: read fault", "IA32_MTRRCAP: read fault")',
                            'scenario.msr("IA32_FMASK: write fault")', f"scenario.until({NO_ROOT!r})")
    done = lab.run(scenario, "--kernel", debian / "vmlinux", "--append", DEBIAN_APPEND, "--echo").expect(0)
    assert re.search(r"unchecked MSR access error: RDMSR from 0xfe at rIP: 0xffffffff[0-9a-f]+ \(native_read_msr\+",
                     done.out)
    assert "RDMSR from 0x8b" not in done.out
    events = [event for event in lab.trace("faults").of_kind("msr") if event.get("overlay")]
    (written,) = [event["value"] for event in events if event["access"] == "write"]
    assert f"WRMSR to 0xc0000084 (tried to write {int(written, 0):#018x})" in done.out
    assert all(event["faulted"] for event in events)
    assert {event["function"] for event in events if event["msr"] == "0x8b"} == {"native_read_msr_safe"}
    assert any(event["caller"]["function"].startswith("early_init_amd+") for event in events)
