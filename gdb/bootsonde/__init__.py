"""bootsonde: scripted, replayable debugging of early kernel boot.

A scenario imports what it declares from here; the rooms below are model (pure), session (inside GDB) and host
(outside GDB). The host needs none of that and starts faster without it, so it is loaded when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bootsonde.model.place import Check, Functions, Insn, Line
    from bootsonde.start import Scenario

__all__ = ["Check", "Functions", "Insn", "Line", "Scenario"]


def __getattr__(name: str) -> Any:
    if name == "Scenario":
        from bootsonde import start
        return start.Scenario
    if name in __all__:
        from bootsonde.model import place
        return getattr(place, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
