"""find --inputs: what a cpuid, rdmsr or wrmsr asks for is said where it is certain, and nowhere else."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Optional

import pytest
from cprobe_kit import Build, Cprobe, objdump_lines

ASKING = "cpuid,rdmsr,wrmsr"
FIVE = "cpuid,rdtsc,rdtscp,rdmsr,wrmsr"
LEVELS = [(compiler, [level]) for compiler in ("gcc", "clang") for level in ("-O0", "-O1", "-O2", "-Os")]
NARROW = ["-m32", "-nostdlib", "-static", "-no-pie", "-fno-pie"]


def inputs(probe: Cprobe, kernel: Path) -> dict[str, list[Optional[str]]]:
    """The inputs of each function's instructions, in the order of their addresses."""
    ret: dict[str, list[Optional[str]]] = defaultdict(list)
    for record in probe.records("find", kernel, "--insn", ASKING, "--inputs"):
        ret[record.get("outer") or record.get("name", "?")].append(record.get("input"))
    return dict(ret)


def function(body: str, name: str = "f") -> str:
    return f".text\n.globl _start\n_start:\n.globl {name}\n.type {name}, @function\n{name}:\n{body}\nret\n" \
        f".size {name}, . - {name}\n"


INLINE_C = """
typedef unsigned int u32;
static inline __attribute__((always_inline)) u32 cpuid(u32 leaf, u32 sub)
{
\tu32 a = leaf, c = sub, b, d;
\t__asm__ volatile("cpuid" : "+a"(a), "+c"(c), "=b"(b), "=d"(d));
\treturn a ^ b ^ c ^ d;
}
static inline __attribute__((always_inline)) u32 rdmsr(u32 msr)
{
\tu32 low, high;
\t__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
\treturn low ^ high;
}
static inline __attribute__((always_inline)) void wrmsr(u32 msr, u32 low, u32 high)
{
\t__asm__ volatile("wrmsr" : : "c"(msr), "a"(low), "d"(high) : "memory");
}
volatile int sink, which;
__attribute__((noinline)) void other(void) { sink++; }
__attribute__((noinline)) u32 leaf(void) { return cpuid(0x40000001, 0); }
__attribute__((noinline)) u32 zero(void) { return cpuid(0, 0); }
__attribute__((noinline)) u32 read(void) { return rdmsr(0xc0000080); }
__attribute__((noinline)) void write(void) { wrmsr(0x6e0, sink, sink); }
__attribute__((noinline)) u32 parameter(u32 msr) { return rdmsr(msr); }
__attribute__((noinline)) u32 twice(void) { return rdmsr(0x10) + rdmsr(0x3b); }
__attribute__((noinline)) u32 loop(void) { u32 sum = 0; for (int i = 0; i < sink; i++) sum += rdmsr(0x1b); return sum; }
__attribute__((noinline)) u32 counted(void)
{
\tu32 sum = 0;
\tfor (u32 msr = 0x200; msr < (u32)sink; msr++)
\t\tsum += rdmsr(msr);
\treturn sum;
}
__attribute__((noinline)) u32 chosen(void) { return rdmsr(which ? 0x11 : 0x12); }
__attribute__((noinline)) u32 asked(void) { other(); return cpuid(cpuid(1, 0), 0); }
void _start(void)
{
\tleaf(); zero(); read(); write(); parameter(sink); parameter(5); twice(); loop(); counted(); chosen(); asked();
}
"""


