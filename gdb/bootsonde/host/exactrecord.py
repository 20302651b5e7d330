"""`bootsonde record --exact`: one boot, recorded by QEMU to the instruction, and replayed once to see that it can be.

QEMU's record/replay keeps what came from outside of the guest; under icount the rest repeats by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Dict, Iterator, List, Optional

from bootsonde import places
from bootsonde.host import forward
from bootsonde.host.guest import Guest, LaunchError
from bootsonde.host.identity import file_hash, kernel_identity, sha256
from bootsonde.host.request import BootRequest, RunRequest, TraceRequest
from bootsonde.host.run import run
from bootsonde.host.trace import trace
from bootsonde.model.ending import SHOWN
from bootsonde.model.errors import UserError
from bootsonde.model.exact import FILES, Files, Recording, near, option, with_paths
from bootsonde.model.outcome import DEFAULT_END, Outcome
from bootsonde.model.trace import TraceReader

#: How long a QEMU may take to end that may well stand still; seconds.
_END_S = 0.3
#: Launcher's options that do not go with a recording, and why.
_REFUSED = (
    ("rr", "record --exact names QEMU's log itself"),
    ("write", "a replay needs the disk as it was"),
    ("plugin", "a replay would have to load it again"))


@dataclass
class ExactRecording:
    """What is asked for. scenario: GDB records what it sees; None: the plugin, as TraceRequest has it.

    force: write over an older recording. timeout_s: for the boot, and again for the replay that follows it.
    """

    boot: BootRequest
    baseline: str
    scenario: Optional[str] = None
    settings: Dict[str, str] = field(default_factory=dict)
    functions: List[str] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    until: List[str] = field(default_factory=list)
    timeout_s: float = 120.0
    echo_console: bool = False
    force: bool = False


def _check_recording(request: ExactRecording) -> None:
    """Raises UserError for what cannot be recorded."""
    options = request.boot.options
    for name, why in _REFUSED:
        if f"--{name}" in options:
            raise UserError(f"record --exact and --{name}: {why}: leave it out")
    if option(options, "accel") == "kvm":
        raise UserError("record --exact needs --accel tcg: KVM counts no instructions")
    if (option(options, "smp") or "1") != "1":
        raise UserError("record --exact works with one vCPU: QEMU (7.2 and 10.0) records no more. Leave --smp out; of "
                        "several vCPUs, boots under --deterministic repeat as well, and cprobe diff compares them")
    folder = os.path.dirname(os.path.abspath(request.baseline))
    if not os.path.isdir(folder):
        raise UserError(f"{request.baseline}: there is no folder {folder}")


def record_exact(request: ExactRecording) -> int:
    """Record a boot, replay it once to see that it can be, and describe it; the exit code is the boot's.

    Raises UserError before anything was started.
    """
    _check_recording(request)
    files = Files(os.path.abspath(request.baseline))
    with _alone(files), _in_place_of_older(files, request.force) as kept:
        code = _boot(request, files)
        if code not in (Outcome.PASSED.exit_code, Outcome.FAILED.exit_code, Outcome.TIMEOUT.exit_code):
            return code
        if not _describe(request, files):
            return Outcome.LOST.exit_code
        kept.append(True)
        return code


@contextlib.contextmanager
def _alone(files: Files) -> Iterator[None]:
    """Nobody else records there meanwhile. Raises UserError."""
    path = f"{files.log}.lock"
    try:
        lock = open(path, "w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{files.log} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                raise BlockingIOError  # It was somebody's who has just ended; another one may hold its successor.
        except (BlockingIOError, FileNotFoundError):
            raise UserError(f"{files.log} is being recorded by somebody else: wait for that, or name another") from None
        try:
            yield
        finally:
            os.unlink(path)


def _put_back(files: Files) -> None:
    for path in files.all:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}.old", path)


@contextlib.contextmanager
def _in_place_of_older(files: Files, force: bool) -> Iterator[List[bool]]:
    """The new recording's parts stay where True was put into the list; else those that were there before come back.

    Raises UserError for an older one without `force`.
    """
    _put_back(files)  # Those of a run that was killed.
    if os.path.lexists(files.log) and not force:
        raise UserError(f"{files.log} is there already: --force writes over it")
    for path in files.all:
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, f"{path}.old")
    kept: List[bool] = []
    try:
        yield kept
    finally:
        for path in files.all:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}.old" if kept else path)
        _put_back(files)


def _boot(request: ExactRecording, files: Files) -> int:
    boot = replace(request.boot, options=[*request.boot.options, "--rr", f"record:{files.log}"],
                   console=request.boot.console or files.console)
    if request.scenario is not None:
        return run(RunRequest(boot, request.scenario, trace=files.trace, until=request.until, settings=request.settings,
                              timeout_s=request.timeout_s, echo_console=request.echo_console))
    return trace(TraceRequest(boot, files.trace, request.functions, request.files, until=request.until or [DEFAULT_END],
                              timeout_s=request.timeout_s, echo_console=request.echo_console))


def _describe(request: ExactRecording, files: Files) -> bool:
    """Replay the log to its end, and write down what it needs. False: it cannot be replayed, which is said."""
    boot = request.boot
    folder = os.path.dirname(files.baseline)
    if not os.path.isfile(files.log):  # The guest never started.
        return False
    again = replace(boot, options=[*boot.options, "--rr", f"replay:{files.log}"], console=None)
    deadline = time.monotonic() + request.timeout_s
    reason = _reason(files.trace)
    try:
        with Guest(replace(again, qemu_args=[*boot.qemu_args, "-no-shutdown"])) as guest:
            assert guest.qmp is not None
            end = forward.replay_through(guest, deadline)
            version = guest.qmp.version
            is_same = filecmp.cmp(guest.console, boot.console or files.console, shallow=False)
            if boot.console:
                shutil.copyfile(boot.console, files.console)
        if not end or not reason.startswith(SHOWN):  # It may have ended by itself.
            end = forward.last_count(lambda: Guest(again, end_s=_END_S), end, deadline)
    except (forward.ReplayLost, forward.ReplayLate, LaunchError) as error:
        said = str(error) or "it did not end in time: --timeout S gives it longer"
        print(f"bootsonde: lost: the boot was recorded, but QEMU cannot replay it: {said}", file=sys.stderr)
        return False
    if not is_same:
        print("bootsonde: lost: the boot was recorded, but a replay printed something else on its console: record it "
              "again", file=sys.stderr)
        return False
    paths = [boot.kernel, boot.symbols, *([boot.disk] if boot.disk else []),
             *(value for name in FILES for value in [option(boot.options, name)] if value is not None)]
    kernel = kernel_identity(places.cprobe(), boot.kernel, boot.symbols)
    Recording(
        kernel=near(boot.kernel, folder), symbols=near(boot.symbols, folder), build_id=kernel["build-id"], qemu=version,
        end=end, reason=reason, log_size=os.path.getsize(files.log),
        disk=near(boot.disk, folder) if boot.disk else None, qemu_args=boot.qemu_args,
        options=with_paths(boot.options, lambda path: near(path, folder)),
        sha256={"log": file_hash(files.log), **{near(path, folder): sha256(path) for path in paths}},
    ).save(files.facts)
    print(f"bootsonde: exact recording in {files.log}: {end} instructions, {os.path.getsize(files.log) / 1000:.0f} kB; "
          "a replay went the same way")
    print(f"  into it: bootsonde replay --exact {shlex.quote(os.path.relpath(files.baseline))} --at N|FUNCTION|TEXT")
    return True


def _reason(path: str) -> str:
    """How the boot ended, by its trace."""
    with open(path, "rb") as stream:
        reader = TraceReader(stream, path)
        if reader.blocks is None:
            for _ in reader:
                pass
        return str((reader.end or {}).get("reason", ""))
