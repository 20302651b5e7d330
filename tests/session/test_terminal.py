"""A person at two terminals: the launcher in one, gdb in the other."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from labkit import WATCH, Lab, wait_for
from terminals import PROMPT, end_guest, gdb, launcher

# The first session.


def test_source_stops_at_the_first_hit_with_a_prompt_that_works(lab: Lab) -> None:
    with launcher(lab), gdb(lab) as debugger:
        said = debugger.type(f"source {lab.stock('pvclock')}")
        assert "guest tty" in said and "15 breakpoints: pvclock.c" in said, said
        assert "cpu0 tsc_init()" in said and "cpu0 probe_tsc_freq" not in said, said
        back = debugger.type("bt")
        assert re.search(r"^#0 +tsc_init \(\) at .*tsc\.c:\d+\n#1 .* in hammer_time \(", back, re.M), back
        assert re.search(r"^\$1 = 0$", debugger.type("p tsc_freq"), re.M)
        assert re.search(r"^\d+\t.*tsc_init\(", debugger.type("list"), re.M)


def test_go_prints_hits_to_login_and_the_summary(lab: Lab) -> None:
    with launcher(lab) as terminal, gdb(lab) as debugger:
        debugger.type(f"source {lab.stock('pvclock')}")
        said = debugger.type("bootsonde go")
        assert "injected tsc_freq = 0x3b9aca00" in said and 'cpu0 clockcalib(clk=' in said, said
        assert "pvclock.c: 0 of 15 hit" in said and 'bootsonde: passed: the console shows "login:"' in said, said
        assert re.search(r"^\$\d = 10\d{8}|^\$\d = 2\d{9}|^\$\d = \d{9,10}$", debugger.type("p tsc_freq"), re.M)
        terminal.expect_exact("login: ")
        trace = lab.trace("pvclock")
        assert trace.end is not None and trace.end["outcome"] == "passed"
        assert "source a scenario for a new one" in debugger.type("bootsonde go")


def test_cpuid_stops_after_the_answer(lab: Lab) -> None:
    with launcher(lab), gdb(lab) as debugger:
        said = debugger.type(f"source {lab.stock('cpuid')}")
        if "vendor" not in said:
            said += debugger.type("bootsonde go")
        assert 'vendor "TCGTCGTCGTCG": QEMU TCG' in said, said


def test_settings_come_before_the_scenario(lab: Lab) -> None:
    with launcher(lab), gdb(lab) as debugger:
        debugger.type(f"source {lab.stock('pvclock')}")
        assert "leaf=0x80000000" in debugger.type("bootsonde set leaf=0x80000000")
        said = debugger.type(f"source {lab.stock('cpuid')}")
        if "vendor" not in said:
            said += debugger.type("bootsonde go")
        assert "cpuid 0x80000000.0x0:" in said and "highest leaf 0x8" in said, said


# Ctrl-C.


def test_ctrl_c_ends_go_with_summary_and_prompt(lab: Lab) -> None:
    lab.scenario("watch", WATCH, 'scenario.until("never printed")')
    with launcher(lab, "--append", "guest.fault=spin@lapic guest.i8254=1") as terminal, gdb(lab) as debugger:
        debugger.type("source watch.py")
        debugger.start("bootsonde go")
        terminal.expect_exact("guest.fault: spin at stage lapic")
        said = debugger.interrupt()
        assert "tsc_init: 1 of 1 hit" in said and "SIGINT" in said, said
        assert "Traceback" not in said and "Python Exception" not in said, said
        assert "spin_forever" in debugger.type("bt")
        # The run goes on where it was.
        debugger.start("bootsonde go")
        terminal.sendline("")
        assert "tsc_init: 1 of 1 hit" in debugger.interrupt()


def test_ctrl_c_against_hits_that_never_stop(lab: Lab) -> None:
    lab.scenario("hot", 'scenario.at(Insn("in"))', 'scenario.at(Insn("rdtsc"))', 'scenario.until("never printed")')
    with launcher(lab, "--append", "guest.i8254=1"), gdb(lab) as debugger:
        debugger.type("source hot.py")
        debugger.start("bootsonde go")
        debugger.expect("in in ")
        said = debugger.interrupt()
        assert re.search(r"every rdtsc: \d+ of \d+ hit", said), said[-2000:]


def test_ctrl_c_in_the_launchers_terminal_is_the_guests(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab, "--append", "guest.i8254=1") as terminal, gdb(lab) as debugger:
        debugger.type("source watch.py")
        debugger.type("bootsonde go")
        terminal.expect_exact("login: ")
        debugger.type("bootsonde detach")
        terminal.sendintr()
        terminal.expect_exact("^C")
        terminal.expect_exact("login: ")
        terminal.send("poweroff\r")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 33


# More places.


def test_break_takes_conditions(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab, "--append", "guest.i8254=1", "--smp", "3") as _, gdb(lab) as debugger:
        debugger.type("source watch.py")
        assert "init_secondary" in debugger.type("bootsonde break init_secondary vcpu 2")
        assert "lapic_init" in debugger.type("bootsonde break lapic_init if addr == 1")
        assert "selftest_record" in debugger.type("bootsonde break selftest_record skip 1 limit 2")
        assert re.search(r"clock_init.* clock\.c:\d+|clock\.c:\d+", debugger.type("bootsonde break cpu_initclocks"))
        debugger.type("bootsonde go")
    events = lab.trace("watch").of_kind("hit")
    assert [e["vcpu"] for e in events if e["function"] == "init_secondary"] == [2]
    assert len([e for e in events if e["function"] == "selftest_record"]) == 2
    assert not [e for e in events if e["function"] == "lapic_init"]
    assert len([e for e in events if e["function"] == "cpu_initclocks"]) == 1


@pytest.mark.parametrize(("words", "answer"), [
    ("", "usage: bootsonde break"),
    ("no_such_function", "no_such_function"),
    ("lapic_init skip x", "usage: bootsonde break"),
    ("lapic_init if", "usage: bootsonde break"),
    ("lapic_init if nothing == 1", "nothing is neither a variable of this kernel nor a parameter here"),
])
def test_break_refuses_what_it_does_not_understand(lab: Lab, words: str, answer: str) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab), gdb(lab) as debugger:
        debugger.type("source watch.py")
        said = debugger.type(f"bootsonde break {words}")
        assert answer in said and "Traceback" not in said and "Python Exception" not in said, said


def test_next_breaks_on_the_way_to_a_function(lab: Lab) -> None:
    """What stands between the functions that ran and one that did not gets breakpoints, whose hits are recorded."""
    lab.scenario("clock", 'scenario.at(Functions("kvm_clock_identify"))', 'scenario.at(Functions("pvclock_*"))')
    with launcher(lab, "--append", "guest.i8254=1") as _, gdb(lab) as debugger:
        assert "cpu0 kvm_clock_identify(" in debugger.type("source clock.py")
        said = debugger.type("bootsonde next nothing")
        assert "this kernel has no function nothing" in said and "cut off" not in said and "build-id" not in said, said
        assert "usage: bootsonde next" in debugger.type("bootsonde next a b")
        said = debugger.type("bootsonde next pvclock_init")
        assert re.search(r"0x\w+ \S+ \(check of hv_base\) kvm\.h:\d+ to BUS_ADD_CHILD", said), said
        assert "kvm_clock_attach kvm_clock.c" in said, said
        assert "have their breakpoints" in debugger.type("bootsonde next pvclock_init")
        debugger.type("bootsonde inject vm_guest=5")
        said = debugger.type("bootsonde go")
        assert "(check of hv_base)  kvm.h" in said and "on the way to pvclock_init:" in said, said
        said = debugger.type("bootsonde next")
        assert "the run has ended" in said and "Python Exception" not in said, said
    trace = lab.trace("clock")
    assert any(e.get("place") == "check" for e in trace.of_kind("hit"))
    assert re.fullmatch(r"[0-9a-f]{40}", trace.header["kernel"]["build-id"])
    assert trace.header["listed"] == [{"files": [], "functions": ["kvm_clock_identify"], "inlined": "include"},
                                      {"files": [], "functions": ["pvclock_*"], "inlined": "include"}]


def test_commands_before_any_scenario_say_what_to_do(lab: Lab) -> None:
    package = lab.root / "gdb"
    with gdb(lab) as debugger:
        debugger.type(f"python import sys; sys.path.insert(0, {str(package)!r}); import bootsonde.session.commands")
        for command in ("go", "summary", "break lapic_init"):
            assert "source scenarios/pvclock.py" in debugger.type(f"bootsonde {command}")


# Again.


def test_source_again_after_the_guest_was_started_again(lab: Lab) -> None:
    with gdb(lab) as debugger:
        for _ in range(2):
            with launcher(lab) as terminal:
                said = debugger.type(f"source {lab.stock('pvclock')}")
                assert "guest tty" in said and "cpu0 tsc_init()" in said, said
                assert "Error" not in said and "Traceback" not in said, said
                assert "hammer_time" in debugger.type("bt")
                end_guest(terminal)
        assert (lab.cwd / "pvclock.trace.jsonl.old").exists()


def test_source_again_in_the_running_guest_keeps_the_users_breakpoints(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    lab.scenario("later", 'scenario.at(Functions("lapic_init"))')
    with launcher(lab), gdb(lab) as debugger:
        debugger.type("source watch.py")
        debugger.type("break panic")
        said = debugger.type("source later.py")
        assert "cpu0 lapic_init" in said and "attached" not in said, said
        points = debugger.type("info breakpoints")
        assert "in panic at" in points or "<panic" in points, points
        assert "tsc_init" not in points, points
        debugger.type("bootsonde detach")
        points = debugger.type("info breakpoints")
        assert "panic" in points and "lapic_init" not in points, points
    first = lab.trace("watch").end
    assert first is not None and first["outcome"] == "interrupted"


def relink(lab: Lab, kernel: Path) -> None:
    """Build the guest again with its objects in another order, so that functions move."""
    commands = subprocess.run(["ninja", "-C", lab.build, "-t", "commands", "guest/clockguest.linked"], text=True,
                              capture_output=True, timeout=20, check=True).stdout
    words = shlex.split(next(line for line in reversed(commands.splitlines()) if " -o guest/clockguest.linked" in line))
    words[words.index("-o") + 1] = str(kernel)
    places = [number for number, word in enumerate(words) if word.endswith(".o")]
    for place, word in zip(places, [words[number] for number in reversed(places)]):
        words[place] = word
    subprocess.run(words, cwd=lab.build, timeout=20, check=True)


def test_rebuilt_kernel_is_read_again(lab: Lab) -> None:
    """The kernel's file is replaced while GDB lives: breakpoints, `bt` and `p` are the new build's."""
    kernel = lab.cwd / "kernel"
    lab.scenario("watch", WATCH)
    shutil.copy(lab.build / "guest" / "clockguest.full", kernel)
    places = []
    with gdb(lab) as debugger:
        for build in ("first", "second"):
            if build == "second":
                relink(lab, kernel)
            with launcher(lab, kernel=kernel) as terminal:
                said = debugger.type("source watch.py")
                assert "cpu0 tsc_init()" in said and "differs" not in said, said
                back = debugger.type("bt")
                assert re.search(r"^#0 +tsc_init \(\) at .*\n#1 .* in hammer_time \(", back, re.M), back
                places += re.findall(r"0x[0-9a-f]+", debugger.type("p &tsc_init") + debugger.type("p &tsc_freq"))
                assert debugger.type("p/x $pc").split()[-1] in places
                end_guest(terminal)
    assert len(set(places)) == 4, places


def test_rebuilt_kernel_without_a_new_start_is_refused(lab: Lab) -> None:
    """The guest that waits still runs the old build."""
    kernel = lab.cwd / "kernel"
    lab.scenario("watch", WATCH)
    shutil.copy(lab.build / "guest" / "clockguest.full", kernel)
    with launcher(lab, kernel=kernel), gdb(lab) as debugger:
        wait_for("the stub, and so QEMU's own copy", (lab.runtime / "tty").is_socket)
        kernel.unlink()
        relink(lab, kernel)
        said = debugger.type("source watch.py")
        assert "the guest does not run " in said and "start the guest again if you have rebuilt it" in said, said
        assert "Traceback" not in said and "cpu0" not in said, said


# Connections and guests.


def test_connection_made_by_hand_is_used_and_left(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab, "--append", "guest.i8254=1") as terminal, gdb(lab) as debugger:
        debugger.type("set osabi none")
        debugger.type("set architecture i386:x86-64")
        debugger.type(f"target remote {lab.runtime / 'tty'}")
        said = debugger.type("source watch.py")
        assert "attached" not in said and "cpu0 tsc_init()" in said, said
        debugger.type("bootsonde go")
        debugger.type("bootsonde detach")
        assert str(lab.runtime / "tty") in debugger.type("info connections")
        assert "No breakpoints" in debugger.type("info breakpoints")
        terminal.expect_exact("login: ")
        debugger.type("detach")
        terminal.sendintr()
        terminal.expect_exact("^C")


@pytest.fixture
def nobody_on_1234() -> Iterator[None]:
    """Holds the port where an unregistered guest would be looked for."""
    with socket.socket() as holder:
        try:
            holder.bind(("127.0.0.1", 1234))
        except OSError as error:
            pytest.skip(f"port 1234 is taken: {error}")
        yield


def test_no_guest_waits(lab: Lab, nobody_on_1234: None) -> None:
    with gdb(lab) as debugger:
        said = debugger.type(f"source {lab.stock('pvclock')}")
        assert "no guest waits at 127.0.0.1:1234" in said and "./launch/microvm_debug.sh KERNEL" in said, said
        assert "Traceback" not in said and "Python Exception" not in said, said
        assert '"auto"' in debugger.type("show osabi")
        # Then somebody starts one.
        with launcher(lab):
            assert "cpu0 tsc_init()" in debugger.type(f"source {lab.stock('pvclock')}")


def test_two_guests_are_to_be_chosen_from(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab, name="one"), launcher(lab, name="two"), gdb(lab) as debugger:
        said = debugger.type("source watch.py")
        assert "one (" in said and "two (" in said and "bootsonde attach NAME" in said, said
        assert "guest two" in debugger.type("bootsonde attach two")
        assert "cpu0 tsc_init()" in debugger.type("source watch.py")
        assert "no guest waits at three" in debugger.type("bootsonde attach three")


def test_guest_of_the_environment(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab, name="one"), launcher(lab, name="two"), gdb(lab, BOOTSONDE_GUEST="one") as debugger:
        assert "guest one" in debugger.type("source watch.py")


# The user's GDB.


def test_symbols_at_prompt_never(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab), gdb(lab) as debugger:
        debugger.type("source watch.py")
        debugger.type("kill")
    with launcher(lab), gdb(lab) as debugger:
        debugger.type(f"python import sys; sys.path.insert(0, {str(lab.root / 'gdb')!r}); "
                      "import bootsonde.session.commands")
        debugger.type("set bootsonde-symbols-at-prompt never")
        assert "cpu0 tsc_init()" in debugger.type("source watch.py")
        assert "No symbol table is loaded" in debugger.type("p tsc_freq")


SETTINGS = ("architecture", "confirm", "pagination", "height", "width", "tcp auto-retry", "scheduler-locking",
            "suppress-cli-notifications", "breakpoint pending", "can-use-hw-breakpoints", "disassembly-flavor")


def test_settings_are_the_users_after_detach(lab: Lab) -> None:
    """`osabi` may stay none while a FreeBSD file is loaded: GDB 13 would end with an internal error."""
    lab.scenario("watch", WATCH)
    with launcher(lab), gdb(lab) as debugger:
        def shown() -> list[str]:
            return [debugger.type(f"show {name}").split(" (currently")[0] for name in SETTINGS]

        before = shown()
        debugger.type("source watch.py")
        debugger.type("bootsonde detach")
        debugger.type("file")
        assert shown() == before


def test_quitting_gdb_ends_the_trace(lab: Lab) -> None:
    with launcher(lab) as terminal, gdb(lab) as debugger:
        debugger.type(f"source {lab.stock('pvclock')}")
        debugger.quit()
        assert debugger.terminal.signalstatus is None
        trace = lab.trace("pvclock")
        assert trace.end is not None and trace.end["outcome"] == "interrupted"
        terminal.expect_exact("panic: TSC not initialized")


def test_guest_that_ends_during_go_leaves_a_prompt(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    with launcher(lab, "--append", "guest.fault=triple@lapic guest.i8254=1") as terminal, gdb(lab) as debugger:
        debugger.type("source watch.py")
        said = debugger.type("bootsonde go")
        assert "tsc_init: 1 of 1 hit" in said and "bootsonde: lost: the connection" in said, said
        assert "Traceback" not in said and "Python Exception" not in said, said
        terminal.expect(pexpect.EOF)
        assert "this run has ended" in debugger.type("bootsonde go")


# One terminal: bootsonde run --prompt.


def test_run_with_a_prompt(lab: Lab) -> None:
    lab.scenario("watch", WATCH)
    words = lab.words("run", "watch.py", "--prompt", "--append", "guest.i8254=1")
    terminal = pexpect.spawn(words[0], words[1:], cwd=str(lab.cwd), timeout=12, encoding="utf-8",
                             dimensions=(60, 250), env={**lab.environment, "TERM": "dumb", "HOME": str(lab.cwd)})
    try:
        terminal.expect_exact("cpu0 tsc_init()")
        terminal.expect_exact(PROMPT)
        terminal.sendline("bootsonde go")
        terminal.expect_exact('passed: the console shows "login:"')
        terminal.expect_exact(PROMPT)
        terminal.sendline("quit")
        if terminal.expect([pexpect.EOF, r"\(y or n\) "]) == 1:
            terminal.sendline("y")
            terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0
    finally:
        terminal.close(force=True)
    lab.expect_nothing_left()


# As a person has it: two panes of tmux.


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux")
def test_two_panes(lab: Lab) -> None:
    tmux = ["tmux", "-S", str(lab.runtime / "tmux"), "-f", "/dev/null"]

    def do(*words: str) -> str:
        return subprocess.run([*tmux, *words], env=lab.environment, cwd=lab.cwd, capture_output=True, text=True,
                              timeout=10, check=True).stdout

    def screen(pane: str) -> str:
        return do("capture-pane", "-p", "-t", pane, "-S", "-200")

    def keys(pane: str, line: str) -> None:
        do("send-keys", "-t", pane, line, "Enter")

    do("new-session", "-d", "-s", "t", "-x", "180", "-y", "50",
       f"exec {lab.root}/launch/microvm_debug.sh --name pane --stub unix:{lab.runtime}/pane {lab.kernel}")
    try:
        do("set-option", "-g", "remain-on-exit", "on")
        do("split-window", "-t", "t", f"HOME={lab.cwd} exec gdb -q")
        wait_for("the launcher's words", lambda: "Ctrl-A X ends it" in screen("t.0"))
        wait_for("GDB's prompt", lambda: "(gdb)" in screen("t.1"))
        keys("t.1", f"source {lab.stock('pvclock')}")
        wait_for("the first hit", lambda: "cpu0 tsc_init()" in screen("t.1"))
        wait_for("the prompt", lambda: screen("t.1").rstrip().endswith("(gdb)"))
        keys("t.1", "bootsonde go")
        wait_for("the end", lambda: "bootsonde: passed:" in screen("t.1"))
        wait_for("the guest's prompt", lambda: "login:" in screen("t.0"))
        keys("t.1", "bootsonde detach")
        do("send-keys", "-t", "t.0", "C-c")
        wait_for("the guest's answer to Ctrl-C", lambda: "^C" in screen("t.0"))
    finally:
        do("kill-server")
    wait_for("the end of all", lambda: not lab.processes(), 10)
