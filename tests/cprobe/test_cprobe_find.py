"""find: instruction sites against objdump; messages, their format strings, and the tests that guard them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cprobe_kernels import SOURCES
from cprobe_kit import PREFIXES, Build, Cprobe, nm, objdump_lines, objdump_sites

VARIANTS = [("gcc", ["-O0", "-g"]), ("gcc", ["-O2", "-g"]),
            ("gcc", ["-O2", "-g", "-fno-omit-frame-pointer", "-fno-inline"]),
            ("gcc", ["-Os", "-g"]), ("clang", ["-O0", "-g"]), ("clang", ["-O2", "-g"]), ("gcc", ["-O2"]),
            ("gcc", ["-O2", "-g", "-mcmodel=large"])]


@pytest.mark.parametrize("mnemonics", ["cpuid", "rdtsc,cpuid", "hlt", "ret", "cpuid,hlt,in,out"])
def test_sites_are_objdumps(probe: Cprobe, build_elf: Build, mnemonics: str) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    sites = {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", mnemonics)}
    assert sites and sites == objdump_sites(kernel, set(mnemonics.split(",")))


# Instructions that an assembler writes for both; then those of one only.
WRITTEN = ["cpuid", "rdtsc", "rdtscp", "rdmsr", "wrmsr", "rdpmc", "hlt", "cli", "sti", "ud2", "wbinvd", "xgetbv",
           "clts", "vmcall", "pause", "mfence", "sysenter", "sysexit", "invd", "lret", "inb %dx, %al",
           "inl $0x80, %eax",
           "outb %al, $0x80", "outw %ax, %dx", "ltr %ax", "iret", "iretw", "insb", "rep insw", "insl", "outsb",
           "mov $0xa20f0f31, %eax", "add $0xf4f4a20f, %eax", ".byte 0x66", "rdtsc", "ret"]
WIDE = ["invlpg (%rax)", "invlpg %gs:4(%r8,%rcx,4)", "lgdt 16(%rsp)", "lidt table(%rip)", "clflush (%r9)", "swapgs",
        "syscall", "sysretq", "sysretl", "iretq", "lcall *(%rax)"]
NARROW = ["invlpg (%eax)", "invlpg %gs:4(%eax,%ecx,4)", "lgdt 16(%esp)", "lidt table", "clflush (%eax)",
          "lcall *(%eax)", "ljmp $16, $0x1234"]
# What is asked, and objdump's names for it where they are others.
ASKED = {name: {name} for name in (
    "cpuid rdtsc rdtscp rdmsr wrmsr rdpmc hlt cli sti ud2 wbinvd xgetbv clts vmcall pause mfence sysenter invd lret "
    "in out ltr invlpg clflush lcall iretw insb ret mov").split()}
ASKED |= {"iret": {"iret", "iretw", "iretq"}, "iretl": {"iret"}, "ins": {"insb", "insw", "insl"}, "outs": {"outsb"},
          "lgdt": {"lgdt", "lgdtl"}, "lidt": {"lidt", "lidtl"}, "retf": {"lret"}, "sysexit": {"sysexit", "sysexitl"},
          "cpuid,in,iretw": {"cpuid", "in", "iretw"}}
ASKED_WIDE = {"swapgs": {"swapgs"}, "syscall": {"syscall"}, "sysret": {"sysretq", "sysretl"}, "sysretq": {"sysretq"},
              "sysretl": {"sysretl"}, "iretq": {"iretq"}}


@pytest.mark.parametrize("flags,written,asked", [
    (["-m64"], WIDE, ASKED | ASKED_WIDE), (["-m32"], NARROW, ASKED | {"ljmp": {"ljmp"}})], ids=["x86-64", "i386"])
def test_every_mnemonic_has_objdumps_sites(probe: Cprobe, build_elf: Build, flags: list[str], written: list[str],
                                           asked: dict[str, set[str]]) -> None:
    source = "\n".join([".globl _start", "_start:", *WRITTEN, *written, "table:", ""])
    kernel = build_elf({"a.S": source}, [*flags, "-no-pie", "-nostdlib", "-static"], kernel=False)
    for names, objdumps in asked.items():
        expected = objdump_sites(kernel, objdumps)
        assert expected, names
        assert {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", names)} == expected, names


@pytest.mark.parametrize("name,own", [("je", "jz"), ("cmovne", "cmovnz"), ("setae", "setnb"), ("iretl", "iretd")])
def test_both_names_of_an_instruction(probe: Cprobe, build_elf: Build, name: str, own: str) -> None:
    body = 'je 1f\n1: cmovne %ecx, %eax\n setae %al\n iretl'.replace("\n", "\\n")
    kernel = build_elf({"a.c": f'void _start(void) {{ __asm__ volatile("{body}"); }}'}, ["-O2"])
    assert probe.records("find", kernel, "--insn", name) == probe.records("find", kernel, "--insn", own)


def test_a_name_with_a_size_is_an_error_that_says_so(probe: Cprobe, build_elf: Build) -> None:
    done = probe.run("find", build_elf(SOURCES, ["-O0"]), "--insn", "movl")
    assert done.returncode == 2 and 'give "mov"' in done.stderr


def test_sites_of_a_stripped_kernel(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-s"])
    sites = {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", "cpuid,rdtsc")}
    assert sites and sites == objdump_sites(kernel, {"cpuid", "rdtsc"})


def test_site_in_an_inlined_copy_is_in_both(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    inner = probe.records("find", kernel, "--insn", "cpuid", "--in-func", "do_cpuid")
    outer = probe.records("find", kernel, "--insn", "cpuid", "--in-func", "tsc_freq_cpuid_vm")
    assert inner == outer
    assert (inner[0]["name"], inner[0]["outer"], inner[0]["mnemonic"]) == ("do_cpuid", "tsc_freq_cpuid_vm", "cpuid")


def test_in_func_and_in_file_filter(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    assert probe.run("find", kernel, "--insn", "cpuid", "--in-func", "lapic_init").returncode == 1
    assert probe.run("find", kernel, "--insn", "hlt", "--in-file", "tsc.c").returncode == 1
    assert probe.run("find", kernel, "--insn", "hlt", "--in-file", "local_apic.c").returncode == 0


def test_opcode_bytes_inside_an_instruction_are_no_site(probe: Cprobe, build_elf: Build) -> None:
    source = "int v;\nvoid _start(void) { v = 0x90a20f90; __asm__ volatile(\"rdtsc\"); }\n"
    kernel = build_elf({"a.c": source}, ["-O1", "-g"])
    assert probe.run("find", kernel, "--insn", "cpuid").returncode == 1


@pytest.mark.parametrize("before, behind", [("0x2e", "0xee"), ("0x0f", "0xa2"), ("0x66, 0x48", "0x0f, 0xa2"),
                                            ("0x48, 0xb8", "0xee"), ("0x90", "0xee"), ("0x90", "0x0f, 0xa2")])
def test_what_runs_into_the_next_function_is_no_site(probe: Cprobe, tmp_path: Path, before: str, behind: str) -> None:
    """Linux has such code on purpose; objdump begins afresh at each function."""
    function = ".type {0},@function\n{0}: nop\n.byte {1}\n.size {0},.-{0}\n"
    second = function.format("second", "0x90").replace("second: nop", f"second: .byte {behind}")
    (tmp_path / "a.s").write_text(".text\n" + function.format("first", before) + second + "ret\n" * 16)
    subprocess.run(["gcc", "-c", "a.s"], cwd=tmp_path, check=True, timeout=60)
    done = probe.run("find", tmp_path / "a.o", "--insn", "out,cpuid", "--format", "json")
    found = {int(json.loads(line)["address"], 16) for line in done.stdout.splitlines()}
    assert found == objdump_sites(tmp_path / "a.o", {"out", "cpuid"})


@pytest.mark.parametrize("args", [[], ["--insn", "cpuidd"], ["--insn", ","], ["--message", ""],
                                  ["--insn", "cpuid", "--message", "x"]])
def test_find_usage(probe: Cprobe, build_elf: Build, args: list[str]) -> None:
    assert probe.run("find", build_elf(SOURCES, ["-O0"]), *args).returncode == 2


# Unoptimised clang keeps the outcome of `a && b` on the stack, and -mcmodel=large the address of a variable in a
# register: their tests are found, the variables behind them are not.
NAMED = [v for v in VARIANTS if v[1][:1] != ["-O0"] or v[0] == "gcc" if "-mcmodel=large" not in v[1]]


@pytest.mark.parametrize("compiler,flags", NAMED)
def test_assertion_is_found_with_both_its_tests(probe: Cprobe, build_elf: Build, compiler: str,
                                                flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    records = probe.records("find", kernel, "--message", "TSC not initialized")
    messages = [r for r in records if r["kind"] == "message"]
    checks = [r for r in records if r["kind"] == "check"]
    assert {m["message"] for m in messages} == {"TSC not initialized"}
    assert {c.get("variable") for c in checks} == {"cpu_feature", "tsc_freq"}
    assert {c["guards"] for c in checks} <= {m["address"] for m in messages}
    starts = {int(line.split(":")[0], 16): line for line in objdump_lines(kernel)}
    for check in checks:
        assert int(check["address"], 16) in starts and int(check["branch"], 16) in starts
        # A debugger that stops at the check changes the variable in time: it is read there or later.
        assert check["address"] <= check["branch"]
        assert f"<{check['variable']}" in starts[int(check["address"], 16)]


@pytest.mark.parametrize("compiler,flags", VARIANTS)
def test_message_as_printed_finds_its_format(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build_elf(SOURCES, flags, compiler)
    records = probe.records("find", kernel, "--message", "Statistical lapic calibration failed!")
    checks = [r for r in records if r["kind"] == "check"]
    assert checks and ({c.get("variable") for c in checks} == {"tsc_is_invariant"} or "-mcmodel=large" in flags)
    assert all(r["message"].startswith("Statistical %s") for r in records if r["kind"] == "message")


def test_message_address_is_the_instruction_that_loads_it(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g"])
    message = [r for r in probe.records("find", kernel, "--message", "TSC not") if r["kind"] == "message"]
    lines = {int(line.split(":")[0], 16): line for line in objdump_lines(kernel)}
    for record in message:
        assert "$0xffffffff" in lines[int(record["address"], 16)]


def test_cold_part_is_followed_to_the_test(probe: Cprobe, build_elf: Build) -> None:
    source = """
