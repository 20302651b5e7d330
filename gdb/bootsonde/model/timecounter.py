"""FreeBSD's timecounters and the time that is kept by them, in words.

Source: FreeBSD's timecounters(4) for frequency and quality; a struct bintime is seconds and 2^-64 s; th_scale is how
many 2^-64 s a tick lasts. A field that could not be read is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

_UNREADABLE = "unreadable"
_NS = 10 ** 9


def scale_hz(scale: int) -> Optional[int]:
    """The frequency that a th_scale stands for, Hz, cut off as the scale was; None with 0, which stops the clock."""
    return (1 << 64) // scale if scale > 0 else None


def seconds(sec: int, frac: int) -> str:
    """A struct bintime, in seconds with nine places, cut off. sec may be negative, frac counts up from it."""
    return _in_seconds(sec * _NS + (frac * _NS >> 64))


def _in_seconds(ns: int) -> str:
    return f"{'-' if ns < 0 else ''}{abs(ns) // _NS}.{abs(ns) % _NS:09d}"


@dataclass(frozen=True)
class Timecounter:
    """struct timecounter: a counter of hardware that wraps at its mask."""

    name: Optional[str]
    hz: Optional[int]
    quality: Optional[int]      # the best is chosen, a negative one only by name
    mask: Optional[int]
    flags: Optional[int]

    def describe(self) -> str:
        """One line."""
        said = ["timecounter, name " + _UNREADABLE if self.name is None else f'timecounter "{self.name}"',
                f"frequency {_UNREADABLE}" if self.hz is None else f"{self.hz} Hz",
                f"quality {_UNREADABLE}" if self.quality is None else f"quality {self.quality}",
                f"mask {_UNREADABLE}" if self.mask is None else f"mask {self.mask:#x}{self._wrap()}",
                f"flags {_UNREADABLE}" if self.flags is None else f"flags {self.flags:#x}"]
        return ", ".join(said)

    def _wrap(self) -> str:
        if not self.hz or self.mask is None:
            return ""
        return f" (wraps after {_in_seconds((self.mask + 1) * _NS // self.hz)} s)"


@dataclass(frozen=True)
class Timehands:
    """struct timehands: the time at which the counter stood at `count`, and what a tick is worth."""

    counter: Optional[str]      # its name
    sec: Optional[int]
    frac: Optional[int]         # of 2^64
    scale: Optional[int]
    count: Optional[int]

    def describe(self) -> str:
        """One line."""
        offset = _UNREADABLE if self.sec is None or self.frac is None else f"{seconds(self.sec, self.frac)} s"
        if self.scale is None:
            rate = f"scale {_UNREADABLE}"
        else:
            hz = scale_hz(self.scale)
            rate = "scale 0: time stands still" if hz is None else f"{hz} Hz by its scale"
        count = _UNREADABLE if self.count is None else str(self.count)
        whose = f"{_UNREADABLE} counter" if self.counter is None else f'"{self.counter}"'
        return f"timehands of {whose}, offset {offset} at count {count}, {rate}"
