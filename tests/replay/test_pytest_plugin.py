"""Baselines as pytest's tests, by pytest itself and by `bootsonde replay --junitxml`, -n and -k."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from replaykit import Baselines


def cases(path: Path) -> dict[str, str]:
    """What a JUnit file says of each test: passed, failure or error, and the first line of its text."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error", "skipped")]
        found[case.attrib["name"]] = f"{bad[0].tag}: {(bad[0].text or '').splitlines()[0]}" if bad else "passed"
    return found


def test_a_baseline_is_a_test(baselines: Baselines) -> None:
    done = baselines.pytest("-v", baselines.put()).expect(0)
    assert "boot.baseline::boot PASSED" in done.out
    baselines.expect_nothing_left()


def test_a_boot_that_goes_another_way_fails_with_the_diff(baselines: Baselines) -> None:
    done = baselines.pytest(baselines.other("boot")).expect(1)
    assert "\nfirst divergence: " in done.out and "Traceback" not in done.out and "raise " not in done.out
    assert "FAILED boot.baseline::boot" in done.out


def test_a_boot_that_hangs_is_an_error(baselines: Baselines) -> None:
    path = baselines.put("boot", ("until = login:", "until = never"))
    done = baselines.pytest(path, "--bootsonde-timeout", "1").expect(1)
    assert "ERROR boot.baseline::boot" in done.out and "the deadline has passed" in done.out


def test_a_baseline_that_is_none_does_not_keep_others_from_running(baselines: Baselines) -> None:
    done = baselines.pytest(baselines.put("a", ("append", "appendix")), baselines.put("b")).expect(1)
    assert "a.baseline:5: [boot] has no 'appendix'" in done.out and "1 passed, 1 error" in done.out


def test_a_baseline_that_cprobe_refuses_is_an_error(baselines: Baselines) -> None:
    """It says nothing of the kernel."""
    done = baselines.pytest(baselines.put("boot", ("console = exact", "console = nearly"))).expect(1)
    assert "exact, text or none is wanted" in done.out and "1 error" in done.out.splitlines()[-1]


def test_a_junit_file_that_cannot_be_written_is_no_divergence(baselines: Baselines) -> None:
    done = baselines.replay(baselines.put(), "--junitxml", "/dev/full").expect(2)
    assert "1 equal" in done.out and "bootsonde: --junitxml /dev/full: No space left on device" in done.err


@pytest.mark.parametrize("jobs", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_junit_tells_failures_from_errors(baselines: Baselines, jobs: tuple[str, ...]) -> None:
    slow = baselines.put("slow", ("until = login:", "until = never\ntimeout = 1"))
    done = baselines.replay(baselines.put("same"), baselines.other("other"), slow, *jobs, "--junitxml", "j.xml")
    done.expect(1)
    found = cases(baselines.folder / "j.xml")
    assert found.pop("same") == "passed"
    assert found.pop("other").startswith("failure: first divergence: ")
    assert found == {"slow": "error: the deadline has passed"}


@pytest.mark.parametrize("more", [
    ("--junitxml", "j.xml"), pytest.param(("-n", "2"), marks=pytest.mark.long)], ids=["junit", "xdist"])
def test_replay_reports_the_same_by_pytest(baselines: Baselines, more: tuple[str, ...]) -> None:
    """As without it: one line each, the diff's text, the summary."""
    paths = [baselines.put("a"), baselines.other("b")]
    alone, by_pytest = (re.sub(r"\d+\.\d+|\S+/(trace|console|b\.baseline)", "", done.out)
                        for done in (baselines.replay(*paths).expect(1), baselines.replay(*paths, *more).expect(1)))
    assert sorted(alone.splitlines()) == sorted(by_pytest.splitlines())


def test_exit_codes_are_the_same_by_pytest(baselines: Baselines) -> None:
    slow = baselines.put("slow", ("until = login:", "until = never\ntimeout = 1"))
    baselines.replay(slow, "--junitxml", "j.xml").expect(4)
    baselines.replay(baselines.put("bad", ("append", "appendix")), "--junitxml", "j.xml").expect(2)
    baselines.replay(baselines.put(), "--junitxml", "j.xml").expect(0)


def test_k_chooses_by_name(baselines: Baselines) -> None:
    done = baselines.replay(baselines.put("one"), baselines.other("two"), "-k", "not two").expect(0)
    assert re.findall(r"^equal +(\w+)", done.out, re.MULTILINE) == ["one"]


def test_last_failed_runs_that_alone(baselines: Baselines) -> None:
    paths = [baselines.put("a"), baselines.other("b")]
    baselines.pytest(*paths).expect(1)
    assert "1 failed" in baselines.pytest("--lf", *paths).expect(1).out.splitlines()[-1]


def test_the_kernel_is_an_option(baselines: Baselines) -> None:
    done = baselines.pytest(baselines.put(), "--bootsonde-kernel", "nosuch").expect(1)
    assert "nosuch: no such kernel" in done.out


def test_options_of_the_guest_are_options(baselines: Baselines) -> None:
    assert "vCPU" in baselines.pytest(baselines.put(), "--bootsonde-boot", "smp=2").expect(1).out


@pytest.mark.parametrize(("words", "says"), [
    (["--bootsonde-boot", "snp=2"], "--bootsonde-boot snp=2: NAME=VALUE is expected"),
    (["--bootsonde-timeout", "0"], "--timeout wants a positive number"),
    (["--bootsonde-matrix", "nosuch"], "nosuch: the matrix cannot be read"),
])
def test_a_wrong_option_is_said_before_anything_runs(baselines: Baselines, words: list[str], says: str) -> None:
    done = baselines.pytest(baselines.put(), *words).expect(4)
    assert says in done.err and "Traceback" not in done.err + done.out, done


def test_the_folder_of_baselines_knows_the_plugin(root: Path) -> None:
    """By its conftest.py, from any folder."""
    shown = subprocess.run([sys.executable, "-P", "-m", "pytest", root / "scenarios" / "baselines", "--help"],
                           cwd="/", capture_output=True, text=True, timeout=30, check=False)
    assert "--bootsonde-kernel=K" in shown.stdout, shown.stdout + shown.stderr
