"""A writer of traces in blocks, for tests: sound ones, and by its pieces any that are not."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bootsonde.model.blocks import (CONSOLE, COUNTS, END, EVENTS, FUNCTIONS, HAS_SITES, HAS_VALUES, HEADER, JSON, MAGIC,
                                    NO_VCPU, SITES)

#: (t in ns, id of the function, id of the call site or None, values)
Event = tuple[int, int, "int | None", Sequence[int]]


def varint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return varint(len(raw)) + raw


def header(**more: Any) -> bytes:
    """The header line."""
    return json.dumps({"format": "bootsonde-trace", "version": 1, "encoding": "blocks", "clock": "icount",
                       **more}).encode() + b"\n"


def block(kind: int, records: bytes, count: int, *, vcpu: int = NO_VCPU, t: int = 0, flags: int = 0,
          **wrong: int) -> bytes:
    """A block; `wrong`: fields of its header that are to be others (magic, size, check, zero)."""
    return HEADER.pack(wrong.get("magic", MAGIC), wrong.get("size", len(records)), count, kind, flags, vcpu,
                       wrong.get("zero", 0), wrong.get("check", zlib.crc32(records)), t) + records


def functions(named: Mapping[int, tuple[int, bytes | str]]) -> bytes:
    """Ids to (address, name)."""
    return block(FUNCTIONS, b"".join(varint(i) + varint(address) + text(name) for i, (address, name) in named.items()),
                 len(named))


def sites(addresses: Mapping[int, int]) -> bytes:
    return block(SITES, b"".join(varint(i) + varint(address) for i, address in addresses.items()), len(addresses))


def events(vcpu: int, rows: Sequence[Event], flags: int = HAS_SITES) -> bytes:
    """A vCPU's function entries, in order of time."""
    out = bytearray()
    before = rows[0][0]
    for t, function, site, values in rows:
        out += varint(function) + varint(t - before)
        if flags & HAS_SITES:
            out += varint(0 if site is None else site + 1)
        if flags & HAS_VALUES:
            out += varint(len(values)) + b"".join(map(varint, values))
        before = t
    return block(EVENTS, bytes(out), len(rows), vcpu=vcpu, t=rows[0][0], flags=flags)


def console(rows: Sequence[tuple[int, bytes | str]], vcpu: int = NO_VCPU) -> bytes:
    out = bytearray()
    before = rows[0][0]
    for t, line in rows:
        out += varint(t - before) + text(line)
        before = t
    return block(CONSOLE, bytes(out), len(rows), vcpu=vcpu, t=rows[0][0])


def counts(rows: Iterable[tuple[int, int, int, int]]) -> bytes:
    """(function, count, ns of the first, vCPU)"""
    all_rows = list(rows)
    return block(COUNTS, b"".join(b"".join(map(varint, row)) for row in all_rows), len(all_rows))


def objects(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Events of other kinds."""
    return block(JSON, b"".join(text(json.dumps(row)) for row in rows), len(rows))


def end(t: int, **more: Any) -> bytes:
    return block(END, text(json.dumps({"t": t, "kind": "end", "outcome": "exit", **more})), 1)


#: A boot of the reference guest, as a trace might have it: (ns, function, who called it; "" nobody).
BOOT = [(1_000_000, "hammer_time", ""), (2_000_000, "clock_init", "hammer_time"),
        (2_500_000, "tsc_init", "hammer_time"), (2_600_000, "probe_tsc_freq", "tsc_init"),
        (2_700_000, "tsc_freq_cpuid_vm", "probe_tsc_freq"), (3_000_000, "mi_startup", ""),
        (3_100_000, "kvm_clock_identify", "mi_startup"), (3_400_000, "kvm_clock_attach", "mi_startup"),
        (3_500_000, "pvclock_init", "kvm_clock_attach"), (3_600_000, "pvclock_tsc_freq", "pvclock_init"),
        (4_000_000, "cpu_initclocks", "mi_startup"), (10_000_000, "lapic_handle_timer", ""),
        (10_100_000, "lapic_eoi", "lapic_handle_timer"), (20_000_000, "lapic_handle_timer", ""),
        (20_100_000, "lapic_eoi", "lapic_handle_timer"), (20_200_000, "lapic_calibrate_timer", "cpu_initclocks")]
BOOT_END = 250_000_000


def boot(symbols: Mapping[str, int], **more: Any) -> bytes:
    """BOOT as a trace; symbols: addresses of functions, as nm has them. A call's site is 8 bytes into its caller."""
    names = list(dict.fromkeys(name for _, name, _ in BOOT))
    callers = list(dict.fromkeys(caller for _, _, caller in BOOT if caller))
    rows = [(t, names.index(name), callers.index(caller) if caller else None, ()) for t, name, caller in BOOT]
    more.setdefault("listed", {"all": True, "inlined": "exclude"})
    return (header(**more) + functions({i: (symbols[name], name) for i, name in enumerate(names)})
            + sites({i: symbols[caller] + 8 for i, caller in enumerate(callers)}) + events(0, rows[:9])
            + console([(2_800_000, "TSC: no frequency by CPUID"), (3_650_000, "kvmclock0: 2596128000 Hz")])
            + events(0, rows[9:]) + end(BOOT_END))
