"""Traces: what is written can be read, and damage is told apart from a trace that was cut off."""

from __future__ import annotations

import errno
import io
from typing import Any

import pytest

from bootsonde.model.trace import TraceError, TraceWriter, read_trace

HEADER: dict[str, Any] = {"kernel": {"name": "k"}, "clock": "host"}


class Kept(io.StringIO):
    """A stream whose text outlives close()."""

    def close(self) -> None:
        self.text = self.getvalue()
        super().close()


def written(*, end: bool = True) -> str:
    stream = Kept()
    writer = TraceWriter(stream, HEADER)
    writer.event("console", 5, None, text="hello")
    writer.event("hit", 7, 1, function="lapic_init", outer=None)
    if not end:
        return stream.getvalue()
    writer.end(9, outcome="passed", reason="login:")
    return stream.text


def test_events_come_back_in_order_with_their_numbers() -> None:
    trace = read_trace(io.StringIO(written()), "t")
    seen = [(event["seq"], event["t"], event["vcpu"], event["kind"]) for event in trace.events]
    assert seen == [(0, 5, None, "console"), (1, 7, 1, "hit")]
    assert trace.end is not None and trace.end["outcome"] == "passed"
    assert trace.header["kernel"] == {"name": "k"}


def test_an_absent_value_is_not_written() -> None:
    assert "outer" not in read_trace(io.StringIO(written()), "t").events[1]


def test_a_trace_without_its_end_record_says_that_it_was_cut() -> None:
    trace = read_trace(io.StringIO(written(end=False)), "t")
    assert trace.cut and len(trace.events) == 2


@pytest.mark.parametrize("lost", range(1, 40, 7))
def test_a_trace_broken_in_its_last_line_keeps_all_lines_before(lost: int) -> None:
    text = written(end=False)
    trace = read_trace(io.StringIO(text[:-1 - lost]), "t")
    assert trace.cut and [e["kind"] for e in trace.events] == ["console"]


@pytest.mark.parametrize("text, said", [
    ("", "t: no trace: it has no header line"),
    ('{"format":"other"}\n', "t:1: no trace"),
    ('{"format":"bootsonde-trace","version":99}\n', "t:1: trace version 99"),
    (written().replace('{"seq":0', "{seq:0"), "t:2: not a JSON record"),
    (written().replace('"hit"', '"strike"'), "t:3: unknown kind 'strike'"),
    (written() + '{"seq":3,"kind":"hit"}\n', "t:5: a record after the end record"),
])
def test_damage_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_trace(io.StringIO(text), "t")
    assert said in str(caught.value)


class FullDisk(io.StringIO):
    """Takes so many characters and then fails as a full disk does."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, text: str) -> int:
        self.room -= len(text)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_is_kept_as_the_error_and_ends_the_writing() -> None:
    stream = FullDisk(200)
    writer = TraceWriter(stream, HEADER)
    for number in range(20):
        writer.event("console", number, None, text="x" * 20)
    assert writer.error is not None and writer.error.errno == errno.ENOSPC
    trace = read_trace(io.StringIO(stream.getvalue()), "t")
    assert trace.cut and trace.events
