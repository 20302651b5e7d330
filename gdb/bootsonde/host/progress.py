"""How a recording goes, as a person sees it: a line that changes, on a terminal; now and then a line elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import List, Optional, TextIO, Type

#: Seconds between two looks on a terminal, and between two lines elsewhere.
_TERMINAL_S, _OTHER_S = 0.2, 5.0
#: Columns of the line: a narrow terminal's.
_WIDTH = 78


class Progress:
    """A context manager: after it the line is gone."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._began = self._shown_at = time.monotonic()
        self._events = 0
        self._is_shown = False

    def show(self, events: int, function: str) -> None:
        """events: so many so far. function: the last one entered."""
        now = time.monotonic()
        passed = now - self._shown_at
        if passed < (_TERMINAL_S if self._is_terminal else _OTHER_S):
            return
        line = f"{now - self._began:6.1f} s {events:14,} events {(events - self._events) / passed / 1e6:7.2f} M/s"
        line += f"  in {function}" if function else ""
        self._events, self._shown_at = events, now
        self._out.write(f"\r{line[:_WIDTH]:<{_WIDTH}}" if self._is_terminal else f"bootsonde: {line.strip()}\n")
        self._out.flush()
        self._is_shown = self._is_terminal

    def lines(self, lines: List[str]) -> None:
        """The guest's console lines, above the progress."""
        if lines:
            self._clear()
        for line in lines:
            print(f"  | {line}", flush=True)

    def _clear(self) -> None:
        if self._is_shown:
            self._out.write(f"\r{'':{_WIDTH}}\r")
            self._out.flush()
            self._is_shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self._clear()
