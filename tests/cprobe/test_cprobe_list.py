"""list and line: which functions a file defines, where, and with which arguments."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cprobe_kit import Build, Cprobe, nm
from cprobe_kernels import SOURCES

VARIANTS = [("gcc", ["-O0", "-gdwarf-4"]), ("gcc", ["-O2", "-gdwarf-5"]), ("gcc", ["-O2", "-gdwarf-4"]),
            ("clang", ["-O0", "-gdwarf-5"]), ("clang", ["-O2", "-gdwarf-4"]), ("clang", ["-O2", "-gdwarf-5"])]
TSC_FUNCTIONS = {"tsc_freq_cpuid_vm", "tsc_read", "twin"}


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_file_gives_its_functions(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    records = probe.records("list", kernel, "--file", "tsc.c", "--inlined", "exclude")
    assert {r["name"] for r in records} == TSC_FUNCTIONS
    table = nm(kernel)
    for record in records:
        if record["name"] != "twin":
            assert int(record["address"], 16) == table[record["name"]]
        assert record["file"].endswith("x86/tsc.c") and record["line"] > 0


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_arguments_at_entry(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    record = probe.records("list", kernel, "--func", "tsc_freq_cpuid_vm", "--inlined", "exclude")[0]
    assert [(a["name"], a["type"], a["size"], a["location"]) for a in record["args"]] == \
        [("freq", "uint64_t *", 8, "rdi"), ("verbose", "int", 4, "rsi"), ("name", "const char *", 8, "rdx")]


def test_arguments_on_the_stack(probe: Cprobe, build_elf: Build) -> None:
    source = "int f(int a, int b, int c, int d, int e, int g, long h, char i)\n{ return a + g + h + i; }\n" \
             "void _start(void) { f(1, 2, 3, 4, 5, 6, 7, 8); }\n"
    for level in ("-O0", "-O1"):
        kernel = build_elf({"f.c": source}, [level, "-g", "-fno-inline", "-fno-ipa-sra", "-fno-ipa-cp"])
        record = probe.records("list", kernel, "--func", "f")[0]
        assert [a["location"] for a in record["args"]][5:] == ["r9", "mem(rsp+8)", "mem(rsp+16)"], level


def test_tail_globs_only_match_whole_names(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    assert probe.run("list", kernel, "--file", "sc.c").returncode == 1
    assert probe.run("list", kernel, "--file", "x86/t*.c").returncode == 0


def test_inlined_copies_name_their_outer_function(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    records = probe.records("list", kernel, "--func", "do_cpuid", "--inlined", "only")
    assert {(r["name"], r["outer"], r["kind"]) for r in records} == {("do_cpuid", "tsc_freq_cpuid_vm", "inlined")}
    assert records[0]["file"].endswith("clock.h") and records[0]["call_file"].endswith("tsc.c")


@pytest.mark.parametrize("compiler,flags", [*(v for v in VARIANTS if "-O2" in v[1]), ("gcc", ["-O2", "-g", "-gz"])])
def test_header_functions_are_found_by_their_header(probe: Cprobe, build_elf: Build, compiler: str,
                                                    flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    names = {r["name"] for r in probe.records("list", kernel, "--file", "clock.h")}
    assert names == {"do_cpuid", "rdtsc"}


#: Behind a function within a function come blocks, nested as deep as that one was, with a copy in them.
WITHIN = {
    "nested.c": """
int again(int);
void use(int *);
static inline __attribute__((always_inline)) int copied(int x) { return again(x) * 3 + again(x + 1); }
int around_it(int n)
{
    int r = 0;
    __attribute__((noinline)) int within(int a) { int q = again(a); use(&q); return q + r + copied(q); }
    r += within(n);
    for (int i = 0; i < n; i++) {
        int k = again(i);
        use(&k);
        r += copied(k);
        for (int j = 0; j < k; j++) { int z = again(j); use(&z); r += copied(z); }
    }
    return r + within(3);
}
""",
    "lambda.cc": """
