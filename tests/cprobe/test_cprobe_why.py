"""why and next: what stands between functions that ran and one that did not."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cprobe_kit import Build, Cprobe, nm
from whykit import ALL, SOURCE, write_trace

RAN = ("_start by_variable by_returned answer by_cpuid by_argument by_bit by_tail two_ways registers give around bus "
       "dev_identify use_hooks plain_open run_set run_near").split()
VARIANTS = [(compiler, level) for compiler in ("gcc", "clang") for level in ("-O0", "-O1", "-O2", "-Os")]


class Asks:
    """One kernel, and traces of it."""

    def __init__(self, probe: Cprobe, kernel: Path) -> None:
        self.probe, self.kernel = probe, kernel

    def trace(self, ran: list[str] | None = None, **more: Any) -> Path:
        return write_trace(self.kernel.parent / "a.trace", self.kernel, RAN if ran is None else ran,
                           more.pop("listed", ALL), **more)

    def place(self, function: str, **more: Any) -> dict[str, Any]:
        """The only place of a function."""
        records = self.probe.records("why", self.kernel, function, self.trace(**more))
        assert len(records) == 1, records
        return records[0]

    def words(self, function: str, **more: Any) -> str:
        done = self.probe.run("why", self.kernel, function, self.trace(**more))
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def plain(probe: Cprobe, build_elf: Build) -> Asks:
    return Asks(probe, build_elf({"k.c": SOURCE}, ["-g", "-w", "-O2"]))


@pytest.fixture(params=VARIANTS, ids=lambda value: "".join(value))
def asks(request: pytest.FixtureRequest, probe: Cprobe, build_elf: Build) -> Asks:
    compiler, level = request.param
    return Asks(probe, build_elf({"k.c": SOURCE}, ["-g", "-w", level], compiler))


def chain(reason: dict[str, Any]) -> list[str]:
    """Names from what ran to the function, and in between how each leads to the next."""
    return [word for link in reason["chain"] for word in (link.get("name", "?"), link.get("link", "")) if word]


def test_what_is_tested(asks: Asks) -> None:
    """A variable, an answer, the CPU's word, an argument and a bit, by every compiler."""
    expected = {"leaf_variable": ("by_variable", "level == 7", "variable"),
                "leaf_returned": ("by_returned", "answer() != 0", "returned"),
                "leaf_argument": ("by_argument", "flags == 8", "argument"),
                "leaf_bit": ("by_bit", "(level & 0x40) != 0", "variable"),
                "leaf_tail": ("by_tail", "level == 9", "variable")}
    for leaf, (caller, condition, source) in expected.items():
        place = asks.place(leaf)
        assert place["state"] == "did not run"
        reason, = place["reasons"]
        assert chain(reason) in ([caller, "call", leaf], [caller, "jump", leaf])
        assert reason["chain"][0]["state"] == "ran" and not reason["chain"][0]["inferred"]
        test, = reason["tests"]
        assert (test["condition"], test["source"], test["held"], test["by"]) == (condition, source, False, leaf)
        line = SOURCE.splitlines()[test["line"] - 1]
        assert "if (" in line and line.split("(")[1][:3] in condition


def test_what_the_cpu_said(asks: Asks) -> None:
    test, = asks.place("leaf_cpuid")["reasons"][0]["tests"]
    assert test["source"] == "cpu"
    assert test["condition"] in ("cpuid(0x40000000).ebx == 0x4b4d564b", "cpuid().ebx == 0x4b4d564b")


def test_every_caller_has_a_reason(asks: Asks) -> None:
    reasons = asks.place("leaf_shared")["reasons"]
    assert [r["chain"][0]["name"] for r in reasons] == ["two_ways", "_start", "_start"]
    assert {r["chain"][-2]["name"] for r in reasons} == {"two_ways", "kvm_start", "xen_start"}


def test_limit(plain: Asks) -> None:
    done = plain.probe.run("why", plain.kernel, "leaf_shared", plain.trace(), "--limit", "1")
    assert done.returncode == 0 and "xen_start" not in done.stdout
    assert "2 more reasons are left out" in done.stdout


