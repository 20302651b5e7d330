"""Breakpoints: which rules stand at an address, and whether a hit counts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional

import gdb

from bootsonde.model.expression import resolve
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

    def counts(self) -> bool:
        """Whether this hit counts: vCPU, condition, skip, limit, in that order. Counts it."""
        if self.spent or (self.rule.vcpu is not None and machine.current_vcpu() != self.rule.vcpu):
            return False
        if self.condition is not None:
            try:
                if not int(gdb.parse_and_eval(self.condition)):
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


class Point(gdb.Breakpoint):
    """A breakpoint at an address, for all rules that stand there."""

    def __init__(self, address: int, on_hit: Callable[[Point], bool]) -> None:
        super().__init__(f"*{address:#x}")
        self.silent = True
        self.address = address
        self.armed: List[Armed] = []
        self._on_hit = on_hit

    def stop(self) -> bool:
        """GDB's question whether to stop here."""
        return False if _is_muted else self._on_hit(self)


#: What `_quietly` is to run; GDB's `python` command, whose output can be captured, takes no arguments.
_work: List[Callable[[], None]] = []


def _quietly(work: Callable[[], None]) -> None:
    """Run without GDB's announcements, such as "Breakpoint 1 at ..."."""
    _work.append(work)
    gdb.execute("python import bootsonde.session.points; bootsonde.session.points._work.pop()()", to_string=True)


class Points:
    """All breakpoints of a session, one an address."""

    def __init__(self, on_hit: Callable[[Point], bool]) -> None:
        self._on_hit = on_hit
        self.by_address: Dict[int, Point] = {}

    def add(self, armed: List[Armed]) -> None:
        """Set breakpoints, or join those that are there."""
        def work() -> None:
            for each in armed:
                address = each.site.address
                point = self.by_address.get(address)
                if point is None or not point.is_valid():
                    point = self.by_address[address] = Point(address, self._on_hit)
                point.armed.append(each)
        _quietly(work)

    def clear(self) -> None:
        """Delete them all; a user's own breakpoints stay."""
        for point in self.by_address.values():
            if point.is_valid():
                point.delete()
        self.by_address.clear()
