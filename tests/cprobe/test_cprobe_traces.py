"""Verbs about traces: coverage, events, tree, top, on traces whose content is known."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blocks
import pytest
from blocks import BOOT, BOOT_END
from cprobe_kit import Build, Cprobe, nm

from bootsonde.model.trace import TraceWriter, read_trace

KERNEL = {"a.c": """
volatile int sink;
void (*volatile pointer)(void);
static inline __attribute__((always_inline)) void copied(void) { sink = 7; }
__attribute__((noinline)) void leaf(void) { sink = 1; copied(); }
__attribute__((noinline)) void other(void) { sink = 2; }
__attribute__((noinline)) void middle(void) { leaf(); sink = 3; }
__attribute__((noinline)) void never(void) { sink = 4; copied(); }
__attribute__((noinline)) void by_pointer(void) { pointer(); sink = 5; }
void _start(void) { middle(); other(); by_pointer(); sink = 6; }
"""}

Write = Callable[[bytes], Path]


@pytest.fixture
def kernel(build_elf: Build) -> Path:
    return build_elf(KERNEL, ["-O2", "-g"])


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(data: bytes) -> Path:
        path = tmp_path / f"trace{len(list(tmp_path.glob('trace*')))}"
        path.write_bytes(data)
        return path

    return put


def made(path: Path, rows: list[tuple[int, int, str, str]], *more: bytes, **header: Any) -> bytes:
    """Rows of (ns, vCPU, function, caller or ""), each vCPU's in one block; a site is 2 bytes into its caller."""
    symbols = nm(path)
    names = list(dict.fromkeys(name for _, _, name, caller in rows for name in (name, caller) if name))
    has_sites = blocks.HAS_SITES if any(caller for _, _, _, caller in rows) else 0
    parts = [blocks.header(**header), blocks.functions({i: (symbols[name], name) for i, name in enumerate(names)}),
             blocks.sites({i: symbols[name] + 2 for i, name in enumerate(names)})]
    for vcpu in sorted({vcpu for _, vcpu, _, _ in rows}):
        parts.append(blocks.events(vcpu, [(t, names.index(name), names.index(caller) if caller else None, ())
                                          for t, on, name, caller in rows if on == vcpu], has_sites))
    return b"".join([*parts, *more])


def records(probe: Cprobe, *words: str | Path) -> list[dict[str, Any]]:
    return probe.records(*words)


def tree(probe: Cprobe, kernel: Path, trace: Path, *words: str) -> list[tuple[int, str, int]]:
    """(depth, name or text, count), as the tree has them."""
    return [(row["depth"], row.get("name", row.get("text", row["kind"])), row.get("count", -1))
            for row in records(probe, "tree", kernel, trace, *words)]


# -- coverage --

def test_coverage_of_the_reference_guest(probe: Cprobe, guest: Path, write: Write) -> None:
    """The porter's question, as a table: what ran, in its order, and what did not."""
    trace = write(blocks.boot(nm(guest.with_suffix(".full"))))
    rows = records(probe, "coverage", guest, trace, "--file", "pvclock.c")
    listed = {row["name"] for row in probe.records("list", guest, "--file", "pvclock.c", "--inlined", "exclude")}
    assert [(row["name"], row["first"], row["count"]) for row in rows if row["state"] == "hit"] == [
        ("pvclock_init", 3_500_000, 1), ("pvclock_tsc_freq", 3_600_000, 1)]
    assert {row["name"] for row in rows if row["state"] == "not hit"} == listed - {"pvclock_init", "pvclock_tsc_freq"}
    assert [row["name"] for row in rows if row["state"] == "inlined"] == ["pvclock_scale_delta"]
    not_hit = [int(row["address"], 16) for row in rows if row["state"] == "not hit"]
    assert not_hit == sorted(not_hit)


