"""What linkers and assemblers leave: nothing of code that is not there, and what is elsewhere is said to be missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cprobe_kit import Build, Cprobe, nm
from whykit import ALL, write_trace

DEAD_C = """
static inline int in(int x) { if (x > 3) __asm__ volatile("cpuid" : : : "eax", "ebx", "ecx", "edx"); return x; }
int dead_one(int x) { return in(x) + in(x + 1); }
int dead_two(int x) { return dead_one(x) * in(x); }
int live(int x) { return in(x) * 2; }
void _start(void) { live(3); }
"""
LINKERS = {"bfd": "ld.bfd", "gold": "ld.gold", "lld": "ld.lld"}
ENTRY_S = """
\t.globl entry, entry_untyped
\t.type entry, @function
entry:\tmov $1, %eax
\tret
\t.size entry, . - entry
entry_untyped:
\tcpuid
\tret
"""


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("pie", [[], ["-fpie", "-pie"]], ids=["exec", "pie"])
@pytest.mark.parametrize("version", ["-gdwarf-2", "-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_functions_that_the_linker_removed_are_nowhere(probe: Cprobe, build_elf: Build, compiler: str, version: str,
                                                       pie: list[str], linker: str) -> None:
    """Neither they nor their copies nor their lines, at 0 or a little above it."""
    if not shutil.which(LINKERS[linker]):
        pytest.skip(f"no {LINKERS[linker]} on this machine")
    flags = ["-O2", version, "-ffreestanding", "-ffunction-sections", "-nostdlib", f"-fuse-ld={linker}",
             "-Wl,--gc-sections", *(pie or ["-fno-pie", "-static"])]
    elf = build_elf({"dead.c": DEAD_C}, flags, compiler, kernel=False)
    start = nm(elf)["_start"]
    listed = probe.records("list", elf, "--file", "dead.c")
    assert {record["name"] for record in listed} <= {"_start", "live", "in"}
    assert all(int(record["address"], 16) >= min(start, nm(elf).get("live", start)) for record in listed)
    lines = probe.run("line", elf, "dead.c:3", "dead.c:4")
    assert "dead.c:3 line" not in lines.stdout and "dead.c:4 line" not in lines.stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_code_may_be_at_0(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    elf = build_elf({"zero.c": "int second(int a) { return a * 3; }\nvoid _start(void) { for (;;) ; }\n"},
                    ["-O1", "-g", "-ffreestanding", "-fno-pie", "-nostdlib", "-static", "-Wl,-Ttext=0",
                     "-Wl,-e,_start"],
                    compiler, kernel=False)
    first, = (r for r in probe.records("list", elf, "--file", "zero.c") if r["address"] == "0x0")
    assert (first["name"], first["line"]) == ("second", 1)
    assert probe.records("symbolize", elf, "0x1")[0]["line"] == 1
    assert "0x0000000000000000 second" in probe.run("line", elf, "zero.c:1").stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_assembly_has_files_and_lines(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    """gas and clang describe it in different ways, both without a declaration."""
    elf = build_elf({"entry.S": ENTRY_S}, ["-g", "-Wl,-e,entry"], compiler)
    records = probe.records("list", elf, "--file", "entry.S")
    listed = {r["name"]: (r["file"].rsplit("/", 1)[-1], r["line"]) for r in records}
    assert listed == {"entry": ("entry.S", 4), "entry_untyped": ("entry.S", 8)}
    assert probe.run("list", elf, "--file", "other.S").returncode == 1


def test_labels_are_functions_where_no_symbol_is(probe: Cprobe, build_elf: Build) -> None:
    """NASM gives no types: what others may call counts."""
    source = "\t.globl one\none:\tret\nlocal:\tnop\n\t.globl two\ntwo:\tret\n"
    elf = build_elf({"plain.S": source}, ["-Wl,-e,one"])
    assert [r["name"] for r in probe.records("list", elf)] == ["one", "two"]


def test_64_bit_dwarf_with_32_bit_line_tables(probe: Cprobe, build_elf: Build) -> None:
    """gcc's option changes the units, and gas writes the line tables that it always does."""
    elf = build_elf({"wide.c": "int wide(int a) { return a; }\nvoid _start(void) { }\n"}, ["-gdwarf-5", "-gdwarf64"])
    assert [r["line"] for r in probe.records("list", elf, "--file", "wide.c")] == [1, 2]


def test_functions_in_functions(probe: Cprobe, build_elf: Build) -> None:
    source = """
int use(int (*call)(int)) { return call(3); }
void _start(void)
{
\tint outer = 4;
\tint inner(int a) { return a + outer; }
\tuse(inner);
}
"""
    elf = build_elf({"nested.c": source}, ["-O0", "-g", "-Wl,-z,execstack"])
    found = probe.records("list", elf, "--file", "nested.c", "--inlined", "exclude")
    assert sorted(r["name"].split(".")[0] for r in found) == ["_start", "inner", "use"]


