"""The TCG plugin: what it records is what GDB sees, and what is wrong with its arguments is said."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import FILES, LOGIN, PASSED, STEADY, Plugin

#: A clock by which the guest polls its timer as often on a slow host: it then calls some 49,000 functions.
MANY_EVENTS = ("--icount", "shift=3,sleep=off")


@pytest.mark.parametrize("smp", [pytest.param("1", marks=pytest.mark.long), "2",
                                 pytest.param("4", marks=pytest.mark.long)])
def test_hits_are_gdbs(either: Plugin, smp: str) -> None:
    """In one boot with both, since GDB's stops change how often a timer fires."""
    plugin = either
    listed = plugin.list(*FILES, "--inlined", "exclude")
    scenario = plugin.lab.scenario("all", f"scenario.at(Functions(file={STEADY!r}, inlined='exclude'))",
                                   "scenario.until('no such text')")
    plugin.lab.run(scenario, "--smp", smp, "--append", LOGIN,
                   "--plugin", f"{plugin.file},list={listed},out={plugin.out}").expect(0)
    ours = [(hit["vcpu"], hit["function"]) for hit in plugin.trace().of_kind("hit")]
    gdbs = [(hit["vcpu"], hit["function"]) for hit in plugin.lab.trace("all").of_kind("hit")]
    assert Counter(ours) == Counter(gdbs)
    for vcpu in range(int(smp)):
        assert [hit for hit in ours if hit[0] == vcpu] == [hit for hit in gdbs if hit[0] == vcpu] != []


def hits(plugin: Plugin, path: Path | None = None) -> list[tuple[str, str]]:
    """What was hit, in order: address and name."""
    return [(hit["address"], hit["function"]) for hit in plugin.trace(path).of_kind("hit")]


@pytest.mark.parametrize("words, arguments", [
    (["--file", "tsc.c", "--file", "kvm_clock.c", "--inlined", "exclude"],
     "in-file=tsc.c,in-file=kvm_clock.c,inlined=exclude"),
    (["--func", "tsc_*", "--func", "identify_*"], "func=tsc_*,func=identify_*"),
    (["--file", "tsc.c", "--inlined", "only"], "in-file=tsc.c,inlined=only"),
    (["--func", "*init*", "--inlined", "exclude"], "func=*init*,inlined=exclude"),
])
def test_the_plugin_lists_as_cprobe_does(plugin: Plugin, words: list[str], arguments: str) -> None:
    by_arguments = plugin.lab.cwd / "arguments.trace"
    plugin.boot(f",list={plugin.list(*words)},out={plugin.out}", qemu=plugin.beside(
        f",kernel={plugin.lab.kernel},{arguments},out={by_arguments}")).expect(PASSED)
    assert hits(plugin) == hits(plugin, by_arguments) != []


def test_list_and_kernel_together(plugin: Plugin) -> None:
    """What both name is recorded once."""
    listed = plugin.list("--func", "tsc_init")
    plugin.boot(f",list={listed},kernel={plugin.lab.kernel},func=tsc_init,func=lapic_init,"
                f"kernel={plugin.lab.kernel},func=tsc_calibrate,out={plugin.out}").expect(PASSED)
    assert Counter(name for _, name in hits(plugin)) == {"tsc_init": 1, "lapic_init": 1, "tsc_calibrate": 1}


def test_the_plugin_shows_qemu_nothing_of_libcprobe(plugin: Plugin) -> None:
    shown = subprocess.run(["nm", "-D", "--defined-only", plugin.file], capture_output=True, text=True, check=True,
                           timeout=10).stdout
    assert {line.split()[2] for line in shown.splitlines()} == {"qemu_plugin_install", "qemu_plugin_version"}


def test_trace_is_whole(plugin: Plugin) -> None:
    plugin.boot(f",list={plugin.list('--func', 'tsc_init')},out={plugin.out}").expect(PASSED)
    trace = plugin.trace()
    assert trace.end is not None and trace.end["outcome"] == "exit"
    assert trace.end["events"] == [1] and [hit["function"] for hit in trace.of_kind("hit")] == ["tsc_init"]
    assert trace.header["kernel"]["name"] if "kernel" in trace.header else trace.header["listed"]["list"]


def test_times_never_go_back(plugin: Plugin) -> None:
    plugin.boot(f",list={plugin.list('--file', 'local_apic.c')},out={plugin.out}", "--smp", "4").expect(PASSED)
    trace = plugin.trace()
    times = [event["t"] for event in trace.events]
    assert times == sorted(times) and times[0] > 0
    assert trace.end is not None and times[-1] <= trace.end["t"]


def test_places_that_share_an_address_are_all_recorded(plugin: Plugin) -> None:
    """A function that begins with an inlined copy has one address with it."""
    listed = plugin.list("--file", "clock.c")
    lines = [line.split() for line in listed.read_text().splitlines()]
    shared = {name for address, name, *_ in lines if [line[0] for line in lines].count(address) > 1}
    assert len(shared) > 1, "the guest has no such function any more"
    plugin.boot(f",list={listed},out={plugin.out}").expect(PASSED)
    trace = plugin.trace()
    hits: dict[str, Counter[str]] = {}
    for event in trace.of_kind("hit"):
        hits.setdefault(event["address"], Counter())[event["function"]] += 1
    for address, counts in hits.items():
        wanted = {line[1] for line in lines if int(line[0], 16) == int(address, 16)}
        assert set(counts) == wanted, address


