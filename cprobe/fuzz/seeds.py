#!/usr/bin/env python3
"""Makes corpus/: small inputs for the fuzz targets, from programs that this machine's compilers make.

    cprobe/fuzz/seeds.py            # writes cprobe/fuzz/corpus afresh

What the compilers are is no matter: the seeds are in the tree, and a new form of debug data is a line in FORMS.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"

SOURCE = """
typedef unsigned int u_int;
typedef unsigned long long u64;
struct reg { u_int low : 4, high : 12; union { u_int word; unsigned char byte[4]; }; struct reg *next; };
struct pcpu { struct { u64 tsc; char name[3][8]; } clock[2]; const struct reg *volatile regs; int (*call)(int, char); };
struct pcpu pcpu0;
u64 tsc_freq;
volatile int console;
static const char *const names[] = { "lapic timer stopped", "pvclock went back" };
void panic(const char *format, ...) __attribute__((noreturn, noinline, cold));
void panic(const char *format, ...) { console = *format; for (;;) __asm__ volatile("hlt"); }
void say(const char *format, ...) __attribute__((noinline));
void say(const char *format, ...) { console = format[1]; }
static inline void cpuid(u_int leaf, u_int *p)
{ __asm__ volatile("cpuid" : "=a"(p[0]), "=b"(p[1]), "=c"(p[2]), "=d"(p[3]) : "0"(leaf), "2"(0)); }
static inline u64 rdtsc(void) { u_int l, h; __asm__ volatile("rdtsc" : "=a"(l), "=d"(h)); return l | (u64)h << 32; }
static __attribute__((noinline)) int probe(int n, const char *name)
{
\tu_int p[4];
\tcpuid(0x40000010, p);
\tif (p[0] == 0)
\t\tsay("Statistical %s calibration failed!  %d", name, n);
\ttsc_freq = rdtsc() * p[1];
\treturn p[2] + n;
}
void _start(int n)
{
\tif (!tsc_freq || !pcpu0.regs)
\t\tpanic("TSC not initialized");
\tsay(names[n & 1]);
\tpcpu0.call(probe(n, "lapic"), 2);
\t__asm__ volatile("outb %%al, $0x70; inb $0x71, %%al; rdmsr; wrmsr; invlpg (%0)" : : "r"(&console) : "eax", "edx");
\tpanic("end");
}
"""

KERNEL = ["-ffreestanding", "-fno-stack-protector", "-fcf-protection=none", "-fno-pie", "-nostdlib", "-static",
          "-fno-asynchronous-unwind-tables", "-Wl,--build-id=none", "-Wl,-Ttext=0x10000", "-Wl,-n",
          "-Wl,--section-start=.rodata=0x200000", "-Wl,-Tdata=0x300000"]
#: Name, compiler, flags: each form of debug data that the readers know.
FORMS = [
    ("gcc5", "gcc", ["-O2", "-gdwarf-5"]), ("gcc4", "gcc", ["-O2", "-gdwarf-4"]),
    ("gcc2", "gcc", ["-O1", "-gdwarf-2", "-gstrict-dwarf"]), ("gcc0", "gcc", ["-O0", "-g"]),
    ("types4", "gcc", ["-O2", "-gdwarf-4", "-fdebug-types-section"]),
    ("types5", "gcc", ["-O2", "-gdwarf-5", "-fdebug-types-section"]), ("dwarf64", "gcc", ["-O2", "-g", "-gdwarf64"]),
    ("gcc32", "gcc", ["-O2", "-g", "-m32", "-march=i686"]), ("clang5", "clang", ["-O2", "-gdwarf-5"]),
    ("clang4", "clang", ["-O2", "-gdwarf-4"]), ("clang2", "clang", ["-O1", "-gdwarf-2"]),
    ("clang32", "clang", ["-O2", "-gdwarf-5", "-m32", "-march=i686"]),
]


def sections_of_fuzz_h() -> list[str]:
    """The names of enum fuzz_section, in their order, as sections are called."""
    text = (HERE / "fuzz.h").read_text(encoding="utf-8")
    body = re.sub(r"/\*.*?\*/", "", text[text.index("enum fuzz_section {"):].split("{")[1].split("}")[0], flags=re.S)
    names = [name.strip() for name in body.split(",") if name.strip()]
    assert names[0] == "FUZZ_QUESTION" and names[-1] == "FUZZ_SECTIONS", names
    return ["." + name.removeprefix("FUZZ_").lower() for name in names[:-1]]


def compile_form(folder: Path, compiler: str, flags: list[str], name: str) -> Path:
    out = folder / name
    (folder / "k.c").write_text(SOURCE, encoding="ascii")
    subprocess.run([compiler, *KERNEL, *flags, f"-fdebug-prefix-map={folder}=/src", "k.c", "-o", str(out)], cwd=folder,
                   check=True)
    return out


class Elf:
    """Just enough of a sound ELF file: its sections by name, in order."""

    def __init__(self, data: bytes) -> None:
        self.wide = data[4] == 2
        at, = struct.unpack_from("<Q" if self.wide else "<I", data, 40 if self.wide else 32)
        size, count, strings = struct.unpack_from("<HHH", data, 58 if self.wide else 46)
        heads = [struct.unpack_from("<IIQQQQIIQQ" if self.wide else "<IIIIIIIIII", data, at + i * size)
                 for i in range(count)]
        names = data[heads[strings][4]:]
        self.names = [names[head[0]:names.index(b"\0", head[0])].decode() for head in heads]
        self.bytes = {name: data[head[4]:head[4] + head[5]] if head[1] != 8 else b""
                      for name, head in zip(self.names, heads)}

    def symbols(self, order: list[str]) -> bytes:
        """The symbol table with section numbers of the file that kernel.c makes."""
        size, at = (24, 6) if self.wide else (16, 14)
        table = bytearray(self.bytes.get(".symtab", b""))
        for start in range(0, len(table), size):
            number, = struct.unpack_from("<H", table, start + at)
            if number < len(self.names) and self.names[number] in order:
                struct.pack_into("<H", table, start + at, order.index(self.names[number]))
        return bytes(table)


def packed(elf: Elf, order: list[str], question: str, only: set[str] | None = None) -> bytes:
    """An input of fuzz_kernel_init()."""
    parts = bytearray([0 if elf.wide else 1])
    for number, name in enumerate(order):
        content = elf.symbols(order) if name == ".symtab" else elf.bytes.get(name, b"")
        content = content if number else question.encode()
        if content and (only is None or not number or name in only):
            parts += bytes([number]) + len(content).to_bytes(3, "little") + content
    return bytes(parts)


def put(target: str, name: str, data: bytes) -> None:
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data)


def kernels(folder: Path) -> None:
    """The targets that take sections of a kernel, and those that take whole files."""
    order = sections_of_fuzz_h()
    code = {".text", ".rodata", ".data", ".symtab", ".strtab"}
    for name, compiler, flags in FORMS:
        whole = compile_form(folder, compiler, flags, name)
        elf = Elf(whole.read_bytes())
        put("functions", name, packed(elf, order, "k.c"))
        put("lines", name, packed(elf, order, "*.c"))
        put("types", name, packed(elf, order, "pcpu.clock[1].name[2]"))
        put("types", name + "-bits", packed(elf, order, "reg.high"))
        put("abbrevs", name, bytes([3]) + elf.bytes[".debug_abbrev"])
        for number, text in enumerate(["TSC not initialized", "Statistical lapic calibration failed!  3",
                                       "pvclock went back"]):
            put("messages", f"{name}-{number}", packed(elf, order, text, code))
        put("insns", name, packed(elf, order, "%&'()"[len(name) % 5], code))
    for name, words in [("stripped", ["--strip-debug"]), ("zlib", ["--compress-debug-sections=zlib"]),
                        ("gnu", ["--compress-debug-sections=zlib-gnu"]), ("nosections", ["--strip-all"]),
                        ("debuglink", ["--strip-all", f"--add-gnu-debuglink={folder / 'gcc5'}"])]:
        subprocess.run(["objcopy", *words, str(folder / "gcc5"), str(folder / name)], check=True)
        put("elf", name, (folder / name).read_bytes())
    for name in ("gcc5", "gcc32", "types5"):
        put("elf", name, (folder / name).read_bytes())
    for name, flags in [("module", ["-g"]), ("module32", ["-g", "-m32"]), ("modulez", ["-g", "-gz"])]:
        subprocess.run(["gcc", "-O2", "-c", "-ffreestanding", "-fno-pie", *flags, f"-fdebug-prefix-map={folder}=/src",
                        "k.c", "-o", name], cwd=folder,
                       check=True)
        put("elf", name, (folder / name).read_bytes())
    subprocess.run(["gcc", "-O2", "-g", "-fPIC", "-shared", "-nostdlib", f"-fdebug-prefix-map={folder}=/src", "k.c",
                    "-o", "shared", "-Wl,-n", "-Wl,-z,pack-relative-relocs"], cwd=folder, check=True)
    put("elf", "shared", (folder / "shared").read_bytes())


ALTERNATIVES = """
\t.text
\t.globl one
one:\tcpuid
\tnop
\trdmsr
\tret
\t.section .altinstr_replacement,"ax"
repl:\trdtscp
\twrmsr
\t.section .altinstructions,"a"
\t.long one - ., repl - .
\t.word 3, 0
\t.byte 3, 3
\t.long one + 3 - ., repl + 3 - .
\t.word 4, 0
\t.byte 2, 2
"""


def alternatives(folder: Path) -> None:
    (folder / "a.S").write_text(ALTERNATIVES, encoding="ascii")
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-Ttext=0x10000", "-Wl,-e,one",
                    "-Wl,--section-start=.altinstructions=0x400000",
                    "-Wl,--section-start=.altinstr_replacement=0x500000", "a.S", "-o", "a"], cwd=folder, check=True)
    put("insns", "alternatives", packed(Elf((folder / "a").read_bytes()), sections_of_fuzz_h(), "'"))


GRAPH = """
int level;
struct method { int op; int (*func)(void); };
__attribute__((noinline)) void leaf(void) { __asm__ volatile("nop"); }
__attribute__((noinline)) int answer(void) { return level; }
__attribute__((noinline)) int identify(void) { if (level != 5) return 0; leaf(); level = 2; return 1; }
__attribute__((noinline)) int attach(void) { leaf(); level = 3; return 0; }
const struct method methods[] = { { 1, identify }, { 2, answer }, { 3, attach }, { 0, 0 } };
const struct method *volatile used = methods;
__attribute__((noinline)) static void twin(void (*what)(void)) { level = what != 0; }
void _start(int n)
{
\tunsigned int a = 1, b, c = 0, d;
\t__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
\tif ((b & 0x40) && answer() == 3)
\t\tleaf();
\tfor (const struct method *m = used; m->op; m++)
\t\tm->func();
\ttwin(leaf);
\tif (n == 4)
\t\tattach();
}
"""


def graphs(folder: Path) -> None:
    """Each kind of way from one function to another."""
    code = {".text", ".rodata", ".data", ".symtab", ".strtab"}
    for name, compiler, flags in FORMS:
        (folder / "g.c").write_text(GRAPH, encoding="ascii")
        subprocess.run([compiler, *KERNEL, *flags, f"-fdebug-prefix-map={folder}=/src", "g.c", "-o", f"g-{name}"],
                       cwd=folder, check=True)
        elf = Elf((folder / f"g-{name}").read_bytes())
        for function in ("leaf", "attach", "twin"):
            put("graph", f"{name}-{function}", packed(elf, sections_of_fuzz_h(), function,
                                                      None if function == "leaf" else code))


BOUNDARIES = """
\t.text
\t.type one,@function
one:\tnop
\t.byte 0x2e
\t.size one,.-one
\t.type two,@function
two:\tout %al,(%dx)
\t.byte 0x0f
\t.size two,.-two
\t.type three,@function
three:\t.byte 0xa2
\tcpuid
\t.size three,.-three
"""


def boundaries(folder: Path) -> None:
    """Instructions that run into the next function."""
    (folder / "b.S").write_text(BOUNDARIES, encoding="ascii")
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-Ttext=0x10000", "-Wl,-e,one",
                    "b.S", "-o", "b"], cwd=folder, check=True)
    for number, question in enumerate("%&"):
        put("insns", f"boundaries-{number}", packed(Elf((folder / "b").read_bytes()), sections_of_fuzz_h(), question))


LINES = """0xffffffff80202d80 lapic_init x86/local_apic.c:67 function
0xffffffff80203c61 pvclock_scale_delta /src/pvclock.c:27 inlined in pvclock_read_time_info
0xffffffff81000010 native_cpuid asm/processor.h:214 insn in probe for 0xffffffff81abcdef
     8      8 pvclock_vcpu_time_info.tsc_timestamp uint64_t
{"address": "0xffffffff80209ab0", "name": "tsc_freq", "file": "tsc.c", "line": 16, "kind": "object", "type": "u\\u00e9"}
# tsc_init /src/tsc.c:102 function
# also tsc_start /src/tsc.c:102 function
break *0xffffffff802055a0
tsc_freq
tsc.c:102
"""


def texts() -> None:
    put("input", "lines", b"\0" + LINES.encode())
    put("input", "crlf", b"\0" + LINES.replace("\n", "\r\n").encode())
    put("input", "record", b"\1lapic_init.cold\0x86/[a]*.c\0")
    put("input", "odd", b"\1na me\\\"\xff\xc3\xa9\0a b/\t:12\0")
    put("entries", "list", "".join(line + "\n" for line in LINES.splitlines()[:3]).encode())
    put("entries", "bad", b"0x10 \"name\" file:1 function\n")
    formats = [("Statistical lapic calibration failed!", "Statistical %s calibration failed!  Clocks\n"),
               ("TSC at 2596 MHz", "%s: TSC at %d MHz"), ("x86/pvclock.c", "./sys/../x86//pvclock.c"),
               ("cpu0: 50% done 0x1f", "cpu%u: %d%% done %#lx"), ("*/*[a-c]?.c", "a/b/abc.c"),
               ("plain text", "some plain text")]
    for number, (text, form) in enumerate(formats):
        put("match", str(number), text.encode() + b"\0" + form.encode())


def sequences() -> None:
    calls = bytes([1, 2, *[3, 4] * 20, 5, 6, 7, 8])
    put("align", "loop", calls + b"\xff" + bytes([1, 2, *[3, 4] * 31, 5, 6, 7, 8]))
    put("align", "dropped", calls + b"\xff" + calls[:20] + calls[21:])
    put("align", "moved", calls + b"\xff" + calls[42:] + calls[:42])
    put("align", "other", calls + b"\xff" + bytes(range(40, 90)))


def traces() -> None:
    """Blocks as the plugin writes them, with and without their header line; and JSON Lines."""
    sys.path[:0] = [str(HERE.parents[1] / "gdb"), str(HERE.parents[1] / "tests")]
    import blocks  # pylint: disable=import-outside-toplevel

    head = blocks.header(args=["rdi"])
    names = blocks.functions({0: (0xffffffff80200000, "main"), 1: (0xffffffff80200100, "leaf"),
                              300: (0x1000, "far")})
    sites = blocks.sites({0: 0xffffffff80200011, 7: 0xffffffff80200111})
    events = blocks.events(0, [(10 * i, i % 2, i % 8 and None, ()) for i in range(1, 40)])
    values = blocks.events(1, [(15, 300, 7, (1, 2**64 - 1)), (200, 0, None, ())], 3)
    lines = blocks.console([(12, "hello"), (300, b"\xff\0")])
    hit = {"t": 17, "vcpu": 0, "kind": "hit", "function": "g", "address": "0x10"}
    others = blocks.objects([{"t": 16, "vcpu": 1, "kind": "inject"}, {**hit, "place": "inlined"}])
    counts = blocks.counts([(0, 5, 3, 1), (300, 1, 900, 0)])
    end = blocks.end(400)
    put("trace", "all", b"\0" + names + sites + events + values + lines + others + counts + end)
    put("trace", "walk", b"\2" + names + sites + values + events + lines + end)
    put("trace", "counts", b"\0" + names + counts + end)
    put("trace", "cut", b"\0" + names + sites + events[:-9])
    put("trace", "whole", b"\1" + head + names + sites + events + end)
    rows = [{"format": "bootsonde-trace", "version": 1},
            {"seq": 0, "t": 5, "vcpu": None, "kind": "console", "text": "hi"},
            {"seq": 1, **hit, "caller": {"function": "g"}},
            {"seq": 2, "t": 7, "kind": "end", "outcome": "passed"}]
    put("trace", "lines", b"\1" + "".join(json.dumps(row) + "\n" for row in rows).encode())
    events = [{"t": 3, "vcpu": 0, "kind": "msr", "access": "write", "msr": "0x12", "value": "0x22a041",
               "function": "f+0x1"},
              {"t": 4, "vcpu": 1, "kind": "hit", "function": "a = {b}", "address": "0x10", "file": "x\n/y:1", "line": 7,
               "args": [{"name": "rdi", "value": "0xffffffff80200000"}, {"name": "return", "value": "0x5"}]},
              {"t": 5, "kind": "inject", "target": " code ", "text": "}"},
              {"t": 6, "kind": "console", "text": "\u0000[    0.1] # 12 MHz at 0xffffffff80200000 \r"},
              {"t": 7, "kind": "end", "outcome": "stopped", "reason": " the \"end\"\\ "}]
    header = {"format": "bootsonde-trace", "version": 1, "args": ["rdi", "return"], "kernel": {"name": "k\n"},
              "qemu": {"version": "7", "arguments": ["q", "-append", " a ", "-smp", "2"]}}
    put("trace", "session", b"\1" + "".join(json.dumps(row) + "\n" for row in [header, *events]).encode())


BASELINE = r"""# A comment.
bootsonde-baseline 1

