"""cprobe baseline: what it makes of traces, what a person may write, and what cprobe diff says of a boot by it."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import blocks
import pytest
from cprobe_kit import Cprobe, nm
from diffkit import CALLS, KERNEL, LINES, NAMES, Answer, boot, edited, event, qemu, valued

OTHER_KERNEL = {"name": "k", "build_id": "22" * 20}
#: Names that mean something else where they are not written with care.
NAMES_LIKE_LINES: list[bytes | str] = [
    "5 times {", "}", "{", "}}", "a {b}", "a{b}", "a}", "a = b", "=", "[vcpu 0]", "[end]", "# a", "\\", "\\x41", "a\nb",
    " a", "a ", "  ", "\t", "(whole boot)", "outcome = exit", "gr\u00fcn", "\u00a0", b"\xff\xfe", b"\xc3", "a, b=0x1",
    "\x7f", "bootsonde-baseline 1", "5 times { {x}", "a  {", "n" * 3000]
LINES_LIKE_OTHERS: list[bytes | str] = [
    *NAMES_LIKE_LINES, "", " ", "\r", "\r\r a \r\r", "[    0.1] [    0.2] twice", "[ 1.5]", "[ 1.5]\r", b"\0",
    b"a\0b 5", b"\0\0", "at 0xffffffff80200000",
    "ffffffff80200000:ffffffff80200000", "0x0xffffffff80200000", "12.5,7 MHz", "e\\", "x" * 5000]
Make = Callable[..., str]
Judge = Callable[..., Answer]


def short(value: object) -> str:
    """Of a parameter, for a test's name."""
    return repr(value)[:30]


@pytest.fixture
def make(probe: Cprobe, tmp_path: Path) -> Make:
    """The baseline of some runs, which must become one; options first."""
    def run(*runs: bytes | str | Path, said: str = "") -> str:
        words: list[str | Path] = []
        for number, item in enumerate(runs):
            if isinstance(item, bytes):
                (tmp_path / f"run{number}").write_bytes(item)
                item = tmp_path / f"run{number}"
            words.append(item)
        done = probe.run("baseline", *words)
        assert done.returncode == 0 and (said in done.stderr if said else not done.stderr), done.stderr
        return done.stdout
    return run


@pytest.fixture
def judge(probe: Cprobe, tmp_path: Path) -> Judge:
    """What cprobe diff says of a trace by a baseline."""
    def run(baseline: bytes | str, trace: bytes, *options: str | Path) -> Answer:
        data = baseline if isinstance(baseline, bytes) else baseline.encode(errors="surrogateescape")
        (tmp_path / "b.baseline").write_bytes(data)
        (tmp_path / "now").write_bytes(trace)
        return Answer(probe, tmp_path / "b.baseline", tmp_path / "now", *options)
    return run


@pytest.fixture
def refused(probe: Cprobe, tmp_path: Path) -> Callable[..., str]:
    """What is said of a baseline that cannot be read, of its path on."""
    def run(text: bytes | str) -> str:
        path = tmp_path / "bad.baseline"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        (tmp_path / "now").write_bytes(boot())
        done = probe.run("diff", path, tmp_path / "now")
        assert done.returncode == 3 and done.stdout == "", (done.stdout, done.stderr)
        assert done.stderr.startswith(f"cprobe: {path}:") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr[len(f"cprobe: {path}:"):].rstrip("\n")
    return run


@pytest.fixture
def as_lines(probe: Cprobe, tmp_path: Path) -> Callable[[bytes], bytes]:
    """A trace in blocks as JSON Lines."""
    def run(data: bytes) -> bytes:
        (tmp_path / "form").write_bytes(data)
        return probe.run("events", tmp_path / "form", "--format", "json").stdout.encode(errors="surrogateescape")
    return run


def section(text: str, name: str) -> list[str]:
    """The lines of a section, without blank ones."""
    lines = text.split("\n")
    begin = lines.index(f"[{name}]") + 1 if f"[{name}]" in lines else len(lines)
    end = next((at for at in range(begin, len(lines)) if lines[at].startswith("[")), len(lines))
    return [line for line in lines[begin:end] if line.strip()]


def written(*steps: str, more: str = "") -> str:
    """A baseline by hand, of vCPU 0; `more`: sections before it."""
    return "\n".join(["bootsonde-baseline 1", more, "[vcpu 0]", *(f"    {step}" for step in steps), "[end]",
                      "outcome = passed", ""])


def json_lines(*events: dict[str, Any], end: dict[str, Any] | None = None, **header: Any) -> bytes:
    rows = [{"format": "bootsonde-trace", "version": 1, **header}, *events,
            {"t": 99, "kind": "end", "outcome": "passed", **(end or {})}]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# -- A trace is equal to its baseline --

ROUND_TRIPS = {
    "blocks": boot(), "no console": boot(lines=[]), "nothing": boot([], []), "no kernel": boot(kernel=None, qemu=None),
    "two vCPUs": boot(more=blocks.events(1, [(500, 1, None, ()), (600, 2, None, ())]), qemu=qemu(2)),
    "the last vCPU": boot(more=blocks.events(65534, [(500, 1, None, ())])),
    "arguments": valued([[1, 2], [3, 0xffffffff80000000], [2**64 - 1, 0x1000], [4, 5]]),
    "unnamed arguments": valued([[1, 2], [3, 4]], args=["rdi"]),
    "session": boot(more=blocks.objects([
        event(3500, "inject", target="tsc_freq", before="0x0", after="0x5"),
        event(3600, "msr", access="write", msr="0x4b564d01", value="0x22a041"),
        event(3700, "msr", access="read", msr="0x1b", value="0xfee00900"),
        event(3800, "hit", args=[{"name": "p", "value": "a\0b }"}], caller={"function": "g+0x1"}, file="a/b\n.c",
              line=-5),
        {"t": 3900, "kind": "milestone", "name": "x {y}", "text": "} "}])),
}


