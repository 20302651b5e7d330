"""A guest that replays an exact recording, moved forward by QEMU's monitor, without GDB: QEMU has no way back.

QEMU (its replay_break) stops a replay before a given instruction, any number of times and without an effect on the
guest; measured with 7.2 and 10.0.
"""

from __future__ import annotations

import time
from typing import Callable, Optional, Tuple

from bootsonde.host.guest import Guest

#: How often QEMU is asked whether it has arrived; seconds.
_POLL_S = 0.002
#: Stops in one pass of a search: a pass costs a boot, a stop 5 ms.
_STOPS = 64
#: What is near, in a search that begins near: such a stop, by so many instructions.
_NEAR = 32


class ReplayLost(Exception):
    """QEMU has gone, or does not do what it is asked for."""


class ReplayLate(Exception):
    """The deadline has passed."""


def _monitor(guest: Guest, line: str) -> None:
    assert guest.qmp is not None
    said = guest.qmp.execute("human-monitor-command", {"command-line": line})
    if said != "":
        raise ReplayLost(guest.log_text() if guest.poll() is not None else str(said or f"no answer to {line}").strip())


def instructions(guest: Guest) -> Optional[int]:
    """How many instructions have been replayed; None if QEMU has gone."""
    assert guest.qmp is not None
    found = guest.qmp.execute("query-replay")
    return int(found["icount"]) if found else None


def run_on(guest: Guest, deadline: float) -> str:
    """Let the guest run until QEMU stops it; QEMU's word for why: paused, shutdown, or ended where QEMU has ended.

    deadline: time.monotonic()'s. Raises ReplayLate.
    """
    assert guest.qmp is not None
    guest.qmp.execute("cont")
    while True:
        status = guest.qmp.execute("query-status")
        if status is None:
            guest.qmp.wait_closed(1.0)
            return "ended"
        if not status["running"]:
            return str(status["status"])
        if time.monotonic() > deadline:
            raise ReplayLate
        time.sleep(_POLL_S)


def go_to(guest: Guest, count: int, deadline: float) -> bool:
    """Forward until `count` instructions have run; False if the recorded boot ends before that.

    Raises ReplayLost where the replay went wrong, ReplayLate.
    """
    now = instructions(guest)
    if now == count:
        return True
    if now is not None:
        _monitor(guest, f"replay_break {count}")
        how = run_on(guest, deadline)
        now = instructions(guest)
        if now == count:
            return True
        if how == "shutdown":
            return False
    _check_end(guest)
    return False


def _check_end(guest: Guest) -> None:
    """Raises ReplayLost unless QEMU has ended as the guest had it end."""
    status, said = guest.wait(), guest.log_text()
    if status is None or status < 0 or said:
        raise ReplayLost(said or ("QEMU stands still" if status is None else f"QEMU was ended by signal {-status}"))


def first_count(start: Callable[[], Guest], bounds: Tuple[int, int], near: int, holds: Callable[[bytes], bool],
                deadline: float) -> int:
    """The least count of instructions at which the console is such that `holds`, or which is past the boot's end.

    bounds: it does not hold at the first, and does at the second and wherever it has before. near: the count is about
    this one; 0: nobody knows. start: makes a new replay. Each pass goes forward in steps, which are ever smaller, from
    where it did not hold yet. Raises ReplayLost, ReplayLate.
    """
    low, high = bounds
    reach = _STOPS * _NEAR
    stops = range(max(low + 1, near - reach), min(high, near + reach), 2 * _NEAR) if near else range(0)
    while high - low > 1:
        if not stops:
            step = max(1, (high - low) // _STOPS)
            stops = range(low + step, high, step)
        with start() as guest:
            for count in stops:
                arrived = go_to(guest, count, deadline)
                if not arrived or holds(_console(guest)):
                    high = count
                    break
                low = count
        stops = range(0)
    return high


def _console(guest: Guest) -> bytes:
    with open(guest.console, "rb") as console:
        return console.read()


def last_count(start: Callable[[], Guest], deadline: float) -> int:
    """How many instructions a boot has that ends QEMU by itself. Raises ReplayLost, ReplayLate."""
    low, high = 0, _STOPS
    with start() as guest:
        while go_to(guest, high, deadline):
            low, high = high, 2 * high
    return first_count(start, (low, high), 0, lambda console: False, deadline) - 1


def replay_through(guest: Guest, deadline: float) -> Optional[int]:
    """To the end of the recording, in a QEMU that then pauses (-no-shutdown): how many instructions it has.

    None: the guest ended QEMU by itself, as it did when it was recorded. Raises ReplayLost where QEMU says that the
    replay went wrong, ReplayLate.
    """
    if run_on(guest, deadline) == "shutdown":
        return instructions(guest)
    _check_end(guest)
    return None
