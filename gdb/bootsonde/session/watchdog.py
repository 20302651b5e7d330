"""Ends a run that GDB would wait for for ever: the deadline, the end condition and panics on the console, Ctrl-C.

One `interrupt` is not enough against a breakpoint that is hit all the time, so it is posted again and again until the
guest stands still (one was not enough in 2 of 8 tries). GDB's own Ctrl-C is one interrupt, and lost like any other; so
while the guest runs SIGINT is kept from GDB and taken here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Callable, Iterable, List, Optional, Sequence, Tuple

import gdb

from bootsonde.model.ending import Ending
from bootsonde.model.outcome import Outcome, Verdict

#: How often the console is read while the guest runs, and how often an unheeded interrupt is repeated; seconds.
POLL_S, REPEAT_S = 0.005, 0.25


class Watchdog:
    """Watches while `running` is set. `verdict` stays None until something is to end the run.

    interrupted: Ctrl-C was pressed since the guest was last set running.
    """

    def __init__(self, console: Optional[str], until: Sequence[str], deadline: Optional[float],
                 clock: Callable[[], int], parent: Optional[int] = None) -> None:
        """deadline: time.monotonic() at which the run has timed out. parent: the process without which it is vain."""
        self._ending = Ending(console, until, deadline, "--timeout S gives it longer; the last hits and the vCPUs' "
                              "places show where it hangs")
        self._clock = clock
        self._parent = parent
        self._lock = threading.Lock()
        self._lines: List[Tuple[int, str]] = []
        self._running = threading.Event()
        self._ended = threading.Event()
        self._posted = False
        self._mask: Iterable[int] = ()
        self.interrupted = False
        self._thread = threading.Thread(target=self._watch, name="bootsonde-watchdog", daemon=True)
        self._thread.start()

    @property
    def verdict(self) -> Optional[Verdict]:
        """What ended the run, once something has."""
        return self._ending.verdict

    def panicked(self, reason: str, message: str) -> None:
        """The guest has called its panic function: give it time to say why, then end the run."""
        with self._lock:
            self._ending.panicked(reason, message, time.monotonic())

    def poll(self) -> Optional[Verdict]:
        """Read the console and look at the clock. The verdict, once there is one, stays."""
        with self._lock:
            now = time.monotonic()
            lines = self._ending.look(now)
            t = self._clock()
            self._lines += [(t, line) for line in lines]
            if self.verdict is None and self._parent is not None and os.getppid() != self._parent:
                self._ending.verdict = Verdict(Outcome.LOST, "the bootsonde that started this run has gone")
            self._ending.judge_time(now)
            return self.verdict

    @property
    def overdue(self) -> bool:
        """Whether the run is to end, by what is known without looking at the console."""
        return self.verdict is not None or self._ending.is_overdue(time.monotonic())

    def take_lines(self) -> List[Tuple[int, str]]:
        """The console lines since the last call, each with its time."""
        with self._lock:
            lines, self._lines = self._lines, []
        return lines

    @property
    def began_late(self) -> bool:
        """Whether the guest had run already when this run began."""
        return self._ending.began_late

    def partial(self) -> str:
        """What stands on the console after the last newline, such as a prompt."""
        return self._ending.partial

    def text(self) -> str:
        """The console's end, and the line of a panic however far above it stands."""
        with self._lock:
            return self._ending.text()

    def set_running(self, running: bool) -> None:
        """Tell whether the guest runs; only then is it interrupted, and SIGINT held back from this thread."""
        if running:
            self.interrupted = False
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self._running.set()
        else:
            self._running.clear()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _interrupt(self) -> None:
        self._posted = False
        if self._running.is_set():
            try:
                gdb.execute("interrupt", to_string=True)
            except gdb.error:
                pass  # The guest is gone or stands still; the session's `continue` has returned with the reason.

    def _watch(self) -> None:
        # GDB's signals are for GDB's own thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGCHLD, signal.SIGALRM, signal.SIGWINCH})
        while not self._ended.is_set():
            if not self._running.is_set():
                self._running.wait(POLL_S)
                continue
            if signal.sigtimedwait({signal.SIGINT}, POLL_S) is not None:
                self.interrupted = True
            if self._running.is_set() and (self.poll() is not None or self.interrupted):
                if not self._posted:
                    self._posted = True
                    gdb.post_event(self._interrupt)
                self._ended.wait(REPEAT_S)

    def close(self) -> None:
        """End the thread: one that is left at GDB's exit crashes GDB."""
        self._ended.set()
        self._thread.join()
