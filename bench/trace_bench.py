#!/usr/bin/env python3
"""Measures what the QEMU plugin costs a boot, against the same boot without it: see bench/README.md.

    bench/trace_bench.py [--rounds N] [--qemu PATH]... [--no-gdb] [--json FILE]

bare      Debian's kernel on one vCPU, until it says that it finds no root
empty     a plugin that looks at nothing, empty_plugin.c: below what QEMU takes for it comes no plugin
few       ten functions recorded; "beside empty" is their price without QEMU's own
counts    all functions counted
all       all functions recorded

A boot is the time from QEMU's start to the end text on its console. The five take turns, and a ratio is of one round;
bars are for the medians. "CPU" is the ratio of the processor time that all of QEMU's threads took, which a busy machine
changes less; it includes the thread that writes the trace, beside which the guest runs. Then GDB stops at one hot
function, and its stops per second are set against the plugin's events.
QEMUs: --qemu, else the machine's own and the one that launch/fetch.sh keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import ROOT, BenchError, fetched_kernel, private_folder, table  # noqa: E402

#: The bars, from the project's issue 5: times the bare boot; bytes an event; times GDB's stops a second.
BARS = {"few": 1.1, "counts": 1.2, "all": 1.35}
BYTES_BAR = 12.0
GDB_BAR = 1000.0
WAYS = ("bare", "empty", "few", "counts", "all")
#: Early and late ones, that any x86 Linux of these years has; two of them are called often.
FEW = ("start_kernel", "tsc_init", "native_calibrate_tsc", "setup_arch", "rest_init", "kernel_init", "mount_root",
       "vfs_kern_mount", "panic", "console_init")
END = b"Unable to mount root"
APPEND = "console=ttyS0 nokaslr tsc_early_khz={khz}"
#: No single run takes longer than this; seconds.
LIMIT_S = 90
HOT = "kmem_cache_alloc"
SCENARIO = """import sys
sys.path.insert(0, {gdb!r})
from bootsonde import Functions, Scenario
scenario = Scenario("")
scenario.at(Functions({hot!r}, inlined="exclude"))
scenario.until("no such text")
scenario.start()
"""


@dataclass
class Runs:
    """One QEMU's. took and cpu: seconds of each round, by way; events and bytes: of each `all`."""

    qemu: str
    version: str
    took: Dict[str, List[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    cpu: Dict[str, List[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    events: List[int] = field(default_factory=list)
    bytes: List[int] = field(default_factory=list)
    gdb_rate: Optional[float] = None

    def ratios(self, way: str, beside: str = "bare") -> List[float]:
        return [one / other for one, other in zip(self.took[way], self.took[beside])]

    def cpu_ratio(self, way: str) -> float:
        return statistics.median(one / bare for one, bare in zip(self.cpu[way], self.cpu["bare"]))

    @property
    def bytes_an_event(self) -> float:
        return statistics.median(size / count for size, count in zip(self.bytes, self.events))

    @property
    def rate(self) -> float:
        """Events a second, of a boot that is recorded."""
        return statistics.median(count / took for count, took in zip(self.events, self.took["all"]))

    def rows(self) -> List[List[str]]:
        rows = []
        for way in WAYS:
            took, ratios = self.took[way], self.ratios(way)
            rows.append([self.version, way, f"{statistics.median(took):.3f} s", f"{min(took):.3f}", f"{max(took):.3f}",
                         f"{statistics.median(ratios):.3f}x" if way != "bare" else "",
                         f"{min(ratios):.2f} to {max(ratios):.2f}" if way != "bare" else "",
                         f"{self.cpu_ratio(way):.3f}x" if way != "bare" else "",
                         f"{BARS[way]:g}x" if way in BARS else "", verdict(self.is_met(way)) if way in BARS else ""])
        own = self.ratios("few", beside="empty")
        rows.append([self.version, "few, beside empty", "", "", "", f"{statistics.median(own):.3f}x",
                     f"{min(own):.2f} to {max(own):.2f}", "", "", ""])
        rows.append([self.version, "bytes an event", f"{self.bytes_an_event:.2f}", "", "", "", "", "", f"{BYTES_BAR:g}",
                     verdict(self.bytes_an_event <= BYTES_BAR)])
        if self.gdb_rate:
            times = self.rate / self.gdb_rate
            rows.append([self.version, "events/s to GDB's stops/s", f"{self.rate:,.0f}", f"{self.gdb_rate:,.0f}", "",
                         f"{times:,.0f}x", "", "", f"{GDB_BAR:g}x", verdict(times >= GDB_BAR)])
        return rows

    def is_met(self, way: str) -> bool:
        return statistics.median(self.ratios(way)) <= BARS[way]

    @property
    def all_met(self) -> bool:
        gdb = self.gdb_rate is None or self.rate / self.gdb_rate >= GDB_BAR
        return all(map(self.is_met, BARS)) and self.bytes_an_event <= BYTES_BAR and gdb


def verdict(met: bool) -> str:
    return "yes" if met else "NO"


def build() -> Path:
    return Path(os.environ.get("BOOTSONDE_BUILD") or ROOT / "build")


def host_khz() -> int:
    """What the guest would measure, and on a busy machine measures wrongly."""
    done = subprocess.run([str(build() / "cprobe" / "tcg" / "bootsonde-host-tsc")], stdout=subprocess.PIPE, text=True,
                          timeout=20, check=False)
    return int(done.stdout) // 1000 if done.returncode == 0 else 2_000_000


def empty_plugin(folder: Path) -> Path:
    """empty_plugin.c, compiled; its undefined symbols are QEMU's."""
    made = folder / "empty.so"
    done = subprocess.run(["cc", "-O2", "-shared", "-fPIC", ROOT / "bench" / "empty_plugin.c", "-o", made],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"empty_plugin.c does not compile: {done.stderr.strip()}")
    return made


def boot_s(qemu: str, kernel: Path, khz: int, plugin: str) -> Tuple[float, float]:
    """Seconds of one boot until it panics, and of processor time. QEMU is then ended, and has written its trace."""
    command = [qemu, "-M", "microvm,acpi=off", "-accel", "tcg", "-cpu", "max", "-m", "256M", "-nodefaults",
               "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", str(kernel),
               "-append", APPEND.format(khz=khz)]
    if plugin:
        command += ["-plugin", plugin]
    began = time.monotonic()
    seen = b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as guest:
        assert guest.stdout is not None
        try:
            while END not in seen:
                data = os.read(guest.stdout.fileno(), 65536)
                if not data or time.monotonic() - began > LIMIT_S:
                    raise BenchError(f"{' '.join(command)} did not say {END.decode()}:\n{seen[-2000:].decode()}")
                seen += data
            took = time.monotonic() - began
            guest.terminate()
            _, status, usage = os.wait4(guest.pid, 0)
            guest.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if guest.poll() is None:
                guest.kill()
    return took, usage.ru_utime + usage.ru_stime


def plugin_of(way: str, kernel: Path, folder: Path, empty: Path) -> str:
    """What follows -plugin; the trace is then in `folder`, as trace, and its status."""
    if way == "bare":
        return ""
    if way == "empty":
        return str(empty)
    words = [str(build() / "cprobe" / "tcg" / "bootsonde-tcg.so"), f"out={folder / 'trace'}",
             f"status={folder / 'status'}", f"kernel={kernel}", "inlined=exclude"]
    if way == "few":
        words += [f"func={name}" for name in FEW]
    if way == "counts":
        words.append("mode=counts")
    return ",".join(words)


def measure(runs: Runs, kernel: Path, khz: int, rounds: int) -> None:
    with private_folder() as folder:
        out, status, empty = folder / "trace", folder / "status", empty_plugin(folder)
        for number in range(rounds):
            for way in WAYS if number % 2 else WAYS[::-1]:
                took, cpu = boot_s(runs.qemu, kernel, khz, plugin_of(way, kernel, folder, empty))
                runs.took[way].append(took)
                runs.cpu[way].append(cpu)
                if way == "all":
                    runs.events.append(int(json.loads(status.read_text(encoding="utf-8"))["events"]))
                    runs.bytes.append(out.stat().st_size)
                elif way in BARS and not json.loads(status.read_text(encoding="utf-8"))["events"]:
                    raise BenchError(f"{way}: nothing was recorded")


def gdb_rate(qemu: str, kernel: Path, khz: int) -> float:
    """Stops a second at a hot function, between the first and the last stop of a run of some seconds."""
    with private_folder() as folder:
        scenario, trace = folder / "hot.py", folder / "trace"
        scenario.write_text(SCENARIO.format(gdb=str(ROOT / "gdb"), hot=HOT), encoding="utf-8")
        subprocess.run([str(ROOT / "launch" / "bootsonde"), "run", str(scenario), "--kernel", str(kernel), "--append",
                        APPEND.format(khz=khz), "--trace", str(trace), "--timeout", "12"], cwd=folder, check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT_S,
                       env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "QEMU": qemu, "PYTHON": sys.executable})
        times = [event["t"] for event in map(json.loads, trace.read_text(encoding="utf-8").splitlines()[1:])
                 if event.get("kind") == "hit"]
    if len(times) < 100:
        raise BenchError(f"GDB stopped {len(times)} times at {HOT}, which is no measure")
    return (len(times) - 1) * 1e9 / float(times[-1] - times[0])


def qemus(asked: List[str]) -> List[str]:
    if asked:
        return asked
    found = [os.environ.get("QEMU") or "qemu-system-x86_64"]
    done = subprocess.run([str(ROOT / "launch" / "fetch.sh"), "qemu-backports"], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=900, check=False)
    return found + ([done.stdout.strip()] if done.returncode == 0 else [])


def version(qemu: str) -> str:
    done = subprocess.run([qemu, "--version"], stdout=subprocess.PIPE, text=True, timeout=20, check=True)
    return "QEMU " + done.stdout.split("version ")[1].split()[0]


def main() -> int:
    """Exit 0 all bars met, 1 one was missed, 3 it could not be measured."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="measurements of each (10)")
    parser.add_argument("--qemu", action="append", default=[], metavar="PATH", help="only this one; may be repeated")
    parser.add_argument("--no-gdb", action="store_true", help="leave the comparison with GDB out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the measurements, for a program")
    words = parser.parse_args()
    measured = []
    try:
        kernel, khz = fetched_kernel(), host_khz()
        for qemu in qemus(words.qemu):
            measured.append(Runs(qemu, version(qemu)))
            measure(measured[-1], kernel, khz, max(1, words.rounds))
            if not words.no_gdb:
                measured[-1].gdb_rate = gdb_rate(qemu, kernel, khz)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    print(table([["QEMU", "what", "median", "min", "max", "ratio", "min to max", "CPU", "bar", "met"],
                 *(row for runs in measured for row in runs.rows())]))
    if words.json:
        words.json.write_text(json.dumps([{
            "qemu": runs.version, "seconds": runs.took, "cpu": runs.cpu, "events": runs.events, "bytes": runs.bytes,
            "gdb_stops_a_second": runs.gdb_rate, "bars": {**BARS, "bytes": BYTES_BAR, "gdb": GDB_BAR},
            "ratios": {way: statistics.median(runs.ratios(way)) for way in BARS},
        } for runs in measured], indent=1) + "\n", encoding="utf-8")
    return 0 if all(runs.all_met for runs in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
