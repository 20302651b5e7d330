"""What a guest reads from model-specific registers, and what becomes of its writes, in place of the processor's own.

`MSR: WHAT, ...` where WHAT is `read = VALUE`, `read |= BITS`, `read &= ~BITS`, `read fault`, `write swallow`,
`write fault`, `fault` (both) or `keep`: a register that reads what was written last, per vCPU, 0 before.
A fault is #GP(0), which is what a processor or KVM gives for a register that it does not have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple, Union

from bootsonde.model import msr
from bootsonde.model.edits import Edit, parse_edit
from bootsonde.model.errors import UserError
from bootsonde.model.question import msr_named, parse_number

FAULT, SWALLOW, KEEP = "fault", "swallow", "keep"
_USAGE = ("MSR: WHAT, ... with read = VALUE, read |= BITS, read &= ~BITS, read fault, write swallow, write fault, "
          "fault or keep")


@dataclass(frozen=True)
class MsrRule:
    """read: an Edit of the value, FAULT, KEEP. write: FAULT, SWALLOW, KEEP. None: as the processor does."""

    read: Union[Edit, str, None] = None
    write: Optional[str] = None


def parse_msr(text: str) -> Tuple[int, MsrRule]:
    """(register, rule). Raises UserError."""
    head, colon, rest = text.partition(":")
    word = head.strip()
    index = msr_named(word)
    if index is None and word:
        index = parse_number(word, 32, "MSR")
    if not colon or index is None:
        raise UserError(f"msr {text.strip() or 'nothing'}: expected {_USAGE}")
    rule = MsrRule()
    for what in rest.split(","):
        rule = _joined(rule, _parse_what(index, what.strip()), index)
    return index, rule


def _parse_what(index: int, what: str) -> MsrRule:
    words = what.split()
    simple = {("fault",): MsrRule(FAULT, FAULT), ("read", "fault"): MsrRule(FAULT), ("keep",): MsrRule(KEEP, KEEP),
              ("write", "fault"): MsrRule(write=FAULT), ("write", "swallow"): MsrRule(write=SWALLOW)}
    if tuple(words) in simple:
        return simple[tuple(words)]
    found = re.fullmatch(r"read\s*([|&]?=.*)", what)
    if found is None:
        raise UserError(f"msr {index:#x}: {what or 'nothing'}: expected {_USAGE}")
    try:
        return MsrRule(parse_edit(found.group(1), 64))
    except UserError as error:
        raise UserError(f"msr {index:#x}: {error}") from None


def _joined(rule: MsrRule, new: MsrRule, index: int) -> MsrRule:
    read, write = rule.read, rule.write
    if new.read is not None:
        if isinstance(read, Edit) and isinstance(new.read, Edit):
            try:
                read = read.joined(new.read)
            except ValueError as error:
                raise UserError(f"msr {index:#x}: read contradicts itself: {error}") from None
        elif read not in (None, new.read):
            raise UserError(f"msr {index:#x}: read contradicts itself: it is said to do two things")
        else:
            read = new.read
    if new.write is not None:
        if write not in (None, new.write):
            raise UserError(f"msr {index:#x}: write contradicts itself: {write} and {new.write}")
        write = new.write
    return replace(rule, read=read, write=write)


class MsrOverlay:
    """Registers that are read and written otherwise."""

    def __init__(self) -> None:
        self._rules: Dict[int, MsrRule] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    @property
    def reads(self) -> bool:
        """Whether any rdmsr is to be answered."""
        return any(rule.read is not None for rule in self._rules.values())

    @property
    def writes(self) -> bool:
        """Whether any wrmsr is not the processor's business."""
        return any(rule.write is not None for rule in self._rules.values())

    def add(self, text: str) -> None:
        """One more register, `MSR: WHAT, ...`. Raises UserError, with nothing added, also where it contradicts what is
        there."""
        index, rule = parse_msr(text)
        self._rules[index] = _joined(self._rules.get(index, MsrRule()), rule, index)

    def rule(self, index: int) -> MsrRule:
        """What to do at this register; an empty rule where the processor does it."""
        return self._rules.get(index, MsrRule())

    def describe(self) -> List[str]:
        """One line a register, as `add` takes it."""
        lines = []
        for index, rule in sorted(self._rules.items()):
            parts = []
            if isinstance(rule.read, Edit):
                if not rule.read.leaves(64):
                    parts.append(f"read = {rule.read.ones:#x}")
                else:
                    parts += [f"read |= {rule.read.ones:#x}"] if rule.read.ones else []
                    parts += [f"read &= ~{rule.read.zeros:#x}"] if rule.read.zeros else []
            elif rule.read == KEEP == rule.write:
                parts.append("keep")
            elif rule.read == FAULT == rule.write:
                parts.append("fault")
            elif rule.read == FAULT:
                parts.append("read fault")
            if rule.write and rule.write != KEEP and "fault" not in parts:
                parts.append(f"write {rule.write}")
            lines.append(f"{msr.name_of(index) or hex(index)}: {', '.join(parts)}")
        return lines
