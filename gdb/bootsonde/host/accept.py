"""`bootsonde replay --accept`: baselines recorded anew, because the boot is meant to be as it is now."""

from __future__ import annotations

import difflib
import os
import sys
from typing import List

from bootsonde.host.baselines import load, publish
from bootsonde.host.boots import TIMEOUT_S
from bootsonde.host.record import Recording, check_size, recorded_text
from bootsonde.host.replaying import Choice
from bootsonde.model.baseline import boot_section, with_comments
from bootsonde.model.outcome import Outcome


def accept(paths: List[str], choice: Choice, runs: int, is_large: bool) -> int:
    """Record each anew; the exit code: 0 where all were. Raises UserError."""
    worst = 0
    for path in paths:
        outcome = _accept(path, choice, runs, is_large)
        worst = max(worst, outcome.exit_code)
    return worst


def _accept(path: str, choice: Choice, runs: int, is_large: bool) -> Outcome:
    old = load(path)
    before = old.text.replace("\r\n", "\n")  # What is written has no others.
    base = os.path.dirname(os.path.abspath(path))
    print(f"bootsonde: {path}", flush=True)
    outcome, text = recorded_text(
        Recording(old.boot, choice.kernel, base, runs, choice.timeout_s or old.boot.timeout_s or TIMEOUT_S,
                  ["--like", path]), boot_section(before))
    if text is None:
        return outcome
    text = with_comments(before, text)
    if text == before:
        print(f"bootsonde: {path} is as it was", flush=True)
        return Outcome.PASSED
    check_size(text, path, is_large or len(old.text) > len(text))
    publish(path, text, old.text)
    sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), text.splitlines(True), path, f"{path} (now)"))
    print(f"bootsonde: {path} was changed as shown", flush=True)
    return outcome
