"""--help, the man page and both completions say the same as the command's own table of options; what shells offer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Union

import blocks
import pytest
from completing import Bash, Zsh
from cprobe_kit import Cprobe, nm
from whykit import ALL, write_trace

VERBS = ["info", "list", "find", "line", "symbol", "type", "symbolize", "coverage", "events", "tree", "top",
         "why", "next", "diff", "baseline"]
#: Whose question is about a trace, and whose about nothing else.
TRACES = {"coverage", "events", "tree", "top", "why", "next", "diff", "baseline"}
NO_KERNEL = {"events", "diff", "baseline"}
VALUES = {"--format": {"text", "json", "gdb"}, "--inlined": {"include", "exclude", "only"}}
Shell = Union[Bash, Zsh]


@pytest.fixture(params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder with an ELF file, a folder, a text file and one that cannot be opened as such."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "kernel").write_bytes(b"\x7fELF\2\1\1" + bytes(57))
    (folder / "kernels").mkdir()
    (folder / "kernel.txt").write_text("text")
    (folder / "kernel.gone").symlink_to("nowhere")
    if request.param == "bash":
        yield Bash(root, folder)
    else:
        with Zsh(root, folder) as zsh:
            yield zsh


def table(probe: Cprobe, verb: str) -> set[str]:
    """The options that the command takes, by its complaint about one that it does not."""
    done = probe.run(verb, "kernel", *(["trace"] if verb in TRACES else []), "--no-such-option")
    assert done.returncode == 2
    return set(re.findall(r"--[a-z-]+", done.stderr.splitlines()[0].partition(": give ")[2]))


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_every_option_and_no_other(probe: Cprobe, verb: str) -> None:
    text = probe.run(verb, "--help").stdout
    assert set(re.findall(r"^  (--[a-z-]+)", text, re.M)) == table(probe, verb) >= {"--format", "--help"}
    words = [*([] if verb in NO_KERNEL else ["KERNEL"]), *(["FUNC"] if verb == "why" else []),
             *(["BASELINE"] if verb == "diff" else []), *(["TRACE"] if verb in TRACES else [])]
    assert text.startswith(f"usage: cprobe {verb} {' '.join(words)}")
    assert f"$ cprobe {verb}" in text.replace("| cprobe", "$ cprobe")
    assert "Exit status:" in text
    assert probe.run("help", verb).stdout == text


@pytest.mark.parametrize("verb", VERBS)
def test_man_page_has_every_option_and_no_other(probe: Cprobe, root: Path, verb: str) -> None:
    """In the synopsis and in the verb's section, whatever --help makes of it."""
    page = (root / "docs" / "man" / "cprobe.1").read_text()
    section = page.partition(f".Ss {verb}\n")[2].partition("\n.S")[0]
    every = {"--format", "--help"}
    own = {f"-{option}" for option in re.findall(r"^\.It Fl (\S+)", section, re.M)}
    assert own | every == table(probe, verb)
    usage = page.partition(f".Nm\n.Cm {verb}\n")[2].partition("\n.Nm")[0]
    assert {f"-{option}" for option in re.findall(r"Fl (\S+)", usage)} == own


def test_usage_and_man_page_know_the_same_verbs(probe: Cprobe, root: Path) -> None:
    page = (root / "docs" / "man" / "cprobe.1").read_text()
    assert re.findall(r"^\.Ss (\S+)", page.partition(".Sh VERBS")[2], re.M) == VERBS
    assert re.findall(r"cprobe (\S+) (?:KERNEL|TRACE|BASELINE)", probe.run().stderr) == VERBS


def test_man_page_names_every_key(probe: Cprobe, root: Path, guest: Path) -> None:
    """Of json's records, as far as the reference guest has them."""
    page = (root / "docs" / "man" / "cprobe.1").read_text().partition(".Sh JSON")[2].partition(".Sh ")[0]
    named = set(re.findall(r"^\.It (.*)$", page, re.M))
    keys = {key for row in named for key in row.split(" , ")}
    for question in (["list"], ["find", "--insn", "cpuid", "--inputs"], ["find", "--message", "TSC not initialized"],
                     ["symbol", "tsc_freq"], ["line", "tsc.c:132"]):
        for record in probe.records(question[0], guest, *question[1:]):
            assert set(record) <= keys, question


def test_man_page_is_clean(root: Path) -> None:
    page = root / "docs" / "man" / "cprobe.1"
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc on this machine")
    done = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True, timeout=20, check=False)
    complaints = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert complaints == []


def test_man_page_renders_with_groff(root: Path) -> None:
    if not shutil.which("groff"):
        pytest.skip("no groff on this machine")
    done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", root / "docs" / "man" / "cprobe.1"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert "cprobe symbolize KERNEL [--inlines]" in " ".join(re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout).split())