def test_files_come_as_the_boot_went(probe: Cprobe, guest: Path, write: Write) -> None:
    trace = write(blocks.boot(nm(guest.with_suffix(".full"))))
    files = list(dict.fromkeys(row["file"].rsplit("/", 1)[-1] for row in records(probe, "coverage", guest, trace)))
    assert files[:3] == ["machdep.c", "clock.c", "tsc.c"] and files.index("pvclock.c") < files.index("local_apic.c")
    text = probe.run("coverage", guest, trace).stdout
    names = {name for _, name, _ in BOOT}
    assert f"in all: {len(names)} of " in text.splitlines()[-1]


@pytest.mark.parametrize("listed, states", [
    (None, {"leaf": "hit", "middle": "not recorded", "never": "not recorded", "copied": "inlined"}),
    ({"all": True}, {"leaf": "hit", "middle": "not hit", "never": "not hit", "copied": "not hit"}),
    ({"all": True, "inlined": "exclude"}, {"middle": "not hit", "copied": "inlined"}),
    ({"all": True, "inlined": "only"}, {"leaf": "hit", "middle": "not recorded", "copied": "not hit"}),
    ({"all": False, "files": [], "functions": []}, {"middle": "not recorded", "never": "not recorded"}),
    ({"functions": ["mid*", "leaf"]}, {"middle": "not hit", "never": "not recorded", "copied": "inlined"}),
    ({"files": ["b.c"]}, {"middle": "not recorded"}),
    ([{"files": ["b.c"]}, {"files": ["a.c"], "functions": ["never"]}], {"never": "not hit", "middle": "not recorded"}),
])
def test_absence_says_something_only_of_what_was_recorded(probe: Cprobe, kernel: Path, write: Write, listed: Any,
                                                          states: dict[str, str]) -> None:
    more = {} if listed is None else {"listed": listed}
    trace = write(made(kernel, [(5, 0, "leaf", "")], blocks.end(9), **more))
    found = {row["name"]: row["state"] for row in records(probe, "coverage", kernel, trace)}
    assert {name: found[name] for name in states} == states


def test_inlined_copies_that_were_recorded(probe: Cprobe, kernel: Path, write: Write) -> None:
    copies = probe.records("list", kernel, "--func", "copied", "--inlined", "only")
    assert len(copies) == 2
    data = (blocks.header(listed={"all": True}) + blocks.functions({0: (int(copies[0]["address"], 16), "copied")})
            + blocks.events(0, [(3, 0, None, ()), (4, 0, None, ())], 0) + blocks.end(5))
    rows = records(probe, "coverage", kernel, write(data), "--func", "copied")
    assert [(row["state"], row["count"], row["copies"], row["hit_copies"]) for row in rows] == [("hit", 2, 2, 1)]


def test_counts_are_coverage_too(probe: Cprobe, kernel: Path, write: Write) -> None:
    symbols = nm(kernel)
    data = (blocks.header(mode="counts", listed={"all": True}) + blocks.functions({4: (symbols["leaf"], "leaf")})
            + blocks.counts([(4, 2**63, 77, 3)]) + blocks.end(100))
    row, = records(probe, "coverage", kernel, write(data), "--func", "leaf")
    assert (row["count"], row["first"], row["vcpu"]) == (2**63, 77, 3)
    done = probe.run("tree", kernel, write(data))
    assert done.returncode == 1 and "not of counts alone" in done.stderr


def test_no_such_function_is_status_1(probe: Cprobe, kernel: Path, write: Write) -> None:
    done = probe.run("coverage", kernel, write(made(kernel, [(5, 0, "leaf", "")])), "--func", "nobody")
    assert done.returncode == 1 and done.stdout == "" and "it has no such file or function" in done.stderr


def test_functions_that_the_kernel_has_not_are_said(probe: Cprobe, kernel: Path, write: Write) -> None:
    data = (blocks.header() + blocks.functions({0: (0x1234, "alien"), 1: (nm(kernel)["leaf"], "leaf")})
            + blocks.events(0, [(1, 0, None, ()), (2, 1, None, ())], 0) + blocks.end(5))
    done = probe.run("coverage", kernel, write(data))
    assert done.returncode == 0 and "1 of the 2 functions that the trace saw are not in" in done.stderr


# -- the trace and its kernel --

