"""`bootsonde replay`: what it says of boots alike and of others, its exit codes, --accept and --bisect."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from replaykit import BOOTS, OTHER, Baselines


def test_the_same_boot_is_equal(baselines: Baselines) -> None:
    done = baselines.replay(baselines.put()).expect(0)
    assert re.search(r"^equal     boot  \(\d+\.\d\d s\)$", done.out, re.MULTILINE)
    assert done.out.splitlines()[-1].endswith(": 1 equal") and done.err == ""
    baselines.expect_nothing_left()


def test_another_way_is_told_with_the_first_divergence_first(baselines: Baselines) -> None:
    lines = baselines.replay(baselines.other("boot")).expect(1).out.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("diverged  boot"))
    assert lines[at + 1].startswith("  first divergence: ")
    assert "  note: -append: " in "\n".join(lines) and "lapic_calibrate_initcount" in "\n".join(lines)
    assert lines[-1].endswith(": 1 diverged")


def test_trace_and_console_of_another_way_are_where_it_says(baselines: Baselines) -> None:
    out = baselines.replay(baselines.other("boot")).expect(1).out
    found = dict(re.findall(r"^  (trace|console) in (.*)$", out, re.MULTILINE))
    assert b"bootsonde-trace" in Path(found["trace"]).read_bytes()[:100]
    assert "login:" in Path(found["console"]).read_text()


def test_what_is_left_out_is_shown_by_the_command_that_is_named(baselines: Baselines) -> None:
    """It is cprobe's: a replay has no such option."""
    path = baselines.put("boot", ("functions = tsc_*,lapic_*", "functions = *"))
    out = baselines.replay(path).expect(1).out
    hint = re.search(r"more: (cprobe diff --limit 0) for all$", out, re.MULTILINE)
    trace = re.search(r"^  trace in (.*)$", out, re.MULTILINE)
    assert hint and trace, out
    _, *words = hint[1].split()
    command = [str(baselines.lab.build / "cprobe" / "cprobe"), *words, str(path), trace[1]]
    assert " more: " not in baselines.lab.command(command).expect(1).out


def test_keep_names_the_folder_for_them(baselines: Baselines) -> None:
    baselines.replay(baselines.other("boot"), "--keep", "kept").expect(1)
    assert sorted(path.name for path in (baselines.folder / "kept").iterdir()) == ["boot.console", "boot.trace"]
    baselines.expect_nothing_left()


def test_options_replace_those_of_the_baseline(baselines: Baselines) -> None:
    baselines.replay(baselines.other("boot"), "--append", BOOTS).expect(0)


def test_what_options_make_another_boot_is_not_accepted_without_them(baselines: Baselines) -> None:
    """--accept boots as the baseline says, so that it would show no change; what it says to do does."""
    path = baselines.put()
    out = baselines.replay(path, "--append", OTHER).expect(1).out
    assert f"if this is meant: `append = {OTHER}` into [boot] of that baseline" in out
    path.write_text(path.read_text().replace(f"append = {BOOTS}\n", f"append = {OTHER}\n"))
    assert "was changed as shown" in baselines.replay("--accept", path).expect(0).out


def test_another_number_of_vcpus_is_another_machine(baselines: Baselines) -> None:
    assert "vCPU" in baselines.replay(baselines.put(), "--smp", "2").expect(1).out


def test_the_console_counts(baselines: Baselines) -> None:
    """The steps are the same; what the guest says is not what is expected."""
    done = baselines.replay(baselines.put("boot", ("PASS tsc_advances", "PASS tsc_stands_still"))).expect(1)
    assert "expected  PASS tsc_stands_still" in done.out and "came      PASS tsc_advances" in done.out


def test_what_terminals_act_upon_is_not_printed(baselines: Baselines) -> None:
    path = baselines.put("boot", ("PASS tsc_advances", "PASS\u2028 \u009b31m tsc_advances"))
    assert "  expected  PASS\u2028 31m tsc_advances\n" in baselines.replay(path).expect(1).out


def test_what_is_kept_of_one_name_is_kept_apart(baselines: Baselines, tmp_path_factory: pytest.TempPathFactory) -> None:
    paths = [baselines.other("boot").rename(tmp_path_factory.mktemp(name) / "boot.baseline") for name in ("a", "b")]
    out = baselines.replay(*paths, "--keep", "kept").expect(1).out
    assert len(set(re.findall(r"^  trace in (.*)$", out, re.MULTILINE))) == 2
    assert len(list((baselines.folder / "kept").glob("*.trace"))) == 2