def examples(page: str) -> list[tuple[str, list[str]]]:
    """The man page's commands with what they print."""
    ret: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page, re.M | re.S):
        for line in block.replace("\\e", "\\").splitlines():
            if line.startswith("$ "):
                ret.append((line[2:], []))
            elif line.startswith(">"):
                ret[-1] = (ret[-1][0] + "\n" + line[2:], [])
            else:
                ret[-1][1].append(line)
    return ret


def shape(line: str) -> str:
    """A line without what another compiler or build folder changes: numbers, folders."""
    return re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{40}\b|\d+", "N", re.sub(r"\S*/(?=[\w.]+)", "", line)).strip()


def test_examples_are_real(probe: Cprobe, root: Path, guest: Path, tmp_path: Path) -> None:
    """Each is run on the reference guest."""
    for name in ("clockguest", "clockguest.debug"):
        (tmp_path / name).symlink_to(guest.with_name(name))
    build_id = probe.records("info", guest)[0]["build_id"]
    (tmp_path / "boot.trace").write_bytes(blocks.boot(nm(guest.with_suffix(".full")),
                                                      kernel={"name": "clockguest", "build_id": build_id}))
    write_trace(tmp_path / "tcg.trace", guest.with_suffix(".full"), ["attimer_identify", "kvm_clock_identify"], ALL,
                {"kvm_clock_identify": [16_253_000]}, kernel={"name": "clockguest", "build_id": build_id})
    found = examples((root / "docs" / "man" / "cprobe.1").read_text())
    assert {command.split()[1] for command, _ in found if command.startswith("cprobe")} >= set(VERBS) - {"symbolize"}
    for command, output in found:
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=20,
                              env={"PATH": f"{probe.path.parent}:/usr/bin:/bin"}, check=False)
        assert done.returncode == 0 and done.stderr == "", command
        assert [shape(line) for line in done.stdout.splitlines()] == [shape(line) for line in output], command


def test_what_is_installed(build: Path) -> None:
    done = subprocess.run(["meson", "introspect", "--installed", build], capture_output=True, text=True, timeout=60,
                          check=True)
    places = json.loads(done.stdout).values()
    for tail in ("man/man1/cprobe.1", "share/bash-completion/completions/cprobe", "share/zsh/site-functions/_cprobe"):
        assert [place for place in places if place.endswith(tail)], tail


def without_equals(words: set[str]) -> set[str]:
    return {word.rstrip("=") for word in words}


def test_verbs_are_offered(shell: Shell) -> None:
    assert set(VERBS) | {"help"} <= shell.offers("") <= {*VERBS, "help", "--help", "--version", "-h"}
    assert shell.offers("symbo") == {"symbol", "symbolize"}
    assert shell.offers("help", "") == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_options_are_offered_and_no_other(probe: Cprobe, shell: Shell, verb: str) -> None:
    assert without_equals(shell.offers(verb, "--")) == table(probe, verb)


@pytest.mark.parametrize("option", VALUES)
def test_values_are_offered(probe: Cprobe, shell: Shell, option: str) -> None:
    """The same that the command names when it refuses one."""
    refused = probe.run("list", "kernel", option, "nothing").stderr.splitlines()[0]
    assert set(re.findall(r"\w+", refused.partition("give ")[2])) - {"or"} == VALUES[option]
    assert shell.offers("list", "kernel", option, "") == VALUES[option]


def test_value_after_equals_is_offered(shell: Shell) -> None:
    words = ("--format", "=", "j") if isinstance(shell, Bash) else ("--format=j",)
    assert {word.rpartition("=")[2] for word in shell.offers("list", "kernel", *words)} == {"json"}


def test_mnemonics_are_offered_and_known(probe: Cprobe, shell: Shell, guest: Path) -> None:
    offered = {word.rstrip(",") for word in shell.offers("find", "kernel", "--insn", "")}
    assert {"cpuid", "rdtsc", "rdtscp", "rdmsr", "wrmsr", "in", "out", "hlt"} <= offered
    assert probe.run("find", guest, "--insn", ",".join(sorted(offered))).returncode == 0
    assert {word.rpartition(",")[2] for word in shell.offers("find", "kernel", "--insn", "cpuid,wr")} == {"wrmsr"}


def test_kernels_are_elf_files(shell: Shell) -> None:
    assert {name.rstrip("/") for name in shell.offers("info", "")} == {"kernel", "kernels"}
    assert {name.rstrip("/") for name in shell.offers("list", "--file", "tsc.c", "kern")} == {"kernel", "kernels"}


def test_bash_offers_no_kernel_in_the_place_of_a_glob(root: Path, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"\x7fELF" + bytes(60))
    bash = Bash(root, tmp_path)
    assert bash.offers("list", "--file", "") == set()
    assert bash.offers("list", "kernel", "") == set()
    assert bash.offers("list", "--", "k") == {"kernel"}
    assert bash.offers("list", "--", "--f") == set()
