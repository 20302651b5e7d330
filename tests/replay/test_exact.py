"""`bootsonde record --exact` and `replay --exact`: the same state at the same place, every time, on both QEMUs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest
from fetched import fetched
from labkit import Done, Lab, open_lab, wait_for
from terminals import PROMPT

#: A guest that comes to login by itself.
BOOTS = ("--append", "guest.i8254=1")
#: ns an instruction, and the TSC counts ns.
NS = 8


@dataclass
class Recorded:
    """A boot of the reference guest, recorded as `boot` by one version of QEMU, and what was said."""

    lab: Lab
    said: str

    def at(self, place: str | int, *words: str | Path, baseline: str = "boot") -> Done:
        """`replay --exact --at`, to its end."""
        return self.lab.command(self.lab.words("replay", "--exact", baseline, "--at", str(place), *words))

    def state(self, place: str | int, *words: str | Path) -> str:
        """What it shows of a place."""
        return self.at(place, *words).expect(0).out


def count(said: str) -> int:
    """The instruction count of the place that is shown."""
    found = re.match(r"at instruction (\d+) of ", said)
    assert found is not None, said
    return int(found[1])


def function(said: str) -> str:
    """The function of that place."""
    return said.split(": ", 1)[1].split("  ", 1)[0]


def record(lab: Lab, *words: str | Path, name: str = "boot") -> Done:
    return lab.command(lab.words("record", "--exact", "-o", name, *words))


@pytest.fixture(scope="module", params=["own", "qemu10"])
def boot(request: pytest.FixtureRequest, root: Path, build: Path,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with open_lab(root, build, tmp_path_factory.mktemp("exact")) as lab:
        if request.param == "qemu10":
            lab.environment["QEMU"] = str(fetched("qemu-backports"))
        done = record(lab, *BOOTS).expect(0)
        lab.expect_nothing_left()
        yield Recorded(lab, done.out)


@pytest.fixture(scope="module")
def plain(root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """By this machine's own QEMU; for what does not depend on the version."""
    with open_lab(root, build, tmp_path_factory.mktemp("plain")) as lab:
        yield Recorded(lab, record(lab, *BOOTS).expect(0).out)


@contextlib.contextmanager
def prompted(recorded: Recorded, place: str) -> Iterator[pexpect.spawn[str]]:
    """`replay --exact` at a terminal."""
    lab = recorded.lab
    words = lab.words("replay", "--exact", "boot", "--at", place)
    terminal = pexpect.spawn(words[0], words[1:], cwd=str(lab.cwd), timeout=20, encoding="utf-8", echo=False,
                             dimensions=(60, 250),
                             env={**lab.environment, "TERM": "dumb", "HOME": str(lab.cwd), "DEBUGINFOD_URLS": ""})
    try:
        yield terminal
    finally:
        terminal.close(force=True)


def answer(terminal: pexpect.spawn[str], line: str) -> str:
    """Type a line, and wait for the next prompt."""
    terminal.sendline(line)
    terminal.expect_exact(PROMPT)
    return str(terminal.before)


# The same state, every time.


def test_five_replays_find_the_same_registers_memory_and_tsc(boot: Recorded) -> None:
    """The TSC is what the kernel's own rdtsc gives there: ns, and so instructions."""
    words = ("--command", "x/64xb $rsp", "--command", "finish", "--command", "print $rax")
    states = {boot.state("rdtsc_ordered#9", *words) for _ in range(5)}
    assert len(states) == 1, states
    (state,) = states
    assert function(state) == "rdtsc_ordered"
    tsc = int(state.splitlines()[-1].split(" = ")[1])
    assert 0 <= tsc - NS * count(state) <= 100 * NS


def test_a_count_leads_to_where_an_entry_led(boot: Recorded) -> None:
    """GDB's breakpoint has left no trace in the guest's state."""
    entry = boot.state("lapic_init")
    assert function(entry) == "lapic_init" and "  <- mi_startup+0x18  init_main.c:" in entry
    assert boot.state(count(entry)) == entry


def test_stepping_and_going_there_are_the_same(boot: Recorded) -> None:
    entry = count(boot.state("tc_init"))
    registers = ("--command", "info registers")
    stepped = boot.state(entry, *("--command", "stepi") * 20, "--command", "info registers")
    assert boot.state(entry + 20, *registers).split("rax  ")[-1] == stepped.split("rax  ")[-1]


