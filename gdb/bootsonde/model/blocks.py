"""The binary form of a trace: blocks, as the QEMU plugin writes them. cprobe/trace/format.h has the layout.

Nothing in the file is believed: what contradicts itself raises TraceError with the offset and both values, in the same
cases as cprobe's reader. A file that ends within a block was cut off, and what stands before is read.
"""

from __future__ import annotations

import codecs
import heapq
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, Dict, Iterator, List, Mapping, NoReturn, Optional, Tuple

MAGIC = 0x6B6C6273
HEADER = struct.Struct("<IIIHHHHIQ")
BLOCK_MAX = 1 << 20
ID_LIMIT = 1 << 24
VALUES_MAX = 64
LONGEST_NAME = 4096
NO_VCPU = 0xFFFF
#: ns; no time is later.
LAST = (1 << 63) - 1

FUNCTIONS, SITES, EVENTS, CONSOLE, COUNTS, JSON, END = range(1, 8)
KIND_NAMES = ("", "functions", "sites", "events", "console", "counts", "json", "end")
#: No record of that kind has fewer bytes.
LEAST = (0, 4, 2, 2, 2, 4, 3, 3)
HAS_SITES, HAS_VALUES = 1, 2

#: Kinds of events that JSON has, in either form; `end` closes the trace.
KINDS = ("hit", "inject", "watch", "cpuid", "msr", "console", "milestone", "exit")


class TraceError(Exception):
    """A file that is not a trace, or is damaged in its middle. The text names file and place."""


def _bytes_as_they_are(error: UnicodeError) -> Tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(map(chr, error.object[error.start:error.end])), error.end


codecs.register_error("bootsonde-bytes", _bytes_as_they_are)


@dataclass(frozen=True)
class Block:
    """Where a block's records lie: `at` is their offset in the file. t in ns."""

    at: int
    size: int
    count: int
    kind: int
    flags: int
    vcpu: int
    check: int
    t: int


class _Records:
    """The records of one block, read one behind the other."""

    def __init__(self, reader: BlockReader, number: int) -> None:
        self.reader = reader
        self.number = number
        self.block = reader.blocks[number]
        self.data = reader.read(self.block)
        self.at = 0
        self.left = self.block.count
        self.t = self.block.t

    def bad(self, text: str) -> NoReturn:
        self.reader.bad(self.block.at + self.at, text)

    @property
    def record(self) -> int:
        """The number of the one that is being read, from 0."""
        return self.block.count - self.left - 1

    def more(self) -> bool:
        """Is there another record? If not, the block must end here."""
        if not self.left and self.at != self.block.size:
            self.bad(f"the {self.block.count} records of the block take {self.at} of its {self.block.size} bytes")
        self.left -= 1
        return self.left >= 0

    def varint(self, what: str) -> int:
        value = shift = 0
        data, at = self.data, self.at
        while at < len(data):
            byte = data[at]
            if shift == 63 and byte > 1:
                self.bad(f"{what} of record {self.record} has more than 64 bits")
            value |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                self.at = at
                return value
            shift += 7
        self.bad(f"{what} of record {self.record} leaves its block of {self.block.size} bytes")

    def text(self, what: str) -> bytes:
        length = self.varint(what)
        if length > self.block.size - self.at:
            self.bad(f"{what} of record {self.record} has {length:#x} bytes, and its block only "
                     f"{self.block.size - self.at:#x} more")
        self.at += length
        return self.data[self.at - length:self.at]

    def time(self) -> int:
        ns = self.varint("the time")
        if ns > LAST - self.t:
            self.bad(f"the time of record {self.record}, {ns:#x} ns after {self.t:#x}, overflows")
        self.t += ns
        return self.t

    def defined(self, table: Mapping[int, Tuple[int, Any, int]], what: str, number: int) -> Tuple[int, Any]:
        address, name, since = table.get(number, (0, None, self.number))
        if since >= self.number:
            self.bad(f"record {self.record} is of {what} {number}, which no block before defines")
        return address, name

    def function(self) -> Tuple[int, str]:
        return self.defined(self.reader.functions, "function", self.varint("the function"))

    def object(self) -> Dict[str, Any]:
        try:
            value = json.loads(self.text("the JSON object").decode("utf-8"))
        except ValueError:
            value = None
        if not isinstance(value, dict):
            self.bad(f"record {self.record} is no JSON object")
        return value

    def values(self) -> List[int]:
        count = self.varint("the number of values")
        if count > VALUES_MAX:
            self.bad(f"record {self.record} has {count} values, and {VALUES_MAX} are the most")
        return [self.varint("a value") for _ in range(count)]


