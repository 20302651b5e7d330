"""An exact recording: QEMU's log of a boot, what must be the same for it to be replayed, and places in it.

Beside the baseline NAME lie NAME.rr, QEMU's log; NAME.rr.json, a Recording; NAME.rr.trace, what bootsonde saw of that
boot; NAME.rr.console, all that the guest printed.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from bootsonde.model.console import printable
from bootsonde.model.errors import UserError

FORMAT = "bootsonde-exact"
VERSION = 1

#: A function's entry: a name, or an address, and which entry.
_ENTRY = re.compile(r"([A-Za-z_.$][\w.$]*|0x[0-9A-Fa-f]+)(?:#([1-9]\d*))?")
_COUNT = re.compile(r"\d+")


@dataclass(frozen=True)
class Files:
    """Where the parts of an exact recording are: paths."""

    baseline: str

    @property
    def log(self) -> str:
        """QEMU's."""
        return f"{self.baseline}.rr"

    @property
    def facts(self) -> str:
        """The Recording."""
        return f"{self.log}.json"

    @property
    def trace(self) -> str:
        """The plugin's, or the session's."""
        return f"{self.log}.trace"

    @property
    def console(self) -> str:
        """What the guest printed."""
        return f"{self.log}.console"

    @property
    def all(self) -> List[str]:
        """Every one."""
        return [self.log, self.facts, self.trace, self.console]


@dataclass
class Recording:
    """What a replay needs. Paths are relative to the recording's folder.

    kernel, symbols, disk: as given. build_id: the kernel's; None: it has none. qemu: its version. end: instructions of
    the whole boot. reason: how it ended. options: the launcher's words, without --rr. qemu_args: words after --.
    sha256: of each file that the guest is made from, by path, and of the log ("log").
    """

    kernel: str
    symbols: str
    build_id: Optional[str]
    qemu: str
    end: int
    reason: str
    log_size: int
    disk: Optional[str] = None
    options: List[str] = field(default_factory=list)
    qemu_args: List[str] = field(default_factory=list)
    sha256: Dict[str, str] = field(default_factory=dict)

    def save(self, path: str) -> None:
        """Write the file."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "version": VERSION, **asdict(self)}, file, indent=1)
            file.write("\n")

    @classmethod
    def load(cls, path: str) -> Recording:
        """Inverse of save. Raises UserError for what is no such file."""
        try:
            with open(path, encoding="utf-8") as file:
                values: Any = json.load(file)
        except FileNotFoundError:
            raise UserError(f"{path} is not there: bootsonde record --exact makes it, with the log beside it") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise UserError(f"{path} does not describe an exact recording")
        version = values.pop("version", None)
        if version != VERSION:
            raise UserError(f"{path} has version {version!r}; this bootsonde reads {VERSION}")
        try:
            recording = cls(**values)
        except TypeError as error:
            raise UserError(f"{path} is damaged: {error}") from None
        for name, kind in _KINDS.items():
            if not isinstance(getattr(recording, name), kind):
                raise UserError(f"{path} is damaged: {name} is {getattr(recording, name)!r}")
        return recording


_TEXT = (str,)
_MAYBE_TEXT = (str, type(None))
_KINDS: Dict[str, Tuple[type, ...]] = {
    "kernel": _TEXT, "symbols": _TEXT, "build_id": _MAYBE_TEXT, "qemu": _TEXT, "end": (int,), "reason": _TEXT,
    "log_size": (int,), "disk": _MAYBE_TEXT, "options": (list,), "qemu_args": (list,), "sha256": (dict,)}


#: The launcher's options that name files which the guest reads.
FILES = ("initrd",)


def with_paths(options: Sequence[str], changed: Callable[[str], str]) -> List[str]:
    """The launcher's words, with the paths among them changed."""
    return [changed(word) if before in [f"--{name}" for name in FILES] else word
            for before, word in zip(["", *options], options)]


def option(options: Sequence[str], name: str) -> Optional[str]:
    """The value of one of the launcher's options, as words; the last one counts."""
    found = [value for word, value in zip(options, options[1:]) if word == f"--{name}"]
    return found[-1] if found else None


@dataclass(frozen=True)
class Count:
    """So many instructions after the start, as QEMU's `info replay` shows it."""

    instructions: int


@dataclass(frozen=True)
class Entry:
    """The `number`th time that a function, by name or address (0x...), is entered, from 1."""

    function: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.function}#{self.number}"


@dataclass(frozen=True)
class Text:
    """The `number`th line of the console that shows `text` has been printed to its end."""

    text: str
    number: int = 1


Place = Union[Count, Entry, Text]


def parse_place(word: str) -> List[Place]:
    """What a word of --at may mean, the likeliest first. Raises UserError for none at all."""
    if not word or "\n" in word or "\r" in word:
        raise UserError("--at wants an instruction count, a function's name (NAME#3: its third entry), a text of the "
                        "console, or DIVERGENCE")
    if _COUNT.fullmatch(word):
        return [Count(int(word))]
    found = _ENTRY.fullmatch(word)
    entry: List[Place] = [Entry(found[1], int(found[2] or 1))] if found else []
    return [*entry, Text(word)]


def shown(place: Text, console: bytes, whole: bytes) -> bool:
    """Whether `console` has the place's line to its end.

    whole: all that the boot prints: of a line that never ends, such as a prompt, the text is enough.
    """
    *lines, rest = console.decode("utf-8", "replace").split("\n")
    *ended, _ = whole.decode("utf-8", "replace").split("\n")
    seen = sum(place.text in printable(line) for line in lines)
    if sum(place.text in printable(line) for line in ended) < place.number:
        seen += place.text in printable(rest)
    return seen >= place.number


@dataclass
class Order:
    """What the host tells the session at GDB's prompt: where to go, what to say.

    addresses: where the function may be entered that is to be gone to; True: a physical address, where it runs before
    paging, and a program may run later, which is not meant. Empty: the guest is there already. number: which entry from
    here on. place: what was asked for. end: instructions of the recording. again: the command that gets a person there
    once more, but for the place. batch: GDB says what is there, carries `commands` out, and ends. breakpoints: a file
    of GDB's commands, for the session after this one. goto: the file that takes where to go next.
    """

    addresses: List[Tuple[int, bool]]
    number: int
    place: str
    end: int
    again: str
    batch: bool
    commands: List[str] = field(default_factory=list)
    breakpoints: Optional[str] = None
    goto: Optional[str] = None

    def save(self, path: str) -> None:
        """Write the file."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, path: str) -> Order:
        """Inverse of save."""
        with open(path, encoding="utf-8") as file:
            return cls(**json.load(file))


#: The Order's file, beside the SessionConfig.
ORDER = "exact.json"


def near(path: str, folder: str) -> str:
    """A path as a recording in `folder` keeps it."""
    return os.path.relpath(os.path.abspath(path), folder)


def far(path: str, folder: str) -> str:
    """Inverse of near."""
    return os.path.normpath(os.path.join(folder, path))
