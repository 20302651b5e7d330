"""A baseline's text, as far as it says how a boot is run: its first line, [boot], [recorded], its comments.

All else is cprobe's (`cprobe baseline`, `cprobe diff`). Lines whose first character that is no blank is # are comments,
and may stand anywhere; blank lines mean nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from bootsonde.model.errors import UserError

#: The first line. Another number is another format.
NAME, VERSION = "bootsonde-baseline", "1"
FIRST_LINE = f"{NAME} {VERSION}"
#: The launcher's options that [boot] may have; of these are files, whose paths are relative to the baseline's folder:
OPTIONS = ("append", "smp", "cpu", "memory", "machine", "icount", "initrd", "disk", "net")
FILES = ("initrd", "disk")
#: Keys of [boot] that may come more than once; those that take yes or nothing; all others.
_MANY = ("set", "functions", "file", "until")
_FLAGS = ("all", "args")
_ONE = ("scenario", "timeout", "qemu", *OPTIONS)

#: Line number, from 1, and its text.
_Numbered = Tuple[int, str]


@dataclass
class Boot:
    """How a boot is run, as [boot] says it; paths are as written there.

    scenario: GDB runs it, with settings; else the plugin records functions and files (globs), or all of them.
    options: the launcher's, by name. qemu: words for QEMU, as a shell takes them. until, timeout_s: empty and None
    where the usual ones are meant.
    """

    scenario: Optional[str] = None
    settings: List[str] = field(default_factory=list)
    functions: List[str] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    all: bool = False
    arguments: bool = False
    options: Dict[str, str] = field(default_factory=dict)
    qemu: Optional[str] = None
    until: List[str] = field(default_factory=list)
    timeout_s: Optional[float] = None

    def lines(self) -> List[str]:
        """The section, with its heading."""
        found = [("scenario", self.scenario)] if self.scenario is not None else []
        found += [("set", text) for text in self.settings]
        found += [("functions", ",".join(self.functions))] if self.functions else []
        found += [("file", glob) for glob in self.files]
        found += [("all", "yes")] if self.all else []
        found += [("args", "yes")] if self.arguments else []
        found += [(name, self.options[name]) for name in OPTIONS if name in self.options]
        found += [("qemu", self.qemu)] if self.qemu is not None else []
        found += [("until", text) for text in self.until]
        found += [("timeout", f"{self.timeout_s:g}")] if self.timeout_s is not None else []
        return ["[boot]", *(f"{key} = {_quoted(value or '')}" for key, value in found)]


@dataclass
class Baseline:
    """What was read. recorded: [recorded]'s keys and values in their order."""

    path: str
    text: str
    boot: Boot
    recorded: List[Tuple[str, str]]

    def of_recorded(self, key: str) -> List[str]:
        """The values that [recorded] has for a key."""
        return [value for name, value in self.recorded if name == key]


def _quoted(value: str) -> str:
    """A value that is empty or no whole line, or whose blanks at its ends matter, is written as a string of JSON."""
    is_plain = value and value == value.strip() and not value.startswith('"') and "\n" not in value
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str, where: str) -> str:
    text: object = value
    if value.startswith('"'):
        try:
            text = json.loads(value)
        except ValueError:
            text = None
    if not isinstance(text, str):
        raise UserError(f'{where}: a value that begins with " ends with one, and is a string as JSON has it')
    if "\0" in text or not is_utf8(text):
        raise UserError(f"{where}: a byte 0, or half a character, cannot be passed on")
    return text


