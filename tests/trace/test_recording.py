"""`bootsonde trace` on the reference guest: what it records, when it ends, what it refuses."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab, open_lab, wait_for

from bootsonde.model.trace import Trace

#: A guest that comes to login by itself.
BOOTS = ("--append", "guest.i8254=1")


def entered(trace: Trace) -> list[str]:
    """The functions entered, in order."""
    return [event["function"] for event in trace.of_kind("hit")]


@pytest.fixture(scope="module")
def whole(root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, str, Trace]]:
    """A whole boot, with what was said."""
    with open_lab(root, build, tmp_path_factory.mktemp("whole")) as lab:
        done = lab.command(lab.words("trace", *BOOTS)).expect(0)
        lab.expect_nothing_left()
        yield lab, done.out + done.err, lab.read("clockguest.trace")


def test_every_function_of_a_boot(whole: tuple[Lab, str, Trace]) -> None:
    _, _, trace = whole
    names = entered(trace)
    assert names[:3] == ["btext", "kernel_high", "hammer_time"], "from the first instruction on, before paging"
    assert names.index("tsc_init") < names.index("lapic_init") < names.index("root_bus_configure")
    assert len(set(names)) > 80


def test_it_says_how_much_and_what_to_do_next(whole: tuple[Lab, str, Trace]) -> None:
    _, said, trace = whole
    assert 'bootsonde: passed: the console shows "login:"' in said
    assert "bootsonde: trace in " in said
    assert f"bootsonde: {len(entered(trace)):,} events in " in said
    assert "cprobe why " in said


def test_the_header_tells_of_kernel_and_qemu(whole: tuple[Lab, str, Trace], cprobe: Path) -> None:
    lab, _, trace = whole
    info = json.loads(subprocess.run([cprobe, "info", lab.kernel, "--format", "json"], capture_output=True, check=True,
                                     timeout=20).stdout)
    assert trace.header["kernel"]["build-id"] == info["build_id"]
    assert trace.header["kernel"]["name"] == "clockguest"
    assert trace.header["qemu"]["version"].split(".")[0].isdigit()
    assert "-plugin" in trace.header["qemu"]["arguments"]
    assert trace.header["clock"] == "host" and trace.header["listed"]["all"] is True


def written(trace: Trace) -> list[tuple[str, int]]:
    """The console's lines, each with the number of bytes that the guest had put out since the line before."""
    lines, count = [], 0
    for event in trace.events:
        if event["kind"] == "console":
            lines.append((event["text"], count))
            count = 0
        else:
            count += event["function"] == "ns8250_putc"
    return lines


def expect_lines_in_place(trace: Trace) -> None:
    """Each right behind the call that wrote its last byte, a line feed; the prompt, without one, at the trace's end."""
    *lines, (prompt, count) = written(trace)
    assert len(lines) > 20
    assert [count for _, count in lines] == [len(text) + len("\r\n") for text, _ in lines]
    assert count == len(prompt)


def test_console_lines_stand_where_they_were_printed(whole: tuple[Lab, str, Trace]) -> None:
    expect_lines_in_place(whole[2])


def test_times_never_go_back(whole: tuple[Lab, str, Trace]) -> None:
    _, _, trace = whole
    times = [event["t"] for event in trace.events]
    assert times == sorted(times)
    assert trace.end is not None and trace.end["t"] >= times[-1]


@pytest.mark.parametrize("words, listed", [
    (["--functions", "tsc_init,lapic_*"], ["--func", "tsc_init", "--func", "lapic_*"]),
    (["--file", "tsc.c", "--file", "kvm_clock.c"], ["--file", "tsc.c", "--file", "kvm_clock.c"]),
    (["--file", "tsc.c", "--functions", "tsc_*"], ["--file", "tsc.c", "--func", "tsc_*"]),
])
def test_functions_and_files_are_chosen_as_cprobe_does(lab: Lab, cprobe: Path, words: list[str], listed: list[str],
                                                       whole: tuple[Lab, str, Trace]) -> None:
    lab.command(lab.words("trace", *BOOTS, *words, "-o", "t")).expect(0)
    shown = subprocess.run([cprobe, "list", lab.kernel, *listed], capture_output=True, text=True, check=True,
                           timeout=20).stdout
    wanted = {line.split()[1] for line in shown.splitlines()}
    ran = set(entered(whole[2]))
    assert ran & wanted <= set(entered(lab.read("t"))) <= wanted


