"""Traces of small boots, and what cprobe diff says of two of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import blocks
from cprobe_kit import Cprobe

NAMES = ["start", "early", "clock_init", "tsc_init", "probe", "poll", "read_port", "attach", "main_loop", "idle"]
IDS = {name: number for number, name in enumerate(NAMES)}
#: A boot in which a port is polled six times.
CALLS = ["start", "early", "clock_init", "tsc_init", *["poll", "read_port"] * 6, "probe", "attach", "main_loop", "idle"]
LINES = ["[    0.000001] Linux version 6.1", "[    0.000500] tsc: 2596.128 MHz", "login:"]
KERNEL = {"name": "k", "build_id": "11" * 20}


def qemu(smp: int = 1, **options: str) -> dict[str, Any]:
    words = [word for name, value in options.items() for word in (f"-{name}", value)]
    return {"version": "10.0.2", "arguments": ["qemu-system-x86_64", "-smp", str(smp), *words]}


def boot(calls: Sequence[bytes | str] = CALLS, lines: Sequence[bytes | str] = LINES, *, base: int = 0xffffffff80000000,
         end: bool = True, step: int = 1000, more: bytes = b"", outcome: str = "passed", **header: Any) -> bytes:
    """A trace in blocks, a call each microsecond; `more`: blocks before its end."""
    names = dict.fromkeys([*NAMES, *calls])
    ids = {name: number for number, name in enumerate(names)}
    rows: list[blocks.Event] = [(step * (i + 1), ids[name], None, ()) for i, name in enumerate(calls)]
    header.setdefault("kernel", KERNEL)
    header.setdefault("qemu", qemu())
    return (blocks.header(**header) + blocks.functions({i: (base + 16 * i, name) for name, i in ids.items()})
            + (blocks.events(0, rows) if rows else b"")
            + (blocks.console([(step * 5 * (i + 1), line) for i, line in enumerate(lines)]) if lines else b"") + more
            + (blocks.end(step * 100, outcome=outcome) if end else b""))


class Answer:
    """What cprobe said in both forms."""

    def __init__(self, probe: Cprobe, baseline: Path, trace: Path, *options: str | Path) -> None:
        self.text = probe.run("diff", baseline, trace, *options)
        done = probe.run("diff", baseline, trace, *options, "--format", "json")
        assert done.returncode == self.text.returncode
        self.status = done.returncode
        self.stderr = done.stderr
        self.records = [json.loads(line) for line in done.stdout.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    @property
    def changes(self) -> dict[str, int]:
        """Steps by kind of change, without those that there are none of."""
        summary, = self.of("summary")
        return {kind: count for kind, count in summary.items() if isinstance(count, int) and count and kind != "equal"}

    def names(self, kind: str) -> list[list[str]]:
        return [[step["name"] for step in record["names"]] for record in self.of(kind)]

    @property
    def first(self) -> tuple[Any, list[str], str, str]:
        """Of the first divergence: vCPU, the steps before it, what was expected and what came."""
        record, = self.of("divergence")
        after = [record[key][0]["name"] if record[key] else "" for key in ("expected", "came")]
        return record["vcpu"], [step["name"] for step in record["before"]], after[0], after[1]


def edited(*changes: tuple[int, int, Sequence[str]]) -> list[str]:
    """CALLS with [from:end] replaced, the last place first."""
    ret = list(CALLS)
    for begin, end, names in sorted(changes, reverse=True):
        ret[begin:end] = names
    return ret


def valued(values: Sequence[Sequence[int]], **more: Any) -> bytes:
    rows: list[blocks.Event] = [(1000 * (i + 1), i, None, tuple(row)) for i, row in enumerate(values)]
    return (blocks.header(**{"args": ["rdi", "return"], "kernel": KERNEL, **more})
            + blocks.functions({i: (0x1000 + i, name) for i, name in enumerate(NAMES)})
            + blocks.events(0, rows, blocks.HAS_SITES | blocks.HAS_VALUES) + blocks.end(9999))


def event(t: int, kind: str, **values: Any) -> dict[str, Any]:
    return {"t": t, "vcpu": 0, "kind": kind, "function": "tsc_init", "address": "0xffffffff80000100", **values}
