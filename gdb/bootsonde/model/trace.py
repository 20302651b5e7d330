"""Traces: a header, events in order, an end record. JSON Lines, or the plugin's blocks (model/blocks.py).

A trace without its end record was cut off; `Trace.cut` says so and every reader must pass that on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Dict, IO, Iterable, Iterator, List, Mapping, Optional, Union, cast

from bootsonde.model.blocks import KINDS as KINDS
from bootsonde.model.blocks import BlockReader
from bootsonde.model.blocks import TraceError as TraceError

FORMAT = "bootsonde-trace"
VERSION = 1


@dataclass
class Trace:
    """A trace as read. `end` is None if it was cut off."""

    header: Dict[str, Any]
    events: List[Dict[str, Any]] = field(default_factory=list)
    end: Optional[Dict[str, Any]] = None

    @property
    def cut(self) -> bool:
        """Whether the end record is missing."""
        return self.end is None

    def of_kind(self, kind: str) -> List[Dict[str, Any]]:
        """The events of one kind, in order."""
        return [event for event in self.events if event["kind"] == kind]


class TraceWriter:
    """Writes each record as it comes, so that a killed run leaves all that happened before.

    Owns `stream` and closes it. A failed write (a full disk) is kept in `error` and stops all further writing, so
    that the last line in the file is the only one that may be broken.
    """

    def __init__(self, stream: IO[str], header: Mapping[str, Any]) -> None:
        self._stream = stream
        self._seq = 0
        self.error: Optional[OSError] = None
        self._write({"format": FORMAT, "version": VERSION, **header})

    def _write(self, record: Mapping[str, Any]) -> None:
        if self.error is not None:
            return
        try:
            self._stream.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
            self._stream.flush()
        except OSError as error:
            self.error = error

    def event(self, kind: str, t: int, vcpu: Optional[int], **values: Any) -> None:
        """Append an event. t in ns since the first continue; vcpu None where no vCPU is meant."""
        assert kind in KINDS, kind
        record: Dict[str, Any] = {"seq": self._seq, "t": t, "vcpu": vcpu, "kind": kind}
        record.update((key, value) for key, value in values.items() if value is not None)
        self._seq += 1
        self._write(record)

    def end(self, t: int, **values: Any) -> None:
        """Append the end record and close the file."""
        self._write({"seq": self._seq, "t": t, "kind": "end", **values})
        try:
            self._stream.close()
        except OSError as error:
            self.error = self.error or error


def _text(line: Union[str, bytes]) -> str:
    return line if isinstance(line, str) else line.decode("utf-8")


def _header(line: Union[str, bytes], name: str) -> Dict[str, Any]:
    if not line:
        raise TraceError(f"{name}: no trace: it has no header line")
    try:
        header = json.loads(_text(line))
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else None
        raise TraceError(f"{name}:1: no trace: the header's format is {found!r}, not {FORMAT!r}")
    if header.get("version") != VERSION:
        raise TraceError(f"{name}:1: trace version {header.get('version')!r}; this bootsonde reads {VERSION}")
    if header.get("encoding") not in (None, "blocks"):
        raise TraceError(f"{name}:1: encoding {header['encoding']!r}; this bootsonde reads JSON Lines and blocks")
    return header


class TraceReader:
    """A trace of either form, read as its events are asked for: millions of them take no memory.

    `stream` stays the caller's, and open. A trace in blocks must come as bytes, from a file that can be sought in.
    `end` is the end record, which of JSON Lines is known when the events are through; None: the trace was cut off.
    Everything raises TraceError for what is no trace, or a damaged one; `name` is for its messages.
    """

    def __init__(self, stream: Union[IO[str], BinaryIO], name: str) -> None:
        self.name = name
        self.end: Optional[Dict[str, Any]] = None
        self._stream = stream
        line = stream.readline()
        self.header = _header(line, name)
        #: The reader of the blocks; None: JSON Lines.
        self.blocks: Optional[BlockReader] = None
        if "encoding" in self.header:
            if isinstance(line, str):
                raise TraceError(f"{name}: a trace in blocks must be opened as a binary file")
            self.blocks = BlockReader(cast(BinaryIO, stream), self.header, len(line), name)
            self.end = self.blocks.end

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        """The events, once."""
        return self._lines() if self.blocks is None else self._blocks(self.blocks)

    def _blocks(self, blocks: BlockReader) -> Iterator[Dict[str, Any]]:
        seq = 0
        for event in blocks.events():
            yield event
            seq += 1
        if blocks.end is not None:
            self.end = {"seq": seq, **blocks.end}

    def _lines(self) -> Iterator[Dict[str, Any]]:
        broken = 0
        lines: Iterable[Union[str, bytes]] = self._stream
        for number, line in enumerate(lines, 2):
            if broken:
                raise TraceError(f"{self.name}:{broken}: not a JSON record; the trace is damaged here")
            try:
                record = json.loads(_text(line))
                if not isinstance(record, dict):
                    raise ValueError
            except ValueError:
                broken = number
                continue
            if self.end is not None:
                raise TraceError(f"{self.name}:{number}: a record after the end record")
            if record.get("kind") == "end":
                self.end = record
            elif record.get("kind") in KINDS:
                yield record
            else:
                raise TraceError(f"{self.name}:{number}: unknown kind {record.get('kind')!r}")


def read_trace(stream: Union[IO[str], BinaryIO], name: str) -> Trace:
    """Read a whole trace of either form; see TraceReader.

    Raises TraceError for what is no trace; a broken last line or block only means that the trace was cut off.
    """
    reader = TraceReader(stream, name)
    events = list(reader)
    return Trace(reader.header, events, reader.end)