def test_an_entry_among_many_is_that_which_gdb_counts(boot: Recorded) -> None:
    """It is found by counting with the plugin up to shortly before it."""
    by_gdb = boot.state("tsc_init", "--command", "break *i8254_get_timecount", "--command", "ignore 1 499", "--command",
                        "continue", "--command", "monitor info replay")
    assert by_gdb.rstrip().endswith(f"instruction count = {count(boot.state('i8254_get_timecount#500'))}")


def test_a_clone_of_that_name_is_not_counted(lab: Lab, build: Path) -> None:
    """cprobe's globs mean clones too; here another function is called like one."""
    symbols = lab.cwd / "symbols"
    subprocess.run(["objcopy", "--redefine-sym", "lapic_read32=i8254_get_timecount.part.0",
                    build / "guest" / "clockguest.full", symbols], check=True, timeout=30)
    boot = Recorded(lab, record(lab, *BOOTS, "--symbols", symbols).expect(0).out)
    by_gdb = boot.state("tsc_init", "--command", "break *i8254_get_timecount", "--command", "ignore 1 499", "--command",
                        "continue", "--command", "monitor info replay")
    assert by_gdb.rstrip().endswith(f"instruction count = {count(boot.state('i8254_get_timecount#500'))}")


def test_a_console_text_leads_to_the_instruction_that_ends_its_line(boot: Recorded) -> None:
    there = boot.state("PASS printf")
    assert there.splitlines()[-1].strip() == "PASS printf" and function(there).startswith("ns8250_putc+")
    before = boot.state(count(there) - 1, "--command", "x/i $pc")
    assert re.search(r"\bout\b", before.splitlines()[-1]), before


def test_a_prompt_that_ends_no_line_is_found_too(boot: Recorded) -> None:
    assert boot.state("login:").splitlines()[-1].strip() == "login:"


def test_code_before_paging_is_reached(boot: Recorded) -> None:
    """It runs where it is loaded, and is told by its linked name."""
    there = boot.state("btext")
    assert function(there) == "btext" and "rip 0x0000000000200" in there


def test_a_divergence_leads_to_the_last_common_step(boot: Recorded, cprobe: Path) -> None:
    lab = boot.lab
    lab.command(lab.words("trace", "--deterministic", "-o", "other", "--append",
                          "guest.i8254=1 guest.exit=1")).expect(0)
    shown = lab.command([str(cprobe), "diff", "boot.rr.trace", "other", "--format", "json"]).expect(1).out
    last = json.loads(shown.splitlines()[0])["before"][-1]
    there = boot.state("DIVERGENCE", "--trace", "other")
    assert function(there) == last["name"]
    assert 0 <= last["t"] // NS - count(there) < 100, "the trace's time is that of the end of a block of code"


def expect_end(boot: Recorded) -> str:
    """Record a guest that panics and leaves through debug-exit; what stands at the recording's end."""
    done = record(boot.lab, name="panic").expect(1)
    end = re.search(r"exact recording in \S+: (\d+) instructions", done.out)
    assert end is not None, done
    last = boot.at(end[1], "--command", "x/i $pc", baseline="panic").expect(0).out
    assert "summary: 2 passed, 1 failed" in last
    assert "the recording ends at instruction" in boot.at(int(end[1]) + 1, baseline="panic").expect(2).err
    return last


def test_a_boot_that_ends_by_itself_is_recorded_to_the_instruction_that_does_it(plain: Recorded) -> None:
    last = expect_end(plain)
    assert function(last).startswith("debug_exit") and re.search(r"\bout\b", last.splitlines()[-1]), last


@pytest.mark.long
def test_a_boot_that_ends_by_itself_is_recorded_as_far_as_qemu_can_follow(boot: Recorded) -> None:
    """QEMU 10 cannot to the end, and stands still where it is to: host/forward.py."""
    expect_end(boot)


# Nothing is written, nothing goes back.


@pytest.fixture(scope="module")
def there(plain: Recorded) -> Iterator[pexpect.spawn[str]]:
    """GDB's prompt within a replay, with a run folder of its own."""
    lab = plain.lab
    with open_lab(lab.root, lab.build, lab.cwd) as other, \
            prompted(Recorded(other, ""), "kvm_clock_identify") as terminal:
        terminal.expect_exact(PROMPT)
        yield terminal


