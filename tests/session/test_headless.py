"""`bootsonde run` on the reference guest: what it records, what it refuses, how its options reach the guest."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootsonde.model.trace import Trace

from labkit import WATCH, Done, Lab, open_lab

PVCLOCK = {"pvclock_resume", "pvclock_tsc_freq", "pvclock_read_time_info", "pvclock_read_wall_clock",
           "pvclock_getsystime", "pvclock_get_timecount", "pvclock_get_wallclock", "pvclock_cdev_open",
           "pvclock_cdev_mmap", "pvclock_tc_get_timecount", "pvclock_tc_vdso_timehands", "pvclock_gettime",
           "pvclock_init", "pvclock_destroy", "pvclock_scale_delta"}
#: A guest that comes to login by itself.
BOOTS = ("--append", "guest.i8254=1")


def hits(trace: Trace) -> list[str]:
    return [event["function"] for event in trace.of_kind("hit")]


def seq(trace: Trace, kind: str, **values: object) -> int:
    """The place in the trace of the one event with these values."""
    found = [event["seq"] for event in trace.of_kind(kind) if all(event.get(k) == v for k, v in values.items())]
    assert len(found) == 1, (kind, values, found)
    return int(found[0])


# The main job: the pvclock scenario.


@dataclass
class Run:
    lab: Lab
    done: Done
    trace: Trace


@pytest.fixture(scope="module")
def pvclock(root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with open_lab(root, build, tmp_path_factory.mktemp("pvclock")) as lab:
        done = lab.run(lab.stock("pvclock"), "--smp", "2").expect(0)
        lab.expect_nothing_left()
        yield Run(lab, done, lab.trace("pvclock"))


def test_passes_at_login(pvclock: Run) -> None:
    assert pvclock.done.err == ""
    assert 'bootsonde: passed: the console shows "login:"' in pvclock.done.out
    assert pvclock.done.seconds < 10


def test_default_kernel_is_announced_first(pvclock: Run) -> None:
    assert pvclock.done.out.splitlines()[0] == f"bootsonde: kernel {pvclock.lab.kernel} (the reference guest)"


def test_trace_header_names_kernel_and_qemu(pvclock: Run) -> None:
    header, kernel = pvclock.trace.header, pvclock.lab.kernel
    sha256 = subprocess.run(["sha256sum", kernel], capture_output=True, text=True, timeout=10, check=True).stdout
    notes = subprocess.run(["readelf", "-n", kernel], capture_output=True, text=True, timeout=10, check=True).stdout
    build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)
    assert build_id is not None
    assert header["format"] == "bootsonde-trace"
    assert header["kernel"] == {"name": "clockguest", "build-id": build_id.group(1), "sha256": sha256.split()[0]}
    assert re.fullmatch(r"\d+\.\d+\.\d+", header["qemu"]["version"])
    arguments = header["qemu"]["arguments"]
    assert str(kernel) in arguments and arguments[arguments.index("-smp") + 1] == "2"
    assert header["scenario"]["name"] == "pvclock" and header["scenario"]["until"] == ["login:"]
    assert header["clock"] == "host"


def test_hits_come_in_boot_order(pvclock: Run) -> None:
    wanted = ["tsc_init", "probe_tsc_freq", "tsc_freq_cpuid_vm", "lapic_init", "kvm_clock_identify", "tsc_calibrate",
              "lapic_calibrate_timer", "clockcalib", "lapic_calibrate_slow", "tc_init"]
    assert [name for name in hits(pvclock.trace) if name in wanted and name != "lapic_init"] == \
        [name for name in wanted if name != "lapic_init"]
    places = [(e["function"], e["place"]) for e in pvclock.trace.of_kind("hit")]
    assert places.index(("lapic_init", "function")) < places.index(("lapic_init", "check"))


def test_hit_knows_caller_arguments_and_line(pvclock: Run) -> None:
    hit = next(event for event in pvclock.trace.of_kind("hit") if event["function"] == "clockcalib")
    assert hit["caller"]["function"].startswith("lapic_calibrate_initcount+")
    assert hit["caller"]["file"].endswith("local_apic.c")
    assert [(a["name"], a.get("text")) for a in hit["args"]] == [("clk", None), ("clkname", "lapic")]
    assert hit["file"].endswith("subr_clockcalib.c") and hit["line"] > 0 and hit["vcpu"] == 0


def test_frequency_is_injected_where_it_is_checked(pvclock: Run) -> None:
    (inject,) = pvclock.trace.of_kind("inject")
    assert (inject["function"], inject["target"]) == ("lapic_init", "tsc_freq")
    assert (int(inject["before"], 0), int(inject["after"], 0)) == (0, 1_000_000_000)


def test_console_lines_stand_where_they_were_printed(pvclock: Run) -> None:
    trace = pvclock.trace
    hypervisor = next(e for e in trace.of_kind("console") if e["text"].startswith("Hypervisor: Origin"))
    slow = next(e for e in trace.of_kind("console") if e["text"].startswith("Falling back to slow"))
    assert hypervisor["seq"] < seq(trace, "hit", function="tsc_init")
    assert seq(trace, "hit", function="clockcalib") < slow["seq"] < seq(trace, "hit", function="lapic_calibrate_slow")


def test_events_are_numbered_and_times_never_go_back(pvclock: Run) -> None:
    events = pvclock.trace.events
    assert [event["seq"] for event in events] == list(range(len(events)))
    by_vcpu = [event["t"] for event in events if event["kind"] != "console"]
    assert by_vcpu == sorted(by_vcpu) and by_vcpu[0] > 0


def test_trace_ends_with_the_outcome(pvclock: Run) -> None:
    end = pvclock.trace.end
    assert end is not None and not pvclock.trace.cut
    assert (end["outcome"], end["reason"]) == ("passed", 'the console shows "login:"')


def test_no_pvclock_function_is_hit_under_tcg(pvclock: Run) -> None:
    summary = re.search(r"pvclock\.c: 0 of 15 hit\n  never: ((?:.|\n {9})*)", pvclock.done.out)
    assert summary is not None, pvclock.done.out
    assert set(re.split(r",\s+", summary.group(1).strip())) == PVCLOCK
    assert not PVCLOCK & set(hits(pvclock.trace))


@pytest.mark.parametrize("smp", ["1", "4"])
def test_any_number_of_vcpus(lab: Lab, smp: str) -> None:
    lab.run(lab.stock("pvclock"), "--smp", smp).expect(0)
    online = [event["text"] for event in lab.trace("pvclock").of_kind("console") if "CPUs online" in event["text"]]
    assert online == [f"SMP: {smp} of {smp} CPUs online"]


@pytest.mark.parametrize("form", ["whole", "split"])
def test_whole_and_split_kernel_give_the_same_hits(lab: Lab, pvclock: Run, form: str) -> None:
    """Split by strip --strip-all: only .gnu_debuglink leads to names."""
    kernel = lab.build / "guest" / "clockguest.full"
    if form == "split":
        stripped = lab.cwd / "kernel"
        subprocess.run(["objcopy", "--strip-all", lab.kernel, stripped], timeout=10, check=True)
        (lab.cwd / "clockguest.debug").symlink_to(lab.build / "guest" / "clockguest.debug")
        kernel = stripped
    lab.run(lab.stock("pvclock"), "--kernel", kernel).expect(0)
    assert hits(lab.trace("pvclock")) == hits(pvclock.trace)


# The cpuid scenario.


@pytest.mark.parametrize(("leaf", "vendor"), [((), "TCGTCGTCGTCG"), (("--set", "leaf=0x80000000"), None)])
def test_cpuid_answers_the_leaf_that_is_asked_for(lab: Lab, leaf: tuple[str, ...], vendor: str | None) -> None:
    done = lab.run(lab.stock("cpuid"), *leaf).expect(0)
    (answer,) = lab.trace("cpuid").of_kind("cpuid")
    console = next(e["text"] for e in lab.trace("cpuid").of_kind("console") if e["text"].startswith("CPU: "))
    vendor = vendor or console.split()[1]
    assert f'vendor "{vendor}"' in done.out
    assert answer["function"] == "tsc_freq_cpuid_vm" and answer["injected"] is True
    assert answer["leaf"] == (leaf[1].split("=")[1] if leaf else "0x40000000")


# What is refused: one message, exit code 2, nothing left behind.


def refused(lab: Lab, *words: str | Path, **environment: str) -> str:
    done = lab.run(*words, **environment).expect(2)
    lab.expect_nothing_left()
    assert "Terminated via GDBstub" not in done.err and "console" not in done.err, done
    return done.err


def test_unknown_setting_lists_what_there_is(lab: Lab) -> None:
    error = refused(lab, lab.stock("pvclock"), "--set", "tscfreq=1")
    assert "pvclock has no setting named tscfreq" in error and "tsc_freq: TSC frequency to inject" in error
    assert "Traceback" not in error


def test_setting_with_a_wrong_value_says_what_is_wanted(lab: Lab) -> None:
    error = refused(lab, lab.stock("pvclock"), "--set", "tsc_freq=fast")
    assert "--set tsc_freq=fast: pvclock wants a number here: TSC frequency to inject" in error


def test_setting_without_a_value(lab: Lab) -> None:
    assert "--set takes NAME=VALUE" in refused(lab, lab.stock("pvclock"), "--set", "tsc_freq")


def test_missing_scenario(lab: Lab) -> None:
    assert refused(lab, "nowhere.py") == "bootsonde: nowhere.py: no such scenario\n"


def test_missing_kernel(lab: Lab) -> None:
    assert refused(lab, lab.stock("pvclock"), "--kernel", "/nowhere") == "bootsonde: /nowhere: no such kernel\n"


def test_scenario_with_a_syntax_error_shows_the_line(lab: Lab) -> None:
    (lab.cwd / "typo.py").write_text("from bootsonde import Scenario\nscenario = Scenario(\n")
    done = lab.run("typo.py").expect(2)
    assert "typo.py" in done.err and "SyntaxError" in done.err
    assert 'File "typo.py", line 2' in done.out + done.err


def test_scenario_that_raises_shows_its_traceback(lab: Lab) -> None:
    lab.scenario("wrong", "limit = {}['limit']")
    done = lab.run("wrong.py").expect(2)
    assert "wrong.py" in done.err and "KeyError: 'limit'" in done.err
    assert 'File "wrong.py", line 4, in <module>' in done.out + done.err
    lab.expect_nothing_left()


def test_scenario_without_start(lab: Lab) -> None:
    (lab.cwd / "idle.py").write_text("from bootsonde import Scenario\nscenario = Scenario(__doc__)\n")
    assert "idle.py ended without scenario.start()" in refused(lab, "idle.py")


def test_scenario_that_exits(lab: Lab) -> None:
    (lab.cwd / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    assert "leaves.py" in refused(lab, "leaves.py")


def test_condition_with_an_unknown_name(lab: Lab) -> None:
    lab.scenario("cond", 'scenario.at(Functions("tsc_init"), if_="no_such == 1")')
    assert "no_such is neither a variable of this kernel nor a parameter here" in refused(lab, "cond.py")


def test_kernel_that_has_nothing_of_the_scenario(lab: Lab) -> None:
    lab.scenario("none", 'scenario.at(Functions("no_such_function"))')
    assert "has nothing of what none looks for" in refused(lab, "none.py")


# The end condition.


def test_until_ends_the_run_there(lab: Lab) -> None:
    lab.scenario("watch", WATCH, 'scenario.until("never printed")')
    done = lab.run("watch.py", "--until", "Hypervisor: Origin").expect(0)
    assert 'passed: the console shows "Hypervisor: Origin"' in done.out
    assert not any("login" in event["text"] for event in lab.trace("watch").of_kind("console"))


def test_guest_that_leaves_with_its_summary_has_passed(lab: Lab) -> None:
    lab.scenario("watch", WATCH, 'scenario.until("never printed")')
    done = lab.run("watch.py", "--append", "guest.i8254=1 guest.exit=1").expect(0)
    assert re.search(r"passed: the guest left through debug-exit: \d+ passed, 0 failed", done.out)
    (end,) = lab.trace("watch").of_kind("exit")
    assert end["status"] == 33


def test_a_place_can_be_the_end(lab: Lab) -> None:
    lab.scenario("ends", 'scenario.at(Functions("lapic_init")).passes()')
    assert "passed: lapic_init was reached" in lab.run("ends.py").expect(0).out
    lab.scenario("ends", 'scenario.at(Functions("lapic_init")).fails()')
    assert "failed: lapic_init was reached" in lab.run("ends.py").expect(1).err


# Which hits count.


def counted(lab: Lab, rule: str, *words: str) -> Trace:
    lab.scenario("rule", rule)
    lab.run("rule.py", *words, *BOOTS).expect(0)
    return lab.trace("rule")


def test_condition_on_a_kernel_variable(lab: Lab) -> None:
    """tsc_freq is 0 when tsc_init begins, and known when lapic_init does."""
    condition = 'if_="tsc_freq != 0 && vm_guest == 1"'
    assert hits(counted(lab, f'scenario.at(Functions(("tsc_init", "lapic_init")), {condition})')) == ["lapic_init"]


def test_condition_on_a_parameter(lab: Lab) -> None:
    trace = counted(lab, 'scenario.at(Functions("lapic_init"), if_="addr == 0xfee00000")')
    assert hits(trace) == ["lapic_init"]
    assert hits(counted(lab, 'scenario.at(Functions("lapic_init"), if_="addr == 1")')) == []


def test_condition_on_a_register(lab: Lab) -> None:
    assert hits(counted(lab, 'scenario.at(Functions("lapic_init"), if_="$rdi == 0xfee00000")')) == ["lapic_init"]


def test_vcpu_selects(lab: Lab) -> None:
    rule = 'scenario.at(Functions("init_secondary"){})'
    everyone = counted(lab, rule.format(""), "--smp", "3").of_kind("hit")
    assert sorted(event["vcpu"] for event in everyone) == [1, 2]
    only = counted(lab, rule.format(", vcpu=2"), "--smp", "3").of_kind("hit")
    assert [event["vcpu"] for event in only] == [2]


def test_skip_and_limit_count_in_that_order(lab: Lab) -> None:
    """The second and third of all the guest's PASS lines."""
    rule = 'scenario.at(Functions("selftest_record"){})'
    first, second, third = [event["args"][0]["text"] for event in counted(lab, rule.format("")).of_kind("hit")][:3]
    trace = counted(lab, rule.format(", skip=1, limit=2"))
    assert [event["args"][0]["text"] for event in trace.of_kind("hit")] == [second, third]
    assert first != second
    (spent,) = trace.of_kind("milestone")
    assert (spent["name"], spent["function"]) == ("limit", "selftest_record")


