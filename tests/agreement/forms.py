"""The small program of sources/, compiled in every form that debug data has, and modules made readable for others."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).with_name("sources")
UNITS = ("clock.c", "driver.c", "compute.c", "entry.S")
KERNEL = ("-ffreestanding", "-fno-stack-protector", "-fcf-protection=none", "-fno-pie", "-nostdlib")
LINK = ("-no-pie", "-static", "-Wl,--build-id=sha1")
HIGH = ("-mcmodel=kernel", "-mno-red-zone", "-Wl,-Ttext=0xffffffff80200000")


class ToolMissing(Exception):
    """A compiler or another's program that is not on this machine; the text names it."""


@dataclass(frozen=True)
class Form:
    """One way to compile. `link`: how the units become one file: exec, shared or relocatable."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    link: str = "exec"


FORMS = (
    Form("gcc -O0", "gcc", ("-O0", "-g", *HIGH)),
    Form("gcc -O2", "gcc", ("-O2", "-g", *HIGH)),
    Form("gcc -O2 -flto", "gcc", ("-O2", "-g", "-flto", *HIGH)),
    Form("gcc -O2, DWARF 2", "gcc", ("-O2", "-gdwarf-2", "-gstrict-dwarf", *HIGH)),
    Form("gcc -O2, DWARF 4", "gcc", ("-O2", "-gdwarf-4", *HIGH)),
    Form("gcc -O2, DWARF 4, .debug_types", "gcc", ("-O2", "-gdwarf-4", "-fdebug-types-section", *HIGH)),
    Form("gcc -O2, DWARF 5, type units", "gcc", ("-O2", "-gdwarf-5", "-fdebug-types-section", *HIGH)),
    Form("gcc -O2, zlib", "gcc", ("-O2", "-g", "-gz=zlib", *HIGH)),
    Form("gcc -O2 -m32", "gcc", ("-O2", "-g", "-m32", "-march=i686", "-Wl,-Ttext=0xc0100000")),
    Form("gcc -O2, shared", "gcc", ("-O2", "-g", "-fPIC"), "shared"),
    Form("gcc -O2, relocatable", "gcc", ("-O2", "-g", "-ffunction-sections", "-mcmodel=kernel"), "relocatable"),
    Form("clang -O0", "clang", ("-O0", "-g", *HIGH)),
    Form("clang -O2", "clang", ("-O2", "-g", *HIGH)),
    Form("clang -O2, DWARF 2", "clang", ("-O2", "-gdwarf-2", *HIGH)),
    Form("clang -O2, DWARF 4", "clang", ("-O2", "-gdwarf-4", *HIGH)),
    Form("clang -O2 -m32", "clang", ("-O2", "-g", "-m32", "-march=i686", "-Wl,-Ttext=0xc0100000")),
)


def run(*command: str | Path, cwd: Path | None = None, limit: float = 120.0) -> str:
    """The standard output of a program that must succeed."""
    if not shutil.which(str(command[0])):
        raise ToolMissing(f"no {command[0]} on this machine")
    done = subprocess.run([str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="surrogateescape", timeout=limit, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def compile_form(form: Form, folder: Path) -> Path:
    """The ELF file of one form."""
    folder.mkdir(parents=True, exist_ok=True)
    words: list[str | Path] = [form.compiler, *KERNEL, *form.flags]
    ending = {"exec": "", "shared": ".so", "relocatable": ".ko"}[form.link]
    out = folder / (re.sub(r"[^A-Za-z0-9]+", "-", form.name) + ending)
    sources = [f"sources/{unit}" for unit in UNITS]
    if not (folder / "sources").exists():
        shutil.copytree(SOURCES, folder / "sources")
    if form.link == "exec":
        run(*words, *LINK, *sources, "-o", out.name, cwd=folder)
    elif form.link == "shared":
        run(*words, "-shared", *sources, "-o", out.name, cwd=folder)
    else:
        objects = [f"{Path(unit).stem}.o" for unit in UNITS]
        for source, part in zip(sources, objects):
            run(*words, "-c", source, "-o", part, cwd=folder)
        run("ld", "-r", *objects, "-o", out.name, cwd=folder)
    return out


@dataclass(frozen=True)
class Section:
    """Of readelf -S."""

    index: int
    name: str
    address: int
    offset: int
    size: int
    flags: str
    align: int

    @property
    def executable(self) -> bool:
        return "X" in self.flags and "A" in self.flags


def sections(elf: Path) -> list[Section]:
    """All but the first, which is empty."""
    found = []
    for line in run("readelf", "-SW", elf).splitlines():
        match = re.match(r"\s*\[ *(\d+)\] (.*?)\s+[A-Z_0-9]+\s+([0-9a-f]{8,16}) ([0-9a-f]+) ([0-9a-f]+) [0-9a-f]{2}"
                         r"\s+([A-Za-z]*)\s+\d+\s+\d+\s+(\d+)$", line)
        if match and match[1] != "0":
            address, offset, size = (int(match[i], 16) for i in (3, 4, 5))
            found.append(Section(int(match[1]), match[2], address, offset, size, match[6], int(match[7])))
    return found


def is_relocatable(elf: Path) -> bool:
    with open(elf, "rb") as file:
        return file.read(17)[16] == 1


def placed_as_gdb_does(elf: Path) -> list[Section]:
    """The allocated sections of a relocatable file, one behind the other from 0."""
    placed, at = [], 0
    for each in sections(elf):
        if "A" in each.flags:
            at = -(-at // max(each.align, 1)) * max(each.align, 1)
            placed.append(Section(each.index, each.name, at, each.offset, each.size, each.flags, each.align))
            at += each.size
    return placed


def linked_twin(elf: Path, folder: Path) -> Path:
    """A relocatable file linked at GDB's addresses, so that tools without a layout of their own speak of the same ones.

    The linker that does it owes cprobe nothing; what is undefined becomes 0.
    """
    names: dict[str, Section] = {}
    for each in placed_as_gdb_does(elf):
        if each.name in names:
            raise RuntimeError(f"{elf.name}: two sections {each.name}: the twin would join them")
        names[each.name] = each
    script = folder / f"{elf.name}.ld"
    script.write_text("SECTIONS {\n" + "".join(f'  "{each.name}" {each.address:#x} : {{ *("{each.name}") }}\n'
                                               for each in names.values()) + "}\n", encoding="utf-8")
    twin = folder / f"{elf.name}.linked"
    run("ld", "-static", "--no-relax", "-e", "0", "-z", "noexecstack", "--unresolved-symbols=ignore-all",
        "--no-warn-mismatch", "--noinhibit-exec", "-T", script, elf, "-o", twin)
    for each in sections(twin):
        if each.name in names and names[each.name].size and each.address != names[each.name].address:
            raise RuntimeError(f"{elf.name}: {each.name} went to {each.address:#x}")
    return twin