def is_utf8(text: str) -> bool:
    """Whether it can be written down: what the system gave us may have other bytes, as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _sections(lines: Iterable[_Numbered], path: str) -> Iterator[Tuple[int, str, List[_Numbered]]]:
    """Line number of the heading, name, and the lines that are no comments, of each section."""
    found: Optional[Tuple[int, str, List[_Numbered]]] = None
    for number, line in lines:
        text = line.strip()
        if not text or _is_comment(line):
            continue
        if text.startswith("[") and text.endswith("]") and line.startswith("["):
            if found is not None:
                yield found
            found = (number, text[1:-1].strip(), [])
        elif found is None:
            raise UserError(f"{path}:{number}: a section such as [boot] is expected before {text[:60]!r}")
        else:
            found[2].append((number, line))
    if found is not None:
        yield found


def _pairs(lines: Iterable[_Numbered], path: str, section: str) -> Iterator[Tuple[int, str, str]]:
    for number, line in lines:
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise UserError(f"{path}:{number}: [{section}] has lines KEY = VALUE, not {line.strip()[:60]!r}")
        yield number, key, _unquoted(value, f"{path}:{number}")


def read_pairs(text: str, path: str) -> List[Tuple[int, str, str]]:
    """Lines KEY = VALUE without sections, written as those of [boot] are: line number, key, value. Raises UserError."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1)
             if line.strip() and not _is_comment(line)]
    return list(_pairs(lines, path, path))


def _seconds(value: str, where: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UserError(f"{where}: timeout is a number of seconds above 0, not {value!r}")
    return seconds


def _read_boot(lines: List[_Numbered], path: str) -> Boot:
    boot = Boot()
    seen: Dict[str, int] = {}
    for number, key, value in _pairs(lines, path, "boot"):
        where = f"{path}:{number}"
        if key not in (*_MANY, *_FLAGS, *_ONE):
            raise UserError(f"{where}: [boot] has no {key!r}; it knows {', '.join((*_ONE, *_MANY, *_FLAGS))}")
        if key in seen and key not in _MANY:
            raise UserError(f"{where}: {key} stands in line {seen[key]} already, and may be given once")
        if not value and key != "append":
            raise UserError(f"{where}: {key} has no value")
        if key in _FLAGS and value not in ("yes", "no"):
            raise UserError(f"{where}: {key} is yes or no, not {value!r}")
        if key == "set" and "=" not in value:
            raise UserError(f"{where}: set is NAME=VALUE, not {value!r}")
        if key == "set" and value.split("=")[0] in [text.split("=")[0] for text in boot.settings]:
            raise UserError(f"{where}: {value.split('=')[0]} is set already, and may be set once")
        seen[key] = number
        if key in OPTIONS:
            boot.options[key] = value
        elif key == "scenario":
            boot.scenario = value
        elif key == "qemu":
            boot.qemu = value
        elif key == "set":
            boot.settings.append(value)
        elif key == "functions":
            boot.functions += [glob.strip() for glob in value.split(",")]
            if "" in boot.functions:
                raise UserError(f"{where}: functions are names with commas between them, and one is empty")
        elif key == "file":
            boot.files.append(value)
        elif key == "until":
            boot.until.append(value)
        elif key == "all":
            boot.all = value == "yes"
        elif key == "args":
            boot.arguments = value == "yes"
        else:
            boot.timeout_s = _seconds(value, where)
    plugins = [key for key in ("functions", "file", "all", "args") if key in seen]
    if boot.scenario is not None and plugins:
        raise UserError(f"{path}:{seen[plugins[0]]}: {plugins[0]} is the plugin's, and a scenario is GDB's: one of "
                        "them records")
    if boot.all and (boot.functions or boot.files):
        raise UserError(f"{path}:{seen['all']}: all records every function: leave it out, or functions and file")
    if boot.scenario is None and not (boot.functions or boot.files or boot.all):
        raise UserError(f"{path}: [boot] does not say what is recorded: scenario, functions, file or all = yes is "
                        "expected there")
    if boot.settings and boot.scenario is None:
        raise UserError(f"{path}:{seen['set']}: set is for a scenario, and there is none")
    return boot


def read_baseline(text: str, path: str) -> Baseline:
    """Raises UserError, with file and line, for what is no baseline or says not how it is run."""
    lines = text.split("\n")
    head = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not _is_comment(line)]
    words = head[0][1].split() if head else []
    if words[:1] != [NAME]:
        number = head[0][0] if head else 1
        raise UserError(f"{path}:{number}: no baseline: its first line is expected to be {FIRST_LINE!r}; "
                        "bootsonde record makes one")
    if words != [NAME, VERSION]:
        raise UserError(f"{path}:{head[0][0]}: a baseline of version {' '.join(words[1:])!r}; this bootsonde reads "
                        f"{VERSION}: record it anew")
    boot: Optional[Boot] = None
    recorded: List[Tuple[str, str]] = []
    where: Dict[str, int] = {}
    for number, name, content in _sections(head[1:], path):
        if name in where:
            raise UserError(f"{path}:{number}: [{name}] begins in line {where[name]} already")
        where[name] = number
        if name == "boot":
            boot = _read_boot(content, path)
        elif name == "recorded":
            recorded = [(key, value) for _, key, value in _pairs(content, path, name)]
    if boot is None:
        raise UserError(f"{path}: there is no [boot], which says how it is run: a section as bootsonde record writes "
                        "it is expected after the first line")
    return Baseline(path, text, boot, recorded)


