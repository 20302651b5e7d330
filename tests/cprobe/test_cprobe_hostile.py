"""Files that lie: nothing crashes, hangs or reads outside, whatever the verb."""

from __future__ import annotations

from pathlib import Path

import pytest
from cprobe_kit import Build, Cprobe
from cprobe_kernels import SOURCES

VERBS = [["info"], ["list"], ["list", "--file", "tsc.c"], ["symbol", "tsc_freq", "twin"], ["line", "tsc.c:12"],
         ["symbolize", "0xffffffff80200010"], ["find", "--insn", "cpuid"], ["find", "--message", "TSC not initialized"]]
OUTCOMES = {0, 1, 3}


@pytest.fixture
def kernel(build_elf: Build) -> bytes:
    return build_elf(SOURCES, ["-O2", "-g"]).read_bytes()


def try_all(probe: Cprobe, path: Path, verbs: list[list[str]]) -> None:
    for verb in verbs:
        done = probe.run(verb[0], path, *verb[1:], "--format", "json")
        assert done.returncode in OUTCOMES, (verb, done.returncode, done.stderr[-2000:])
        assert done.returncode == 0 or done.stderr.startswith("cprobe: "), verb


@pytest.mark.parametrize("part", [0, 3, 15, 16, 40, 63, 64, 100, 1000, 0.3, 0.6, 0.9, 0.999])
def test_truncated_is_malformed(probe: Cprobe, kernel: bytes, tmp_path: Path, part: float) -> None:
    path = tmp_path / "truncated"
    path.write_bytes(kernel[:int(part if part >= 1 or not part else part * len(kernel))])
    for verb in VERBS:
        assert probe.run(verb[0], path, *verb[1:]).returncode == 3, verb


@pytest.mark.parametrize("offset,size", [(58, 2), (54, 2), (40, 8), (60, 2), (62, 2), (56, 2), (32, 8)])
@pytest.mark.parametrize("value", [0, 1, 0xff])
def test_header_fields(probe: Cprobe, kernel: bytes, tmp_path: Path, offset: int, size: int, value: int) -> None:
    path = tmp_path / "header"
    path.write_bytes(kernel[:offset] + bytes([value]) * size + kernel[offset + size:])
    try_all(probe, path, VERBS)


def test_zero_section_entry_size_is_malformed(probe: Cprobe, kernel: bytes, tmp_path: Path) -> None:
    path = tmp_path / "shentsize"
    path.write_bytes(kernel[:58] + b"\0\0" + kernel[60:])
    done = probe.run("info", path)
    assert done.returncode == 3 and "entry size 0" in done.stderr


def test_other_machines_are_named(probe: Cprobe, kernel: bytes, tmp_path: Path) -> None:
    path = tmp_path / "aarch64"
    path.write_bytes(kernel[:18] + b"\xb7\0" + kernel[20:])
    done = probe.run("list", path)
    assert done.returncode == 3 and "machine 183" in done.stderr
    assert probe.records("info", path)[0]["machine"] == "aarch64"


def test_big_endian_is_refused(probe: Cprobe, kernel: bytes, tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(kernel[:5] + b"\2" + kernel[6:])
    done = probe.run("info", path)
    assert done.returncode == 3 and "big-endian" in done.stderr


def test_not_elf(probe: Cprobe, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("#!/bin/sh\n" * 100)
    done = probe.run("info", path)
    assert done.returncode == 3 and "not an ELF file" in done.stderr
