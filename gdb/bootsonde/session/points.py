"""Breakpoints: which rules stand at an address, and whether a hit counts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Protocol, Tuple, Union

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.expression import Change, cast_change, resolve, with_change
from bootsonde.model.place import Site, Variable
from bootsonde.model.scenario import Rule
from bootsonde.session import machine


@dataclass
class Armed:
    """One rule at one site. `seen` counts hits that met vCPU and condition, `hits` those that counted."""

    rule: Rule
    site: Site
    condition: Optional[str] = None
    seen: int = 0
    hits: int = 0
    unreadable: int = 0

    @property
    def spent(self) -> bool:
        """Whether the rule's limit is reached."""
        return self.rule.limit is not None and self.hits >= self.rule.limit

    def counts(self, change: Optional[Change] = None) -> bool:
        """Whether this hit counts: vCPU, condition, skip, limit, in that order. Counts it.

        change: what a write has changed, for conditions over $old and $new.
        """
        if self.spent or (self.rule.vcpu is not None and machine.current_vcpu() != self.rule.vcpu):
            return False
        if self.condition is not None:
            try:
                if not int(gdb.parse_and_eval(with_change(self.condition, change))):
                    return False
            except gdb.MemoryError:
                self.unreadable += 1  # Its page is not mapped yet: the condition cannot hold.
                return False
        self.seen += 1
        if self.seen <= self.rule.skip:
            return False
        self.hits += 1
        return True


def arm(rule: Rule, site: Site, lookup: Callable[[str], Optional[Variable]]) -> Armed:
    """Prepare a rule for a site. Raises UserError if its condition names what this kernel has not."""
    condition = None
    if rule.condition is not None:
        registers = {argument.name: argument.location for argument in site.args
                     if argument.location is not None and argument.location.isalnum()}
        condition = resolve(rule.condition, registers, lookup)
        variable = lookup(site.name) if site.kind == "object" else None
        if variable is not None:
            condition = cast_change(condition, variable)
    return Armed(rule, site, condition)


_is_muted = False


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """No Point is asked whether to stop: what a vCPU does meanwhile is not the kernel's doing."""
    global _is_muted
    before, _is_muted = _is_muted, True
    try:
        yield
    finally:
        _is_muted = before


def is_muted() -> bool:
    """Whether a vCPU now runs for us, not for the kernel."""
    return _is_muted


class Point(gdb.Breakpoint):
    """A breakpoint at an address, for all rules that stand there."""

    def __init__(self, address: int, on_stop: Callable[[Point], bool]) -> None:
        super().__init__(f"*{address:#x}")
        self.silent = True
        self.address = address
        self.armed: List[Armed] = []
        self._on_stop = on_stop

    def stop(self) -> bool:
        """GDB's question whether to stop here."""
        return False if is_muted() else self._on_stop(self)


#: What `_quietly` is to run; GDB's `python` command, whose output can be captured, takes no arguments.
_work: List[Callable[[], None]] = []


def _quietly(work: Callable[[], None]) -> None:
    """Run without GDB's announcements, such as "Breakpoint 1 at ..."."""
    _work.append(work)
    gdb.execute("python import bootsonde.session.points; bootsonde.session.points._work.pop()()", to_string=True)


class Watched(Protocol):
    """What Points needs of a watchpoint."""

    armed: List[Armed]

    def is_valid(self) -> bool:
        """Whether GDB still has it."""

    def delete(self) -> None:
        """Take it out."""

    def check(self) -> None:
        """Raises UserError if the hardware does not watch it."""

    def settle(self) -> None:
        """The value that is there now is no change."""


class Points:
    """All breakpoints of a session, one an address, and its watchpoints."""

    def __init__(self, on_stop: Callable[[Point], bool], watch: Callable[[Site], Watched]) -> None:
        """on_stop: whether to stop at a breakpoint. watch: makes the watchpoint for a site that is data."""
        self._on_stop = on_stop
        self._watch = watch
        self.by_address: Dict[int, Point] = {}
        self._watched: Dict[Tuple[int, int], Watched] = {}

    def add(self, armed: List[Armed]) -> None:
        """Set breakpoints and watchpoints, or join those that are there. Raises UserError."""
        failures: List[UserError] = []

        def work() -> None:
            for each in armed:
                try:
                    self._add(each)
                except UserError as error:
                    failures.append(error)
        _quietly(work)
        if failures:
            raise failures[0]

    def _add(self, each: Armed) -> None:
        site = each.site
        if site.kind == "object":
            watched = self._watched.get((site.address, site.size))
            if watched is None or not watched.is_valid():
                watched = self._watched[site.address, site.size] = self._watch(site)
            watched.armed.append(each)
            return
        point = self.by_address.get(site.address)
        if point is None or not point.is_valid():
            point = self.by_address[site.address] = Point(site.address, self._on_stop)
        point.armed.append(each)

    def move(self, point: Point, address: int) -> None:
        """A breakpoint's rules stand at another address from now on. At a stop only."""
        def work() -> None:
            moved = self.by_address[address] = Point(address, self._on_stop)
            moved.armed = point.armed
            del self.by_address[point.address]
            point.delete()
        _quietly(work)

    def check(self) -> None:
        """Before the guest runs: every watchpoint is the hardware's. Raises UserError."""
        for watched in self._watched.values():
            if watched.is_valid():
                watched.check()

    def settle(self) -> None:
        """After a write of our own: it is no change that the guest has made."""
        for watched in self._watched.values():
            watched.settle()

    def clear(self) -> None:
        """Delete them all; a user's own breakpoints stay."""
        every: List[Union[Point, Watched]] = [*self.by_address.values(), *self._watched.values()]
        for each in every:
            if each.is_valid():
                each.delete()
        self.by_address.clear()
        self._watched.clear()
