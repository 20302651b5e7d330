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