int state, sink;
__attribute__((cold, noinline)) void report(const char *text) { sink = *text; }
__attribute__((noinline)) int work(int a)
{
\tsink = a * 3;
\tif (state == 7)
\t\treport("state is seven");
\treturn a;
}
void _start(void) { work(sink); }
"""
    kernel = build_elf({"work.c": source}, ["-O2", "-g", "-freorder-blocks-and-partition"])
    assert "work.cold" in nm(kernel), "gcc split nothing off: the test tests nothing"
    records = probe.records("find", kernel, "--message", "state is seven")
    assert [(r["kind"], r.get("variable")) for r in records if r["kind"] == "check"] == [("check", "state")]
    subprocess.run(["strip", "-g", kernel], check=True)
    without = probe.records("find", kernel, "--message", "state is seven")
    assert [r["address"] for r in without] == [r["address"] for r in records]


def test_unguarded_message_has_no_check_and_it_is_said(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g", "-fno-inline"])
    done = probe.run("find", kernel, "--message", "lapic %d")
    assert done.returncode == 0 and " check" not in done.stdout and "no test" in done.stderr


def test_an_if_before_the_message_does_not_guard_it(probe: Cprobe, build_elf: Build) -> None:
    source = """
int verbose, broken, sink;
__attribute__((noinline)) void say(const char *text) { sink = *text; }
void work(void)
{
\tif (verbose)
\t\tsink = 3;
\tfor (int i = 0; i < sink; i++)
\t\tsay("again");
\tif (broken)
\t\tsay("it is broken");
\tsay("done");
}
void _start(void) { work(); }
"""
    for level in ("-O0", "-O2"):
        kernel = build_elf({"work.c": source}, [level, "-g", "-fno-inline"])
        records = probe.records("find", kernel, "--message", "it is broken")
        assert [r.get("variable") for r in records if r["kind"] == "check"] == ["broken"], level
        records = probe.records("find", kernel, "--message", "done")
        assert not [r for r in records if r["kind"] == "check"], level


def test_noreturn_neighbour_does_not_guard(probe: Cprobe, build_elf: Build) -> None:
    source = """