def test_way_that_went(plain: Asks) -> None:
    """What is called on one side alone shows where the branch went."""
    place = plain.place("leaf_shared", ran=[*RAN, "kvm_start"])
    first = next(r for r in place["reasons"] if chain(r)[0] == "kvm_start")
    assert "tests" not in first
    test, = plain.place("by_tail", ran=["_start", "kvm_start"])["reasons"][0].get("tests", [None])
    assert test is None
    words = plain.words("leaf_argument", ran=["_start", "by_variable", "by_argument", "leaf_variable"])
    assert "never held, as leaf_argument was not called" in words


def test_methods_are_a_chain(asks: Asks) -> None:
    """A driver's table: the method that ran and gave up shows why the next one was not called."""
    place = asks.place("dev_attach")
    reason = next(r for r in place["reasons"] if r["chain"][0]["name"] == "dev_identify")
    names = [link.get("name") for link in reason["chain"]]
    if "dev_methods" not in names:
        pytest.skip("the compiler called the methods by their names")
    assert chain(reason) == ["dev_identify", "method", "dev_methods", "holds", "dev_attach"]
    assert all(link["inferred"] for link in reason["chain"][:-1])
    assert [(m["name"], m["state"]) for m in reason["methods"]] == [
        ("dev_identify", "ran"), ("dev_probe", "did not run"), ("dev_attach", "did not run")]
    assert reason["toward"] == "witness"
    assert [t["condition"] for t in reason["tests"]] == ["level == 5"]


def test_table_that_nobody_used(plain: Asks) -> None:
    """Through the table, what points to it, and what uses that, to the code that ran."""
    reasons = plain.place("dev_attach", ran=["_start", "bus"])["reasons"]
    assert any(chain(r)[:2] == ["bus", "uses"] and chain(r)[-3:] == ["dev_methods", "holds", "dev_attach"]
               for r in reasons), [chain(r) for r in reasons]


def test_called_through_a_pointer(asks: Asks) -> None:
    reason, = asks.place("plain_close")["reasons"]
    assert chain(reason) == ["use_hooks", "through", "hooks", "holds", "plain_close"]
    assert [t["condition"] for t in reason["tests"]] == ["level == 4"]


def test_address_that_is_taken(asks: Asks) -> None:
    reason, = asks.place("leaf_callback")["reasons"]
    assert chain(reason) == ["registers", "address", "leaf_callback"]
    assert "who is given it calls" in asks.words("leaf_callback")


def test_sets_of_the_linker(asks: Asks) -> None:
    """FreeBSD's way, a set of pointers to structs, and Linux's, distances of 32 bits."""
    one = asks.place("init_one")["reasons"]
    assert ["run_set", "uses", "one_set", "points", "one_init", "holds", "init_one"] in [chain(r) for r in one]
    near = asks.place("init_near")["reasons"]
    assert any(r["chain"][0]["name"] == "run_near" and r["chain"][1]["section"] == "initcall_near" for r in near)


def test_inlined(asks: Asks) -> None:
    records = [r for r in asks.probe.records("why", asks.kernel, "small", asks.trace()) if r["kind"] == "inlined"]
    assert [(r["outer"], r["state"]) for r in records] == [("around", "ran")]
    assert "is inlined at" in asks.words("small") and "in around, which ran" in asks.words("small")
    assert "in around, which did not run: ask why of that" in asks.words("small", ran=["_start"])


def test_it_ran(plain: Asks) -> None:
    place = plain.place("two_ways", times={"two_ways": [3_000_000, 5_000_000]})
    assert (place["state"], place["count"], place["first"], place["vcpu"]) == ("ran", 2, 3_000_000, 0)
    words = plain.words("two_ways", times={"two_ways": [3_000_000, 5_000_000]})
    assert "ran 2 times, first at 0.003000 s on vCPU 0" in words


