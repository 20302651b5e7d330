"""symbolize --inlines: chains of inlined functions, beside what addr2line and llvm-symbolizer say of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cprobe_kit import Build, Cprobe, nm, objdump_lines

VARIANTS = [(compiler, [level, f"-gdwarf-{version}"]) for compiler in ("gcc", "clang") for level in ("-O1", "-O2")
            for version in (4, 5)]

ALWAYS = "static inline __attribute__((always_inline))"
SOURCES = {
    "include/port.h": f"""
{ALWAYS} void port_write(int port, int value)
{{
\t__asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
}}
""",
    "dev/uart.h": f"""#include "../include/port.h"
{ALWAYS} void uart_put(int character)
{{
\tport_write(0x3f8,
\t\tcharacter);
\tport_write(0x3f9, 1);
}}
""",
    "main.c": f"""#include "dev/uart.h"
extern int console;
{ALWAYS} void print(const char *text)
{{
\twhile (*text)
\t\tuart_put(*text++);
}}
__attribute__((noinline)) void greet(int loud)
{{
\tprint("hello");
\tif (loud)
\t\tuart_put('!');
\tport_write(0x80, loud);
}}
void _start(void)
{{
\tgreet(console);
\tport_write(0x80, 2);
}}
""",
    "other.c": """#include "dev/uart.h"
