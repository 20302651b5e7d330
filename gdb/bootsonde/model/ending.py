"""What ends a run, as far as the guest's console and the clock tell: the end condition, a panic, the deadline."""

from __future__ import annotations

from typing import List, Optional, Sequence

from bootsonde.model.console import ConsoleLog, first_with
from bootsonde.model.outcome import PANIC, Outcome, Verdict, panic_advice, panic_reason

#: After a panic the guest may go on talking, and leave by itself, as long as its console grows, within limits; seconds.
PANIC_QUIET_S, PANIC_LIMIT_S = 0.5, 5.0
#: What the reason of a run begins with that its end condition has ended; the plugin's as well.
SHOWN = "the console shows "
#: Lines of the console that are kept for the end.
_TAIL = 20


class Ending:
    """`verdict` stays None until something ends the run, and is never another then. Times are time.monotonic()'s."""

    def __init__(self, console: Optional[str], until: Sequence[str], deadline: Optional[float], advice: str) -> None:
        """console: the log's path. deadline: when the run has timed out. advice: what to do then."""
        self.log = ConsoleLog(console) if console else None
        self.verdict: Optional[Verdict] = None
        self._until = list(until)
        self._deadline = deadline
        self._advice = advice
        self._panic: Optional[Verdict] = None
        self._panic_line = ""
        self._panic_at = self._grown_at = 0.0
        self._tail: List[str] = []

    def panicked(self, reason: str, message: str, now: float) -> None:
        """The guest has panicked: give it time to say why, then end the run."""
        if self._panic is None:
            self._panic = Verdict(Outcome.FAILED, reason, panic_advice(message))
            self._panic_at = self._grown_at = now

    def look(self, now: float) -> List[str]:
        """Read the console and judge; the lines that were completed since the last time."""
        lines = self._read_console(self.log, now) if self.log is not None else []
        if self.verdict is None and self._panic is not None:
            if now - self._grown_at > PANIC_QUIET_S or now - self._panic_at > PANIC_LIMIT_S:
                self.verdict = self._panic
        return lines

    def judge_time(self, now: float) -> None:
        """The deadline, which everything else comes before."""
        if self.verdict is None and self.is_overdue(now):
            self.verdict = Verdict(Outcome.TIMEOUT, "the deadline has passed", self._advice)

    def is_overdue(self, now: float) -> bool:
        """Whether the deadline has passed."""
        return self._deadline is not None and now >= self._deadline

    def _read_console(self, log: ConsoleLog, now: float) -> List[str]:
        before = log.partial
        lines = log.read()
        if lines or log.partial != before:
            self._grown_at = now
        self._tail = (self._tail + lines)[-_TAIL:]
        for line in [*lines, log.partial]:
            if self.verdict is not None:
                break
            text = first_with(self._until, line)
            if text is not None:
                self.verdict = Verdict(Outcome.PASSED, f'{SHOWN}"{text}"')
            elif PANIC.search(line):
                self._panicked_by(line, now)
        return lines

    def _panicked_by(self, line: str, now: float) -> None:
        """A line says so. One that was read when it was not whole yet says more now."""
        is_told = self._panic is not None and self._panic.reason == panic_reason(self._panic_line)
        if is_told and line.startswith(self._panic_line):
            self._panic = None
            self._panic_line = ""
        self._panic_line = self._panic_line or line
        self.panicked(panic_reason(line), line, now)

    @property
    def began_late(self) -> bool:
        """Whether the guest had run already when this run began."""
        return self.log is not None and self.log.began_late

    @property
    def partial(self) -> str:
        """What stands on the console after the last newline, such as a prompt."""
        return self.log.partial if self.log is not None else ""

    def text(self) -> str:
        """The console's end, and the line of a panic however far above it stands."""
        return "\n".join([self._panic_line, *self._tail, self.partial])
