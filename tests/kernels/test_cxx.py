"""A kernel in C++: DWARF has its functions by the names in the source, its symbol table by others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from labkit import Lab
from unikernel import unikernel

SOURCE = """
struct Console {
    NOINLINE void put(const char *text) { say(text); }
    NOINLINE void line(const char *text) { put(text); put("\\\\n"); }
} console;
extern "C" int main() { console.line("up"); say("login:"); return 0; }
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    if not shutil.which("g++"):
        pytest.skip("no g++ on this machine")
    return unikernel(tmp_path, SOURCE, suffix=".cc")


def test_who_called_whom(lab: Lab, kernel: Path, cprobe: Path) -> None:
    """Each is one function with its entries: none is taken for a copy that is inlined in itself."""
    lab.command(lab.words("trace", "--kernel", kernel, "-o", "boot")).expect(0)
    shown = lab.command([str(cprobe), "tree", str(kernel), "boot", "--format", "json"]).expect(0).out
    lines = [json.loads(line) for line in shown.splitlines()]
    calls = [(line["depth"], line["name"].partition(".")[0], line["count"]) for line in lines
             if line["kind"] in ("function", "caller")]
    assert [(depth - calls[-3][0], name, count) for depth, name, count in calls[-3:]] == [
        (0, "main", 1), (1, "line", 1), (2, "put", 2)]
    top = lab.command([str(cprobe), "top", str(kernel), "boot"]).expect(0).out
    assert "put" in top and "inlined in" not in top


def test_an_exact_replay_goes_to_a_function_by_its_name_in_the_source(lab: Lab, kernel: Path) -> None:
    lab.command(lab.words("record", "--exact", "--kernel", kernel, "-o", "boot")).expect(0)
    shown = lab.command(lab.words("replay", "--exact", "boot", "--at", "put#2")).expect(0).out
    assert "put" in shown.splitlines()[0]
    done = lab.command(lab.words("replay", "--exact", "boot", "--at", "put#99")).expect(2)
    assert "is entered 2 times in this boot" in done.err


def test_a_trace_ends_at_a_function_by_its_name_in_the_source(lab: Lab, kernel: Path) -> None:
    done = lab.command(lab.words("trace", "--kernel", kernel, "-o", "boot", "--stop-at", "put")).expect(0)
    assert "passed: put was reached" in done.out + done.err
