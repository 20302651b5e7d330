"""What GDB's `print` says of clocks: KVM's structures, FreeBSD's timecounter and timehands. Importing registers it.

    (gdb) p *timecounter
    (gdb) p/r *timecounter                              without what is decoded
    (gdb) disable pretty-printer global bootsonde

A type is known by its tag and by the fields that it has: another kernel's struct of the same tag is left to GDB.
"""

from __future__ import annotations

from typing import Callable, Iterator, Optional, Sequence, Tuple, Union

import gdb
import gdb.printing

from bootsonde.model.console import printable
from bootsonde.model.pvclock import PvclockTime, WallClock
from bootsonde.model.timecounter import Timecounter, Timehands
from bootsonde.session import machine

#: A name is cut after so many bytes.
_NAME_LIMIT = 32

_PVCLOCK = ("version", "tsc_timestamp", "system_time", "tsc_to_system_mul", "tsc_shift", "flags")
_WALL_CLOCK = ("version", "sec", "nsec")
_TIMECOUNTER = ("tc_name", "tc_frequency", "tc_quality", "tc_counter_mask")
_TIMEHANDS = ("th_counter", "th_offset", "th_scale", "th_offset_count")


def _field(value: Optional[gdb.Value], name: str) -> Optional[gdb.Value]:
    """A field that can be read; None: there is none, or it cannot be."""
    if value is None:
        return None
    try:
        found = value[name]
        found.fetch_lazy()
    except gdb.error:
        return None
    return None if found.is_optimized_out else found


def _number(value: Optional[gdb.Value], name: str) -> Optional[int]:
    found = _field(value, name)
    try:
        return None if found is None else int(found)
    except gdb.error:  # part of it is unavailable
        return None


def _numbers(value: gdb.Value, names: Sequence[str]) -> Optional[Sequence[int]]:
    found = [number for number in (_number(value, name) for name in names) if number is not None]
    return found if len(found) == len(names) else None


def _name(counter: Optional[gdb.Value]) -> Optional[str]:
    """A timecounter's name, fit for a terminal."""
    address = _number(counter, "tc_name")
    text = machine.read_string(address, _NAME_LIMIT) if address else None
    return None if text is None else printable(text)


def _pvclock(value: gdb.Value) -> str:
    numbers = _numbers(value, _PVCLOCK)
    return "pvclock: unreadable" if numbers is None else "pvclock: " + ", ".join(PvclockTime(*numbers).describe())


def _wall_clock(value: gdb.Value) -> str:
    numbers = _numbers(value, _WALL_CLOCK)
    return "wall clock: " + ("unreadable" if numbers is None else ", ".join(WallClock(*numbers).describe()))


def _timecounter(value: gdb.Value) -> str:
    return Timecounter(_name(value), _number(value, "tc_frequency"), _number(value, "tc_quality"),
                       _number(value, "tc_counter_mask"), _number(value, "tc_flags")).describe()


def _timehands(value: gdb.Value) -> str:
    pointer, offset = _field(value, "th_counter"), _field(value, "th_offset")
    try:
        counter = pointer.dereference() if pointer is not None and int(pointer) else None
    except gdb.error:
        counter = None
    return Timehands(_name(counter), _number(offset, "sec"), _number(offset, "frac"), _number(value, "th_scale"),
                     _number(value, "th_offset_count")).describe()


class _Decoded:
    """A structure: what it means, then its fields as GDB has them."""

    def __init__(self, value: gdb.Value, describe: Callable[[gdb.Value], str]) -> None:
        self._value = value
        self._describe = describe

    def to_string(self) -> str:
        """What it means."""
        return self._describe(self._value)

    def children(self) -> Iterator[Tuple[str, Union[gdb.Value, str]]]:
        """The fields."""
        for field in self._value.type.fields():
            if field.name is not None:
                found = _field(self._value, field.name)
                yield field.name, "unreadable" if found is None else found


def _printer(fields: Sequence[str], describe: Callable[[gdb.Value], str]
             ) -> Callable[[gdb.Value], Optional[_Decoded]]:
    """For structures that have all of these fields."""
    def make(value: gdb.Value) -> Optional[_Decoded]:
        there = {field.name for field in value.type.fields()}
        return _Decoded(value, describe) if there.issuperset(fields) else None

    return make


def _register() -> None:
    printers = gdb.printing.RegexpCollectionPrettyPrinter("bootsonde")
    for tag, fields, describe in (
            ("pvclock_vcpu_time_info", _PVCLOCK, _pvclock), ("pvclock_wall_clock", _WALL_CLOCK, _wall_clock),
            ("timecounter", _TIMECOUNTER, _timecounter), ("timehands", _TIMEHANDS, _timehands)):
        printers.add_printer(tag, f"^{tag}$", _printer(fields, describe))
    gdb.printing.register_pretty_printer(None, printers, replace=True)


_register()
