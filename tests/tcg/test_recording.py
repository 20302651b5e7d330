"""What the plugin can record, each against something that knows it otherwise."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fetched import fetched
from labkit import wait_for

from bootsonde.model.trace import Trace

from .conftest import FILES, PASSED, Plugin, own_qemu, totals

#: Everything that makes a run the same each time but the shift is the launcher's.
ICOUNT = ("--icount", "shift=3,sleep=off")


def symbols(plugin: Plugin) -> dict[str, int]:
    found = subprocess.run(["nm", f"{plugin.lab.kernel}.full"], capture_output=True, text=True, check=True, timeout=20)
    return {name: int(address, 16) for address, _, name in (line.split() for line in found.stdout.splitlines())}


def hits(trace: Trace, function: str) -> list[dict[str, object]]:
    return [hit for hit in trace.of_kind("hit") if hit["function"] == function]


def status(path: Path) -> dict[str, object]:
    """The one line."""
    (line,) = path.read_text().splitlines()
    value = json.loads(line)
    assert isinstance(value, dict)
    return value


def test_events_are_those_of_qemus_own_log(either: Plugin) -> None:
    """QEMU notes each block that it runs; a function that is called begins one."""
    listed = either.list(*FILES, "--inlined", "exclude")
    addresses = [line.split()[0] for line in listed.read_text().splitlines()]
    log = either.lab.cwd / "log"
    either.boot(f",list={listed},out={either.out}", qemu=(
        "-d", "exec,nochain", "-D", str(log), "-dfilter",
        ",".join(f"{address}+1" for address in sorted(set(addresses))))).expect(PASSED)
    blocks = Counter(f"0x{int(pc, 16):x}" for pc in re.findall(r"^Trace \d+: \S+ \[\w+/(\w+)/", log.read_text(), re.M))
    entries = Counter(str(hit["address"]) for hit in either.trace().of_kind("hit"))
    twins = Counter(addresses)
    assert sum(blocks.values()) > 50
    assert {address: count // twins[address] for address, count in entries.items()} == blocks


@pytest.mark.parametrize("smp", ["1", "2"])
def test_counts_are_those_of_events(either: Plugin, smp: str) -> None:
    """Under icount, where two boots are one."""
    words = (*ICOUNT, "--smp", smp)
    either.boot(either.all(), *words).expect(PASSED)
    trace = either.trace()
    firsts: dict[tuple[str, str], tuple[int, int]] = {}
    for hit in trace.of_kind("hit"):
        firsts.setdefault((hit["address"], hit["function"]), (hit["t"], hit["vcpu"]))
    either.boot(either.all("mode=counts"), *words).expect(PASSED)
    counts = {(count["address"], count["function"]): count for count in either.counts()}
    wanted = totals(trace)
    # What the guest does after it has asked for its end is counted, but no event: QEMU 10 lets it run on.
    spare = {key: counts[key]["count"] - wanted[key] for key in counts if counts[key]["count"] != wanted[key]}
    assert set(wanted) <= set(counts) and sum(spare.values()) <= 100 and min(spare.values(), default=0) >= 0, spare
    for key, (t, vcpu) in firsts.items():
        assert counts[key]["vcpu"] == vcpu and abs(counts[key]["first"] - t) <= 10_000, (key, counts[key], t)
    assert either.trace().header["mode"] == "counts" and either.trace().end is not None


@pytest.mark.parametrize("smp", ["1", "2", "4"])
def test_counts_are_those_of_events_on_vcpus_in_threads(either: Plugin, smp: str) -> None:
    """Both of one boot: two in which time is the host's need not be alike."""
    listed = either.list(*FILES, "--inlined", "exclude")
    counted = either.lab.cwd / "counted.trace"
    either.boot(f",list={listed},out={either.out}", "--smp", smp,
                qemu=either.beside(f",list={listed},out={counted},mode=counts")).expect(PASSED)
    counts = {(count["address"], count["function"]): count["count"] for count in either.counts(counted)}
    spare = Counter(counts)
    spare.subtract(totals(either.trace()))
    # Counted and no event is what follows the guest's request for its end: QEMU 10 lets it run on.
    assert len(counts) > 20 and min(spare.values()) >= 0 and sum(spare.values()) <= 100, spare