@pytest.mark.parametrize("text, line, word", [
    ("0xffffffff80200000 btext\nhello\n", 2, "expected 0xADDRESS NAME"),
    ("0xffffffff80200000\n", 1, "expected 0xADDRESS NAME"),
    ("\n", 1, "expected 0xADDRESS NAME"),
    ("0x1ffffffff80200000 btext\n", 1, "expected 0xADDRESS NAME"),
    ('0xffffffff80200000 "btext"\n', 1, "expected 0xADDRESS NAME"),
])
def test_bad_line_is_named(plugin: Plugin, text: str, line: int, word: str) -> None:
    path = plugin.lab.cwd / "bad"
    path.write_text(text)
    done = plugin.boot(f",list={path},out={plugin.out}").expect(1)
    assert f"bootsonde-tcg: {path}:{line}: {word}" in done.err


@pytest.mark.parametrize("arguments, said", [
    ("", "list=FILE or kernel=PATH, and out=TRACE are needed"),
    (",list={list}", "list=FILE or kernel=PATH, and out=TRACE are needed"),
    (",out={out}", "list=FILE or kernel=PATH, and out=TRACE are needed"),
    (",list={list},out={out},more=1", "more=1: unknown argument"),
    (",list={list}.not,out={out}", "list.not: No such file or directory"),
    (",kernel={kernel}", "list=FILE or kernel=PATH, and out=TRACE are needed"),
    (",kernel={kernel}.not,out={out}", "clockguest.not: No such file or directory"),
    (",kernel={list},out={out}", "not an ELF file"),
    (",kernel={kernel},func=no_such,out={out}", "clockguest: no function matches"),
    (",func=tsc_init,kernel={kernel},out={out}", "func=tsc_init: which kernel's? give kernel=PATH before it"),
    (",kernel={kernel},inlined=maybe,out={out}",
     "inlined=maybe: give inlined=include, inlined=exclude or inlined=only"),
    (",kernel={kernel},func=,out={out}", "func=: its value is empty"),
    (",list={list},out=/proc/nowhere/trace", "/proc/nowhere/trace: No such file or directory"),
])
def test_bad_arguments_are_told(plugin: Plugin, arguments: str, said: str) -> None:
    listed = plugin.list("--func", "tsc_init")
    done = plugin.boot(arguments.format(list=listed, out=plugin.out, kernel=plugin.lab.kernel)).expect(1)
    assert said in done.err and "bootsonde-tcg: " in done.err
    assert done.seconds < 5


def test_empty_list_is_refused(plugin: Plugin) -> None:
    path = plugin.lab.cwd / "empty"
    path.touch()
    assert f"{path}: lists no address" in plugin.boot(f",list={path},out={plugin.out}").expect(1).err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB, less than half of what such a boot writes; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True,
                          timeout=10, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode != 0:
        pytest.skip("cannot mount a small tmpfs" + (f": {done.stderr.strip()}" if done else ": not root"))
    with contextlib.ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", folder], timeout=10, check=True)
        yield folder


def test_full_disk_leaves_a_readable_trace(plugin: Plugin, small_disk: Path) -> None:
    """The guest runs on to its end, the message comes once, and the trace shows that it was cut off."""
    out = small_disk / "trace"
    done = plugin.boot(f",list={plugin.list('--inlined', 'exclude')},out={out}", *MANY_EVENTS).expect(PASSED)
    assert done.err.count("the trace cannot be written further: No space left on device") == 1
    trace = plugin.trace(out)
    assert trace.cut and len(trace.events) > 50


def test_a_file_that_may_not_grow_is_like_a_full_disk(plugin: Plugin) -> None:
    """QEMU would die of SIGXFSZ, which the system sends with the refusal."""
    plugin.lab.environment["BOOTSONDE_LIMITED"] = plugin.lab.environment.get("QEMU", "qemu-system-x86_64")
    limited = plugin.lab.cwd / "limited"
    limited.write_text('#!/bin/sh\nulimit -f 128\nexec "$BOOTSONDE_LIMITED" "$@"\n')
    limited.chmod(0o755)
    done = plugin.boot(plugin.all(), *MANY_EVENTS, QEMU=str(limited)).expect(PASSED)
    assert done.err.count("the trace cannot be written further: File too large") == 1
    trace = plugin.trace()
    assert trace.cut and len(trace.events) > 50 and plugin.out.stat().st_size <= 64 * 1024


def test_killed_qemu_leaves_a_readable_trace(plugin: Plugin) -> None:
    """A guest that waits at login: is killed; what was recorded until then can be read."""
    command = [str(plugin.lab.root / "launch" / "microvm_debug.sh"), "--no-wait", "--stub", "none", "--name", "killed",
               "--append", "guest.i8254=1", "--plugin",
               f"{plugin.file},list={plugin.list('--inlined', 'exclude')},out={plugin.out}", str(plugin.lab.kernel)]
    with subprocess.Popen(command, cwd=plugin.lab.cwd, env=plugin.lab.environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        seen = b""
        while b"login: " not in seen:
            data = os.read(process.stdout.fileno(), 4096)
            assert data, seen
            seen += data
        time.sleep(0.1)  # of which the plugin needs 10 ms
        process.kill()
    trace = plugin.trace()
    assert trace.cut and {"tsc_init", "getty"} <= {hit["function"] for hit in trace.of_kind("hit")}
