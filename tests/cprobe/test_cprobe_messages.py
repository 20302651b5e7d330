"""find --message where the way from the test to the message is no plain one: switches, callees that do not return."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cprobe_kit import Build, Cprobe

FREE = ["-g", "-w", "-ffreestanding", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none"]
STATIC = ["-fno-pic", "-fno-pie", "-no-pie", "-static"]
LEVELS = [(compiler, [level, *STATIC]) for compiler in ("gcc", "clang") for level in ("-O0", "-O1", "-O2", "-Os")]
PIC = [(compiler, [level, "-fPIC", "-pie"]) for compiler in ("gcc", "clang") for level in ("-O0", "-O2")]
NARROW = [(compiler, [level, "-m32", *STATIC]) for compiler in ("gcc", "clang") for level in ("-O0", "-O2")]
NARROW_PIC = [(compiler, [*flags, "-m32"]) for compiler, flags in PIC]


def variant(value: object) -> str | None:
    return value if isinstance(value, str) else "".join(map(str, value)) if isinstance(value, list) else None


each_variant = pytest.mark.parametrize("compiler,flags", [*LEVELS, *PIC, *NARROW], ids=variant)

# What the programs below are linked with.
SUPPORT = {"support.c": """
int verbose, broken, level, mode, sink, numbers[16];
void slow(int x) { __asm__ volatile("" : : "r"(x) : "memory"); }
void say(const char *text, ...) { sink += *text; }
__attribute__((noreturn)) void panic(const char *text, ...) { sink += *text; for (;;) ; }
void _start(void) { }
""", "support.h": """
extern int verbose, broken, level, mode, sink, numbers[16];
void slow(int x);
void say(const char *text, ...);
__attribute__((noreturn)) void panic(const char *text, ...);
"""}


def build(build_elf: Build, source: str, flags: list[str], compiler: str = "gcc", support: bool = True) -> Path:
    sources = {"case.c": '#include "support.h"\n' + source, **SUPPORT}
    if not support:
        del sources["support.c"]
    return build_elf(sources, [*FREE, *flags], compiler, kernel=False)


def checks(probe: Cprobe, kernel: Path, text: str) -> list[dict[str, Any]]:
    """The checks of a message that must be found."""
    return [r for r in probe.records("find", kernel, "--message", text) if r["kind"] == "check"]


def variables(probe: Cprobe, kernel: Path, text: str) -> list[str | None]:
    return sorted({r.get("variable") for r in checks(probe, kernel, text)}, key=str)


SWITCH = """
void work(int c)
{
\tswitch (c) {
\tcase 0: slow(4); break;
\tcase 1: slow(9); slow(2); break;
\tcase 2: slow(c);
\tcase 3: slow(77); slow(1); break;
\tcase 4: slow(5); slow(6); break;
\tcase 5: sink++; break;
\tdefault: slow(3);
\t}
\tsay("behind the switch");
\tif (broken == 3)
\t\tsay("broken is three");
\tslow(1);
}
void choose(void)
{
\tif (!verbose)
\t\treturn;
\tswitch (mode & 15) {
\tcase 0: slow(4); break;
\tcase 1: slow(9); slow(2); break;
\tcase 2: panic("mode is two"); break;
\tcase 3: slow(77); slow(1);
\tcase 4: slow(5); slow(6); break;
\tcase 5: sink++; if (level) say("level in the case"); break;
\t}
}
"""


@each_variant
def test_a_switch_is_followed_by_its_table(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build(build_elf, SWITCH, flags, compiler)
    assert not checks(probe, kernel, "behind the switch")
    assert len(checks(probe, kernel, "broken is three")) == 1
    found = checks(probe, kernel, "mode is two")
    assert [c["variable"] for c in found] == ["mode"] and found[0]["name"] == "choose"
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", kernel], capture_output=True, text=True, check=True)
    assert next(line for line in code.stdout.splitlines()
                if line.strip().startswith(f"{int(found[0]['branch'], 16):x}:")).split()[1] == "jmp"
    assert variables(probe, kernel, "level in the case") == ["level"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_switch_of_a_kernel_without_symbols(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    kernel = build(build_elf, SWITCH, ["-O2", *STATIC], compiler)
    subprocess.run(["strip", kernel], check=True)
    assert not checks(probe, kernel, "behind the switch")
    assert len(checks(probe, kernel, "mode is two")) == 1


# The table is on the stack, so that no file has it; the calls keep compilers from telling where each jump goes.
COMPUTED = """
void work(int *codes)
{
\tvoid *volatile ways[] = { &&one, &&two, &&three };
\tslow(1);
\tgoto *ways[*codes];
one:
\tslow(7);
\tsay("said on one way");
\tgoto *ways[*++codes];
two:
\tif (level)
\t\tsay("level is set");
three:
\tslow(3);
\tsay("said at the end");
}
"""


@pytest.mark.parametrize("compiler,flags", LEVELS, ids=variant)
def test_a_table_that_no_file_has(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build(build_elf, COMPUTED, flags, compiler)
    assert variables(probe, kernel, "level is set") == ["level"]
    assert [c["name"] for c in checks(probe, kernel, "said on one way")] == ["work"]


def test_a_jump_out_of_the_function_reaches_no_block_of_it(probe: Cprobe, build_elf: Build) -> None:
    source = """
