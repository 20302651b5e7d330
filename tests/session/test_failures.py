"""Runs that go wrong: each ends in time, says why and what to do next, and leaves its trace and no process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit import WATCH, Done, Lab, wait_for

#: A run that times out ends at its deadline, plus this at most, seconds.
GRACE = 6.0
#: A guest that stands at its prompt for ever, and an end condition that never comes.
ENDLESS = ("endless.py", "--append", "guest.i8254=1", "--until", "never printed")


def failed(lab: Lab, status: int, *words: str | Path, scenario: str = WATCH) -> Done:
    """A run that ends with `status`: reason, console, next step, an end record that agrees, nothing left."""
    lab.scenario("watch", scenario)
    done = lab.run("watch.py", *words).expect(status)
    lab.expect_nothing_left()
    assert "  the console's last lines:\n    " in done.err and "\n  next: " in done.err, done
    assert "bootsonde: trace in watch.trace.jsonl" in done.err, done
    assert "Traceback" not in done.out + done.err
    end = lab.trace("watch").end
    assert end is not None and end["reason"] in done.err
    assert end["outcome"] == {1: "failed", 3: "lost", 4: "timeout"}[status]
    return done


# The guest fails.


def test_panic_ends_the_run_with_its_message(lab: Lab) -> None:
    done = failed(lab, 1, "--append", "guest.fault=panic@tsc")
    assert "failed: the guest panicked: panic: guest.fault asked for it" in done.err
    assert 'cprobe find KERNEL --message "guest.fault asked for it"' in done.err
    assert done.seconds < 10


def test_uninjected_guest_fails_as_the_porters_did(lab: Lab) -> None:
    done = failed(lab, 1)
    assert "panic: TSC not initialized" in done.err
    milestones = [event["function"] for event in lab.trace("watch").of_kind("milestone")]
    assert "vpanic" in milestones


@pytest.mark.parametrize("append", ["guest.kdb=1", "guest.kdb=1 guest.fault=kdb@tsc"])
def test_debugger_prompt_ends_the_run(lab: Lab, append: str) -> None:
    """ddb waits for ever for somebody to type; the run does not."""
    done = failed(lab, 1, "--append", append, "--timeout", "20")
    assert done.seconds < 10
    assert "    db>" in done.err
    assert "  vCPU 0 at 0x" in done.err


@pytest.mark.parametrize("fault", ["triple", "reset"])
def test_reset_is_not_taken_for_an_exit(lab: Lab, fault: str) -> None:
    done = failed(lab, 1, "--append", f"guest.fault={fault}@tsc")
    assert "failed: the guest reset itself; a triple fault looks the same" in done.err
    assert f"guest.fault: {fault} at stage tsc" in done.err


@pytest.mark.parametrize("fault", ["pagefault", "null@login"])
def test_exception_ends_the_run(lab: Lab, fault: str) -> None:
    done = failed(lab, 1, "--append", f"guest.i8254=1 guest.fault={fault}", "--until", "never printed")
    assert "failed: the guest" in done.err and "fault" in done.err


def test_exit_without_a_summary_is_no_success(lab: Lab) -> None:
    done = failed(lab, 1, "--append", "guest.fault=exit@tsc")
    assert "left through debug-exit as passed, but printed no summary" in done.err


@pytest.mark.parametrize(("fault", "where"), [("spin", "spin_forever+0x"), ("hang", "cpu_halt+0x")])
def test_hang_times_out_and_shows_where(lab: Lab, fault: str, where: str) -> None:
    done = failed(lab, 4, "--append", f"guest.fault={fault}@tsc", "--timeout", "1.5")
    assert "  vCPU 0 at 0xffffffff80" in done.err and where in done.err
    assert f"guest.fault: {fault} at stage tsc" in done.err
    assert 1.5 < done.seconds < 1.5 + GRACE


def test_every_vcpu_is_shown(lab: Lab) -> None:
    done = failed(lab, 4, "--append", "guest.i8254=1", "--smp", "3", "--until", "never printed", "--timeout", "2")
    assert [f"  vCPU {number} at 0x" in done.err for number in range(4)] == [True, True, True, False]


def test_breakpoint_that_is_hit_for_ever_times_out(lab: Lab) -> None:
    """Nothing but hits: GDB hardly ever sees a guest that runs."""
    hot = 'scenario.at(Functions("rdtsc_ordered"))\nscenario.at(Functions("tsc_get_timecount"))\n' \
          'scenario.at(Insn("in"))\nscenario.at(Insn("rdtsc"))'
    done = failed(lab, 4, "--append", "guest.i8254=1", "--timeout", "2", "--until", "never printed", scenario=hot)
    assert 2 < done.seconds < 2 + GRACE
    assert len(lab.trace("watch").of_kind("hit")) > 200


def test_hot_breakpoint_whose_hits_never_count_times_out(lab: Lab) -> None:
    cold = 'scenario.at(Insn("in"), if_="tsc_freq == 12345")\nscenario.at(Insn("rdtsc"), skip=1000000)'
    done = failed(lab, 4, "--append", "guest.i8254=1", "--timeout", "2", "--until", "never printed", scenario=cold)
    assert 2 < done.seconds < 2 + GRACE


# Somebody ends one of the programs.


@pytest.fixture
def endless(lab: Lab) -> Callable[[int, Callable[[subprocess.Popen[str]], None]], Done]:
    """endless(status, act): a run that would never end; `act` on it once it runs; how it ended."""
    lab.scenario("endless", WATCH)

    def running(process: subprocess.Popen[str]) -> bool:
        path = lab.cwd / "endless.trace.jsonl"
        return process.poll() is not None or (path.exists() and "login: " in lab_console(lab))

    def run(status: int, act: Callable[[subprocess.Popen[str]], None]) -> Done:
        with lab.running(*ENDLESS) as process:
            wait_for("the guest's prompt", lambda: running(process))
            began = time.monotonic()
            act(process)
            out, err = process.communicate(timeout=15)
            done = Done(process.returncode, out, err, time.monotonic() - began).expect(status)
        lab.expect_nothing_left()
        return done
    return run


def lab_console(lab: Lab) -> str:
    """The console log of the one run there is."""
    return "".join(path.read_text(errors="replace") for path in lab.guests.glob("run-*/console"))


def test_killed_gdb_is_lost(lab: Lab, endless: Callable[..., Done]) -> None:
    done = endless(3, lambda _: os.kill(lab.pid("gdb"), signal.SIGKILL))
    assert "lost: GDB was ended by signal 9" in done.err
    assert "    login:" in done.err and "  vCPU 0 at 0x" in done.err and "\n  next: " in done.err
    trace = lab.trace("endless")
    assert trace.cut and [event["function"] for event in trace.of_kind("hit")] == ["tsc_init"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_qemu_is_lost(lab: Lab, endless: Callable[..., Done], number: signal.Signals) -> None:
    done = endless(3, lambda _: os.kill(lab.pid("qemu"), number))
    assert "bootsonde: lost: QEMU was ended " in done.err
    assert "    login:" in done.err and "\n  next: " in done.err
    end = lab.trace("endless").end
    assert end is not None and end["outcome"] == "lost"


@pytest.mark.parametrize("whom", ["it alone", "GDB too"])
def test_killed_bootsonde_leaves_no_process(lab: Lab, whom: str) -> None:
    """The next run takes away the folder that nobody could remove."""
    lab.scenario("endless", WATCH)
    with lab.running(*ENDLESS) as process:
        wait_for("the guest's prompt", lambda: "login: " in lab_console(lab))
        assert len(lab.processes()) >= 3
        (os.kill if whom == "it alone" else os.killpg)(process.pid, signal.SIGKILL)
        process.communicate(timeout=15)
    wait_for("the end of QEMU, GDB and cprobe", lambda: not lab.processes(), 10)
    assert [event["function"] for event in lab.trace("endless").of_kind("hit")] == ["tsc_init"]
    lab.run("endless.py", "--append", "guest.i8254=1").expect(0)
    lab.expect_nothing_left()


def test_killed_bootsonde_leaves_anothers_guest_alone(lab: Lab) -> None:
    lab.scenario("endless", WATCH)
    with lab.waiting("--append", "guest.i8254=1") as guest:
        with lab.running("endless.py", "--attach", "waiting", "--until", "never printed") as process:
            wait_for("the guest's prompt", lambda: "login: " in lab.console("waiting"))
            process.kill()
            process.communicate(timeout=15)
        wait_for("the end of GDB and cprobe", lambda: list(lab.processes()) == [guest.pid], 10)
        guest.communicate("exit\n", timeout=15)
        assert guest.returncode == 33
    end = lab.trace("endless").end
    assert end is not None and end["outcome"] == "lost"


def test_terminated_bootsonde_ends_the_run(lab: Lab, endless: Callable[..., Done]) -> None:
    done = endless(128 + signal.SIGTERM, lambda process: process.terminate())
    assert done.seconds < 8


def test_interrupt_ends_with_the_summary(lab: Lab, endless: Callable[..., Done]) -> None:
    """Ctrl-C on the terminal goes to the whole foreground group."""
    done = endless(130, lambda process: os.killpg(process.pid, signal.SIGINT))
    assert "tsc_init: 1 of 1 hit" in done.out
    assert "bootsonde: interrupted" in done.err and "Traceback" not in done.out + done.err
    end = lab.trace("endless").end
    assert end is not None and end["outcome"] == "interrupted"


def test_interrupt_against_hits_that_never_stop(lab: Lab) -> None:
    lab.scenario("hot", 'scenario.at(Insn("in"))', 'scenario.at(Insn("rdtsc"))')
    with lab.running("hot.py", "--append", "guest.i8254=1", "--until", "never printed", "--timeout", "30") as process:
        assert process.stdout is not None
        while " in in " not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=15)
    assert process.returncode == 130 and "Traceback" not in err, err
    lab.expect_nothing_left()


# No guest, or another one.


def test_nobody_waits(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    for address in ("127.0.0.1:9", f"unix:{lab.runtime}/none", "nobody"):
        done = lab.run("watch.py", "--attach", address).expect(2)
        assert "no guest " in done.err and "./launch/microvm_debug.sh KERNEL" in done.err, done
        assert "Traceback" not in done.err and done.seconds < 5
    assert not (lab.cwd / "watch.trace.jsonl").exists()
    lab.expect_nothing_left()


@pytest.fixture(params=["with build-id", "without build-id"])
def rebuilt(lab: Lab, cprobe: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Two builds of a kernel, (booted, named): another build-id; or no build-id, and other code at the entry."""
    booted, named, note = lab.cwd / "booted", lab.cwd / "named", lab.cwd / "note"
    full = lab.build / "guest" / "clockguest.full"
    subprocess.run(["objcopy", "--dump-section", f".note.gnu.build-id={note}", full, booted], check=True, timeout=10)
    image, build_id = bytearray(booted.read_bytes()), note.read_bytes()
    start = image.index(build_id)
    if request.param == "with build-id":
        image[start + len(build_id) - 1] ^= 0xff
    else:
        image[start + 8] = 0x7f  # The note's type is not NT_GNU_BUILD_ID any more.
        booted.write_bytes(image)
        info = json.loads(lab.command([str(cprobe), "info", str(booted), "--format", "json"]).expect(0).out)
        assert not info.get("build_id")
        entry = int(info["pvh_entry"], 0)
        code = next(s for s in info["segments"] if 0 <= entry - int(s["paddr"], 0) < s["filesz"])
        image[code["offset"] + entry - int(code["paddr"], 0) + 8] ^= 0xff
    named.write_bytes(image)
    booted.chmod(0o755)
    return booted, named


