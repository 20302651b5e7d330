"""What the programs of bench/ share: series of measurements, their table, the kernel, a folder."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]


class BenchError(Exception):
    """A measurement that could not be made; the text says why."""


@dataclass
class Series:
    """Measurements of one thing. bar: what it may be at most, or None for a peer."""

    name: str
    unit: str
    bar: Optional[float] = None
    values: List[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def row(self) -> List[str]:
        verdict = "" if self.bar is None else "yes" if self.median <= self.bar else "NO"
        return [self.name, f"{self.median:.3g} {self.unit}", f"{min(self.values):.3g}", f"{max(self.values):.3g}",
                str(len(self.values)), "" if self.bar is None else f"{self.bar:g} {self.unit}", verdict]


def fetched_kernel() -> Path:
    """Debian's vmlinux, from launch/fetch.sh."""
    done = subprocess.run([str(ROOT / "launch" / "fetch.sh"), "debian-kernel"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise BenchError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "launch/fetch.sh failed")
    return Path(done.stdout.strip()) / "vmlinux"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """With a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head, with a line under it."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lined = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in lined)