extern int again(int);
static inline __attribute__((always_inline)) int copied(int x) { return again(x) * 3 + again(x + 1); }
template<class F> static inline int apply(F what, int limit)
{
    int total = 0;
    for (int index = 0; index < limit; index++) { int value = again(index); total += what(value); }
    return total;
}
int around_it(int count)
{
    int result = apply([](int number) { return again(number) + 1; }, count);
    for (int index = 0; index < count; index++) {
        int limit = again(index);
        for (int second = 0; second < limit; second++) { result += copied(second); }
    }
    return result;
}
""",
}


@pytest.mark.parametrize("file, outers", [("nested.c", {"around_it", "within"}), ("lambda.cc", {"around_it"})])
def test_blocks_behind_a_function_within_are_not_in_it(probe: Cprobe, tmp_path: Path, file: str, outers: set[str]
                                                       ) -> None:
    compiler = "gcc" if file.endswith(".c") else "g++"
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} on this machine")
    (tmp_path / file).write_text(WITHIN[file])
    subprocess.run([compiler, "-g", "-O2", "-c", file, "-o", "it.o"], cwd=tmp_path, check=True, timeout=60)
    records = probe.records("list", tmp_path / "it.o", "--func", "copied", "--inlined", "only")
    found = {str(record["outer"]).partition("(")[0] for record in records}
    assert {outer.partition(".")[0] for outer in found} == outers


def test_clones_and_cold_parts_are_all_there(probe: Cprobe, build_elf: Build) -> None:
    source = """
int sink;
__attribute__((cold, noinline)) void bad(int x) { sink = x; }
__attribute__((noinline)) int work(int a, int b)
{
\tif (__builtin_expect(a == 12345, 0)) { bad(a); bad(b); sink++; bad(sink); }
\treturn a * b;
}
void _start(void) { sink = work(sink, 3); sink += work(sink + 1, 3); }
"""
    kernel = build_elf({"work.c": source}, ["-O2", "-g", "-freorder-blocks-and-partition"])
    expected = {name for name in nm(kernel) if re.match(r"work($|\.)", name)}
    assert len(expected) >= 2, "gcc made no clone: the test tests nothing"
    assert {r["name"] for r in probe.records("list", kernel, "--file", "work.c")} >= expected


def test_clones_and_cold_parts_of_methods_are_told_from_them(probe: Cprobe, build_elf: Build) -> None:
    """As in C, by what the compiler has put behind the symbol's name; and a clone may have lost its `this`."""
    source = """
int sink;
__attribute__((cold, noinline)) static void bad(int x) { sink = x; }
struct Clock {
\t__attribute__((noinline)) int work(int a, int b)
\t{
\t\tif (__builtin_expect(a == 12345, 0)) { bad(a); bad(b); sink++; bad(sink); }
\t\treturn a * b;
\t}
};
extern "C" void _start() { Clock clock; sink = clock.work(sink, 3); sink += clock.work(sink + 1, 3); }
"""
    kernel = build_elf({"work.cc": source}, ["-O2", "-g", "-freorder-blocks-and-partition", "-fno-exceptions"], "g++")
    expected = {(f"work{name.partition('workEii')[2]}", address) for name, address in nm(kernel).items()
                if "workEii." in name}
    assert {name.rpartition(".")[2] for name, _ in expected} >= {"cold", "0"}, "gcc made neither clone nor cold part"
    records = probe.records("list", kernel, "--func", "work", "--inlined", "exclude")
    assert {(record["name"], int(record["address"], 16)) for record in records} == expected
    (clone,) = [record for record in records if "cold" not in record["name"]]
    assert "location" not in next(argument for argument in clone["args"] if argument["name"] == "this")


def test_an_alias_alone_is_declared_where_its_function_is(probe: Cprobe, build_elf: Build) -> None:
    """In the text too, whatever the first instruction's line is: here that of what is inlined there."""
    source = """
static inline __attribute__((always_inline)) void out(int v) { __asm__ volatile("out %0, $0x80" :: "a"(v)); }


void put(int v)
{ out(v); }
void also(int) __attribute__((alias("put")));
void _start(void) { put(1); also(2); }
"""
    kernel = build_elf({"alias.c": source}, ["-O2", "-g", "-fno-inline"])
    (record,) = probe.records("list", kernel, "--func", "also")
    assert record["line"] == 5
    assert f"alias.c:{record['line']} function" in probe.run("list", kernel, "--func", "also").stdout


def test_assembly_functions_come_from_the_symbol_table(probe: Cprobe, build_elf: Build) -> None:
    assembly = ".globl asm_entry\n.type asm_entry, @function\nasm_entry:\n\tret\n.size asm_entry, .-asm_entry\n"
    kernel = build_elf({**SOURCES, "entry.S": assembly}, ["-O2", "-g"])
    assert probe.records("list", kernel, "--func", "asm_*")[0]["name"] == "asm_entry"