def test_a_trace_of_another_kernel_is_refused(probe: Cprobe, kernel: Path, write: Write) -> None:
    mine = probe.records("info", kernel)[0]["build_id"]
    for key in ("build_id", "build-id"):
        good = probe.run("coverage", kernel, write(made(kernel, [(5, 0, "leaf", "")], blocks.end(9),
                                                        kernel={key: mine.upper()})))
        assert good.returncode == 0 and good.stderr == ""
        bad = probe.run("top", kernel, write(made(kernel, [(5, 0, "leaf", "")], kernel={key: "ab" * 20})))
        assert bad.returncode == 3 and bad.stdout == ""
        assert "ab" * 20 in bad.stderr and mine in bad.stderr


def test_a_trace_without_a_build_id_is_taken_and_said(probe: Cprobe, kernel: Path, write: Write) -> None:
    done = probe.run("coverage", kernel, write(made(kernel, [(5, 0, "leaf", "")], blocks.end(9))))
    assert done.returncode == 0 and "the trace names no build-id" in done.stderr


@pytest.mark.parametrize("verb", ["coverage", "events", "tree", "top"])
def test_what_is_no_trace_is_status_3(probe: Cprobe, kernel: Path, write: Write, verb: str) -> None:
    first = [] if verb == "events" else [kernel]
    for path, said in [(write(b"nothing\n"), "no trace: "), (kernel, "no trace: "),
                       (kernel.parent / "missing", "No such file"), (kernel.parent, "is a directory"),
                       (write(blocks.header() + b"x" * 40), "the trace is damaged at offset")]:
        done = probe.run(verb, *first, path)
        assert done.returncode == 3 and done.stdout == "" and said in done.stderr, done.stderr


def test_a_cut_trace_is_used_and_said(probe: Cprobe, guest: Path, write: Write) -> None:
    data = blocks.boot(nm(guest.with_suffix(".full")))
    done = probe.run("events", write(data[:-3]), "--format", "json")
    assert done.returncode == 0 and f"{len(BOOT)} events until 0.020200 s" in done.stderr
    assert len(done.stdout.splitlines()) == 1 + len(BOOT) + 2


# -- events --

def rich(kernel: Path) -> bytes:
    """A trace with something of everything."""
    symbols = nm(kernel)
    return (blocks.header(args=["rdi", "ret"], kernel={"name": "\u00e9"})
            + blocks.functions({0: (symbols["leaf"], "leaf"), 9: (symbols["other"], "caf\u00e9 \"x\"")})
            + blocks.sites({3: symbols["middle"] + 2})
            + blocks.events(0, [(10, 0, 3, ()), (25, 9, None, ())])
            + blocks.events(1, [(10, 9, 3, (1, 2**64 - 1, 5)), (30, 0, None, ())], 3)
            + blocks.console([(10, b"\x1b[1m\xff\0 caf\xc3\xa9 \t\"\\"), (26, "")])
            + blocks.objects([{"t": 26, "vcpu": 0, "kind": "inject", "target": "tsc_freq", "seq": 77},
                              {"t": 27, "vcpu": None, "kind": "milestone", "text": "a\nb"}])
            + blocks.events(0, [(40, 0, 3, ())]) + blocks.end(99, reason="QEMU ended"))


def test_blocks_become_json_lines_that_say_the_same(probe: Cprobe, kernel: Path, write: Write) -> None:
    """C's reader and Python's, on both forms."""
    data = rich(kernel)
    done = subprocess.run([probe.path, "events", write(data), "--format", "json"], capture_output=True, check=True)
    by_blocks = read_trace(io.BytesIO(data), "blocks")
    by_lines = read_trace(io.BytesIO(done.stdout), "lines")
    assert by_lines.events == by_blocks.events and len(by_lines.events) == 9
    assert by_blocks.end is not None
    assert by_lines.end == by_blocks.end and by_lines.end["seq"] == 9
    header = dict(by_blocks.header)
    assert header.pop("encoding") == "blocks" and header == by_lines.header
    again = subprocess.run([probe.path, "events", write(done.stdout), "--format", "json"], capture_output=True,
                           check=True)
    assert again.stdout == done.stdout


