"""Functions of one name, of which each is one of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from labkit import Lab
from unikernel import unikernel

METHODS = """
struct Clock { virtual int probe() = 0; };
struct Tsc : Clock { int probe() override; };
struct Pvclock : Clock { int probe() override; };
NOINLINE int Tsc::probe() { say("tsc"); return 1; }
NOINLINE int Pvclock::probe() { say("pvclock"); return 2; }
Tsc tsc;
Pvclock pvclock;
Clock *volatile all[] = { &tsc, &pvclock };
extern "C" int main() { all[0]->probe(); all[0]->probe(); say("login:"); return 0; }
"""

COPIES = """
static inline int twice(int a) { __asm__ volatile("nop"); return a * 2; }
volatile int input = 3;
int (*volatile whole)(int) = twice;
int main(void) { int sum = twice(input) + twice(sum) + whole(3); say("login:"); return sum; }
"""


def test_the_one_that_never_ran_is_told(lab: Lab, tmp_path: Path) -> None:
    if not shutil.which("g++"):
        pytest.skip("no g++ on this machine")
    kernel = unikernel(tmp_path, METHODS, suffix=".cc")
    lab.scenario("probes", 'scenario.at(Functions("probe"))')
    done = lab.run("probes.py", "--kernel", kernel).expect(0)
    lines = (tmp_path / "unikernel.cc").read_text().splitlines()
    line = {name: next(number for number, text in enumerate(lines, 1) if f"{name}::probe()" in text)
            for name in ("Tsc", "Pvclock")}
    assert (f"probe: 1 of 2 hit\n  hit:   probe (unikernel.cc:{line['Tsc']}) 2\n"
            f"  never: probe (unikernel.cc:{line['Pvclock']})\n") in done.out


def test_a_function_and_its_inlined_copies_are_one(lab: Lab, tmp_path: Path) -> None:
    kernel = unikernel(tmp_path, COPIES)
    lab.scenario("copies", 'scenario.at(Functions("twice"))')
    done = lab.run("copies.py", "--kernel", kernel).expect(0)
    assert "twice: 1 of 1 hit\n  hit:   twice 3\n" in done.out