int one, two, sink;
__attribute__((noinline, noreturn)) void die(const char *text) { sink = *text; for (;;) ; }
void _start(void)
{
\tif (one)
\t\tdie("first death");
\tif (two)
\t\tdie("second death");
\tsink = 1;
}
"""
    kernel = build_elf({"die.c": source}, ["-O2", "-g", "-fno-inline"])
    for text, variable in (("first death", "one"), ("second death", "two")):
        records = probe.records("find", kernel, "--message", text)
        assert variable in [r.get("variable") for r in records if r["kind"] == "check"]
    assert [r.get("variable") for r in records if r["kind"] == "check"] == ["two"]


def test_choice_between_two_messages(probe: Cprobe, build_elf: Build) -> None:
    source = """
int mode, sink;
__attribute__((noinline)) void say(const char *text) { sink = *text; }
void _start(void) { say(mode ? "mode is on now" : "mode is off now"); sink = 2; }
"""
    for compiler, level in (("gcc", "-O0"), ("gcc", "-O2"), ("clang", "-O2")):
        kernel = build_elf({"mode.c": source}, [level, "-g", "-fno-inline"], compiler)
        records = probe.records("find", kernel, "--message", "mode is off now")
        assert [r.get("variable") for r in records if r["kind"] == "check"] == ["mode"], (compiler, level)


def test_pie_references(probe: Cprobe, build_elf: Build) -> None:
    source = "int sink, bad;\n__attribute__((noinline)) void say(const char *t) { sink = *t; }\n" \
             "int main(void) { if (bad) say(\"position independent\"); return 0; }\n"
    kernel = build_elf({"pie.c": source}, ["-O2", "-g", "-pie", "-fPIE"], kernel=False)
    records = probe.records("find", kernel, "--message", "position independent")
    assert {r["kind"] for r in records} == {"check", "message"}


def test_strings_linked_into_text(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf(SOURCES, ["-O2", "-g", "-Wl,-N,-z,noseparate-code"])
    subprocess.run(["objcopy", "--set-section-flags", ".rodata.str1.1=alloc,code,readonly",
                    "--set-section-flags", ".rodata=alloc,code,readonly",
                    "--set-section-flags", ".rodata.str1.8=alloc,code,readonly", kernel], check=True)
    assert probe.records("find", kernel, "--message", "TSC not initialized")


def test_i386(probe: Cprobe, build_elf: Build) -> None:
    source = SOURCES["x86/local_apic.c"].replace('#include "../clock.h"', SOURCES["clock.h"]) + \
        "uint64_t tsc_freq; u_int cpu_feature; int tsc_is_invariant;\n"
    flags = ["-m32", "-O2", "-g", "-ffreestanding", "-fno-pie", "-no-pie", "-nostdlib", "-static",
             "-fno-stack-protector"]
    kernel = build_elf({"all.c": source}, flags, kernel=False)
    records = probe.records("find", kernel, "--message", "TSC not initialized")
    assert {"cpu_feature", "tsc_freq"} <= {r.get("variable") for r in records if r["kind"] == "check"}


def test_no_such_message(probe: Cprobe, build_elf: Build) -> None:
    done = probe.run("find", build_elf(SOURCES, ["-O2"]), "--message", "never printed anywhere")
    assert done.returncode == 1 and "no string prints" in done.stderr


# struct alt_instr of three kernels: what stands between the two offsets and the two sizes, and behind them.
ALT_INSTR = {12: (".word 7", ""), 13: (".word 7", ".byte 0"), 14: (".long 7", "")}


def alternative(number: int, size: int, original: str, replacement: str) -> str:
    before, behind = ALT_INSTR[size]
    return f"""