@pytest.mark.parametrize("data", list(ROUND_TRIPS.values()), ids=list(ROUND_TRIPS))
def test_a_trace_is_equal_to_its_baseline(make: Make, judge: Judge, as_lines: Callable[[bytes], bytes], data: bytes
                                          ) -> None:
    text = make(data)
    for form in (data, as_lines(data)):
        answer = judge(text, form)
        assert answer.status == 0 and answer.of("note") == [], (answer.text.stdout, text)
        assert judge(make(form), data).status == 0
    assert make(data) == text


@pytest.mark.parametrize("name", NAMES_LIKE_LINES, ids=short)
def test_any_name_is_read_as_it_was(make: Make, judge: Judge, name: bytes | str) -> None:
    data = boot(["start", name, name, "start", *[name] * 5, "idle"])
    answer = judge(make(data), data)
    assert answer.status == 0 and answer.text.stdout == "equal: 10 steps of 1 vCPU, 3 console lines\n"
    assert judge(make(data), boot(["start", name, "other", "start", *[name] * 5, "idle"])).status == 1


@pytest.mark.parametrize("line", LINES_LIKE_OTHERS, ids=short)
def test_any_line_of_the_console_is_read_as_it_was(make: Make, judge: Judge, line: bytes | str) -> None:
    data = boot(lines=["a", line, line, "b"])
    for console in ("exact", "text"):
        assert judge(make("--console", console, data), data).status == 0
    answer = judge(make(data), boot(lines=["a", "another", "b"]))
    assert answer.status == 1


def test_any_text_is_read_as_it_was(make: Make, judge: Judge) -> None:
    """Traces at random, of what a baseline's lines are made of."""
    chance = random.Random(5)
    likely = [*" \t\\#x0{}=[(\n\r,:.\x7f", " {", " = ", "times", "0xffffffff80200000", "\u00fc"]

    def text() -> str:
        return "".join(chance.choice(likely) for _ in range(chance.randrange(1, 9)))

    for _ in range(40):
        rows = [{"t": t, "vcpu": chance.choice([0, 0, 3, None]), "kind": "hit", "function": text(), "address": "0x10",
                 "file": text(), "line": chance.randrange(-1, 3), "args": [{"name": text(), "value": text()}]}
                for t in range(chance.randrange(9))]
        rows += [{"t": 10, "kind": text(), text(): text(), "target": text()},
                 {"t": 11, "kind": "console", "text": text() + "\0"}]
        words = ["-append", text(), "-cpu", text(), "-smp", "2"]
        data = json_lines(*rows, end={"reason": text()}, kernel={"name": text(), "sha256": text()}, clock=text(),
                          listed=text(), qemu={"version": text(), "arguments": words})
        made = make(data)
        answer = judge(made, data)
        assert answer.status == 0 and answer.of("note") == [], (made, answer.text.stdout)


@pytest.mark.parametrize("reason", [None, "", 7, "a\nb\0c", " \\ "], ids=repr)
def test_any_reason_is_read_as_it_was(make: Make, judge: Judge, reason: object) -> None:
    data = json_lines(end={} if reason is None else {"reason": reason})
    assert judge(make(data), data).status == 0
    assert judge(make(data), json_lines(end={"reason": "another"})).of("end")


@pytest.mark.parametrize("words", [["-append", "", "-smp", "2"], ["-append", " a "], ["-append", "a\nb", "-cpu", "max"],
                                   ["-append"], ["-append", "-smp", "-smp", "4"]], ids=" ".join)
def test_options_of_the_machine_are_kept(make: Make, judge: Judge, words: list[str]) -> None:
    data = boot(qemu={"version": "7", "arguments": ["qemu", *words]})
    answer = judge(make(data), data)
    assert answer.status == 0 and (answer.of("note") == [] or words[:2] == ["-append", "-smp"])


def test_what_a_baseline_looks_like(make: Make) -> None:
    calls = ["start", "early", *["poll", *["read_port"] * 4] * 3, "idle"]
    text = make(boot(calls, LINES, qemu=qemu(cpu="max"), args=[], clock="host"))
    assert text == "\n".join([
        "bootsonde-baseline 1", "", "[recorded]", "kernel = k", "build-id = " + "11" * 20, "qemu = 10.0.2",
        "option = -cpu max", "option = -smp 1", "clock = host", "args = []", "runs = 1", "",
        "[compare]", "console = exact", "",
        "[console]", "    Linux version 6.1", "    tsc: 2596.128 MHz", "    login:", "",
        "[vcpu 0]", "    start", "    early", "    3 times {", "        poll", "        4 times {",
        "            read_port", "        }", "    }", "    idle", "", "[end]", "outcome = passed", ""])


def test_lines_of_the_source_are_told_and_shown(make: Make, judge: Judge, guest: Path, probe: Cprobe) -> None:
    build_id = probe.records("info", guest)[0]["build_id"]
    data = blocks.boot(nm(guest.with_suffix(".full")), kernel={"name": "clockguest", "build_id": build_id})
    text = make("--kernel", guest, data)
    places = dict(line.split(" = ") for line in section(text, "functions"))
    assert re.fullmatch(r"[^/]+/pvclock\.c:\d+", places["pvclock_init"])
    gone = text.replace("    pvclock_init\n", "    pvclock_gone\n").replace("pvclock_init =", "pvclock_gone =")
    step = judge(gone, data).of("divergence")[0]["expected"][0]
    assert f"{step['file']}:{step['line']}" == places["pvclock_init"]


