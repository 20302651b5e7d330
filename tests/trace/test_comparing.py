"""cprobe diff on boots of the reference guest: unchanged ones are equal, and what changes a boot is named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labkit import Lab, open_lab

#: A guest that comes to login by itself.
BOOTS = "guest.i8254=1"


class Boots:
    """Deterministic recordings, by their command lines."""

    def __init__(self, lab: Lab, cprobe: Path) -> None:
        self._lab = lab
        self._cprobe = cprobe
        self._made = 0
        self.baseline = self.record(BOOTS)

    def record(self, append: str, *more: str) -> str:
        self._made += 1
        name = f"{self._made}.trace"
        done = self._lab.command(self._lab.words("trace", "--deterministic", "--append", append, "-o", name, *more))
        assert done.status in (0, 1), done.err
        return name

    def compare(self, other: str, *words: str | Path) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run([self._cprobe, "diff", self.baseline, other, "--format", "json", "--limit", "0", *words],
                              cwd=self._lab.cwd, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def kernel(self) -> Path:
        return self._lab.kernel


@pytest.fixture(scope="module")
def boots(root: Path, build: Path, cprobe: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boots]:
    with open_lab(root, build, tmp_path_factory.mktemp("boots")) as lab:
        yield Boots(lab, cprobe)
        lab.expect_nothing_left()


def named(records: list[dict[str, Any]], kind: str) -> set[str]:
    return {step["name"] for record in records if record["kind"] == kind for step in record["names"]}


def test_an_unchanged_boot_is_equal(boots: Boots) -> None:
    status, records = boots.compare(boots.record(BOOTS))
    assert status == 0 and [record["kind"] for record in records] == ["summary"]


@pytest.mark.parametrize("tunable, never, new, line", [
    ("guest.lapic_calibration=0", {"lapic_calibrate_initcount"}, set(),
     "lapic0: calibration disabled by guest.lapic_calibration"),
    ("machdep.disable_tsc_calibration=1", {"lapic_setup", "inittimecounter"}, {"vpanic", "kassert_panic"},
     "panic: TSC not initialized"),
    ("guest.fault=panic@clocks", {"selftest_run"}, {"vpanic"}, "panic: guest.fault asked for it"),
    ("guest.fault=exit@configure", {"inittimecounter", "selftest_run", "tsc_calibrate"}, set(),
     "guest.fault: exit at stage configure")])
def test_a_tunable_that_changes_the_path(boots: Boots, tunable: str, never: set[str], new: set[str], line: str) -> None:
    """What is left out, and what came instead, by its name; the first divergence is where the command line is read."""
    status, records = boots.compare(boots.record(f"{BOOTS} {tunable}"))
    assert status == 1
    divergence, = (record for record in records if record["kind"] == "divergence")
    assert divergence["vcpu"] == 0 and divergence["expected"] and divergence["came"]
    note, = (record["text"] for record in records if record["kind"] == "note")
    assert note.startswith("-append:") and tunable in note
    assert never <= named(records, "never") and new <= named(records, "new")
    assert line in named(records, "extra")


def test_another_frequency_is_told_by_its_line(boots: Boots) -> None:
    status, records = boots.compare(boots.record(BOOTS, "--icount", "shift=4,sleep=off"))
    assert status == 1
    changed = [record["expected"][0]["text"] for record in records if record["kind"] == "values"]
    assert any(text.startswith("TSC: P-state variant, ") for text in changed)


def test_another_number_of_vcpus(boots: Boots) -> None:
    status, records = boots.compare(boots.record(BOOTS, "--smp", "2"))
    assert status == 1
    assert {"kind": "vcpus", "expected": 1, "came": 2} in records
    assert {"kind": "alone", "vcpu": 1, "in": "trace"} in records
    assert "init_secondary" in named(records, "new")


def test_lines_of_the_source(boots: Boots) -> None:
    _, records = boots.compare(boots.record(f"{BOOTS} guest.lapic_calibration=0"), "--kernel", boots.kernel,
                               "--kernel-baseline", boots.kernel)
    divergence, = (record for record in records if record["kind"] == "divergence")
    assert all(step["line"] > 0 for step in divergence["expected"] + divergence["came"])
