"""What ends a run, by the console's log as it grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootsonde.model.ending import PANIC_QUIET_S, Ending
from bootsonde.model.outcome import Outcome


@pytest.fixture
def console(tmp_path: Path) -> Path:
    path = tmp_path / "console"
    path.touch()
    return path


def grow(console: Path, text: str) -> None:
    with console.open("a") as file:
        file.write(text)


@pytest.mark.parametrize("parts", [["panic: TSC not initialized\r\n"],
                                   ["panic:", " TSC not init", "ialized\r\ncpuid = 0\r\n"]])
def test_a_panic_is_told_whole_however_it_was_read(console: Path, parts: list[str]) -> None:
    ending = Ending(str(console), ["login:"], None, "")
    for number, part in enumerate(parts):
        grow(console, part)
        ending.look(number / 10)
    assert ending.verdict is None  # the guest may go on talking
    ending.look(len(parts) / 10 + PANIC_QUIET_S)
    assert ending.verdict is not None and ending.verdict.outcome is Outcome.FAILED
    assert ending.verdict.reason == "the guest panicked: panic: TSC not initialized"


@pytest.mark.parametrize("stamp", ["[    0.123456] ", "[   12.5][    T1] ", "  "])
def test_a_panics_time_is_not_in_the_reason(console: Path, stamp: str) -> None:
    """Of a kernel that was built anew it is another one."""
    ending = Ending(str(console), [], None, "")
    grow(console, f"{stamp}Kernel panic - not syncing: [1.5] of 2\n")
    ending.look(0)
    ending.look(1)
    assert ending.verdict is not None
    assert ending.verdict.reason == "the guest panicked: Kernel panic - not syncing: [1.5] of 2"


def test_the_first_panic_is_the_reason(console: Path) -> None:
    ending = Ending(str(console), [], None, "")
    grow(console, "panic: one\npanic: two\n")
    ending.look(0)
    ending.look(1)
    assert ending.verdict is not None and ending.verdict.reason.endswith("panic: one")


def test_who_was_told_otherwise_of_a_panic_keeps_that(console: Path) -> None:
    """As by a breakpoint at the function, before its text was whole."""
    ending = Ending(str(console), [], None, "")
    ending.panicked("panic() was called", "", 0)
    for part in ("panic:", " late"):
        grow(console, part)
        ending.look(0)
    ending.look(1)
    assert ending.verdict is not None and ending.verdict.reason == "panic() was called"