def put_in(text: str, boot: List[str], recorded: List[Tuple[str, str]]) -> str:
    """cprobe's baseline with [boot] (lines) after its first line, and more of [recorded]."""
    lines = text.split("\n")
    if recorded:
        at = lines.index("[recorded]") + 1
        while at < len(lines) and lines[at].strip():
            at += 1
        lines[at:at] = [f"{key} = {value}" for key, value in recorded]
    return "\n".join([lines[0], "", *boot, *lines[1:]])


# An older file's [boot] and comments.

def boot_section(text: str) -> List[str]:
    """The lines of [boot] as they are, without comments and the blank lines at its end."""
    found: List[str] = []
    is_inside = False
    for line in text.split("\n"):
        if line.startswith("["):
            is_inside = line.strip() == "[boot]"
        if is_inside and not _is_comment(line):
            found.append(line)
    while found and not found[-1].strip():
        found.pop()
    return found


def _keyed(lines: List[str]) -> List[Tuple[str, str]]:
    """Section and text of each line, blank lines and comments as ("", "")."""
    keys, section = [], ""
    for line in lines:
        if not line.strip() or _is_comment(line):
            keys.append(("", ""))
            continue
        if line.startswith("["):
            section = line.strip()
        keys.append((section, line.strip()))
    return keys


def _comments(lines: List[str]) -> List[Tuple[int, List[str]]]:
    """Blocks of comments, with blank lines between them, and which line each stands before."""
    blocks: List[Tuple[int, List[str]]] = []
    block: List[str] = []
    for number, line in enumerate([*lines, ""]):
        if number < len(lines) and (_is_comment(line) or block and not line.strip()):
            block.append(line)
        elif block and (line.strip() or number == len(lines)):
            while not block[-1].strip():
                block.pop()
            blocks.append((number, block))
            block = []
    return blocks


def _places(old: List[Tuple[str, str]], new: List[Tuple[str, str]]) -> List[int]:
    """For each line of old, and its end, the line of new that it is, or the one before which it would stand."""
    import difflib  # Not at the top: a replay does without.
    meant = [[index for index, key in enumerate(keys) if key[1]] for keys in (old, new)]
    before, after = [[keys[index] for index in meant[side]] for side, keys in enumerate((old, new))]
    places = [len(new)] * (len(old) + 1)
    for match in difflib.SequenceMatcher(None, before, after).get_matching_blocks():
        for step in range(match.size):
            places[meant[0][match.a + step]] = meant[1][match.b + step]
    for index in range(len(old) - 1, -1, -1):
        if places[index] == len(new):
            places[index] = places[index + 1]
    return places


def with_comments(old: str, new: str) -> str:
    """`new` with the comments of `old`, each before the line that it stood before, or where that would be now."""
    before, lines = old.rstrip("\n").split("\n"), new.rstrip("\n").split("\n")
    places = _places(_keyed(before), _keyed(lines))
    for number, block in reversed(_comments(before)):
        at = places[number]
        # As far from that line as it stood.
        if number < len(before) and not before[number - 1].strip():
            while at > 0 and not lines[at - 1].strip():
                at -= 1
            block = ["", *block] if at > 0 else block
        lines[at:at] = block
    return "\n".join(lines) + "\n"
