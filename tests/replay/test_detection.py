"""What replays of the shipped baselines see: every known change of the guest, named as what it is, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from labkit import Lab
from mutants import MOVED, MUTATIONS, Mutation, Workshop

#: How long a guest that hangs is waited for, s: it boots in one.
HANGS_S = "6"
#: Replays without a false alarm, all baselines together.
REPLAYS = 200


@pytest.fixture(scope="module")
def workshop(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(root / "guest", tmp_path_factory.mktemp("mutants"))


@pytest.fixture
def baselines(root: Path) -> Path:
    return root / "scenarios" / "baselines"


@pytest.fixture
def busy() -> Iterator[None]:
    """Another process for each CPU that never sleeps."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_change_is_caught_and_named(lab: Lab, workshop: Workshop, baselines: Path, mutation: Mutation) -> None:
    kernel = workshop.build(mutation)
    done = lab.command([*lab.words("replay", baselines / f"{mutation.baseline}.baseline", "--kernel", kernel),
                        *(["--timeout", HANGS_S] if mutation.state == "timed out" else [])])
    done.expect({"diverged": 1, "timed out": 4}[mutation.state])
    assert f"\n{mutation.state}" in done.out
    for text in mutation.said:
        assert text in done.out, done


def test_a_kernel_with_other_addresses_and_lines_is_equal(lab: Lab, workshop: Workshop, baselines: Path) -> None:
    done = lab.command(lab.words("replay", baselines, "--kernel", workshop.build(MOVED)))
    done.expect(0)


@pytest.mark.long
def test_no_false_alarm_on_a_busy_machine(lab: Lab, baselines: Path, busy: None) -> None:
    done = 0
    while done < REPLAYS:
        lab.command(lab.words("replay", baselines), deadline=600).expect(0)
        done += len(list(baselines.glob("*.baseline")))
