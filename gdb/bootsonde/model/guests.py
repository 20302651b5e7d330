"""Guests that the launcher started: the state files in the user's run folder.

The folder is $XDG_RUNTIME_DIR/bootsonde, else bootsonde-UID in the temporary folder; it is 0700 and the user's own.
A state file NAME.state has lines KEY=VALUE; launch/microvm_debug.sh writes it.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from typing import Dict, List, Optional

from bootsonde.model.errors import UserError


#: Names of guests that `bootsonde run` started for itself begin so.
RUN_PREFIX = "run-"


@dataclass(frozen=True)
class WaitingGuest:
    """One state file of a living guest. stub: HOST:PORT or unix:PATH. icount: its clock counts instructions."""

    name: str
    pid: int
    kernel: str
    stub: str
    console: Optional[str] = None
    qmp: Optional[str] = None
    icount: bool = False

    @property
    def target(self) -> str:
        """What GDB's `target remote` takes."""
        return gdb_target(self.stub)


def gdb_target(stub: str) -> str:
    """A stub's address in GDB's words: a socket's path goes without `unix:`, a bare port is on this machine."""
    if stub.startswith("unix:"):
        return stub[len("unix:"):]
    return f"127.0.0.1:{stub.lstrip(':')}" if stub.lstrip(":").isdigit() else stub


def run_folder(create: bool = False) -> str:
    """The run folder's path. Raises UserError if it is somebody else's or open to others."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        path = os.path.join(runtime, "bootsonde")
    else:
        path = os.path.join(tempfile.gettempdir(), f"bootsonde-{os.getuid()}")
    if create:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return path
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise UserError(f"{path} is not a folder of yours with mode 0700: remove it, or set XDG_RUNTIME_DIR")
    return path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def private_folder() -> str:
    """A new folder for one run, run-PID-..., in the run folder. What killed runs have left there is removed first."""
    folder = run_folder(create=True)
    for name in os.listdir(folder):
        word, _, rest = name.partition("-")
        pid = rest.partition("-")[0]
        if word == "run" and pid.isdigit() and not _alive(int(pid)):
            path = os.path.join(folder, name)
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{RUN_PREFIX}{os.getpid()}-", dir=folder)


def find_guest(where: str) -> Optional[WaitingGuest]:
    """The living guest with this name or stub address; None for one that the launcher did not start."""
    target = gdb_target(where.replace("localhost:", "127.0.0.1:", 1))
    return next((guest for guest in waiting_guests()
                 if where in (guest.name, guest.stub) or target == guest.target), None)


def waiting_guests() -> List[WaitingGuest]:
    """The living guests, by name."""
    folder = run_folder()
    guests = []
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    for name in names:
        if not name.endswith(".state"):
            continue
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape") as file:
                state: Dict[str, str] = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
            guest = WaitingGuest(name[:-len(".state")], int(state["pid"]), state["kernel"], state["stub"],
                                 state.get("console") or None, state.get("qmp") or None, bool(state.get("icount")))
        except (OSError, KeyError, ValueError):
            continue
        if guest.stub and _alive(guest.pid):
            guests.append(guest)
    return guests
