"""What holds for every kernel: the reference guest, its clang build, what Debian has that nobody here wrote (Linux,
GRUB, memtest86+, Xen), and those of $BOOTSONDE_TEST_KERNELS=K[:K...].

Nothing here assumes an operating system, symbols or debug data. Each test draws a sample that is the same every time.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from fetched import fetched
from labkit import Lab

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BOOTSONDE_BUILD", ROOT / "build"))
SAMPLE = 60


def candidates() -> list[Path | str]:
    """Paths, and names of what launch/fetch.sh has: WHAT/FILE."""
    named = [Path(path).absolute() for path in os.environ.get("BOOTSONDE_TEST_KERNELS", "").split(":") if path]
    clang = ROOT / "build-clang" / "guest" / "clockguest"
    return [BUILD / "guest" / "clockguest", *([clang] if clang.exists() else []), *named,
            "debian-kernel/vmlinux", "other-kernels/grub", "other-kernels/memtest", "other-kernels/xen"]


@pytest.fixture(params=candidates(), ids=lambda named: "-".join(Path(named).parts[-3:]))
def kernel(request: pytest.FixtureRequest) -> Path:
    if isinstance(request.param, str):
        what, _, file = request.param.partition("/")
        return fetched(what) / file
    path: Path = request.param
    assert path.is_file(), f"no kernel {path}"
    return path


@pytest.fixture
def elf(kernel: Path) -> Path:
    """The kernel, if cprobe can look into it."""
    with kernel.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            pytest.skip("no ELF file")
    return kernel


def ask(cprobe: Path, *words: str | Path, status: tuple[int, ...] = (0,), text: str | None = None) -> str:
    """cprobe's answer as text."""
    done = subprocess.run([cprobe, *words], input=text, stdin=None if text is not None else subprocess.DEVNULL,
                          capture_output=True, text=True, errors="surrogateescape", timeout=60, check=False)
    assert done.returncode in status, f"{words}: status {done.returncode}\n{done.stderr}"
    assert done.returncode == 0 or done.stderr.strip(), f"{words}: nothing is said"
    return done.stdout


def functions_by_nm(cprobe: Path, kernel: Path) -> dict[str, set[int]]:
    """Text symbols of the kernel, or of the debug file that cprobe says it uses: name to addresses."""
    info = json.loads(ask(cprobe, "info", kernel, "--format", "json"))
    names: dict[str, set[int]] = defaultdict(set)
    for path in {str(kernel), info.get("debug_file") or str(kernel)}:
        for option in ([], ["-D"]):
            shown = subprocess.run(["nm", *option, path], capture_output=True, text=True, errors="surrogateescape",
                                   timeout=60, check=False).stdout
            for line in shown.splitlines():
                fields = line.split(" ", 2)
                if len(fields) == 3 and fields[1] in "tTwWi" and not re.search(r"[\s*?\[\\]", fields[2]):
                    names[fields[2]].add(int(fields[0], 16))
    return names


def drawn(names: dict[str, set[int]], most: int = SAMPLE) -> list[str]:
    return random.Random(1).sample(sorted(names), min(most, len(names)))


def test_info_agrees_with_readelf(cprobe: Path, elf: Path) -> None:
    shown = subprocess.run(["readelf", "-hn", elf], capture_output=True, text=True, timeout=60, check=False).stdout
    info = json.loads(ask(cprobe, "info", elf, "--format", "json"))
    entry = re.search(r"Entry point address:\s+(\w+)", shown)
    build_id = re.search(r"Build ID: (\w+)", shown)
    assert entry is not None and int(info["entry"], 0) == int(entry[1], 16)
    assert (info.get("build_id") or None) == (build_id[1] if build_id else None)


def test_list_agrees_with_nm(cprobe: Path, elf: Path) -> None:
    names = functions_by_nm(cprobe, elf)
    if not names:
        pytest.skip("no symbols")
    for name in drawn(names, 20):
        shown = ask(cprobe, "list", elf, "--func", name, "--inlined", "exclude")
        found = {int(line.split()[0], 16) for line in shown.splitlines() if line.split()[1] == name}
        assert names[name] <= found, name


