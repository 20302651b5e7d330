"""Places: how a scenario names code, and the sites that cprobe finds for them.

A place is a question to cprobe; it is pure data. A site is one answer: an address with its name, file and line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

from bootsonde.model.console import printable
from bootsonde.model.detour import Room

Globs = Union[str, Sequence[str]]


def _frozen(globs: Optional[Globs]) -> Optional[Globs]:
    """A list may be given where a place, which is hashed, keeps a tuple."""
    return globs if globs is None or isinstance(globs, str) else tuple(globs)


def _globs(option: str, globs: Optional[Globs]) -> list[str]:
    names = [globs] if isinstance(globs, str) else list(globs or ())
    return [word for name in names for word in (option, name)]


@dataclass(frozen=True)
class Functions:
    """Every function whose name matches a glob of `name` and whose file one of `file`.

    inlined: "include" their inlined copies, "exclude" them, or "only" those. Without a `file` to say where they may
    be, cprobe looks for copies in all of the kernel's DWARF, which takes 0.4 s on a Linux kernel; without copies the
    symbol table answers, in 0.03 s.
    """

    name: Optional[Globs] = None
    file: Optional[Globs] = None
    inlined: str = "include"

    def __post_init__(self) -> None:
        if self.inlined not in ("include", "exclude", "only"):
            raise ValueError(f"inlined={self.inlined!r}: one of include, exclude, only")
        for field_name in ("name", "file"):
            object.__setattr__(self, field_name, _frozen(getattr(self, field_name)))

    def query(self) -> list[str]:
        """cprobe's verb and options; KERNEL goes after the verb."""
        return ["list", *_globs("--file", self.file), *_globs("--func", self.name), "--inlined", self.inlined]

    def __str__(self) -> str:
        parts = [", ".join([value] if isinstance(value, str) else value)
                 for value in (self.name, self.file) if value]
        return " in ".join(parts) or "every function"


@dataclass(frozen=True)
class Check:
    """The test that guards a message: the last moment at which the message can still be avoided."""

    message: str

    def query(self) -> list[str]:
        """As Functions.query."""
        return ["find", "--message", self.message]

    def __str__(self) -> str:
        return f'the check that guards "{self.message}"'


@dataclass(frozen=True)
class Insn:
    """Every instruction with this mnemonic, in the functions that match `in_func`.

    inputs: sites say what a cpuid, rdmsr or wrmsr asks for, where that is a constant. padding: they say where a jump in
    their place may lead.
    """

    mnemonic: str
    in_func: Optional[Globs] = None
    inputs: bool = False
    padding: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_func", _frozen(self.in_func))

    def query(self) -> list[str]:
        """As Functions.query."""
        return ["find", "--insn", self.mnemonic, *_globs("--in-func", self.in_func),
                *(["--inputs"] if self.inputs else []), *(["--padding"] if self.padding else [])]

    def __str__(self) -> str:
        return f"{self.mnemonic} in {Functions(self.in_func)}" if self.in_func else f"every {self.mnemonic}"


@dataclass(frozen=True)
class Line:
    """A source line, FILE:LINE; where it has no code, the next line that has."""

    where: str

    def query(self) -> list[str]:
        """As Functions.query."""
        return ["line", self.where]

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True)
class Data:
    """A kernel variable, or a part of one by its path; what is watched there is who writes it."""

    name: str

    def query(self) -> list[str]:
        """As Functions.query; of the variable around the part."""
        return ["symbol", re.split(r"[.\[]", self.name)[0]]

    def __str__(self) -> str:
        return self.name


Place = Union[Functions, Check, Insn, Line, Data]


@dataclass(frozen=True)
class Argument:
    """A function's parameter as its entry has it.

    location: a register's name, memory in cprobe's notation, or None where it is not known. size: bytes, if known.
    """

    name: str
    type: str
    location: Optional[str]
    size: Optional[int] = None


@dataclass(frozen=True)
class Site:
    """One place in the kernel's code, as `cprobe --format json` describes it.

    hop, cave: padding near an instruction, and some in a page with little code; both or none.
    """

    address: int
    name: str
    kind: str
    file: Optional[str] = None
    line: Optional[int] = None
    size: int = 0
    outer: Optional[str] = None
    section: Optional[str] = None
    variable: Optional[str] = None
    mnemonic: Optional[str] = None
    input: Optional[int] = None
    toward: Optional[str] = None
    hop: Optional[Room] = None
    cave: Optional[Room] = None
    args: Tuple[Argument, ...] = field(default=())

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Site:
        """From one line of cprobe's json format."""
        return cls(
            address=int(record["address"], 0),
            name=printable(record.get("name") or "?"),
            kind=record["kind"],
            file=printable(record["file"]) if record.get("file") else None,
            line=record.get("line"),
            size=record.get("size", 0),
            outer=record.get("outer"),
            section=record.get("section"),
            variable=record.get("variable"),
            mnemonic=record.get("mnemonic"),
            input=int(record["input"], 0) if "input" in record else None,
            toward=printable(record["toward"]) if record.get("toward") else None,
            hop=Room(int(record["hop"], 0), record["hop_size"]) if "hop" in record else None,
            cave=Room(int(record["cave"], 0), record["cave_size"]) if "cave" in record else None,
            args=tuple(Argument(a.get("name") or "?", a.get("type") or "?", a.get("location"), a.get("size"))
                       for a in record.get("args", ())))

    @property
    def where(self) -> str:
        """FILE:LINE with the folder left out, or the bare address."""
        if self.file is None:
            return f"{self.address:#x}"
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}" if self.line else self.file.rsplit("/", 1)[-1]

    @property
    def function(self) -> str:
        """The function that a debugger would name here: for an instruction, the one around its inlined copies."""
        return self.outer if self.kind == "insn" and self.outer else self.name

    @property
    def label(self) -> str:
        """What a person reads: the function, and what is special about this place in it."""
        if self.kind == "inlined" and self.outer:
            return f"{self.name} (inlined in {self.outer})"
        if self.kind == "insn":
            return f"{self.mnemonic} in {self.function}"
        if self.kind == "check":
            return f"{self.name} (check of {self.variable})" if self.variable else f"{self.name} (check)"
        return self.name

    @property
    def distinct(self) -> str:
        """The label; in a kernel without symbols, whose code has but its section's name, with the address."""
        return f"{self.label} at {self.address:#x}" if self.function in (self.section, "?") else self.label


@dataclass(frozen=True)
class Variable:
    """A kernel variable: where it lives and how to read its bytes. `size` in bytes.

    encoding: cprobe's word for its type's kind: bool, char, signed, unsigned, float, enum, pointer, struct, union,
    array.
    """

    name: str
    address: int
    size: int
    type: Optional[str] = None
    signed: bool = False
    encoding: Optional[str] = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Variable:
        """From one line of `cprobe symbol --format json`."""
        return cls(record["name"], int(record["address"], 0), record.get("size", 0), record.get("type"),
                   record.get("encoding") == "signed", record.get("encoding"))
