"""bootsonde: scripted, replayable debugging of early kernel boot.

A scenario imports what it declares from here; the rooms below are model (pure), session (inside GDB) and host
(outside GDB).
"""

from bootsonde.model.place import Check, Functions, Insn, Line
from bootsonde.start import Scenario

__all__ = ["Check", "Functions", "Insn", "Line", "Scenario"]
