"""Verdicts on a guest that ended by itself."""

from __future__ import annotations

from typing import Optional

import pytest

from bootsonde.model.outcome import PANIC, Outcome, Verdict, VcpuPlace, guest_exit


@pytest.mark.parametrize("status, console, shutdown, outcome, reason", [
    (33, "summary: 5 passed, 0 failed, 1 skipped", None, Outcome.PASSED, "5 passed, 0 failed"),
    (33, "nothing of the kind", None, Outcome.FAILED, "no summary"),
    (33, "summary: 5 passed, 2 failed", None, Outcome.FAILED, "2 failed"),
    (35, "panic: TSC not initialized\ncpuid = 0", None, Outcome.FAILED, "panic: TSC not initialized"),
    (35, "", None, Outcome.FAILED, "debug-exit as failed"),
    (0, "", "guest-reset", Outcome.FAILED, "reset itself"),
    (0, "Kernel panic - not syncing: VFS", "guest-reset", Outcome.FAILED, "VFS"),
    (0, "", "guest-shutdown", Outcome.FAILED, "guest-shutdown"),
    (-9, "", None, Outcome.LOST, "signal 9"),
    (1, "", None, Outcome.LOST, "error of its own"),
    (None, "", None, Outcome.LOST, "stub was closed"),
])
def test_status_text_and_reason_together_make_the_verdict(
        status: Optional[int], console: str, shutdown: Optional[str], outcome: Outcome, reason: str) -> None:
    verdict = guest_exit(status, console, shutdown)
    assert verdict.outcome is outcome and reason in verdict.reason


@pytest.mark.parametrize("line", ["panic: TSC not initialized", "[    1.2] Kernel panic - not syncing: VFS", "db> ",
                                  "db{0}> ", "KDB: enter: panic", "fatal: panic: pmap"])
def test_what_a_panic_looks_like(line: str) -> None:
    assert PANIC.search(line)


@pytest.mark.parametrize("line", ["panic=30", "kernel.panic: 1"[:12], "mariadb> ", "no panics"])
def test_what_a_panic_does_not_look_like(line: str) -> None:
    assert not PANIC.search(line)


def test_exit_codes_are_the_contract() -> None:
    assert {outcome.value: outcome.exit_code for outcome in Outcome} == {
        "passed": 0, "failed": 1, "usage": 2, "lost": 3, "timeout": 4, "interrupted": 130}


def test_a_verdict_survives_json() -> None:
    verdict = Verdict(Outcome.LOST, "why", "what next", [VcpuPlace(0, 0xffffffff80200000, "btext"), VcpuPlace(1, None)])
    assert Verdict.from_json(verdict.to_json()) == verdict
