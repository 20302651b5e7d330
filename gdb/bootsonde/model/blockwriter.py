"""Puts events into a trace of blocks that the QEMU plugin has finished: what GDB saw and did in the same boot.

cprobe/trace/format.h describes the blocks; this knows of the JSON one and of the end.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, BinaryIO, Dict, Iterable, List, Mapping

from bootsonde.model.blocks import END, HEADER, JSON, MAGIC, NO_VCPU, TraceError


def varint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _json_block(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    payload = varint(len(text)) + text
    vcpu = record.get("vcpu")
    return HEADER.pack(MAGIC, len(payload), 1, JSON, 0, NO_VCPU if vcpu is None else vcpu, 0, zlib.crc32(payload),
                       record["t"]) + payload


def _end_of_blocks(stream: BinaryIO, name: str) -> int:
    """Where the end block begins, or where the file was cut off, in bytes."""
    stream.readline()
    while True:
        at = stream.tell()
        head = stream.read(HEADER.size)
        if len(head) < HEADER.size:
            return at
        magic, size, _, kind, *_ = HEADER.unpack(head)
        if magic != MAGIC:
            raise TraceError(f"{name}: at byte {at} no block begins (magic {magic:#x}, not {MAGIC:#x})")
        if kind == END or len(stream.read(size)) < size:
            return at


def put_in(stream: BinaryIO, name: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Append events, as in the JSON Lines form, in front of the end record. stream: open for reading and writing.

    name: for messages. Raises TraceError for what is no trace of blocks; OSError.
    """
    stream.seek(0)
    at = _end_of_blocks(stream, name)
    stream.seek(at)
    end = stream.read()
    is_whole = len(end) >= HEADER.size and HEADER.unpack_from(end)[3] == END
    stream.seek(at)
    for event in events:
        stream.write(_json_block({key: value for key, value in event.items() if key != "seq"}))
    stream.write(end if is_whole else b"")
    stream.truncate()


def shifted(events: Iterable[Mapping[str, Any]], ns: int) -> List[Dict[str, Any]]:
    """The same events, that much later; none before 0."""
    return [{**event, "t": max(0, event["t"] + ns)} for event in events]
