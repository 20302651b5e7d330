"""`bootsonde run`: boot a kernel, let GDB run a scenario on it, say how it ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, Optional

from bootsonde import places
from bootsonde.host.debugger import Debugger
from bootsonde.host.guest import Guest, LaunchError
from bootsonde.host.identity import kernel_identity
from bootsonde.host.report import file_text, report
from bootsonde.host.request import RunRequest
from bootsonde.host.vcpus import vcpu_places
from bootsonde.model.config import SessionConfig
from bootsonde.model.errors import UserError
from bootsonde.model.guests import WaitingGuest, find_guest, gdb_target, private_folder
from bootsonde.model.outcome import Outcome, Verdict, guest_exit
from bootsonde.probe import Probe

#: Past the deadline by so much GDB is ended: it has not managed to stop by itself; seconds.
GRACE_S = 5.0
#: How a run at GDB's prompt ends; that needs no report.
GDB_WAS_QUIT = "GDB was quit"


def _write_exit(path: str, guest: Guest) -> None:
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump({"status": guest.status, "shutdown": guest.shutdown}, file)
    os.replace(part, path)


def _wait(debugger: Debugger, guest: Optional[Guest], exit_file: str, deadline: float) -> bool:
    """Wait for GDB, telling it when QEMU has ended. False if GDB had to be given up."""
    told = guest is None
    while debugger.process.poll() is None:
        if not told and guest is not None and guest.poll() is not None:
            _write_exit(exit_file, guest)
            told = True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _verdict(result_file: str, debugger: Debugger, guest: Optional[Guest], finished: bool, console: str,
             probe: Probe) -> Verdict:
    try:
        with open(result_file, encoding="utf-8") as file:
            return Verdict.from_json(json.load(file))
    except (OSError, ValueError, KeyError):
        pass
    if guest is not None and guest.poll() is not None and debugger.process.returncode is not None:
        verdict = guest_exit(guest.status, console, guest.shutdown)
        if verdict.outcome is Outcome.LOST:
            return verdict
    status = debugger.process.returncode
    if not finished:
        verdict = Verdict(Outcome.TIMEOUT, f"the deadline has passed, and GDB did not stop within {GRACE_S:.0f} s more",
                          "--timeout S gives it longer")
    elif status is not None and status < 0:
        verdict = Verdict(Outcome.LOST, f"GDB was ended by signal {-status}",
                          "the trace is cut off there; run again")
    else:
        verdict = Verdict(Outcome.LOST, f"GDB ended with status {status} and left no verdict",
                          "its messages stand above")
    if guest is not None:
        verdict.vcpus = vcpu_places(guest.qmp, probe)
    return verdict


@dataclass
class Ended:
    """How a session went. console: the log's path. logs: what programs said by themselves, by name."""

    verdict: Verdict
    console: Optional[str]
    logs: Dict[str, str]


def session(request: RunRequest, guest: Optional[Guest], folder: str, other: Optional[WaitingGuest]) -> Ended:
    """Have GDB run the scenario on a guest that was started for it, or on another. folder: for the session's files."""
    cprobe = places.cprobe()
    deadline = time.monotonic() + (float("inf") if request.prompt else request.timeout_s)
    console = guest.console if guest else request.boot.console or (other.console if other else None)
    kernel = kernel_identity(cprobe, request.boot.kernel, request.boot.symbols)
    header: Dict[str, Any] = {"kernel": kernel, "qemu": {}}
    if guest is not None and guest.qmp is not None:
        header["qemu"] = {"version": guest.qmp.version, "arguments": guest.arguments}
    config = SessionConfig(
        stub=guest.stub if guest else other.target if other else gdb_target(str(request.attach)),
        kernel=request.boot.kernel, symbols=request.boot.symbols, cprobe=cprobe, headless=not request.prompt,
        echo_console=request.echo_console or request.prompt, owned=guest is not None,
        deadline_s=None if request.prompt else request.timeout_s, trace=request.trace,
        console=console, exit_file=os.path.join(folder, "exit") if guest else None,
        result_file=os.path.join(folder, "result"), until=request.until,
        trace_header=header, source_map=request.source_map, symbols_at_prompt=request.symbols_at_prompt,
        icount=other.icount if other else "-icount" in header["qemu"].get("arguments", ()))
    config_path = os.path.join(folder, "session.json")
    gdb_log = os.path.join(folder, "gdb.log")
    config.output = os.open(request.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if request.said else os.dup(1)
    config.save(config_path)
    # GDB gets the terminal's Ctrl-C too, and ends the run. Not SIG_IGN, which GDB and cprobe would inherit.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with Debugger(request, config_path, gdb_log, config.output) as debugger:
            finished = _wait(debugger, guest, os.path.join(folder, "exit"), deadline + GRACE_S)
            text = file_text(console) if console else ""
            verdict = _verdict(str(config.result_file), debugger, guest, finished, text,
                               Probe(cprobe, request.boot.symbols))
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(config.output)
    if request.prompt and verdict.outcome is Outcome.LOST and debugger.process.returncode == 0:
        verdict = Verdict(Outcome.PASSED, GDB_WAS_QUIT)
    logs = {"qemu": guest.log_text() if guest else ""}
    if not os.path.exists(str(config.result_file)):
        logs["gdb"] = file_text(gdb_log)
    return Ended(verdict, console, logs)


def _run(request: RunRequest, guest: Optional[Guest], folder: str, other: Optional[WaitingGuest]) -> int:
    ended = session(request, guest, folder, other)
    if not (request.prompt and ended.verdict.reason == GDB_WAS_QUIT):
        report(ended.verdict, ended.console, request.trace, ended.logs)
    return ended.verdict.outcome.exit_code


def ran(request: RunRequest) -> Ended:
    """Start a guest, run the scenario on it, and print nothing. Raises UserError before anything was started."""
    if not os.path.isfile(request.scenario):
        raise UserError(f"{request.scenario}: no such scenario")
    try:
        with Guest(request.boot) as guest:
            return session(request, guest, guest.folder, None)
    except LaunchError as error:
        return Ended(Verdict(error.outcome, f"the guest did not start: {error}"), request.boot.console, {})


def run(request: RunRequest) -> int:
    """Carry a request out; the exit code. Raises UserError before anything was started."""
    if not os.path.isfile(request.scenario):
        raise UserError(f"{request.scenario}: no such scenario")
    if request.attach is not None:
        other = find_guest(request.attach)
        folder = private_folder()
        try:
            return _run(request, None, folder, other)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    try:
        with Guest(request.boot) as guest:
            return _run(request, guest, guest.folder, None)
    except LaunchError as error:
        print(f"bootsonde: the guest did not start: {error}", file=sys.stderr)
        return error.outcome.exit_code
