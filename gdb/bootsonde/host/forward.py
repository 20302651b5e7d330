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
#: Where no instruction has run for so long, none will; sooner at a boot's end, where QEMU may stand still; seconds.
_STANDS_S, _ENDS_S = 10.0, 2.0
#: Stops in one pass of a search: a pass costs a boot, a stop 5 ms.
_STOPS = 64
#: So many replays that come to an instruction say that each does.
_TRIES = 4
#: What is near, in a search that begins near: such a stop, by so many instructions.
_NEAR = 32


class ReplayLost(Exception):
    """QEMU has gone, or does not do what it is asked for."""


class ReplayStands(ReplayLost):
    """QEMU runs, and no instruction does."""


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


def run_on(guest: Guest, deadline: float, patience: float = _STANDS_S) -> str:
    """Let the guest run until QEMU stops it; QEMU's word for why: paused, shutdown, or ended where QEMU has ended.

    deadline: time.monotonic()'s. patience: seconds without an instruction. Raises ReplayStands, ReplayLate.
    """
    assert guest.qmp is not None
    guest.qmp.execute("cont")
    last, moved_at = instructions(guest), time.monotonic()
    while True:
        status = guest.qmp.execute("query-status")
        if status is None:
            guest.qmp.wait_closed(1.0)
            return "ended"
        if not status["running"]:
            return str(status["status"])
        now = instructions(guest)
        if now != last:
            last, moved_at = now, time.monotonic()
        if time.monotonic() > deadline:
            raise ReplayLate
        if time.monotonic() > moved_at + patience:
            raise ReplayStands(f"QEMU stands still at instruction {now}")
        time.sleep(_POLL_S)


def go_to(guest: Guest, count: int, deadline: float, patience: float = _STANDS_S) -> bool:
    """Forward until `count` instructions have run; False if the recorded boot ends before that.

    Raises ReplayLost where the replay went wrong, ReplayLate.
    """
    now = instructions(guest)
    if now == count:
        return True
    how = "ended"
    if now is not None:
        _monitor(guest, f"replay_break {count}")
        how = run_on(guest, deadline, patience)
    # A guest that has asked to be ended is let run on for a while by QEMU 10; one that stands is ended before QEMU
    # answers a second question.
    if how == "paused" and instructions(guest) == count and _status(guest) == "paused":
        return True
    if how != "shutdown" and _status(guest) != "shutdown":
        _check_end(guest)
    return False


def _status(guest: Guest) -> Optional[str]:
    assert guest.qmp is not None
    status = guest.qmp.execute("query-status")
    return str(status["status"]) if status else None


def _check_end(guest: Guest) -> None:
    """Raises ReplayLost unless QEMU has ended as the guest had it end."""
    status, said = guest.wait(), guest.log_text()
    if status is None or status < 0 or said:
        raise ReplayLost(said or ("QEMU stands still" if status is None else f"QEMU was ended by signal {-status}"))


def first_count(start: Callable[[], Guest], bounds: Tuple[int, int], near: int,
                holds: Callable[[Guest, int], bool]) -> int:
    """The least count of instructions for which `holds`, which goes there.

    bounds: it does not hold at the first, and does at the second and wherever it has before. near: the count is about
    this one; 0: nobody knows. start: makes a new replay. Each pass goes forward in steps, which are ever smaller, from
    where it did not hold yet.
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
                if holds(guest, count):
                    high = count
                    break
                low = count
        stops = range(0)
    return high


def last_count(start: Callable[[], Guest], supposed: int, deadline: float) -> int:
    """How many instructions each replay has of a boot that ends by itself. Raises ReplayLost, ReplayLate.

    supposed: where one has ended; 0: nobody knows. With QEMU 7.2 these are all up to the one that ends it. QEMU 10 ends
    such a boot a little later, and notes the end in its log some dozens of instructions too early; what a replay does
    between is not the same each time: it ends, stands still, or QEMU crashes.
    """
    def is_past(guest: Guest, count: int) -> bool:
        try:
            return not go_to(guest, count, deadline, _ENDS_S)
        except ReplayLost:
            return True

    if supposed and _always_reached(start, supposed, is_past) and not _always_reached(start, supposed + 1, is_past):
        return supposed
    low, high = 0, _STOPS
    with start() as guest:
        while not is_past(guest, high):
            low, high = high, 2 * high
    count, step = first_count(start, (low, high), 0, is_past) - 1, 1
    while not _always_reached(start, count, is_past):
        count, step = max(0, count - step), 2 * step
    return count


def _always_reached(start: Callable[[], Guest], count: int, is_past: Callable[[Guest, int], bool]) -> bool:
    for _ in range(_TRIES):
        with start() as guest:
            if is_past(guest, count):
                return False
    return True


def replay_through(guest: Guest, deadline: float) -> int:
    """To the end of the recording, in a QEMU that then pauses (-no-shutdown): how many instructions it has. 0: that
    is not known; if the guest has ended by itself, neither is another number, see last_count.

    Raises ReplayLost where QEMU says that the replay went wrong, ReplayLate.
    """
    try:
        how = run_on(guest, deadline, _ENDS_S)
    except ReplayStands:
        return 0
    if how == "shutdown":
        return instructions(guest) or 0
    guest.wait()
    if guest.log_text():
        raise ReplayLost(guest.log_text())
    return 0
