"""Watchpoints: who writes a variable, with which instruction, called by whom; and which writes count."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import Any

import pytest

from labkit import Lab, wait_for
from terminals import gdb, launcher

from bootsonde.model.trace import Trace

#: A guest that comes to login by itself.
BOOTS = ("--append", "guest.i8254=1")


def watched(lab: Lab, *lines: str, words: tuple[str, ...] = BOOTS, status: int = 0) -> Trace:
    """The trace of a run with these lines."""
    lab.scenario("watched", *lines, 'scenario.until("login:")')
    done = lab.run("watched.py", *words).expect(status)
    assert "Traceback" not in done.out + done.err
    lab.expect_nothing_left()
    return lab.trace("watched")


def callers(event: dict[str, Any]) -> list[str]:
    """The functions in an event's chain, without offsets."""
    return [each["function"].split("+")[0] for each in event["callers"]]


def address(lab: Lab, name: str) -> int:
    cprobe = str(lab.build / "cprobe" / "cprobe")
    return int(lab.command([cprobe, "symbol", str(lab.kernel), name]).expect(0).out.split()[0], 16)


# Who, what, where.


@pytest.mark.parametrize("smp", ["1", "2", "4"])
def test_the_writer_of_tsc_freq(lab: Lab, smp: str) -> None:
    """Set before the first instruction, when nothing is mapped there."""
    events = watched(lab, 'scenario.watch("tsc_freq")', words=(*BOOTS, "--smp", smp)).of_kind("watch")
    first, second = events
    assert (first["target"], first["function"], first["vcpu"]) == ("tsc_freq", "tsc_freq_8254", 0)
    assert first["file"].endswith("tsc.c") and first["before"] == "0x0"
    assert callers(first) == ["probe_tsc_freq", "tsc_init", "hammer_time", "kernel_high"]
    assert first["caller"] == first["callers"][0]
    assert (second["function"], second["before"]) == ("tsc_freq_changed", first["after"])
    assert callers(second)[:2] == ["tsc_calibrate", "cpu_initclocks"]


def test_the_instruction_is_the_one_that_wrote(lab: Lab) -> None:
    """Its address begins an instruction that stores, by objdump's account too."""
    (event, *_) = watched(lab, 'scenario.watch("timecounter")').of_kind("watch")
    at = int(event["address"], 16)
    shown = lab.command(["objdump", "-d", f"--start-address={at:#x}", f"--stop-address={at + 16:#x}",
                         str(lab.kernel)]).expect(0).out
    line = next(line for line in shown.splitlines() if line.startswith(f"{at:x}:"))
    assert "mov    %" in line and event["instruction"].startswith("mov %"), (line, event)
    assert event["data"] == f"{address(lab, 'timecounter'):#x}"


def test_a_pointer_is_shown_with_what_it_points_to(lab: Lab) -> None:
    done = lab.run(lab.stock("watch"), *BOOTS, "--set", "names=timecounter").expect(0)
    assert re.search(r"timecounter = 0x\w+ \(i8254_timecounter\), was 0x\w+ \(dummy_timecounter\): tc_init\+0x",
                     done.out)
    assert re.search(r"timecounter = 0x\w+ \(tsc_timecounter\), was 0x\w+ \(i8254_timecounter\)", done.out)
    assert "writes of timecounter: 1 of 1 hit\n  hit:   timecounter 2" in done.out
    assert "  1 watchpoints: writes of timecounter" in done.out


def test_a_string_instruction_is_the_writer_while_it_repeats(lab: Lab) -> None:
    """memcpy's rep movsb: after its first byte the vCPU still stands at it, and behind it after the last."""
    middle, last = watched(lab, 'scenario.watch("hv_vendor[0]")', 'scenario.watch("hv_vendor[11]")').of_kind("watch")
    for event in (middle, last):
        assert event["function"] == "memcpy" and event["instruction"].startswith("rep movs"), event
        assert callers(event)[0] == "identify_hypervisor"
    assert middle["address"] == last["address"]
    assert (middle["after"], last["after"]) == ("0x54", "0x47")


def test_a_call_through_a_pointer_is_passed_and_marked(lab: Lab) -> None:
    """tc_init is called by attimer_attach, which only a method table names."""
    (event, *_) = watched(lab, 'scenario.watch("timecounter")').of_kind("watch")
    assert callers(event) == ["attimer_attach", "device_probe_and_attach", "root_bus_configure", "mi_startup",
                              "kernel_high"]
    assert [each.get("guess") for each in event["callers"]] == [None, True, None, None, None]