@pytest.mark.parametrize("command, said", [
    ("set var tsc_freq = 1", "Writing to memory is not allowed"),
    ("print tsc_freq = 1", "Writing to memory is not allowed"),
    ("set $rax = 0x1234", "Writing to registers is not allowed"),
    ("jump lapic_init", "Writing to registers is not allowed"),
    ("call tsc_init()", "is not allowed"),
    ("bootsonde cpuid 1", "cpuid is not executed: this guest replays a recording"),
    ("bootsonde wrmsr 0x10 1", " is not executed: this guest replays a recording"),
    ("reverse-stepi", "QEMU cannot be relied upon to go back; go forward again"),
    ("rc", "QEMU cannot be relied upon to go back; go forward again"),
])
def test_what_cannot_be_done_is_refused(there: pexpect.spawn[str], command: str, said: str) -> None:
    answer(there, "set confirm off")
    where = answer(there, "bootsonde where")
    assert said in answer(there, command)
    assert answer(there, "bootsonde where") == where


def test_a_write_by_a_command_is_refused_with_the_reason(plain: Recorded) -> None:
    done = plain.at("tsc_init", "--command", "set var tsc_freq = 1").expect(2)
    assert "Writing to memory is not allowed" in done.err and "what GDB writes is not in the recording" in done.err
    plain.lab.expect_nothing_left()


def test_the_end_is_said(plain: Recorded) -> None:
    said = plain.state("login:", "--command", "continue", "--command", "bootsonde where")
    end = re.search(r"at instruction (\d+) of \1: ", said)
    assert end is not None, said
    assert f"the recording ends here, at instruction {end[1]};" in said


# What is recorded.


def test_a_scenario_that_looks_is_recorded_with_what_it_saw(boot: Recorded) -> None:
    """GDB's stops are part of that boot; the replay does without them."""
    lab = boot.lab
    scenario = lab.scenario("looks", 'scenario.at(Functions("tsc_*"))', 'scenario.at(Functions("lapic_*"))')
    record(lab, scenario, *BOOTS, name="looked").expect(0)
    hits = [event["function"] for event in lab.read("looked.rr.trace").of_kind("hit")]
    assert hits.count("lapic_read32") > 20 and hits.index("tsc_init") < hits.index("tsc_calibrate")
    states = {boot.at("tsc_calibrate", baseline="looked").expect(0).out for _ in range(2)}
    assert len(states) == 1 and function(states.pop()) == "tsc_calibrate"
    assert "it is not entered that often" in boot.at("tsc_calibrate#2", baseline="looked").expect(2).err


@pytest.mark.parametrize("rule", ["inject(tsc_freq=1)", "set_registers(rax=1)", "returns(1)", "skips()"])
def test_a_scenario_that_changes_the_guest_is_refused(lab: Lab, rule: str) -> None:
    scenario = lab.scenario("changes", f'scenario.at(Functions("tsc_init")).{rule}')
    done = record(lab, scenario, *BOOTS).expect(2)
    assert "changes cannot run, as it changes the guest: this guest is recorded" in done.err
    assert list(lab.cwd.glob("boot*")) == []
    lab.expect_nothing_left()


def test_an_overlay_is_refused(lab: Lab) -> None:
    done = record(lab, lab.stock("kvmclock"), *BOOTS).expect(2)
    assert "kvmclock cannot run, as it changes the guest: this guest is recorded" in done.err


@pytest.mark.parametrize("words, said", [
    (("--smp", "2"), "works with one vCPU: QEMU (7.2 and 10.0) records no more"),
    (("--accel", "kvm"), "KVM counts no instructions"),
    (("--rr", "record:x"), "--rr: record --exact names QEMU's log itself"),
    (("--write",), "--write: a replay needs the disk as it was"),
    (("--runs", "3"), "--runs has no meaning with --exact"),
])
def test_what_cannot_be_recorded_is_refused(lab: Lab, words: tuple[str, ...], said: str) -> None:
    assert said in record(lab, *words).expect(2).err
    assert list(lab.cwd.glob("boot*")) == []


def test_an_older_recording_is_kept(plain: Recorded) -> None:
    """Also where a new one was to take its place, and did not come about."""
    lab = plain.lab
    before = {part: part.read_bytes() for part in lab.cwd.glob("boot.rr*")}
    assert "boot.rr is there already: --force writes over it" in record(lab, *BOOTS).expect(2).err
    record(lab, lab.stock("pvclock"), "--force").expect(2)
    assert {part: part.read_bytes() for part in lab.cwd.glob("boot.rr*")} == before


def test_of_two_at_once_one_is_refused(lab: Lab) -> None:
    words = ("--exact", "-o", "boot", *BOOTS)
    with lab.running(*words, verb="record") as one:
        wait_for("QEMU's log", (lab.cwd / "boot.rr").exists)
        assert "boot.rr is being recorded by somebody else" in record(lab, *BOOTS, "--force").expect(2).err
        assert one.wait(30) == 0
    assert len(list(lab.cwd.glob("boot.rr*"))) == 4