def test_callers_are_calls_to_the_function(plugin: Plugin, qemu10: str) -> None:
    """The instruction there, by objdump, is a call or jump to it, or an indirect one."""
    plugin.boot(plugin.all(), "--smp", "2", QEMU=qemu10).expect(PASSED)
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", f"{plugin.lab.kernel}.full"], capture_output=True,
                          text=True, check=True, timeout=60).stdout
    insns = dict(re.findall(r"^\s*(ffffffff\w+):\s+(.*)$", code, re.M))
    trace = plugin.trace()
    assert trace.header["callers"] is True
    direct = indirect = 0
    for hit in trace.of_kind("hit"):
        if "site" not in hit or int(hit["site"], 16) < 0xffffffff80000000:
            continue  # unknown, or at a load address, before paging
        insn = insns[hit["site"][2:]]
        if "*" in insn:
            indirect += 1
        else:
            direct += 1
            assert re.match(rf"(call|j\w+)\s+{hit['address'][2:]}\b", insn), (hit, insn)
    assert direct > 1000 and indirect > 10
    (calibration,) = [hit for hit in hits(trace, "kvm_clock_identify")]
    assert "*" in insns[str(calibration["site"])[2:]], "a driver's method is called through a table"


def test_values_are_the_functions_arguments(plugin: Plugin, qemu10: str) -> None:
    plugin.boot(plugin.all("args=yes", "mem=text@rsi:8", "mem=low@rdi-0x100000000000:4"), QEMU=qemu10).expect(PASSED)
    trace = plugin.trace()
    assert trace.header["args"] == ["rdi", "rsi", "rdx", "rcx", "r8", "r9", "return", "text", "low"]
    named = symbols(plugin)
    for hit in hits(trace, "clockcalib"):
        args = hit["args"]
        assert isinstance(args, list)
        values = {arg["name"]: int(arg["value"], 16) for arg in args}
        name = values["text"].to_bytes(8, "little").split(b"\0")[0]
        assert values["rdi"] == named[{b"lapic": "cb_lapic_getcount", b"TSC": "rdtsc_ordered"}[name]]
        assert values["return"] == int(str(hit["site"]), 16) + 5
        assert "low" not in values, "no memory is there: the list ends before it"
    assert len(hits(trace, "clockcalib")) == 2
    (last,) = hits(trace, "debug_exit")
    assert last["args"][0]["value"] == "0x1"  # type: ignore[index]


