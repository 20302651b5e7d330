"""The command line, info, symbol and symbolize."""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path

import pytest
from cprobe_kit import Build, Cprobe, nm
from cprobe_kernels import SOURCES


@pytest.fixture
def kernel(build_elf: Build) -> Path:
    return build_elf(SOURCES, ["-O2", "-g"])


def test_unknown_verb_is_usage(probe: Cprobe) -> None:
    done = probe.run("frobnicate", "x")
    assert done.returncode == 2 and "usage:" in done.stderr


@pytest.mark.parametrize("verb", ["info", "list", "find", "line", "symbol", "symbolize"])
def test_help_of_each_verb(probe: Cprobe, verb: str) -> None:
    done = probe.run(verb, "--help")
    assert done.returncode == 0 and f"cprobe {verb} KERNEL" in done.stdout


def test_options_before_and_after(probe: Cprobe, kernel: Path) -> None:
    before = probe.run("list", "--file=tsc.c", "--format", "json", kernel)
    after = probe.run("list", kernel, "--format=json", "--file", "tsc.c")
    assert before.returncode == 0 and before.stdout == after.stdout


@pytest.mark.parametrize("args", [["--nonsense", "1"], ["--format", "xml"], ["--func"], ["--insn", "cpuid"]])
def test_bad_options_are_usage(probe: Cprobe, kernel: Path, args: list[str]) -> None:
    assert probe.run("list", kernel, *args).returncode == 2


def test_output_is_the_same_bytes(probe: Cprobe, kernel: Path) -> None:
    assert probe.run("list", kernel).stdout == probe.run("list", kernel).stdout


def test_missing_file(probe: Cprobe, tmp_path: Path) -> None:
    done = probe.run("info", tmp_path / "none")
    assert done.returncode == 3 and "No such file" in done.stderr


def test_directory(probe: Cprobe, tmp_path: Path) -> None:
    done = probe.run("info", tmp_path)
    assert done.returncode == 3 and "directory" in done.stderr


def test_info_agrees_with_readelf(probe: Cprobe, kernel: Path) -> None:
    info = probe.records("info", kernel)[0]
    notes = subprocess.run(["readelf", "-n", kernel], capture_output=True, text=True, check=True).stdout
    assert f"Build ID: {info['build_id']}" in notes
    assert info["class"] == 64 and info["machine"] == "x86-64" and info["type"] == "EXEC"
    assert int(info["entry"], 16) == nm(kernel)["_start"]
    assert info["dwarf_versions"] == [5]


def test_info_says_where_the_build_id_is(probe: Cprobe, kernel: Path) -> None:
    info = probe.records("info", kernel)[0]
    address = int(info["build_id_address"], 16)
    for segment in info["segments"]:
        start = int(segment["vaddr"], 16)
        if segment["type"] == 1 and start <= address < start + segment["filesz"]:
            at = segment["offset"] + address - start
            assert kernel.read_bytes()[at:at + 20].hex() == info["build_id"]
            return
    pytest.fail("no loadable segment holds the build-id")


def test_symbol_gives_all_static_twins(probe: Cprobe, kernel: Path) -> None:
    files = {r["file"] for r in probe.records("symbol", kernel, "twin")}
    assert {Path(f).name for f in files} == {"tsc.c", "local_apic.c"}


def test_compressed_debug_sections_answer_the_same(probe: Cprobe, kernel: Path, tmp_path: Path) -> None:
    small = tmp_path / "compressed"
    subprocess.run(["objcopy", "--compress-debug-sections=zlib", kernel, small], check=True)
    for query in (["list"], ["symbol", "tsc_freq"], ["find", "--message", "TSC not initialized"]):
        assert probe.records(query[0], small, *query[1:]) == probe.records(query[0], kernel, *query[1:])


def test_symbol_of_a_variable(probe: Cprobe, kernel: Path) -> None:
    record = probe.records("symbol", kernel, "tsc_freq")[0]
    assert int(record["address"], 16) == nm(kernel)["tsc_freq"]
    assert (record["kind"], record["size"], record["type"], record["encoding"], record["section"]) == \
        ("object", 8, "uint64_t", "unsigned", ".bss")


def test_symbol_unknown_is_one_and_said(probe: Cprobe, kernel: Path) -> None:
    done = probe.run("symbol", kernel, "no_such")
    assert done.returncode == 1 and "no_such" in done.stderr and done.stdout == ""


def test_symbol_partly_known_is_zero_and_said(probe: Cprobe, kernel: Path) -> None:
    done = probe.run("symbol", kernel, "no_such", "tsc_freq")
    assert done.returncode == 0 and "no_such" in done.stderr


def test_symbolize_gives_offset_and_line(probe: Cprobe, kernel: Path) -> None:
    address = nm(kernel)["tsc_freq_cpuid_vm"] + 4
    record = probe.records("symbolize", kernel, hex(address))[0]
    assert record["name"] == "tsc_freq_cpuid_vm" and record["offset"] == 4
    reference = subprocess.run(["addr2line", "-e", kernel, hex(address)], capture_output=True, text=True, check=True)
    assert Path(reference.stdout.split()[0]).name == f"{Path(record['file']).name}:{record['line']}"


def test_symbolize_answers_each_line_in_order(probe: Cprobe, kernel: Path) -> None:
    names = ["lapic_init", "tsc_read", "panic"]
    table = nm(kernel)
    done = probe.run("symbolize", kernel, stdin="".join(f"{table[n]}\n" for n in names) + "junk\n0x10")
    lines = done.stdout.splitlines()
    assert [line.split()[1].split("+")[0] for line in lines[:3]] == names
    assert lines[3] == "?" and lines[4].split()[1] == "?" and len(lines) == 5
    assert done.returncode == 0 and "junk" in done.stderr


def test_symbolize_unknown_only_is_one(probe: Cprobe, kernel: Path) -> None:
    assert probe.run("symbolize", kernel, "0x10").returncode == 1


def test_symbolize_malformed_argument_is_usage(probe: Cprobe, kernel: Path) -> None:
    assert probe.run("symbolize", kernel, "lapic_init").returncode == 2


def test_symbolize_is_a_coprocess(probe: Cprobe, kernel: Path) -> None:
    """One address in, one line out, without closing its input."""
    with subprocess.Popen([str(probe.path), "symbolize", str(kernel), "--format", "json"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        for name in ("lapic_init", "tsc_read"):
            process.stdin.write(f"{nm(kernel)[name]:#x}\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 10)[0], "no answer while its input is open"
            assert json.loads(process.stdout.readline())["name"] == name
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize("args", [["list"], ["info"], ["symbolize", "0xffffffff80200000"]])
def test_a_full_disk_is_an_error(probe: Cprobe, kernel: Path, args: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(probe.path), args[0], str(kernel), *args[1:]], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=60, check=False)
    assert done.returncode == 3 and "standard output: No space left" in done.stderr


def test_a_closed_pipe_is_an_error(probe: Cprobe, kernel: Path) -> None:
    with subprocess.Popen([str(probe.path), "symbolize", str(kernel)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write("0x10\n")
        process.stdin.close()
        assert process.wait(10) == 3 and "Broken pipe" in process.stderr.read()
