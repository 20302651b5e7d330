"""Traces in blocks by Python's reader: what a sound one says, and what each field of a damaged one makes of it."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import blocks
import pytest
from blocks import (CONSOLE, COUNTS, END, EVENTS, FUNCTIONS, HAS_SITES, HAS_VALUES, JSON, SITES, block, text, varint)

from bootsonde.model.trace import TraceError, TraceReader, read_trace

DEFINED = blocks.functions({1: (0x1000, "f")}) + blocks.sites({1: 8})


def sample() -> bytes:
    return (blocks.header(args=["rdi"]) + blocks.functions({0: (0x1000, "main"), 900: (0x2000, "caf\u00e9")})
            + blocks.sites({5: 0x1005}) + blocks.events(0, [(10, 0, None, ()), (30, 900, 5, ())])
            + blocks.console([(12, b"a\xff\0")]) + blocks.events(1, [(20, 900, None, (7, 2**64 - 1))], HAS_VALUES)
            + blocks.counts([(0, 100, 3, 1)]) + blocks.objects([{"t": 21, "vcpu": 1, "kind": "inject", "seq": 99}])
            + blocks.end(99))


def test_events_are_merged_by_time() -> None:
    trace = read_trace(io.BytesIO(sample()), "t")
    assert trace.events == [
        {"seq": 0, "t": 10, "vcpu": 0, "kind": "hit", "function": "main", "address": "0x1000"},
        {"seq": 1, "t": 12, "vcpu": None, "kind": "console", "text": "a\u00ff\0"},
        {"seq": 2, "t": 20, "vcpu": 1, "kind": "hit", "function": "caf\u00e9", "address": "0x2000",
         "args": [{"name": "rdi", "value": "0x7"}, {"name": "1", "value": "0xffffffffffffffff"}]},
        {"seq": 3, "t": 21, "vcpu": 1, "kind": "inject"},
        {"seq": 4, "t": 30, "vcpu": 0, "kind": "hit", "function": "caf\u00e9", "address": "0x2000", "site": "0x1005"}]
    assert trace.end == {"seq": 5, "t": 99, "kind": "end", "outcome": "exit"} and not trace.cut
    assert trace.of_kind("console")[0]["t"] == 12


def test_counts() -> None:
    reader = TraceReader(io.BytesIO(sample()), "t")
    assert reader.blocks is not None
    count, = reader.blocks.counts()
    assert count == {"function": "main", "address": "0x1000", "count": 100, "first": 3, "vcpu": 1}


def test_what_happened_at_one_time_keeps_the_files_order() -> None:
    row: blocks.Event = (5, 1, None, ())
    parts = [blocks.events(1, [row], 0), blocks.console([(5, "x")]), blocks.events(0, [row], 0)]
    trace = read_trace(io.BytesIO(blocks.header() + DEFINED + b"".join(parts) + blocks.end(9)), "t")
    assert [event["vcpu"] for event in trace.events] == [1, None, 0]


def test_events_are_made_as_they_are_asked_for() -> None:
    """Damage behind them is met when it is come to."""
    bad = blocks.events(0, [(50, 1, None, ())], 0)[:-1] + b"\x81"
    data = blocks.header() + DEFINED + blocks.events(0, [(5, 1, None, ()), (6, 1, None, ())], 0) + bad + blocks.end(9)
    events = iter(TraceReader(io.BytesIO(data), "t"))
    assert [next(events)["t"], next(events)["t"]] == [5, 6]
    with pytest.raises(TraceError, match="checksum"):
        next(events)


def test_cut_anywhere_what_is_there_is_read() -> None:
    data = sample()
    head = data.index(b"\n") + 1
    whole = len(read_trace(io.BytesIO(data), "t").events)
    counts = []
    for size in range(head, len(data)):
        trace = read_trace(io.BytesIO(data[:size]), "t")
        assert trace.cut
        counts.append(len(trace.events))
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == whole
    for size in range(head - 1):
        with pytest.raises(TraceError, match="no trace"):
            read_trace(io.BytesIO(data[:size]), "t")


def test_any_byte_may_be_another() -> None:
    data = sample()
    random.seed(1)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << random.randrange(8)
        try:
            read_trace(io.BytesIO(bytes(damaged)), "t")
        except TraceError as error:
            assert str(error).startswith("t")


MOST = b"\xff" * 9
DAMAGED: list[tuple[int, bytes, int, dict[str, Any], str]] = [
    (EVENTS, b"\2\0", 1, {}, "record 0 is of function 2, which no block before defines"),
    (EVENTS, MOST + b"\2\0", 1, {}, "the function of record 0 has more than 64 bits"),
    (EVENTS, b"\1\x80", 1, {}, "the time of record 0 leaves its block of 2 bytes"),
    (EVENTS, b"\1" + MOST + b"\1", 1, {"t": 5}, "0xffffffffffffffff ns after 0x5, overflows"),
    (EVENTS, b"\1\0\0", 1, {}, "the 1 records of the block take 2 of its 3 bytes"),
    (EVENTS, b"\1\0\1\0", 3, {}, "3 records of kind events cannot take 4 bytes"),
    (EVENTS, b"\1\0", 1, {"t": 1 << 63}, "time 0x8000000000000000 is later than"),
    (EVENTS, b"\1\0", 1, {"vcpu": 0xFFFF}, "events of no vCPU"),
    (EVENTS, b"\1\0", 1, {"flags": 4}, "flags 0x4, and this bootsonde knows 0x3"),
    (EVENTS, b"\1\0\3", 1, {"flags": HAS_SITES}, "of call site 2, which no block before defines"),
    (EVENTS, b"\1\0\x41", 1, {"flags": HAS_VALUES}, "record 0 has 65 values, and 64 are the most"),
    (EVENTS, b"\1\0", 1, {"magic": 0}, "begins with 0x6b6c6273, and here is 0x00000000"),
    (EVENTS, b"\1\0", 1, {"size": (1 << 20) + 1}, "a block of 0x100001 bytes, and 0x100000 are the most"),
    (EVENTS, b"\1\0", 1, {"check": 1}, "and its header says 0x00000001"),
    (EVENTS, b"\1\0", 1, {"zero": 3}, "a field of the block's header is 0x3, and must be 0"),
    (CONSOLE, b"\0\2x", 1, {}, "the line of record 0 has 0x2 bytes, and its block only 0x1 more"),
    (JSON, text("{x"), 1, {}, "record 0 is no JSON object"),
    (JSON, text('{"kind":"strike","t":1}'), 1, {}, "unknown kind 'strike'"),
    (JSON, text('{"kind":"hit","t":"1"}'), 1, {}, "t is no number of nanoseconds"),
    (COUNTS, b"\0\1\1\1", 1, {}, "of function 0, which no block before defines"),
    (COUNTS, b"\1\1\1" + varint(0xFFFF), 1, {}, "vCPU 65535 is out of range"),
    (FUNCTIONS, b"\1\x09\1g", 1, {}, "function 1 is defined again in this block, as 0x9; it was 0x1000"),
    (FUNCTIONS, varint(1 << 24) + b"\x09\1g", 1, {}, "ids are below 16777216"),
    (FUNCTIONS, b"\2\x09\1\0", 1, {}, "is empty, or has a NUL byte"),
    (SITES, b"\1\x09", 1, {}, "call site 1 is defined again in this block, as 0x9; it was 0x8"),
    (END, text("{}"), 1, {}, "something follows the end record"),
    (8, b"\1\2\3", 1, {}, "a block of kind 8, and this bootsonde knows 1 to 7: the trace is of a later version"),
]


@pytest.mark.parametrize("kind, records, count, more, said", DAMAGED)
def test_damage_is_named(kind: int, records: bytes, count: int, more: dict[str, Any], said: str) -> None:
    more = {**({"vcpu": 0} if kind == EVENTS else {}), **more}
    data = blocks.header() + DEFINED + block(kind, records, count, **more) + blocks.end(9)
    with pytest.raises(TraceError) as caught:
        reader = TraceReader(io.BytesIO(data), "t")
        list(reader)
        assert reader.blocks is not None
        list(reader.blocks.counts())
    assert said in str(caught.value) and str(caught.value).startswith("t: ") and "offset 0x" in str(caught.value)


def test_a_definition_comes_before_its_use() -> None:
    data = blocks.header() + blocks.events(0, [(5, 1, None, ())], 0) + DEFINED + blocks.end(9)
    with pytest.raises(TraceError, match="which no block before defines"):
        read_trace(io.BytesIO(data), "t")


def test_time_that_goes_back_is_damage() -> None:
    data = blocks.header() + DEFINED + b"".join(blocks.events(0, [(t, 1, None, ())], 0) for t in (10, 9))
    with pytest.raises(TraceError, match="time goes back: this block has 0x9 ns, and the one of its vCPU before 0xa"):
        read_trace(io.BytesIO(data), "t")


def test_the_form_is_told_by_the_header() -> None:
    with pytest.raises(TraceError, match="encoding 'xz'; this bootsonde reads JSON Lines and blocks"):
        read_trace(io.BytesIO(blocks.header(encoding="xz")), "t")
    with pytest.raises(TraceError, match="must be opened as a binary file"):
        read_trace(io.StringIO(blocks.header().decode()), "t")
    lines = [{"format": "bootsonde-trace", "version": 1}, {"seq": 0, "t": 1, "kind": "hit"}, {"t": 2, "kind": "end"}]
    data = "".join(json.dumps(line) + "\n" for line in lines)
    assert read_trace(io.BytesIO(data.encode()), "t") == read_trace(io.StringIO(data), "t")
    with pytest.raises(TraceError, match="t:2: not a JSON record"):
        read_trace(io.BytesIO(data.encode().replace(b'"hit"', b'"\xff"')), "t")
