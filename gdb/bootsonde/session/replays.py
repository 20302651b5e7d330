"""GDB's commands at a place of a replay: where it is, to another place, and no way back."""

from __future__ import annotations

import os
from typing import Protocol

import gdb

from bootsonde.model.exact import Order
from bootsonde.session import machine
from bootsonde.session.recorder import say

#: GDB's commands that would have QEMU go backwards.
_REVERSE = ("reverse-continue", "reverse-step", "reverse-stepi", "reverse-next", "reverse-nexti", "reverse-finish")


class Shown(Protocol):
    """Where the guest is, in words."""

    def headline(self) -> str:
        """In a line."""


class Where(gdb.Command):
    """Where the replay is: the count of instructions, and the function."""

    def __init__(self, place: Shown) -> None:
        super().__init__("bootsonde where", gdb.COMMAND_STATUS)
        self._place = place

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde where"""
        if not machine.connected():
            raise gdb.GdbError("bootsonde: the guest has gone; `bootsonde goto N|FUNCTION|TEXT` starts it again")
        say(f"bootsonde: {self._place.headline()}")


class Goto(gdb.Command):
    """To another place of the recorded boot: bootsonde goto N|FUNCTION[#NUMBER]|TEXT|DIVERGENCE

    N is a count of instructions, as `bootsonde where` shows it. It is a new replay from the start, in a new GDB,
    forward or backward alike; breakpoints are taken along."""

    def __init__(self, order: Order) -> None:
        super().__init__("bootsonde goto", gdb.COMMAND_RUNNING)
        self._order = order

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde goto WHERE"""
        word = argument.strip()
        assert self._order.goto is not None and self._order.breakpoints is not None
        if not word:
            raise gdb.GdbError("usage: bootsonde goto N|FUNCTION[#NUMBER]|TEXT|DIVERGENCE")
        if os.path.exists(self._order.breakpoints):
            os.unlink(self._order.breakpoints)
        if any(point.visible for point in gdb.breakpoints() or ()):
            gdb.execute(f"save breakpoints {self._order.breakpoints}", to_string=True)
        with open(self._order.goto, "w", encoding="utf-8") as file:
            file.write(word)
        leave()


class _Refused(gdb.Command):
    """Refused in a replay: QEMU goes back from snapshots alone, and hangs. `bootsonde goto N` leads back."""

    def __init__(self, name: str, order: Order) -> None:
        super().__init__(name, gdb.COMMAND_RUNNING)
        self._name = name
        self._order = order

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Refuse."""
        raise gdb.GdbError(f"bootsonde: {self._name}: QEMU cannot be relied upon to go back; go forward again, to an "
                           f"earlier count of instructions: {self._order.again} N")


class _End:
    """Says so where the recording ends. QEMU stops there, and one more `continue` would end it."""

    def __init__(self, order: Order) -> None:
        self._end = order.end
        machine.monitor(f"replay_break {order.end}")
        gdb.events.stop.connect(self._stopped)

    def _stopped(self, event: object) -> None:
        if instructions() == self._end:
            say(f"bootsonde: the recording ends here, at instruction {self._end}; going on from here loses the guest")


def instructions() -> int:
    """How many have been replayed."""
    said = machine.monitor("info replay") or ""
    return int(said.rsplit("=", 1)[-1])


def define(order: Order, place: Shown) -> None:
    """Define them, and have QEMU stop at the recording's end."""
    Where(place)
    if not order.batch:
        Goto(order)
    for name in _REVERSE:
        _Refused(name, order)
    _End(order)


def leave() -> None:
    """End GDB; who has started it ends the guest."""
    gdb.execute("set confirm off")
    gdb.execute("quit")


def welcome() -> None:
    """What a person needs first."""
    gdb.execute("bootsonde where")
    say("bootsonde: a write would not be in the recording, and is refused; `bootsonde goto N|FUNCTION|TEXT` leads "
        "elsewhere, back too")
    gdb.execute("frame")
