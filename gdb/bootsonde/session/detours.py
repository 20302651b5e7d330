"""Detours in the guest's code, see model/detour.py: GDB is then stopped only for the leaves that an overlay changes.

Made for a cpuid that has been stopped at in vain some times, while the guest stands there: so it is this kernel's code,
in memory, mapped and executable, wherever it was moved or unpacked before.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Dict, List, Mapping, Optional

import gdb

from bootsonde.model.detour import CPUID, Detour, detours
from bootsonde.model.place import Site
from bootsonde.model.segments import Segment, loaded_segments
from bootsonde.session import machine
from bootsonde.session.overlay import Overlay
from bootsonde.session.points import Point, Points
from bootsonde.session.recorder import Recorder, say

#: Stops in vain after which a detour is tried. It costs as much as five of them.
AFTER = 8
#: Code above this is 64-bit code: 32-bit code cannot get there.
_ABOVE_32_BITS = 1 << 32


class Detours:
    """One session's. `info`: cprobe's, with the file's path."""

    def __init__(self, points: Points, overlay: Overlay, recorder: Recorder, info: Mapping[str, Any]) -> None:
        self._points = points
        self._overlay = overlay
        self._recorder = recorder
        self._info = info
        self._in_vain: Counter[int] = Counter()
        self._due: List[Point] = []
        self._made: List[Detour] = []

    def passed(self, point: Point) -> bool:
        """In stop(), at a cpuid that was stopped at in vain: whether a detour is to be made now, at a real stop."""
        self._in_vain[point.address] += 1
        if self._in_vain[point.address] != AFTER or not self._overlay.detour:
            return False
        self._due.append(point)
        return True

    def make(self) -> None:
        """At a stop: the detours that are due, or a line that says why not."""
        while self._due:
            point = self._due.pop()
            if not point.is_valid() or point.address != machine.register("rip"):
                continue
            site = point.armed[0].site
            refusal = self._make(point)
            say(f"  {site.label}: " + (f"GDB is stopped for every leaf, since {refusal}" if refusal else
                                       "detoured, GDB is only stopped for the leaves of the overlay"))

    def _make(self, point: Point) -> Optional[str]:
        """Why not, or None."""
        site, leaves = point.armed[0].site, self._overlay.cpuid.changed()
        if leaves is None:
            return "what is changed shows in leaves without number"
        if site.hop is None or site.cave is None:
            return "cprobe finds no padding for a detour there"
        if site.address < _ABOVE_32_BITS or not machine.is_64_bit():
            return "this is not 64-bit code"
        if "disabled" not in (machine.monitor("info kvm") or ""):
            return "this is not QEMU's TCG"
        found = list(detours(site.address, site.hop, site.cave, leaves))
        if not found:
            return "the leaves of the overlay need more code than there is padding"
        refusal = "nothing is where the kernel's file has padding"
        for detour in found:
            if self._is_free(detour):
                if self._is_watched(detour, point):
                    refusal = "there is another breakpoint"
                    continue
                try:
                    self._write(detour, site)
                except gdb.MemoryError:
                    return "its code cannot be written"
                self._move(detour, point)
                return None
        return refusal

    # The guest's memory.

    def _segment_at(self, address: int, size: int) -> Optional[Segment]:
        return next((each for each in loaded_segments(self._info) if each.has(address, size)), None)

    def _in_file(self, address: int, size: int) -> Optional[bytes]:
        segment = self._segment_at(address, size)
        if segment is None:
            return None
        with open(self._info["file"], "rb") as kernel:
            kernel.seek(segment.offset + address - segment.virtual)
            return kernel.read(size)

    def _is_free(self, detour: Detour) -> bool:
        """Whether memory has what the file has; padding may have the same detour already, of a session before."""
        try:
            for address, code in detour.writes():
                there = machine.read(address, len(code))
                if there != self._in_file(address, len(code)) and (there != code or address == detour.site):
                    return False
            return machine.read(detour.site, len(CPUID)) == CPUID
        except (gdb.MemoryError, OSError):
            return False

    def _physical(self, detour: Detour) -> int:
        """The detour's physical addresses less its virtual ones."""
        segment = self._segment_at(detour.site, len(CPUID))
        return segment.moved if segment else 0

    def _is_watched(self, detour: Detour, own: Point) -> bool:
        """Whether a breakpoint of any other kind stands where the detour is written, by either address."""
        def covers(address: int) -> bool:
            return detour.covers(address) or detour.covers(address - self._physical(detour))

        rules = [armed.rule for armed in own.armed]
        if any(covers(point.address) for point in self._points.by_address.values()
               if point.is_valid() and [armed.rule for armed in point.armed] != rules):
            return True
        for each in gdb.breakpoints() or ():
            if isinstance(each, Point) or each.type not in (gdb.BP_BREAKPOINT, gdb.BP_HARDWARE_BREAKPOINT):
                continue
            locations = getattr(each, "locations", None)  # GDB before 13 does not tell them.
            if locations is None or any(covers(location.address) for location in locations):
                return True
        return False

    def _write(self, detour: Detour, site: Site) -> None:
        """Each jump's end first. Raises gdb.MemoryError, with the site as it was."""
        writes = detour.writes()
        before = [machine.read(address, len(code)) for address, code in writes]
        for address, code in writes:
            machine.write(address, code)
        self._recorder.detoured(site, [(address, there, code) for (address, code), there in zip(writes, before)])

    # Breakpoints.

    def _both(self, detour: Detour) -> Dict[int, int]:
        """Site -> hit, by virtual and by physical address."""
        physical = self._physical(detour)
        return {detour.site: detour.hit, detour.site + physical: detour.hit + physical}

    def _move(self, detour: Detour, point: Point) -> None:
        for site, hit in self._both(detour).items():
            there = self._points.by_address.get(site)
            if there is not None and there.is_valid() and there.armed[0].rule is point.armed[0].rule:
                self._points.move(there, hit)
                self._recorder.stands_for[hit] = site
        self._made.append(detour)

    def undo(self) -> None:
        """At a stop: the sites as they were, and any vCPU that is in a detour back at its site.

        What was written to padding stays. Nothing leads there any more but the return of an interrupt that a vCPU is in
        just now, and it has to find its way back.
        """
        self._in_vain.clear()
        for detour in self._made:
            if machine.connected():
                self._bring_back(detour)
                machine.write(detour.site, CPUID)
            for site, hit in self._both(detour).items():
                point = self._points.by_address.get(hit)
                if point is not None and point.is_valid():
                    self._points.move(point, site)
                self._recorder.stands_for.pop(hit, None)
        self._made.clear()

    @staticmethod
    def _bring_back(detour: Detour) -> None:
        for _ in machine.each_vcpu():
            pc = machine.register("rip")
            place = detour.stands_for(pc)
            if place is None:
                continue
            if detour.has_moved_ecx(pc):
                machine.assign(rcx=machine.register("rdx") & 0xffffffff)
            machine.assign(rip=place)

    def stands_for(self, pc: int) -> int:
        """Where the kernel would be that is there: for a person who wants to read it."""
        return next((place for place in (detour.stands_for(pc) for detour in self._made) if place is not None), pc)
