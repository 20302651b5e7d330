"""Watchpoints: who writes a variable, found from the moment after the write.

GDB reports a write that changes the value, once the instruction is done; one that writes the same again goes unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.expression import Change
from bootsonde.model.place import Site
from bootsonde.model.segments import loaded_segments
from bootsonde.session import machine
from bootsonde.session.callers import Callers
from bootsonde.session.moving import instruction_at
from bootsonde.session.points import Armed, is_muted

_TYPES = {1: "char", 2: "short", 4: "int", 8: "long"}
#: Bytes of a function that are disassembled at most to find the instruction in front of a place.
_FUNCTION_LIMIT = 1 << 16


class Watchpoint(gdb.Breakpoint):
    """A hardware watchpoint on 1, 2, 4 or 8 bytes, for all rules that stand there.

    The old value is kept here, since GDB does not tell it: `settle` is to be called after each write of our own.
    Raises UserError if GDB would step every instruction instead.
    """

    def __init__(self, site: Site, on_hit: Callable[[Any], bool], value: Optional[int]) -> None:
        """value: what is there now; None if it cannot be read."""
        with machine.settings(can_use_hw_watchpoints="1"):
            super().__init__(f"*(unsigned {_TYPES[site.size]} *){site.address:#x}", gdb.BP_WATCHPOINT, gdb.WP_WRITE)
        self.silent = True
        self.address = site.address
        self.size = site.size
        self.label = site.label
        self.armed: List[Armed] = []
        self._value = value
        self._on_hit = on_hit
        self.check()

    def check(self) -> None:
        """Raises UserError, and deletes it, if it is no hardware watchpoint: GDB chooses anew whenever it resumes."""
        if self.type != gdb.BP_HARDWARE_WATCHPOINT:
            self.delete()
            raise UserError(f"GDB has no hardware watchpoint for {self.label}, and would step every instruction of the "
                            "boot instead: is `set can-use-hw-watchpoints 0` in your GDB's settings?")

    def take_change(self) -> Optional[Change]:
        """The value before and after the write; None if it is the one that was known. The new one is then known."""
        old = self._value
        self.settle()
        return None if self._value is None or self._value == old else Change(old, self._value)

    def settle(self) -> None:
        """Take what is there now as the value before the next write."""
        try:
            self._value = machine.read_number(self.address, self.size)
        except gdb.MemoryError:
            pass  # Not mapped, as before paging: what was known stays.

    def stop(self) -> bool:
        """GDB's question whether to stop here."""
        return False if is_muted() else self._on_hit(self)


def value_in_memory(site: Site, info: Mapping[str, Any], loaded: bool) -> Optional[int]:
    """What a variable has before the run. None: it cannot be told.

    info: `cprobe info`, whose segments say where it lies before paging. loaded: the kernel is in memory.
    """
    try:
        return machine.read_number(site.address, site.size)
    except gdb.MemoryError:
        pass
    for segment in loaded_segments(info) if loaded else ():
        if segment.holds(site.address, site.size):
            data = machine.read_physical(site.address + segment.moved, site.size)
            return None if data is None else int.from_bytes(data, "little")
    return None


@dataclass
class Writer:
    """The instruction that has written, and who called: records as Callers'."""

    address: int
    text: Optional[str]
    callers: List[Dict[str, Any]]


class Writers:
    """Finds who has written."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def find(self, point: Watchpoint) -> Writer:
        """Who has just written what `point` watches."""
        pc, address = machine.register("rip"), point.address
        instruction = self._repeated(pc, address, point.size) or self._before(pc)
        if instruction is not None:
            place, text = instruction
        else:
            place, text = pc - 1, None
        return Writer(place, text, self._callers.of(place))

    @staticmethod
    def _repeated(pc: int, address: int, size: int) -> Optional[Tuple[int, str]]:
        """A `rep stos` or `rep movs` at pc that has just passed the address: it stands until its count is 0."""
        try:
            text = machine.instructions(pc, pc)[0][1]
        except gdb.MemoryError:
            return None  # The write was the last instruction of a page, with no other behind it.
        behind = machine.register("rdi") - address
        return (pc, text) if text.startswith("rep ") and 0 < behind <= size + 7 else None

    def _before(self, pc: int) -> Optional[Tuple[int, str]]:
        """The instruction that ends at pc, by disassembling its function from the start."""
        start = self._callers.starts_at(pc - 1)
        if start is None or pc - start > _FUNCTION_LIMIT:
            return None
        for place, text, length in machine.instructions(start, pc - 1) if machine.is_64_bit() else _narrow(start, pc):
            if place + length == pc:
                return place, text
        return None


def _narrow(place: int, end: int) -> Iterator[Tuple[int, str, int]]:
    """As machine.instructions, of 32-bit code up to `end`, or to what cannot be told."""
    while place < end:
        try:
            text, length = instruction_at(place, 32)
        except UserError:
            return
        yield place, text, length
        place += length