def test_a_panic_fails_and_the_trace_is_whole(lab: Lab) -> None:
    """As the guest boots without any help: "TSC not initialized"."""
    done = lab.command(lab.words("trace")).expect(1)
    assert "bootsonde: failed: the guest panicked: panic: TSC not initialized" in done.err
    trace = lab.read("clockguest.trace")
    assert trace.end is not None and entered(trace)[-1] == "debug_exit"


def test_until_a_text_within_a_line(lab: Lab) -> None:
    """The text has not ended its line yet; nothing after it is recorded."""
    lab.command(lab.words("trace", *BOOTS, "--until", "SMP: 1 of", "-o", "t")).expect(0)
    trace = lab.read("t")
    assert trace.end is not None and trace.end["outcome"] == "stopped"
    assert trace.of_kind("console")[-1]["text"].endswith("SMP: 1 of")


def test_limit_is_exact(lab: Lab) -> None:
    done = lab.command(lab.words("trace", *BOOTS, "--smp", "2", "--limit", "1234", "-o", "t")).expect(0)
    assert "bootsonde: passed: " in done.out
    assert len(entered(lab.read("t"))) == 1234


def test_stop_at_a_function(lab: Lab) -> None:
    lab.command(lab.words("trace", *BOOTS, "--stop-at", "lapic_init", "-o", "t")).expect(0)
    names = entered(lab.read("t"))
    assert names[-1] == "lapic_init" and names.count("lapic_init") == 1


def test_stopping_is_told_by_the_name_that_was_given(lab: Lab) -> None:
    done = lab.command(lab.words("trace", *BOOTS, "--stop-at", "lapic_init", "-o", "t")).expect(0)
    assert "bootsonde: passed: lapic_init was reached" in done.out and "--stop-at" not in done.out


@pytest.mark.parametrize("place, said", [
    ("pvclock_init", "--stop-at pvclock_init: not reached\n"),
    ("0x1234", "--stop-at 0x1234: not reached; no function of this kernel begins there\n"),
])
def test_a_place_that_was_not_reached_is_said(lab: Lab, place: str, said: str) -> None:
    assert said in lab.command(lab.words("trace", *BOOTS, "--stop-at", place, "-o", "t")).expect(0).out


def test_names_with_odd_characters(lab: Lab, cprobe: Path) -> None:
    """In QEMU's options, in the plugin's and in a shell; the commands that are proposed can be typed."""
    folder = lab.cwd / "a, b=c 'd"
    folder.mkdir()
    shutil.copy(lab.kernel, folder / "my, kernel=1%d")
    done = lab.command(lab.words("trace", *BOOTS, "--kernel", folder / "my, kernel=1%d", "-o", folder / "t, u=%s"))
    proposed = [line.split(": ", 1)[1] for line in done.expect(0).out.splitlines() if line.startswith("  w")]
    assert len(proposed) == 2
    for line in proposed:
        words = line.replace("FUNC", "pvclock_init")
        assert subprocess.run(["sh", "-c", words], cwd=lab.cwd, capture_output=True, text=True, timeout=20,
                              check=False).returncode == 0, words
        assert shlex.split(line)[0] == "cprobe" or Path(lab.cwd, shlex.split(line)[0]).samefile(cprobe)


def test_coverage_counts_what_events_are(lab: Lab) -> None:
    """Functions that are called equally often in boots alike."""
    steady = ["--file", "tsc.c", "--file", "kvm_clock.c", "--file", "subr_bus.c", "--file", "mptable.c"]
    lab.command(lab.words("trace", *BOOTS, *steady, "-o", "events")).expect(0)
    lab.command(lab.words("trace", *BOOTS, *steady, "--coverage", "-o", "counts")).expect(0)
    counted = lab.counted("counts")
    assert counted == Counter(entered(lab.read("events"))) != Counter()