class BlockReader:
    """A trace in blocks. `stream` must be seekable, and stay open; `start` is where the header's line ends.

    `end` is None if the trace was cut off. Events are made as they are asked for, as in JSON Lines, and vCPUs merged by
    time.
    """

    def __init__(self, stream: BinaryIO, header: Mapping[str, Any], start: int, name: str) -> None:
        self.stream = stream
        self.header = header
        self.name = name
        self.blocks: List[Block] = []
        self.functions: Dict[int, Tuple[int, str, int]] = {}
        self.sites: Dict[int, Tuple[int, None, int]] = {}
        self.end: Optional[Dict[str, Any]] = None
        self._find(start)
        for number, block in enumerate(self.blocks):
            if block.kind == FUNCTIONS:
                self._define_functions(number)
            elif block.kind == SITES:
                self._define_sites(number)
            elif block.kind == END:
                records = _Records(self, number)
                records.more()
                self.end = records.object()
                records.more()

    def bad(self, at: int, text: str) -> NoReturn:
        raise TraceError(f"{self.name}: the trace is damaged at offset {at:#x}: {text}")

    def read(self, block: Block) -> bytes:
        """The block's records, whose checksum is right."""
        self.stream.seek(block.at)
        data = self.stream.read(block.size)
        if len(data) < block.size:
            raise TraceError(f"{self.name}: became shorter while it was read: is it being written anew?")
        check = zlib.crc32(data)
        if check != block.check:
            self.bad(block.at, f"the {block.size} bytes of the block have the checksum {check:#010x}, and its header "
                               f"says {block.check:#010x}")
        return data

    def _find(self, at: int) -> None:
        size = self.stream.seek(0, 2)
        ended = False
        while size - at >= HEADER.size:
            if ended:
                self.bad(at, "something follows the end record")
            self.stream.seek(at)
            block = self._block(at, self.stream.read(HEADER.size))
            if block.size > size - block.at:
                break
            if block.size:
                self.blocks.append(block)
            ended = block.kind == END
            at = block.at + block.size
        if ended and at < size:
            self.bad(at, f"{size - at} bytes follow the end record")

    def _block(self, at: int, data: bytes) -> Block:
        if len(data) < HEADER.size:
            raise TraceError(f"{self.name}: became shorter while it was read: is it being written anew?")
        magic, size, count, kind, flags, vcpu, zero, check, t = HEADER.unpack(data)
        if magic != MAGIC:
            self.bad(at, f"a block begins with {MAGIC:#010x}, and here is {magic:#010x}")
        if zero:
            self.bad(at, f"a field of the block's header is {zero:#x}, and must be 0")
        if not 0 < kind < len(KIND_NAMES):
            raise TraceError(f"{self.name}: offset {at:#x}: a block of kind {kind}, and this bootsonde knows 1 to "
                             f"{len(KIND_NAMES) - 1}: the trace is of a later version")
        if flags & ~(HAS_SITES | HAS_VALUES):
            raise TraceError(f"{self.name}: offset {at:#x}: a block with flags {flags:#x}, and this bootsonde knows "
                             f"{HAS_SITES | HAS_VALUES:#x}: the trace is of a later version")
        if size > BLOCK_MAX:
            self.bad(at, f"a block of {size:#x} bytes, and {BLOCK_MAX:#x} are the most")
        if count > size // LEAST[kind] or (size and not count):
            self.bad(at, f"{count} records of kind {KIND_NAMES[kind]} cannot take {size} bytes")
        if t > LAST:
            self.bad(at, f"the block's time {t:#x} is later than {LAST:#x}")
        if kind == EVENTS and vcpu == NO_VCPU:
            self.bad(at, "events of no vCPU")
        if kind == END and count != 1:
            self.bad(at, f"{count} end records")
        return Block(at + HEADER.size, size, count, kind, flags, vcpu, check, t)

    def _define_functions(self, number: int) -> None:
        records = _Records(self, number)
        while records.more():
            id_, address = records.varint("the id"), records.varint("the address")
            name = records.text("the name")
            if not name or b"\0" in name:
                records.bad(f"the name of function {id_} is empty, or has a NUL byte")
            if len(name) >= LONGEST_NAME:
                records.bad(f"the name of function {id_} has {len(name)} bytes")
            self._check_id(records, "function", id_, self.functions.get(id_), address)
            self.functions[id_] = (address, name.decode("utf-8", "bootsonde-bytes"), number)

    def _define_sites(self, number: int) -> None:
        records = _Records(self, number)
        while records.more():
            id_, address = records.varint("the id"), records.varint("the address")
            self._check_id(records, "call site", id_, self.sites.get(id_), address)
            self.sites[id_] = (address, None, number)

    @staticmethod
    def _check_id(records: _Records, what: str, id_: int, before: Optional[Tuple[int, Any, int]], address: int) -> None:
        if id_ >= ID_LIMIT:
            records.bad(f"{what} {id_} is defined in this block, and ids are below {ID_LIMIT}")
        if before is not None:
            records.bad(f"{what} {id_} is defined again in this block, as {address:#x}; it was {before[0]:#x}")

    def _args(self, values: List[int]) -> List[Dict[str, str]]:
        names = self.header.get("args")
        known = names if isinstance(names, list) else []
        return [{"name": str(known[i]) if i < len(known) else str(i), "value": f"{value:#x}"}
                for i, value in enumerate(values)]

    def _hits(self, number: int) -> Iterator[Dict[str, Any]]:
        records = _Records(self, number)
        block = records.block
        while records.more():
            address, name = records.function()
            event: Dict[str, Any] = {"t": records.time(), "vcpu": block.vcpu, "kind": "hit", "function": name,
                                     "address": f"{address:#x}"}
            if block.flags & HAS_SITES:
                site = records.varint("the call site")
                if site:
                    event["site"] = f"{records.defined(self.sites, 'call site', site - 1)[0]:#x}"
            if block.flags & HAS_VALUES:
                values = records.values()
                if values:
                    event["args"] = self._args(values)
            yield event

    def _lines(self, number: int) -> Iterator[Dict[str, Any]]:
        records = _Records(self, number)
        vcpu = None if records.block.vcpu == NO_VCPU else records.block.vcpu
        while records.more():
            t = records.time()
            text = records.text("the line").decode("utf-8", "bootsonde-bytes")
            yield {"t": t, "vcpu": vcpu, "kind": "console", "text": text}

    def _objects(self, number: int) -> Iterator[Dict[str, Any]]:
        records = _Records(self, number)
        while records.more():
            event = records.object()
            if event.get("kind") not in KINDS:
                records.bad(f"unknown kind {event.get('kind')!r}")
            if type(event.get("t")) is not int or event["t"] < 0:
                records.bad("an event's t is no number of nanoseconds")
            yield event

    def _stream(self, numbers: List[int]) -> Iterator[Tuple[int, int, Dict[str, Any]]]:
        """(t, block, event) of the blocks of one kind and vCPU."""
        read = {EVENTS: self._hits, CONSOLE: self._lines, JSON: self._objects}[self.blocks[numbers[0]].kind]
        before = 0
        for number in numbers:
            for event in read(number):
                t: int = event["t"]
                if t < before and self.blocks[number].kind != JSON:
                    self.bad(self.blocks[number].at, f"time goes back: this block has {t:#x} ns, and the one of its "
                                                     f"vCPU before {before:#x}")
                before = t
                yield t, number, event

    def events(self) -> Iterator[Dict[str, Any]]:
        """Each event with its seq, vCPUs merged by time."""
        streams: Dict[Tuple[int, int], List[int]] = {}
        for number, block in enumerate(self.blocks):
            if block.kind in (EVENTS, CONSOLE, JSON):
                streams.setdefault((block.kind, block.vcpu), []).append(number)
        merged = heapq.merge(*map(self._stream, streams.values()), key=lambda each: each[:2])
        for seq, (_, _, event) in enumerate(merged):
            event.pop("seq", None)
            yield {"seq": seq, **event}

    def console(self) -> Iterator[Dict[str, Any]]:
        """The console's lines alone, in order."""
        for number, block in enumerate(self.blocks):
            if block.kind == CONSOLE:
                yield from self._lines(number)

    def counts(self) -> Iterator[Dict[str, Any]]:
        """What blocks of counts say: function, address, count, first (ns), vcpu of the first entry."""
        for number, block in enumerate(self.blocks):
            if block.kind != COUNTS:
                continue
            records = _Records(self, number)
            while records.more():
                address, name = records.function()
                count, first, vcpu = (records.varint(what) for what in ("the count", "the time", "the vCPU"))
                if first > LAST or vcpu >= NO_VCPU:
                    records.bad(f"record {records.record}: time {first:#x} or vCPU {vcpu} is out of range")
                yield {"function": name, "address": f"{address:#x}", "count": count, "first": first, "vcpu": vcpu}
