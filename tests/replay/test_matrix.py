"""Matrix files: which boots they ask for, and how they are named."""

from __future__ import annotations

import re

import pytest
from replaykit import Baselines

from bootsonde.model.errors import UserError
from bootsonde.model.matrix import read_matrix


def names(text: str) -> list[str]:
    return [row.name for row in read_matrix(text, "/m/matrix")]


def test_every_combination_the_last_key_fastest() -> None:
    assert names("cpu = max\nsmp = 1\n# more\nsmp = 2\ncpu=qemu64\n") == [
        "cpu=max,smp=1", "cpu=max,smp=2", "cpu=qemu64,smp=1", "cpu=qemu64,smp=2"]


def test_files_are_relative_to_the_matrix() -> None:
    row, = read_matrix("kernel = obj/kernel\ndisk = /d\n", "/m/matrix")
    assert row.values == {"kernel": "/m/obj/kernel", "disk": "/d"}
    assert row.name == "kernel=kernel,disk=d"


def test_files_of_one_name_are_told_apart() -> None:
    assert names("kernel = a/kernel\nkernel = b/kernel\n") == ["kernel=a/kernel", "kernel=b/kernel"]


@pytest.mark.parametrize(("text", "says"), [
    ("", "/m/matrix: the matrix is empty"),
    ("smp = 1\nsmp = 1\n", "/m/matrix:2: smp = 1 is there twice"),
    ("\nsnp = 1\n", "/m/matrix:2: no 'snp'"),
    ("smp\n", "/m/matrix:1: "),
    ("cpu = \n", "/m/matrix:1: cpu has no value"),
    ("".join(f"{key} = {value}\n" for key in ("smp", "cpu", "append") for value in range(30)), "27,000 combinations"),
])
def test_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        names(text)


@pytest.mark.parametrize("more", [(), pytest.param(("-n", "2"), marks=pytest.mark.long)], ids=["alone", "xdist"])
def test_each_combination_is_a_replay(baselines: Baselines, more: tuple[str, ...]) -> None:
    (baselines.folder / "matrix").write_text("smp = 1\nsmp = 2\n")
    done = baselines.replay(baselines.put(), "--matrix", "matrix", *more).expect(1)
    assert sorted(re.findall(r"^(\w+) +(boot\S+)", done.out, re.MULTILINE)) == [
        ("diverged", "boot[smp=2]"), ("equal", "boot[smp=1]")]


@pytest.mark.parametrize("more", [pytest.param((), marks=pytest.mark.long), ("-n", "2")], ids=["alone", "xdist"])
def test_kernels_of_a_matrix_are_booted(baselines: Baselines, more: tuple[str, ...]) -> None:
    kernels = [baselines.lab.build / "guest" / name for name in ("clockguest", "clockguest.full", "nosuch")]
    (baselines.folder / "matrix").write_text("".join(f"kernel = {path}\n" for path in kernels))
    done = baselines.replay(baselines.put(), "--matrix", "matrix", *more).expect(2)
    assert sorted(re.findall(r"^(equal|not run) +(boot\S+)", done.out, re.MULTILINE)) == [
        ("equal", "boot[kernel=clockguest.full]"), ("equal", "boot[kernel=clockguest]"),
        ("not run", "boot[kernel=nosuch]")]


def test_a_kernel_and_a_matrix_of_kernels_are_refused(baselines: Baselines) -> None:
    (baselines.folder / "matrix").write_text("kernel = k\n")
    done = baselines.replay(baselines.put(), "--matrix", "matrix", "--kernel", baselines.lab.kernel).expect(2)
    assert "leave one of them out" in done.err
