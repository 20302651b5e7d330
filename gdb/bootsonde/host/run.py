"""`bootsonde run`: boot a kernel, let GDB run a scenario on it, say how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from bootsonde import places
from bootsonde.host.guest import Guest, LaunchError
from bootsonde.host.identity import kernel_identity
from bootsonde.host.vcpus import vcpu_places
from bootsonde.model.config import SESSION_VARIABLE, SessionConfig
from bootsonde.model.console import printable
from bootsonde.model.errors import UserError
from bootsonde.model.guests import WaitingGuest, find_guest, gdb_target, run_folder
from bootsonde.model.outcome import Outcome, Verdict, guest_exit
from bootsonde.probe import Probe

#: Past the deadline by so much GDB is ended: it has not managed to stop by itself; seconds.
GRACE_S = 5.0
#: Console lines that a failure shows.
TAIL_LINES = 12


@dataclass
class RunRequest:
    """One run. kernel: what boots; symbols: where names are looked up; options: the launcher's, as words.

    attach: the stub of a guest that somebody else has started; it is left running. timeout_s: for the whole run.
    """

    scenario: str
    kernel: str
    symbols: str
    disk: Optional[str] = None
    options: List[str] = field(default_factory=list)
    qemu_args: List[str] = field(default_factory=list)
    attach: Optional[str] = None
    trace: Optional[str] = None
    until: List[str] = field(default_factory=list)
    settings: Dict[str, str] = field(default_factory=dict)
    timeout_s: float = 120.0
    source_map: List[Tuple[str, str]] = field(default_factory=list)
    console: Optional[str] = None
    echo_console: bool = False
    prompt: bool = False
    symbols_at_prompt: bool = True


def _gdb_command(request: RunRequest) -> List[str]:
    """GDB for a run: a person's own GDB, with its settings, or one that reads nothing but the session's script."""
    if request.prompt:
        return [os.environ.get("GDB") or "gdb", "-q", "-ex", f"source {request.scenario}"]
    return [os.environ.get("GDB") or "gdb", "-nx", "-nh", "-q", "-batch", "-iex", "set osabi none",
            "-iex", "set auto-load off", "-x",
            places.package_file("session", "headless.py")]


class Debugger:
    """GDB with a scenario. A context manager: after it GDB is gone."""

    def __init__(self, request: RunRequest, config_path: str, log: str, output: int) -> None:
        """log: takes what GDB says by itself. output: the descriptor on which the session speaks to the user."""
        environment = {**os.environ, SESSION_VARIABLE: config_path, "BOOTSONDE_SCENARIO": request.scenario}
        try:
            with open(log, "wb") as chatter:
                stdin, out = (None, None) if request.prompt else (subprocess.DEVNULL, chatter)
                self.process = subprocess.Popen(_gdb_command(request), stdin=stdin, stdout=out, stderr=out,
                                                pass_fds=(output,), env=environment)
        except OSError as error:
            raise UserError(f"GDB cannot be started ({error}): install gdb or name one in $GDB") from None

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


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


def _console_tail(path: Optional[str]) -> List[str]:
    if path is None:
        return []
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 16384))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [printable(line) for line in text.splitlines() if line.strip()][-TAIL_LINES:]


def _report(verdict: Verdict, console: Optional[str], request: RunRequest, logs: Dict[str, str]) -> None:
    out = sys.stdout if verdict.outcome is Outcome.PASSED else sys.stderr
    sys.stdout.flush()
    print(f"bootsonde: {verdict.outcome.value}: {verdict.reason}", file=out)
    if verdict.outcome is not Outcome.PASSED:
        for program, log in logs.items():
            for line in log.splitlines()[-TAIL_LINES:]:
                print(f"  {program}: {line}", file=out)
        tail = _console_tail(console)
        print("\n".join(["  the console's last lines:", *(f"    {line}" for line in tail)] if tail
                        else ["  the console is empty"]), file=out)
        for place in verdict.vcpus:
            print(f"  {place}", file=out)
        if verdict.advice:
            print(f"  next: {verdict.advice}", file=out)
    if request.trace and os.path.exists(request.trace):
        print(f"bootsonde: trace in {request.trace}", file=out)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _info(cprobe: str, path: str) -> Dict[str, Any]:
    try:
        records = Probe(cprobe, path).ask("info").records
    except UserError:
        return {}
    return records[0] if records else {}


def _session(request: RunRequest, guest: Optional[Guest], folder: str, other: Optional[WaitingGuest]) -> Verdict:
    cprobe = places.cprobe()
    deadline = time.monotonic() + (float("inf") if request.prompt else request.timeout_s)
    console = guest.console if guest else request.console or (other.console if other else None)
    header: Dict[str, Any] = {"kernel": kernel_identity(request.kernel, _info(cprobe, request.kernel)), "qemu": {}}
    if guest is not None and guest.qmp is not None:
        header["qemu"] = {"version": guest.qmp.version, "arguments": guest.arguments()}
    config = SessionConfig(
        stub=guest.stub if guest else other.target if other else gdb_target(str(request.attach)), kernel=request.kernel, symbols=request.symbols,
        cprobe=cprobe, headless=not request.prompt, echo_console=request.echo_console or request.prompt,
        owned=guest is not None, deadline_s=None if request.prompt else request.timeout_s, trace=request.trace,
        console=console, exit_file=os.path.join(folder, "exit") if guest else None,
        result_file=os.path.join(folder, "result"), until=request.until, settings=request.settings,
        trace_header=header, source_map=request.source_map, symbols_at_prompt=request.symbols_at_prompt)
    config_path = os.path.join(folder, "session.json")
    gdb_log = os.path.join(folder, "gdb.log")
    config.output = os.dup(1)
    config.save(config_path)
    # GDB gets the terminal's Ctrl-C too, and ends the run. Not SIG_IGN, which GDB and cprobe would inherit.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        with Debugger(request, config_path, gdb_log, config.output) as debugger:
            finished = _wait(debugger, guest, os.path.join(folder, "exit"), deadline + GRACE_S)
            text = "\n".join(_console_tail(console))
            verdict = _verdict(str(config.result_file), debugger, guest, finished, text,
                               Probe(cprobe, request.symbols))
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(config.output)
    if request.prompt and verdict.outcome is Outcome.LOST and debugger.process.returncode == 0:
        return Verdict(Outcome.PASSED, "GDB was quit")
    logs = {"qemu": guest.log_text() if guest else ""}
    if not os.path.exists(str(config.result_file)):
        logs["gdb"] = _text(gdb_log)
    _report(verdict, console, request, logs)
    return verdict


def run(request: RunRequest) -> int:
    """Carry a request out; the exit code. Raises UserError before anything was started."""
    if not os.path.isfile(request.scenario):
        raise UserError(f"{request.scenario}: no such scenario")
    if request.attach is not None:
        other = find_guest(request.attach)
        with tempfile.TemporaryDirectory(prefix="run-", dir=run_folder(create=True)) as folder:
            return _session(request, None, folder, other).outcome.exit_code
    try:
        with Guest(request.kernel, request.disk, request.options, request.qemu_args,
                   console=request.console) as guest:
            return _session(request, guest, guest.folder, None).outcome.exit_code
    except LaunchError as error:
        print(f"bootsonde: the guest did not start: {error}", file=sys.stderr)
        return error.status if error.status in (2, 3) else 3
