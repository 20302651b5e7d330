"""What others say of an ELF file, each in plain data: objdump, readelf, libdw, GDB, llvm-symbolizer, pahole, drgn."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agreement.forms import ToolMissing, run

HERE = Path(__file__).parent
#: Prefixes that objdump prints as words of their own.
PREFIXES = {"lock", "rep", "repz", "repnz", "repe", "repne", "data16", "addr32", "bnd", "notrack", "cs", "ds", "es",
            "fs", "gs", "ss", "xacquire", "xrelease"}


# -- objdump ----------------------------------------------------------------------------------------------------------

def insn_sites(elf: Path, mnemonics: set[str]) -> dict[str, set[int]]:
    """By mnemonic, the addresses of all such instructions in a full disassembly."""
    sites: dict[str, set[int]] = {name: set() for name in mnemonics}
    with subprocess.Popen(["objdump", "-d", "-w", "--no-show-raw-insn", elf], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            address, found, rest = line.partition(":\t")
            if not found:
                continue
            for word in rest.split():
                if word in mnemonics:
                    sites[word].add(int(address, 16))
                if word not in PREFIXES and not word.startswith("rex"):
                    break
    if process.returncode != 0:
        raise RuntimeError(f"objdump ended with {process.returncode}")
    return sites


# -- readelf ----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Symbol:
    address: int
    size: int
    kind: str
    name: str
    section: int


def symbols(elf: Path) -> list[Symbol]:
    """The defined ones that name places."""
    found = []
    for line in run("readelf", "-sW", elf).splitlines():
        words = line.split()
        if len(words) == 8 and words[0].rstrip(":").isdigit() and words[6].isdigit() and \
                words[3] not in ("FILE", "SECTION", "TLS"):
            found.append(Symbol(int(words[1], 16), int(words[2], 0), words[3], words[7], int(words[6])))
    return found


# -- libdw ------------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Function:
    """One range of a function. In answers of GDB's its entry, with size 0."""

    address: int
    size: int
    name: str
    file: str
    line: int


@dataclass(frozen=True)
class Copy:
    """Where an inlined copy is entered."""

    address: int
    name: str
    outer: str
    file: str
    line: int
    call_file: str
    call_line: int


@dataclass
class Debug:
    """Every function and every inlined copy, and the units' names."""

    units: list[str] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)


class Libdw:
    """reference.c, compiled into a folder."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "reference"
        run("cc", "-O2", HERE / "reference.c", "-o", self.program, "-ldw", "-lelf")

    def debug(self, elf: Path) -> Debug:
        found = Debug()
        for line in run(self.program, elf).splitlines():
            word = line.split("\t")
            if word[0] == "U":
                found.units.append(word[1])
            elif word[0] == "F":
                found.functions.append(Function(int(word[1], 0), int(word[2]), word[3], word[4], int(word[5])))
            elif word[0] == "I":
                found.copies.append(Copy(int(word[1], 0), word[2], word[3], word[4], int(word[5]), word[6],
                                         int(word[7])))
        return found

    def struct_names(self, elf: Path) -> dict[str, int]:
        """All structs that have a name and a layout, and how many of each name. For small files."""
        names = Counter(set(run(self.program, elf, "structs").splitlines()))
        return Counter(line.split("\t")[1] for line in names)

    def lines(self, elf: Path, addresses: Iterable[int]) -> dict[int, tuple[str, int]]:
        """File and line of each address."""
        asked = "".join(f"{address:#x}\n" for address in addresses)
        done = subprocess.run([self.program, elf, "addresses"], input=asked, capture_output=True, text=True,
                              errors="surrogateescape", timeout=600, check=True)
        found = {}
        for line in done.stdout.splitlines():
            word = line.split("\t")
            found[int(word[1], 0)] = (word[2], int(word[3]))
        return found


# -- GDB --------------------------------------------------------------------------------------------------------------

@dataclass
class InGdb:
    """For one file: GDB's functions, and for each asked address the functions around it, the innermost first."""

    functions: set[Function]
    around: dict[int, list[str]]


def gdb_functions(elf: Path, asked: dict[str, dict[str, list[int]]], folder: Path) -> dict[str, InGdb]:
    """`asked`: for each file, addresses of its unit's functions ("anchors") and of copies to look at ("copies")."""
    if not shutil.which("gdb"):
        raise ToolMissing("no gdb on this machine")
    question, answer = folder / "gdb-asked.json", folder / "gdb-answered.json"
    question.write_text(json.dumps(asked), encoding="utf-8")
    answer.unlink(missing_ok=True)
    done = subprocess.run(["gdb", "-nx", "-nh", "-q", "-batch", "-iex", "set osabi none", "-iex", "set auto-load off",
                           "-ex", f"file {elf}", "-x", str(HERE / "inside_gdb.py")], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=900, check=False,
                          env={**os.environ, "AGREE_ASKED": str(question), "AGREE_ANSWERED": str(answer)})
    if not answer.exists():
        raise RuntimeError(f"gdb ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return {file: InGdb({Function(int(f["address"]), 0, str(f["name"]), str(f["file"]), int(f["line"]))
                         for f in found["functions"]}, {int(a): list(n) for a, n in found["around"].items()})
            for file, found in json.loads(answer.read_text(encoding="utf-8")).items()}


# -- llvm-symbolizer --------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Frame:
    name: str
    file: str
    line: int


def _known(text: str) -> str:
    return "" if text == "??" else text