.text
old{number}: {original}
.skip 16 - (. - old{number}), 0x90
end{number}:
.section .altinstr_replacement, "ax"
new{number}: {replacement}
stop{number}:
.section .altinstructions, "a"
.long old{number} - ., new{number} - .
{before}
.byte end{number} - old{number}, stop{number} - new{number}
{behind}
"""


@pytest.mark.parametrize("module", [False, True])
@pytest.mark.parametrize("size", sorted(ALT_INSTR))
def test_alternatives_name_the_place_they_patch(probe: Cprobe, build_elf: Build, size: int, module: bool) -> None:
    source = ".globl _start\n.type _start, @function\n_start: nop\n" + "".join(
        alternative(i, size, "cpuid", "nop; rdtscp") if i % 3 else alternative(i, size, "rdtsc", "") for i in range(13))
    source += ".text\n.size _start, . - _start\n"
    kernel = build_elf({"a.S": source}, ["-c", "-g"] if module else ["-g"], kernel=not module)
    table = nm(kernel)
    records = probe.records("find", kernel, "--insn", "rdtscp,rdtsc,cpuid")
    patches = [int(r["patches"], 16) for r in records if "patches" in r]
    first = int(next(r["address"] for r in records if r["mnemonic"] == "rdtsc"), 16) - table["old0"]
    assert sorted(patches) == [first + table[f"old{i}"] + 1 for i in range(13) if i % 3]
    assert {r["mnemonic"] for r in records if "patches" in r} == {"rdtscp"}
    done = probe.run("find", kernel, "--insn", "rdtscp", "--format", "gdb")
    assert [int(line.split("*")[1], 16) for line in done.stdout.splitlines() if line.startswith("break")] == patches


def test_a_table_that_is_no_alternatives_maps_nothing(probe: Cprobe, build_elf: Build) -> None:
    source = ".globl _start\n_start: nop\n" + alternative(0, 12, "cpuid", "rdtscp") + ".byte 1\n"
    source += alternative(1, 12, "cpuid", "rdtscp")
    records = probe.records("find", build_elf({"a.S": source}, []), "--insn", "rdtscp")
    assert len(records) == 2 and not [r for r in records if "patches" in r]


def sites_by_section(path: Path, mnemonics: set[str]) -> set[tuple[str, int]]:
    """Section and offset of the sites in a relocatable file, by objdump."""
    done = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True)
    sites, section = set(), ""
    for line in done.stdout.splitlines():
        if line.startswith("Disassembly of section "):
            section = line.split()[-1].rstrip(":")
        address, tab, rest = line.partition(":\t")
        words = [w for w in rest.split() if w not in PREFIXES]
        if tab and words and words[0] in mnemonics:
            sites.add((section, int(address, 16)))
    return sites


@pytest.mark.parametrize("module", ["virtio_blk.ko", "virtio_net.ko"])
def test_sites_of_a_debian_module_are_objdumps(probe: Cprobe, debian_vmlinux: Path, module: str) -> None:
    path = debian_vmlinux.parent / "modules" / module
    if not path.exists():
        pytest.skip(f"no {module} beside the vmlinux")
    for names in ("ud2", "call", "jmp", "lea", "xor", "je,jne"):
        records = probe.records("find", path, "--insn", names)
        starts: dict[str, int] = {}
        for record in records:
            starts.setdefault(record["section"], int(record["address"], 16))
        expected = sites_by_section(path, set(names.split(",")))
        assert expected
        # Where a section was laid out is not asked here: the first site of each is where objdump's first one is.
        firsts = {name: min(at for section, at in expected if section == name) for name in starts}
        assert {(r["section"], int(r["address"], 16) - starts[r["section"]] + firsts[r["section"]])
                for r in records} == expected, names


POINTERS_C = """
int sink, index_x, bad;
const char *volatile variable = "kept in a variable";
const char *const table[] = { "first of the table", "second of the table", "third of the table", "last of the table" };
struct entry { long id; const char *name; } entries[] = {
    { 1, "entry one" }, { 2, "entry two" }, { 3, "entry three" } };
