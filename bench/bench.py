#!/usr/bin/env python3
"""Measures what bootsonde promises of a run, beside its peers, in one run: see bench/README.md.

    bench/bench.py [--rounds N] [--kernel VMLINUX] [--rbreak] [--no-demo] [--json FILE]

start   from GDB's start to its first `continue`, headless, on a kernel with much DWARF. The clock is the waiting
        guest's own: its RESUME event on a second QMP monitor.
memory  the highest resident size of GDB (its Python is inside) plus that of the host's Python.
peer    what GDB alone takes to read the same kernel's symbols; with --rbreak also for `rbreak pvclock.c:.`.
demo    launch/demo.sh, from built.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import ROOT, BenchError, Series, fetched_kernel, private_folder, table  # noqa: E402

#: The bars, from the project's issues: seconds, MB, seconds.
START_BAR_S, MEMORY_BAR_MB, DEMO_BAR_S = 0.5, 150.0, 6.0
#: No single run takes longer than this; seconds.
LIMIT_S = 120.0
APPEND = "console=ttyS0 nokaslr tsc_early_khz=2000000"

#: Stands in for GDB: notes when it starts GDB and GDB's process number, and passes its end on.
GDB_WRAPPER = """#!{python}
import json, os, sys, time
begin = time.time()
child = os.spawnvp(os.P_NOWAIT, {gdb!r}, [{gdb!r}] + sys.argv[1:])
with open({note!r} + ".part", "w") as note:
    json.dump({{"begin": begin, "pid": child}}, note)
os.rename({note!r} + ".part", {note!r})
status = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
"""


def peak_mb(pid: int) -> float:
    """The highest resident size of a living process so far, MB; 0 when it has gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


class ResumeClock(threading.Thread):
    """Waits for the guest's first RESUME event. `at`: QEMU's own time of it, seconds since 1970."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.at, self.problem = path, 0.0, "the guest was never resumed"

    def run(self) -> None:
        deadline = time.monotonic() + LIMIT_S
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
            while time.monotonic() < deadline:
                try:
                    monitor.connect(str(self.path))
                    break
                except OSError:
                    time.sleep(0.002)
            else:
                self.problem = "QEMU opened no second monitor"
                return
            monitor.settimeout(LIMIT_S)
            monitor.sendall(b'{"execute": "qmp_capabilities"}\n')
            with monitor.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    message = json.loads(line)
                    if message.get("event") == "RESUME":
                        stamp = message["timestamp"]
                        self.at = stamp["seconds"] + stamp["microseconds"] / 1e6
                        return


def headless(kernel: Path, scenario: Path, folder: Path, start: Series, memory: Series) -> None:
    """One headless run up to the kernel's first line."""
    note, monitor, wrapper = folder / "note", folder / "qmp", folder / "gdb"
    note.unlink(missing_ok=True)
    wrapper.write_text(GDB_WRAPPER.format(python=sys.executable, gdb=os.environ.get("GDB") or "gdb", note=str(note)),
                       encoding="utf-8")
    wrapper.chmod(0o700)
    clock = ResumeClock(monitor)
    clock.start()
    environment = {**os.environ, "GDB": str(wrapper), "XDG_RUNTIME_DIR": str(folder), "PYTHON": sys.executable}
    command = [str(ROOT / "launch" / "bootsonde"), "run", str(scenario), "--kernel", str(kernel), "--append", APPEND,
               "--until", "Linux version", "--timeout", "60", "--", "-qmp", f"unix:{monitor},server=on,wait=off"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
        host = gdb = 0.0
        pid: Optional[int] = None
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None:
            host = max(host, peak_mb(process.pid))
            if pid is None and note.exists():
                pid = json.loads(note.read_text(encoding="utf-8"))["pid"]
            if pid is not None:
                gdb = max(gdb, peak_mb(pid))
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.01)
    clock.join(2.0)
    if process.returncode != 0:
        tail = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise BenchError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    if not clock.at:
        raise BenchError(clock.problem)
    start.values.append(clock.at - json.loads(note.read_text(encoding="utf-8"))["begin"])
    if gdb:  # without /proc only the time is known
        memory.values.append(host + gdb)


def alone(command: List[str], folder: Path, took: Series, memory: Optional[Series] = None) -> None:
    """A command from start to end, and the highest resident size of what it was."""
    begin = time.monotonic()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, "XDG_RUNTIME_DIR": str(folder)})
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise BenchError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    took.values.append(time.monotonic() - begin)
    if memory is not None:
        memory.values.append(usage.ru_maxrss / (1024 if sys.platform == "linux" else 1))


def measure(kernel: Path, rounds: int, rbreak: bool, demo: bool) -> List[Series]:
    """All series. The rounds take turns, so that a busy moment hits each alike."""
    gdb = [os.environ.get("GDB") or "gdb", "-nx", "-nh", "-q", "-batch", "-iex", "set osabi none"]
    pvclock = Series("pvclock.py: GDB's start to first continue", "s", START_BAR_S)
    cpuid = Series("cpuid.py: GDB's start to first continue", "s", START_BAR_S)
    memory = Series("pvclock.py: GDB + Python, peak", "MB", MEMORY_BAR_MB)
    unused = Series("", "MB")
    peer, peer_memory = Series("peer: gdb, file VMLINUX", "s"), Series("peer: gdb, file VMLINUX, peak", "MB")
    series = [pvclock, cpuid, memory, peer, peer_memory]
    slow, whole = Series("peer: gdb, rbreak pvclock.c:.", "s"), Series("launch/demo.sh, from built", "s", DEMO_BAR_S)
    with private_folder() as folder:
        for _ in range(rounds):
            headless(kernel, ROOT / "scenarios" / "pvclock.py", folder, pvclock, memory)
            headless(kernel, ROOT / "scenarios" / "cpuid.py", folder, cpuid, unused)
            alone([*gdb, "-ex", f"file {kernel}"], folder, peer, peer_memory)
            if demo:
                if not whole.values:  # builds what is not built
                    alone([str(ROOT / "launch" / "demo.sh"), "--no-install"], folder, Series("", "s"))
                alone([str(ROOT / "launch" / "demo.sh"), "--no-install"], folder, whole)
        if rbreak:
            alone([*gdb, "-ex", f"file {kernel}", "-ex", "rbreak pvclock.c:."], folder, slow)
    return [each for each in [*series, slow, whole] if each.values]


def main() -> int:
    """Exit 0 all bars met, 1 one was missed, 3 it could not be measured."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measurements of each (5)")
    parser.add_argument("--kernel", type=Path, metavar="VMLINUX", help="default: Debian's, by launch/fetch.sh")
    parser.add_argument("--rbreak", action="store_true", help="also GDB's own way to the same breakpoints (20 s)")
    parser.add_argument("--no-demo", action="store_true", help="without launch/demo.sh")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the measurements, for a program")
    words = parser.parse_args()
    try:
        kernel = (words.kernel or fetched_kernel()).resolve()
        series = measure(kernel, max(1, words.rounds), words.rbreak, not words.no_demo)
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    print(f"{kernel.name}, {os.path.getsize(kernel) / 1e6:.0f} MB, {os.cpu_count()} CPUs\n")
    print(table([["what", "median", "min", "max", "runs", "bar", "met"], *(each.row() for each in series)]))
    if words.json:
        words.json.write_text(json.dumps([{**asdict(each), "median": each.median} for each in series], indent=1) + "\n",
                              encoding="utf-8")
    return 0 if all(each.bar is None or each.median <= each.bar for each in series) else 1


if __name__ == "__main__":
    sys.exit(main())