def test_a_write_by_another_vcpu_is_its_own(lab: Lab) -> None:
    events = watched(lab, 'scenario.watch("__pcpu[1].pc_timer_ticks")', 'scenario.watch("aps_up", limit=1)',
                     words=(*BOOTS, "--smp", "2")).of_kind("watch")
    (started,) = [event for event in events if event["target"] == "aps_up"]
    assert (started["vcpu"], started["function"], started["after"]) == (1, "init_secondary", "0x1")
    assert callers(started) == ["mpboot_high"]


def test_each_of_four_vcpus_is_told(lab: Lab) -> None:
    """Of two that write in the same moment GDB is told one: the last value is seen, by one that has written."""
    events = watched(lab, 'scenario.watch("aps_up")', words=(*BOOTS, "--smp", "4")).of_kind("watch")
    assert events[-1]["after"] == "0x3"
    writers = [event["vcpu"] for event in events]
    assert len(set(writers)) == len(writers) and set(writers) <= {1, 2, 3}


# Which writes count.


def test_injection_is_no_write_of_the_guests(lab: Lab) -> None:
    """But the value that it leaves is the old one of the next write."""
    trace = watched(lab, 'scenario.watch("tsc_freq")',
                    'scenario.at(Functions("lapic_init")).inject(tsc_freq=1000000000)',
                    words=(*BOOTS, "--icount", "shift=3,sleep=off"))  # a busy host would keep it from measuring again
    assert [(event["before"], event["kind"]) for event in trace.of_kind("watch")][1:] == [("0x3b9aca00", "watch")]
    assert len(trace.of_kind("inject")) == 1


def test_who_writes_over_an_injected_frequency(lab: Lab) -> None:
    """Without a timer the kernel only has what is injected; nobody writes over it."""
    trace = watched(lab, 'scenario.watch("tsc_freq")',
                    'scenario.at(Check("TSC not initialized"), if_="tsc_freq == 0").inject(tsc_freq=1000000000)',
                    words=())
    assert trace.of_kind("watch") == [] and len(trace.of_kind("inject")) == 1


def test_a_watch_can_inject(lab: Lab) -> None:
    """What the guest has just written is written over, once."""
    trace = watched(lab, 'scenario.watch("tsc_freq", limit=1).inject(tsc_freq=1234567890)',
                    'scenario.at(Functions("lapic_init"), if_="tsc_freq == 1234567890")')
    (inject,), (watch,) = trace.of_kind("inject"), trace.of_kind("watch")
    assert inject["before"] == watch["after"] and inject["after"] == f"{1234567890:#x}"
    assert [event["function"] for event in trace.of_kind("hit")] == ["lapic_init"]


@pytest.mark.parametrize("condition, functions", [
    ("$old == 0", ["tsc_freq_8254"]), ("$old != 0 && $new != $old", ["tsc_freq_changed"]),
    ("$new > 100000000 && vm_guest == 1", ["tsc_freq_8254", "tsc_freq_changed"]), ("$new < 0", []),
    ("tsc_freq == $new && $rip != 0", ["tsc_freq_8254", "tsc_freq_changed"])])
def test_a_condition_over_the_values(lab: Lab, condition: str, functions: list[str]) -> None:
    trace = watched(lab, f'scenario.watch("tsc_freq", if_="{condition}")')
    assert [event["function"] for event in trace.of_kind("watch")] == functions


def test_values_have_the_variables_sign(lab: Lab) -> None:
    """vm_guest is an int; a field of a structure that is written as -1 by hand is read back as such."""
    trace = watched(lab, 'scenario.at(Functions("identify_hypervisor")).inject(vm_guest=-1)',
                    'scenario.watch("vm_guest", if_="$old < 0 && $new >= 0")')
    assert [event["before"] for event in trace.of_kind("watch")] == ["0xffffffff"]


def test_skip_and_limit(lab: Lab) -> None:
    trace = watched(lab, 'scenario.watch("passed_count", skip=1, limit=2)')
    assert [event["after"] for event in trace.of_kind("watch")] == ["0x2", "0x3"]
    (spent,) = trace.of_kind("milestone")
    assert (spent["name"], spent["function"]) == ("limit", "passed_count")


