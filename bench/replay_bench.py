#!/usr/bin/env python3
"""Measures what replays of the shipped baselines take, against the same boots bare: see bench/README.md.

    bench/replay_bench.py [--rounds N] [--json FILE]

bare      each baseline's boot, by the launcher, without plugin and GDB, to the text that ends it or to its own end, one
          after the other. What a scenario injects is not there: such a boot reaches login another way, guest.i8254=1
replay    `bootsonde replay` of the same baselines, from its start to its end
alone     the same with -n 1: without it, as many run side by side as there are CPUs

Both take turns, and a ratio is of one round; the bar is for the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import ROOT, BenchError, table  # noqa: E402

sys.path.insert(0, str(ROOT / "gdb"))
from bootsonde import places  # noqa: E402
from bootsonde.host.baselines import load  # noqa: E402

#: From the project's issue 6: times the bare boots.
BAR = 1.2
LIMIT_S = 60.0
#: How a guest that is told the frequency reaches login without GDB.
BY_ITSELF = "guest.i8254=1"
GROUPS = {"plugin": "without a scenario", "gdb": "with a scenario", "all": "all"}


def bare(path: Path) -> float:
    """Seconds of a boot."""
    boot = load(str(path)).boot
    options = dict(boot.options)
    if boot.scenario is not None:
        options["append"] = f"{BY_ITSELF} {options.get('append', '')}".strip()
    ends = [text.encode() for text in boot.until or ["login:"]]
    with tempfile.TemporaryDirectory() as folder:
        console = Path(folder) / "console"
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        began = time.monotonic()
        with subprocess.Popen([str(ROOT / "launch" / "microvm_debug.sh"), "--no-wait", "--stub", "none", "--console",
                               str(console), *words, places.default_kernel()[0]], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**os.environ, "XDG_RUNTIME_DIR": folder}) as process:
            while process.poll() is None:
                if console.exists() and any(end in console.read_bytes() for end in ends):
                    break
                if time.monotonic() - began > LIMIT_S:
                    process.kill()
                    raise BenchError(f"{path}: the boot did not end")
                time.sleep(0.002)
            took = time.monotonic() - began
            process.kill()
    return took


def replayed(paths: List[Path], *more: str) -> float:
    """Seconds of all."""
    began = time.monotonic()
    done = subprocess.run([str(ROOT / "launch" / "bootsonde"), "replay", *more, *map(str, paths)], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise BenchError(done.stdout)
    return time.monotonic() - began


def measure(groups: Dict[str, List[Path]], rounds: int) -> Dict[str, List[Tuple[float, float, float]]]:
    """Of each group and round: bare, replay, alone."""
    found: Dict[str, List[Tuple[float, float, float]]] = {name: [] for name in groups}
    for number in range(rounds):
        for name, paths in groups.items():
            found[name].append((sum(bare(path) for path in paths), replayed(paths), replayed(paths, "-n", "1")))
            print(f"round {number + 1} {name}: " + " ".join(f"{one:.2f}" for one in found[name][-1]), file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    words = parser.parse_args()
    everything = sorted((ROOT / "scenarios" / "baselines").glob("*.baseline"))
    by_gdb = [path for path in everything if load(str(path)).boot.scenario is not None]
    groups = {"plugin": [path for path in everything if path not in by_gdb], "gdb": by_gdb, "all": everything}
    found = measure(groups, words.rounds)
    rows = []
    for name, rounds in found.items():
        ratio = statistics.median(replay / alone for alone, replay, _ in rounds)
        single = statistics.median(one / alone for alone, _, one in rounds)
        rows.append([GROUPS[name], str(len(groups[name])), f"{statistics.median(one[0] for one in rounds):.2f} s",
                     f"{statistics.median(one[1] for one in rounds):.2f} s", f"{ratio:.2f}", f"{single:.2f}",
                     ("yes" if ratio <= BAR else "NO") if name == "all" else ""])
    print(table([["baselines", "count", "bare", "replay", "ratio", "with -n 1", f"bar {BAR}"], *rows]))
    if words.json:
        Path(words.json).write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
