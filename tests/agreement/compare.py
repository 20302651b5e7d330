"""cprobe's JSON answers beside each peer's: one function a question, each gives a Score."""

from __future__ import annotations

import bisect
import dataclasses
import json
import random
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agreement import forms, peers
from agreement.forms import ToolMissing
from agreement.score import UNEXPLAINED, Score, is_variant, same_file

#: What find --insn is asked for: those of the issue first.
MNEMONICS = ("cpuid", "rdtsc", "rdtscp", "rdmsr", "wrmsr", "in", "out", "hlt", "invlpg", "cli", "sti", "ud2", "swapgs",
             "wbinvd", "invpcid", "xgetbv", "xsetbv", "clts", "rdpmc", "stac", "clac", "pause")
Record = dict[str, Any]


@dataclass
class Subject:
    """One ELF file. `elf` is what cprobe and GDB read, `twin` what the others read: the same, or its linked twin."""

    name: str
    elf: Path
    twin: Path
    cprobe: Path
    folder: Path
    libdw: peers.Libdw
    seed: int
    whole_kernel: bool = False
    _debug: peers.Debug | None = None
    _symbols: list[peers.Symbol] = field(default_factory=list)
    _code: list[forms.Section] = field(default_factory=list)

    def ask(self, *words: str, stdin: str | None = None) -> list[Record]:
        """cprobe's records; none when it found nothing."""
        done = subprocess.run([str(self.cprobe), words[0], str(self.elf), *words[1:], "--format", "json"], input=stdin,
                              capture_output=True, text=True, errors="surrogateescape", timeout=300, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"cprobe {' '.join(words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def debug(self) -> peers.Debug:
        if self._debug is None:
            self._debug = self.libdw.debug(self.twin)
        return self._debug

    @property
    def symbols(self) -> list[peers.Symbol]:
        if not self._symbols:
            self._symbols = sorted(peers.symbols(self.twin), key=lambda s: s.address)
        return self._symbols

    def in_code(self, address: int) -> bool:
        return any(s.executable and s.address <= address < s.address + s.size for s in self.code)

    @property
    def code(self) -> list[forms.Section]:
        """Executable sections at their addresses."""
        if not self._code:
            placed = forms.placed_as_gdb_does(self.elf) if forms.is_relocatable(self.elf) else forms.sections(self.elf)
            self._code = [each for each in placed if each.executable and each.size]
        return self._code


# -- find --insn ------------------------------------------------------------------------------------------------------

def instructions(subject: Subject) -> Score:
    score = Score(subject.name, "instruction sites", "objdump -d")
    try:
        theirs = peers.insn_sites(subject.twin, set(MNEMONICS))
    except FileNotFoundError:
        score.absent = "no objdump on this machine"
        return score
    ours: dict[str, set[int]] = defaultdict(set)
    for record in subject.ask("find", "--insn", ",".join(MNEMONICS)):
        ours[record["mnemonic"]].add(int(record["address"], 16))
    data = [(s.address, s.address + s.size) for s in subject.symbols if s.kind == "OBJECT"]
    for name in MNEMONICS:
        score.agree += len(ours[name] & theirs[name])
        for address in sorted(ours[name] ^ theirs[name]):
            in_data = any(start <= address < end for start, end in data)
            score.differs("data in code" if in_data else UNEXPLAINED,
                          f"{address:#x} {name}: only {'cprobe' if address in ours[name] else 'objdump'}")
    return score


# -- list -------------------------------------------------------------------------------------------------------------

def _function(record: Record) -> peers.Function:
    return peers.Function(int(record["address"], 16), int(record.get("size", 0)), str(record["name"]),
                          str(record.get("file", "")), int(record.get("line", 0)))


def _copy(record: Record) -> peers.Copy:
    return peers.Copy(int(record["address"], 16), str(record["name"]), str(record.get("outer", "")),
                      str(record.get("file", "")), int(record.get("line", 0)), str(record.get("call_file", "")),
                      int(record.get("call_line", 0)))


def _compare_functions(subject: Subject, score: Score, ours: list[peers.Function], theirs: Iterable[peers.Function],
                       symbols: Iterable[peers.Symbol]) -> None:
    """Each range of libdw's must be one of ours; what only we have must be a name of the symbol table."""
    by_address: dict[int, list[peers.Function]] = defaultdict(list)
    for function in ours:
        by_address[function.address].append(function)
    named = {(s.address, s.name): s for s in symbols}
    used: set[peers.Function] = set()
    for their in set(theirs):
        if not their.name:
            continue  # nothing to call it by: the compiler's own, as a static initialiser of LTO
        if not subject.in_code(their.address):
            score.differs("removed by the linker", f"{their}")
            continue
        near = by_address[their.address]
        same = [f for f in near if f.size == their.size and same_file(f.file, their.file) and f.line == their.line and
                (f.name == their.name or (is_variant(f.name, their.name) and (f.address, f.name) in named))]
        if same:
            score.agree += 1
            used.update(same)
        else:
            score.differs(UNEXPLAINED, f"libdw {their}, cprobe {near[:2]}")
    for function in set(ours) - used:
        symbol = named.get((function.address, function.name))
        if symbol and symbol.kind in ("FUNC", "IFUNC") and symbol.size == function.size:
            score.agree += 1  # assembly, or an alias: the symbol table alone names it
        else:
            score.differs(UNEXPLAINED, f"only cprobe: {function}")


def compare_copies(score: Score, ours: Iterable[peers.Copy], theirs: Iterable[peers.Copy],
                   in_code: Callable[[int], bool]) -> None:
    """`in_code`: is the address in an executable section?"""
    left: dict[tuple[int, str], list[peers.Copy]] = defaultdict(list)
    answered: dict[tuple[int, str], list[peers.Copy]] = defaultdict(list)
    unanswered: list[peers.Copy] = []
    for copy in set(ours):
        left[copy.address, copy.name].append(copy)
    for their in set(theirs):
        if not their.name or not their.outer:
            continue
        if not in_code(their.address):
            score.differs("removed by the linker", f"{their}")
            continue
        near = left[their.address, their.name]
        for copy in near:
            if (copy.line, copy.call_line) == (their.line, their.call_line) and same_file(copy.file, their.file) and \
                    same_file(copy.call_file, their.call_file) and \
                    (copy.outer == their.outer or is_variant(copy.outer, their.outer)):
                near.remove(copy)
                answered[their.address, their.name].append(their)
                score.agree += 1
                break
        else:
            unanswered.append(their)
    for their in unanswered:
        twin = any((other.outer, other.file, other.line) == (their.outer, their.file, their.line)
                   for other in answered[their.address, their.name])
        score.differs("copy in a copy" if twin else UNEXPLAINED,
                      f"libdw {their}, cprobe {left[their.address, their.name][:2]}")
    for near in left.values():
        for copy in near:
            score.differs(UNEXPLAINED, f"only cprobe: {copy}")


def _placed(subject: Subject, functions: list[peers.Function]) -> list[peers.Function]:
    """Where the debug data does not say where a function is declared (assembly), the line of its first instruction."""
    asked = [f.address for f in functions if f.name and not f.file and subject.in_code(f.address)]
    rows = subject.libdw.lines(subject.twin, asked)
    placed = []
    for function in functions:
        file, line = (function.file, function.line) if function.file else rows.get(function.address) or ("", 0)
        placed.append(dataclasses.replace(function, file=file, line=line))
    return placed


def functions(subject: Subject) -> list[Score]:
    """Everything that `list` has, beside libdw's walk over every DIE."""
    records = subject.ask("list")
    concrete = Score(subject.name, "functions: address, size, name, file:line", "libdw, all units")
    copies = Score(subject.name, "inlined copies: address, outer, call line", "libdw, all units")
    _compare_functions(subject, concrete, [_function(r) for r in records if r["kind"] == "function"],
                       _placed(subject, subject.debug.functions), subject.symbols)
    compare_copies(copies, [_copy(r) for r in records if r["kind"] == "inlined"], subject.debug.copies,
                   subject.in_code)
    return [concrete, copies]


def picked_files(subject: Subject, count: int) -> list[str]:
    """Source files that are a unit with functions, picked by the seed."""
    with_code = {f.file for f in subject.debug.functions if f.name and subject.in_code(f.address)}
    tails = {file.rsplit("/", 1)[-1] for file in with_code}
    units = [unit for unit in sorted(set(subject.debug.units)) if unit.rsplit("/", 1)[-1] in tails and
             unit.endswith(".c") and any(same_file(unit, file) for file in with_code)]
    return units if len(units) <= count else sorted(random.Random(subject.seed).sample(units, count))


def files(subject: Subject, count: int) -> list[Score]:
    """`list --file` of some files, beside libdw and GDB."""
    picked = picked_files(subject, count)
    label = f"{len(picked)} files"
    concrete = Score(subject.name, f"functions of {label}", "libdw")
    copies = Score(subject.name, f"inlined copies of {label}", "libdw")
    in_gdb = Score(subject.name, f"functions of {label}: name, address, line", "gdb")
    around = Score(subject.name, f"inlined copies of {label}: functions around", "gdb")
    answers, asked = {}, {}
    by_file: dict[str, list[peers.Function]] = defaultdict(list)
    copies_by_file: dict[str, list[peers.Copy]] = defaultdict(list)
    for function in subject.debug.functions:
        by_file[function.file].append(function)
    for copy in subject.debug.copies:
        copies_by_file[copy.file].append(copy)
    for file in picked:
        records = subject.ask("list", "--file", file)
        ours = [_function(r) for r in records if r["kind"] == "function"]
        own_copies = [_copy(r) for r in records if r["kind"] == "inlined"]
        paths = [path for path in by_file.keys() | copies_by_file.keys() if same_file(path, file)]
        theirs = [f for path in paths for f in by_file[path]]
        _compare_functions(subject, concrete, ours, theirs, subject.symbols)
        compare_copies(copies, own_copies, [c for path in paths for c in copies_by_file[path]],
                       subject.in_code)
        answers[file] = (ours, own_copies)
        asked[file] = {"anchors": [f.address for f in theirs if subject.in_code(f.address)],
                       "copies": [c.address for c in own_copies]}
    try:
        found = peers.gdb_functions(subject.elf, asked, subject.folder)
    except ToolMissing as error:
        in_gdb.absent = around.absent = str(error)
        return [concrete, copies, in_gdb, around]
    for file, (ours, own_copies) in answers.items():
        _compare_with_gdb(in_gdb, file, ours, found[file].functions, subject.debug.functions)
        for copy in own_copies:
            names = found[file].around[copy.address]
            outer = names[-1] if names else ""
            if copy.name in names[:-1] and (outer == copy.outer or is_variant(copy.outer, outer)):
                around.agree += 1
            elif not copy.call_line and names:
                around.differs("GDB needs a call line", f"{copy}")
            else:
                around.differs(UNEXPLAINED, f"{copy}, gdb {names}")
    return [concrete, copies, in_gdb, around]


def _compare_with_gdb(score: Score, file: str, ours: list[peers.Function], theirs: set[peers.Function],
                      in_libdw: list[peers.Function]) -> None:
    """`theirs`: all of the file's units, those of other files among them, which are compared where they belong."""
    used = set()
    for their in theirs:
        same = [f for f in ours if f.address == their.address and f.line == their.line and
                (f.name == their.name or is_variant(f.name, their.name))]
        used.update(same)
        here = same_file(their.file, file)
        if same and here:
            score.agree += 1
        elif same:
            score.differs("GDB's file", f"{their}, cprobe {same}")
        elif here and not any((f.address, f.line, f.name) == (their.address, their.line, their.name) and
                              not same_file(f.file, file) for f in in_libdw):
            score.differs(UNEXPLAINED, f"only gdb: {their}")
    entries = {f.name for f in used} | {f.name.split(".")[0] for f in used} | {f.name for f in theirs}
    for function in set(ours) - used:
        part = any(is_variant(function.name, name) or function.name == name for name in entries)
        score.differs("cold part" if part else UNEXPLAINED, f"only cprobe: {function}")


# -- symbolize --------------------------------------------------------------------------------------------------------

def picked_addresses(subject: Subject, count: int) -> list[int]:
    """Anywhere in the executable sections, each byte as likely as another."""
    parts = subject.code
    total = sum(part.size for part in parts)
    source = random.Random(subject.seed)
    found = []
    for _ in range(count):
        at = source.randrange(total)
        for part in parts:
            if at < part.size:
                found.append(part.address + at)
                break
            at -= part.size
    return found


class Covering:
    """Which symbols lie over an address."""

    def __init__(self, symbols: list[peers.Symbol]) -> None:
        self.symbols = [s for s in symbols if s.kind in ("FUNC", "IFUNC", "NOTYPE", "OBJECT")]
        self.starts = [s.address for s in self.symbols]
        self.longest = max((s.size for s in self.symbols if s.kind != "OBJECT"), default=0)

    def at(self, address: int) -> list[peers.Symbol]:
        """Those whose bytes it is one of."""
        first = bisect.bisect_left(self.starts, address - self.longest)
        return [s for s in self.symbols[first:bisect.bisect_right(self.starts, address)]
                if s.address <= address < s.address + s.size]

    def named(self, address: int, name: str) -> list[peers.Symbol]:
        """The nearest symbols before the address with that name."""
        last = bisect.bisect_right(self.starts, address)
        return [s for s in self.symbols[max(0, last - 400):last] if s.name == name]


def _name_class(address: int, ours: str, theirs: str, covering: Covering) -> str:
    """Why two names of one address may differ, by the symbol table."""
    code = [s for s in covering.at(address) if s.kind in ("FUNC", "IFUNC")]
    if is_variant(ours, theirs) or is_variant(theirs, ours):
        return "symbol's name"
    if {ours, theirs} <= {s.name for s in code} and len({s.address for s in code if s.name in (ours, theirs)}) == 1:
        return "second name"
    if not code and (not ours or not theirs):
        return "padding"
    if ours in {s.name for s in code} and any(s.kind == "NOTYPE" or not s.size
                                              for s in covering.named(address, theirs)):
        return "label"
    return UNEXPLAINED


def symbolized(subject: Subject, count: int) -> list[Score]:
    """`symbolize --inlines` beside llvm-symbolizer: names, lines, chains."""
    label = f"{count:,} addresses"
    names = Score(subject.name, f"{label}: function", "llvm-symbolizer")
    lines = Score(subject.name, f"{label}: file:line", "llvm-symbolizer")
    chains = Score(subject.name, f"{label}: inline chain, call lines", "llvm-symbolizer")
    third = Score(subject.name, f"{label}: file:line", "libdw")
    addresses = picked_addresses(subject, count)
    ours = subject.ask("symbolize", "--inlines", stdin="".join(f"{a:#x}\n" for a in addresses))
    if len(ours) != len(addresses):
        raise RuntimeError(f"{subject.name}: symbolize answered {len(ours)} of {len(addresses)} addresses")
    covering = Covering(subject.symbols)
    by_libdw = subject.libdw.lines(subject.twin, addresses)
    try:
        theirs = peers.llvm_frames(subject.twin, addresses)
    except ToolMissing as error:
        names.absent = lines.absent = chains.absent = str(error)
        theirs = []
    for at, (address, record) in enumerate(zip(addresses, ours)):
        place = (str(record.get("file", "")), int(record.get("line", 0)))
        llvm = (theirs[at][0].file, theirs[at][0].line) if theirs and theirs[at] else None
        _compare_lines(third, address, place, by_libdw[address], llvm)
    for address, record, frames in zip(addresses, ours, theirs):
        own, their = str(record.get("name") or ""), frames[-1].name if frames else ""
        if own == their:
            names.agree += 1
        else:
            names.differs(_name_class(address, own, their, covering), f"{address:#x}: cprobe {own!r}, llvm {their!r}")
        place = (str(record.get("file", "")), int(record.get("line", 0)))
        _compare_lines(lines, address, place, (frames[0].file, frames[0].line) if frames else ("", 0),
                       by_libdw[address])
        chain = [(str(i["name"]), int(i.get("call_line", 0))) for i in record.get("inlines", [])]
        wanted = [(inner.name, outer.line) for inner, outer in zip(frames, frames[1:])]
        if chain == wanted:
            chains.agree += 1
        else:
            chains.differs(UNEXPLAINED, f"{address:#x}: cprobe {chain}, llvm {wanted}")
    return [names, lines, chains, third]


def _same_place(one: tuple[str, int], other: tuple[str, int]) -> bool:
    return one[1] == other[1] and (not one[1] or same_file(one[0], other[0]))


def _compare_lines(score: Score, address: int, ours: tuple[str, int], theirs: tuple[str, int],
                   third: tuple[str, int] | None) -> None:
    """Where one peer disagrees, another may be a witness; without one it is unexplained."""
    if _same_place(ours, theirs):
        score.agree += 1
        return
    witness = third is not None and _same_place(ours, third)
    name = UNEXPLAINED
    if witness:
        name = "other peer: no line either" if not ours[1] else "other peer: cprobe's line"
    score.differs(name, f"{address:#x}: cprobe {ours}, {score.peer} {theirs}, the other {third}")


# -- type -------------------------------------------------------------------------------------------------------------

def _own_layout(records: list[Record], name: str) -> list[peers.Layout]:
    """cprobe's layouts of that name: a record of kind type, followed by its fields'."""
    found: list[tuple[int, list[peers.Member]]] = []
    for record in records:
        if record["kind"] == "type":
            found.append((int(record.get("size", 0)), []))
        elif found:
            bits = int(record.get("bit_size", 0))
            found[-1][1].append(peers.Member(str(record["name"])[len(name) + 1:],
                                             int(record["offset"]) * 8 + int(record.get("bit_offset", 0)),
                                             0 if bits else int(record.get("size", 0)), bits))
    return [peers.Layout(size, frozenset(members)) for size, members in found]


def layouts(subject: Subject, count: int) -> list[Score]:
    """`type` of structs picked by the seed, beside pahole and drgn: one comparison a member and one a struct's size."""
    absent = ""
    try:
        counts = peers.struct_names(subject.twin)
    except ToolMissing as error:
        absent, counts = str(error), {}
    except RuntimeError as error:
        absent, counts = f"it fails: {str(error).splitlines()[-1]}", {}
    if absent:
        counts = subject.libdw.struct_names(subject.twin)
    names = sorted(counts)
    if len(names) > count:
        names = random.Random(subject.seed).sample(names, min(len(names), count + count // 5))
    by_pahole = {} if absent else peers.pahole_layouts(subject.twin, names, subject.whole_kernel)
    names = [name for name in names if absent or name in by_pahole][:count]
    ours = {name: _own_layout(subject.ask("type", name), name) for name in names}
    scores = []
    for peer in ("pahole", "drgn"):
        score = Score(subject.name, f"{len(names)} structs: offset, size, bits of each member", peer)
        scores.append(score)
        if peer == "pahole" and absent:
            score.absent = absent
            continue
        try:
            theirs = by_pahole if peer == "pahole" else peers.drgn_layouts(subject.twin, names, subject.folder)
        except ToolMissing as error:
            score.absent = str(error)
            theirs = {}
        for name in names:
            if name in theirs:
                _compare_layout(score, name, ours[name], theirs[name], counts[name])
    return scores


def _compare_layout(score: Score, name: str, ours: list[peers.Layout], theirs: peers.Layout, known: int) -> None:
    if theirs in ours:
        score.agree += 1 + len(theirs.members)
        return
    near = ours[0] if ours else peers.Layout(-1, frozenset())
    several = known > 1 or len(ours) > 1
    for member in theirs.members ^ near.members:
        score.differs("several structs" if several else UNEXPLAINED,
                      f"{name}: only {'cprobe' if member in near.members else score.peer}: {member}")
    score.agree += len(theirs.members & near.members)
    if near.size == theirs.size:
        score.agree += 1
    else:
        score.differs("several structs" if several else UNEXPLAINED,
                      f"{name}: size: cprobe {near.size}, {score.peer} {theirs.size}")


def totals(scores: Iterable[Score]) -> Counter[str]:
    """All classes of all scores."""
    total: Counter[str] = Counter()
    for score in scores:
        total.update(score.classes)
    return total
