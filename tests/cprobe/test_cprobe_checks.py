"""find --message proven by running: a debugger that stops at a check and writes its variable changes the outcome."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cprobe_kit import Build, Cprobe

HERE = Path(__file__).parent
# Name in the message of case 1, 2, ... of check_cases.c; what to write where so that the message does not come.
CASES: list[tuple[str, dict[str, str]]] = [
    ("and", {"cpu_feature": "16", "tsc_freq": "1"}), ("or", {"a_flag": "1", "b_flag": "1"}), ("cmp", {"count_x": "7"}),
    ("bit", {"flags_w": "0x4000"}), ("field", {"hv.high": "0x50000000"}), ("retval", {}), ("local", {"loc_freq": "9"}),
    ("switch", {"sw_ok": "1"}), ("pointer", {}), ("array", {"table[3]": "1"}), ("bool", {"boolv": "1"}),
    ("null", {"ptrv": "1"}), ("cold", {"cold_v": "1"}), ("panic", {"pan_v": "1"}), ("two", {"va": "vb", "vb": "va"}),
    ("loop", {"loopv": "100"}), ("shift", {"w3": "8"}), ("store", {"stat_v": "200000"}), ("byte", {"byte_v": "9"}),
    ("nested", {"gone": "1"}), ("mixed", {"nested_b": "1", "nested_a": "1", "byte_v": "9"})]
UNNAMED = {"retval", "pointer"}  # tests of what a call returned, of what a pointer points to

STATIC = ["-fno-pie", "-no-pie", "-static"]
PIE = ["-fPIE", "-static-pie", "-Wl,--no-dynamic-linker"]
VARIANTS = [("gcc", level, STATIC, []) for level in ("-O0", "-O1", "-O2", "-O3", "-Os")] + \
    [("clang", level, STATIC, []) for level in ("-O0", "-O1", "-O2", "-Os")] + \
    [(compiler, level, PIE, []) for compiler in ("gcc", "clang") for level in ("-O0", "-O2")] + \
    [("gcc", "-O2", [*STATIC, "-fno-omit-frame-pointer"], []), ("gcc", "-O2", [*STATIC, "-m32"], []),
     ("gcc", "-O0", [*STATIC, "-m32"], []), ("clang", "-O2", [*STATIC, "-m32"], []),
     ("gcc", "-O0", [*STATIC, "-mcmodel=large"], []), ("clang", "-O2", [*STATIC, "-mcmodel=large"], []),
     ("gcc", "-O2", STATIC, ["-g"]), ("gcc", "-O2", STATIC, ["-s"]), ("gcc", "-Os", STATIC, ["-s"]),
     ("gcc", "-O0", STATIC, ["-s"]), ("clang", "-O2", STATIC, ["-s"])]


def prove(elf: Path, found: dict[str, list[dict[str, object]]], folder: Path) -> dict[str, dict[str, object]]:
    """Run every case under gdb; answers by the number of the case."""
    cases = {str(i): {"records": found[name], "values": values} for i, (name, values) in enumerate(CASES, 1)}
    (folder / "checks.json").write_text(json.dumps(cases))
    header = subprocess.run(["readelf", "-h", elf], capture_output=True, text=True, check=True).stdout
    entry = next(line.split()[-1] for line in header.splitlines() if "Entry point" in line)
    env = {**os.environ, "CHECKS": str(folder / "checks.json"), "PROOF": str(folder / "proof.json"), "ENTRY": entry}
    done = subprocess.run(["gdb", "-nx", "-batch", "-x", HERE / "check_proof.py", elf], env=env, capture_output=True,
                          text=True, check=False, timeout=120)
    assert (folder / "proof.json").exists(), done.stdout[-2000:] + done.stderr[-2000:]
    answers: dict[str, dict[str, object]] = json.loads((folder / "proof.json").read_text())
    return answers


@pytest.mark.parametrize("compiler,level,flags,strip", VARIANTS,
                         ids=lambda v: v if isinstance(v, str) else "".join(v).replace("-Wl,--no-dynamic-linker", ""))
def test_writing_the_variable_at_the_check_changes_the_outcome(
        probe: Cprobe, build_elf: Build, tmp_path: Path, compiler: str, level: str, flags: list[str],
        strip: list[str]) -> None:
    if not shutil.which("gdb"):
        pytest.skip("no gdb on this machine")
    elf = build_elf({"check_cases.c": (HERE / "check_cases.c").read_text()},
                    [level, "-g", "-w", "-ffreestanding", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none",
                     *flags], compiler, kernel=False)
    asked = elf
    if strip:
        asked = tmp_path / "stripped"
        subprocess.run(["strip", *strip, elf, "-o", asked], check=True)
    found = {name: probe.records("find", asked, "--message", f"msg {name} case") for name, _ in CASES}
    answers = prove(elf, found, tmp_path)
    for number, (name, values) in enumerate(CASES, 1):
        answer = answers[str(number)]
        assert answer["stops"], (name, "no check was reached")
        if name in UNNAMED:
            assert not [r for r in found[name] if r.get("variable")], name
        else:
            assert answer["exit"] == 0 and answer["wrote"], (name, answer, found[name])
    assert set(answers["1"]["wrote"]) == {"cpu_feature", "tsc_freq"}  # type: ignore[call-overload]


def test_a_field_says_where_it_is(probe: Cprobe, build_elf: Build) -> None:
    elf = build_elf({"check_cases.c": (HERE / "check_cases.c").read_text()},
                    ["-O2", "-g", "-w", "-ffreestanding", "-nostdlib", *STATIC], kernel=False)
    check = next(r for r in probe.records("find", elf, "--message", "msg field case") if r["kind"] == "check")
    whole = probe.records("symbol", elf, "hv")[0]
    assert (check["variable"], check["variable_size"]) == ("hv", 4)
    assert int(check["variable_address"], 16) == int(whole["address"], 16) + 4


def test_a_stack_canary_guards_nothing(probe: Cprobe, build_elf: Build) -> None:
    source = """
int bad, sink;
unsigned long __stack_chk_guard;
void __stack_chk_fail(void) { for (;;) ; }
__attribute__((noinline)) void say(const char *t) { sink = *t; }
__attribute__((noinline)) void fill(char *p) { *p = 1; }
void work(void) { char b[64]; fill(b); if (bad) say("it is bad indeed"); }
void _start(void) { work(); }
"""
    kernel = build_elf({"a.c": source}, ["-O2", "-g", "-fstack-protector-all", "-mstack-protector-guard=global"])
    checks = [r for r in probe.records("find", kernel, "--message", "it is bad indeed") if r["kind"] == "check"]
    assert {c.get("variable") for c in checks} == {"bad"}