const char *unused[] = { "never loaded", "by any code" };
const char **volatile taken = unused;
__attribute__((noinline)) void say(const char *text) { sink += *text; }
__attribute__((noinline)) void by_variable(void) { if (bad == 3) say(variable); sink++; }
__attribute__((noinline)) void by_index(void) { if (bad == 4) say(table[index_x]); sink++; }
__attribute__((noinline)) void by_loop(void)
{
\tfor (int i = 0; i < 3; i++) {
\t\tsay(entries[i].name);
\t\tsink++;
\t}
}
void _start(void) { by_variable(); by_index(); by_loop(); }
"""
POINTER_FLAGS = [("gcc", ["-O2"]), ("gcc", ["-O0"]), ("gcc", ["-Os"]), ("clang", ["-O2"]), ("clang", ["-O0"]),
                 ("gcc", ["-O2", "-m32", "-fno-pie", "-no-pie"]), ("gcc", ["-O2", "-fPIE", "-pie"]),
                 ("clang", ["-O2", "-fPIE", "-pie"]),
                 ("gcc", ["-O0", "-fPIE", "-pie"]), ("clang", ["-O0", "-fPIE", "-pie"])]


@pytest.mark.parametrize("compiler,flags", POINTER_FLAGS, ids=lambda v: v if isinstance(v, str) else "".join(v))
def test_messages_through_pointers_in_data(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    free = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fcf-protection=none", "-g"]
    special = "-m32" in flags or "-pie" in flags
    kernel = build_elf({"pointers.c": POINTERS_C}, [*free, *flags], compiler, kernel=not special)
    for text, function in (("kept in a variable", "by_variable"), ("second of the table", "by_index"),
                           ("last of the table", "by_index")):
        records = probe.records("find", kernel, "--message", text)
        messages = [r for r in records if r["kind"] == "message"]
        assert [(m["name"], m["message"]) for m in messages] == [(function, text)]
        assert [r["variable"] for r in records if r["kind"] == "check"] == ["bad"]
        lines = {int(line.split(":")[0], 16): line for line in objdump_lines(kernel)}
        assert lines[int(messages[0]["address"], 16)].split()[1] in {"mov", "push"}
    done = probe.run("find", kernel, "--message", "never loaded")
    assert done.returncode == 1 and "no instruction loads its address" in done.stderr


def test_message_of_an_element_that_a_loop_reaches(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"pointers.c": POINTERS_C.replace("i < 3", "i < sink")}, ["-O2", "-g"])
    for text in ("entry one", "entry two", "entry three"):
        records = probe.records("find", kernel, "--message", text)
        assert [r["name"] for r in records if r["kind"] == "message"] == ["by_loop"], text


def test_sites_of_much_code_are_objdumps(probe: Cprobe, build_elf: Build) -> None:
    """Code larger than the pieces that are searched apart, with functions across their ends, and as one region."""
    source = ".globl _start\n_start:\n" + "".join(
        f"f{i}: cpuid\n.skip {i * 7919 % 301}, {0x90 if i % 3 else 0x0f}\nrdtsc\n" for i in range(4000))
    kernel = build_elf({"a.S": source}, [])
    for stripped in (False, True):
        if stripped:
            subprocess.run(["strip", kernel], check=True)
        sites = {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", "cpuid,rdtsc")}
        assert len(sites) > 4000 and sites == objdump_sites(kernel, {"cpuid", "rdtsc"})


DATA_IN_TEXT = """
.text
.globl _start
.type _start, @function
_start: hlt
 ret