def test_not_recorded(plain: Asks) -> None:
    """Where the trace cannot tell, nothing is said to have been left out."""
    for listed in (None, {"files": [], "functions": ["by_*"]}):
        words = plain.words("leaf_deep", listed=listed, ran=["_start", "bus"])
        assert "leaf_deep" in words and "was not recorded" in words and "leaf_deep (" in words
        assert "dev_attach did not run" not in words
    assert plain.place("leaf_bit", listed={"files": [], "functions": ["leaf_*"]})["state"] == "did not run"
    assert plain.place("leaf_bit", listed={"files": ["k.c"], "functions": []})["state"] == "did not run"
    assert plain.place("leaf_bit", listed={"files": ["other.c"], "functions": []})["state"] == "not recorded"


def test_what_a_list_of_everything_has_not(probe: Cprobe, build_elf: Build) -> None:
    """Code that only a symbol without a type names, as Linux's interrupt entries: all is what `cprobe list` has."""
    source = ('__asm__(".text\\n.globl entry\\nentry: ret\\n.size entry, . - entry\\n"); void entry(void); int level;'
              'void typed(void) { __asm__ volatile(""); } void _start(void) { if (level) { entry(); typed(); } }')
    kernel = build_elf({"k.c": source}, ["-g", "-O0"])
    for listed, state in ((ALL, "not recorded"), ({"files": [], "functions": ["entry"]}, "did not run")):
        trace = write_trace(kernel.parent / "t", kernel, ["_start"], listed)
        record, = probe.records("why", kernel, "entry", trace)
        assert record["state"] == state
        row, = probe.records("coverage", kernel, trace, "--func", "entry")
        assert row["state"] == {"did not run": "not hit"}.get(state, state)
    record, = probe.records("why", kernel, "typed", write_trace(kernel.parent / "t", kernel, ["_start"], ALL))
    assert record["state"] == "did not run"


def test_not_called_since(plain: Asks) -> None:
    """What last ran before the method did was not called by it; what ran later may have been."""
    before = {"witness": [500], "dev_identify": [9_000]}
    after = {"witness": [500, 10_000], "dev_identify": [9_000]}
    ran = ["_start", "bus", "dev_identify", "witness"]
    assert "dev_identify returned without calling witness" in plain.words("dev_attach", ran=ran, times=before)
    assert "what dev_identify returned decides, or whether" in plain.words("dev_attach", ran=ran, times=after)


def test_nothing_refers_to_it(plain: Asks) -> None:
    assert "nothing in this kernel refers to orphan" in plain.words("orphan")
    reason, = plain.place("_start", ran=[])["reasons"]
    assert reason["root"] == "entry"


def test_no_such_function(plain: Asks) -> None:
    done = plain.probe.run("why", plain.kernel, "leaf_variabel", plain.trace())
    assert done.returncode == 1 and not done.stdout
    assert "this kernel has no function leaf_variabel" in done.stderr and "did you mean leaf_variable?" in done.stderr


def test_a_variable_is_no_function(plain: Asks) -> None:
    done = plain.probe.run("why", plain.kernel, "level", plain.trace())
    assert done.returncode == 1 and "why: level is a variable" in done.stderr and "did you mean" not in done.stderr


def test_left_out(probe: Cprobe, build_elf: Build) -> None:
    """DWARF knows a function that the linker removed: that is said, and where it is written."""
    flags = ["-g", "-w", "-O2", "-ffunction-sections", "-Wl,--gc-sections"]
    asks = Asks(probe, build_elf({"k.c": SOURCE}, flags))
    assert "unused" not in nm(asks.kernel)
    record, = probe.records("why", asks.kernel, "unused", asks.trace())
    assert record["kind"] == "declared" and "unused" in SOURCE.splitlines()[record["line"] - 1]
    assert "has no code in this kernel" in asks.words("unused")


TWINS = """
#define DO(x) __asm__ volatile("" : : "r"(x) : "memory")
static __attribute__((noinline)) void twin(void) { DO(%d); }
__attribute__((noinline)) void %s(void) { twin(); DO(2); }
"""