def test_what_a_killed_one_was_to_replace_comes_back(plain: Recorded) -> None:
    lab = plain.lab
    before = {part: part.read_bytes() for part in lab.cwd.glob("boot.rr*")}
    with lab.running("--exact", "-o", "boot", "--force", *BOOTS, verb="record") as process:
        wait_for("a new log", lambda: (lab.cwd / "boot.rr.old").exists() and (lab.cwd / "boot.rr").exists())
        process.kill()
        process.wait()
    assert "boot.rr is there already" in record(lab, *BOOTS).expect(2).err
    assert {part: part.read_bytes() for part in lab.cwd.glob("boot.rr*")} == before


# What is no longer as it was.


@pytest.fixture
def copy(plain: Recorded) -> Iterator[Recorded]:
    """The plain recording, in a folder where it may be spoilt."""
    folder = plain.lab.cwd / "copy"
    folder.mkdir()
    for part in plain.lab.cwd.glob("boot.rr*"):
        shutil.copy(part, folder)
    shutil.copy(plain.lab.kernel, folder / "kernel")
    facts = json.loads((folder / "boot.rr.json").read_text())
    facts["sha256"]["kernel"] = facts["sha256"].pop(facts["kernel"])
    facts.update(kernel="kernel", symbols="kernel")
    (folder / "boot.rr.json").write_text(json.dumps(facts))
    try:
        yield plain
    finally:
        shutil.rmtree(folder)


def test_it_may_be_moved(copy: Recorded) -> None:
    assert count(copy.at("tsc_init", baseline="copy/boot").expect(0).out) == count(copy.state("tsc_init"))


@pytest.mark.parametrize("part", [".rr", ".rr.json", ".rr.trace", ".rr.console"])
def test_a_part_that_is_missing_is_named(copy: Recorded, part: str) -> None:
    (copy.lab.cwd / "copy" / f"boot{part}").unlink()
    assert f"copy/boot{part} is not there" in copy.at(1, baseline="copy/boot").expect(2).err


def test_a_trace_that_is_none_is_refused(copy: Recorded) -> None:
    (copy.lab.cwd / "copy" / "boot.rr.trace").write_text("\n")
    done = copy.at("tsc_init", baseline="copy/boot").expect(2)
    assert "boot.rr.trace:1: " in done.err and "record it again" in done.err and "Traceback" not in done.err


def test_a_trace_that_is_cut_off_does_not_say_what_was_not_entered(copy: Recorded) -> None:
    trace = copy.lab.cwd / "copy" / "boot.rr.trace"
    os.truncate(trace, 5000)
    assert count(copy.at("tc_init", baseline="copy/boot").expect(0).out) == count(copy.state("tc_init"))


def test_a_log_that_is_cut_off_is_refused(copy: Recorded) -> None:
    log = copy.lab.cwd / "copy" / "boot.rr"
    os.truncate(log, log.stat().st_size - 10)
    assert "boot.rr is cut off: it has " in copy.at(1, baseline="copy/boot").expect(2).err


def test_another_log_is_refused(copy: Recorded) -> None:
    log = copy.lab.cwd / "copy" / "boot.rr"
    data = bytearray(log.read_bytes())
    data[-1] ^= 1
    log.write_bytes(data)
    assert "boot.rr is not the log that " in copy.at(1, baseline="copy/boot").expect(2).err


def test_another_kernel_is_refused(copy: Recorded) -> None:
    with (copy.lab.cwd / "copy" / "kernel").open("ab") as kernel:
        kernel.write(b"\0")
    done = copy.at(1, baseline="copy/boot").expect(2)
    assert "copy/kernel is not the kernel that was recorded (build-id " in done.err
    assert copy.at(9999, "--kernel", copy.lab.kernel, baseline="copy/boot").expect(0).out == copy.state(9999)


def test_another_qemu_is_refused(plain: Recorded) -> None:
    done = plain.lab.command(plain.lab.words("replay", "--exact", "boot", "--at", "1"),
                             QEMU=str(fetched("qemu-backports"))).expect(2)
    assert re.search(r"recorded with QEMU 7\S+, and \S+ is 10\.", done.err), done


@pytest.mark.parametrize("words, said", [
    (("--append", "other"), "--append other: the boot was recorded with --append guest.i8254=1"),
    (("--memory", "512M"), "--memory 512M: the boot was recorded without --memory"),
])
def test_other_options_are_refused(plain: Recorded, words: tuple[str, ...], said: str) -> None:
    assert said in plain.at(1, *words).expect(2).err
    plain.at(1, *BOOTS).expect(0)


