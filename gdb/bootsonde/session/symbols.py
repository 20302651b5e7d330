"""A kernel's symbols in GDB: read when a person is about to type, not before, because a big kernel takes seconds."""

from __future__ import annotations

import os
from typing import Optional, Sequence, Tuple

import gdb

from bootsonde.session import machine
from bootsonde.session.recorder import say

#: What was loaded last: path, and its modification time and size then.
_loaded: Optional[Tuple[str, int, int]] = None
#: EI_CLASS of a 32-bit file, at offset 4.
_ELFCLASS32 = 1
#: Whether GDB is kept from the file's tables of frames.
_guesses_frames = False


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def loaded_file() -> Optional[str]:
    """The file that GDB has symbols of, if any."""
    space = gdb.current_progspace()
    return space.filename if space is not None else None


def _identity(path: str) -> Tuple[str, int, int]:
    status = os.stat(path)
    return path, status.st_mtime_ns, status.st_size


def replaced() -> bool:
    """Whether the file that bootsonde has loaded is another one by now: what is on disk is not what GDB knows."""
    try:
        return _loaded is not None and _loaded != _identity(_loaded[0])
    except OSError:
        return True


def is_narrow() -> bool:
    """Whether the file that GDB has symbols of is a 32-bit one."""
    path = loaded_file()
    try:
        with open(path or os.devnull, "rb") as file:
            return file.read(5)[4:] == bytes([_ELFCLASS32])
    except OSError:
        return False


def _guess_frames(wanted: bool) -> None:
    global _guesses_frames
    if wanted != _guesses_frames:
        gdb.execute(f"maintenance set dwarf unwinders {'off' if wanted else 'on'}", to_string=True)
        _guesses_frames = wanted


def suit_frames() -> None:
    """To be called before connecting, and when another file was loaded.

    QEMU has GDB take all code for 64-bit code. A 32-bit kernel's tables of frames have other sizes then than GDB reads,
    and it cannot even tell a register, as long as it looks into them.
    """
    _guess_frames(is_narrow())


def note_narrow() -> None:
    """Say it where GDB's own commands are not to be believed."""
    if is_narrow():
        say("bootsonde: this kernel is a 32-bit one, and GDB takes its code for 64-bit code: of `bt` only the first "
            "line is right")


def restore_frames() -> None:
    """To be called when no longer connected."""
    _guess_frames(False)


def load(path: str, source_map: Sequence[Tuple[str, str]]) -> None:
    """Make GDB read the symbols of `path`, unless it has; a file that was rebuilt since is read again.

    source_map: prefixes of source paths and what they are on this machine.
    A GDB in which the user has loaded another file keeps that one.
    """
    global _loaded
    identity = _identity(path)
    if identity == _loaded:
        return
    theirs = loaded_file()
    if theirs is not None and (_loaded is None or os.path.realpath(theirs) != os.path.realpath(_loaded[0])):
        if os.path.realpath(theirs) != os.path.realpath(path):
            say(f"bootsonde: keeping the symbols of {theirs}; the scenario's are in {path}")
        return
    try:
        # The kernel's own OSABI would make GDB misread the vCPU's registers; see connection.Connection.open.
        with machine.settings(confirm="off"):
            gdb.execute(f"file {_quoted(path)}", to_string=True)
            gdb.execute("set osabi none", to_string=True)
    except gdb.error as error:
        say(f"bootsonde: GDB cannot read the symbols of {path}: {error}")
        return
    for before, after in source_map:
        gdb.execute(f"set substitute-path {_quoted(before)} {_quoted(after)}", to_string=True)
    _loaded = identity
    suit_frames()
    note_narrow()