def test_json_lines_of_a_session_come_out_as_they_went_in(probe: Cprobe, write: Write) -> None:
    class Kept(io.StringIO):
        def close(self) -> None:
            self.text = self.getvalue()

    stream = Kept()
    writer = TraceWriter(stream, {"kernel": {"name": "k", "build-id": "00"}, "clock": "host"})
    writer.event("hit", 5, 0, function="f", address="0x10", args=[{"name": "n", "value": "0x1"}], place="function")
    writer.event("console", 6, None, text="caf\u00e9 \u2713 \" \\ \t")
    writer.event("watch", 7, 1, function="g", before="0x0", after="0x1", callers=[{"function": "f"}])
    writer.end(9, outcome="passed", reason="login:")
    done = probe.run("events", write(stream.text.encode()), "--format", "json")
    assert done.stdout == stream.text and done.stderr == ""


def test_events_of_a_time_and_of_functions(probe: Cprobe, guest: Path, write: Write) -> None:
    trace = write(blocks.boot(nm(guest.with_suffix(".full"))))

    def seen(*words: str) -> list[str]:
        done = probe.run("events", trace, "--format", "json", *words)
        return [json.loads(line).get("function", "-") for line in done.stdout.splitlines()[1:-1]]

    assert seen("--func", "pvclock_*", "--func", "lapic_eoi") == ["pvclock_init", "pvclock_tsc_freq", "lapic_eoi",
                                                                  "lapic_eoi"]
    assert seen("--from", "2700000", "--to", "3000000") == ["tsc_freq_cpuid_vm", "-", "mi_startup"]
    assert probe.run("events", trace, "--func", "nobody").returncode == 1
    assert probe.run("events", trace, "--from", "1ms").returncode == 2


def test_text_shows_no_control_characters(probe: Cprobe, kernel: Path, write: Write) -> None:
    done = subprocess.run([probe.path, "events", write(rich(kernel))], capture_output=True, check=True)
    assert not [byte for byte in done.stdout if byte < 0x20 and byte != 0x0A or byte == 0x7F]
    assert b"leaf  <- 0x" in done.stdout and b"(rdi=0x1, ret=0xffffffffffffffff, 0x5)" in done.stdout


# -- tree and top --

def test_the_tree_of_a_boot(probe: Cprobe, guest: Path, write: Write) -> None:
    trace = write(blocks.boot(nm(guest.with_suffix(".full"))))
    assert tree(probe, guest, trace) == [
        (0, "hammer_time", 1), (1, "clock_init", 1), (1, "tsc_init", 1), (2, "probe_tsc_freq", 1),
        (3, "tsc_freq_cpuid_vm", 1), (4, "TSC: no frequency by CPUID", -1), (0, "mi_startup", 1),
        (1, "kvm_clock_identify", 1), (1, "kvm_clock_attach", 1), (2, "pvclock_init", 1), (3, "pvclock_tsc_freq", 1),
        (4, "kvmclock0: 2596128000 Hz", -1), (1, "cpu_initclocks", 1), (2, "lapic_calibrate_timer", 1), (3, "gap", -1),
        (0, "lapic_handle_timer", 2), (1, "lapic_eoi", 2)]


def test_all_time_is_somebodys(probe: Cprobe, guest: Path, write: Write) -> None:
    """From the first event to the end record, in the tree, by its roots, and in the table."""
    trace = write(blocks.boot(nm(guest.with_suffix(".full"))))
    rows = records(probe, "tree", guest, trace)
    spent = BOOT_END - BOOT[0][0]
    assert sum(row.get("self", 0) for row in rows) == spent
    assert sum(row["inclusive"] for row in rows if row["depth"] == 0) == spent
    table = [row for row in records(probe, "top", guest, trace, "--limit", "0") if row["kind"] == "function"]
    assert sum(row["self"] for row in table) == spent
    assert [row["self"] for row in table] == sorted((row["self"] for row in table), reverse=True)
    in_tree = {row["name"]: row["inclusive"] for row in rows if row["kind"] == "function"}
    assert {row["name"]: row["inclusive"] for row in table} == in_tree
    assert {row["name"]: row["count"] for row in table}["lapic_eoi"] == 2