struct ops { long id; void (*go)(void); };
void work(struct ops *ops)
{
\t__asm__ goto("nop" : : : : patched);
\tif (broken) {
\t\tops->go();
\t\treturn;
\t}
\tslow(1);
\tslow(3);
\treturn;
patched:
\tsay("a patch leads here");
\tslow(2);
\tslow(4);
}
"""
    kernel = build(build_elf, source, ["-O2", *STATIC])
    assert not checks(probe, kernel, "a patch leads here")


# Each assertion's end runs into the next one, if what is called there were to return.
ASSERTIONS = """
void attach(int unit)
{
\tif (unit != 7)
\t\tpanic("unit is not seven");
\tif (level >= unit)
\t\tpanic("too many of them: %d", level);
\tif (broken)
\t\tpanic("it is broken");
\tslow(9);
}
"""
DEBUG: list[list[str]] = [[], ["-g0"], ["-gdwarf-4"], ["-m32", "-fno-pic"]]
MODULES = [(compiler, [level, *debug]) for compiler in ("gcc", "clang") for level in ("-O0", "-O1", "-O2", "-Os")
           for debug in DEBUG]


@pytest.mark.parametrize("compiler,flags", MODULES, ids=variant)
def test_a_function_of_another_file_does_not_return(probe: Cprobe, build_elf: Build, compiler: str,
                                                    flags: list[str]) -> None:
    module = build(build_elf, ASSERTIONS, ["-c", *flags], compiler, support=False)
    for text in ("unit is not seven", "too many of them", "it is broken"):
        assert len(checks(probe, module, text)) == 1, text


def test_a_declaration_says_that_a_function_of_another_file_does_not_return(probe: Cprobe, build_elf: Build) -> None:
    """Unoptimised code has no call sites in its DWARF, and its functions do not end with a call."""
    source = """