@pytest.mark.parametrize("compiler,flags", LEVELS, ids=lambda v: v if isinstance(v, str) else "".join(v))
def test_compiled_inputs(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    got = inputs(probe, build_elf({"a.c": INLINE_C}, [*flags, "-g", "-fno-ipa-cp"] if compiler == "gcc"
                                  else [*flags, "-g"], compiler))
    assert got["parameter"] == [None] and got["counted"] == [None] and got["asked"][-1] is None
    assert got["chosen"] in ([None], ["0x11", "0x12"], ["0x12", "0x11"])  # one rdmsr for both, or one for each
    if flags == ["-O0"]:  # by memory
        assert {value for values in got.values() for value in values} == {None}
        return
    assert got["leaf"] == ["0x40000001"] and got["zero"] == ["0x0"]
    assert got["read"] == ["0xc0000080"] and got["write"] == ["0x6e0"]
    assert got["twice"] == ["0x10", "0x3b"]
    assert set(got["loop"]) == {"0x1b"} and got["asked"][0] == "0x1"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiled_inputs_i386(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    kernel = build_elf({"a.c": INLINE_C}, ["-O2", "-g", "-ffreestanding", *NARROW], compiler, kernel=False)
    got = inputs(probe, kernel)
    assert (got["leaf"], got["read"], got["write"]) == (["0x40000001"], ["0xc0000080"], ["0x6e0"])
    assert got["parameter"] == [None] and set(got["loop"]) == {"0x1b"}


KNOWN = {
    "mov": ("mov $0x10, %ecx; rdmsr", ["0x10"]),
    "mov to 64 bits": ("mov $-1, %rcx; rdmsr", ["0xffffffff"]),
    "movabs": ("movabs $0x123456789abcdef0, %rax; cpuid", ["0x9abcdef0"]),
    "xor": ("xor %eax, %eax; cpuid", ["0x0"]),
    "xor of 64 bits": ("xor %rcx, %rcx; wrmsr", ["0x0"]),
    "others in between": ("mov $0x10, %ecx; xor %eax, %eax; mov %eax, %edx; mov %ecx, %ebx; wrmsr", ["0x10"]),
    "rdmsr leaves ECX": ("mov $0x1b, %ecx; rdmsr; or $0x800, %eax; wrmsr", ["0x1b", "0x1b"]),
    "the same on two ways": ("test %edi, %edi; jz 1f; mov $0x10, %ecx; jmp 2f; 1: mov $0x10, %ecx; nop; 2: rdmsr",
                             ["0x10"]),
    "before a branch": ("mov $7, %eax; test %edi, %edi; jz 1f; nop; 1: cpuid", ["0x7"]),
    "a loop that leaves it": ("mov $0x10, %ecx; 1: rdmsr; dec %edi; jnz 1b", ["0x10"]),
    "a part behind a return": ("test %edi, %edi; jz 1f; ret; 1: mov $1, %eax; cpuid", ["0x1"]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known(probe: Cprobe, build_elf: Build, name: str) -> None:
    body, expected = KNOWN[name]
    assert inputs(probe, build_elf({"a.S": function(body)}, [])) == {"f": expected}


UNKNOWN = {
    "nothing before": "rdmsr",
    "another register": "mov $0x10, %eax; rdmsr",
    "memory": "mov $0x10, %ecx; mov (%rdi), %ecx; rdmsr",
    "a register": "mov $0x10, %ecx; mov %edi, %ecx; rdmsr",
    "arithmetic": "mov $0x10, %ecx; add $1, %ecx; rdmsr",
    "lea": "mov $0x10, %ecx; lea 1(%rcx), %ecx; rdmsr",
    "low byte": "mov $0x10, %ecx; mov $1, %cl; rdmsr",
    "high byte": "mov $0x10, %eax; mov $1, %ah; cpuid",
    "xor of a byte": "mov $0x10, %ecx; xor %cl, %cl; rdmsr",
    "16 bits": "mov $0x10, %ecx; mov $1, %cx; rdmsr",
    "xor of two": "mov $0x10, %ecx; xor %edx, %ecx; rdmsr",
    "cmov": "mov $0x10, %ecx; cmovz %edx, %ecx; rdmsr",
    "setcc": "mov $0x10, %eax; setz %al; cpuid",
    "xchg": "mov $0x10, %ecx; xchg %ecx, %edx; rdmsr",
    "pop": "mov $0x10, %ecx; pop %rcx; rdmsr",
    "call": "mov $0x10, %ecx; call f; rdmsr",
    "indirect call": "mov $0x10, %ecx; call *%rax; rdmsr",
    "hypercall by vmcall": "mov $1, %eax; vmcall; cpuid",
    "hypercall by vmmcall": "mov $1, %eax; vmmcall; cpuid",
    "interrupt": "mov $1, %eax; int $0x80; cpuid",
    "syscall": "mov $1, %eax; syscall; cpuid",
    "cpuid writes EAX": "cpuid; cpuid",
    "cpuid writes ECX": "mov $0x10, %ecx; mov (%rdi), %eax; cpuid; rdmsr",
    "rdmsr writes EAX": "mov $1, %eax; mov %edi, %ecx; rdmsr; cpuid",
    "rdtsc writes EAX": "mov $1, %eax; rdtsc; cpuid",
    "rdtscp writes ECX": "mov $1, %ecx; rdtscp; rdmsr",
    "mul writes EAX": "mov $1, %eax; mul %edx; cpuid",
    "cmpxchg writes EAX": "mov $1, %eax; cmpxchg %edx, (%rdi); cpuid",
    "cmpxchg16b writes RAX": "mov $1, %eax; cmpxchg16b (%rdi); cpuid",
    "rep writes ECX": "mov $0x10, %ecx; rep stosl; rdmsr",
    "repne writes ECX": "mov $0x10, %ecx; repne scasb; rdmsr",
    "loop writes ECX": "mov $0x10, %ecx; 1: loop 1b; rdmsr",
    "lods writes EAX": "mov $0x10, %eax; lodsl; cpuid",
    "in writes AL": "mov $0x10, %eax; inb $0x80, %al; cpuid",
    "cwde writes EAX": "mov $0x10, %eax; cwde; cpuid",
    "xgetbv writes EAX": "mov $0x10, %eax; xgetbv; cpuid",
    "different on two ways": "test %edi, %edi; jz 1f; mov $0x10, %ecx; jmp 2f; 1: mov $0x11, %ecx; nop; 2: rdmsr",
    "unknown on one way": "mov $0x10, %ecx; test %edi, %edi; jz 1f; mov %edi, %ecx; 1: rdmsr",
    "a call on one way": "mov $0x10, %ecx; test %edi, %edi; jz 1f; call f; 1: rdmsr",
    "the caller's on one way": "test %edi, %edi; jz 1f; mov $0x10, %ecx; 1: rdmsr",
    "the caller's, and a loop": "1: rdmsr; mov $0x10, %ecx; jmp 1b",
    "a loop that changes it": "mov $0x10, %ecx; 1: rdmsr; inc %ecx; dec %edi; jnz 1b",
    "a loop that sets it later": "mov $0x10, %ecx; 1: rdmsr; mov $0x11, %ecx; dec %edi; jnz 1b",
    "a loop without a beginning": "ret; 1: rdmsr; jmp 1b",
    "behind a return": "mov $0x10, %ecx; ret; rdmsr",
    "another symbol in between": "mov $0x10, %ecx; inside: rdmsr",
    "another symbol at a block": "mov $0x10, %ecx; test %edi, %edi; jz inside; nop; inside: rdmsr",
    "another symbol behind a branch": "mov $0x10, %ecx; test %edi, %edi; jz 1f; inside: rdmsr; 1: nop",
    "a function larger than any": "mov $0x10, %ecx; rdmsr; .skip 0x110000, 0x90",
    "a way from nowhere": "mov $0x10, %ecx; jmp 1f; nop; test %edx, %edx; 1: rdmsr",
    "32-bit code's inc": "mov $0x10, %ecx; .byte 0x41; rdmsr",
    "another symbol at a block before": "mov $0x10, %ecx; jmp 1f; inside: nop; 1: rdmsr",
    "a warning goes on": "test %edi, %edi; jz 1f; mov $0x10, %ecx; jmp 2f; 1: mov $0x11, %ecx; ud2; 2: rdmsr",
    "any address": "mov $0x10, %ecx; rdmsr; jmp *%rsi",
    "too far away": "mov $0x10, %ecx; .rept 300; inc %edx; .endr; rdmsr",
    "too many ways": "mov $0x10, %ecx; .rept 30; test %edi, %edi; jz 1f; .endr; 1: rdmsr",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown(probe: Cprobe, build_elf: Build, name: str) -> None:
    """The last instruction that asks; those before it are there to change something."""
    got = inputs(probe, build_elf({"a.S": function(UNKNOWN[name])}, []))
    assert [value for values in got.values() for value in values][-1] is None


POP_ALL = {"popa": "mov $0x10, %ecx; popa; rdmsr", "16-bit loop": "mov $0x10, %ecx; 1: loopw 1b; rdmsr",
           "known": "mov $0x10, %ecx; rdmsr"}


@pytest.mark.parametrize("name", POP_ALL)
def test_i386(probe: Cprobe, build_elf: Build, name: str) -> None:
    got = inputs(probe, build_elf({"a.S": function(POP_ALL[name])}, NARROW, kernel=False))
    assert got == {"f": ["0x10" if name == "known" else None]}


# Entered in the middle: by what, with .text's function f; label `inside` is none of the symbol table.
ENTERED = {
    "nothing": "",
    "jump of another section": '.section .altinstr_aux, "ax"\n testb $1, (%rdi)\n jnz .Linside\n jmp .Lbehind',
    "jump of a part that was split off": '.section .text.unlikely, "ax"\n.type g.cold, @function\n'
                                         "g.cold: jmp .Linside\n.size g.cold, . - g.cold",
    "call": '.section .other, "ax"\n call .Linside',
    "short jump of the next function": ".type g, @function\ng: nop\n jz .Linside\n ret\n.size g, . - g",
    "code behind the function's end": " nop\n jmp .Linside\n",
    "jump label by distance": '.section .rodata, "a"\n.globl __start___jump_table\n__start___jump_table:\n'
                              ".long .Lbefore - ., .Linside - .\n.quad 0\n.globl __stop___jump_table\n"
                              "__stop___jump_table:",
    "jump label by address": '.section __jump_table, "a"\n.quad .Lbefore, .Linside, 0',
    "a number that reads as a short jump": ".type g, @function\ng: .byte 0xb8, 0xeb\n.byte .Linside - 1f\n"
                                           "1: .byte 0, 0\n ret\n.size g, . - g",
    "jump elsewhere": '.section .altinstr_aux, "ax"\n jmp .Lbefore\n jmp .Lbehind\n.section __jump_table, "a"\n'
                      ".quad .Lbefore, .Lbehind, 0",
}


HARMLESS = {"nothing", "a number that reads as a short jump", "jump elsewhere"}


@pytest.mark.parametrize("how", ENTERED)
def test_entered_by_other_code(probe: Cprobe, build_elf: Build, how: str) -> None:
    body = function(".Lbefore: nop; mov $0x10, %ecx; .Linside: nop; rdmsr; .Lbehind: nop")
    kernel = build_elf({"a.S": body + ENTERED[how] + "\n"}, [])
    assert inputs(probe, kernel)["f"] == ["0x10" if how in HARMLESS else None]


STATIC_CPU_HAS_C = """
int sink;
unsigned char features[8];
static inline __attribute__((always_inline)) int has_feature(void)
{
\t__asm__ goto("jmp 6f\\n.pushsection .altinstr_aux, \\"ax\\"\\n"
\t\t"6: testb %0, %1\\njnz %l[yes]\\njmp %l[no]\\n.popsection" : : "i"(8), "m"(features[2]) : : yes, no);
yes:\treturn 1;
no:\treturn 0;
}
static inline __attribute__((always_inline)) unsigned rdmsr(unsigned msr)
{
\tunsigned low, high;
\t__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
\treturn low;
}
__attribute__((noinline)) unsigned f(void)
{
\tunsigned msr = 0x10;
\tif (has_feature())
\t\tmsr = 0x20;
\treturn rdmsr(msr);
}
void _start(void) { sink = f(); }
"""


@pytest.mark.parametrize("compiler,flags", LEVELS[1:4] + LEVELS[5:], ids=lambda v: v if isinstance(v, str) else v[0])
def test_linux_cpu_features_choose(probe: Cprobe, build_elf: Build, compiler: str, flags: list[str]) -> None:
    """As static_cpu_has() does it: never the one constant that the function's own edges lead to."""
    got = inputs(probe, build_elf({"a.c": STATIC_CPU_HAS_C}, [*flags, "-g"], compiler))
    assert got["f"] in ([None], ["0x10", "0x20"], ["0x20", "0x10"], [None, "0x10"], [None, "0x20"], ["0x10", None],
                        ["0x20", None], [None, None])


SPLIT = """
.text
.globl _start
_start:
.type f, @function
f: mov $0x10, %ecx
 test %edi, %edi
 jnz f.cold
.Lback: rdmsr
 ret
.size f, . - f
.section .text.unlikely, "ax"
.type f.cold, @function
f.cold: mov $COLD, %ecx
 rdmsr
 nop
 jmp .Lback
.size f.cold, . - f.cold
"""


def test_parts_that_are_split_off(probe: Cprobe, build_elf: Build) -> None:
    got = inputs(probe, build_elf({"a.S": SPLIT.replace("$COLD", "$0x11")}, []))
    assert got == {"f": [None], "f.cold": ["0x11"]}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_computed_jumps(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    """Labels whose addresses are in a table: rdmsr is behind one of two, or it is not said."""
    source = INLINE_C.partition("volatile int sink")[0] + """
volatile int sink;
unsigned f(unsigned way)
{
\tstatic void *const ways[] = { &&one, &&two, &&three };
\tunsigned msr = 0x10;
\tgoto *ways[way];
one:\tmsr = 0x11;
two:\tsink = 1;
\treturn rdmsr(msr);
three:\treturn 0;
}
void _start(void) { sink = f(sink); }
"""
    got = inputs(probe, build_elf({"a.c": source}, ["-O2", "-g"], compiler))
    values = {value for values in got.values() for value in values}
    assert len(values) > 1 or values == {None}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_switches(probe: Cprobe, build_elf: Build, compiler: str) -> None:
    cases = "".join(f"\tcase {i}: sink = rdmsr(0x{i}00 + {i * i}); break;\n" for i in range(1, 9))
    source = INLINE_C.partition("volatile int sink")[0] + \
        f"volatile int sink;\nvoid _start(void)\n{{\n\tswitch (sink) {{\n{cases}\t}}\n}}\n"
    got = inputs(probe, build_elf({"a.c": source}, ["-O2", "-g"], compiler))
    values = [value for values in got.values() for value in values]
    assert sorted(map(str, values)) in ([hex(int(f"0x{i}00", 16) + i * i) for i in range(1, 9)], ["None"])


def test_no_symbols_no_inputs(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"a.S": function("mov $0x10, %ecx; rdmsr")}, [])
    assert inputs(probe, kernel) == {"f": ["0x10"]}
    subprocess.run(["strip", kernel], check=True)
    assert inputs(probe, kernel) == {".text": [None]}


def test_no_inputs_before_relocation(probe: Cprobe, build_elf: Build) -> None:
    """Constants of a relocatable file may be anything yet."""
    source = function("mov $msr, %ecx; rdmsr") + ".globl msr\n"
    assert inputs(probe, build_elf({"a.S": source}, ["-c"], kernel=False)) == {"f": [None]}


def test_dwarf_alone_is_not_enough(probe: Cprobe, build_elf: Build) -> None:
    """Who else comes in shows by symbols."""
    kernel = build_elf({"a.c": INLINE_C}, ["-O2", "-g"])
    subprocess.run(["strip", "-s", "--keep-section=.debug_*", kernel], check=True)
    got = inputs(probe, kernel)
    assert "leaf" in got and {value for values in got.values() for value in values} == {None}


OVERLONG_C = """
int sink;
__asm__(".text\\n.type f, @function\\n.globl f\\nf:");
__attribute__((noinline, used)) static void described(void)
{
\t__asm__ volatile("mov $0x10, %%ecx\\nnop\\n.Linside: nop\\nrdmsr" : : : "eax", "ecx", "edx");
}
__asm__("mov $0x11, %ecx\\njmp .Linside\\n.size f, . - f");
void _start(void) { described(); }
"""


def test_dwarf_that_ends_before_the_symbol(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"a.c": OVERLONG_C}, ["-O1", "-g", "-fno-toplevel-reorder"])
    subprocess.run(["objcopy", "--strip-symbol=described", kernel], check=True)
    assert inputs(probe, kernel) == {"f": [None]}
    plain = OVERLONG_C.replace("jmp .Linside", "nop")
    kernel = build_elf({"a.c": plain}, ["-O1", "-g", "-fno-toplevel-reorder"])
    subprocess.run(["objcopy", "--strip-symbol=described", kernel], check=True)
    assert inputs(probe, kernel) == {"f": ["0x10"]}


def test_entered_is_only_what_is_entered(probe: Cprobe, build_elf: Build) -> None:
    body = "mov $0x1{n}, %ecx; .Linside{n}: nop; rdmsr"
    source = "".join(function(body.replace("{n}", str(n)), f"f{n}").replace("_start", f"start{n}") for n in range(4))
    kernel = build_elf({"a.S": source + '.section .other, "ax"\n jmp .Linside2\n jz .Linside0\n'}, [])
    assert inputs(probe, kernel) == {"f0": [None], "f1": ["0x11"], "f2": [None], "f3": ["0x13"]}


def test_a_symbol_without_size_is_no_bound(probe: Cprobe, build_elf: Build) -> None:
    assert inputs(probe, build_elf({"a.S": ".globl _start\n_start: mov $1, %eax; cpuid\n"}, [])) == {"_start": [None]}


def test_option_errors(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"a.S": function("mov $0x10, %ecx; rdmsr")}, [])
    for words, complaint in ((["--inputs"], "give --insn LIST or --message TEXT"),
                             (["--inputs", "--message", "text"], "--inputs is about instructions: give --insn LIST"),
                             (["--inputs=yes", "--insn", "rdmsr"], "--inputs takes no value")):
        done = probe.run("find", kernel, *words)
        assert (done.returncode, done.stdout) == (2, "") and complaint in done.stderr
    done = probe.run("list", kernel, "--inputs")
    assert done.returncode == 2 and "--inputs is another verb's option" in done.stderr


@pytest.mark.parametrize("form", ["text", "gdb"])
def test_other_formats_are_as_without(probe: Cprobe, build_elf: Build, form: str) -> None:
    kernel = build_elf({"a.c": INLINE_C}, ["-O2", "-g"])
    words: list[str | Path] = ["find", kernel, "--insn", FIVE, "--format", form]
    assert probe.run(*words, "--inputs").stdout == probe.run(*words).stdout != ""


def without(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "input"} for record in records]


def test_json_has_one_key_more(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"a.c": INLINE_C}, ["-O2", "-g"])
    plain = probe.records("find", kernel, "--insn", FIVE + ",ret")
    asked = probe.records("find", kernel, "--insn", FIVE + ",ret", "--inputs")
    assert without(asked) == plain == without(plain) != asked
    assert {record["mnemonic"] for record in asked if "input" in record} == {"cpuid", "rdmsr", "wrmsr"}


def test_a_block_of_nothing_but_questions(probe: Cprobe, build_elf: Build) -> None:
    """Each looks back over all before it."""
    kernel = build_elf({"a.S": function("mov $0x10, %ecx; .rept 200000; rdmsr; .endr")}, [])
    start = time.monotonic()
    done = probe.run("find", kernel, "--insn", "rdmsr", "--inputs", "--format", "json")
    assert time.monotonic() - start < 20 and done.returncode == 0
    got = [json.loads(line).get("input") for line in done.stdout.splitlines()]
    assert got[:200] == ["0x10"] * 200 and got[-1] is None
    assert done.stderr.splitlines()[-1].endswith(": some say nothing of it")
    assert "say nothing" not in probe.run("find", kernel, "--insn", "rdmsr").stderr


ASSIGNED = {"cpuid": r"%[er]?ax|%a[lh]", "rdmsr": r"%[er]?cx|%c[lh]", "wrmsr": r"%[er]?cx|%c[lh]"}
JUMP = re.compile(r"^(j\w+|call|ret|l?ret\w?|i?ret\w?|loop\w*)\b")


def straight_lines(kernel: Path, wanted: set[str]) -> dict[int, Optional[str]]:
    """The inputs that objdump's text says: back to a mov of a constant to the register, or a xor, with no jump, call or
    jump's target in between, and no other mention of the register as the last operand."""
    lines = [(int(address, 16), " ".join(rest.partition("#")[0].partition("<")[0].split()))
             for address, _, rest in (line.partition(":\t") for line in objdump_lines(kernel))]
    targets = {int(words[1], 16) for _, text in lines for words in [text.split()]
               if JUMP.match(text) and len(words) == 2 and re.fullmatch("[0-9a-f]+", words[1])}
    ret: dict[int, Optional[str]] = {}
    for index, (address, text) in enumerate(lines):
        if text.split()[:1] and text.split()[0] in wanted:
            ret[address] = straight_line(lines[max(0, index - 40):index + 1], targets, ASSIGNED[text.split()[0]])
    return ret


def straight_line(lines: list[tuple[int, str]], targets: set[int], register: str) -> Optional[str]:
    for (address, text), (behind, _) in zip(lines[-2::-1], lines[:0:-1]):
        if behind in targets:
            return None
        constant = re.fullmatch(rf"mov(?:abs|q|l)? +\$0x([0-9a-f]+),({register})", text)
        if constant:
            return hex(int(constant[1], 16) & 0xffffffff)
        if re.fullmatch(rf"xor +({register}),\1", text):
            return "0x0"
        if JUMP.match(text) or re.search(rf"({register})$", text) or not re.match(
                r"(mov|xor|or|and|shr|shl|lea|push|test|cmp|nop|add|sub|wrmsr|bt\w?|cli|sti)\w* ?", text):
            return None
    return None


@pytest.mark.long
def test_known_where_objdump_shows_it(probe: Cprobe, debian_vmlinux: Path) -> None:
    """What is said differs from what the text before says nowhere; and the set of instructions is that without."""
    plain = probe.records("find", debian_vmlinux, "--insn", FIVE)
    asked = probe.records("find", debian_vmlinux, "--insn", FIVE, "--inputs")
    assert without(asked) == plain
    said = {int(record["address"], 16): record["input"] for record in asked if "input" in record}
    expected = straight_lines(debian_vmlinux, set(ASSIGNED))
    both = {address for address in said if expected[address]}
    assert len(said) > 50 and len(both) > 40
    assert {address: said[address] for address in both} == {address: expected[address] for address in both}


def test_known_in_the_guest(probe: Cprobe, guest: Path) -> None:
    said = {int(r["address"], 16): r["input"] for r in probe.records("find", guest, "--insn", ASKING, "--inputs")
            if "input" in r}
    expected = straight_lines(guest, set(ASSIGNED))
    both = {address for address in said if expected[address]}
    assert both and {a: said[a] for a in both} == {a: expected[a] for a in both}