def test_other_build_than_the_running_guest_is_refused(lab: Lab, rebuilt: tuple[Path, Path]) -> None:
    booted, named = rebuilt
    lab.scenario("watch", WATCH)
    done = lab.run("watch.py", "--kernel", booted, "--symbols", named).expect(2)
    assert f"the guest does not run {named}" in done.err and "start the guest again if you have rebuilt it" in done.err
    lab.expect_nothing_left()


# The kernel's file.


def test_kernel_without_symbols_says_what_is_missing(lab: Lab) -> None:
    bare = lab.cwd / "bare"
    subprocess.run(["objcopy", "--strip-all", "--remove-section=.gnu_debuglink", "--remove-section=.note.gnu.build-id",
                    lab.kernel, bare], check=True, timeout=10)
    done = lab.run(lab.stock("pvclock"), "--kernel", bare).expect(1)
    assert "no DWARF" in done.out and "kernel.debug" in done.out, done
    assert "no variable tsc_freq: nothing is injected" in done.out
    assert "(check)" in done.out, "the check is found by the code that refers to the message"
    assert "Traceback" not in done.err
    lab.expect_nothing_left()


def test_symbols_that_are_no_elf(lab: Lab) -> None:
    (lab.cwd / "bzImage").write_bytes(b"MZ" + bytes(1000))
    done = lab.run(lab.stock("pvclock"), "--symbols", "bzImage").expect(2)
    assert "not an ELF file" in done.err and "--symbols" in done.err


