"""find --padding: what a jump may lead to from an instruction is padding for certain, or nothing is said."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cprobe_kit import Build, Cprobe, nm, objdump_lines

INT3 = ".fill {}, 1, 0xcc\n"


def function(name: str, body: str, size: str = "") -> str:
    return f".globl {name}\n.type {name}, @function\n{name}:\n{body}\n.size {name}, {size or f'. - {name}'}\n"


def kernel(near: str, far: str = INT3.format(300), ask: str = "cpuid; ret", more: str = "") -> str:
    """Three functions: _start, which asks, then what is near, `next`, which is followed by what is far, and `last`."""
    return ".text\n" + function("_start", ask) + near + function("next", "nop; ret") + far + function(
        "last", f"{more}\nret")


def found(probe: Cprobe, build_elf: Build, source: str) -> tuple[dict[str, Any], dict[str, int]]:
    """What is said of the cpuid, and the symbols; one function is local, as nothing is said of stripped kernels."""
    path = build_elf({"a.S": source + function("own", "ret").replace(".globl own\n", "")}, [])
    (record,) = probe.records("find", path, "--insn", "cpuid", "--padding")
    return record, nm(path)


def has_none(record: dict[str, Any]) -> bool:
    return not {"hop", "hop_size", "cave", "cave_size"} & set(record)


@pytest.mark.parametrize("near", [INT3.format(13), ".p2align 4\n", ".fill 8, 1, 0xcc; .nops 7\n",
                                  "nop; .fill 14, 1, 0xcc\n"])
def test_padding_near_and_far(probe: Cprobe, build_elf: Build, near: str) -> None:
    record, symbols = found(probe, build_elf, kernel(near))
    end = symbols["_start"] + 3
    assert (int(record["hop"], 16), record["hop_size"]) == (end, symbols["next"] - end)
    assert (int(record["cave"], 16), record["cave_size"]) == (symbols["next"] + 2, 256)


def test_of_megabytes_pages_without_code_are_taken(probe: Cprobe, build_elf: Build) -> None:
    record, symbols = found(probe, build_elf, kernel(INT3.format(9), INT3.format(3 * 4096)))
    cave = int(record["cave"], 16)
    assert cave % 4096 == 0 and symbols["next"] < cave < symbols["last"] - 2 * 4096 and record["cave_size"] == 256


@pytest.mark.parametrize("near", [
    INT3.format(4), ".fill 4, 1, 0xcc; .byte 0; .fill 8, 1, 0xcc\n", ".fill 16, 1, 0x90\n",
    "label:\n" + INT3.format(16),
    INT3.format(8) + "label:\n" + INT3.format(8), INT3.format(8) + "ret; ret; ret\n",
    ".type data, @object\ndata: .fill 16, 1, 0xcc\n.size data, 16\n" + INT3.format(16)],
    ids=["short", "a zero", "nops for patching", "a label", "a label within", "code", "data"])
def test_what_is_no_padding(probe: Cprobe, build_elf: Build, near: str) -> None:
    assert has_none(found(probe, build_elf, kernel(near))[0])


def test_nops_that_are_patched_end_it(probe: Cprobe, build_elf: Build) -> None:
    """Compilers reserve them in front of a function, all of one byte."""
    record, symbols = found(probe, build_elf, kernel(".fill 10, 1, 0xcc; .fill 16, 1, 0x90\n"))
    assert (int(record["hop"], 16), record["hop_size"]) == (symbols["_start"] + 3, 10)


@pytest.mark.parametrize("ask", [
    "cpuid; call last", "cpuid; nop", "cpuid; jne last", "ret; cpuid", "cpuid; .byte 0x48"],
    ids=["a call", "falls through", "a branch", "the instruction itself", "half an instruction"])
def test_a_function_may_run_on(probe: Cprobe, build_elf: Build, ask: str) -> None:
    assert has_none(found(probe, build_elf, kernel(INT3.format(16), ask=ask))[0])


@pytest.mark.parametrize("ask", ["cpuid; ret", "cpuid; jmp last", "cpuid; ud2", "cpuid; int3", "cpuid; ret; int3"])
def test_a_function_ends(probe: Cprobe, build_elf: Build, ask: str) -> None:
    assert found(probe, build_elf, kernel(INT3.format(16), ask=ask))[0]["hop_size"] == 16


@pytest.mark.parametrize("more", ["jmp next - 4", "call next - 4", "jne next - 16", "jmp last - 1", "call last - 150",
                                  "jrcxz last - 2"])
def test_padding_that_is_entered(probe: Cprobe, build_elf: Build, more: str) -> None:
    assert has_none(found(probe, build_elf, kernel(INT3.format(16), INT3.format(200), more=more))[0])


def test_only_what_is_in_reach(probe: Cprobe, build_elf: Build) -> None:
    assert has_none(found(probe, build_elf, kernel(INT3.format(16), ask="cpuid; .fill 127, 1, 0x90; ret"))[0])
    record, symbols = found(probe, build_elf, kernel(INT3.format(90), ask="cpuid; .fill 60, 1, 0x90; ret"))
    assert int(record["hop"], 16) + record["hop_size"] - 5 == symbols["_start"] + 2 + 127
    before = (".text\n" + function("earlier", "ret") + INT3.format(300) + function("_start", "cpuid; ret")
              + INT3.format(500) + function("later", "ret"))
    record, symbols = found(probe, build_elf, before)
    assert int(record["hop"], 16) == symbols["_start"] + 2 - 128
    assert int(record["hop"], 16) + record["hop_size"] == symbols["_start"]


def test_the_end_of_a_section_and_other_sections(probe: Cprobe, build_elf: Build) -> None:
    """What lies behind the last function may be freed; code that is freed holds none for code that stays."""
    text = ".text\n" + function("_start", "cpuid; ret") + INT3.format(300)
    record = probe.records("find", build_elf({"a.S": text}, []), "--insn", "cpuid", "--padding")[0]
    assert has_none(record)
    init = kernel(INT3.format(16)).replace(".text", '.section .init.text, "ax", @progbits')
    stays = function("f", "ret") + INT3.format(4000) + function("g", "ret")
    record, symbols = found(probe, build_elf, init + ".text\n" + stays)
    assert int(record["cave"], 16) == symbols["next"] + 2


def test_where_nothing_is_certain_nothing_is_said(probe: Cprobe, build_elf: Build, tmp_path: Path) -> None:
    whole = build_elf({"a.S": kernel(INT3.format(16)) + function("own", "ret").replace(".globl own\n", "")}, [])
    assert not has_none(probe.records("find", whole, "--insn", "cpuid", "--padding")[0])
    stripped, part = tmp_path / "stripped", tmp_path / "part.o"
    subprocess.run(["strip", "-o", stripped, whole], check=True)
    subprocess.run(["ld", "-r", "-o", part, whole], check=False, capture_output=True)
    assert has_none(probe.records("find", stripped, "--insn", "cpuid", "--padding")[0])
    narrow = build_elf({"a.S": kernel(INT3.format(16))}, ["-m32", "-nostdlib", "-static", "-no-pie", "-fno-pie"],
                       kernel=False)
    assert has_none(probe.records("find", narrow, "--insn", "cpuid", "--padding")[0])


def test_options(probe: Cprobe, build_elf: Build) -> None:
    path = build_elf({"a.S": kernel(INT3.format(16)) + function("own", "ret").replace(".globl own\n", "")}, [])
    done = probe.run("find", path, "--padding", "--message", "text")
    assert done.returncode == 2 and "--padding is about instructions: give --insn LIST" in done.stderr
    for form in ("text", "gdb"):
        words = ["find", str(path), "--insn", "cpuid", "--format", form]
        assert probe.run(*words, "--padding").stdout == probe.run(*words).stdout != ""


@pytest.mark.long
def test_a_real_kernels(probe: Cprobe, debian_vmlinux: Path) -> None:
    """By objdump: int3 and nops, no symbol, and nothing that is a target of any jump."""
    every = probe.records("find", debian_vmlinux, "--insn", "cpuid,rdtsc", "--padding")
    records = [each for each in every if "hop" in each]
    assert len(records) > 10
    rooms = {(int(each[name], 16), each[f"{name}_size"]) for each in records for name in ("hop", "cave")}
    lines = objdump_lines(debian_vmlinux)
    targets = {int(match[1], 16) for line in lines for match in [re.search(r"\t(?:j\w+|call) +([0-9a-f]{16})\b", line)]
               if match}
    covered = {address for start, size in rooms for address in range(start, start + size)}
    assert len(targets) > 100_000 and not covered & targets
    assert not covered & set(nm(debian_vmlinux).values())
    for line in lines:
        address, _, text = line.partition(":\t")
        if int(address, 16) in covered:
            assert re.match(r"int3|(data16 |cs )*nop[wl]?\b|xchg +%ax,%ax", text.strip()), line
    for each in records:
        site, hop = int(each["address"], 16), int(each["hop"], 16)
        assert -128 <= hop - site - 2 <= 127 and each["hop_size"] >= 5 and 32 <= each["cave_size"] <= 256