# -- What does not repeat --

def compare(text: str) -> list[str]:
    """What [compare] leaves out."""
    return [line for line in section(text, "compare") if line.startswith("ignore")]


def values(*rows: Sequence[int]) -> bytes:
    return valued([list(row) for row in rows])


DIFFER: dict[str, tuple[list[bytes], list[str], str]] = {
    "order": ([boot(["start", "poll", "early"]), boot(["start", "early", "poll"])], ["ignore = "], "order"),
    "how often": ([boot(), boot(edited((6, 6, ["poll", "read_port"])))], ["ignore = poll", "ignore = read_port"],
                  "order"),
    "one run alone": ([boot(), boot(edited((3, 3, ["irq"]))), boot()], ["ignore = irq"], "irq"),
    "the third": ([boot(), boot(), boot(edited((3, 3, ["irq"])))], ["ignore = irq"], "irq"),
    "values": ([values((1, 2), (3, 4)), values((1, 2), (9, 4))], ["ignore-values = early"], "values"),
    "line": ([boot(), boot(lines=["hello", *LINES])], ["ignore-line = hello"], "hello"),
    "numbers": ([boot(), boot(lines=[LINES[0], "tsc: 2597.5 MHz", LINES[2]])], ["ignore-numbers = tsc: # MHz"],
                "numbers"),
    "a wildcard in a name": ([boot(), boot(edited((3, 3, ["a*[b]?\\"])))], ["ignore = a\\*\\[b]\\?\\\\"], "a*"),
    "what is no text": ([boot(), boot(lines=[b"\x1b[\xff x ", *LINES])], ["ignore-line = ?\\[? x?"], "?["),
    "a NUL": ([boot(lines=[b"\0a"]), boot(lines=[b"\0b"])], ["ignore-line = ?a", "ignore-line = ?b"], "console"),
    "NULs alone": ([boot(lines=[b"\0"]), boot(lines=[b"\0\0"])], ["ignore-line = ?", "ignore-line = ??"], "console"),
}


@pytest.mark.parametrize("runs, left_out, said", list(DIFFER.values()), ids=list(DIFFER))
def test_what_differs_between_runs_is_left_out_and_said(make: Make, judge: Judge, runs: list[bytes],
                                                        left_out: list[str], said: str) -> None:
    text = make(*runs, said=said)
    assert len(compare(text)) == len(left_out)
    for line, begin in zip(compare(text), left_out):
        assert line.startswith(begin)
    for run in runs:
        assert judge(text, run).status == 0
    assert f"runs = {len(runs)}" in section(text, "recorded")
    assert judge(text, boot(edited((2, 3, [])), ["something else"])).status == 1


def test_runs_that_repeat_leave_nothing_out(make: Make, judge: Judge) -> None:
    text = make(boot(), boot(step=900), boot())
    assert compare(text) == []
    assert judge(text, boot()).status == 0


def test_the_rest_is_compared_again_when_a_name_is_left_out(make: Make, judge: Judge) -> None:
    """Which of two names moved is not said by their order: whatever is left out, what stays repeats in all runs."""
    chance = random.Random(3)
    for _ in range(10):
        runs = []
        for _ in range(3):
            calls = [name for name in CALLS for _ in range(chance.choice([1, 1, 1, 2]) if name in NAMES[4:7] else 1)]
            if chance.randrange(2):
                calls.insert(chance.randrange(len(calls)), "irq")
            runs.append(boot(calls, [*LINES, f"random: {chance.randrange(9)}"] if chance.randrange(2) else LINES))
        text = make(*runs, said="not kept" if len(set(runs)) > 1 else "")
        assert [judge(text, run).status for run in runs] == [0, 0, 0]


def test_a_name_that_is_left_out_is_left_out_everywhere(make: Make, judge: Judge) -> None:
    text = make(boot(), boot(edited((3, 3, ["irq"]))), said="irq")
    assert judge(text, boot(edited((5, 5, ["irq"]), (9, 9, ["irq"] * 7)))).status == 0
    assert judge(text, boot(edited((5, 5, ["irq2"])))).names("extra") == [["irq2"]]


def test_clones_are_left_out_by_their_functions_name(make: Make, judge: Judge) -> None:
    text = make(boot(), boot(edited((3, 3, ["irq"]))), said="irq")
    assert judge(text, boot(edited((3, 3, ["irq.part.0"])))).status == 0
    line = make(boot(), boot(lines=[*LINES, "done"]), said="done")
    assert judge(line, boot(lines=[*LINES, "done. All of it"])).status == 1


def test_many_names_that_differ_take_no_longer(make: Make, judge: Judge) -> None:
    """Each run has 4000 calls, and 4000 lines, of its own."""
    runs = [boot([f"f{run}_{number}" for number in range(4000)], [f"line{run}_{number} x" for number in range(4000)])
            for run in range(2)]
    begin = time.monotonic()
    text = make(*runs, said="not kept")
    assert judge(text, runs[1]).status == 0 and len(compare(text)) == 16000
    assert time.monotonic() - begin < 20


