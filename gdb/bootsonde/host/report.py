"""How a run ended, as the user reads it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import Dict, List, Optional

from bootsonde.model.console import printable
from bootsonde.model.outcome import Outcome, Verdict

#: Lines of a log that a failure shows.
TAIL_LINES = 12

#: What QEMU says when GDB ends it as it should.
_ENDED_BY_GDB = "QEMU: Terminated via GDBstub"


def file_text(path: str) -> str:
    """A log's text; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def shown(path: str) -> str:
    """A path as a person would type it here."""
    near = os.path.relpath(path)
    return shlex.quote(path if near.startswith(os.path.join("..", "..")) else near)


def last_lines(text: str) -> List[str]:
    """The last lines that say something, fit for a terminal."""
    return [printable(line) for line in text.splitlines() if line.strip()][-TAIL_LINES:]


def _lines(verdict: Verdict, console: str, logs: Dict[str, str]) -> List[str]:
    word = verdict.outcome.value
    is_plain = verdict.outcome is Outcome.USAGE or verdict.reason == word
    lines = [f"bootsonde: {verdict.reason}" if is_plain else f"bootsonde: {word}: {verdict.reason}"]
    advice = [f"  next: {verdict.advice}"] if verdict.advice else []
    if verdict.outcome is Outcome.PASSED:
        return lines
    if verdict.outcome is Outcome.USAGE:  # What the user gave is wrong: the guest has no part in it.
        return lines + advice
    lines += [f"  {program}: {line}" for program, log in logs.items() for line in last_lines(log)
              if _ENDED_BY_GDB not in line]
    tail = last_lines(console)
    lines += ["  the console's last lines:", *(f"    {line}" for line in tail)] if tail else ["  the console is empty"]
    lines += [f"  {place}" for place in verdict.vcpus]
    return lines + advice


def report(verdict: Verdict, console: Optional[str], trace: Optional[str], logs: Dict[str, str]) -> None:
    """Print the verdict and, unless it passed, what a person needs to go on.

    console: the console log's path. trace: the file that was to be written. logs: what programs said by themselves, by
    name.
    """
    lines = _lines(verdict, file_text(console) if console else "", logs)
    if trace and os.path.exists(trace):
        lines.append(f"bootsonde: trace in {trace}")
    # Nobody may be reading any more (`bootsonde run ... | head`); the exit code still tells.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        print("\n".join(lines), file=sys.stdout if verdict.outcome is Outcome.PASSED else sys.stderr, flush=True)
