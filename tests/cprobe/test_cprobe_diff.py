"""cprobe diff: two boots that are alike, and ones that differ in something known, named as what it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blocks
import pytest
from cprobe_kit import Cprobe, nm
from diffkit import CALLS, IDS, KERNEL, LINES, NAMES, Answer, boot, edited, event, qemu, valued

Compare = Callable[..., "Answer"]


@pytest.fixture
def compare(probe: Cprobe, tmp_path: Path) -> Compare:
    def run(baseline: bytes, trace: bytes, *options: str | Path) -> Answer:
        for name, data in (("baseline", baseline), ("trace", trace)):
            (tmp_path / name).write_bytes(data)
        return Answer(probe, tmp_path / "baseline", tmp_path / "trace", *options)
    return run


@pytest.fixture
def as_lines(probe: Cprobe, tmp_path: Path) -> Callable[[bytes], bytes]:
    """The other form of a trace in blocks."""
    def run(data: bytes) -> bytes:
        (tmp_path / "form").write_bytes(data)
        return probe.run("events", tmp_path / "form", "--format", "json").stdout.encode()
    return run


# -- Equal --

def test_a_boot_is_equal_to_itself(compare: Compare) -> None:
    answer = compare(boot(), boot())
    assert answer.status == 0 and answer.stderr == ""
    assert answer.records == [{"kind": "summary", "equal": True, "missing": 0, "extra": 0, "moved": 0, "loop": 0,
                               "values": 0, "slower": 0}]
    assert answer.text.stdout == f"equal: {len(CALLS)} steps of 1 vCPU, 3 console lines\n"


def test_both_forms_are_equal(compare: Compare, as_lines: Callable[[bytes], bytes]) -> None:
    assert compare(boot(), as_lines(boot())).status == 0
    assert compare(as_lines(boot()), as_lines(boot())).status == 0
    values = valued([[1, 2], [3, 0xffffffff80000000]])
    assert compare(values, as_lines(values)).status == 0


def test_another_build_of_the_same_kernel_is_equal(compare: Compare) -> None:
    """Other addresses, and a note."""
    answer = compare(boot(), boot(base=0xffffffff81000000, kernel={"name": "k", "build_id": "22" * 20}))
    assert answer.status == 0
    note, = answer.of("note")
    assert "another kernel" in note["text"] and "11" * 20 in note["text"] and "22" * 20 in note["text"]


def test_times_and_time_stamps_are_not_compared(compare: Compare) -> None:
    later = [line.replace("0.000", "12.345") for line in LINES]
    assert compare(boot(), boot(lines=later, step=1700)).status == 0
    with_caller = [line.replace("] ", "][    T0] ") for line in LINES]
    assert compare(boot(lines=with_caller), boot(lines=[line.replace("T0", "C1") for line in with_caller])).status == 0
    assert compare(boot(), boot(lines=[line + "\r" for line in LINES])).status == 0


# -- What differs, by its name --

def test_a_call_that_is_dropped(compare: Compare) -> None:
    answer = compare(boot(), boot(edited((3, 4, []))))
    assert answer.status == 1 and answer.changes == {"missing": 1}
    assert answer.first == (0, ["start", "early", "clock_init"], "tsc_init", "poll")
    assert answer.names("missing") == [["tsc_init"]]
    assert re.search(r"^  expected +tsc_init$", answer.text.stdout, re.M)
    assert "first divergence: vCPU 0, step 4, at 0.000004000 s" in answer.text.stdout


def test_a_call_that_is_added(compare: Compare) -> None:
    answer = compare(boot(), boot(edited((3, 3, ["brand_new"]))))
    assert answer.status == 1 and answer.changes == {"extra": 1}
    assert answer.first == (0, ["start", "early", "clock_init"], "tsc_init", "brand_new")
    assert answer.names("extra") == [["brand_new"]]


def test_calls_that_are_swapped(compare: Compare) -> None:
    answer = compare(boot(), boot(edited((2, 4, ["tsc_init", "clock_init"]))))
    assert answer.status == 1 and answer.changes == {"moved": 1}
    assert answer.first[2:] == ("clock_init", "tsc_init")


def test_a_run_that_came_much_later_is_moved(compare: Compare) -> None:
    answer = compare(boot(), boot(edited((1, 4, []), (19, 19, ["early", "clock_init", "tsc_init"]))))
    assert answer.changes == {"moved": 3}
    moved, = answer.of("moved")
    assert (moved["step"], moved["now_step"], moved["run"]) == (2, 17, 3)


def test_loops_that_go_round_more_or_less_often(compare: Compare) -> None:
    more = compare(boot(), boot(edited((6, 6, ["poll", "read_port"] * 500))))
    assert more.changes == {"loop": 1000}
    loop, = more.of("loop")
    assert (loop["rounds"], loop["now_rounds"], loop["places"]) == (6, 506, 1)
    assert "6 -> 506 times" in more.text.stdout
    less, = compare(boot(), boot(edited((6, 12, [])))).of("loop")
    assert (less["rounds"], less["now_rounds"]) == (6, 3)


def test_many_loops_are_one_finding(compare: Compare) -> None:
    """The same loop in a hundred places, each with another number of rounds."""
    one, other = [], []
    for number in range(100):
        one += [f"f{number}", *["poll", "read_port"] * (5 + number % 7)]
        other += [f"f{number}", *["poll", "read_port"] * (5 + number % 5)]
    answer = compare(boot(one), boot(other))
    assert set(answer.changes) == {"loop"} and len(answer.of("loop")) == 1
    assert answer.of("loop")[0]["places"] == sum(number % 7 != number % 5 for number in range(100))


def test_an_argument_that_changed(compare: Compare) -> None:
    answer = compare(valued([[1, 7], [2, 7], [3, 7]]), valued([[1, 7], [5, 7], [3, 7]]))
    assert answer.status == 1 and answer.changes == {"values": 1}
    assert answer.first == (0, ["start"], "early", "early")
    assert "early: rdi=0x2 -> 0x5\n" in answer.text.stdout


def test_addresses_of_another_kernel_are_no_values(compare: Compare) -> None:
    other = {"name": "k", "build_id": "22" * 20}
    one, two = [[0xffffffff80001000, 5], [0xfffffffffffffffb, 6]], [[0xffffffff80002000, 9], [0xfffffffffffffffb, 6]]
    assert compare(valued(one), valued(two)).changes == {"values": 1}
    assert compare(valued(one), valued(two, kernel=other)).status == 0
    two[1][0] -= 1  # an error code is no address
    assert compare(valued(one), valued(two, kernel=other)).changes == {"values": 1}


def test_values_that_one_boot_alone_has_are_not_compared(compare: Compare) -> None:
    plain = boot(NAMES[:2], [], qemu=None)
    answer = compare(plain, valued([[1, 7], [2, 7]], qemu=None))
    assert answer.changes == {} and any("values" in note["text"] for note in answer.of("note"))


@pytest.mark.parametrize("kind, before, after, said", [
    ("inject", {"target": "tsc_freq", "before": "0x0", "after": "0x5"}, {"after": "0x6"}, "after=0x5 -> 0x6"),
    ("watch", {"target": "tsc_freq", "before": "0x0", "after": "0x5", "data": "0xffffffff80001000"},
     {"before": "0x1"}, "before=0x0 -> 0x1"),
    ("cpuid", {"leaf": "0x15", "subleaf": "0x0", "values": {"eax": "0x1", "ebx": "0x2"}},
     {"values": {"eax": "0x1", "ebx": "0x3"}}, "ebx=0x2 -> 0x3"),
    ("msr", {"access": "read", "msr": "0x1b", "value": "0xfee00900"}, {"value": "0xfee00d00"},
     "value=0xfee00900 -> 0xfee00d00"),
    ("hit", {"args": [{"name": "freq", "type": "int", "value": "0x1"}]},
     {"args": [{"name": "freq", "type": "int", "value": "0x2"}]}, "freq=0x1 -> 0x2"),
    ("hit", {"caller": {"function": "a+0x10"}}, {"caller": {"function": "b+0x10"}}, "caller=a -> b")])
def test_values_of_each_kind(compare: Compare, kind: str, before: dict[str, Any], after: dict[str, Any], said: str
                             ) -> None:
    one = boot(more=blocks.objects([event(3500, kind, **before)]))
    answer = compare(one, boot(more=blocks.objects([{**event(3500, kind, **before), **after}])))
    assert answer.changes == {"values": 1} and said in answer.text.stdout
    elsewhere = {**event(3501, kind, **before), "line": 7, "file": "x.c", "address": "0xffffffff80000200"}
    assert compare(one, boot(more=blocks.objects([elsewhere]))).status == 0


def test_another_leaf_is_another_step(compare: Compare) -> None:
    one, two = (boot(more=blocks.objects([event(3500, "cpuid", leaf=leaf, values={"eax": "0x1"})]))
                for leaf in ("0x15", "0x16"))
    answer = compare(one, two)
    assert answer.changes == {"missing": 1, "extra": 1}
    assert answer.first[2:] == ("cpuid 0x15 in tsc_init", "cpuid 0x16 in tsc_init")


# -- The console --

def test_console_lines(compare: Compare) -> None:
    other = [LINES[0], LINES[1].replace("2596.128", "2622.1"), "login:"]
    answer = compare(boot(), boot(lines=other))
    assert answer.changes == {"values": 1}
    assert "tsc: 2596.128 MHz: now [    0.000500] tsc: 2622.1 MHz" in answer.text.stdout
    assert compare(boot(), boot(lines=other), "--console", "text").status == 0
    more = compare(boot(), boot(lines=[*LINES[:2], "panic: no clock", *LINES[2:]]), "--console", "text")
    assert more.changes == {"extra": 1} and more.names("extra") == [["panic: no clock"]]
    assert compare(boot(), boot(lines=["another"]), "--console", "none").status == 0
    assert compare(boot(), boot(lines=[])).changes == {"missing": 3}
    assert compare(boot(lines=[]), boot()).changes == {"extra": 3}


def test_a_name_with_a_number_in_it_is_a_name(compare: Compare) -> None:
    assert compare(boot(lines=["ttyS0 up"]), boot(lines=["ttyS1 up"]), "--console", "text").changes == \
        {"missing": 1, "extra": 1}


def test_the_console_before_a_divergence_is_shown(compare: Compare) -> None:
    answer = compare(boot(), boot(edited((15, 19, []))))
    assert answer.of("divergence")[0]["console"] == LINES


def test_slower_lines(compare: Compare) -> None:
    slow = boot(step=1100)
    assert compare(boot(), slow, "--slower", "11").status == 0
    answer = compare(boot(), slow, "--slower", "9")
    assert answer.changes == {"slower": 3}
    assert "0.000005000 s -> 0.000005500 s" in answer.text.stdout
    refused = compare(boot(), boot(clock="host"), "--slower", "9")
    assert refused.status == 2 and "--deterministic" in refused.stderr


# -- The whole --

def test_another_number_of_vcpus(compare: Compare) -> None:
    second = blocks.events(1, [(500, 1, None, ()), (600, 2, None, ())])
    answer = compare(boot(), boot(more=second, qemu=qemu(2)))
    assert answer.status == 1 and answer.changes == {}
    assert answer.of("vcpus") == [{"kind": "vcpus", "expected": 1, "came": 2}]
    assert answer.of("alone") == [{"kind": "alone", "vcpu": 1, "in": "trace"}]
    assert compare(boot(), boot(qemu=qemu(2))).status == 1


def test_each_vcpu_is_compared_by_itself(compare: Compare) -> None:
    def second(*names: str) -> bytes:
        return blocks.events(1, [(500 + 7 * i, IDS[name], None, ()) for i, name in enumerate(names)])

    one = boot(more=second("start", "early", "idle"))
    assert compare(one, boot(more=second("start", "early", "idle"), step=900)).status == 0
    answer = compare(one, boot(edited((15, 16, [])), more=second("start", "idle")))
    assert answer.first == (1, ["start"], "early", "idle")  # the earlier one
    assert answer.changes == {"missing": 2}


def test_machine_and_kernel_are_notes(compare: Compare) -> None:
    answer = compare(boot(qemu=qemu(cpu="max")), boot(qemu={**qemu(cpu="qemu64"), "version": "7.2.22"}))
    assert answer.status == 0
    assert [note["text"].split(":")[0] for note in answer.of("note")] == ["QEMU's version", "-cpu"]


def test_another_end(compare: Compare) -> None:
    answer = compare(boot(), boot(outcome="failed"))
    assert answer.status == 1 and answer.of("end")[0]["expected"].startswith("passed")


def test_a_trace_that_was_cut_is_compared_as_far_as_it_goes(compare: Compare) -> None:
    answer = compare(boot(), boot(CALLS[:8], LINES[:1], end=False))
    assert answer.status == 1 and answer.changes == {} and not answer.of("divergence")
    assert answer.of("cut") == [{"kind": "cut", "in": "trace", "unreached": len(CALLS) - 8 + 2}]
    assert "cut off" in answer.text.stdout and "cut off" in answer.stderr
    before = compare(boot(), boot(edited((1, 2, []))[:8], LINES[:1], end=False))
    assert before.changes == {"missing": 1} and before.names("missing") == [["early"]]
    whole = compare(boot(CALLS[:8], LINES[:1], end=False), boot())
    assert whole.changes == {} and whole.of("cut")[0]["in"] == "baseline"


@pytest.mark.parametrize("keep", [64, 65, 96, 128])
def test_a_cut_in_many_lines(compare: Compare, keep: int) -> None:
    """What the cut trace has not is not read either."""
    lines = [f"line {number}" for number in range(300)]
    for cut in (compare(boot(lines=lines), boot(lines=lines[:keep], end=False)),
                compare(boot(lines=lines[:keep], end=False), boot(lines=lines))):
        assert cut.status == 1 and cut.changes == {} and cut.of("cut")[0]["unreached"] == 300 - keep


def test_limit_bounds_the_examples(compare: Compare) -> None:
    new = [name for number in range(30) for name in (f"new{number}", CALLS[3])]
    many = edited((3, 4, new))
    answer = compare(boot(), boot(many), "--limit", "2")
    assert len(answer.of("extra")) <= 2
    assert len(compare(boot(), boot(["a", *CALLS, "b"]), "--limit", "0").of("extra")) == 2
    one = compare(boot(), boot(["a", *CALLS, "b"]), "--limit", "1")
    assert len(one.of("extra")) == 1 and "1 more kinds: cprobe diff --limit 0" in one.text.stdout


def test_what_a_guest_says_does_not_reach_the_terminal(compare: Compare) -> None:
    answer = compare(boot(), boot(["start\x1b[2J"], ["\x1b]0;title\x07"], outcome="pass\x1b[1m"))
    assert answer.status == 1 and not re.search(r"[\x00-\x09\x0b-\x1f]", answer.text.stdout)


# -- Real boots --

def test_lines_of_the_source(probe: Cprobe, guest: Path, tmp_path: Path, compare: Compare) -> None:
    build_id = probe.records("info", guest)[0]["build_id"]
    data = blocks.boot(nm(guest.with_suffix(".full")), kernel={"name": "clockguest", "build_id": build_id})
    (tmp_path / "whole").write_bytes(data)
    lines = probe.run("events", tmp_path / "whole", "--format", "json").stdout.splitlines(keepends=True)
    without = "".join(line for line in lines if "pvclock_init" not in line).encode()
    answer = compare(data, without, "--kernel", guest, "--kernel-baseline", guest)
    record, = answer.of("divergence")
    assert record["expected"][0]["name"] == "pvclock_init"
    for step in record["before"] + record["before_now"] + record["expected"] + record["came"]:
        assert step["file"].endswith((".c", ".h")) and step["line"] > 0
    wrong = compare(data, boot(), "--kernel", guest)
    assert wrong.status == 3 and "another kernel" in wrong.stderr


# -- Bad input --

@pytest.mark.parametrize("words, said", [
    ([], "BASELINE"), (["trace"], "give BASELINE"), (["a", "b", "c"], "give BASELINE"),
    (["trace", "trace", "--console", "loud"], "exact, text or none"),
    (["trace", "trace", "--slower", "x"], "whole number"), (["trace", "trace", "--format", "gdb"], "text or json")])
def test_usage(probe: Cprobe, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "trace").write_bytes(boot())
    done = probe.run("diff", *(str(tmp_path / word) if word == "trace" else word for word in words), stdin="")
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""


@pytest.mark.parametrize("data, said", [
    (b"", "empty"), (b"hello\n", "no trace"), (boot().replace(b'"version": 1', b'"version": 9'), "version 9"),
    (boot(mode="counts"), "no order"), (boot()[:-3] + b"xyz", "checksum"), (None, "No such file")],
    ids=["empty", "text", "version", "counts", "checksum", "absent"])
def test_unreadable(probe: Cprobe, tmp_path: Path, data: bytes | None, said: str) -> None:
    (tmp_path / "good").write_bytes(boot())
    if data is not None:
        (tmp_path / "bad").write_bytes(data)
    for words in (["good", "bad"], ["bad", "good"]):
        done = probe.run("diff", *(tmp_path / word for word in words))
        assert done.returncode == 3 and said in done.stderr and done.stdout == "", done.stderr


def test_damage_in_the_middle_is_told(probe: Cprobe, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(boot())
    data = bytearray(boot())
    rows: list[blocks.Event] = [(1000 * (i + 1), IDS[name], None, ()) for i, name in enumerate(CALLS)]
    at = bytes(data).index(blocks.events(0, rows))
    data[at + 40] ^= 0x55
    (tmp_path / "bad").write_bytes(bytes(data))
    done = probe.run("diff", tmp_path / "good", tmp_path / "bad")
    assert done.returncode == 3 and "checksum" in done.stderr and done.stdout == ""


def test_many_vcpus_take_no_longer(compare: Compare) -> None:
    """Each of 18,000 goes another way."""
    head = blocks.header(kernel=KERNEL) + blocks.functions({i: (0x1000 + i, name) for i, name in enumerate(NAMES)})
    one, two = (b"".join(blocks.events(vcpu, [(vcpu, (vcpu + more) % 9, None, ())]) for vcpu in range(18000))
                for more in (0, 1))
    answer = compare(head + one + one + blocks.end(9), head + one + two + blocks.end(9))
    assert answer.status == 1 and answer.changes == {"moved": 18000}
