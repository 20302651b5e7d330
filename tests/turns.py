"""Which tests may run beside others: pytest-xdist's workers run several at a time, but what measures runs alone."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

#: Files that are only locked: who waits to be alone holds the gate, so that no further test begins.
GATE, ROOM = Path(__file__), Path(__file__).with_name("conftest.py")


@contextlib.contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Wait for one's turn among all tests of this checkout, and hold it."""
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with GATE.open() as gate, ROOM.open() as room:
        fcntl.flock(gate, kind)
        fcntl.flock(room, kind)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield
