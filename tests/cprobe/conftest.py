"""What the cprobe tests share: running the command, compiling small kernels, finding a real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

KERNEL_FLAGS = ["-ffreestanding", "-fno-pie", "-no-pie", "-mcmodel=kernel", "-mno-red-zone", "-fno-stack-protector",
                "-fcf-protection=none", "-nostdlib", "-static", "-Wl,-Ttext=0xffffffff80200000", "-Wl,--build-id=sha1"]


class Cprobe:
    """The command under test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *args: str | Path, stdin: str | None = None,
            env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run it; output as text, bytes that are no UTF-8 kept as surrogates."""
        return subprocess.run([str(self.path), *map(str, args)], input=stdin, capture_output=True, text=True,
                              errors="surrogateescape", timeout=60, check=False, env={**os.environ, **(env or {})})

    def records(self, *args: str | Path) -> list[dict[str, Any]]:
        """The JSON records of a run that must find something."""
        done = self.run(*args, "--format", "json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def probe(cprobe: Path) -> Cprobe:
    return Cprobe(cprobe)


Build = Callable[..., Path]


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
        units = [file for file in sources if file.endswith((".c", ".S"))]
        done = subprocess.run([compiler, *(KERNEL_FLAGS if kernel else []), *flags, *units, "-o", name], cwd=tmp_path,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return compile_elf


@pytest.fixture(scope="session")
def debian_vmlinux() -> Path:
    """A Debian vmlinux with DWARF: $BOOTSONDE_DEBIAN_VMLINUX, else the newest one in the cache folder."""
    named = os.environ.get("BOOTSONDE_DEBIAN_VMLINUX")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bootsonde"
    found = [p for p in cache.glob("**/vmlinux-*") if p.is_file() and not p.is_symlink()]
    if not found:
        pytest.skip(f"no Debian vmlinux under {cache}, and $BOOTSONDE_DEBIAN_VMLINUX is not set")
    return max(found, key=lambda p: p.stat().st_mtime)


def nm(path: Path) -> dict[str, int]:
    """Symbols by nm: name to address."""
    out = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in out.splitlines() if len(line.split()) == 3}


def objdump_lines(path: Path) -> list[str]:
    """The instruction lines of objdump -d."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if line.startswith(("ffff", "  ", " ")) and ":\t" in line]


def objdump_sites(path: Path, mnemonics: set[str]) -> set[int]:
    """Addresses of the instructions with these mnemonics, by objdump."""
    sites = set()
    for line in objdump_lines(path):
        address, _, rest = line.partition(":\t")
        if rest.split() and rest.split()[0] in mnemonics:
            sites.add(int(address, 16))
    return sites