def llvm_frames(elf: Path, addresses: list[int]) -> list[list[Frame]]:
    """For each address its frames, the innermost first; "" and 0 are unknown."""
    if not shutil.which("llvm-symbolizer"):
        raise ToolMissing("no llvm-symbolizer on this machine")
    done = subprocess.run(["llvm-symbolizer", f"--obj={elf}", "--output-style=JSON", "--inlines"],
                          input="".join(f"{address:#x}\n" for address in addresses), capture_output=True, text=True,
                          errors="surrogateescape", timeout=900, check=True)
    found = []
    for text in done.stdout.splitlines():
        symbols_ = json.loads(text).get("Symbol", [])
        found.append([Frame(_known(s["FunctionName"]), _known(s["FileName"]), int(s["Line"])) for s in symbols_])
    if len(found) != len(addresses):
        raise RuntimeError(f"llvm-symbolizer answered {len(found)} of {len(addresses)} addresses")
    return found


# -- pahole and drgn --------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Member:
    """A member, `bit` bits from the struct's beginning. bit_size: of a bit field; size: bytes, of all others."""

    name: str
    bit: int
    size: int
    bit_size: int


@dataclass(frozen=True)
class Layout:
    size: int
    members: frozenset[Member]


def struct_names(elf: Path) -> dict[str, int]:
    """All structs that pahole knows by name, and how many there are of each name."""
    counts: dict[str, int] = {}
    for line in run("pahole", "-F", "dwarf", "--sizes", elf, limit=600).splitlines():
        name = line.split("\t")[0]
        if re.fullmatch(r"[A-Za-z_]\w*", name):
            counts[name] = counts.get(name, 0) + 1
    return counts


_NOTE = re.compile(r"/\*\s*(\d+)(?::\s*(\d+))?\s+(\d+)\s*\*/\s*$")


def _member_name(text: str) -> tuple[str, int]:
    """Name and bit size of a declaration as pahole prints it, without its note."""
    text = re.sub(r"__attribute__\(\(.*?\)\)\s*(?=;|$)", "", text).strip().rstrip(";").strip()
    pointer = re.search(r"\(\*+\s*(?:const\s+|volatile\s+)*(\w+)(?:\[\d*\])*\)\s*\(", text)
    if pointer:
        return pointer[1], 0
    plain = re.search(r"(\w+)\s*(?:\[\d*\]\s*)*(?::\s*(\d+))?$", text)
    return (plain[1], int(plain[2] or 0)) if plain else ("", 0)


def pahole_layout(text: str) -> Layout:
    """Of one struct as pahole prints it. Members of anonymous structs and unions count as the struct's own."""
    size = 0
    stack: list[list[Member]] = []
    for line in text.splitlines():
        line = line.strip()
        total = re.search(r"/\* size: (\d+)", line)
        if total and len(stack) == 1:
            size = int(total[1])
        closing = re.match(r"\}(.*)$", line)
        if closing:
            inner = stack.pop()
            if not stack:
                return Layout(size, frozenset(inner))
            note = _NOTE.search(line)
            name, bits = _member_name(line[1:line.index("/*")]) if note else ("", 0)
            if note and name:
                stack[-1].append(Member(name, int(note[1]) * 8 + int(note[2] or 0), 0 if bits else int(note[3]), bits))
            elif note:  # without a note it is a type of clang's, printed once more where it is declared
                stack[-1].extend(inner)
        elif line.endswith("{"):
            stack.append([])
        else:
            note = _NOTE.search(line)
            if note and stack and not line.startswith("/*"):
                name, bits = _member_name(line[:line.rindex("/*")])
                stack[-1].append(Member(name, int(note[1]) * 8 + int(note[2] or 0), 0 if bits else int(note[3]), bits))
    raise RuntimeError(f"pahole printed no whole struct: {text[:200]}")


def _printed_structs(text: str) -> dict[str, Layout]:
    found: dict[str, Layout] = {}
    part: list[str] = []
    for line in text.splitlines():
        if re.match(r"(struct|union) \w+ *\{", line):
            part = []
        part.append(line)
        if line.startswith("}") and part[0].startswith("struct "):
            found.setdefault(part[0].split()[1], pahole_layout("\n".join(part)))
    return found


def pahole_layouts(elf: Path, names: list[str], whole_kernel: bool) -> dict[str, Layout]:
    """By name; those that pahole does not print are left out.

    From DWARF, one run a name. A kernel has too much of that: there all at once from .BTF, which pahole itself made
    from the kernel's DWARF, and only what is not in there from DWARF.
    """
    found: dict[str, Layout] = {}
    if whole_kernel:
        found = _printed_structs(_pahole("-F", "btf", "-C", ",".join(names), str(elf)))
    for name in names:
        if name not in found:
            found.update(_printed_structs(_pahole("-F", "dwarf", "-C", name, str(elf))))
    return found


def _pahole(*words: str) -> str:
    """Its output, also when it says that it lacks one of the names."""
    if not shutil.which("pahole"):
        raise ToolMissing("no pahole on this machine")
    return subprocess.run(["pahole", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=300, check=False).stdout


def drgn_layouts(elf: Path, names: list[str], folder: Path) -> dict[str, Layout]:
    """The same by drgn, from DWARF."""
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable  # the one with Debian's drgn
    question, answer = folder / "drgn-asked.json", folder / "drgn-answered.json"
    question.write_text(json.dumps(names), encoding="utf-8")
    answer.unlink(missing_ok=True)
    done = subprocess.run([python, HERE / "inside_drgn.py", elf, question, answer], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=300, check=False)
    if "No module named" in done.stderr:
        raise ToolMissing("no drgn on this machine")
    if not answer.exists():
        raise RuntimeError(f"drgn ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return {name: Layout(found["size"], frozenset(Member(*member) for member in found["members"]))
            for name, found in json.loads(answer.read_text(encoding="utf-8")).items()}