def test_runs_of_which_one_has_a_vcpu_alone_are_no_baseline(probe: Cprobe, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(boot())
    (tmp_path / "b").write_bytes(boot(more=blocks.events(1, [(500, 1, None, ())])))
    for words in (["a", "b"], ["b", "a"]):
        done = probe.run("baseline", *(tmp_path / word for word in words))
        assert done.returncode == 1 and "vCPU 1 ran in one of them alone" in done.stderr and not done.stdout


@pytest.mark.parametrize("other, status, said", [
    (boot(outcome="failed"), 1, "end differently"), (boot(end=False), 1, "cut off"),
    (boot(mode="counts"), 3, "no order"), (boot(outcome="pass"), 1, 'outcome is "pass"'),
    (boot(kernel=OTHER_KERNEL), 2, "different kernels"),
    (boot(args=["rdi"]), 2, "other values"), (b"hello", 3, "no trace"), (boot()[:-3] + b"xyz", 3, "checksum")],
    ids=["end", "cut", "counts", "outcome", "kernel", "values", "text", "checksum"])
def test_what_is_no_run_of_the_boot_is_refused(probe: Cprobe, tmp_path: Path, other: bytes, status: int, said: str
                                               ) -> None:
    (tmp_path / "good").write_bytes(boot())
    (tmp_path / "other").write_bytes(other)
    for words in (["good", "other"], ["other", "good"]):
        done = probe.run("baseline", *(tmp_path / word for word in words))
        assert (done.returncode, done.stdout) == (status, "") and said in done.stderr, done.stderr


@pytest.mark.parametrize("data", [boot(end=False), boot(mode="counts"), boot(outcome="pass")],
                         ids=["cut", "counts", "outcome"])
def test_a_lone_trace_that_is_no_baseline_is_refused(probe: Cprobe, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    done = probe.run("baseline", tmp_path / "a")
    assert done.returncode in (1, 3) and not done.stdout and str(tmp_path / "a") in done.stderr


# -- Options --

def test_like_keeps_what_somebody_wrote(make: Make, judge: Judge, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text(written("start", more="[compare]\nconsole = text\nslower = 35%\nignore = poll*\nignore = b\n"
                           "ignore-line = #*\nignore-values = v\nignore-numbers = [a-b]"))
    text = make("--like", old, boot())
    assert section(text, "compare") == ["console = text", "slower = 35%", "ignore = poll*", "ignore = b",
                                        "ignore-values = v", "ignore-line = #*", "ignore-numbers = [a-b]"]
    assert "    poll" not in text and "read_port" in text
    over = make("--like", old, "--console", "none", "--slower", "7", boot())
    assert section(over, "compare")[:2] == ["console = none", "slower = 7%"] and section(over, "console") == []


def test_like_keeps_that_nothing_is_slower(make: Make, tmp_path: Path) -> None:
    (tmp_path / "old").write_text(make("--slower", "no", boot()))
    text = make("--like", tmp_path / "old", boot())
    assert section(text, "compare")[1] == "slower = no" and section(text, "durations") == []


def test_console_is_what_the_baseline_says_or_what_is_asked_for(make: Make, judge: Judge) -> None:
    other = boot(lines=[LINES[0], "tsc: 2597.5 MHz", LINES[2]])
    assert judge(make(boot()), other).changes == {"values": 1}
    assert judge(make("--console", "text", boot()), other).status == 0
    assert judge(make("--console", "text", boot()), other, "--console", "exact").status == 1
    assert judge(make(boot()), boot(lines=["x"]), "--console", "none").status == 0
    assert judge(make("--console", "none", boot()), boot(lines=["x"])).status == 0


@pytest.mark.parametrize("words, said", [
    ([], "TRACE"), (["trace", "--format", "json"], "leave --format out"),
    (["trace", "--console", "loud"], "exact, text or none"), (["trace", "--slower", "x"], "whole number"),
    (["trace", "--limit", "3"], "--limit")])
def test_usage(probe: Cprobe, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "trace").write_bytes(boot())
    done = probe.run("baseline", *(str(tmp_path / word) if word == "trace" else word for word in words), stdin="")
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


def test_kernel_baseline_is_refused_with_a_baseline(make: Make, judge: Judge, guest: Path) -> None:
    answer = judge(make(boot()), boot(), "--kernel-baseline", guest)
    assert answer.status == 2 and "leave --kernel-baseline out" in answer.stderr


# -- What a person writes --

def test_a_loop_is_the_steps_written_out(judge: Judge) -> None:
    loop = written("start", "2 times {", "early", "3 times {", "poll", "}", "1 times {", "idle", "}", "}")
    calls = ["start", *["early", "poll", "poll", "poll", "idle"] * 2]
    assert judge(loop, boot(calls, [])).status == 0
    assert judge(written(*calls, "0x1 times\\x20{"), boot([*calls, "0x1 times {"], [])).status == 0
    fewer = judge(loop, boot(calls[:-5], []))
    assert fewer.changes == {"loop": 5} or fewer.changes == {"missing": 5}
    assert judge(loop.replace("3 times", "4 times"), boot(calls, [])).status == 1


def test_an_empty_loop_is_no_step(judge: Judge) -> None:
    assert judge(written("start", "7 times {", "# poll", "}", "early"), boot(["start", "early"], [])).status == 0


def test_values_that_are_deleted_are_not_compared(make: Make, judge: Judge) -> None:
    text = make(values((1, 2), (3, 4)))
    assert judge(text, values((1, 2), (5, 4))).changes == {"values": 1}
    assert "early: rdi=0x3 -> 0x5" in judge(text, values((1, 2), (5, 4))).text.stdout
    assert judge(re.sub(r"(early) \{.*\}", r"\1", text), values((1, 2), (5, 4))).status == 0
    assert judge(re.sub(r"(early) \{.*\}", r"\1", text), values((7, 2), (5, 4))).changes == {"values": 1}


@pytest.mark.parametrize("edit", [
    lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("\n", "\n\n  \n"),
    lambda text: text.replace("\n", "\n# a comment\n    # }\n"), lambda text: "\n\n" + text,
    lambda text: text.rstrip("\n"), lambda text: "# A licence.\n" * 800 + text,
    lambda text: text.replace("    ", "\t"), lambda text: text + "\n# behind\n",
    lambda text: text.replace("    ", " ").replace("\n", "  \n"), lambda text: "#" * 4090 + "\n" + text],
    ids=["CRLF", "blank lines", "comments", "blank lines first", "no last line feed", "a long comment", "tabs",
         "comment behind", "blanks behind", "a line across the head's end"])
def test_what_means_nothing(make: Make, judge: Judge, edit: Callable[[str], str]) -> None:
    text = edit(make(boot()))
    assert judge(text, boot()).status == 0
    assert judge(text, boot(edited((3, 4, [])))).changes == {"missing": 1}


def test_sections_stand_in_any_order_or_not_at_all(make: Make, judge: Judge) -> None:
    head, *sections = make(boot()).split("\n\n")
    *sections, end = sections
    assert judge("\n\n".join([head, *reversed(sections), end]), boot()).status == 0
    few = [part for part in sections if part.startswith(("[vcpu", "[console"))]
    assert judge("\n\n".join([head, *few, end]), boot()).status == 0
    without = judge("\n\n".join([head, *few[:1], end]), boot())
    assert without.of("alone") == [{"kind": "alone", "vcpu": 0, "in": "trace"}]
    assert judge("bootsonde-baseline 1\n[end]\noutcome = passed\n", boot([], [])).status == 0


@pytest.mark.parametrize("line, now", [
    ("ignore = p[n-p]*", boot(edited((4, 5, [])))), ("ignore = poll\nignore = read_[op]ort", boot(edited((4, 8, [])))),
    ("ignore = ??ll\nignore = r*", boot(edited((4, 8, [])))),
    ("ignore-line = tsc: *", boot(lines=[LINES[0], LINES[2]])),
    ("ignore-line = tsc: # MHz", boot(lines=[LINES[0], "tsc: 7 MHz", LINES[2]])),
    ("ignore-numbers = tsc*", boot(lines=[LINES[0], "tsc: 7 MHz", LINES[2]]))], ids=short)
def test_globs_by_hand(make: Make, judge: Judge, line: str, now: bytes) -> None:
    text = make(boot())
    assert judge(text, now).status == 1
    assert judge(text.replace("[compare]\n", f"[compare]\n{line}\n"), now).status == 0
    assert judge(text.replace("[compare]\n", "[compare]\nignore = tsc\nignore-line = p*\n"), now).status == 1


def test_values_of_a_glob_are_not_compared(make: Make, judge: Judge) -> None:
    text = make(values((1, 2), (3, 4))).replace("[compare]\n", "[compare]\nignore-values = e?rly\n")
    assert judge(text, values((1, 2), (9, 4))).status == 0
    assert judge(text, values((7, 2), (9, 4))).changes == {"values": 1}


def test_boot_is_not_read(make: Make, judge: Judge) -> None:
    text = make(boot()).replace("[recorded]", '[boot]\nappend =\nanything\nset = a="b"\n\n[recorded]\nhow = ever\n')
    assert judge(text, boot()).status == 0


# -- What is the same in another kernel --

def test_addresses_that_moved_are_no_difference(make: Make, judge: Judge, as_lines: Callable[[bytes], bytes]) -> None:
    def run(base: int, first: int = 7, **more: Any) -> bytes:
        objects = [event(3500, "inject", target="x", after=hex(base + 0x900)),
                   event(3600, "msr", access="write", msr="0x12", value=hex((base & 0xffffff) | 1))]
        return (blocks.header(args=["rdi", "return"], **more)
                + blocks.functions({i: (base + i, name) for i, name in enumerate(NAMES)})
                + blocks.events(0, [(10, 0, None, (first, base + 5)), (20, 1, None, (base + 77, base + 9))],
                                blocks.HAS_SITES | blocks.HAS_VALUES)
                + blocks.objects(objects) + blocks.console([(5, f"mapped at {base:#x}, {base:x}.")])
                + blocks.end(99, outcome="passed"))

    text = make(run(0xffffffff80000000, kernel=KERNEL))
    for moved in (run(0xffffffff81234000, kernel=OTHER_KERNEL), as_lines(run(0xffffffff81234000, kernel=OTHER_KERNEL))):
        answer = judge(text, moved)
        assert answer.status == 0 and "another kernel" in answer.of("note")[0]["text"]
    assert "(address)" in text and "ffffffff80" not in text
    assert judge(text, run(0xffffffff80000000, 8, kernel=KERNEL)).changes == {"values": 1}


def test_another_number_of_vcpus_is_a_difference(make: Make, judge: Judge) -> None:
    answer = judge(make(boot()), boot(qemu=qemu(2)))
    assert answer.status == 1 and answer.changes == {}
    assert answer.of("vcpus") == [{"kind": "vcpus", "expected": 1, "came": 2}]


def test_another_machine_is_a_note(make: Make, judge: Judge) -> None:
    answer = judge(make(boot(qemu=qemu(cpu="max"))), boot(qemu=qemu(cpu="qemu64")))
    assert answer.status == 0 and [note["text"] for note in answer.of("note")] == \
        ['-cpu: "max" in the baseline, "qemu64" now']


def test_another_end_is_a_difference(make: Make, judge: Judge) -> None:
    answer = judge(make(boot()), boot(outcome="failed"))
    assert answer.status == 1 and answer.of("end")[0]["expected"].startswith("passed")
    cut = judge(make(boot()), boot(CALLS[:8], LINES[:1], end=False))
    assert cut.status == 1 and cut.of("cut")[0]["in"] == "trace"


def test_what_differs_is_told_as_of_a_trace(make: Make, judge: Judge) -> None:
    """With steps before it, and without times, which a baseline has not."""
    answer = judge(make(boot()), boot(edited((3, 4, []))))
    assert answer.first == (0, ["start", "early", "clock_init"], "tsc_init", "poll")
    assert answer.changes == {"missing": 1} and answer.names("never") == [["tsc_init"]]
    assert "first divergence: vCPU 0, step 4, now at 0.000004000 s\n" in answer.text.stdout
    line = judge(make(boot()), boot(lines=[*LINES[:2], "panic", *LINES[2:]]))
    assert line.first[2:] == ("login:", "panic")


# -- Durations --

MS = 1_000_000


def timed(durations: Sequence[tuple[str, float]], clock: str = "icount") -> bytes:
    """A boot of functions that take so many ms, one after the other, on vCPU 0."""
    names = list(dict.fromkeys(name for name, _ in durations))
    rows: list[blocks.Event] = []
    now = 0
    for name, takes in durations:
        rows.append((now, names.index(name), None, ()))
        now += int(takes * MS)
    return (blocks.header(kernel=KERNEL, clock=clock)
            + blocks.functions({i: (0x1000 + i, name) for i, name in enumerate(names)})
            + blocks.events(0, rows) + blocks.end(now, outcome="passed"))


USUAL = [("start", 10.0), ("delay", 50.0), ("short", 0.1), ("start", 20.0), ("(whole boot)", 20.0)]


def slowed(**changed: float) -> bytes:
    return timed([(name, changed.get(name, takes)) for name, takes in USUAL])


def test_durations_are_told_of_what_takes_long(make: Make) -> None:
    assert section(make(timed(USUAL)), "durations") == [
        "(whole boot) = 100100 us", "\\x28whole boot) = 20000 us", "delay = 50000 us", "start = 30000 us"]
    assert section(make(timed(USUAL, "host")), "durations") == []


def test_what_takes_longer_is_a_difference(make: Make, judge: Judge) -> None:
    text = make(timed(USUAL))
    assert judge(text, slowed(delay=54.0)).status == 0
    answer = judge(text, slowed(delay=56.5))
    assert answer.status == 1 and answer.changes == {"slower": 1}
    assert answer.of("slower") == [{"kind": "slower", "name": "delay", "t": 50 * MS, "now_t": 56.5 * MS}]
    assert "slower: 1 of the boot's durations\n  delay: 0.050000 s -> 0.056500 s\n" in answer.text.stdout
    assert judge(text, slowed(delay=5.0)).status == 0


def test_the_whole_boot_is_slower(make: Make, judge: Judge) -> None:
    answer = judge(make(timed(USUAL)), slowed(delay=90.0))
    assert [record["name"] for record in answer.of("slower")] == ["(whole boot)", "delay"]
    assert "  the whole boot: 0.100100 s -> 0.140100 s\n" in answer.text.stdout


def test_a_function_that_was_not_worth_telling_is_slower(make: Make, judge: Judge) -> None:
    assert judge(make(timed(USUAL)), slowed(short=0.5)).status == 0
    answer = judge(make(timed(USUAL)), slowed(short=5.0))
    assert [(record["name"], record["t"]) for record in answer.of("slower")] == [("short", 0)]
    assert "  short: less than 0.001001 s -> 0.005000 s\n" in answer.text.stdout


def test_how_much_slower_is_asked_for_or_what_the_baseline_says(make: Make, judge: Judge) -> None:
    now = slowed(delay=57.0)
    text = make("--slower", "20", timed(USUAL))
    assert "slower = 20%" in section(text, "compare") and judge(text, now).status == 0
    assert judge(text, now, "--slower", "5").changes == {"slower": 2}
    assert judge(text, now, "--slower", "no").status == 0
    assert judge(text.replace("slower = 20%\n", ""), now).changes == {"slower": 1}  # 10
    assert judge(text.replace("slower = 20%", "slower = no"), now).status == 0
    assert judge(text.replace("delay = 50000 us\n", "delay = 60000 us\n"), now, "--slower", "10").status == 0


def test_durations_that_are_not_there_cannot_be_asked_for(make: Make, judge: Judge) -> None:
    none = judge(make("--slower", "no", timed(USUAL)), timed(USUAL), "--slower", "5")
    assert none.status == 2 and "no durations" in none.stderr
    host = judge(make(timed(USUAL)), timed(USUAL, "host"), "--slower", "5")
    assert host.status == 2 and "--deterministic" in host.stderr


def test_traces_without_durations_are_compared_by_the_rest(make: Make, judge: Judge,
                                                           as_lines: Callable[[bytes], bytes]) -> None:
    text = make(timed(USUAL))
    assert judge(text, as_lines(slowed(delay=99.0))).status == 0
    assert judge(text, timed([(name, 3 * takes) for name, takes in USUAL], "host")).status == 0


@pytest.mark.parametrize("takes", [0.0000013, 0.0000019, 0.0011119, 1.0000009])
def test_no_boot_is_slower_than_itself(make: Make, judge: Judge, takes: float) -> None:
    data = timed([("a", takes), ("b", takes), ("a", 2 * takes)])
    assert judge(make("--slower", "1", data), data).status == 0


def test_what_is_left_out_has_no_duration(make: Make, judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "old").write_text(written(more="[compare]\nignore = del*"))
    text = make("--like", tmp_path / "old", timed(USUAL))
    assert not any(line.startswith("delay") for line in section(text, "durations"))
    assert judge(text, slowed(delay=52.0), "--slower", "5").status == 0


@pytest.mark.parametrize("console, reason, equal", [
    ("exact", "panic: at 0xffffffff80200020, 5 ms", True), ("exact", "panic: at 0xffffffff80200010, 6 ms", False),
    ("text", "panic: at 0xffffffff80200010, 6 ms", True), ("text", "panic: of 0xffffffff80200010, 5 ms", False),
    ("none", "panic: at 0xffffffff80200010", False)], ids=repr)
def test_a_reason_is_compared_as_a_line_of_the_console(make: Make, judge: Judge, console: str, reason: str, equal: bool
                                                       ) -> None:
    text = make(json_lines(end={"reason": "panic: at 0xffffffff80200010, 5 ms"}), "--console", console)
    assert judge(text, json_lines(end={"reason": reason})).status == (0 if equal else 1)


# -- What cannot be read --

HEAD = "bootsonde-baseline 1\n"
END = "[end]\noutcome = passed\n"


@pytest.mark.parametrize("text, line, said", [
    (HEAD, 1, "cut off"), (HEAD + "[vcpu 0]\n a\n", 3, "cut off"),
    (HEAD + "[end]\nreason = x\n", 3, "cut off"), (HEAD + "a = b\n", 2, "a section is wanted first"),
    (HEAD + "[vcpus]\n" + END, 2, '"[vcpus]" is no section'), (HEAD + "[vcpu 65536]\n" + END, 2, "is no section"),
    (HEAD + "[vcpu -1]\n" + END, 2, "is no section"), (HEAD + "[vcpu 4294967296]\n" + END, 2, "is no section"),
    (HEAD + "[vcpu 0] {\n" + END, 2, "is no section"), (HEAD + "[vcpu 1]\n[vcpu 01]\n" + END, 3, "is there twice"),
    (HEAD + "[console]\n[end]\n[console]\n" + END, 4, "is there twice"),
    (HEAD + "[compare]\n\n[compare]\n" + END, 4, "[compare] is there twice"),
    (HEAD + "[vcpu 0]\na\n" + END, 3, "a step is indented"), (HEAD + "<<<<<<< HEAD\n" + END, 2, "a section is wanted"),
    (HEAD + "[vcpu 0]\n a\n=======\n" + END, 4, "a step is indented"),
    (HEAD + "[vcpu 0]\n }\n" + END, 3, 'a } without its "N times {"'),
    (HEAD + "[vcpu 0]\n 5 times {\n  a\n" + END, 3, "no } before its section ends"),
    (HEAD + "[vcpu 0]\n 5 times {\n  a\n[vcpu 1]\n }\n" + END, 3, "no } before its section ends"),
    (HEAD + "[vcpu 0]\n 0 times {\n a\n }\n" + END, 3, "goes round 1 to"),
    (HEAD + "[vcpu 0]\n 99999999999999999999999 times {\n a\n }\n" + END, 3, "goes round 1 to"),
    (HEAD + "[vcpu 0]\n 60000000 times {\n a\n }\n" + END, 5, "more than 67108864 steps"),
    (HEAD + "[vcpu 0]\n" + " 2 times {\n" * 33 + " a\n" + " }\n" * 33 + END, 35, "more than 32 loops"),
    (HEAD + "[vcpu 0]\n" + " 1000 times {\n" * 9 + " a\n" + " }\n" * 9 + END, 15, "more than 67108864 steps"),
    (HEAD + "[vcpu 0]\n" + " 60000000 times {\n }\n" * 3 + END, 6, "more than 67108864 steps"),
    *((HEAD + f"[vcpu 0]\n {step}\n" + END, 3, "values stand as {VALUES}")
      for step in ("a {b=1", "a {b=1}, c", "5 time {", "0x1 times {", "-1 times {")),
    (HEAD + "[vcpu 0]\n a\\q\n" + END, 3, "a backslash begins"),
    (HEAD + "[console]\n a\\\n" + END, 3, "a backslash begins"),
    (HEAD + "[vcpu 0]\n a {\\xg0}\n" + END, 3, "a backslash begins"),
    (HEAD + "[compare]\nslower = 5\n" + END, 3, "a whole number with %"),
    (HEAD + "[compare]\nslower = -5%\n" + END, 3, "a whole number"),
    (HEAD + "[compare]\nslower = 99999999999999999999%\n" + END, 3, "a whole number"),
    (HEAD + "[compare]\nconsole = loud\n" + END, 3, "exact, text or none"),
    (HEAD + "[compare]\nx = y\n" + END, 3, 'no "x"'), (HEAD + "[compare]\nabc\n" + END, 3, "KEY = VALUE"),
    (HEAD + "[compare]\nignore =\n" + END, 3, "a key or a value is missing"),
    (HEAD + "[durations]\na = 5 ms\n" + END, 3, "with us"),
    (HEAD + "[durations]\na = 99999999999999999 us\n" + END, 3, "so long"),
    (HEAD + "[durations]\na = 5 us\na = 6 us\n" + END, 4, "a is there twice"),
    (HEAD + "[durations]\n(whole boot) = 5 us\n(whole boot) = 6 us\n" + END, 4, "(whole boot) is there twice"),
    (HEAD + "[durations]\n(whole boot) = 0 us\n" + END, 3, "a boot takes longer"),
    (HEAD + "[durations]\na = 5 us\n\n" + END, 2, '"(whole boot) = N us"'),
    (HEAD + "[compare]\nconsole = exact\nconsole = none\n" + END, 4, "console is there twice"),
    (HEAD + "[compare]\nslower = 5%\nslower = no\n" + END, 4, "slower is there twice"),
    (HEAD + "[recorded]\nqemu = 7\nqemu = 8\n" + END, 4, "qemu is there twice"),
    (HEAD + "[end]\nreason = a\nreason = b\noutcome = passed\n", 4, "reason is there twice"),
    (HEAD + "[recorded]\nargs = {\n" + END, 3, "JSON is wanted"), (HEAD + "[functions]\na\n" + END, 3, "KEY = VALUE"),
    (HEAD + "[end]\noutcome = fine\n", 3, "passed, failed"), (HEAD + "[end]\nx = y\n", 3, 'no "x"'),
    (HEAD + END + "reason = x\n", 4, "behind the outcome"), (HEAD + END + "[vcpu 0]\n", 4, "behind the outcome"),
    (b"bootsonde-baseline 1\n[console]\n a\0b\n", 3, "a byte 0"),
    (b"bootsonde-baseline 1\n[console]\n gr\xfcn\n", 3, "0xfc"),
    ("bootsonde-baseline 2\n" + END, 1, "version 2"), ("\n# x\nbootsonde-baseline 10\n", 3, "version 10"),
    ("bootsonde-baseline 1x\n", 1, "version 1x"), ("bootsonde-baseline\n", 1, "it begins with")], ids=short)
def test_what_is_wrong_is_told_with_its_line(refused: Callable[..., str], text: bytes | str, line: int, said: str
                                             ) -> None:
    message = refused(text)
    assert message.startswith(f"{line}: ") and said in message, message


@pytest.mark.parametrize("name", ["\x1b[2J", "x" * 100000], ids=short)
def test_what_is_told_is_bounded_and_plain(refused: Callable[..., str], name: str) -> None:
    for text in (HEAD + f"[{name}\n" + END, HEAD + f"[end]\n{name}= y\n", HEAD + f"[vcpu 0]\n{name}\n" + END,
                 f"bootsonde-baseline 1{name}\n", HEAD + f"[durations]\n{name} = 1 us\n{name} = 1 us\n" + END):
        message = refused(text)
        assert len(message) < 400 and not re.search(r"[\x00-\x1f\x7f]", message)


def test_a_baseline_that_was_cut_is_never_taken_for_a_whole_one(make: Make, probe: Cprobe, tmp_path: Path) -> None:
    """At every byte."""
    data = make(boot(["start", "start", *["poll"] * 5, "idle"], ["[ 0.1] hi"])).encode()
    (tmp_path / "now").write_bytes(boot(["start", "start", *["poll"] * 5, "idle"], ["[ 0.1] hi"]))
    for keep in range(len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:keep])
        done = probe.run("diff", tmp_path / "cut", tmp_path / "now")
        assert done.returncode == 3 and not done.stdout, (keep, data[:keep])
    (tmp_path / "cut").write_bytes(data[:-1])  # a last line without its end is whole
    assert probe.run("diff", tmp_path / "cut", tmp_path / "now").returncode == 0


def test_a_baseline_is_no_trace(make: Make, probe: Cprobe, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(make(boot()))
    (tmp_path / "b").write_bytes(boot())
    for words in (["diff", "b", "a"], ["baseline", "a"], ["coverage", "b", "a"]):
        done = probe.run(*(tmp_path / word if len(word) == 1 else word for word in words))
        assert done.returncode == 3 and not done.stdout
    done = probe.run("baseline", "--like", tmp_path / "b", tmp_path / "b")
    assert done.returncode == 3 and "no baseline" in done.stderr


@pytest.mark.parametrize("words", [["diff"], ["baseline", "--like"], ["baseline"]], ids=" ".join)
@pytest.mark.parametrize("name", ["absent", "."])
def test_files_that_cannot_be_read(probe: Cprobe, tmp_path: Path, words: list[str], name: str) -> None:
    (tmp_path / "now").write_bytes(boot())
    done = probe.run(*words, tmp_path / name, tmp_path / "now")
    assert done.returncode == 3 and not done.stdout and str(tmp_path) in done.stderr


# -- Large ones --

def test_loops_of_many_steps_are_compared_in_time(judge: Judge) -> None:
    begin = time.monotonic()
    answer = judge(written("start", *["200 times {"] * 3, "poll", "}", "}", "}"), boot(["start", *["poll"] * 800], []))
    assert answer.changes == {"loop": 200 ** 3 - 800} and time.monotonic() - begin < 20


def test_many_vcpus_take_no_longer(make: Make, judge: Judge) -> None:
    head = blocks.header(kernel=KERNEL) + blocks.functions({i: (0x1000 + i, name) for i, name in enumerate(NAMES)})
    data = head + b"".join(blocks.events(vcpu, [(vcpu + more, (vcpu + more) % 9, None, ())]) for more in (0, 99999)
                           for vcpu in range(10000)) + blocks.end(9 ** 9, outcome="passed")
    begin = time.monotonic()
    assert judge(make(data), data).status == 0 and time.monotonic() - begin < 20


def test_fifty_thousand_steps_are_compared_at_once(make: Make, probe: Cprobe, tmp_path: Path) -> None:
    """None of them in a loop."""
    chance = random.Random(1)
    data = boot([f"function_{chance.randrange(3000)}" for _ in range(50000)])
    (tmp_path / "a").write_text(make(data))
    (tmp_path / "b").write_bytes(data)
    took = []
    for _ in range(5):
        begin = time.monotonic()
        assert probe.run("diff", tmp_path / "a", tmp_path / "b").returncode == 0
        took.append(time.monotonic() - begin)
    assert min(took) < 0.5, took  # 0.06 measured, of which 0.01 are the processor's
