#!/usr/bin/env python3
"""Measures cprobe's bars beside its peers, in one run, and prints a table with ratios: see bench/README.md.

    bench/cprobe_bench.py [--rounds N] [--kernel VMLINUX] [--only TEXT] [--slow] [--no-peers] [--json FILE]

Each number is the median of whole processes, from fork to their end, with the kernel in the page cache and the output
to /dev/null. The rounds take turns: cprobe and its quick peers in each, slow peers in a few.

Exit status: 0 every bar is met, by its milliseconds or by its ratios, 1 one is missed, 3 it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import ROOT, BenchError, Series, fetched_kernel, private_folder, table  # noqa: E402

HERE = ROOT / "bench"
#: What the issue asks of each peer: so many times cprobe's time.
RATIOS = {"drgn": 20.0, "gdb": 100.0, "objdump": 150.0, "llvm-symbolizer": 30.0}
#: A peer that takes longer than this, in seconds, is measured in so many rounds only; no run takes longer than LIMIT_S.
SLOW_S, SLOW_ROUNDS, LIMIT_S = 0.5, 3, 300.0
FIVE = "cpuid,rdtsc,rdtscp,rdmsr,wrmsr"
ADDRESSES = 10_000
#: In a job's command: the file of a trace with so many events.
TRACE, EVENTS = "TRACE", 12_000_000
#: What boot_trace.c makes another boot of.
CHANGES = {"drop": "one call dropped", "often": "one call in a thousand dropped", "other": "nothing in common"}


@dataclass
class Peer:
    """Another program's way to the same answer. `tool` is what RATIOS knows; `absent` says why it is not measured."""

    tool: str
    how: str
    command: List[str]
    required: bool = True
    absent: str = ""
    took: Series = field(default_factory=lambda: Series("", "ms"))


@dataclass
class Job:
    """One question to cprobe. bar in ms, rss_bar in MB; status: what cprobe must exit with."""

    name: str
    command: List[str]
    peers: List[Peer] = field(default_factory=list)
    bar: Optional[float] = None
    rss_bar: Optional[float] = None
    status: int = 0
    took: Series = field(default_factory=lambda: Series("", "ms"))
    rss: Series = field(default_factory=lambda: Series("", "MB"))

    def ratio(self, peer: Peer) -> float:
        """The median over the rounds: a busy moment of the machine hits both of one round alike."""
        return statistics.median(theirs / ours for theirs, ours in zip(peer.took.values, self.took.values))

    def by_time(self) -> Optional[bool]:
        return None if self.bar is None else self.took.median <= self.bar

    def by_ratio(self) -> Optional[bool]:
        """Do all ratios hold that are asked for? None: there is none to ask."""
        asked = [peer for peer in self.peers if peer.required and peer.took.values and peer.tool in RATIOS]
        return all(self.ratio(peer) >= RATIOS[peer.tool] for peer in asked) if asked else None

    def met(self) -> bool:
        if self.rss_bar is not None and self.rss.median > self.rss_bar:
            return False
        return self.bar is None or bool(self.by_time()) or bool(self.by_ratio())

    def rows(self) -> List[List[str]]:
        def yes_no(value: Optional[bool]) -> str:
            return "" if value is None else "yes" if value else "NO"

        bar = "" if self.bar is None else f"{self.bar:g} ms"
        rss = "" if self.rss_bar is None else f", {self.rss_bar:g} MB"
        rows = [[self.name, "cprobe", f"{self.took.median:.1f} ms", f"{min(self.took.values):.1f}",
                 f"{max(self.took.values):.1f}", str(len(self.took.values)), f"{self.rss.median:.1f} MB", "1",
                 bar + rss,
                 yes_no(self.by_time()), yes_no(self.by_ratio() if self.bar is not None else None),
                 "" if self.bar is None and self.rss_bar is None else yes_no(self.met())]]
        for peer in self.peers:
            if not peer.took.values:
                rows.append(["", peer.how, "absent", "", "", "", "", "", "", "", peer.absent, ""])
                continue
            asked = f"{RATIOS[peer.tool]:g}x" if peer.required and peer.tool in RATIOS and self.bar is not None else ""
            holds = yes_no(self.ratio(peer) >= RATIOS[peer.tool]) if asked else ""
            rows.append(["", peer.how, f"{peer.took.median:.0f} ms", f"{min(peer.took.values):.0f}",
                         f"{max(peer.took.values):.0f}", str(len(peer.took.values)), "", f"{self.ratio(peer):.3g}",
                         asked, "", holds, ""])
        return rows