def test_two_recordings_are_the_same_byte_by_byte(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.command(lab.words("trace", "--deterministic", *BOOTS, "-o", name)).expect(0)
    assert (lab.cwd / "a").read_bytes() == (lab.cwd / "b").read_bytes()
    assert lab.read("a").header["clock"] == "icount"
    expect_lines_in_place(lab.read("a"))


@pytest.mark.long
@pytest.mark.parametrize("smp", ["1", "2", "4"])
def test_five_recordings_are_the_same(lab: Lab, smp: str) -> None:
    for name in range(5):
        lab.command(lab.words("trace", "--deterministic", *BOOTS, "--smp", smp, "-o", str(name))).expect(0)
    assert len({(lab.cwd / str(name)).read_bytes() for name in range(5)}) == 1


def test_an_older_trace_is_kept(lab: Lab) -> None:
    (lab.cwd / "clockguest.trace").write_text("older")
    lab.command(lab.words("trace", *BOOTS, "--functions", "tsc_init")).expect(0)
    assert (lab.cwd / "clockguest.trace.old").read_text() == "older"


def test_a_guest_that_hangs_times_out_with_its_place(lab: Lab) -> None:
    done = lab.command(lab.words("trace", *BOOTS, "--until", "no such text", "--timeout", "2", "-o", "t")).expect(4)
    assert "bootsonde: timeout: the deadline has passed" in done.err
    assert "vCPU 0 at 0x" in done.err
    assert lab.read("t").end is not None
    lab.expect_nothing_left()


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_trace_is_whole(lab: Lab, number: signal.Signals, status: int) -> None:
    with lab.running(*BOOTS, "--until", "no such text", "-o", "t", verb="trace") as process:
        wait_for("the first blocks", lambda: (lab.cwd / "t").exists() and (lab.cwd / "t").stat().st_size > 10000)
        os.kill(process.pid, number)
        process.communicate(timeout=20)
        assert process.returncode == status
    lab.expect_nothing_left()
    assert lab.read("t").end is not None


def test_a_killed_qemu_leaves_what_it_had(lab: Lab) -> None:
    with lab.running(*BOOTS, "--until", "no such text", "-o", "t", verb="trace") as process:
        wait_for("the first blocks", lambda: (lab.cwd / "t").exists() and (lab.cwd / "t").stat().st_size > 10000)
        os.kill(lab.pid("qemu", "-plugin"), signal.SIGKILL)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 3, err
    assert "QEMU was ended by signal 9" in err
    trace = lab.read("t")
    assert trace.cut and "tsc_init" in entered(trace)
    lab.expect_nothing_left()


def test_gdb_and_plugin_in_one_trace(lab: Lab) -> None:
    """GDB sets tsc_freq, the plugin sees what comes of it."""
    scenario = lab.scenario("tsc", 'scenario.at(Functions("lapic_init")).inject(tsc_freq=2600000000)',
                            'scenario.until("login:")')
    lab.command(lab.words("trace", "--scenario", scenario, "-o", "t")).expect(0)
    trace = lab.read("t")
    inject = trace.of_kind("inject")[0]
    assert inject["target"] == "tsc_freq" and trace.end is not None
    before = {event["function"] for event in trace.events[:trace.events.index(inject)] if event["kind"] == "hit"}
    after = {event["function"] for event in trace.events[trace.events.index(inject):] if event["kind"] == "hit"}
    assert "tsc_init" in before and "root_bus_configure" in after - before


def test_a_scenario_that_is_wrong(lab: Lab) -> None:
    """That is all there is to say: the guest has not moved."""
    scenario = lab.scenario("none", 'scenario.at(Functions("no_such_function"))')
    done = lab.command(lab.words("trace", *BOOTS, "--scenario", scenario, "-o", "t")).expect(2)
    assert "no_such_function" in done.err and "what ran:" not in done.out + done.err
    lab.expect_nothing_left()


@pytest.mark.parametrize("script", ['("$@"; echo "status $?" >&2) | head -1', '"$@" >&-; echo "status $?" >&2',
                                    '"$@" <&- >&-; echo "status $?" >&2'])
def test_nobody_reads_what_it_says(lab: Lab, script: str) -> None:
    done = lab.command(["sh", "-c", script, "sh", *lab.words("trace", *BOOTS, "-o", "t")]).expect(0)
    assert done.err == "status 0\n"
    assert lab.read("t").end is not None


# What is refused.


@pytest.mark.parametrize("words, message", [
    (["--functions", "no_such_function"], "no function matches"),
    (["--functions", "a,,b"], "--functions wants names with commas between them"),
    (["--all", "--file", "tsc.c"], "--all records every function"),
    (["--mem", "a@rdi:4"], "--mem goes with --args"),
    (["--coverage", "--args"], "--coverage records no events"),
    (["--limit", "0"], "--limit wants a positive number"),
    (["--stop-at", "no_such_function"], "this kernel has no such function"),
    (["--stop-at", "0xzz"], "give a function's name or 0xADDRESS"),
    (["--accel", "kvm"], "nothing under KVM"),
    (["--set", "a=b"], "--set is for a --scenario"),
    (["--scenario", "no/such.py"], "no such scenario"),
    (["--scenario", "no/such.py", "--deterministic"], "GDB's stops cost virtual time"),
    (["--timeout", "0"], "--timeout wants a positive number"),
    (["--timeout", "nan"], "--timeout wants a positive number"),
    (["--kernel", ""], "--kernel is empty"),
    (["--symbols", ""], "--symbols is empty"),
    (["--file", ""], "--file, --stop-at and -o want a value"),
    (["--stop-at", ""], "--file, --stop-at and -o want a value"),
    (["-o", ""], "--file, --stop-at and -o want a value"),
    (["--until", ""], "--until '': give a text that is part of one line"),
    (["--until", "a\nb"], "give a text that is part of one line"),
    (["--append", "a\nb"], "microvm_debug.sh: "),
    (["--kernel", "no/such"], "no such kernel"),
])
def test_refused(lab: Lab, words: list[str], message: str) -> None:
    done = lab.command(lab.words("trace", *words)).expect(2)
    assert message in done.err and "Traceback" not in done.err
    lab.expect_nothing_left()


def test_symbols_of_another_kernel(lab: Lab) -> None:
    """None of its functions would be entered."""
    full, other = lab.build / "guest" / "clockguest.full", lab.cwd / "other"
    changed = ["sh", "-c", "printf '\\4\\0\\0\\0\\4\\0\\0\\0\\3\\0\\0\\0GNU\\0abcd' >note && objcopy "
               '--update-section .note.gnu.build-id=note "$1" other', "sh", str(full)]
    subprocess.run(changed, cwd=lab.cwd, check=True, timeout=20)
    refused = lab.command(lab.words("trace", *BOOTS, "--symbols", other)).expect(2)
    assert "--symbols" in refused.err and "has the build-id 61626364" in refused.err


def test_a_boot_in_which_none_of_them_ran(lab: Lab) -> None:
    """So does a kernel look that moved itself: what could be wrong is said."""
    done = lab.command(lab.words("trace", *BOOTS, "--functions", "pvclock_*", "-o", "t")).expect(0)
    assert "none of the functions was entered" in done.out and "nokaslr" in done.out
    done = lab.command(lab.words("trace", *BOOTS, "-o", "t", "--", "-device", "no-such")).expect(3)
    assert "no-such" in done.err and "none of the functions" not in done.err


@pytest.mark.parametrize("verb, option", [("trace", ["-o"]), ("run", ["scenario.py", "--trace"])])
def test_what_is_read_is_not_overwritten(lab: Lab, verb: str, option: list[str]) -> None:
    """Under another name, too."""
    lab.scenario("scenario", 'scenario.at(Functions("tsc_init"))')
    kernel = lab.cwd / "kernel"
    shutil.copy(lab.kernel, kernel)
    (lab.cwd / "link").symlink_to(kernel)
    done = lab.command(lab.words(verb, *option, "link", "--kernel", kernel)).expect(2)
    assert f"{option[-1]} link would overwrite {kernel}" in done.err
    assert kernel.read_bytes() == lab.kernel.read_bytes()


def test_a_qemu_that_is_not_there(lab: Lab) -> None:
    done = lab.command(lab.words("trace"), QEMU="/no/qemu").expect(2)
    assert "no QEMU at /no/qemu" in done.err and "Traceback" not in done.err


def test_a_kernel_that_names_no_function(lab: Lab) -> None:
    """Not what it lacks, but what that means and what helps."""
    kernel = lab.cwd / "stripped"
    full = lab.build / "guest" / "clockguest.full"
    subprocess.run(["objcopy", "--strip-all", "--remove-section=.gnu_debuglink", full, kernel], check=True, timeout=20)
    done = lab.command(lab.words("trace", "--kernel", kernel)).expect(2)
    assert "no function has a name" in done.err.splitlines()[-1] and "--symbols" in done.err
    named = lab.command(lab.words("trace", *BOOTS, "--kernel", kernel, "--symbols", full, "-o", "t"))
    assert "passed" in named.expect(0).out


def test_a_qemu_without_plugins_is_named(lab: Lab) -> None:
    """Such a QEMU is not to be had here: this one answers as it does."""
    fake = lab.cwd / "qemu"
    fake.write_text("#!/bin/sh\necho 'qemu-system-x86_64: -plugin a.so: invalid option' >&2\nexit 1\n")
    fake.chmod(0o755)
    done = lab.command(lab.words("trace"), QEMU=str(fake)).expect(2)
    assert "this QEMU was built without TCG plugins" in done.err


def test_a_full_disk(lab: Lab) -> None:
    """A limit on the file's size stands for it."""
    command = ["sh", "-c", 'ulimit -f 40; trap "" XFSZ; exec "$@"', "sh", *lab.words("trace", *BOOTS, "-o", "t")]
    done = lab.command(command).expect(3)
    assert "the trace cannot be written further: File too large" in done.err
    trace = lab.read("t")
    assert trace.cut and entered(trace)
    lab.expect_nothing_left()
