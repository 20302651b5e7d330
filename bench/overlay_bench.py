#!/usr/bin/env python3
"""Measures what a KVM clock under plain TCG costs a boot, against the same boot without it: see bench/README.md.

    bench/overlay_bench.py [--rounds N] [--only reference|debian] [--json FILE]

without   a scenario with one breakpoint that is never hit
overlay   a scenario that asks for the clock and for nothing else
scenario  scenarios/kvmclock.py, which also records what brings the clock up

A boot is the trace's time from the first `continue` to the end record. The three take turns, and a ratio is of one
round; the bar is for the median of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import ROOT, BenchError, fetched_kernel, private_folder, table  # noqa: E402

#: The bar, from the project's issue 4: times the boot without.
BAR = 1.5
#: No single run takes longer than this; seconds.
LIMIT_S = 60
SCENARIO = """import sys
sys.path.insert(0, {gdb!r})
from bootsonde import Functions, Scenario
scenario = Scenario("")
scenario.{rule}
scenario.until("login:")
scenario.start()
"""
#: In a page that a kernel without a KVM clock does not run; both guests have it.
NEVER = "at(Functions('pvclock_resume'))"
WAYS = ("without", "overlay", "scenario")


@dataclass
class Guest:
    """name: for the table. words: for `bootsonde run`. took: seconds of each round, by way."""

    name: str
    words: Tuple[str, ...]
    took: Dict[str, List[float]] = field(default_factory=lambda: {way: [] for way in WAYS})

    def ratios(self, way: str) -> List[float]:
        return [with_it / without for with_it, without in zip(self.took[way], self.took["without"])]

    def row(self, way: str) -> List[str]:
        took = [f"{statistics.median(self.took[way]):.3f} s", f"{min(self.took[way]):.3f}",
                f"{max(self.took[way]):.3f}"]
        if way == "without":
            return [self.name, way, *took, "", "", "", ""]
        ratios = self.ratios(way)
        bar = [f"{BAR:g}x", "yes" if self.is_met else "NO"] if way == "overlay" else ["", ""]
        return [self.name, way, *took, f"{statistics.median(ratios):.2f}x", f"{min(ratios):.2f} to {max(ratios):.2f}",
                *bar]

    @property
    def is_met(self) -> bool:
        return statistics.median(self.ratios("overlay")) <= BAR


def guests(only: str) -> List[Guest]:
    """The reference guest, which needs the i8254 to come to login without a clock; Debian's, which has no root."""
    build = Path(os.environ.get("BOOTSONDE_BUILD") or ROOT / "build")
    found = []
    if only != "debian":
        found.append(Guest("clockguest, 2 vCPUs", ("--kernel", str(build / "guest" / "clockguest"), "--smp", "2",
                                                   "--append", "guest.i8254=1", "--until", "login:")))
    if only != "reference":
        found.append(Guest("Debian's, 1 vCPU", ("--kernel", str(fetched_kernel()), "--until", "Unable to mount root",
                                                "--append", "console=ttyS0 nokaslr tsc_early_khz=2000000")))
    return found


def boot_s(scenario: Path, words: Tuple[str, ...], folder: Path) -> float:
    """One boot that passes."""
    trace = folder / "trace"
    command = [str(ROOT / "launch" / "bootsonde"), "run", str(scenario), *words, "--trace", str(trace), "--timeout",
               str(LIMIT_S)]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=2 * LIMIT_S, check=False, text=True, errors="replace",
                          env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "PYTHON": sys.executable})
    if done.returncode:
        raise BenchError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    end = json.loads(trace.read_text(encoding="utf-8").splitlines()[-1])
    if end.get("kind") != "end":
        raise BenchError(f"{trace} has no end record")
    return float(end["t"]) / 1e9


def measure(measured: List[Guest], rounds: int) -> None:
    """Fill `took` in."""
    with private_folder() as folder:
        scenarios = {"scenario": ROOT / "scenarios" / "kvmclock.py"}
        for way, rule in (("without", NEVER), ("overlay", "kvm_clock()")):
            scenarios[way] = folder / f"{way}.py"
            scenarios[way].write_text(SCENARIO.format(gdb=str(ROOT / "gdb"), rule=rule), encoding="utf-8")
        for guest in measured:
            for number in range(rounds):
                for way in WAYS if number % 2 else WAYS[::-1]:
                    guest.took[way].append(boot_s(scenarios[way], guest.words, folder))


def main() -> int:
    """Exit 0 all bars met, 1 one was missed, 3 it could not be measured."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="measurements of each (10)")
    parser.add_argument("--only", choices=("reference", "debian"), default="", help="one of the guests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the measurements, for a program")
    words = parser.parse_args()
    try:
        measured = guests(words.only)
        measure(measured, max(1, words.rounds))
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    print(table([["guest", "boot", "median", "min", "max", "ratio", "min to max", "bar", "met"],
                 *(guest.row(way) for guest in measured for way in WAYS)]))
    if words.json:
        words.json.write_text(json.dumps([{**asdict(guest), "ratio": statistics.median(guest.ratios("overlay")),
                                           "bar": BAR} for guest in measured], indent=1) + "\n", encoding="utf-8")
    return 0 if all(guest.is_met for guest in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