.size _start, . - _start
.type sized, @object
sized: .byte 0xf4, 0xf4, 0x0f, 0xa2
.size sized, 2
after: cli
.type unsized, @object
unsized: .byte 0xf4, 0xfa
label: sti
.type table, @object
table: .byte 0xf4, 0xfa
inner: hlt
.size table, 4
.type both, @object
both:
.type function, @function
function: hlt
 call middle
 hlt
.type middle, @object
middle: .byte 0xf4
.size middle, 1
end: hlt
"""


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("flags", [["-c"], ["-no-pie", "-nostdlib", "-static"], ["-m32", "-no-pie", "-nostdlib"]])
def test_data_objects_in_code_are_no_code(probe: Cprobe, build_elf: Build, flags: list[str], split: bool) -> None:
    kernel = build_elf({"a.S": DATA_IN_TEXT}, flags, kernel=False)
    expected = objdump_sites(kernel, {"hlt", "cli", "sti", "cpuid"})
    assert len(expected) == 7
    if split:
        split_off(kernel)
    assert {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", "hlt,cli,sti,cpuid")} == expected
    whole = build_elf({"a.S": DATA_IN_TEXT}, flags, kernel=False, name="whole")
    assert {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", "nop,ret,call,hlt,cli,sti,cpuid")} \
        == objdump_sites(whole, {"hlt", "cli", "sti", "cpuid", "ret", "call", "nop"})


def split_off(kernel: Path) -> None:
    """Move the symbols to a debug file, in which sections have other numbers."""
    debug = kernel.with_suffix(".debug")
    subprocess.run(["objcopy", "--only-keep-debug", "--add-section", f".first={__file__}", kernel, debug], check=True)
    subprocess.run(["strip", kernel], check=True)
    subprocess.run(["objcopy", "-R", ".comment", "-R", ".note.gnu.property", f"--add-gnu-debuglink={debug}", kernel],
                   check=True)


ABSOLUTE = """
.text
.globl _start
.type _start, @function
_start: mov $0xf4a20ff4, %eax
 mov $0x310f0000, %ebx
 cpuid
 hlt
