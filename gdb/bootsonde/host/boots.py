"""One boot as a baseline's [boot] says: by GDB with a scenario, or by the plugin; always with virtual time."""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import dataclass
from typing import Dict, List, Union

from bootsonde.host.options import ICOUNT, check_until, pairs
from bootsonde.host.report import file_text
from bootsonde.host.request import BootRequest, RunRequest, TraceRequest
from bootsonde.host.run import ran
from bootsonde.host.trace import recorded
from bootsonde.model.baseline import FILES, Boot
from bootsonde.model.errors import UserError
from bootsonde.model.outcome import DEFAULT_END, Outcome, Verdict

#: How long a boot may take where nobody says it; seconds.
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Kernel:
    """What boots, and the ELF where names are looked up; absolute paths."""

    path: str
    symbols: str

    @property
    def name(self) -> str:
        """As people know it."""
        return os.path.basename(self.path)


@dataclass
class Came:
    """What a boot has left: paths in the folder that was given. said: what the session told, and others by themselves,
    by name."""

    verdict: Verdict
    trace: str
    console: str
    said: Dict[str, str]


def temporary_folder(what: str) -> str:
    """A new folder for what a boot leaves. Raises UserError."""
    try:
        return tempfile.mkdtemp(prefix=f"bootsonde-{what}-")
    except OSError as error:
        raise UserError(f"no temporary folder can be made ({error}): set TMPDIR") from None


def path_of(value: str, base: str) -> str:
    """A path of [boot]'s: relative to the baseline's folder, `base`."""
    return os.path.normpath(os.path.join(base, os.path.expanduser(value)))


def booting(boot: Boot, kernel: Kernel, base: str, console: str) -> BootRequest:
    """What the guest is to be. base: the folder of the baseline."""
    options = {"icount": ICOUNT, **boot.options}
    disk = options.pop("disk", None)
    words = [word for name, value in options.items()
             for word in (f"--{name}", path_of(value, base) if name in FILES else value)]
    return BootRequest(kernel.path, kernel.symbols, path_of(disk, base) if disk is not None else None, words,
                       _words(boot.qemu), console)


def _words(qemu: Union[str, None]) -> List[str]:
    try:
        return shlex.split(qemu or "")
    except ValueError as error:
        raise UserError(f"qemu = {qemu}: words as a shell takes them are expected ({error})") from None


def boot_once(boot: Boot, kernel: Kernel, base: str, folder: str, timeout_s: float) -> Came:
    """Boot, and leave trace and console in `folder`. Raises UserError for what cannot be run at all."""
    if not os.path.isfile(kernel.path):
        raise UserError(f"{kernel.path}: no such kernel")
    check_until(boot.until)
    console, trace = os.path.join(folder, "console"), os.path.join(folder, "trace")
    request = booting(boot, kernel, base, console)
    if boot.scenario is not None:
        said = os.path.join(folder, "said")
        ended = ran(RunRequest(request, path_of(boot.scenario, base), trace=trace, until=boot.until,
                               settings=pairs("--set", boot.settings), timeout_s=timeout_s, said=said))
        ended.logs["session"] = file_text(said)
    else:
        ended = recorded(TraceRequest(request, trace, boot.functions, boot.files, arguments=boot.arguments,
                                      until=boot.until or [DEFAULT_END], timeout_s=timeout_s))
    if ended.verdict.outcome is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    if ended.verdict.outcome is Outcome.USAGE:
        raise UserError(ended.verdict.reason + (f"\n  next: {ended.verdict.advice}" if ended.verdict.advice else ""))
    return Came(ended.verdict, trace, console, ended.logs)