def test_a_log_that_leads_nowhere_is_lost(copy: Recorded) -> None:
    """As a file that was spoilt before it was described: QEMU finds out."""
    log, described = copy.lab.cwd / "copy" / "boot.rr", copy.lab.cwd / "copy" / "boot.rr.json"
    os.truncate(log, log.stat().st_size // 10)
    facts = json.loads(described.read_text())
    digest = subprocess.run(["sha256sum", log], capture_output=True, text=True, check=True).stdout.split()[0]
    facts["sha256"]["log"], facts["log_size"] = digest, log.stat().st_size
    described.write_text(json.dumps(facts))
    done = copy.at(facts["end"], "--timeout", "10", baseline="copy/boot").expect(3)
    assert f"lost: the replay went wrong on the way to {facts['end']}" in done.err
    copy.lab.expect_nothing_left()


@pytest.mark.parametrize("place, said", [
    ("99999999999", "--at 99999999999: the recording ends at instruction "),
    ("tsc_init#2", "--at tsc_init#2: tsc_init is entered 1 times in this boot"),
    ("pvclock_init", "pvclock_init was not entered in this boot: cprobe why "),
    ("nowhere", "clockguest has no such function, and the console never showed that text"),
    ("never printed", "the console never showed that text"),
    ("DIVERGENCE", "--at DIVERGENCE wants --trace T"),
    ("", "--at wants an instruction count, a function's name"),
])
def test_a_place_that_is_not_there(plain: Recorded, place: str, said: str) -> None:
    assert said in plain.at(place).expect(2).err


def test_a_replay_that_takes_too_long_times_out(plain: Recorded) -> None:
    done = plain.at("login:", "--timeout", "0.02").expect(4)
    assert "timeout: the replay did not come to login: in 0.02 s" in done.err
    assert "--timeout S gives it longer" in done.err
    plain.lab.expect_nothing_left()


def test_no_divergence_is_said(plain: Recorded) -> None:
    assert "boot.rr.trace goes the same way" in plain.at("DIVERGENCE", "--trace", "boot.rr.trace").expect(2).err


# A person.


def test_a_person_goes_back_and_forth(boot: Recorded) -> None:
    with prompted(boot, "lapic_init") as terminal:
        terminal.expect_exact(PROMPT)
        assert "a write would not be in the recording" in terminal.before
        here = re.search(r"at instruction (\d+) of ", terminal.before)
        assert here is not None
        assert "#0  lapic_init" in answer(terminal, "bt")
        answer(terminal, "break lapic_init")
        assert re.search(r"at instruction \d+ of \d+: tsc_init  tsc\.c", answer(terminal, "bootsonde goto tsc_init"))
        assert "Breakpoint 1, lapic_init" in answer(terminal, "continue"), "it was taken along"
        assert f"at instruction {here[1]} of " in answer(terminal, "bootsonde where")
        assert "nowhere: clockguest has no such function" in answer(terminal, "bootsonde goto nowhere")
        assert "tsc_init" in answer(terminal, "bootsonde where"), "back where it came from"
        terminal.sendline("quit")
        if terminal.expect([pexpect.EOF, r"\(y or n\) "]) == 1:
            terminal.sendline("y")
            terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0
    boot.lab.expect_nothing_left()


def test_a_scenario_that_looks_can_be_sourced_there(plain: Recorded) -> None:
    lab = plain.lab
    lab.scenario("watch", 'scenario.at(Functions("tc_init"))')
    with prompted(plain, "lapic_init") as terminal:
        terminal.expect_exact(PROMPT)
        assert "cpu0 tc_init(" in answer(terminal, "source watch.py")
        assert "pvclock cannot run, as it changes the guest" in answer(terminal, f"source {lab.stock('pvclock')}")


# A real kernel.


@pytest.mark.long
def test_debian(root: Path, build: Path, tmp_path: Path) -> None:
    """A billion instructions: entries far into it, and among a hundred thousand, are the same each time."""
    with open_lab(root, build, tmp_path) as lab:
        boot = Recorded(lab, record(lab, "--kernel", fetched("debian-kernel") / "vmlinux", "--append",
                                    "console=ttyS0 nokaslr tsc_early_khz=1000000", "--until",
                                    "Unable to mount root", "--functions", "strcmp,start_kernel").expect(0).out)
        assert function(boot.state("start_kernel")) == "start_kernel"
        far = boot.state("strcmp#100000")
        assert function(far) == "strcmp" and boot.state(count(far)) == far
        text = "clocksource: Switched"
        assert text in boot.state(text).splitlines()[-1]