def test_calls_are_taken_together_and_vcpus_kept_apart(probe: Cprobe, kernel: Path, write: Write) -> None:
    rows = [(10 * i + step, vcpu, name, caller) for vcpu in (0, 1) for i in range(50)
            for step, name, caller in ((1, "middle", "_start"), (2, "leaf", "middle"))]
    found = tree(probe, kernel, write(made(kernel, sorted(rows), blocks.end(500))))
    assert found == 2 * [(0, "_start", 0), (1, "middle", 50), (2, "leaf", 50)]


def test_a_caller_whose_entry_was_not_seen(probe: Cprobe, kernel: Path, write: Write) -> None:
    trace = write(made(kernel, [(1, 0, "leaf", "middle"), (5, 0, "other", "_start")], blocks.end(9)))
    kinds = [(row["kind"], row["name"]) for row in records(probe, "tree", kernel, trace)]
    assert kinds == [("caller", "middle"), ("function", "leaf"), ("caller", "_start"), ("function", "other")]
    assert "           -  middle\n" in probe.run("tree", kernel, trace).stdout


def test_a_thread_that_was_switched_from_goes_on(probe: Cprobe, kernel: Path, write: Write) -> None:
    """_start calls middle; another chain runs; then middle, which was entered before, calls again."""
    trace = write(made(kernel, [(1, 0, "_start", ""), (2, 0, "middle", "_start"), (3, 0, "other", "by_pointer"),
                                (4, 0, "leaf", "middle"), (5, 0, "other", "by_pointer"), (6, 0, "leaf", "middle")],
                       blocks.end(9)))
    assert tree(probe, kernel, trace) == [(0, "_start", 1), (1, "middle", 1), (2, "leaf", 2), (0, "by_pointer", 0),
                                          (1, "other", 2)]


def test_without_call_sites_the_code_says_who_called(probe: Cprobe, kernel: Path, write: Write) -> None:
    names = ["_start", "middle", "leaf", "other", "by_pointer", "never"]
    rows = [(i, 0, name, "") for i, name in enumerate(names)]
    trace = write(made(kernel, rows, blocks.end(9)))
    assert tree(probe, kernel, trace) == [(0, "_start", 1), (1, "middle", 1), (2, "leaf", 1), (1, "other", 1),
                                          (1, "by_pointer", 1), (2, "never", 1)]
    assert "from the code: the trace has no call sites" in probe.run("tree", kernel, trace).stdout


@pytest.mark.parametrize("named", [
    lambda name, at: {"function": f"{name}+0x1", "address": hex(at + 1)},
    lambda name, at: {"function": f"{name}+0x1", "address": "0x1"},  # where it runs is not where it is linked
    lambda name, at: {"function": name},
])
def test_callers_that_a_session_in_gdb_names(probe: Cprobe, kernel: Path, write: Write,
                                             named: Callable[[str, int], dict[str, str]]) -> None:
    symbols = nm(kernel)
    lines = [{"format": "bootsonde-trace", "version": 1}]
    for seq, (name, caller) in enumerate([("_start", None), ("leaf", "middle"), ("other", "_start")]):
        lines.append({"seq": seq, "t": seq, "vcpu": 0, "kind": "hit", "function": name, "address": hex(symbols[name]),
                      "place": "function", **({"caller": named(caller, symbols[caller])} if caller else {})})
    trace = write("".join(json.dumps(line) + "\n" for line in lines).encode())
    assert tree(probe, kernel, trace) == [(0, "_start", 1), (1, "other", 1), (0, "middle", 0), (1, "leaf", 1)]