def test_methods_of_local_classes(probe: Cprobe, build_elf: Build) -> None:
    if not shutil.which("g++"):
        pytest.skip("no g++ on this machine")
    source = """
int use(int);
int use(int a) { struct In { int go(int b) { return b * 2; } } in; auto f = [](int c) { return c + 1; };
\treturn in.go(a) + f(a); }
extern "C" void _start() { use(2); }
"""
    elf = build_elf({"local.cc": source}, ["-O0", "-g", "-fno-exceptions", "-fno-asynchronous-unwind-tables"], "g++")
    names = {r["name"] for r in probe.records("list", elf, "--file", "local.cc", "--inlined", "exclude")}
    assert {"use", "go", "operator()", "_start"} <= names
    assert [r["name"] for r in probe.records("list", elf, "--func", "go", "--inlined", "exclude")] == ["go"]
    assert not any(r["name"].startswith("_Z") for r in probe.records("list", elf))
    assert probe.records("list", elf, "--func", "_Z3usei")


@pytest.mark.parametrize("version", ["-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_units_in_dwo_files_are_said_to_be_missing(probe: Cprobe, build_elf: Build, compiler: str,
                                                   version: str) -> None:
    elf = build_elf({"split.c": "struct s { int a; } v;\nvoid _start(void) { v.a = 1; }\n"},
                    ["-O1", "-g", version, "-gsplit-dwarf"], compiler)
    done = probe.run("type", elf, "s")
    assert done.returncode == 1 and "1 of 1 units are in .dwo files" in done.stderr
    assert "-gsplit-dwarf" in probe.run("info", elf).stderr


def test_a_common_file_of_dwz_is_said_to_be_missing(probe: Cprobe, build_elf: Build, tmp_path: Path) -> None:
    """dwz -m leaves a section with the other file's name and build-id."""
    elf = build_elf({"common.c": "void _start(void) { }\n"}, ["-g"])
    (tmp_path / "link").write_bytes(b"common.debug\0" + bytes(20))
    subprocess.run(["objcopy", f"--add-section=.gnu_debugaltlink={tmp_path / 'link'}", elf], check=True, timeout=60)
    assert "common.debug (dwz)" in probe.run("list", elf).stderr


@pytest.mark.parametrize("flags", [[], ["-Wl,-n"]], ids=["pages apart", "close together"])
def test_debug_information_without_code_is_no_kernel(probe: Cprobe, build_elf: Build, tmp_path: Path, flags: list[str]
                                                     ) -> None:
    """Nor is what lies at the offsets of its segments, DWARF perhaps, any code."""
    elf = build_elf({"code.c": "void callee(void) { } void _start(void) { __asm__(\"cpuid\"); callee(); }\n"},
                    ["-g", *flags])
    debug = tmp_path / "kernel.debug"
    subprocess.run(["objcopy", "--only-keep-debug", elf, debug], check=True, timeout=60)
    trace = write_trace(tmp_path / "trace", elf, ["_start"], ALL)
    for words in (["find", debug, "--insn", "cpuid"], ["why", debug, "callee", trace], ["next", debug, trace]):
        done = probe.run(*words)
        assert done.returncode == 1 and "give the kernel itself" in done.stderr and not done.stdout, words
    (info,) = probe.records("info", debug)
    loads = [segment for segment in info["segments"] if segment["type"] == 1]
    assert loads and not any(segment["filesz"] for segment in loads) and any(segment["memsz"] for segment in loads)


def test_padding_belongs_to_no_symbol_without_size(probe: Cprobe, build_elf: Build) -> None:
    """A label before sized functions does not go on behind them."""
    source = ("\t.globl label, sized\nlabel:\tnop\n\t.type sized, @function\nsized:\tret\n\t.size sized, . - sized\n"
              "\t.skip 16, 0x90\n")
    elf = build_elf({"label.S": source}, ["-Wl,-e,label"])
    done = probe.run("symbolize", elf, hex(nm(elf)["sized"] + 8))
    assert done.returncode == 1 and " ? " in done.stdout


def test_control_characters_of_a_file_reach_no_terminal(probe: Cprobe, build_elf: Build, tmp_path: Path) -> None:
    """The file's own name, in what is said of a file that was cut."""
    image = build_elf({"name.c": "void _start(void) { }\n"}, ["-g"]).read_bytes()
    path = tmp_path / "a\x1b[31mb\n"
    path.write_bytes(image[:len(image) // 2])
    done = probe.run("list", path)
    assert done.returncode == 3 and "\x1b" not in done.stderr and done.stderr.count("\n") == 1
