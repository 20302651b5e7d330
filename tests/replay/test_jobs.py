"""Replays side by side: what is expected of the processes, whatever they replay."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from labkit import wait_for

from bootsonde.host.jobs import side_by_side
from bootsonde.host.replaying import Kernel, Replay, Result, State


def replays(*names: str) -> list[Replay]:
    return [Replay("path", name, Kernel("kernel", "kernel"), {}, None, None) for name in names]


def test_answers_come_in_the_order_of_the_questions() -> None:
    def carry_out(asked: Replay) -> Result:
        time.sleep({"slow": 0.3}.get(asked.name, 0))
        return Result(State.DIVERGED, asked.name)

    found = list(side_by_side(replays("slow", "b", "c"), 3, carry_out))
    assert [(asked.name, result.text) for asked, (result, _) in found] == [("slow", "slow"), ("b", "b"), ("c", "c")]
    assert found[0][1][1] >= 0.3 > found[1][1][1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_run_at_a_time_than_asked_for(tmp_path: Path, jobs: int) -> None:
    def carry_out(asked: Replay) -> Result:
        mark = tmp_path / asked.name
        mark.touch()
        time.sleep(0.1)
        others = len(list(tmp_path.iterdir()))
        mark.unlink()
        return Result(State.EQUAL, str(others))

    found = [int(result.text) for _, (result, _) in side_by_side(replays("a", "b", "c", "d"), jobs, carry_out)]
    assert max(found) == jobs


def test_one_that_is_killed_is_lost_and_the_others_are_not() -> None:
    def carry_out(asked: Replay) -> Result:
        if asked.name == "b":
            os.kill(os.getpid(), signal.SIGKILL)
        return Result(State.EQUAL)

    found = [result for _, (result, _) in side_by_side(replays("a", "b", "c"), 2, carry_out)]
    assert [result.state for result in found] == [State.EQUAL, State.LOST, State.EQUAL]
    assert "by signal 9" in found[1].text


def test_who_stops_asking_ends_those_that_run(tmp_path: Path) -> None:
    """As for an exception of the caller's, and after -x."""
    def carry_out(asked: Replay) -> Result:
        (tmp_path / asked.name).write_text(str(os.getpid()))
        time.sleep(0 if asked.name == "a" else 60)
        return Result(State.EQUAL)

    began = time.monotonic()
    with closing(side_by_side(replays("a", "b"), 2, carry_out)) as found:
        next(found)
        while not (tmp_path / "b").exists() or not (tmp_path / "b").read_text():
            time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "b").read_text()), 0)
    assert time.monotonic() - began < 30


def test_they_end_with_who_asks_even_if_he_is_killed(tmp_path: Path) -> None:
    """All of them have the end of a pipe that they write to, and nobody else."""
    def carry_out(asked: Replay) -> Result:
        (tmp_path / asked.name).touch()
        time.sleep(60)
        return Result(State.EQUAL)

    reads, writes = os.pipe()
    asks = os.fork()
    if asks == 0:
        try:
            list(side_by_side(replays("a", "b"), 2, carry_out))
        finally:
            os._exit(0)
    os.close(writes)
    wait_for("both", lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    os.kill(asks, signal.SIGKILL)
    os.waitpid(asks, 0)
    assert select.select([reads], [], [], 15.0)[0] and os.read(reads, 1) == b""
    os.close(reads)


def test_an_error_in_one_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def carry_out(asked: Replay) -> Result:
        raise ValueError("what is wrong")

    assert [result.state for _, (result, _) in side_by_side(replays("a"), 1, carry_out)] == [State.LOST]
    assert "ValueError: what is wrong" in capfd.readouterr().err