def test_twins(probe: Cprobe, build_elf: Build) -> None:
    """Static functions of one name are two places, each with its own reason."""
    start = "void one(void), two(void); int level; void _start(void) { if (level) one(); two(); }"
    kernel = build_elf({"a.c": TWINS % (1, "one"), "b.c": TWINS % (2, "two"), "s.c": start}, ["-g", "-O2"])
    trace = write_trace(kernel.parent / "t", kernel, ["_start", "two"], ALL)
    places = probe.records("why", kernel, "twin", trace)
    assert [Path(p["file"]).name for p in places] == ["a.c", "b.c"]
    assert [p["reasons"][0]["chain"][0]["name"] for p in places] == ["_start", "two"]


def test_stripped(plain: Asks, tmp_path: Path) -> None:
    """With symbols alone there are chains and tests, no lines; without any, what is missing is said."""
    trace = plain.trace()
    lines = tmp_path / "symbols"
    subprocess.run(["strip", "-g", "-o", lines, plain.kernel], check=True)
    done = plain.probe.run("why", lines, "leaf_variable", trace)
    assert done.returncode == 0 and "level == 7" in done.stdout and "by_variable" in done.stdout
    bare = tmp_path / "bare"
    subprocess.run(["strip", "-o", bare, plain.kernel], check=True)
    done = plain.probe.run("why", bare, "leaf_variable", trace)
    assert done.returncode == 1 and "no symbol table and no DWARF" in done.stderr


def test_by_dwarf_alone(plain: Asks, tmp_path: Path) -> None:
    """Functions that only DWARF names."""
    trace = plain.trace()
    kernel = tmp_path / "dwarf"
    subprocess.run(["objcopy", "--strip-symbol=leaf_variable", "--strip-symbol=by_variable",
                    "--strip-symbol=_start", plain.kernel, kernel], check=True)
    done = plain.probe.run("why", kernel, "leaf_variable", trace)
    assert done.returncode == 0 and "is called by by_variable" in done.stdout, done.stderr


def test_by_address(plain: Asks) -> None:
    address = nm(plain.kernel)["leaf_variable"]
    done = plain.probe.run("why", plain.kernel, hex(address), plain.trace())
    assert done.stdout.startswith("leaf_variable (") and "did not run" in done.stdout


@pytest.mark.parametrize("words,fault", [
    (["why", "K"], "no TRACE given"), (["why", "K", "f"], "one FUNC"), (["why", "K", "a", "b", "T"], "one FUNC"),
    (["why", "K", "leaf_*", "T"], "is a pattern"), (["why", "K", "0xzz", "T"], "is no address"),
    (["next", "K", "T", "--func", "a", "--func", "b"], "given twice"),
    (["why", "K", "f", "T", "--limit", "x"], "no number")])
def test_usage(plain: Asks, words: list[str], fault: str) -> None:
    names = {"K": str(plain.kernel), "T": str(plain.trace())}
    done = plain.probe.run(*[names.get(word, word) for word in words])
    assert done.returncode == 2 and fault in done.stderr


