"""The same boot, the same hits, whatever the versions of QEMU and GDB."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pexpect
import pytest
import terminals
from fetched import fetched
from labkit import Lab
from terminals import launcher

from bootsonde.model.pvclock import STABLE, PvclockTime
from bootsonde.model.trace import Trace

from .conftest import Column, version

#: What the reference guest calls on its way to login with tsc_freq injected, in this order, by any version.
PVCLOCK_HITS = [
    "tsc_init", "probe_tsc_freq", "tsc_freq_cpuid_vm", "tsc_freq_cpuid", "tsc_freq_8254", "lapic_init", "lapic_init",
    "kvm_clock_identify", "tsc_calibrate", "lapic_calibrate_timer", "lapic_calibrate_initcount",
    "lapic_calibrate_initcount_cpuid_vm", "clockcalib", "lapic_calibrate_slow", "tc_init", "kvm_clock_pvclock"]


def essence(trace: Trace, kind: str, *keys: str) -> list[Any]:
    """Of each event of a kind only what does not depend on the moment."""
    return [tuple(event.get(key) for key in keys) for event in trace.of_kind(kind)]


def test_columns_are_what_they_say(column: Column, request: pytest.FixtureRequest) -> None:
    """Else the others would test one version four times."""
    name = request.node.callspec.params["column"]
    qemu, gdb = version(column.qemu), version(column.gdb)
    assert ("version 10." in qemu) or "qemu10" not in name, qemu
    assert re.search(r"\b16\.\d", gdb) or "gdb16" not in name, gdb


def test_pvclock(lab: Lab, column: Column) -> None:
    lab.run(lab.stock("pvclock"), **column.environment).expect(0)
    trace = lab.trace("pvclock")
    assert [function for function, in essence(trace, "hit", "function")] == PVCLOCK_HITS
    assert essence(trace, "inject", "target", "before", "after") == [("tsc_freq", "0x0", "0x3b9aca00")]
    assert trace.end is not None and trace.end["outcome"] == "passed"
    lab.expect_nothing_left()


def test_hits_have_callers_and_arguments(lab: Lab, column: Column) -> None:
    lab.run(lab.stock("pvclock"), **column.environment).expect(0)
    (hit,) = [event for event in lab.trace("pvclock").of_kind("hit") if event["function"] == "clockcalib"]
    assert hit["args"][1]["text"] == "lapic"
    assert hit["caller"]["function"].startswith("lapic_calibrate_initcount+")
    assert (hit["vcpu"], hit["file"].rsplit("/", 1)[-1]) == (0, "subr_clockcalib.c")


@pytest.mark.parametrize("column", ["own", pytest.param("qemu10", marks=pytest.mark.long),
                                    pytest.param("gdb16", marks=pytest.mark.long),
                                    pytest.param("qemu10-gdb16", marks=pytest.mark.long)], indirect=True)
def test_detour(lab: Lab, column: Column) -> None:
    """Two vCPUs: each registers its clock, and asks by the same instruction."""
    append = "console=ttyS0 nokaslr tsc_early_khz=2000000"
    done = lab.run(lab.stock("kvmclock"), "--kernel", fetched("debian-kernel") / "vmlinux", "--append", append,
                   "--until", "Unable to mount root", "--smp", "2", "--machine", "acpi=on",
                   **column.environment).expect(0)
    trace = lab.trace("kvmclock")
    assert "cpuid in native_cpuid: detoured" in done.out
    cave, hop, site = [event for event in trace.of_kind("inject") if event["target"] == "code"]
    assert (set(cave["before"]), hop["after"][:2], site["before"], site["after"][:2]) == ({"c"}, "e9", "0fa2", "eb")
    told = [event for event in trace.of_kind("cpuid") if event["seq"] > site["seq"]]
    assert {(event["leaf"], event["address"]) for event in told} == {
        (leaf, site["address"]) for leaf in ("0x40000000", "0x40000001")}
    assert len([event for event in trace.of_kind("inject") if event["target"] == PvclockTime.STRUCT]) == 2


def test_cpuid(lab: Lab, column: Column) -> None:
    done = lab.run(lab.stock("cpuid"), **column.environment).expect(0)
    trace = lab.trace("cpuid")
    assert essence(trace, "inject", "target", "after") == [
        ("hv_high", "0x40000010"), ("rax", "0x40000000"), ("rcx", "0x0")]
    assert essence(trace, "cpuid", "leaf", "values") == [
        ("0x40000000", {"eax": "0x40000001", "ebx": "0x54474354", "ecx": "0x43544743", "edx": "0x47435447"})]
    assert 'vendor "TCGTCGTCGTCG": QEMU TCG' in done.out


def test_watch(lab: Lab, column: Column) -> None:
    """Set before paging. Only newer QEMUs have x2APIC under TCG."""
    lab.run(lab.stock("watch"), "--append", "guest.i8254=1 hw.x2apic_enable=1", **column.environment).expect(0)
    events = lab.trace("watch").of_kind("watch")
    writers = [(event["target"], event["function"], event["callers"][0]["function"].split("+")[0]) for event in events]
    x2apic = [("x2apic_mode", "native_lapic_enable_x2apic", "lapic_init")] if "10." in version(column.qemu) else []
    assert writers == [
        ("tsc_freq", "tsc_freq_8254", "probe_tsc_freq"), *x2apic, ("timecounter", "tc_init", "attimer_attach"),
        ("tsc_freq", "tsc_freq_changed", "tsc_calibrate"), ("timecounter", "tc_init", "init_TSC_tc")]
    assert [event["before"] for event in events if event["target"] == "tsc_freq"][0] == "0x0"


def test_injection(lab: Lab, column: Column) -> None:
    """Parts of registers and variables, physical memory, a skipped instruction."""
    lab.environment.update(column.environment)
    with launcher(lab), terminals.gdb(lab) as debugger:
        debugger.type(f"source {lab.stock('pvclock')}")
        debugger.type("set $rax = 0x1122334455667788")
        debugger.type("set $place = (long)&tsc_freq - 0xffffffff80000000")
        said = debugger.type("bootsonde inject $ah=0x5a timeinfos[1].tsc_shift=-1 phys:$place:8=77")
        assert "injected rax = 0x1122334455665a88" in said and "tsc_shift = 0xff (-1)" in said, said
        assert "= 77" in debugger.type("p tsc_freq")
        assert "  skipped " in debugger.type("bootsonde skip")


def test_kvmclock(lab: Lab, column: Column) -> None:
    """The overlay answers, steps and fills in as it does with the oldest versions, on two vCPUs."""
    lab.run(lab.stock("kvmclock"), "--smp", "2", **column.environment).expect(0)
    trace = lab.trace("kvmclock")
    console = [text for text, in essence(trace, "console", "text")]
    assert 'Timecounter "kvmclock" keeps time now' in console and "PASS pvclock_vcpus_agree" in console
    assert essence(trace, "cpuid", "function", "leaf") == [
        ("identify_hypervisor", "0x40000000"), ("tsc_freq_cpuid_vm", "0x40000010"),
        ("kvm_clock_identify", "0x40000001"), ("kvm_clock_attach", "0x40000001"),
        ("lapic_calibrate_initcount_cpuid_vm", "0x40000010")]
    assert sorted(essence(trace, "msr", "msr", "vcpu")) == [
        ("0x4b564d00", 0), ("0x4b564d01", 0), ("0x4b564d01", 1)]
    filled = [event for event in trace.of_kind("inject") if event["target"] == PvclockTime.STRUCT]
    (structure,) = {PvclockTime.unpack(bytes.fromhex(event["after"])) for event in filled}
    assert (structure.version, structure.flags, len(filled)) == (2, STABLE, 2)
    lab.expect_nothing_left()


def test_kvmclock_under_icount(lab: Lab, column: Column) -> None:
    """There the processor is asked for its own answers in the middle of the boot, and not at reset."""
    done = lab.run(lab.stock("kvmclock"), "--icount", "shift=3,sleep=off", **column.environment).expect(0)
    assert "KVM clock: a TSC of 1000.000 MHz\n" in done.out
    assert ("TSC: P-state variant, 1000000000 Hz",) in essence(lab.trace("kvmclock"), "console", "text")


def test_four_vcpus(lab: Lab, column: Column) -> None:
    scenario = lab.scenario("smp", 'scenario.at(Functions("init_secondary"))',
                            'scenario.at(Check("TSC not initialized")).inject(tsc_freq=1000000000)',
                            'scenario.until("login:")')
    lab.run(scenario, "--smp", "4", **column.environment).expect(0)
    started = [event["vcpu"] for event in lab.trace("smp").of_kind("hit") if event["function"] == "init_secondary"]
    assert sorted(started) == [1, 2, 3]


def test_panic_is_failed(lab: Lab, column: Column) -> None:
    scenario = lab.scenario("panics", 'scenario.at(Functions("tsc_init"))')
    done = lab.run(scenario, **column.environment).expect(1)
    assert "panic: TSC not initialized" in done.err and done.seconds < 10
    lab.expect_nothing_left()


def test_version_is_in_the_trace(lab: Lab, column: Column) -> None:
    lab.run(lab.stock("cpuid"), **column.environment).expect(0)
    assert lab.trace("cpuid").header["qemu"]["version"] in version(column.qemu)


def test_prompt(lab: Lab, column: Column) -> None:
    """As a person does it: source, look, go on, read the summary."""
    lab.environment.update(column.environment, TERM="dumb")
    with lab.waiting("--smp", "2", name="w"):
        debugger = pexpect.spawn(column.gdb, ["-q", "-nx"], cwd=str(lab.cwd), encoding="utf-8", timeout=20,
                                 env=lab.environment, dimensions=(50, 200))
        with contextlib.closing(debugger):
            def type(command: str) -> None:
                debugger.expect_exact("(gdb) ")
                debugger.sendline(command)
                debugger.expect_exact(command)

            type("set pagination off")
            type(f"source {lab.stock('pvclock')}")
            debugger.expect_exact("cpu0 tsc_init()")
            type("bt")
            debugger.expect(r"#0 +(0x\w+ in )?tsc_init .*#1 .*hammer_time")
            type("p tsc_freq")
            debugger.expect(r"\$1 = 0\b")
            type("list tsc_init")
            debugger.expect_exact("tsc_init(void)")
            type("bootsonde go")
            debugger.expect_exact("injected tsc_freq = 0x3b9aca00")
            debugger.expect_exact("pvclock.c: 0 of 15 hit")
            debugger.expect_exact('passed: the console shows "login:"')
            type("p tsc_freq")
            debugger.expect(r"\$\d+ = \d{6,}")
            type("set confirm off")
            type("quit")
            debugger.expect(pexpect.EOF)
    trace = lab.trace("pvclock")
    assert [function for function, in essence(trace, "hit", "function")] == PVCLOCK_HITS


def test_a_stopped_vcpu_is_asked(lab: Lab, column: Column) -> None:
    """In real mode and in the kernel; the breakpoint at which it stands counts once."""
    lab.environment.update(column.environment)
    with launcher(lab), terminals.gdb(lab) as debugger:
        debugger.type(f"source {lab.root / 'gdb' / 'commands.py'}")
        debugger.type("bootsonde attach")
        before = debugger.type("info registers")
        assert 'vendor "TCGTCGTCGTCG"' in debugger.type("bootsonde cpuid 0x40000000")
        assert "lapic of vCPU 0, by QEMU's monitor" in debugger.type("bootsonde lapic")
        assert debugger.type("info registers") == before
        debugger.type(f"source {lab.stock('pvclock')}")
        before = debugger.type("info registers")
        assert "bits: LME LMA" in debugger.type("bootsonde rdmsr IA32_EFER")
        assert "id 0x0, version 0x14, max LVT entry 5" in debugger.type("bootsonde lapic")
        assert 'timecounter "dummy", 1000000 Hz' in debugger.type("p *timecounter")
        assert "ud2 faulted" in debugger.type(
            r"python from bootsonde.session import ondemand; ondemand.execute('ud2', b'\x0f\x0b', {}, ())")
        # x2APIC's registers outside of its mode: QEMU 10 has them fault, as processors do; 7.2 reads 0.
        said = debugger.type("bootsonde rdmsr 0x830")
        assert ("rdmsr faulted on vCPU 0" if "version 10." in version(column.qemu) else "ICR: 0x0") in said
        assert debugger.type("info registers") == before
        assert "tsc_init 1," in debugger.type("bootsonde go")


def test_plugin(lab: Lab, qemu: str) -> None:
    """Each version of QEMU takes the plugin, whose API version it checks, and sees what GDB sees."""
    scenario = lab.scenario("both", "scenario.at(Functions(file='tsc.c', inlined='exclude'))",
                            "scenario.until('login:')")
    listed, out = lab.cwd / "list", lab.cwd / "plugin.trace"
    listed.write_text(lab.command([str(lab.build / "cprobe" / "cprobe"), "list", str(lab.kernel), "--file", "tsc.c",
                                   "--inlined", "exclude"]).expect(0).out)
    plugin = lab.build / "cprobe" / "tcg" / "bootsonde-tcg.so"
    lab.run(scenario, "--append", "guest.i8254=1", "--plugin", f"{plugin},list={listed},out={out}",
            QEMU=qemu).expect(0)
    trace = lab.read(out.name)
    seen = essence(lab.trace("both"), "hit", "function", "vcpu")
    assert essence(trace, "hit", "function", "vcpu")[:len(seen)] == seen != []
    assert trace.end is not None
