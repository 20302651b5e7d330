"""A 32-bit kernel: return addresses are words of 4 bytes, and instructions are what they are in 32-bit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fetched import fetched
from labkit import Lab
from terminals import gdb, launcher
from unikernel import unikernel

#: `inc %eax` is one byte (40), which begins another instruction in 64-bit code.
SOURCE = """
int calls, moved;
NOINLINE void leaf(int a) { calls += a; __asm__ volatile("rdtsc" ::: "eax", "edx"); }
NOINLINE void middle(int a) { leaf(a); leaf(a + 1); __asm__ volatile(""); }
NOINLINE void mover(void) { __asm__ volatile("inc %%eax; movl $7, %0" : "=m"(moved) :: "eax"); }
int main(void) { middle(1); mover(); say("login:"); return 0; }
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    return unikernel(tmp_path, SOURCE, "-m32")


def test_the_caller_of_a_function_is_on_top_of_its_stack(lab: Lab, kernel: Path) -> None:
    lab.scenario("entered", 'scenario.at(Functions(("leaf", "middle")))')
    lab.run("entered.py", "--kernel", kernel).expect(0)
    hits = lab.trace("entered").of_kind("hit")
    assert [(hit["function"], hit["caller"]["function"].split("+")[0]) for hit in hits] == [
        ("middle", "main"), ("leaf", "middle"), ("leaf", "middle")]


def test_the_caller_is_found_from_within_a_function(lab: Lab, kernel: Path) -> None:
    lab.scenario("within", 'scenario.at(Insn("rdtsc"))')
    lab.run("within.py", "--kernel", kernel).expect(0)
    hits = lab.trace("within").of_kind("hit")
    assert [hit["caller"]["function"].split("+")[0] for hit in hits] == ["middle", "middle"]


def test_who_wrote_a_variable_and_all_callers(lab: Lab, kernel: Path) -> None:
    lab.scenario("written", 'scenario.watch("calls")', 'scenario.watch("moved")')
    lab.run("written.py", "--kernel", kernel).expect(0)
    first, second, moved = lab.trace("written").of_kind("watch")
    for event in (first, second):
        assert event["function"] == "leaf"
        assert [each["function"].split("+")[0] for each in event["callers"]] == ["middle", "main", "start"]
    shown = lab.command(["objdump", "-d", "--disassemble=mover", str(kernel)]).expect(0).out
    (line,) = [line for line in shown.splitlines() if "movl" in line and "$0x7" in line]
    place, code, *_ = line.split("\t")
    assert int(moved["address"], 16) == int(place.strip(" :"), 16)
    assert moved["instruction"].startswith(code.strip()[:20])
    assert [each["function"].split("+")[0] for each in moved["callers"]] == ["main", "start"]


def test_the_callers_at_a_place_of_an_exact_replay(lab: Lab, kernel: Path) -> None:
    lab.command(lab.words("record", "--exact", "--kernel", kernel, "-o", "boot")).expect(0)
    shown = lab.command(lab.words("replay", "--exact", "boot", "--at", "leaf#2")).expect(0).out.splitlines()
    chain = [line.split()[1].split("+")[0] for line in shown if line.startswith("  <- ")]
    assert chain == ["middle", "main", "start"]


def test_a_prompt_with_symbols(lab: Lab, kernel: Path) -> None:
    """GDB takes the code for 64-bit code, and trips over its tables of frames."""
    with launcher(lab, kernel=kernel), gdb(lab, BOOTSONDE_GUEST="tty") as debugger:
        scenario = lab.scenario("stops", 'scenario.at(Functions("leaf"))', 'scenario.until("login:")')
        said = debugger.type(f"source {scenario}")
        assert "leaf (" in said and "this kernel is a 32-bit one" in said
        said += debugger.type("bootsonde cpuid 0") + debugger.type("bootsonde skip 1") + debugger.type("info locals")
        assert "highest leaf" in said and "now at leaf+0x" in said
        assert debugger.type("print calls").strip().endswith("= 0")
        said += debugger.type("bootsonde go")
        assert "leaf: 1 of 1 hit\n  hit:   leaf 2" in said and "passed" in said
        assert "Python Exception" not in said and "Call Frame Instruction" not in said
        debugger.type("bootsonde detach")
        assert "currently on" in debugger.type("maintenance show dwarf unwinders"), "the user's own is given back"


def test_the_return_address_that_the_plugin_reads(lab: Lab, kernel: Path, cprobe: Path) -> None:
    qemu = fetched("qemu-backports")
    lab.command(lab.words("trace", "--args", "--kernel", kernel, "-o", "boot"), QEMU=str(qemu)).expect(0)
    lines = lab.command([str(cprobe), "events", "boot", "--format", "json"]).expect(0).out.splitlines()
    back = {event["function"]: int(argument["value"], 16) for event in map(json.loads, lines)
            if event.get("kind") == "hit" for argument in event["args"] if argument["name"] == "return"}
    shown = lab.command([str(cprobe), "symbolize", str(kernel), hex(back["leaf"]), hex(back["middle"])]).expect(0).out
    assert [line.split()[1].split("+")[0] for line in shown.splitlines()] == ["middle", "main"]
