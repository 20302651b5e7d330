"""A baseline that is recorded once, and a room for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit import Lab, open_lab
from replaykit import BOOTS, Baselines


@pytest.fixture(scope="session")
def recorded(root: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a baseline of functions."""
    with open_lab(root, build, tmp_path_factory.mktemp("recorded")) as lab:
        lab.command(lab.words("record", "--functions", "tsc_*,lapic_*", "--append", BOOTS, "--runs", "2", "-o",
                              "boot.baseline")).expect(0)
        return (lab.cwd / "boot.baseline").read_text()


@pytest.fixture
def baselines(lab: Lab, recorded: str) -> Iterator[Baselines]:
    made = Baselines(lab, recorded)
    made.temporary.mkdir()
    lab.environment["TMPDIR"] = str(made.temporary)
    yield made