HEAD = ["question", "by", "median", "min", "max", "runs", "RSS", "ratio", "bar", "ms met", "ratio met", "met"]


class Spawner:
    """spawn.c, compiled, and where its children's input and errors are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.program = folder, folder / "spawn"
        done = subprocess.run(["cc", "-O2", HERE / "spawn.c", "-o", self.program], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"spawn.c does not compile: {done.stderr.strip()}")

    def run(self, command: List[str], stdin: str, took: Series, rss: Optional[Series] = None, status: int = 0) -> None:
        done = subprocess.run([str(self.program), stdin, str(self.folder / "log"), *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False, cwd=self.folder)
        words = done.stdout.split()
        if done.returncode != 0 or int(words[2]) != status:
            tail = (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-1000:]
            raise BenchError(f"{' '.join(command)} ended with {words[2] if words else done.returncode}:\n{tail}")
        took.values.append(int(words[0]) / 1e6)
        if rss is not None:
            rss.values.append(int(words[1]) / (1024 if sys.platform == "linux" else 1))


def addresses_of(kernel: Path, path: Path) -> None:
    """Random addresses in .text, one a line; always the same ones of a kernel."""
    done = subprocess.run(["readelf", "-SW", kernel], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True)
    text = re.search(r" \.text +PROGBITS +([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", done.stdout)
    if not text:
        raise BenchError(f"{kernel}: no .text")
    source, start, size = random.Random(1), int(text[1], 16), int(text[2], 16)
    path.write_text("".join(f"{start + source.randrange(size):#x}\n" for _ in range(ADDRESSES)), encoding="ascii")


def trace_of(cprobe: str, kernel: Path, folder: Path) -> Path:
    """A trace in blocks of all functions, as of a big boot on one vCPU, by boot_trace.c."""
    program, path, functions = folder / "boot_trace", folder / "trace", folder / "functions"
    subprocess.run(["cc", "-O2", "-o", program, HERE / "boot_trace.c", "-lz"], check=True)
    with open(functions, "wb") as out:
        subprocess.run([cprobe, "list", kernel, "--inlined", "exclude"], stdin=subprocess.DEVNULL, stdout=out,
                       check=True)
    for kind in ["", *CHANGES]:
        with open(functions, "rb") as source, open(f"{path}.{kind}" if kind else path, "wb") as out:
            subprocess.run([program, str(EVENTS), "1", *([kind] if kind else [])], stdin=source, stdout=out, check=True)
    return path


class Peers:
    """Makes the peers' commands for a kernel, and knows which of them this machine has."""

    def __init__(self, kernel: Path) -> None:
        self.kernel = str(kernel)
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.index = Path(cache) / "bootsonde" / "gdb-index"
        self.python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
        drgn = subprocess.run([self.python, "-c", "import drgn"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              check=False)
        self.has_drgn = drgn.returncode == 0

    def _peer(self, tool: str, how: str, command: List[str], required: bool = True) -> Peer:
        peer = Peer(tool, how, command, required)
        if tool == "drgn" and not self.has_drgn:
            peer.absent = "not on this machine"
        elif not shutil.which(command[0]):
            peer.absent = f"no {command[0]} on this machine"
        return peer

    def _gdb(self, how: str, *words: str, required: bool = True) -> Peer:
        command = [os.environ.get("GDB") or "gdb", "-nx", "-nh", "-q", "-batch", "-iex", "set osabi none",
                   "-iex", f"set index-cache directory {self.index}", "-iex", "set index-cache enabled on"]
        for word in [f"file {self.kernel}", *words]:
            command += ["-ex", word]
        return self._peer("gdb", how, command, required)

    def gdb_asked(self, question: str, word: str) -> Peer:
        return self._gdb("gdb, warm index-cache, Python", f'set $question = "{question}"', f'set $word = "{word}"',
                         f"source {HERE / 'in_gdb.py'}")

    def gdb_warmed(self) -> Peer:
        """Once, unmeasured: it writes the index."""
        self.index.mkdir(parents=True, exist_ok=True)
        return self._gdb("gdb")

    def gdb_type(self, name: str) -> Peer:
        return self._gdb("gdb, warm index-cache, ptype/o", f"python try: gdb.execute('ptype/o struct {name}')\n"
                         "except gdb.error: pass")

    def gdb_all(self) -> Peer:
        return self._gdb("gdb, warm index-cache, info functions", "info functions")

    def drgn(self, question: str, how: str, *words: str) -> Peer:
        return self._peer("drgn", how, [self.python, str(HERE / "in_drgn.py"), self.kernel, question, *words])

    def objdump(self, mnemonics: str) -> Peer:
        pattern = rf"\b({mnemonics.replace(',', '|')})\b"
        return self._peer("objdump", "objdump -d | grep",
                          ["sh", "-c", f"objdump -d --no-show-raw-insn '{self.kernel}' | grep -wE '{pattern}'"])

    def symbolizer(self, *words: str) -> Peer:
        return self._peer("llvm-symbolizer", " ".join(["llvm-symbolizer", *words]),
                          ["llvm-symbolizer", f"--obj={self.kernel}", *words])

    def addr2line(self, tool: str) -> Peer:
        return self._peer(tool, f"{tool} -f", [tool, "-f", "-e", self.kernel], required=False)

    def pahole(self, form: str, name: str) -> Peer:
        return self._peer("pahole", f"pahole -F {form}",
                          ["sh", "-c", f"pahole -F {form} -C {name} '{self.kernel}' || :"], required=False)


def jobs_for(cprobe: str, kernel: Path, slow: bool) -> List[Job]:
    """The issue's bars first, then what has none."""
    peers, k = Peers(kernel), str(kernel)
    pvclock = subprocess.run([cprobe, "list", k, "--file", "pvclock.c", "--inlined", "exclude", "--format", "json"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    names = [f"{json.loads(line)['name']}@pvclock.c" for line in pvclock.stdout.splitlines()] or ["panic"]

    def of_file(glob: str, where: str) -> Job:
        return Job(f"list --file {glob} ({where})", [cprobe, "list", k, "--file", glob],
                   [peers.gdb_asked("file", glob)], 10.0, 20.0)

    jobs = [of_file("pvclock.c", "unit 217 of 2172"), of_file("init/main.c", "unit 5"),
            of_file("usercopy_64.c", "unit 2170")]
    jobs[0].peers.append(peers.drgn("function", "drgn, the same functions by name", *names))
    more = [peers.addr2line("addr2line"), peers.addr2line("eu-addr2line")] if slow else []
    jobs += [
        Job("list --file, a miss", [cprobe, "list", k, "--file", "no_such_file.c"],
            [peers.gdb_asked("file", "no_such_file.c")], 20.0, status=1),
        Job("list, all files", [cprobe, "list", k], [peers.gdb_all()] if slow else [], 120.0),
        Job("list --func pvclock_clocksource_read", [cprobe, "list", k, "--func", "pvclock_clocksource_read"],
            [peers.gdb_asked("function", "pvclock_clocksource_read"),
             peers.drgn("function", "drgn", "pvclock_clocksource_read")]),
        Job(f"find --insn {FIVE}", [cprobe, "find", k, "--insn", FIVE], [peers.objdump(FIVE)], 25.0),
        Job("find --message", [cprobe, "find", k, "--message", "Marking TSC unstable due to"], [], 30.0),
        Job(f"symbolize, {ADDRESSES:,} addresses", [cprobe, "symbolize", k],
            [peers.symbolizer("--no-inlines"), *more], 60.0),
        Job(f"symbolize --inlines, {ADDRESSES:,} addresses", [cprobe, "symbolize", k, "--inlines"],
            [peers.symbolizer("--inlines")]),
        Job("type task_struct", [cprobe, "type", k, "task_struct"],
            [peers.gdb_type("task_struct"), peers.drgn("type", "drgn", "task_struct"),
             peers.pahole("dwarf", "task_struct"), peers.pahole("btf", "task_struct")], 60.0),
        Job("type acpi_gpe_block_info", [cprobe, "type", k, "acpi_gpe_block_info"],
            [peers.gdb_type("acpi_gpe_block_info"), peers.drgn("type", "drgn", "acpi_gpe_block_info"),
             peers.pahole("dwarf", "acpi_gpe_block_info")], 60.0),
        Job("type, a miss", [cprobe, "type", k, "no_such_struct"],
            [peers.gdb_type("no_such_struct"), peers.drgn("type", "drgn", "no_such_struct"),
             peers.pahole("dwarf", "no_such_struct")], 60.0, status=1),
    ]
    million = f"{EVENTS // 1_000_000} million events"
    jobs += [Job(f"why {name}, {million}", [cprobe, "why", k, name, TRACE], [], 1500.0)
             for name in ("kvmclock_init", "pvclock_read_wallclock", "ext4_fill_super")]
    jobs += [
        Job(f"next, {million}", [cprobe, "next", k, TRACE]),
        Job(f"coverage, {million}", [cprobe, "coverage", k, TRACE], [], 1000.0, 300.0),
        Job(f"coverage --file pvclock.c, {million}", [cprobe, "coverage", k, TRACE, "--file", "pvclock.c"], [], 1000.0),
        Job(f"top, {million}", [cprobe, "top", k, TRACE], rss_bar=300.0),
        Job(f"tree, {million}", [cprobe, "tree", k, TRACE], rss_bar=300.0),
        Job(f"diff, equal, {million}", [cprobe, "diff", TRACE, TRACE], [], 1000.0, 500.0),
        *(Job(f"diff, {how}, {million}", [cprobe, "diff", TRACE, f"{TRACE}.{kind}"], [], 3000.0, 500.0, status=1)
          for kind, how in CHANGES.items()),
        Job(f"events --format json, {million}", [cprobe, "events", TRACE, "--format", "json"], rss_bar=20.0),
    ]
    return jobs


def measure(jobs: List[Job], kernel: Path, rounds: int, with_peers: bool) -> Dict[str, str]:
    """Fills the jobs. Returns what could not be measured of cprobe's, by job, with the reason."""
    failed: Dict[str, str] = {}
    with private_folder() as folder:
        spawner = Spawner(folder)
        addresses_of(kernel, folder / "addresses")
        if any(TRACE in job.command for job in jobs):
            trace = str(trace_of(jobs[0].command[0], kernel, folder))
            for job in jobs:
                job.command = [trace + word[len(TRACE):] if word.startswith(TRACE) else word for word in job.command]
        with open(kernel, "rb") as file:  # into the page cache
            while file.read(1 << 24):
                pass
        if with_peers:
            warm = Peers(kernel).gdb_warmed()
            if not warm.absent:
                spawner.run(warm.command, "/dev/null", Series("", "ms"))
        for at in range(rounds):
            for job in jobs:
                stdin = str(folder / "addresses") if "symbolize" in job.command[1] else "/dev/null"
                if job.name in failed:
                    continue
                try:
                    if at == 0:
                        spawner.run(job.command, stdin, Series("", "ms"), status=job.status)
                    spawner.run(job.command, stdin, job.took, job.rss, job.status)
                except BenchError as error:
                    failed[job.name] = str(error)
                    continue
                for peer in job.peers if with_peers else []:
                    slow = bool(peer.took.values) and peer.took.median > SLOW_S * 1000
                    if not peer.absent and not (slow and at >= SLOW_ROUNDS):
                        try:
                            spawner.run(peer.command, stdin, peer.took)
                        except (BenchError, subprocess.TimeoutExpired) as error:
                            peer.absent = f"it failed: {str(error).splitlines()[-1]}"
                            peer.took.values.clear()
    return failed


def main() -> int:
    """Exit 0 all bars met, 1 one was missed, 3 it could not be measured."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="measurements of each (10)")
    parser.add_argument("--kernel", type=Path, metavar="VMLINUX", help="default: Debian's, by launch/fetch.sh")
    parser.add_argument("--cprobe", type=Path, metavar="FILE", help="default: of $BOOTSONDE_BUILD, else of build/")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the questions with this in their name")
    parser.add_argument("--slow", action="store_true", help="also peers that take minutes")
    parser.add_argument("--no-peers", action="store_true", help="cprobe alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the measurements, for a program")
    words = parser.parse_args()
    build = Path(os.environ.get("BOOTSONDE_BUILD", ROOT / "build"))
    cprobe = (words.cprobe or build / "cprobe" / "cprobe").resolve()
    try:
        kernel = (words.kernel or fetched_kernel()).resolve()
        jobs = [job for job in jobs_for(str(cprobe), kernel, words.slow) if words.only in job.name]
        failed = measure(jobs, kernel, max(1, words.rounds), not words.no_peers)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    done = [job for job in jobs if job.took.values and job.name not in failed]
    print(f"{kernel.name}, {os.path.getsize(kernel) / 1e6:.0f} MB, {os.cpu_count()} CPUs\n")
    print(table([HEAD, *(row for job in done for row in job.rows())]))
    for name, reason in failed.items():
        print(f"\nbench: {name}: {reason}", file=sys.stderr)
    if words.json:
        words.json.write_text(json.dumps([{**asdict(job), "median": job.took.median, "met": job.met()} for job in done],
                                         indent=1) + "\n", encoding="utf-8")
    return 3 if failed or not done else 0 if all(job.met() for job in done) else 1


if __name__ == "__main__":
    sys.exit(main())
