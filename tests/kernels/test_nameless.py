"""Kernels without symbols: code has but the name of its section, so that places are told apart by their addresses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from labkit import Lab
from unikernel import unikernel

#: Of two instructions the boot comes to one.
SOURCE = """
volatile int no;
int main(void)
{
    __asm__ volatile("rdtsc" ::: "eax", "edx");
    if (no)
        __asm__ volatile("rdtsc" ::: "eax", "edx");
    say("login:");
    return 0;
}
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    kernel = unikernel(tmp_path, SOURCE)
    subprocess.run(["strip", "-s", kernel], check=True, timeout=60)
    return kernel


def test_a_place_that_was_never_hit_is_told(lab: Lab, kernel: Path, cprobe: Path) -> None:
    places = re.findall(r"^0x0*(\w+)", lab.command([str(cprobe), "find", str(kernel), "--insn", "rdtsc"]).out, re.M)
    lab.scenario("both", 'scenario.at(Insn("rdtsc"), limit=1)')
    done = lab.run("both.py", "--kernel", kernel).expect(0)
    assert "every rdtsc: 1 of 2 hit\n" in done.out
    hit, never = (re.search(rf"^  {word}: .* at 0x(\w+)", done.out, re.M) for word in ("hit", "never"))
    assert hit and never and sorted((hit[1], never[1])) == sorted(places)
    assert f"no more hits of rdtsc in .text at 0x{hit[1]} are recorded" in done.out


def test_what_is_missing_is_said_with_all_reasons_below_it(lab: Lab, kernel: Path) -> None:
    lab.scenario("missing", 'scenario.at(Insn("rdtsc"))', 'scenario.at(Insn("wbinvd"))')
    done = lab.run("missing.py", "--kernel", kernel).expect(0)
    (first, *rest) = done.out[done.out.index("  note: this kernel has not every wbinvd: "):].splitlines()
    reasons = [line for line in rest if "cprobe: " in line]
    assert reasons and all(line.startswith("    cprobe: ") for line in reasons)