.size _start, . - _start
.globl stack_size, heap_pages
.set stack_size, _start_address + 1
.set heap_pages, _start_address + 8
.data
.globl variable
variable: .long 0
"""


@pytest.mark.parametrize("split", [False, True])
def test_symbols_of_no_section_cut_no_instruction(probe: Cprobe, build_elf: Build, split: bool) -> None:
    flags = ["-no-pie", "-nostdlib", "-static", "-Wl,-Ttext=0x401000", "-Wl,--defsym=_start_address=0x401000",
             "-Wl,--defsym=inside=variable-0x10000000"]
    kernel = build_elf({"a.S": ABSOLUTE.replace("_start_address", "0x401000")}, flags, kernel=False)
    assert nm(kernel)["stack_size"] == nm(kernel)["_start"] + 1
    expected = objdump_sites(kernel, {"cpuid", "hlt", "rdtsc"})
    if split:
        split_off(kernel)
    records = probe.records("find", kernel, "--insn", "cpuid,hlt,rdtsc")
    assert {int(r["address"], 16) for r in records} == expected and len(expected) == 2


@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("compiler,level", [("gcc", "-O0"), ("gcc", "-O2"), ("clang", "-O0"), ("clang", "-O2")])
def test_everything_linked_into_text(probe: Cprobe, build_elf: Build, compiler: str, level: str,
                                     stripped: bool) -> None:
    """Small kernels' linker scripts put .rodata and .data into .text: tables are no code, pointers are in code."""
    source = """
const unsigned char sbox[64] = { 0xf4, 0xec, 0xed, 0x0f, 0xa2, 0x0f, 0x31, 0xf4, [40] = 0xf4, 0xfa, [60] = 0x0f, 0x32 };
const char *const names[] = { "table alpha", "table beta" };
int sink;
__attribute__((noinline)) void say(const char *t) { sink = *t; }
__attribute__((noinline)) int work(int i) { say(names[i]); return sbox[i & 63]; }
void _start(void) { work(1); __asm__("hlt"); }
"""
    script = "SECTIONS { . = 0x100000; .text : { *(.text*) *(.rodata*) *(.data*) *(.bss*) *(COMMON) } " \
        "/DISCARD/ : { *(.eh_frame*) *(.note*) *(.comment) } }"
    kernel = build_elf({"a.c": source, "a.ld": script}, [level, "-Wl,-T,a.ld", "-Wl,--build-id=none"], compiler)
    mnemonics = {"hlt", "in", "cpuid", "rdtsc", "cli", "rdmsr"}
    expected = objdump_sites(kernel, mnemonics)
    assert len(expected) == 1
    if stripped:
        subprocess.run(["strip", kernel], check=True)
    else:
        assert {int(r["address"], 16) for r in probe.records("find", kernel, "--insn", ",".join(mnemonics))} == expected
    text = "table alpha" if stripped else "table beta"  # symbols alone tell how far a table reaches
    records = [r for r in probe.records("find", kernel, "--message", text) if r["kind"] == "message"]
    assert len(records) == 1 and (stripped or records[0]["name"] == "work")
