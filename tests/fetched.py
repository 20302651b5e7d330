"""Real input and other versions of the tools, by launch/fetch.sh: quick when they are there, else a reason to skip."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@functools.lru_cache(maxsize=None)
def _fetch(what: str) -> tuple[int, str]:
    """fetch.sh's status, with the path that it printed or the reason that it gave."""
    done = subprocess.run([ROOT / "launch" / "fetch.sh", what], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=900, check=False)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode, said[-1] if said else "fetch.sh said nothing"


def fetched(what: str) -> Path:
    """The path that fetch.sh prints. Skips the test where it cannot be had; a defect of fetch.sh is a failure."""
    status, text = _fetch(what)
    if status == 3:
        pytest.skip(text)
    assert status == 0, text
    return Path(text)
