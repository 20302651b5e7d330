"""The binary form of a trace, read as cprobe/trace/format.h has it: what the plugin wrote, block by block."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<IIIHHHHIQ")
MAGIC = 0x6B6C6273
FUNCTIONS, SITES, EVENTS, CONSOLE, COUNTS, JSON, END = range(1, 8)
HAS_SITES, HAS_VALUES = 1, 2


@dataclass(frozen=True)
class Hit:
    """One entry of a function. site: 0 where it is not known."""

    t: int
    vcpu: int
    function: str
    address: int
    site: int = 0
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Count:
    """What a record of a COUNTS block says."""

    function: str
    address: int
    count: int
    first: int
    vcpu: int


@dataclass
class Blocks:
    """A trace. cut: it has no END block. size: bytes of the blocks of events with what they refer to."""

    header: dict[str, Any]
    hits: list[Hit] = field(default_factory=list)
    console: list[tuple[int, int, str]] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    end: dict[str, Any] | None = None
    #: In the order of the file: (vcpu, hit or text).
    order: list[tuple[int, Hit | str]] = field(default_factory=list)

    @property
    def cut(self) -> bool:
        return self.end is None

    def totals(self) -> Counter[tuple[int, str]]:
        """Entries of each function, by address and name, of either mode."""
        found: Counter[tuple[int, str]] = Counter((hit.address, hit.function) for hit in self.hits)
        for count in self.counts:
            found[count.address, count.function] += count.count
        return found

    def of_vcpu(self, vcpu: int) -> list[Hit]:
        return [hit for hit in self.hits if hit.vcpu == vcpu]


class Records:
    """The records of a block, from first to last."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        length = self.number()
        self.at += length
        assert self.at <= len(self.data)
        return self.data[self.at - length:self.at].decode(errors="replace")


def read_blocks(path: Path) -> Blocks:
    """Everything up to where the file was cut off. Damage before that is an assertion."""
    data = path.read_bytes()
    at = data.index(b"\n") + 1
    trace = Blocks(json.loads(data[:at]))
    functions: dict[int, tuple[int, str]] = {}
    sites: dict[int, int] = {}
    while at + HEADER.size <= len(data):
        magic, size, count, kind, flags, vcpu, zero, check, t = HEADER.unpack_from(data, at)
        assert (magic, zero) == (MAGIC, 0) and not trace.end, f"at {at:#x}"
        at += HEADER.size
        if at + size > len(data):
            break
        assert zlib.crc32(data[at:at + size]) == check, f"at {at:#x}"
        records = Records(data[at:at + size])
        for _ in range(count):
            if kind == FUNCTIONS:
                number = records.number()
                assert number not in functions
                functions[number] = records.number(), records.text()
            elif kind == SITES:
                number = records.number()
                assert number not in sites
                sites[number] = records.number()
            elif kind == EVENTS:
                address, name = functions[records.number()]
                t += records.number()
                site = records.number() if flags & HAS_SITES else 0
                values = tuple(records.number() for _ in range(records.number())) if flags & HAS_VALUES else ()
                trace.hits.append(Hit(t, vcpu, name, address, sites[site - 1] if site else 0, values))
                trace.order.append((vcpu, trace.hits[-1]))
            elif kind == CONSOLE:
                t += records.number()
                trace.console.append((t, vcpu, records.text()))
                trace.order.append((vcpu, trace.console[-1][2]))
            elif kind == COUNTS:
                address, name = functions[records.number()]
                trace.counts.append(Count(name, address, records.number(), records.number(), records.number()))
            else:
                assert kind == END, kind
                trace.end = json.loads(records.text())
        assert records.at == size
        at += size
    return trace
