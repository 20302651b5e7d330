"""What the cprobe tests share: running the command, flags of a small kernel, other tools' answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

KERNEL_FLAGS = ["-ffreestanding", "-fno-pie", "-no-pie", "-mcmodel=kernel", "-mno-red-zone", "-fno-stack-protector",
                "-fcf-protection=none", "-nostdlib", "-static", "-Wl,-Ttext=0xffffffff80200000", "-Wl,--build-id=sha1"]


# What objdump prints before a mnemonic.
PREFIXES = {"rep", "repz", "repnz", "lock", "notrack", "bnd", "data16", "addr32", "cs", "ds", "es", "ss", "rex.W"}


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


Build = Callable[..., Path]


def nm(path: Path) -> dict[str, int]:
    """Symbols by nm: name to address."""
    out = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in out.splitlines() if len(line.split()) == 3}


def objdump_lines(path: Path) -> list[str]:
    """The instruction lines of objdump -d."""
    done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith(("ffff", "  ", " ")) and ":\t" in line]


def objdump_sites(path: Path, mnemonics: set[str]) -> set[int]:
    """Addresses of the instructions with these mnemonics, by objdump."""
    sites = set()
    for line in objdump_lines(path):
        address, _, rest = line.partition(":\t")
        words = rest.split()
        while len(words) > 1 and words[0] in PREFIXES:
            words = words[1:]
        if words and words[0] in mnemonics:
            sites.add(int(address, 16))
    return sites