def test_link_time_optimised(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g", "-flto", "-fno-inline"])
    names = {r["name"].split(".")[0] for r in probe.records("list", kernel, "--file", "local_apic.c")}
    assert {"lapic_init", "panic", "_start"} <= names


def test_without_dwarf_file_globs_say_what_to_do(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2"])
    done = probe.run("list", kernel, "--file", "tsc.c")
    assert done.returncode == 1 and "no DWARF" in done.stderr


def test_without_dwarf_names_still_work_and_it_is_said(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2"])
    done = probe.run("list", kernel, "--func", "lapic_*")
    assert done.returncode == 0 and "lapic_init" in done.stdout and "no DWARF" in done.stderr


def test_only_dynsym_is_said(probe: Cprobe, build_elf: Build) -> None:
    library = build_elf({"lib.c": "int exported(int a) { return a; }\nstatic int hidden(int a) { return a + 1; }\n"
                         "int (*volatile p)(int) = hidden;\n"}, ["-shared", "-fPIC", "-s"], name="lib.so", kernel=False)
    done = probe.run("list", library, "--func", "exported")
    assert done.returncode == 0 and "only .dynsym" in done.stderr


def split(kernel: Path, debug: Path) -> None:
    subprocess.run(["objcopy", "--only-keep-debug", kernel, debug], check=True)
    subprocess.run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", kernel], check=True, cwd=debug.parent)


@pytest.mark.parametrize("folder", [".", ".debug"])
def test_debuglink_is_followed(probe: Cprobe, build_elf: Build, folder: str) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g", "-Wl,--build-id=none"])
    whole = probe.run("list", kernel, "--file", "tsc.c").stdout
    split(kernel, kernel.parent / "kernel.debug")
    (kernel.parent / folder).mkdir(exist_ok=True)
    if folder != ".":
        shutil.move(kernel.parent / "kernel.debug", kernel.parent / folder)
    assert probe.run("list", kernel, "--file", "tsc.c").stdout == whole


def test_debuglink_with_a_wrong_crc_is_refused(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g", "-Wl,--build-id=none"])
    debug = kernel.parent / "kernel.debug"
    split(kernel, debug)
    debug.write_bytes(debug.read_bytes() + b"\0")
    done = probe.run("list", kernel, "--file", "tsc.c")
    assert done.returncode == 1 and "CRC" in done.stderr


def test_build_id_is_looked_up(probe: Cprobe, build_elf: Build, tmp_path: Path) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    build_id = probe.records("info", kernel)[0]["build_id"]
    place = tmp_path / "debug/.build-id" / build_id[:2]
    place.mkdir(parents=True)
    subprocess.run(["objcopy", "--only-keep-debug", kernel, place / f"{build_id[2:]}.debug"], check=True)
    subprocess.run(["strip", kernel], check=True)
    done = probe.run("list", kernel, "--file", "tsc.c", env={"CPROBE_DEBUG_DIR": str(tmp_path / "debug")})
    assert done.returncode == 0 and "tsc_freq_cpuid_vm" in done.stdout


def test_gdb_sources_the_script(probe: Cprobe, build_elf: Build, tmp_path: Path) -> None:
    if not shutil.which("gdb"):
        pytest.skip("no gdb on this machine")
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    script = tmp_path / "breaks.gdb"
    script.write_text(probe.run("list", kernel, "--file", "local_apic.c", "--format", "gdb").stdout)
    done = subprocess.run(["gdb", "-nx", "-batch", "-x", script, "-ex", "info breakpoints", kernel],
                          capture_output=True, text=True, check=False, timeout=60)
    assert len(re.findall(r"\bbreakpoint +keep y", done.stdout)) == script.read_text().count("break *"), done.stderr


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_line_is_where_gdb_would_stop(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    line = SOURCES["x86/local_apic.c"].splitlines().index("\tconsole = boot;") + 1
    records = probe.records("line", kernel, f"local_apic.c:{line}")
    for record in records:
        out = subprocess.run(["addr2line", "-e", kernel, record["address"]], capture_output=True, text=True, check=True)
        assert f"local_apic.c:{line}" in out.stdout
    assert all(r["kind"] == "line" and r["line"] == line for r in records)


def test_line_without_code_goes_to_the_next(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O0", "-g"])
    done = probe.run("line", kernel, "tsc.c:1")
    assert done.returncode == 0 and "no code at that line" in done.stderr and done.stdout


def test_line_of_no_such_file(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O0", "-g"])
    assert probe.run("line", kernel, "nothing.c:3").returncode == 1
    assert probe.run("line", kernel, "tsc.c").returncode == 2