int console = 3;
void beep(void)
{
\tuart_put(7);
}
"""}

Chain = list[tuple[str, str, int]]  # innermost first: function, name of the file, line in it
Peer = Callable[[Path, list[int]], list[Chain]]


def line_of(file: str, text: str) -> int:
    return SOURCES[file].splitlines().index(text) + 1


def sites(kernel: Path, mnemonic: str = r"\w+") -> list[int]:
    """Instructions of functions, not those that pad between them."""
    table = subprocess.run(["nm", "-S", kernel], capture_output=True, text=True, check=True).stdout
    functions = [(int(m[1], 16), int(m[2], 16)) for m in re.finditer(r"^(\w+) (\w+) [Tt] ", table, re.M)]
    found = [int(line.partition(":")[0], 16) for line in objdump_lines(kernel) if re.search(rf":\t{mnemonic}\b", line)]
    return [address for address in found if any(start <= address < start + size for start, size in functions)]


def answers(probe: Cprobe, kernel: Path, addresses: list[int]) -> list[dict[str, Any]]:
    words = "".join(f"{address:#x}\n" for address in addresses)
    done = probe.run("symbolize", kernel, "--inlines", "--format", "json", stdin=words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def chain(record: dict[str, Any]) -> Chain:
    """The functions of a record, each with the place that is reached in it: the call of the one before."""
    inlines = record.get("inlines", [])
    places = [(record.get("file"), record.get("line")), *((i.get("call_file"), i.get("call_line")) for i in inlines)]
    names = [*(i["name"] for i in inlines), record["name"]]
    return [(name, Path(file or "??").name, line or 0) for name, (file, line) in zip(names, places)]


def addr2line(kernel: Path, addresses: list[int]) -> list[Chain]:
    done = subprocess.run(["addr2line", "-aif", "-e", kernel], input="".join(f"{a:#x}\n" for a in addresses),
                          capture_output=True, text=True, check=True)
    ret: list[Chain] = []
    lines = iter(done.stdout.splitlines())
    for line in lines:
        if line.startswith("0x"):
            ret.append([])
            continue
        file, _, number = next(lines).partition(" ")[0].rpartition(":")
        ret[-1].append((line, Path(file).name, 0 if number == "?" else int(number)))
    return ret


def llvm_symbolizer(kernel: Path, addresses: list[int]) -> list[Chain]:
    if not shutil.which("llvm-symbolizer"):
        pytest.skip("no llvm-symbolizer on this machine")
    done = subprocess.run(["llvm-symbolizer", f"--obj={kernel}", "--output-style=JSON", "--inlines"],
                          input="".join(f"{a:#x}\n" for a in addresses), capture_output=True, text=True, check=True)
    return [[(f["FunctionName"], Path(f["FileName"]).name, f["Line"]) for f in json.loads(line)["Symbol"]]
            for line in done.stdout.splitlines()]


# binutils 2.40 leaves out the innermost function of some that clang puts into .debug_addr; llvm-symbolizer does not.
@pytest.mark.parametrize("peer,compiler,flags", [*((llvm_symbolizer, *variant) for variant in VARIANTS), *(
    (addr2line, *variant) for variant in VARIANTS if variant[0] == "gcc" or "-gdwarf-4" in variant[1])])
def test_every_instruction_has_the_chain_of_others(probe: Cprobe, build_elf: Build, peer: Peer, compiler: str,
                                                   flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    addresses = sites(kernel)
    ours, theirs = [chain(r) for r in answers(probe, kernel, addresses)], peer(kernel, addresses)
    assert len(ours) == len(theirs) == len(addresses) > 10
    assert [(hex(a), one) for a, one in zip(addresses, ours)] == [(hex(a), one) for a, one in zip(addresses, theirs)]
    assert max(map(len, ours)) >= 4, "nothing was inlined into what was inlined: the test tests nothing"


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_a_chain_begins_with_the_innermost(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    first = next(r for r in answers(probe, kernel, sites(kernel, "out")) if r["name"] == "greet")
    assert (Path(first["file"]).name, first["line"]) == ("port.h", 4)
    assert [(i["name"], Path(i["call_file"]).name, i["call_line"]) for i in first["inlines"]] == [
        ("port_write", "uart.h", line_of("dev/uart.h", "\tport_write(0x3f8,")),
        ("uart_put", "main.c", line_of("main.c", "\t\tuart_put(*text++);")),
        ("print", "main.c", line_of("main.c", '\tprint("hello");'))]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_files_of_calls_are_whole_and_normalised(probe: Cprobe, build_elf: Build, compiler: str,
                                                 flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    files = {i["call_file"] for r in answers(probe, kernel, sites(kernel, "out")) for i in r["inlines"]}
    assert files == {str(kernel.parent / name) for name in ("dev/uart.h", "main.c", "other.c")}


def test_copies_of_one_call_are_told_apart_by_line(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    beeps = [r for r in answers(probe, kernel, sites(kernel, "out")) if r["name"] == "beep"]
    calls = [line_of("dev/uart.h", line) for line in ("\tport_write(0x3f8,", "\tport_write(0x3f9, 1);")]
    assert [r["inlines"][0]["call_line"] for r in beeps] == calls


def test_where_nothing_is_inlined_there_is_no_chain(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    record, = answers(probe, kernel, [nm(kernel)["_start"]])
    assert record["name"] == "_start" and not record.get("inlines")


def test_without_the_option_there_is_no_chain(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    out = sites(kernel, "out")[0]
    record, = probe.records("symbolize", kernel, hex(out))
    inlines, = answers(probe, kernel, [out])
    assert "inlines" not in record and inlines.pop("inlines") and inlines == record


def test_without_symbols_dwarf_names_the_function(probe: Cprobe, build_elf: Build, tmp_path: Path) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    bare = tmp_path / "bare"
    addresses = sites(kernel, "out")
    expected = [chain(r) for r in answers(probe, kernel, addresses)]
    subprocess.run(["objcopy", "--strip-symbol=greet", "--strip-symbol=beep", "--strip-symbol=_start", kernel, bare],
                   check=True)
    assert [chain(r) for r in answers(probe, bare, addresses)] == expected


def assembled(tmp_path: Path, source: str) -> Path:
    """A program of assembly alone."""
    (tmp_path / "a.s").write_text(source)
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-Ttext=0x10000", "-Wl,-e,f",
                    "a.s", "-o", "a"], cwd=tmp_path, check=True, timeout=60)
    return tmp_path / "a"


FUNCTION = ".text\n.globl f\n.type f,@function\nf: .fill 64,1,0x90\n.size f,.-f\n"


def test_an_object_is_found_behind_many_labels_in_it(probe: Cprobe, tmp_path: Path) -> None:
    labels = "".join(f"label_{i}: .quad {i}\n" for i in range(100))
    program = assembled(tmp_path, FUNCTION + ".data\n.type table,@object\ntable:\n" + labels
                        + ".type small,@object\nsmall: .quad 0\n.size small,8\n.quad 0\n.size table,.-table\n")
    address = nm(program)["small"] + 8
    [record] = probe.records("symbolize", program, hex(address))
    assert (record["name"], record["offset"], record["kind"]) == ("table", 808, "object")


#: A unit whose line table says of f twice that it is in a file that cannot be, and then of f + 8 that it is in a.c.
LINES = FUNCTION + """
.section .debug_abbrev,"",@progbits
.uleb128 1, 0x11
.byte 0
.uleb128 0x10, 0x17, 0x11, 1, 0x12, 7, 0x13, 0x0b, 3, 8
.byte 0, 0, 0
.section .debug_info,"",@progbits
.long info_end - info
info: .short 4
.long 0
.byte 8
.uleb128 1
.long 0
.quad f, 64
.byte 12
.asciz "a.c"
info_end:
.section .debug_line,"",@progbits
.long line_end - line
line: .short 4
.long program - header
header: .byte 1, 1, 1, -5, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0
.asciz "a.c"
.byte 0, 0, 0, 0
program:
.macro sequence file, at
.byte 0, 9, 2
.quad \\at
.byte 4
.uleb128 \\file
.byte 3, 9, 1, 2, 4, 0, 1, 1
.endm
sequence 0xffffffffffffffff, f
sequence 0xffffffffffffffff, f
sequence 1, f + 8
line_end:
""".replace("\\\\", "\\")


def test_an_answer_is_the_same_whatever_else_is_asked(probe: Cprobe, tmp_path: Path) -> None:
    program = assembled(tmp_path, LINES)
    [alone] = probe.records("symbolize", program, hex(0x10000 + 9))
    both = probe.records("symbolize", program, hex(0x10000 + 1), hex(0x10000 + 9))
    assert alone["file"].endswith("a.c") and alone["line"] == 10
    assert both[1] == alone and "file" not in both[0]