# The trace's file.


@pytest.fixture
def tiny_disk(lab: Lab) -> Iterator[Path]:
    """A file system with room for two pages."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    folder = lab.cwd / "tiny"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], capture_output=True, text=True,
                          timeout=10, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], timeout=10, check=True)


def test_full_disk_fails_and_leaves_what_fitted(lab: Lab, tiny_disk: Path) -> None:
    lab.scenario("watch", 'scenario.at(Functions(file="*.c"))')
    done = lab.run("watch.py", "--append", "guest.i8254=1", "--trace", "tiny/t.trace.jsonl").expect(1)
    assert "failed: the trace cannot be written further" in done.err and "No space left on device" in done.err
    assert "\n  next: make room" in done.err
    lab.expect_nothing_left()
    trace = lab.trace("tiny/t")
    assert trace.cut and trace.of_kind("hit")


def test_full_device(lab: Lab) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    lab.scenario("watch", WATCH)
    done = lab.run("watch.py", "--trace", "/dev/full").expect(1)
    assert "No space left on device" in done.err and "Traceback" not in done.out + done.err
    lab.expect_nothing_left()


def test_trace_in_no_folder(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    done = lab.run("watch.py", "--trace", "nowhere/t").expect(2)
    assert "the trace cannot be written" in done.err and "nowhere/t" in done.err
    lab.expect_nothing_left()


# The tools.


def tool_fails(lab: Lab, status: int, *words: str, **environment: str) -> str:
    lab.scenario("watch", WATCH)
    done = lab.run("watch.py", *words, **environment).expect(status)
    assert "Traceback" not in done.out + done.err and done.seconds < 10
    lab.expect_nothing_left()
    return done.err


def test_no_gdb(lab: Lab) -> None:
    error = tool_fails(lab, 2, GDB="/nowhere/gdb")
    assert "/nowhere/gdb" in error and "install gdb" in error


def test_gdb_that_ends_at_once(lab: Lab) -> None:
    error = tool_fails(lab, 3, GDB="false")
    assert "lost: GDB ended with status 1" in error and "vCPU 0 at 0xfff0" in error


def test_no_qemu(lab: Lab) -> None:
    error = tool_fails(lab, 2, QEMU="/nowhere/qemu")
    assert "no QEMU at /nowhere/qemu: install it" in error


def test_qemu_refuses_an_option(lab: Lab) -> None:
    error = tool_fails(lab, 3, "--", "-no-such-option")
    assert "the guest did not start" in error and "-no-such-option: invalid option" in error


def test_no_cprobe(lab: Lab) -> None:
    assert "cprobe" in tool_fails(lab, 2, CPROBE="/nowhere/cprobe")