@pytest.mark.parametrize("more", [(), ("--junitxml", "j.xml")], ids=["alone", "pytest"])
def test_of_equal_boots_another_machine_is_said_once(baselines: Baselines, more: tuple[str, ...]) -> None:
    done = baselines.replay(baselines.put("a"), baselines.put("b"), "--memory", "255M", *more).expect(0)
    assert done.out.count('\n  note: -m: "256M" in the baseline, "255M" now\n') == 1
    assert re.findall(r"^equal +(\w+)", done.out, re.MULTILINE) == ["a", "b"]


def test_another_kernel_is_noted(baselines: Baselines, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.full"
    kernel.write_bytes((baselines.lab.build / "guest" / "clockguest.full").read_bytes())
    done = baselines.replay(baselines.other("boot"), "--kernel", kernel).expect(1)
    assert f"note: recorded with the kernel clockguest, and this is {kernel}" in done.out


def test_another_configuration_is_noted(baselines: Baselines) -> None:
    path = baselines.other("boot")
    path.write_text(re.sub(r"config = sha256:.{8}", "config = sha256:00000000", path.read_text()))
    done = baselines.replay(path).expect(1)
    assert re.search(r"  note: another config: sha256:\w+ \(11 options\); recorded: sha256:00000000", done.out)


def test_a_folder_stands_for_the_baselines_in_it(baselines: Baselines) -> None:
    (baselines.folder / "deep").mkdir()
    baselines.put("b")
    baselines.put("deep/a")
    done = baselines.replay(baselines.folder, baselines.folder / "b.baseline").expect(0)
    assert re.findall(r"^equal +(\w+)", done.out, re.MULTILINE) == ["b", "a"]


def test_x_ends_after_the_first_that_is_not_equal(baselines: Baselines) -> None:
    done = baselines.replay(baselines.put("a"), baselines.other("b"), baselines.put("c"), "-x").expect(1)
    assert re.findall(r"^(\w+) +([abc]) ", done.out, re.MULTILINE) == [("equal", "a"), ("diverged", "b")]


def test_lost_is_told_from_diverged(baselines: Baselines) -> None:
    path = baselines.put("boot", ("until = login:", "until = never"))
    with baselines.lab.running(path, verb="replay") as process:
        baselines.wait_until_it_runs()
        os.kill(baselines.lab.pid("qemu-system"), signal.SIGKILL)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 3
    assert re.search(r"^lost      boot .*\n  QEMU was ended by signal 9$", out, re.MULTILINE)


def test_gdb_that_goes_away_is_lost(baselines: Baselines) -> None:
    scenario = baselines.lab.scenario("watch", 'scenario.at(Functions("tsc_init"))', 'scenario.until("never")')
    path = baselines.put("boot", ("functions = tsc_*,lapic_*", f"scenario = {scenario}"), ("until = login:\n", ""))
    with baselines.lab.running(path, verb="replay") as process:
        os.kill(baselines.lab.pid("gdb", "headless.py"), signal.SIGKILL)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 3 and "GDB was ended by signal 9" in out
    baselines.lab.expect_nothing_left()


@pytest.mark.parametrize("given", ["baseline", "option"])
def test_a_boot_that_hangs_times_out(baselines: Baselines, given: str) -> None:
    """What it did until then is compared, and shown."""
    path = baselines.put("boot", ("until = login:", "until = never" + "\ntimeout = 1.5" * (given == "baseline")))
    done = baselines.replay(path, *(["--timeout", "1.5"] if given == "option" else [])).expect(4)
    assert re.search(r"^timed out boot .*\n  the deadline has passed$", done.out, re.MULTILINE)
    assert "as far as it came:\n  first divergence: " in done.out and "vCPU 0 at 0x" in done.out
    baselines.lab.expect_nothing_left()


def test_a_difference_outweighs_a_boot_that_hangs(baselines: Baselines) -> None:
    """It is one, whatever became of the others."""
    slow = baselines.put("a", ("until = login:", "until = never\ntimeout = 1"))
    assert ": 1 diverged, 1 timed out" in baselines.replay(slow, baselines.other("b")).expect(1).out


@pytest.mark.parametrize(("old", "new", "says"), [
    ("bootsonde-baseline 1", "bootsonde-baseline 2", "boot.baseline:1: a baseline of version '2'"),
    ("bootsonde-baseline 1", "some text", "boot.baseline:1: no baseline"),
    ("append =", "appendix =", "boot.baseline:5: [boot] has no 'appendix'"),
    ("console = exact", "console = nearly", "boot.baseline:"),
])
def test_a_baseline_that_is_none_is_named_by_file_and_line(baselines: Baselines, old: str, new: str,
                                                           says: str) -> None:
    done = baselines.replay(baselines.put("boot", (old, new))).expect(2)
    assert says in done.out and "Traceback" not in done.out + done.err, done
    baselines.expect_nothing_left()


@pytest.mark.parametrize(("line", "byte"), [(1, b"\xff\xfe"), (3, b"\n\n\xe4")])
def test_what_is_no_utf8_is_named_by_its_line(baselines: Baselines, line: int, byte: bytes) -> None:
    path = baselines.put()
    path.write_bytes(byte + path.read_bytes())
    assert f"boot.baseline:{line}: a byte 0x" in baselines.replay(path).expect(2).out


def test_a_device_is_no_baseline(baselines: Baselines) -> None:
    path = baselines.folder / "zero.baseline"
    path.symlink_to("/dev/zero")
    assert "zero.baseline is a device" in baselines.replay(path).expect(2).out


def test_one_that_is_cut_off_is_named(baselines: Baselines) -> None:
    path = baselines.put()
    path.write_text(path.read_text()[:600])
    assert re.search(r"boot\.baseline(:\d+)?: ", baselines.replay(path).expect(2).out)


@pytest.mark.parametrize(("words", "says"), [
    (["nosuch.baseline"], "nosuch.baseline: no such baseline"),
    (["."], "ends with .baseline"),
    (["boot.baseline", "--kernel", "nosuch"], "nosuch: no such kernel"),
    (["boot.baseline", "--accel", "kvm"], "virtual time needs --accel tcg"),
    (["boot.baseline", "--rr", "replay:x"], "--rr has no place in a replay"),
    (["boot.baseline", "--timeout", "0"], "--timeout wants a positive number"),
    (["boot.baseline", "--accept", "--smp", "2"], "--accept boots as [boot] says"),
    (["boot.baseline", "--accept", "--runs", "0"], "--runs wants a number of boots"),
    (["boot.baseline", "--runs", "2"], "--runs and --large are for --accept"),
    (["boot.baseline", "--matrix", "nosuch"], "nosuch: the matrix cannot be read"),
    (["boot.baseline", "-k", "other"], "-k other: no name matches"),
    (["boot.baseline", "-k", "boot", "-n", "0"], "-n 0: a number of replays, 1 or more"),
    (["boot.baseline", "-k", "boot", "-n", "x"], "-n x: a number of replays, 1 or more"),
])
def test_refused(baselines: Baselines, words: list[str], says: str) -> None:
    if words != ["."]:
        baselines.put()
    done = baselines.replay(*words).expect(2)
    assert says in done.err + done.out and "Traceback" not in done.err, done
    baselines.expect_nothing_left()


def test_two_replays_of_one_baseline_do_not_meet(baselines: Baselines) -> None:
    path = baselines.put()
    with baselines.lab.running(path, verb="replay") as one, baselines.lab.running(path, verb="replay") as two:
        said = [process.communicate(timeout=30)[0] for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], said
    baselines.expect_nothing_left()


@pytest.mark.parametrize(("number", "status", "more"), [
    (signal.SIGINT, 130, ()),
    (signal.SIGTERM, 143, ("--junitxml", "j.xml")),
    pytest.param(signal.SIGINT, 130, ("--junitxml", "j.xml"), marks=pytest.mark.long),
    pytest.param(signal.SIGINT, 130, ("-n", "1"), marks=pytest.mark.long),
    pytest.param(signal.SIGTERM, 143, ("-n", "1"), marks=pytest.mark.long),
], ids=["SIGINT", "SIGTERM-pytest", "SIGINT-pytest", "SIGINT-xdist", "SIGTERM-xdist"])
def test_a_signal_ends_it_and_leaves_nothing(baselines: Baselines, number: int, status: int,
                                             more: tuple[str, ...]) -> None:
    paths = [baselines.put(name, ("until = login:", "until = never")) for name in ("a", "b")]
    with baselines.lab.running(*paths, *more, verb="replay") as process:
        baselines.wait_until_it_runs()
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == status
    baselines.expect_nothing_left()


# --accept


def test_accept_takes_the_boot_as_it_is_now(baselines: Baselines) -> None:
    path = baselines.other("boot")
    done = baselines.replay("--accept", path, "--runs", "2").expect(0)
    assert "-    lapic0: timer frequency " in done.out
    assert "+    lapic0: calibration disabled by guest.lapic_calibration" in done.out
    assert f"append = {OTHER}" in path.read_text()
    baselines.replay(path).expect(0)
    baselines.expect_nothing_left()


def test_accept_keeps_boot_and_comments_at_their_lines(baselines: Baselines) -> None:
    path = baselines.other("boot")
    text = path.read_text()
    text = text.replace("append =", "  # two tunables\n  append =")
    text = text.replace("    summary: ", "    # how the guest's checks went\n    summary: ")
    text = "# why this is here\n" + text.replace("[end]", "# the end\n\n# of it\n[end]") + "# last\n"
    path.write_text(text)
    baselines.replay("--accept", path, "--runs", "2").expect(0)
    now = path.read_text()
    assert now.startswith("# why this is here\nbootsonde-baseline 1\n")
    assert now.endswith("\n# last\n")
    for kept in (f"[boot]\nfunctions = tsc_*,lapic_*\n  # two tunables\n  append = {OTHER}\n",
                 "\n    # how the guest's checks went\n    summary: ", "\n# the end\n\n# of it\n[end]\n"):
        assert kept in now
    assert now.count("#") == text.count("#")


def test_accept_keeps_what_is_not_compared(baselines: Baselines) -> None:
    path = baselines.put("boot", ("console = exact\n", "console = text\nignore = lapic_write32\n"))
    baselines.replay("--accept", path, "--runs", "1").expect(0)
    assert "console = text\n" in path.read_text() and "ignore = lapic_write32\n" in path.read_text()


def test_accept_leaves_a_baseline_that_is_right(baselines: Baselines) -> None:
    path = baselines.put()
    before = path.stat().st_mtime_ns
    assert "boot.baseline is as it was" in baselines.replay("--accept", path, "--runs", "2").expect(0).out
    assert path.stat().st_mtime_ns == before and path.read_text() == baselines.recorded


def test_accept_writes_line_feeds_alone(baselines: Baselines) -> None:
    path = baselines.other("boot")
    path.write_bytes(("# why\n" + path.read_text()).replace("\n", "\r\n").encode())
    done = baselines.replay("--accept", path, "--runs", "1").expect(0)
    assert b"\r" not in path.read_bytes() and path.read_text().startswith("# why\n")
    assert "-bootsonde-baseline 1" not in done.out


def test_accept_refuses_what_somebody_else_has_changed_meanwhile(baselines: Baselines) -> None:
    path = baselines.put("boot", (f"append = {BOOTS}", f"append = {OTHER}"), ("until = login:", "until = summary:"))
    with baselines.lab.running("--accept", path, "--runs", "2", verb="replay") as process:
        baselines.lab.pid("qemu-system")
        path.write_text(baselines.recorded + "# mine\n")
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "was changed by somebody else meanwhile" in err
    assert path.read_text() == baselines.recorded + "# mine\n"
    baselines.expect_nothing_left()


def test_accept_of_a_boot_that_hangs_changes_nothing(baselines: Baselines) -> None:
    path = baselines.put("boot", ("until = login:", "until = never\ntimeout = 1"))
    before = path.read_text()
    baselines.replay("--accept", path).expect(4)
    assert path.read_text() == before


# --bisect


@pytest.mark.parametrize(("changes", "words", "status", "says"), [
    ([], [], 0, "bootsonde: good\n"),
    ([(f"append = {BOOTS}\n", f"append = {OTHER}\n")], [], 1, "bootsonde: bad: first divergence: "),
    ([("until = login:", "until = never\ntimeout = 1")], [], 125, "bootsonde: cannot be tested: timed out: "),
    ([], ["--kernel", "nosuch"], 125, "cannot be tested"),
    ([("append", "appendix")], [], 125, "cannot be tested"),
])
def test_bisect_answers_as_git_bisect_run_wants(baselines: Baselines, changes: list[tuple[str, str]],
                                                words: list[str], status: int, says: str) -> None:
    done = baselines.replay("--bisect", baselines.put("boot", *changes), *words).expect(status)
    assert says in done.out and len((done.out + done.err).splitlines()) == 1
    baselines.expect_nothing_left()


def test_bisect_takes_a_wrong_command_for_no_bad_kernel(baselines: Baselines) -> None:
    baselines.replay("--bisect", baselines.put(), "--nosuch").expect(125)
    baselines.replay("--bisect", baselines.put("a"), baselines.put("b")).expect(125)
    baselines.replay("--bisect", baselines.put("a"), "--junitxml", "a.xml").expect(125)


def test_bisect_takes_an_error_of_its_own_for_no_bad_kernel(baselines: Baselines) -> None:
    """Of ours, as of Python's when it has nowhere to write to: 1 would be a verdict."""
    path = baselines.put()
    for out in ("/dev/full", "| true"):
        command = f'"$@" {out if out.startswith("|") else "> " + out}; exit ${{PIPESTATUS[0]}}'
        done = baselines.lab.command(["bash", "-c", command, "sh", *baselines.lab.words("replay", "--bisect", path)])
        assert done.expect(125)
