"""`bootsonde replay --exact`: into a recorded boot at any place, any number of times, with the same state every time.

What is asked for by instruction count or by console text is reached by QEMU alone (host/forward.py), a function's entry
by GDB (session/exact.py), which opens its prompt there. There is no way back in QEMU that could be relied upon: going
back is going forward again, in a new replay.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import List, Optional, Tuple

from bootsonde import places
from bootsonde.host import forward
from bootsonde.host.exactboot import ExactBoot
from bootsonde.host.exactroute import Route, Routes
from bootsonde.host.guest import Guest, LaunchError
from bootsonde.host.passed import entries_before
from bootsonde.host.report import report
from bootsonde.host.request import RunRequest
from bootsonde.host.run import GDB_WAS_QUIT, session
from bootsonde.model.errors import UserError
from bootsonde.model.exact import ORDER, Order, Text, shown
from bootsonde.model.guests import private_folder
from bootsonde.model.outcome import Outcome, Verdict

#: The trace's times tell instructions within so many.
_MARGIN = 4096


@dataclass
class ExactReplay:
    """What is asked for.

    at: --at's word. trace: the one that DIVERGENCE compares with. kernel, symbols: where they are by now, if not where
    they were. given: other options of the guest, as words, which must be the recording's. batch: say what is there, and
    end, instead of GDB's prompt. commands: GDB's, carried out there, with batch. timeout_s: for the way there.
    """

    baseline: str
    at: str
    trace: Optional[str] = None
    kernel: Optional[str] = None
    symbols: Optional[str] = None
    given: List[str] = field(default_factory=list)
    batch: bool = False
    commands: List[str] = field(default_factory=list)
    timeout_s: float = 120.0
    source_map: List[Tuple[str, str]] = field(default_factory=list)
    symbols_at_prompt: bool = True


def replay_exact(request: ExactReplay) -> int:
    """Go to the place, and open GDB there; the exit code. Raises UserError."""
    boot = ExactBoot(request.baseline, request.kernel, request.symbols, request.given)
    routes = Routes(boot, request.trace)
    folder = private_folder()
    try:
        visits = _Visits(request, boot, folder)
        at, route = request.at, routes.to(request.at)
        while True:
            code = visits.visit(at, route)
            word = visits.take_wish()
            if word is None:
                return code
            try:
                at, route = word, routes.to(word)
            except UserError as error:
                print(f"bootsonde: {error}; back to {at}", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Visits:
    """Replays, one after the other, each to a place."""

    def __init__(self, request: ExactReplay, boot: ExactBoot, folder: str) -> None:
        """folder: for what one visit leaves to the next."""
        self._request = request
        self._boot = boot
        self._wish = os.path.join(folder, "goto")
        self._breakpoints = os.path.join(folder, "breakpoints")

    def take_wish(self) -> Optional[str]:
        """Where the person at the prompt wants to go next; None: nowhere."""
        try:
            with open(self._wish, encoding="utf-8") as file:
                word = file.read()
        except FileNotFoundError:
            return None
        os.unlink(self._wish)
        return word

    def _start(self) -> Guest:
        return Guest(self._boot.boot)

    def visit(self, at: str, route: Route) -> int:
        """Go there, and let GDB do what is to be done; the exit code."""
        deadline = time.monotonic() + self._request.timeout_s
        try:
            verdict = self._visit(at, route, deadline)
        except forward.ReplayLate:
            verdict = Verdict(Outcome.TIMEOUT, f"the replay did not come to {at} in {self._request.timeout_s:g} s",
                              "--timeout S gives it longer")
        except forward.ReplayLost as error:
            verdict = Verdict(Outcome.LOST, f"the replay went wrong on the way to {at}: {error}",
                              "replay it once more; if it comes back, record it again")
        except LaunchError as error:
            verdict = Verdict(error.outcome, f"the guest did not start: {error}")
        if verdict.reason != GDB_WAS_QUIT and not (verdict.outcome is Outcome.PASSED and self._batch):
            report(verdict, None, None, {})
        return verdict.outcome.exit_code

    @property
    def _batch(self) -> bool:
        return self._request.batch or bool(self._request.commands) or not sys.stdin.isatty()

    def _visit(self, at: str, route: Route, deadline: float) -> Verdict:
        count, number = route.count, route.number
        if route.text is not None:
            count = self._count_of(route.text, route.near, deadline)
        elif route.counted is not None:
            count, passed = self._passed(route.counted, route.near, number, deadline)
            number -= passed
        with self._start() as guest:
            if not forward.go_to(guest, count, deadline):
                raise forward.ReplayLost(f"it ended before instruction {count}")
            return self._debug(guest, at, route, number, deadline)

    def _count_of(self, text: Text, near: int, deadline: float) -> int:
        whole = self._boot.console

        def is_shown(guest: Guest, count: int) -> bool:
            if not forward.go_to(guest, count, deadline):
                return True
            with open(guest.console, "rb") as console:
                return shown(text, console.read(), whole)

        return forward.first_count(self._start, (0, self._boot.recording.end), near, is_shown)

    def _passed(self, function: str, near: int, number: int, deadline: float) -> Tuple[int, int]:
        """A count of instructions shortly before a function's `number`th entry, which is about at `near`; and its
        entries before."""
        margin = _MARGIN
        while near > margin:
            passed = entries_before(self._boot.boot, function, near - margin, deadline)
            if passed < number:
                return near - margin, passed
            margin *= 64
        return 0, 0

    def _debug(self, guest: Guest, at: str, route: Route, number: int, deadline: float) -> Verdict:
        request, boot = self._request, self._boot
        Order(addresses=list(route.addresses.items()), number=number, place=at, end=boot.recording.end,
              again=f"bootsonde replay --exact {shlex.quote(os.path.relpath(boot.files.baseline))} --at",
              batch=self._batch, commands=request.commands, breakpoints=self._breakpoints,
              goto=self._wish).save(os.path.join(guest.folder, ORDER))
        left = max(1.0, deadline - time.monotonic())
        ended = session(RunRequest(boot.boot, places.package_file("session", "exact.py"), timeout_s=left,
                                   source_map=request.source_map, prompt=not self._batch,
                                   symbols_at_prompt=request.symbols_at_prompt), guest, guest.folder, None)
        gdb_said = ended.logs.get("gdb")
        if gdb_said and ended.verdict.outcome is not Outcome.PASSED:
            with contextlib.suppress(BrokenPipeError):
                print(gdb_said, file=sys.stderr, flush=True)
        return ended.verdict