[boot]
functions = tsc_*
append =

[recorded]
kernel = clockguest
build-id = 5d8b9cf563cfe9401196c0128303dec1eb83f46f
option = -append console=ttyS0\x20
option = -smp 2
clock = icount
listed = {"all":true}
args = ["rdi","return"]

[compare]
console = text
slower = 10%
ignore = lapic_handle_*
ignore-values = tsc\_init
ignore-line = random: *
ignore-numbers = tsc: # MHz

[durations]
(whole boot) = 31234 us
i8254_delay = 9999 us

[console]
    tsc: 2596.128 MHz
    \# panic: TSC not initialized\x0d

[vcpu 0]
    tsc_init {rdi=0x320, return=(address)}
    5 times {
        3 times {
            lapic_write32
        }
        }b {}
    }

[session]
    inject tsc_freq in tsc_init {after=0x5}

[functions]
tsc_init = guest/tsc.c:104

[end]
reason = the console shows "panic: TSC not initialized"
outcome = stopped
"""


def baselines() -> None:
    """Texts; and, behind a byte 0xff, ids that are to become loops."""
    put("baseline", "text", BASELINE.encode())
    put("baseline", "crlf", BASELINE.replace("\n", "\r\n").encode())
    put("baseline", "short", b"bootsonde-baseline 1\n[vcpu 1]\n a\n[end]\noutcome = exit\n")
    put("baseline", "loops", b"\xff" + bytes([1, *[2, *[3] * 5, 4] * 6, *[5, 6] * 3, *[2, *[3] * 5, 4] * 2, 7]))
    put("baseline", "plain", b"\xff" + bytes(range(60)))


def main() -> int:
    shutil.rmtree(CORPUS, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="seeds-") as name:
        kernels(Path(name))
        alternatives(Path(name))
        graphs(Path(name))
        boundaries(Path(name))
    texts()
    sequences()
    traces()
    baselines()
    seeds = [path for path in CORPUS.rglob("*") if path.is_file()]
    print(f"{len(seeds)} seeds, {sum(path.stat().st_size for path in seeds)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
