"""The machine's own QEMU and GDB, and newer ones: each pair is a column."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

import pytest
from fetched import fetched


@dataclass(frozen=True)
class Column:
    """Commands for $QEMU and $GDB."""

    qemu: str
    gdb: str

    @property
    def environment(self) -> dict[str, str]:
        return {"QEMU": self.qemu, "GDB": self.gdb}


def own(variable: str, name: str) -> str:
    path = shutil.which(os.environ.get(variable) or name)
    if path is None:
        pytest.skip(f"no {name} on this machine")
    return path


def version(command: str) -> str:
    """The first line of --version."""
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()[0]


@pytest.fixture(params=["own", "qemu10", "gdb16", "qemu10-gdb16"])
def column(request: pytest.FixtureRequest) -> Column:
    newer = request.param.split("-")
    return Column(str(fetched("qemu-backports")) if "qemu10" in newer else own("QEMU", "qemu-system-x86_64"),
                  str(fetched("gdb-trixie")) if "gdb16" in newer else own("GDB", "gdb"))


@pytest.fixture(params=["own", "qemu10"])
def qemu(request: pytest.FixtureRequest) -> str:
    return str(fetched("qemu-backports")) if request.param == "qemu10" else own("QEMU", "qemu-system-x86_64")
