"""Kernels and traces for the tests of why and next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cprobe_kit import nm

ALL: dict[str, Any] = {"files": [], "functions": []}

SOURCE = Path(__file__).with_name("why_cases.c").read_text()


def write_trace(path: Path, elf: Path, ran: Iterable[str], listed: Mapping[str, Any] | None = None,
                times: Mapping[str, list[int]] | None = None, **more: Any) -> Path:
    """A trace in which functions ran, one ms after the other or at these times in ns; `listed`: what was recorded;
    `more`: of the header."""
    table, when = nm(elf), dict(times or {})
    events = [(t, name) for number, name in enumerate(ran, 1) for t in when.get(name, [number * 1_000_000])]
    header: dict[str, Any] = {"format": "bootsonde-trace", "version": 1, "clock": "icount", **more}
    if listed is not None:
        header["listed"] = listed
    lines = [header]
    for number, (t, name) in enumerate(sorted(events)):
        lines.append({"seq": number, "t": t, "vcpu": 0, "kind": "hit", "function": name,
                      "address": hex(table[name])})
    lines.append({"seq": len(events), "t": 10 ** 9, "vcpu": None, "kind": "end", "outcome": "passed"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
