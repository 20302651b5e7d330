"""`pip install --no-build-isolation .` as on Debian 12: PEP 668, no network, and Meson's build/ beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with bootsonde, installed from a copy of the checkout."""
    base = tmp_path_factory.mktemp("install")
    copy = base / "checkout"
    copy.mkdir()
    for name in ("gdb", "launch", "scenarios"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", ".gitignore"):
        shutil.copy(root / name, copy)
    (copy / "build").mkdir()
    (copy / "build" / "build.ninja").touch()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PIP_NO_INDEX"] = "1"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", base / "venv"], check=True, timeout=120)
    done = subprocess.run([base / "venv/bin/pip", "install", "-q", "--no-build-isolation", "."], cwd=copy, text=True,
                          capture_output=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return base


def test_files(installed: Path) -> None:
    share = installed / "venv" / "share" / "bootsonde"
    assert os.access(share / "launch" / "microvm_debug.sh", os.X_OK)
    assert (share / "launch" / "lib" / "say.sh").exists()
    assert {p.name for p in (share / "scenarios").glob("*.py")} >= {"pvclock.py", "cpuid.py"}


def test_keeps_out_of_the_build_folder(installed: Path) -> None:
    assert [p.name for p in (installed / "checkout" / "build").iterdir()] == ["build.ninja"]
    made = {p.name for p in (installed / "checkout").iterdir()} - {
        "gdb", "launch", "scenarios", "setup.cfg", "pyproject.toml", "LICENSE", ".gitignore", "build"}
    assert made == {"build-python"}, "which .gitignore covers"
    assert not list((installed / "checkout" / "gdb").rglob("*.egg-info"))


def test_command(installed: Path) -> None:
    """The installed command answers, from anywhere."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run([installed / "venv/bin/bootsonde", "--help"], cwd="/", text=True, capture_output=True,
                          timeout=60, env=environment, check=False)
    assert done.returncode == 0 and "run" in done.stdout, done


def test_launcher_of_the_installation(installed: Path, root: Path, guest: Path) -> None:
    """Installed or from a checkout, the launcher composes the same."""
    printed = [subprocess.run([folder / "launch" / "microvm_debug.sh", "--name", "x", "--dry-run", guest], text=True,
                              capture_output=True, timeout=60, check=True).stdout
               for folder in (installed / "venv" / "share" / "bootsonde", root)]
    assert printed[0] == printed[1] != ""


def test_checkout_command(root: Path) -> None:
    """launch/bootsonde needs no installation, no current folder, and stands a link to it."""
    done = subprocess.run([root / "launch" / "bootsonde", "--help"], cwd="/", text=True, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 0 and "run" in done.stdout, done
    done = subprocess.run([root / "launch" / "bootsonde", "--help"], env={**os.environ, "PYTHON": "/nowhere/python"},
                          text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 3 and done.stderr.count("\n") == 1