@pytest.mark.parametrize("arguments, said", [
    ("args=yes", "args=yes: this QEMU does not show registers to plugins: use QEMU 9.0 or later"),
    ("callers=yes", "callers=yes: this QEMU cannot note calls: use QEMU 9.1 or later"),
])
def test_an_old_qemu_says_what_it_lacks(plugin: Plugin, arguments: str, said: str) -> None:
    version = subprocess.run([own_qemu(), "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    if int(version.split("version ")[1].split(".")[0]) >= 9:
        pytest.skip("the machine's QEMU is no old one")
    assert said in plugin.boot(plugin.all(arguments)).expect(1).err


@pytest.mark.parametrize("arguments, said", [
    ("args=yes,mem=x@rip", "mem=x@rip: give NAME@REGISTER+OFFSET:SIZE"),
    ("args=yes,mem=x@rdi:3", "mem=x@rdi:3: give NAME@REGISTER+OFFSET:SIZE"),
    ("args=yes,mem=x@edi:8", "there is no register edi"),
    ("mem=x@rdi:8", "give args=yes before it"),
])
def test_bad_places_are_told(plugin: Plugin, qemu10: str, arguments: str, said: str) -> None:
    assert said in plugin.boot(plugin.all(arguments), QEMU=qemu10).expect(1).err


@pytest.mark.parametrize("arguments, said", [
    ("limit=0", "limit=0: give a number of events, 1 or more"), ("limit=-1", "limit=-1: give a number"),
    ("mode=all", "mode=all: give mode=events or mode=counts"), ("stop-at=tsc_init", "give the address of a function"),
    ("mode=counts,limit=3", "mode=counts records no events"), ("icount-shift=11", "give icount's shift, 0 to 10"),
    ("header={cwd}/none", "none: No such file or directory"), ("header={cwd}/list", "list: is no JSON object"),
    ("header={cwd}/own", "own: \"mode\" is written by the plugin itself"), ("args=maybe", "give args=yes or args=no"),
    ("status=/proc/nowhere/status", "/proc/nowhere/status: No such file or directory"),
])
def test_bad_settings_are_told(plugin: Plugin, arguments: str, said: str) -> None:
    plugin.list("--func", "tsc_init")
    (plugin.lab.cwd / "own").write_text('{"kernel": {"mode": 1}, "mode": 2}')
    assert said in plugin.boot(plugin.all(arguments.format(cwd=plugin.lab.cwd))).expect(1).err


@pytest.mark.parametrize("smp", ["1", "4"])
def test_limit_is_exact(either: Plugin, smp: str) -> None:
    """The guest runs on."""
    path = either.lab.cwd / "status"
    either.boot(either.all("limit=12345", f"status={path}"), "--smp", smp).expect(PASSED)
    trace = either.trace()
    assert len(trace.of_kind("hit")) == 12345 and trace.end is not None
    assert (trace.end["outcome"], trace.end["reason"]) == ("stopped", "12345 events were recorded")
    said = status(path)
    assert (said["state"], said["events"], said["reason"]) == ("stopped", 12345, "12345 events were recorded")


@pytest.mark.parametrize("mode", ["events", "counts"])
def test_stop_at_is_the_last(either: Plugin, mode: str) -> None:
    """Of a function that was not listed."""
    address = symbols(either)["lapic_init"]
    either.boot(f",kernel={either.lab.kernel},in-file=tsc.c,inlined=exclude,out={either.out},stop-at={address:#x},"
                f"mode={mode}").expect(PASSED)
    trace = either.trace()
    assert trace.end is not None and (trace.end["outcome"], trace.end["reason"]) == (
        "stopped", f"{address:#x} was reached")
    if mode == "counts":
        names = {count["function"]: count["count"] for count in either.counts()}
        assert names["lapic_init"] == 1 and names["tsc_init"] == 1 and "tsc_calibrate" not in names
    else:
        names_in_order = [hit["function"] for hit in trace.of_kind("hit")]
        assert names_in_order[0] == "tsc_init" and names_in_order.index("lapic_init") == len(names_in_order) - 1


def test_a_place_in_the_middle_of_a_block_is_recorded(either: Plugin) -> None:
    """QEMU's blocks begin where code is jumped to: at a function's second instruction none does."""
    shown = subprocess.run(["objdump", "-d", "--disassemble=tsc_init", f"{either.lab.kernel}.full"], check=True,
                           capture_output=True, text=True, timeout=60).stdout
    first, second = re.findall(r"^(ffffffff\w+):", shown, re.M)[:2]
    listed = either.lab.cwd / "list"
    listed.write_text(f"0x{first} first\n0x{second} second\n")
    either.boot(f",list={listed},out={either.out}").expect(PASSED)
    assert [hit["function"] for hit in either.trace().of_kind("hit")] == ["first", "second"]
    listed.write_text(f"0x{second} second\n")
    either.boot(f",list={listed},out={either.out}").expect(PASSED)
    assert [hit["function"] for hit in either.trace().of_kind("hit")] == ["second"]


def test_header_says_what_was_asked(plugin: Plugin) -> None:
    more = plugin.lab.cwd / "more"
    more.write_text('{"kernel": {"name": "k"},\n "scenario": {"name": "s,}"}}\n')
    plugin.boot(f",kernel={plugin.lab.kernel},in-file=tsc.c,func=tsc_*,inlined=exclude,header={more},"
                f"out={plugin.out}").expect(PASSED)
    header = plugin.trace().header
    assert (header["kernel"], header["scenario"]) == ({"name": "k"}, {"name": "s,}"})
    assert header["listed"] == {"all": False, "kernel": True, "files": ["tsc.c"], "functions": ["tsc_*"],
                                "inlined": "exclude"}
    assert (header["clock"], header["mode"], header["encoding"]) == ("host", "events", "blocks")
    assert header["started"] > 0 and 0 < header["functions"] < 20
    plugin.boot(plugin.all()).expect(PASSED)
    header = plugin.trace().header
    assert header["listed"]["all"] is True and header["kernel"]["name"] == "clockguest"
    info = subprocess.run([plugin.cprobe, "info", plugin.lab.kernel], capture_output=True, text=True, check=True,
                          timeout=20).stdout
    assert header["kernel"]["build_id"] in info


@pytest.mark.parametrize("words", [(), ICOUNT])
def test_console_lines_are_where_they_were_written(either: Plugin, words: tuple[str, ...]) -> None:
    """Behind as many calls of the port's driver as they have characters."""
    console = either.lab.cwd / "console"
    either.boot(either.all(f"console={console}"), "--console", str(console), *words).expect(PASSED)
    trace = either.trace()
    written = console.read_bytes().decode().removesuffix("\r\n").split("\r\n")
    assert [line["text"] for line in trace.of_kind("console")] == written and len(written) > 20
    putc = characters = 0
    for event in trace.events:
        if event["kind"] == "console":
            characters += len(event["text"]) + 2
            assert putc in (characters, characters + 1) or event["text"] == "login: ", event
        elif event["function"] == "ns8250_putc":
            putc += 1


@contextmanager
def at_login(plugin: Plugin, arguments: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A guest that waits for somebody to type."""
    console = plugin.lab.cwd / "waits"
    command = [str(plugin.lab.root / "launch" / "microvm_debug.sh"), "--no-wait", "--stub", "none", "--append",
               "guest.i8254=1", "--console", str(console), "--plugin", f"{plugin.file}{arguments}", *words,
               str(plugin.lab.kernel)]
    with subprocess.Popen(command, cwd=plugin.lab.cwd, env=plugin.lab.environment, stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            wait_for("login:", lambda: console.exists() and b"login: " in console.read_bytes())
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("smp", ["1", "4"])
def test_sigterm_leaves_all(either: Plugin, smp: str) -> None:
    path = either.lab.cwd / "status"
    with at_login(either, either.all(f"status={path}"), "--smp", smp) as process:
        wait_for("the status", lambda: status(path)["state"] == "running" and status(path)["events"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    trace = either.trace()
    assert trace.end is not None and (trace.end["outcome"], trace.end["reason"]) == ("exit", "QEMU ended")
    by_vcpu = Counter(hit["vcpu"] for hit in trace.of_kind("hit"))
    assert trace.end["events"] == [by_vcpu[vcpu] for vcpu in range(int(smp))] and hits(trace, "getty")
    assert (status(path)["state"], status(path)["events"]) == ("ended", sum(by_vcpu.values()))


def test_sigkill_under_icount_leaves_almost_all(either: Plugin) -> None:
    """Blocks are full only now and then; what is in the others is put behind the file's end."""
    listed = either.list("--file", "tsc.c", "--inlined", "exclude")
    with at_login(either, f",list={listed},out={either.out}", *ICOUNT) as process:
        wait_for("events in the file", lambda: b"tsc_init" in either.out.read_bytes())
        process.kill()
        process.communicate(timeout=20)
    trace = either.trace()
    assert trace.cut and hits(trace, "tsc_init")


@pytest.mark.parametrize("fault, last", [("triple", "triple_fault"), ("reset", "triple_fault"), ("exit", "debug_exit")])
@pytest.mark.parametrize("smp", ["1", "2"], ids=lambda smp: f"{smp} vCPUs")
def test_with_a_virtual_clock_the_last_record_is_what_ended_the_guest(either: Plugin, fault: str, last: str, smp: str
                                                                      ) -> None:
    """And nothing comes behind it, though QEMU 10 lets the guest run on until its main thread has seen to it."""
    done = either.boot(either.all(), "--icount", "shift=3,sleep=off", "--smp", smp,
                       "--append", f"guest.i8254=1 guest.fault={fault}@lapic")
    assert done.status in (0, 33, 35), done
    trace = either.trace()
    assert [event["function"] for event in trace.of_kind("hit")][-1] == last
    assert "halted" not in str(trace.of_kind("console"))


def test_a_guest_that_resets_leaves_all(either: Plugin) -> None:
    either.boot(either.all(), "--append", "guest.fault=reset").expect(0)
    trace = either.trace()
    assert trace.end is not None and hits(trace, "cpu_reset")
    assert trace.end["events"] == [len(trace.of_kind("hit"))]


@pytest.mark.parametrize("smp", ["1", pytest.param("2", marks=pytest.mark.long), "4"])
def test_traces_under_icount_are_the_same_bytes(either: Plugin, smp: str) -> None:
    console = either.lab.cwd / "console"
    sums = set()
    for _ in range(5):
        console.unlink(missing_ok=True)
        either.boot(either.all(f"console={console}"), "--console", str(console), "--smp", smp, *ICOUNT).expect(PASSED)
        sums.add(hashlib.sha256(either.out.read_bytes()).hexdigest())
    assert len(sums) == 1
    trace = either.trace()
    assert trace.header["clock"] == "icount" and "started" not in trace.header
    assert {hit["vcpu"] for hit in trace.of_kind("hit")} == set(range(int(smp)))


@pytest.mark.long
def test_virtual_times_are_the_guests(either: Plugin) -> None:
    """Linux stamps its lines by the TSC, which under icount counts one each virtual ns."""
    kernel = fetched("debian-kernel") / "vmlinux"
    console = either.lab.cwd / "console"
    either.lab.command([
        str(either.lab.root / "launch" / "microvm_debug.sh"), "--no-wait", "--stub", "none", *ICOUNT, "--append",
        "console=ttyS0 nokaslr tsc_early_khz=1000000 panic=-1", "--console", str(console), "--plugin",
        f"{either.file},kernel={kernel},func=start_kernel,func=panic,inlined=exclude,console={console},"
        f"out={either.out}",
        str(kernel)]).expect(0)
    stamps = [(event["t"], float(match[1]) * 1e9) for event in either.trace().of_kind("console")
              if (match := re.match(r"\[ *(\d+\.\d+)\] ", event["text"]))]
    # What was said before there was a console comes in one go.
    late = [(t, stamp) for t, stamp in stamps if stamp > 1e9]
    assert len(late) > 50 and late[-1][1] - late[0][1] > 1e9
    assert abs((late[-1][0] - late[0][0]) / (late[-1][1] - late[0][1]) - 1) < 0.01
    assert [hit["function"] for hit in either.trace().of_kind("hit")] == ["start_kernel", "panic"]
