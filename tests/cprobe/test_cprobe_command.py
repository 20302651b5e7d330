"""The command: pipes between verbs, standard input, the words of complaints."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import threading
from pathlib import Path

import pytest
from cprobe_kit import Build, Cprobe, nm
from cprobe_kernels import SOURCES

FORMATS = ["text", "json", "gdb"]
#: What the command and the plugin may include with quotes: the library's one header and their own room's. The plugin
#: writes what the library reads, by the one description of it.
OWN = {"command": re.compile(r"cprobe\.h|command/\w+\.h"), "tcg": re.compile(r"cprobe\.h|trace/format\.h|\w+\.h")}


@pytest.fixture
def kernel(build_elf: Build) -> Path:
    return build_elf(SOURCES, ["-O2", "-g"])


def addresses(output: str) -> list[int]:
    return [int(line.split()[0], 16) for line in output.splitlines()]


@pytest.mark.parametrize("room", OWN)
def test_only_the_public_header_is_used(root: Path, room: str) -> None:
    for source in [*(root / "cprobe" / room).glob("*.c"), *(root / "cprobe" / room).glob("*.h")]:
        for name in re.findall(r'^\s*#\s*include\s+"(.*)"', source.read_text(), re.M):
            assert OWN[room].fullmatch(name), f"{source.name} includes {name}"
            assert "/" in name or name == "cprobe.h" or (source.parent / name).exists(), f"{name} is of another room"


@pytest.mark.parametrize("form", FORMATS)
def test_list_to_symbolize(probe: Cprobe, kernel: Path, form: str) -> None:
    listed = probe.run("list", kernel, "--file", "tsc.c", "--format", form).stdout
    text = probe.run("list", kernel, "--file", "tsc.c").stdout
    done = probe.run("symbolize", kernel, stdin=listed)
    wanted = addresses(text)
    if form == "gdb":  # places at one address have one break
        wanted = sorted(set(wanted))
    assert done.returncode == 0 and done.stderr == "" and addresses(done.stdout) == wanted


@pytest.mark.parametrize("form", FORMATS)
def test_find_to_symbolize_with_inlines(probe: Cprobe, kernel: Path, form: str) -> None:
    found = probe.run("find", kernel, "--insn", "cpuid", "--format", form).stdout
    sites = addresses(probe.run("find", kernel, "--insn", "cpuid").stdout)
    plain = probe.run("symbolize", kernel, "--inlines", *map(hex, sites))
    assert probe.run("symbolize", kernel, "--inlines", stdin=found).stdout == plain.stdout != ""


@pytest.mark.parametrize("form", FORMATS)
def test_list_to_symbol(probe: Cprobe, kernel: Path, form: str) -> None:
    listed = probe.run("list", kernel, "--file", "tsc.c", "--inlined", "exclude", "--format", form).stdout
    names = {"tsc_freq_cpuid_vm", "tsc_read", "twin"}
    done = probe.run("symbol", kernel, stdin=listed)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == probe.run("symbol", kernel, *names).stdout


@pytest.mark.parametrize("form", FORMATS)
def test_list_to_line(probe: Cprobe, kernel: Path, form: str) -> None:
    listed = probe.run("list", kernel, "--func", "lapic_init", "--format", form).stdout
    place = probe.records("list", kernel, "--func", "lapic_init")[0]
    done = probe.run("line", kernel, stdin=listed)
    assert done.returncode == 0
    assert done.stdout == probe.run("line", kernel, f"{place['file']}:{place['line']}").stdout != ""


@pytest.mark.parametrize("form", FORMATS)
def test_type_to_type(probe: Cprobe, guest: Path, form: str) -> None:
    """A struct and then each of its fields, which were there already."""
    struct = probe.run("type", guest, "pvclock_vcpu_time_info", "--format", form).stdout
    done = probe.run("type", guest, stdin=struct)
    assert done.returncode == 0 and done.stderr == ""
    assert set(done.stdout.splitlines()) == set(probe.run("type", guest, "pvclock_vcpu_time_info").stdout.splitlines())


def test_symbol_to_type(probe: Cprobe, build_elf: Build) -> None:
    """The type of a variable, where the line says it."""
    kernel = build_elf({"a.c": "struct point { int x, y; } points[3], *at = points;\nvoid _start(void) { }\n"}, ["-g"])
    for name in ("points", "at"):
        symbol = probe.run("symbol", kernel, name, "--format", "json").stdout
        assert "point.y int" in probe.run("type", kernel, stdin=symbol).stdout, symbol


@pytest.mark.parametrize("form", ["text", "json"])
def test_symbolize_to_symbol_drops_the_offset(probe: Cprobe, kernel: Path, form: str) -> None:
    inside = hex(nm(kernel)["lapic_init"] + 3)
    answer = probe.run("symbolize", kernel, inside, "--format", form).stdout
    assert probe.run("symbol", kernel, stdin=answer).stdout == probe.run("symbol", kernel, "lapic_init").stdout


@pytest.mark.parametrize("verb", ["symbolize", "symbol"])
def test_gdbs_comments_of_symbolize(probe: Cprobe, kernel: Path, verb: str) -> None:
    answer = probe.run("symbolize", kernel, hex(nm(kernel)["tsc_read"]), "--format", "gdb").stdout
    assert answer.startswith("# 0x")
    assert "tsc_read" in probe.run(verb, kernel, stdin=answer).stdout


def test_plain_words_one_a_line(probe: Cprobe, kernel: Path) -> None:
    done = probe.run("symbol", kernel, stdin="  tsc_freq \r\n\n\ttsc_r*\r\ntsc_freq")
    assert done.stdout == probe.run("symbol", kernel, "tsc_freq", "tsc_r*").stdout != ""
    assert probe.run("line", kernel, stdin="tsc.c:12").stdout == probe.run("line", kernel, "tsc.c:12").stdout != ""


def test_lines_that_are_no_use_are_said_and_passed_over(probe: Cprobe, kernel: Path) -> None:
    done = probe.run("line", kernel, stdin="nonsense\n0x0000000000000010 ? ?:0 unknown\ntsc.c:0\ntsc.c:12\na\0b\n")
    assert done.stdout == probe.run("line", kernel, "tsc.c:12").stdout and done.returncode == 0
    for said in ('"nonsense": give FILE:LINE', "has no known FILE:LINE", '"tsc.c:0"', "line 5: with a NUL byte"):
        assert said in done.stderr, said
    unknown = probe.run("symbol", kernel, stdin="no_such\ntsc_freq\nno_such\n")
    assert unknown.returncode == 0 and unknown.stderr.count("no symbol no_such") == 1


def test_many_unknown_names_are_counted(probe: Cprobe, kernel: Path) -> None:
    words = "\n".join(f"no_such_{i}" for i in range(100))
    done = probe.run("symbol", kernel, stdin=f"{words}\ntsc_freq\n{words}")
    assert done.returncode == 0 and "tsc_freq" in done.stdout
    assert done.stderr.count("no symbol no_such_") == 10 and "90 more of the 101 different words" in done.stderr
    assert probe.run("symbol", kernel, *words.split()).stderr.count("no symbol no_such_") == 100


@pytest.mark.parametrize("verb", ["symbol", "line", "type", "symbolize"])
def test_empty_input_finds_nothing(probe: Cprobe, kernel: Path, verb: str) -> None:
    done = probe.run(verb, kernel, stdin="")
    assert done.returncode == 1 and done.stdout == "" and f"{verb}: nothing matched" in done.stderr


def test_symbolize_answers_every_line(probe: Cprobe, kernel: Path) -> None:
    """However bad it is, and in order."""
    good = hex(nm(kernel)["tsc_read"])
    lines = [good, "", "junk", "0x10\0", "x" * 70_000, good + "\r", "0x" + "0" * 2_000_000, "{\"address\": 3}",
             "# tsc_freq tsc.c:3 object", good]
    done = probe.run("symbolize", kernel, stdin="\n".join(lines))
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines)
    assert [answer == "?" for answer in answers] == [not line.startswith(good) for line in lines]
    records = probe.run("symbolize", kernel, "--format", "json", stdin="\n".join(lines)).stdout.splitlines()
    assert [json.loads(record).get("input") for record in records][1:3] == ["", "junk"]


def test_symbolize_answers_much_in_batches(probe: Cprobe, kernel: Path) -> None:
    """More than fits into a pipe or a batch, both ends open: nothing is lost and nothing waits for another."""
    address, junk = hex(nm(kernel)["tsc_read"]), "junk"
    lines = [junk if i % 7 == 0 else address for i in range(150_000)]
    with subprocess.Popen([probe.path, "symbolize", kernel], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin and process.stdout

        def feed() -> None:
            assert process.stdin
            process.stdin.write("\n".join(lines))
            process.stdin.close()

        thread = threading.Thread(target=feed)
        thread.start()
        answers = process.stdout.read().splitlines()
        thread.join(30)
        assert process.wait(30) == 0
    assert [answer == "?" for answer in answers] == [line == junk for line in lines]


@pytest.mark.parametrize("ending", ["", "\n0x"])
def test_symbolize_answers_before_it_waits(probe: Cprobe, kernel: Path, ending: str) -> None:
    """With half of the next line there, and after a line that is no address."""
    with subprocess.Popen([probe.path, "symbolize", kernel], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, bufsize=0) as process:
        assert process.stdin and process.stdout
        for line in (hex(nm(kernel)["tsc_read"]), "junk"):
            os.write(process.stdin.fileno(), (line + (ending or "\n")).encode())
            assert select.select([process.stdout], [], [], 10)[0], "no answer while its input is open"
            assert os.read(process.stdout.fileno(), 4096)
            if ending:
                break
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_reader_that_goes_away_ends_symbolize(probe: Cprobe, kernel: Path) -> None:
    with subprocess.Popen([probe.path, "symbolize", kernel], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write("0x10\n")
        process.stdin.flush()
        assert process.wait(10) == 3 and process.stderr.read().count("Broken pipe") == 1


def test_no_standard_input_is_an_error_and_no_kernel_is_read_for_it(probe: Cprobe, kernel: Path) -> None:
    done = subprocess.run(["sh", "-c", 'exec "$0" symbol "$1" <&-', probe.path, kernel], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 3 and "standard input: Bad file descriptor" in done.stderr
    done = subprocess.run(["sh", "-c", 'exec "$0" list "$1" >&-', probe.path, kernel], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 3 and "standard output: Bad file descriptor" in done.stderr


def on_terminal(probe: Cprobe, kernel: Path, verb: str, keys: bytes) -> tuple[int, str, str]:
    """Run it with a terminal as its input, on which `keys` are typed."""
    master, slave = pty.openpty()
    try:
        with subprocess.Popen([probe.path, verb, kernel], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            os.write(master, keys)
            out, err = process.communicate(timeout=20)
        return process.returncode, out, err
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize("verb", ["symbol", "line", "type"])
def test_at_a_terminal_words_are_asked_for(probe: Cprobe, kernel: Path, verb: str) -> None:
    status, _, err = on_terminal(probe, kernel, verb, b"")
    assert status == 2 and "standard input is a terminal: give" in err and "usage: " in err


def test_at_a_terminal_symbolize_says_what_it_waits_for(probe: Cprobe, kernel: Path) -> None:
    status, out, err = on_terminal(probe, kernel, "symbolize", f"{nm(kernel)['tsc_read']:#x}\n\x04".encode())
    assert status == 0 and "tsc_read" in out and "waiting for addresses" in err


@pytest.mark.parametrize("args, status, said", [
    ([], 2, "usage: cprobe info KERNEL"),
    (["symbolise"], 2, "no such verb: did you mean symbolize?"),
    (["help", "lst"], 2, "no such verb: did you mean list?"),
    (["list", "k", "--fromat=json"], 2, "no option --fromat: did you mean --format?"),
    (["list", "k", "--format", "json", "--format=text"], 2, "--format is given twice"),
    (["find", "k", "--insn", ""], 2, "--insn: its value is empty"),
    (["find", "k"], 2, "give --insn LIST or --message TEXT"),
])
def test_complaints_say_what_to_do(probe: Cprobe, args: list[str], status: int, said: str) -> None:
    done = probe.run(*args)
    assert done.returncode == status and said in done.stderr and done.stdout == ""


def test_a_kernel_that_begins_with_a_dash(probe: Cprobe, kernel: Path) -> None:
    (kernel.parent / "-kernel").symlink_to(kernel)
    done = subprocess.run([probe.path, "symbol", "--", "-kernel", "tsc_freq"], cwd=kernel.parent, capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == 0 and "tsc_freq" in done.stdout


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["help"], ["--version"]])
def test_about_the_command(probe: Cprobe, args: list[str]) -> None:
    done = probe.run(*args)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("cprobe 0." if args == ["--version"] else "usage: cprobe info KERNEL")


def test_punctuation_in_help_stands_where_the_man_page_has_it(probe: Cprobe) -> None:
    for verb in re.findall(r"^(?:usage:|      ) cprobe (\w+)", probe.run("--help").stdout, re.MULTILINE):
        said = probe.run("help", verb).stdout
        assert not re.findall(r".* [,;)](?: .*|$)", said, re.MULTILINE), verb
    assert "(function or inlined), outer" in probe.run("help", "why").stdout
