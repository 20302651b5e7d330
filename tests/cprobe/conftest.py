"""Fixtures of the cprobe tests: the command, small kernels, a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fetched import fetched

sys.path.insert(0, str(Path(__file__).parent))  # cprobe_kit and cprobe_kernels, under any import mode of pytest
from cprobe_kit import KERNEL_FLAGS, Build, Cprobe  # noqa: E402


@pytest.fixture(scope="session")
def probe(cprobe: Path) -> Cprobe:
    return Cprobe(cprobe)


@pytest.fixture
def build_elf(tmp_path: Path) -> Build:
    """Compile C sources {name: text} into one ELF in a temporary folder; skips when the compiler is missing."""

    def compile_elf(sources: dict[str, str], flags: Sequence[str], compiler: str = "gcc", name: str = "kernel",
                    kernel: bool = True) -> Path:
        if not shutil.which(compiler):
            pytest.skip(f"no {compiler} on this machine")
        for file, text in sources.items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text)
        units = [file for file in sources if file.endswith((".c", ".cc", ".S"))]
        done = subprocess.run([compiler, *(KERNEL_FLAGS if kernel else []), *flags, *units, "-o", name], cwd=tmp_path,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return compile_elf


@pytest.fixture(scope="session")
def debian_vmlinux() -> Path:
    """A Debian vmlinux with DWARF: $BOOTSONDE_DEBIAN_VMLINUX, else what launch/fetch.sh has."""
    named = os.environ.get("BOOTSONDE_DEBIAN_VMLINUX")
    return Path(named) if named else fetched("debian-kernel") / "vmlinux"
