"""What a guest is told by CPUID in place of its processor's own answers.

An overlay names leaves; what follows for all other leaves is worked out here: the limits of the ranges grow to hold
the leaves that are named, leaves between the processor's limit and theirs are zero, and a leaf above its range's limit
is answered with the highest basic leaf, as Intel's processors and QEMU do (SDM volume 2A, CPUID; QEMU's
cpu_x86_cpuid).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.edits import Edit, parse_edit
from bootsonde.model.errors import UserError
from bootsonde.model.features import bit_named

REGISTERS = ("eax", "ebx", "ecx", "edx")
#: The first leaf of each range; its EAX is the range's limit.
RANGES = (0x0, 0x40000000, 0x80000000, 0xc0000000)
_USAGE = ("LEAF[.SUBLEAF]: CHANGE, ... with changes such as eax = 0x10, ecx |= x2apic, edx &= ~tsc, "
          "vendor = KVMKVMKVM")

Edits = Mapping[str, Edit]


def range_start(leaf: int) -> int:
    """The first leaf of the range that has one limit for all its leaves."""
    return max(first for first in RANGES if first <= leaf)


@dataclass(frozen=True)
class CpuidPlan:
    """How to answer. ask: the leaf that the processor has to execute, None if nothing of its answer is wanted."""

    ask: Optional[int]
    edits: Edits

    def answer(self, leaf: int, subleaf: int, native: Optional[CpuidAnswer]) -> CpuidAnswer:
        """What the guest is told. native: what the processor said to `ask`."""
        values = [self.edits.get(name, Edit()).apply(getattr(native, name) if native else 0) for name in REGISTERS]
        return CpuidAnswer(leaf, subleaf, *values)


def _vendor(leaf: int, text: str) -> Dict[str, Edit]:
    raw = text.encode("ascii", "replace")
    if not 0 < len(raw) <= 12:
        raise UserError(f"vendor = {text}: expected 1 to 12 characters")
    order = ("ebx", "ecx", "edx") if range_start(leaf) == 0x40000000 else ("ebx", "edx", "ecx")
    return {name: Edit(value, ~value & 0xffffffff)
            for name, value in zip(order, struct.unpack("<3I", raw.ljust(12, b"\0")))}


def parse_cpuid(text: str) -> Tuple[int, Optional[int], Dict[str, Edit]]:
    """(leaf, sub-leaf or None for any, edits) of `LEAF[.SUBLEAF]: CHANGE, ...`. Raises UserError."""
    head, colon, rest = text.partition(":")
    words = re.fullmatch(r"\s*(0[xX][0-9a-fA-F]+|\d+)(?:\.(0[xX][0-9a-fA-F]+|\d+))?\s*", head)
    if not colon or words is None or not rest.strip():
        raise UserError(f"cpuid {text.strip() or 'nothing'}: expected {_USAGE}")
    leaf, subleaf = int(words.group(1), 0), int(words.group(2), 0) if words.group(2) else None
    if leaf > 0xffffffff or (subleaf or 0) > 0xffffffff:
        raise UserError(f"cpuid {head.strip()}: a leaf and a sub-leaf have 32 bits")
    edits: Dict[str, Edit] = {}
    for change in rest.split(","):
        found = re.fullmatch(r"\s*([a-zA-Z]+)\s*([|&]?=.*)", change)
        name = found.group(1).lower() if found else ""
        if found is not None and name == "vendor":
            new = _vendor(leaf, found.group(2).lstrip("= ").strip())
        elif found is not None and name in REGISTERS:
            try:
                new = {name: parse_edit(found.group(2), 32, lambda word: bit_named(leaf, subleaf, name, word))}
            except UserError as error:
                raise UserError(f"cpuid {leaf:#x}: {name}: {error}") from None
        else:
            raise UserError(f"cpuid {leaf:#x}: {change.strip() or 'nothing'}: expected {_USAGE}")
        _join(edits, new, leaf)
    return leaf, subleaf, edits


def _join(edits: Dict[str, Edit], new: Edits, leaf: int) -> None:
    for name, edit in new.items():
        try:
            edits[name] = edits.get(name, Edit()).joined(edit)
        except ValueError as error:
            raise UserError(f"cpuid {leaf:#x}: {name} contradicts itself: {error}") from None


class CpuidOverlay:
    """Leaves that are answered otherwise. `learn` tells it the processor's own limits before the first plan."""

    def __init__(self) -> None:
        self._edits: Dict[Tuple[int, Optional[int]], Dict[str, Edit]] = {}
        self._native: Dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._edits)

    def add(self, text: str) -> None:
        """One more leaf, `LEAF[.SUBLEAF]: CHANGE, ...`. Raises UserError, with nothing added, also where it
        contradicts what is there."""
        leaf, subleaf, edits = parse_cpuid(text)
        joined = dict(self._edits.get((leaf, subleaf), {}))
        _join(joined, edits, leaf)
        if subleaf is not None:
            _join(dict(self._edits.get((leaf, None), {})), joined, leaf)
        else:
            for (other, other_subleaf), there in self._edits.items():
                if other == leaf and other_subleaf is not None:
                    _join(dict(there), joined, leaf)
        before = dict(self._edits)
        self._edits[leaf, subleaf] = joined
        try:
            self._check_limits()
        except UserError:
            self._edits = before
            raise

    def _stated(self, first: int) -> Optional[int]:
        """The limit that the overlay itself states for a range."""
        edit = self._edits.get((first, None), self._edits.get((first, 0), {})).get("eax")
        if edit is None or edit.leaves(32):
            return None
        return max(edit.ones, first + 1) if first == 0x40000000 else edit.ones  # KVM has said 0 for 0x40000001.

    def _check_limits(self) -> None:
        for leaf, _ in self._edits:
            first = range_start(leaf)
            stated = self._stated(first)
            if stated is not None and leaf > max(stated, first):
                raise UserError(f"cpuid {leaf:#x} is above the limit {stated:#x} that leaf {first:#x} is to tell, so "
                                "that no kernel would ask for it: raise that EAX, or leave it out")

    def learn(self, limits: Mapping[int, int]) -> None:
        """The processor's own limits, of each of RANGES that it has: first leaf -> highest."""
        self._native = dict(limits)

    @property
    def is_ready(self) -> bool:
        """Whether the processor's limits are known."""
        return bool(self._native)

    def limit(self, first: int) -> int:
        """The highest leaf of a range as the guest is told; `first` - 1 where neither side has any."""
        stated = self._stated(first)
        if stated is not None:
            return stated
        return max([self._native.get(first, first - 1)] + [leaf for leaf, _ in self._edits
                                                           if range_start(leaf) == first])

    def may_change(self, leaf: int) -> bool:
        """Whether a leaf's answer may be another than the processor's, whatever its limits are."""
        overlaid = {range_start(each) for each, _ in self._edits}
        return range_start(leaf) in overlaid or 0 in overlaid  # Leaves above their limit show a basic one.

    def changed(self) -> Optional[List[Tuple[int, int]]]:
        """The leaves, first and last of each run, outside of which every answer is the processor's, whatever its limits
        are; None: too many to tell. The processor's limits have to be known."""
        assert self.is_ready
        if self.limit(0) != self._native.get(0) or any(leaf == self.limit(0) for leaf, _ in self._edits):
            return None  # Every leaf above its range's limit shows the highest basic one.
        found = {(leaf, leaf) for leaf, _ in self._edits}
        for first in RANGES:
            native, limit = self._native.get(first, first - 1), self.limit(first)
            if native != limit:
                found |= {(first, first), (min(native, limit) + 1, max(native, limit))}
        runs: List[Tuple[int, int]] = []
        for begin, end in sorted(found):
            if runs and begin <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
            else:
                runs.append((begin, end))
        return runs

    def plan(self, leaf: int, subleaf: int) -> Optional[CpuidPlan]:
        """How to answer; None: as the processor does. The processor's limits have to be known."""
        assert self.is_ready
        first = range_start(leaf)
        native, limit = self._native.get(first, first - 1), self.limit(first)
        if leaf > limit:
            highest = self.limit(0)
            redirected = self.plan(highest, subleaf)
            as_ever = leaf > native and highest == self._native.get(0)
            if redirected is None and not as_ever:
                redirected = CpuidPlan(highest, {})
            return redirected
        edits: Dict[str, Edit] = dict(self._edits.get((leaf, None), {}))
        _join(edits, self._edits.get((leaf, subleaf), {}), leaf)
        if leaf == first and limit != native and self._stated(first) is None:
            edits["eax"] = Edit(limit, ~limit & 0xffffffff)
        whole = len(edits) == len(REGISTERS) and not any(edit.leaves(32) for edit in edits.values())
        if not edits and leaf <= native:
            return None
        return CpuidPlan(None if whole or leaf > native else leaf, edits)

    def describe(self) -> List[str]:
        """One line a leaf, as `add` takes it."""
        lines = []
        for (leaf, subleaf), edits in sorted(self._edits.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
            changes = []
            for name, edit in sorted(edits.items()):
                if not edit.leaves(32):
                    changes.append(f"{name} = {edit.ones:#x}")
                    continue
                changes += [f"{name} |= {edit.ones:#x}"] if edit.ones else []
                changes += [f"{name} &= ~{edit.zeros:#x}"] if edit.zeros else []
            lines.append(f"{leaf:#x}" + ("" if subleaf is None else f".{subleaf:#x}") + ": " + ", ".join(changes))
        return lines