def test_an_inlined_copy_is_within_the_function_around_it(probe: Cprobe, kernel: Path, write: Write) -> None:
    copy = next(row for row in probe.records("list", kernel, "--func", "copied", "--inlined", "only")
                if row["outer"] == "never")
    symbols = nm(kernel)
    data = (blocks.header()
            + blocks.functions({0: (symbols["never"], "never"), 1: (int(copy["address"], 16), "copied")})
            + blocks.sites({0: symbols["_start"] + 2})
            + blocks.events(0, [(1, 0, 0, ()), (3, 1, None, ()), (7, 0, 0, ())]) + blocks.end(9))
    assert tree(probe, kernel, write(data)) == [(0, "_start", 0), (1, "never", 2), (2, "copied", 1)]
    row, = (row for row in records(probe, "top", kernel, write(data)) if row["name"] == "copied")
    assert (row["kind"], row["outer"], row["self"]) == ("inlined", "never", 4)


def test_gaps(probe: Cprobe, kernel: Path, write: Write) -> None:
    ms = 1_000_000
    rows = [(0, 0, "_start", ""), (150 * ms, 0, "middle", "_start"), (160 * ms, 0, "leaf", "middle")]
    trace = write(made(kernel, rows, blocks.end(250 * ms)))

    def gaps(*words: str) -> list[tuple[int, int, str, Any]]:
        return [(row["t"], row["length"], row["in"], row.get("next"))
                for row in records(probe, "top", kernel, trace, *words) if row["kind"] == "gap"]

    assert gaps() == [(0, 150 * ms, "_start", "middle")]
    assert gaps("--gap", "89") == [(0, 150 * ms, "_start", "middle"), (160 * ms, 90 * ms, "leaf", None)]
    assert gaps("--gap", "150") == []
    assert "no gap over 150 ms" in probe.run("top", kernel, trace, "--gap", "150").stdout
    assert "-- gap, from 0.000000 s until middle" in probe.run("tree", kernel, trace).stdout


def test_depth_and_least(probe: Cprobe, guest: Path, write: Write) -> None:
    trace = write(blocks.boot(nm(guest.with_suffix(".full"))))
    shallow = records(probe, "tree", guest, trace, "--depth", "1")
    assert {row["name"]: row.get("deeper", 0) for row in shallow if row["kind"] == "function"} == {
        "hammer_time": 4, "mi_startup": 6, "lapic_handle_timer": 2}
    assert sum(row.get("self", 0) for row in shallow) == BOOT_END - BOOT[0][0]
    text = probe.run("tree", guest, trace, "--least", "5").stdout
    assert "+ 2 others" in text and "tsc_init" not in text and "| TSC: no frequency by CPUID" in text
    assert '"others" are' in text


def test_deep_and_wide_traces_are_bounded(probe: Cprobe, kernel: Path, write: Write) -> None:
    """A recursion without end, and interrupts that never return."""
    deep = write(made(kernel, [(i, 0, "middle", "middle" if i else "") for i in range(3000)], blocks.end(3000)))
    rows = records(probe, "top", kernel, deep)
    assert [(row["count"], row["self"], row["inclusive"]) for row in rows] == [(3000, 3000, 3000)]
    names = ["leaf", "other", "middle", "never", "by_pointer"]
    wide = write(made(kernel, [(0, 0, "_start", "_start"), *((i, 0, names[i % 5], "") for i in range(1, 3000))],
                      blocks.end(3000)))
    assert sum(row["self"] for row in records(probe, "top", kernel, wide)) == 3000


@pytest.mark.parametrize("words, said", [
    (["tree", "k"], "no TRACE given"), (["events"], "no TRACE given"),
    (["top", "k", "t", "u"], '"u" is one word too many'),
    (["tree", "k", "t", "--format", "gdb"], "give --format text or json"),
    (["tree", "k", "t", "--depth", "x"], '--depth: "x" is no number'),
    (["top", "k", "t", "--gap", "-1"], '--gap: "-1" is no number'),
    (["top", "k", "t", "--gap", "99999999999999999999"], "is no number"),
])
def test_complaints_say_what_to_do(probe: Cprobe, words: list[str], said: str) -> None:
    done = probe.run(*words)
    assert done.returncode == 2 and said in done.stderr and done.stdout == ""