void attach(int unit)
{
\tif (unit == 3)
\t\tgoto end;
\tif (unit != 7)
\t\tgoto first;
\tslow(1);
\treturn;
first:
\tpanic("first of the ends");
end:
\tpanic("second of the ends");
\tslow(2);
}
"""
    module = build(build_elf, source, ["-c", "-O0"], support=False)
    assert len(checks(probe, module, "second of the ends")) == 1
    subprocess.run(["strip", "-g", module], check=True)
    assert len(checks(probe, module, "second of the ends")) == 2


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_function_behind_a_plt_does_not_return(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    library = build(build_elf, ASSERTIONS, ["-O2", "-fPIC", "-shared"], compiler, support=False)
    for text in ("unit is not seven", "too many of them", "it is broken"):
        assert len(checks(probe, library, text)) == 1, text


# Strings as Go and Rust keep them, one behind the other; the code has their lengths. At the end, one of Pascal.
COUNTED = [f"message number {i:02}" for i in range(12)] + ["the clock has stopped", "of the clock"]
UNIT_OF_RUST = """
.section .debug_abbrev, "", @progbits
.uleb128 1, 0x11
.byte 0
.uleb128 0x13, 5, 0x11, 1, 0x12, 6, 0, 0, 0
.section .debug_info, "", @progbits
.long 2f - 1f
1: .short 4
.long .debug_abbrev
.byte 8
.uleb128 1
.short 0x1c
.quad _start
.long end - _start
2:
"""


def counted(texts: list[str]) -> str:
    source = ".text\n.globl _start\n.type _start, @function\n_start:\n"
    for i, text in enumerate(texts):
        source += f"cmpl ${i}, variable(%rip)\njne skip{i}\nlea text{i}(%rip), %rax\nmov ${len(text)}, %ebx\n"
        source += f"load{i}: call say\nskip{i}:\n"
    source += "lea pascal(%rip), %rax\ncall say\nret\n.size _start, . - _start\n"
    source += ".type say, @function\nsay: ret\n.size say, 1\nend:\n.section .rodata\n"
    source += "".join(f'text{i}: .ascii "{text}"\n' for i, text in enumerate(texts))
    return source + 'never: .ascii "never loaded"\n.byte 0, 0xff\npascal: .byte 16\n.ascii "counted by a byte"\n' \
        ".byte 0\n.data\nvariable: .long 0\n"


@pytest.mark.parametrize("told", [False, True])
def test_strings_without_an_end(probe: Cprobe, build_elf: Build, told: bool) -> None:
    """Many of them in one run of text are told apart by their number, a few by the language of the code."""
    texts = COUNTED[-4:] if told else COUNTED
    kernel = build_elf({"a.S": counted(texts) + (UNIT_OF_RUST if told else "")}, ["-nostdlib", "-static", "-no-pie"],
                       kernel=False)
    for text in texts if told else texts[8:]:
        messages = [r for r in probe.records("find", kernel, "--message", text) if r["kind"] == "message"]
        assert [m["message"] for m in messages] == [text]
        assert len(checks(probe, kernel, text)) == 1
    assert [r["message"] for r in probe.records("find", kernel, "--message", "clock has") if r["kind"] == "message"] \
        == ["the clock has"]
    assert {r["message"][:12] for r in probe.records("find", kernel, "--message", "clock") if r["kind"] == "message"} \
        >= {"of the clock"}
    assert probe.run("find", kernel, "--message", "never loaded").returncode == 1
    assert len(probe.records("find", kernel, "--message", "counted by")) == 1


def test_ends_of_strings_in_c_are_theirs_too(probe: Cprobe, build_elf: Build) -> None:
    source = """
void work(void)
{
\tif (broken)
\t\tsay("the clock: it has stopped");
\tif (level)
\t\tsay("it has stopped");
}
"""
    kernel = build(build_elf, source, ["-O2", *STATIC])
    records = probe.records("find", kernel, "--message", "it has stopped")
    assert {r["message"] for r in records if r["kind"] == "message"} == {"it has stopped", "the clock: it has stopped"}
    assert variables(probe, kernel, "it has stopped") == ["broken", "level"]


# What compilers make of it when they load the text's address ahead of the test, or of the loop.
HOISTED = """
.text
.globl _start
.type _start, @function
_start: push %rbx
 lea text(%rip), %rdi
 mov broken(%rip), %eax
 test %eax, %eax
 jne 1f
 lea other(%rip), %rdi
 call say
 lea looped(%rip), %rbx
2: mov level(%rip), %eax
 test %eax, %eax
 je 3f
 mov %rbx, %rdi
 call say
3: decl count(%rip)
 jne 2b
 pop %rbx
 ret
1: call say
 pop %rbx
 ret
.size _start, . - _start
.type say, @function
say: ret
.size say, 1
.section .rodata
text: .string "text that is broken"
other: .string "text that is not"
looped: .string "text of the loop"
.data
.macro variable name
.globl \\name
.type \\name, @object
.size \\name, 4
\\name: .long 0
.endm
variable broken
variable level
variable count
"""


def test_a_text_that_is_loaded_ahead_of_the_test(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"a.S": HOISTED}, ["-nostdlib", "-static", "-no-pie"], kernel=False)
    assert variables(probe, kernel, "text that is broken") == ["broken"]
    assert variables(probe, kernel, "text that is not") == ["broken"]
    assert variables(probe, kernel, "text of the loop") == ["level"]


ENDLESS = """
void work(void)
{
\tfor (;;) {
\t\tslow(1);
\t\tif (verbose)
\t\t\tslow(2);
\t\tsay("always said");
\t\tslow(3);
\t\tif (level)
\t\t\tsay("said at times");
\t}
}
"""


@each_variant
def test_a_function_that_never_ends(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    kernel = build(build_elf, ENDLESS, flags, compiler)
    assert not checks(probe, kernel, "always said")
    assert len(checks(probe, kernel, "said at times")) == 1