def test_list_without_globs_has_each_function_of_nm_once(cprobe: Path, elf: Path) -> None:
    names = functions_by_nm(cprobe, elf)
    lines = ask(cprobe, "list", elf, "--inlined", "exclude", status=(0, 1)).splitlines()
    assert len(lines) == len(set(lines))
    assert [int(line.split()[0], 16) for line in lines] == sorted(int(line.split()[0], 16) for line in lines)
    if names:
        assert lines


def test_symbolize_finds_what_nm_names(cprobe: Path, elf: Path) -> None:
    names = functions_by_nm(cprobe, elf)
    if not names:
        pytest.skip("no symbols")
    at: dict[int, set[str]] = defaultdict(set)
    for name, addresses in names.items():
        for address in addresses:
            at[address].add(name)
    wanted = [(address, name) for name in drawn(names) for address in sorted(names[name])]
    answers = ask(cprobe, "symbolize", elf, text="".join(f"{address:#x}\n" for address, _ in wanted)).splitlines()
    assert len(answers) == len(wanted)
    for (address, _), answer in zip(wanted, answers):
        assert answer.split()[1].split("+")[0] in at[address], answer


def test_find_insn_finds_the_instruction(cprobe: Path, elf: Path) -> None:
    """Its bytes stand there, 0f a2, behind at most a prefix or two."""
    shown = ask(cprobe, "find", elf, "--insn", "cpuid", "--format", "json", status=(0, 1))
    info = json.loads(ask(cprobe, "info", elf, "--format", "json"))
    image = elf.read_bytes()
    for record in map(json.loads, shown.splitlines()):
        address = int(record["address"], 0)
        for segment in info.get("segments", ()):
            begin = int(segment["vaddr"], 0)
            if begin <= address < begin + int(segment["filesz"]):
                at = int(segment["offset"]) + address - begin
                assert b"\x0f\xa2" in image[at:at + 4], record


def test_gdb_sources_the_list(cprobe: Path, elf: Path, tmp_path: Path) -> None:
    """One without Python and without symbols: each line sets a breakpoint."""
    names = drawn(functions_by_nm(cprobe, elf), 10)
    if not names:
        pytest.skip("no symbols")
    script = ask(cprobe, "list", elf, *[word for name in names for word in ("--func", name)], "--inlined", "exclude",
                 "--format", "gdb")
    path = tmp_path / "list.gdb"
    path.write_text(script)
    done = subprocess.run(["gdb", "-nx", "-q", "-batch", "-iex", "set osabi none", "-iex",
                           "set architecture i386:x86-64", "-x", path, "-ex", "info breakpoints"], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    set_up = {int(address, 16) for address in re.findall(r"^\d+ +\w+ +keep y +(0x[0-9a-f]+)", done.stdout, re.M)}
    wanted = {int(line.split()[0], 16) for line in
              ask(cprobe, "list", elf, *[word for name in names for word in ("--func", name)],
                  "--inlined", "exclude").splitlines()}
    assert set_up == wanted


def test_run_ends_with_an_outcome_in_time(lab: Lab, kernel: Path, cprobe: Path) -> None:
    """A sample of functions, and every cpuid: whatever the kernel does, there is a verdict and a whole trace."""
    is_elf = kernel.read_bytes()[:4] == b"\x7fELF"
    names = drawn(functions_by_nm(cprobe, kernel), 40) if is_elf else []
    watch = [f"scenario.at(Functions({tuple(names)!r}, inlined='exclude'), limit=3, optional=True)"] if names else []
    scenario = lab.scenario("sample", *watch, 'scenario.at(Insn("cpuid"), limit=3, optional=True)')
    done = lab.run(scenario, "--kernel", kernel, "--timeout", "6", "--append", "console=ttyS0")
    lab.expect_nothing_left()
    assert done.seconds < 15
    if done.status == 2:  # neither a name nor a cpuid, no ELF, or none that microvm can start: it says so
        refused = "the guest did not start" in done.err and "PVH" in done.err
        wanted = "has nothing of what sample looks for" if is_elf else "not an ELF file"
        assert refused or wanted in done.err, str(done)
        return
    assert done.status in (0, 1, 4), str(done)
    trace = lab.trace("sample")
    assert trace.end is not None and trace.end["outcome"] in ("passed", "failed", "timeout")