def test_next_without_function(plain: Asks) -> None:
    """Calls in what ran of what did not, those of the function that came last first."""
    done = plain.probe.run("next", plain.kernel, plain.trace(), "--format", "json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and {r["kind"] for r in records} == {"insn"}
    toward = [r["toward"] for r in records]
    assert {"leaf_variable", "leaf_returned", "leaf_tail", "kvm_start", "xen_start"} <= set(toward)
    assert "dev_attach" not in toward and "by_variable" not in toward
    assert toward.index("leaf_tail") < toward.index("leaf_variable")
    limited = plain.probe.run("next", plain.kernel, plain.trace(), "--limit", "2")
    assert len(limited.stdout.splitlines()) == 2 and f"{len(records) - 2} more places are left out" in limited.stderr


def test_next_toward_a_function(plain: Asks) -> None:
    records = plain.probe.records("next", plain.kernel, plain.trace(), "--func", "leaf_variable")
    assert [r["kind"] for r in records] == ["check", "insn", "function"]
    check, table = records[0], nm(plain.kernel)
    assert (check["variable"], int(check["variable_address"], 16)) == ("level", table["level"])
    assert int(records[-1]["address"], 16) == table["leaf_variable"]
    script = plain.probe.run("next", plain.kernel, plain.trace(), "--func", "leaf_variable", "--format", "gdb").stdout
    assert [line.split("*")[1] for line in script.splitlines() if line.startswith("break")] == [
        r["address"] for r in records]


def test_nothing_left(probe: Cprobe, build_elf: Build) -> None:
    kernel = build_elf({"k.c": "void a(void) { __asm__ volatile(\"\"); } void _start(void) { a(); }"}, ["-g", "-O0"])
    done = probe.run("next", kernel, write_trace(kernel.parent / "t", kernel, ["_start", "a"], ALL))
    assert done.returncode == 1 and not done.stdout and "nothing is left to break on" in done.stderr
    assert "--func NAME" in done.stderr


def test_next_toward_what_ran(plain: Asks) -> None:
    done = plain.probe.run("next", plain.kernel, plain.trace(["_start", "leaf_variable"]), "--func", "leaf_variable")
    assert done.returncode == 1 and "next: leaf_variable ran" in done.stderr and "--func NAME" not in done.stderr


def debian_trace(kernel: Path, ran: list[str], path: Path) -> Path:
    return write_trace(path / "debian.trace", kernel, ran, ALL)


def test_linux_hypervisor_table(probe: Cprobe, debian_vmlinux: Path, tmp_path: Path) -> None:
    """A boot that is no KVM guest's: the table of the hypervisor, whose detection ran."""
    ran = ["start_kernel", "setup_arch", "init_hypervisor_platform", "kvm_detect"]
    trace = debian_trace(debian_vmlinux, ran, tmp_path)
    for function, between in (("kvm_guest_init", []), ("kvmclock_init", ["kvm_init_platform"])):
        place, = probe.records("why", debian_vmlinux, function, trace)
        reason = place["reasons"][0]
        names = [link["name"] for link in reason["chain"]]
        assert names == ["kvm_detect", "x86_hyper_kvm", *between, function]
        assert reason["methods"][0]["name"] == "kvm_detect"


def test_linux_initcall(probe: Cprobe, debian_vmlinux: Path, tmp_path: Path) -> None:
    """Initcalls are distances of 32 bits in a set; do_initcalls walks it, or what it is inlined in."""
    trace = debian_trace(debian_vmlinux, ["start_kernel", "kernel_init"], tmp_path)
    place, = probe.records("why", debian_vmlinux, "kvm_alloc_cpumask", trace)
    names = [link.get("name", "") for link in place["reasons"][0]["chain"]]
    assert any(name.startswith("__initcall") for name in names), names
    assert names[0] in ("kernel_init", "start_kernel"), names


def test_exported_to_modules(probe: Cprobe, debian_vmlinux: Path, tmp_path: Path) -> None:
    trace = debian_trace(debian_vmlinux, ["start_kernel"], tmp_path)
    place, = probe.records("why", debian_vmlinux, "pvclock_gtod_register_notifier", trace)
    assert place["reasons"][0]["root"] == "exported"


def edges(probe: Cprobe, kernel: Path) -> set[tuple[int, int]]:
    """Direct calls of functions, by the program that the build makes for this."""
    program = probe.path.parent / "tests" / "graph_edges"
    done = subprocess.run([program, kernel], capture_output=True, text=True, timeout=120, check=True)
    return {(int(site, 16), int(entry, 16)) for kind, site, entry in map(str.split, done.stdout.splitlines())
            if kind == "call"}


def objdump_calls(kernel: Path) -> set[tuple[int, int]]:
    calls = set()
    command = ["objdump", "-d", "--no-show-raw-insn", str(kernel)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as objdump:
        assert objdump.stdout is not None
        for line in objdump.stdout:
            found = re.match(r"\s*([0-9a-f]+):\s+(?:[a-z0-9]+ )*?call\s+([0-9a-f]+)\b", line)
            if found:
                calls.add((int(found[1], 16), int(found[2], 16)))
    return calls


def assert_edges_are_objdumps(probe: Cprobe, kernel: Path) -> None:
    """The same calls, but for those that are no function's entry: retpolines call into their own middle."""
    mine, theirs = edges(probe, kernel), objdump_calls(kernel)
    entries = set(nm(kernel).values())
    assert mine and not mine - theirs
    assert {target for _, target in theirs - mine}.isdisjoint(entries)


def test_edges_are_objdumps(probe: Cprobe, asks: Asks) -> None:
    assert_edges_are_objdumps(probe, asks.kernel)


@pytest.mark.long
def test_edges_of_linux_are_objdumps(probe: Cprobe, debian_vmlinux: Path) -> None:
    assert_edges_are_objdumps(probe, debian_vmlinux)


@pytest.mark.parametrize("flags", [["-fPIC", "-pie"], ["-m32", "-fno-pic", "-no-pie", "-static"],
                                   ["-m32", "-fPIC", "-pie"],
                                   ["-fPIC", "-pie", "-fno-plt"]], ids=" ".join)
def test_other_forms_of_code(probe: Cprobe, build_elf: Build, flags: list[str]) -> None:
    """Position-independent kernels, whose pointers are relocated, and i386: calls, methods and addresses are found."""
    free = ["-g", "-w", "-O2", "-ffreestanding", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none"]
    asks = Asks(probe, build_elf({"k.c": SOURCE}, [*free, *flags], kernel=False))
    assert chain(asks.place("leaf_returned")["reasons"][0]) == ["by_returned", "call", "leaf_returned"]
    assert asks.place("leaf_returned")["reasons"][0]["tests"][0]["condition"] == "answer() != 0"
    methods = chain(asks.place("dev_attach")["reasons"][0])
    assert methods == ["dev_identify", "method", "dev_methods", "holds", "dev_attach"]
    if flags != ["-m32", "-fPIC", "-pie"]:  # There the address comes from a table whose own address is not in the code.
        assert chain(asks.place("leaf_callback")["reasons"][0]) == ["registers", "address", "leaf_callback"]


def test_code_in_no_function(probe: Cprobe, build_elf: Build) -> None:
    """A call from code without a name is told by its address."""
    start = ".globl _start\n.type _start,@function\n_start: ret\n.size _start,.-_start\n.Lbare: call lonely\nret\n"
    kernel = build_elf({"a.S": start, "k.c": "void lonely(void) { __asm__ volatile(\"nop\"); }"}, ["-O2", "-g"])
    place, = probe.records("why", kernel, "lonely", write_trace(kernel.parent / "t", kernel, ["_start"], ALL))
    assert place["reasons"][0]["root"] == "outside"
    assert "is entered from code at 0x" in probe.run("why", kernel, "lonely", kernel.parent / "t").stdout


@pytest.mark.parametrize("compiler, level", VARIANTS)
def test_a_test_that_other_ways_do_not_come_to_is_told_from_one_that_all_do(probe: Cprobe, build_elf: Build,
                                                                            compiler: str, level: str) -> None:
    """`leaf` is called where there is no console at all, too."""
    source = """
#define NOINLINE __attribute__((noinline))
int ready, console, locked;
NOINLINE void leaf(void) { __asm__ volatile("" ::: "memory"); }
NOINLINE void print(void) { __asm__ volatile("nop" ::: "memory"); }
NOINLINE void some(void)
{
    if (ready != 3)
        return;
    if (console) {
        if (locked == 5)
            return;
        print();
    }
    leaf();
    __asm__ volatile("" ::: "memory");
}
void _start(void) { some(); }
"""
    kernel = build_elf({"k.c": source}, ["-g", level], compiler)
    trace = write_trace(kernel.parent / "a.trace", kernel, ["_start", "some"], ALL)
    (place,) = probe.records("why", kernel, "leaf", trace)
    assert [(test["condition"], test.get("detour", False)) for test in place["reasons"][0]["tests"]] == [
        ("ready == 3", False), ("locked != 5", True)]
    words = probe.run("why", kernel, "leaf", trace).stdout
    assert re.search(r": ready == 3$", words, re.MULTILINE)
    assert re.search(r": locked != 5, if it comes to that test(: |$)", words, re.MULTILINE)
