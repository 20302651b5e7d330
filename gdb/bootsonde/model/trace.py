"""Traces: JSON Lines. A header, events in order, an end record.

A trace without its end record was cut off; `Trace.cut` says so and every reader must pass that on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, IO, List, Mapping, Optional

FORMAT = "bootsonde-trace"
VERSION = 1

#: Kinds of events; `end` closes the trace.
KINDS = ("hit", "inject", "watch", "cpuid", "msr", "console", "milestone", "exit")


class TraceError(Exception):
    """A file that is not a trace, or is damaged in its middle. The text names file and line."""


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


def read_trace(stream: IO[str], name: str) -> Trace:
    """Read a trace. `name` is for messages.

    Raises TraceError for what is no trace; a broken last line only means that the trace was cut off.
    """
    trace: Optional[Trace] = None
    broken = 0
    for number, line in enumerate(stream, 1):
        if broken:
            raise TraceError(f"{name}:{broken}: not a JSON record; the trace is damaged here")
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError
        except ValueError:
            broken = number
            continue
        if trace is None:
            if record.get("format") != FORMAT:
                raise TraceError(f"{name}:1: no trace: the header's format is {record.get('format')!r}, not {FORMAT!r}")
            if record.get("version") != VERSION:
                raise TraceError(f"{name}:1: trace version {record.get('version')!r}; this bootsonde reads {VERSION}")
            trace = Trace(record)
        elif trace.end is not None:
            raise TraceError(f"{name}:{number}: a record after the end record")
        elif record.get("kind") == "end":
            trace.end = record
        elif record.get("kind") in KINDS:
            trace.events.append(record)
        else:
            raise TraceError(f"{name}:{number}: unknown kind {record.get('kind')!r}")
    if trace is None:
        raise TraceError(f"{name}: no trace: it has no header line")
    return trace