def test_vcpu_selects(lab: Lab) -> None:
    trace = watched(lab, 'scenario.watch("aps_up", vcpu=0)', words=(*BOOTS, "--smp", "2"))
    assert trace.of_kind("watch") == []


def test_a_write_can_be_the_end(lab: Lab) -> None:
    lab.scenario("watched", 'scenario.watch("smp_tsc").passes()', 'scenario.watch("tsc_freq").passes()')
    assert "passed: tsc_freq was reached" in lab.run("watched.py", *BOOTS).expect(0).out


def test_two_rules_on_one_variable_and_breakpoints_go_together(lab: Lab) -> None:
    trace = watched(lab, 'scenario.watch("tsc_freq", limit=1)', 'scenario.watch("tsc_freq", skip=1)',
                    'scenario.at(Functions("tsc_freq_changed"))')
    assert [event["function"] for event in trace.of_kind("watch")] == ["tsc_freq_8254", "tsc_freq_changed"]
    assert len(trace.of_kind("hit")) == 1


def test_what_is_not_written_is_told(lab: Lab) -> None:
    done = lab.run(lab.stock("watch"), *BOOTS, "--set", "names=pvclock_last_systime").expect(0)
    assert "writes of pvclock_last_systime: 0 of 1 hit\n  never: pvclock_last_systime" in done.out


# Writers that are hot. Code is put over probe_tsc_freq's: the variable is written for ever.


def hot(lab: Lab, code: str) -> str:
    """A rule that puts the code, with tsc_freq's address for ADDR, into the guest, ending in a jump to its start."""
    data = bytes.fromhex(code.replace("ADDR", (address(lab, "tsc_freq") & 0xffffffff).to_bytes(4, "little").hex()))
    data = (data + bytes([0xeb, (-len(data) - 2) & 0xff])).ljust(16, b"\x90")
    writes = "".join(f".set_memory({address(lab, 'probe_tsc_freq') + offset:#x}, "
                     f"{int.from_bytes(data[offset:offset + 8], 'little'):#x})" for offset in (0, 8))
    return f'scenario.at(Functions("tsc_init")){writes}'


#: incq ADDR, and movq $0, ADDR.
CODES = {"changing": "48ff0425ADDR", "same": "48c70425ADDR00000000"}


@pytest.mark.parametrize("code, condition", [("changing", ""), ("changing", ', if_="$new == 0"'), ("same", "")])
def test_a_hot_watchpoint_does_not_outlast_the_deadline(lab: Lab, code: str, condition: str) -> None:
    lab.scenario("watched", hot(lab, CODES[code]), f'scenario.watch("tsc_freq"{condition})')
    done = lab.run("watched.py", "--timeout", "2").expect(4)
    assert 2 < done.seconds < 8
    lab.expect_nothing_left()
    found = lab.trace("watched").of_kind("watch")
    assert (len(found) > 100) == (code == "changing" and not condition), len(found)
    assert "probe_tsc_freq" in done.err


@pytest.mark.parametrize("code", ["changing", "same"])
def test_ctrl_c_ends_a_hot_watchpoint(lab: Lab, code: str) -> None:
    lab.scenario("watched", hot(lab, CODES[code]), 'scenario.watch("tsc_freq")')
    with lab.running("watched.py") as process:
        path = lab.cwd / "watched.trace.jsonl"
        wait_for("the first hit", lambda: path.exists() and '"kind":"inject"' in path.read_text())
        time.sleep(0.5)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        process.communicate(timeout=15)
    assert process.returncode == 130 and time.monotonic() - began < 8
    lab.expect_nothing_left()


def test_writes_of_the_same_value_go_unseen(lab: Lab) -> None:
    """As the documentation says: what is watched is change."""
    lab.scenario("watched", hot(lab, CODES["same"]), 'scenario.watch("tsc_freq")')
    lab.run("watched.py", "--timeout", "1").expect(4)
    assert lab.trace("watched").of_kind("watch") == []


# What is refused.