# Which kernel, and by which way.


def test_kernel_from_the_environment(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    full = str(lab.build / "guest" / "clockguest.full")
    done = lab.run("watch.py", *BOOTS, BOOTSONDE_KERNEL=full).expect(0)
    assert done.out.startswith(f"bootsonde: kernel {full} ($BOOTSONDE_KERNEL)\n")
    assert lab.trace("watch").header["kernel"]["name"] == "clockguest.full"


def test_kernel_and_options_from_the_settings_file(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    (lab.cwd / "kernel").symlink_to(lab.kernel)
    (lab.cwd / "clockguest.debug").symlink_to(lab.build / "guest" / "clockguest.debug")
    (lab.cwd / "bootsonde.conf").write_text("# this project's kernel\nkernel = kernel\nappend = guest.i8254=1\nsmp=2\n")
    done = lab.run("watch.py").expect(0)
    assert done.out.startswith("bootsonde: kernel ") and "(./bootsonde.conf)" in done.out.splitlines()[0]
    assert "SMP: 2 of 2 CPUs online" in [event["text"] for event in lab.trace("watch").of_kind("console")]


def test_kernel_option_comes_before_all(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    (lab.cwd / "bootsonde.conf").write_text("kernel = /nowhere\n")
    done = lab.run("watch.py", "--kernel", lab.kernel, *BOOTS, BOOTSONDE_KERNEL="/nowhere/else").expect(0)
    assert "bootsonde: kernel" not in done.out


def test_settings_file_with_an_unknown_key(lab: Lab) -> None:
    (lab.cwd / "bootsonde.conf").write_text("kernel = k\nkernal = x\n")
    assert "bootsonde.conf:2: expected KEY = VALUE" in refused(lab, lab.stock("pvclock"))


def test_scenario_runs_by_itself(lab: Lab) -> None:
    """python3 SCENARIO outside GDB is `bootsonde run SCENARIO`."""
    done = lab.command(["/usr/bin/python3", "-P", str(lab.stock("pvclock")), "--smp", "2"]).expect(0)
    assert 'bootsonde: passed: the console shows "login:"' in done.out
    assert not lab.trace("pvclock").cut


def test_words_after_dashes_go_to_qemu(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    lab.run("watch.py", *BOOTS, "--", "-m", "192", "-rtc", "base=2020-01-01T00:00:00").expect(0)
    arguments = lab.trace("watch").header["qemu"]["arguments"]
    assert arguments[-4:] == ["-m", "192", "-rtc", "base=2020-01-01T00:00:00"]


def test_echo_prints_the_console_between_the_hits(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    lines = lab.run("watch.py", *BOOTS, "--echo").expect(0).out.splitlines()
    hypervisor = next(i for i, line in enumerate(lines) if "| Hypervisor: Origin" in line)
    assert hypervisor < next(i for i, line in enumerate(lines) if "tsc_init()" in line)


def test_older_trace_is_kept(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    for _ in range(2):
        lab.run("watch.py", *BOOTS).expect(0)
    assert (lab.cwd / "watch.trace.jsonl.old").exists() and not lab.trace("watch").cut


def test_kvm_is_refused_before_anything_starts(lab: Lab) -> None:
    done = lab.run(lab.stock("pvclock"), "--accel", "kvm").expect(2)
    assert "scenarios need --accel tcg" in done.err and done.err.count("\n") == 1


def test_places_may_be_given_as_lists(lab: Lab) -> None:
    lab.scenario("lists", 'scenario.at(Functions(["tsc_init", "lapic_init"]))')
    assert "tsc_init, lapic_init: 2 of 2 hit" in lab.run("lists.py").out


# Guests that somebody else has started.


@pytest.mark.parametrize("by", ["name", "socket"])
def test_attached_guest_lives_on(lab: Lab, by: str) -> None:
    with lab.waiting("--smp", "2") as guest:
        address = "waiting" if by == "name" else f"unix:{lab.runtime / 'waiting'}"
        done = lab.run(lab.stock("pvclock"), "--attach", address).expect(0)
        assert 'passed: the console shows "login:"' in done.out
        assert guest.poll() is None
        out, _ = guest.communicate("exit\n", timeout=15)
        assert guest.returncode == 33 and "login: " in out
    lab.expect_nothing_left()


def test_guest_that_has_booted_already_passes_no_second_run(lab: Lab) -> None:
    """Its login prompt stands on the console, but this run has not seen it come."""
    with lab.waiting():
        lab.run(lab.stock("pvclock"), "--attach", "waiting").expect(0)
        done = lab.run(lab.stock("pvclock"), "--attach", "waiting", "--timeout", "2").expect(4)
        assert "this guest has run already" in done.out


def test_attached_guest_tells_its_kernel(lab: Lab) -> None:
    """The launcher's state file says what booted; no other kernel is taken for it."""
    other = lab.cwd / "other"
    other.write_bytes((lab.build / "guest" / "clockguest.full").read_bytes())
    lab.scenario("watch", WATCH)
    with lab.waiting("--kernel", other, *BOOTS):
        done = lab.run("watch.py", "--attach", "waiting").expect(0)
    assert "watch on other" in done.out and "the reference guest" not in done.out
    assert lab.trace("watch").header["kernel"]["name"] == "other"


def test_plain_gdb_takes_the_list(lab: Lab, cprobe: Path) -> None:
    """cprobe's gdb format needs neither bootsonde nor Python."""
    listed = lab.command([str(cprobe), "list", str(lab.kernel), "--func", "lapic_init", "--func", "tsc_init",
                          "--format", "gdb"]).expect(0)
    (lab.cwd / "points.gdb").write_text(listed.out)
    with lab.waiting():
        done = lab.command(["gdb", "-nx", "-batch", "-ex", "set osabi none", "-ex", "set architecture i386:x86-64",
                            "-ex", f"target remote {lab.runtime / 'waiting'}", "-x", "points.gdb", "-ex", "continue",
                            "-ex", "info breakpoints", "-ex", "detach"]).expect(0)
    assert len(re.findall(r"^Breakpoint \d+ at 0x", done.out, re.M)) == 2
    assert done.out.count("breakpoint already hit 1 time") == 1


# Functions that are not run.


def test_a_function_returns_at_once_with_the_value_that_is_wanted(lab: Lab) -> None:
    """The calibration fails against the dummy timecounter, unless it is not run."""
    scenario = lab.scenario("early", 'scenario.at(Check("TSC not initialized")).inject(tsc_freq=1000000000)',
                            'scenario.at(Functions("clockcalib")).returns(192000000)',
                            'scenario.at(Functions("lapic_calibrate_slow"))',
                            'scenario.at(Insn("mov", in_func="lapic_calibrate_initcount"))', "scenario.until('login:')")
    done = lab.run(scenario, "--echo").expect(0)
    assert "returned 0xb71b000 (192000000) at once, to lapic_calibrate_initcount+0x" in done.out
    assert "lapic0: timer frequency 192000000 Hz" in done.out and "calibration failed" not in done.out
    trace = lab.trace("early")
    assert hits(trace).count("clockcalib") == 1 and "lapic_calibrate_slow" not in hits(trace)
    (returned,) = [event for event in trace.of_kind("inject") if "returned" in event]
    assert (returned["function"], returned["target"], returned["after"]) == ("clockcalib", "rax", "0xb71b000")
    there = [event for event in trace.of_kind("hit") if event["address"] == returned["returned"]]
    assert len(there) == 1, "the breakpoint at the place to which it returned counts"


def test_inlined_copies_cannot_return_and_it_is_said(lab: Lab) -> None:
    scenario = lab.scenario("copies", 'scenario.at(Functions("rdtsc"), limit=1).returns()', "scenario.until('login:')")
    done = lab.run(scenario, *BOOTS).expect(0)
    assert re.search(r"note: (\d+) of \1 places of .*rdtsc.* are inlined copies, which have no return", done.out)
    assert not lab.trace("copies").of_kind("inject")


# What the kernel asks for.


def test_every_msr_that_is_read_or_written_is_recorded(lab: Lab) -> None:
    done = lab.run(lab.stock("msr"), "--smp", "2", *BOOTS).expect(0)
    assert "rdmsr 0x1b IA32_APIC_BASE: 0xfee00900" in done.out and "local APIC at 0xfee00000, xAPIC" in done.out
    accesses = [(event["access"], event["msr"], event["vcpu"]) for event in lab.trace("msr").of_kind("msr")]
    assert ("write", "0xc0000101", 0) in accesses and ("write", "0xc0000101", 1) in accesses, "each vCPU's GS base"
    assert ("read", "0x1b", 0) in accesses
    assert re.search(r"the kernel asked for: rdmsr IA32_APIC_BASE \d+, .*wrmsr IA32_GS_BASE 2", done.out)
    assert "PASS lapic_mode" in lab.run(lab.stock("msr"), "--echo", *BOOTS).expect(0).out, "nothing is changed"


def test_msrs_of_one_function_alone(lab: Lab) -> None:
    lab.run(lab.stock("msr"), "--set", "function=lapic_init", *BOOTS).expect(0)
    assert {event["function"] for event in lab.trace("msr").of_kind("msr")} == {"lapic_init"}