@pytest.mark.parametrize("line, said", [
    ('scenario.watch("timeinfos")', "timeinfos has 128 bytes (struct pvclock_vcpu_time_info[4]): a watchpoint covers"),
    ('scenario.watch("timeinfos[0].nothing")', "has no field nothing"), ('scenario.watch("a b")', "names no variable"),
    ('scenario.watch("tsc_freq").returns(1)', "there is no instruction ahead that could be skipped, stepped or"),
    ('scenario.watch("tsc_freq").skips()', "there is no instruction ahead that could be skipped, stepped or"),
    ('scenario.watch("tsc_freq", if_="no_such == 1")', "no_such is neither a variable of this kernel nor a parameter"),
    ('scenario.watch("no_such")', "has nothing of what watched looks for"),
    ('scenario.watch("tsc_freq").inject(vm_guest=1 << 40)', "does not fit vm_guest")])
def test_what_cannot_be_watched_is_told_at_the_start(lab: Lab, line: str, said: str) -> None:
    lab.scenario("watched", line)
    assert said in lab.run("watched.py").expect(2).err
    lab.expect_nothing_left()


# By hand.


def test_a_watchpoint_by_hand(lab: Lab) -> None:
    with launcher(lab, *BOOTS), gdb(lab) as debugger:
        scenario = lab.scenario("start", 'scenario.at(Functions("tsc_init"))', 'scenario.until("login:")')
        debugger.type(f"source {scenario}")
        assert re.search(r"^  0xffffffff\w+ tsc_freq$", debugger.type("bootsonde watch tsc_freq limit 5 if $old != 0"),
                         re.M)
        assert "hw watchpoint" in debugger.type("info breakpoints")
        said = debugger.type("bootsonde go")
        written = r"cpu0 tsc_freq = 0x\w+ \(\d+\), was 0x\w+ \(\d+\): tsc_freq_changed\+0x7  tsc.c:\d+"
        assert re.search(written, said), said
        assert "<- tsc_calibrate+0x" in said and "writes of tsc_freq: 1 of 1 hit\n  hit:   tsc_freq 1\n" in said


def test_a_sourced_watch_stops_behind_the_write(lab: Lab) -> None:
    """And what is kept from then on is what GDB, with symbols by now, has at that place."""
    with launcher(lab, *BOOTS), gdb(lab) as debugger:
        said = debugger.type(f"source {lab.stock('watch')}")
        assert "tsc_freq_8254+0x" in said and "cpu0 tsc_freq = " in said and "Hardware watchpoint" not in said, said
        shown = re.search(r"tsc_freq = 0x\w+ \((\d+)\)", said)
        assert shown is not None and f"= {shown[1]}" in debugger.type("p tsc_freq")
        chain = re.findall(r"(?:<- )(\w+)", said)
        assert chain == re.findall(r"^#[1-9]\d* .*?in (\w+) \(", debugger.type("bt"), re.M)
        assert "timecounter 2" in debugger.type("bootsonde go")


def test_a_watchpoint_ends_with_the_run(lab: Lab) -> None:
    with launcher(lab, *BOOTS), gdb(lab) as debugger:
        debugger.type(f"source {lab.stock('watch')}")
        debugger.type("bootsonde detach")
        assert "No breakpoints or watchpoints" in debugger.type("info breakpoints")


def test_a_software_watchpoint_is_never_taken(lab: Lab) -> None:
    """Whatever the user has set, while bootsonde has the guest run; what a step of theirs made of it is refused."""
    with launcher(lab, *BOOTS), gdb(lab) as debugger:
        debugger.type("set can-use-hw-watchpoints 0")
        assert "cpu0 tsc_freq = " in debugger.type(f"source {lab.stock('watch')}")
        assert "is 0" in debugger.type("show can-use-hw-watchpoints")
        debugger.type("stepi")
        said = debugger.type("bootsonde go")
        assert "GDB has no hardware watchpoint for tsc_freq" in said and "set can-use-hw-watchpoints 0" in said, said


@pytest.mark.parametrize("words, said", [
    ("", "usage: bootsonde watch NAME"), ("tsc_freq if", "usage: bootsonde watch NAME"),
    ("tsc_freq limit x", "usage: bootsonde watch NAME"), ("no_such", "this kernel has not no_such"),
    ("timeinfos", "name a part of it"), ("tsc_freq if no_such", "no_such is neither a variable of this kernel")])
def test_a_wrong_command_is_one_line(lab: Lab, words: str, said: str) -> None:
    with launcher(lab), gdb(lab) as debugger:
        debugger.type(f"source {lab.stock('pvclock')}")
        answer = debugger.type(f"bootsonde watch {words}")
        assert said in answer and "Traceback" not in answer, answer
        assert "watchpoint" not in debugger.type("info breakpoints")
