"""`bootsonde trace`: boot a kernel with the TCG plugin and record which functions it enters, without GDB."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, TextIO, Tuple

from bootsonde import places
from bootsonde.host.guest import Guest, LaunchError
from bootsonde.host.identity import build_id, kernel_identity, qemu_version
from bootsonde.host.progress import Progress
from bootsonde.host.report import file_text, report, shown
from bootsonde.host.request import RunRequest, TraceRequest
from bootsonde.host.run import Ended, session
from bootsonde.host.vcpus import vcpu_places
from bootsonde.model.ending import Ending
from bootsonde.model.errors import UserError
from bootsonde.model.outcome import Outcome, Verdict, guest_exit
from bootsonde.probe import Probe

#: How often console, plugin and QEMU are looked at; seconds.
_POLL_S = 0.01
#: How long QEMU may take to end: the plugin writes down what it still has; seconds.
END_S = 30.0
#: How long the plugin may take to see what the host has seen; seconds.
_PLUGIN_LOOKS_S = 1.0
#: So many events tell how many bytes each takes; of fewer, the header is most.
_ENOUGH = 1000
#: What every message of the plugin's begins with.
_PLUGIN_SAYS = "bootsonde-tcg: "


@dataclass
class Status:
    """What the plugin says of itself, ten times a second. state: running, stopped, failed or ended."""

    events: int = 0
    t: int = 0
    function: str = ""
    state: str = "running"
    reason: str = ""
    found_stop: bool = False

    @classmethod
    def read(cls, path: str) -> Status:
        """The plugin's status file; before it is written, nothing has happened."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                values = json.load(file)
            return cls(**{name: values[name] for name in ("events", "t", "function", "state", "reason")})
        except (OSError, ValueError, KeyError):
            return cls()


def plugin_value(text: str) -> str:
    """A value for the plugin: in an option of QEMU's a comma ends one, and two are one."""
    return text.replace(",", ",,")


class _Recording:
    """The plugin's side of one guest: its arguments, and its files in the guest's folder."""

    def __init__(self, request: TraceRequest, probe: Probe) -> None:
        self._request = request
        self._probe = probe
        self._plugin = places.tcg_plugin()
        self._stop_at = self._address(request.stop_at, probe) if request.stop_at is not None else None
        self._stop_reason = f"{self._stop_at:#x} was reached" if self._stop_at is not None else None

    @staticmethod
    def _address(place: str, probe: Probe) -> int:
        try:
            return int(place, 16) if place.startswith("0x") else _entry(place, probe)
        except ValueError:
            raise UserError(f"--stop-at {place}: give a function's name or 0xADDRESS") from None

    def status(self, guest: Guest) -> Status:
        """How far it is, with the names that the user gave."""
        status = Status.read(os.path.join(guest.folder, "status"))
        if status.reason == self._stop_reason:
            status.reason = f"{self._request.stop_at} was reached"
            status.found_stop = True
        return status

    def missed(self, status: Status) -> List[str]:
        """A line on a --stop-at that was not reached."""
        if self._stop_at is None or status.found_stop:
            return []
        found = self._probe.ask("symbolize", f"{self._stop_at:#x}").records
        is_entry = found and found[0]["kind"] != "unknown" and not found[0].get("offset")
        return [f"  --stop-at {self._request.stop_at}: not reached"
                + ("" if is_entry else "; no function of this kernel begins there")]

    def options(self, guest: Guest) -> List[str]:
        """The launcher's words for it."""
        request = self._request
        words = [f"out={plugin_value(request.output)}", f"status={plugin_value(os.path.join(guest.folder, 'status'))}",
                 f"header={plugin_value(os.path.join(guest.folder, 'header'))}",
                 f"kernel={plugin_value(request.boot.symbols)}"]
        words += [f"in-file={plugin_value(glob)}" for glob in request.files]
        words += [f"func={plugin_value(glob)}" for glob in request.functions]
        words += ["inlined=exclude"] if not request.files and not request.functions else []
        if not request.coverage:
            words.append(f"console={plugin_value(guest.console)}")
        if not request.coverage and request.scenario is None:
            words += [f"until={plugin_value(text)}" for text in request.until]
        words += ["mode=counts"] if request.coverage else []
        words += ["args=yes"] if request.arguments else []
        words += [f"mem={plugin_value(place)}" for place in request.memory]
        words += [f"limit={request.limit}"] if request.limit is not None else []
        words += [f"stop-at={self._stop_at:#x}"] if self._stop_at is not None else []
        return ["--plugin", ",".join([plugin_value(self._plugin), *words])]

    def write_header(self, guest: Guest) -> None:
        """What the trace's header says of kernel and QEMU. Names of one run only are left out: boots alike have one
        header."""
        request = self._request
        names = {guest.folder: "{run}", guest.name: "{name}", request.output: "{trace}", guest.console: "{console}"}
        arguments = guest.arguments
        for name, stands_for in names.items():
            arguments = [word.replace(name, stands_for) for word in arguments]
        kernel = kernel_identity(places.cprobe(), request.boot.kernel, request.boot.symbols)
        header: Dict[str, Any] = {"kernel": kernel,
                                  "qemu": {"version": qemu_version(arguments[0]), "arguments": arguments}}
        with open(os.path.join(guest.folder, "header"), "w", encoding="utf-8") as file:
            json.dump(header, file)


def _entry(name: str, probe: Probe) -> int:
    records = probe.functions(name)
    if not records:
        raise UserError(f"--stop-at {name}: this kernel has no such function; cprobe symbol KERNEL '*{name[:8]}*' "
                        "shows what it has")
    if len(records) > 1:
        places_of_it = ", ".join(record["address"] for record in records)
        raise UserError(f"--stop-at {name}: this kernel has several, at {places_of_it}: give one of the addresses")
    return int(records[0]["address"], 16)


@contextlib.contextmanager
def _interrupts() -> Iterator[List[int]]:
    """Ctrl-C is noted, and ends the recording as any other end does."""
    noted: List[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


class _PluginSees:
    """The text that ends the boot is seen by the plugin too, which ends the recording at that very instruction; a host
    that is faster on a busy machine would end it at another one each time."""

    def __init__(self, request: TraceRequest) -> None:
        self._looks = not request.coverage and request.scenario is None
        self._until: Optional[float] = None

    def is_awaited(self, verdict: Verdict, gone: bool, now: float) -> bool:
        """A guest that spins behind its text, and writes to no port, keeps the plugin from looking."""
        if self._until is None:
            self._until = now + _PLUGIN_LOOKS_S
        return self._looks and verdict.outcome is Outcome.PASSED and not gone and now < self._until


def _watch(request: TraceRequest, guest: Guest, recording: _Recording, ending: Ending, progress: Progress) -> Verdict:
    """Wait for the end, whoever brings it."""
    plugin_sees = _PluginSees(request)
    with _interrupts() as interrupted:
        while True:
            gone = guest.poll() is not None
            lines = ending.look(time.monotonic())
            if request.echo_console:
                progress.lines(lines)
            status = recording.status(guest)
            if status.state == "failed":
                return Verdict(Outcome.LOST, status.reason)
            if status.state == "stopped":
                return Verdict(Outcome.PASSED, status.reason)
            if ending.verdict is not None and not plugin_sees.is_awaited(ending.verdict, gone, time.monotonic()):
                return ending.verdict
            if gone:
                if guest.status == 1 and guest.shutdown is None and _PLUGIN_SAYS in guest.log_text():
                    raise LaunchError(1, guest.log_text())  # QEMU opens its monitor before it loads the plugin.
                return guest_exit(guest.status, file_text(guest.console), guest.shutdown)
            if interrupted:
                return Verdict(Outcome.INTERRUPTED, "interrupted")
            ending.judge_time(time.monotonic())
            progress.show(status.events, status.function)
            time.sleep(_POLL_S)


def _check_symbols(probe: Probe, kernel: str) -> None:
    """Raises UserError where the ELF that names the functions is another kernel's: none would ever be entered."""
    if probe.kernel == kernel:
        return
    ours, booted = build_id(probe.cprobe, probe.kernel), build_id(probe.cprobe, kernel)
    if ours and booted and ours != booted:
        raise UserError(f"--symbols {probe.kernel} has the build-id {ours}, and the kernel {kernel} has {booted}: give "
                        "the ELF of the kernel that boots")


def _record(request: TraceRequest, guest: Guest, recording: _Recording, probe: Probe,
            said: TextIO) -> Tuple[Verdict, Status]:
    """Let the guest run to its end. said: takes how it goes."""
    ending = Ending(guest.console, request.until, time.monotonic() + request.timeout_s,
                    "--timeout S gives it longer; cprobe tree shows the last calls")
    assert guest.qmp is not None
    with Progress(said) as progress:
        guest.qmp.execute("cont")
        verdict = _watch(request, guest, recording, ending, progress)
    if verdict.outcome is Outcome.TIMEOUT:
        verdict.vcpus = vcpu_places(guest.qmp, probe)
    guest.end()
    return _whole(guest, recording, verdict)


def _whole(guest: Guest, recording: _Recording, verdict: Verdict) -> Tuple[Verdict, Status]:
    """A trace that is not whole is not passed off as one, whatever the guest did."""
    status = recording.status(guest)
    if status.state == "failed":
        verdict = Verdict(Outcome.LOST, status.reason,
                          "what is there can be read; free some space, or name another place with -o")
    return verdict, status


def _told(request: TraceRequest, guest: Guest, recording: _Recording, verdict: Verdict, status: Status,
          logs: Dict[str, str]) -> Verdict:
    """Say how it ended."""
    report(verdict, guest.console, request.output, logs)
    if verdict.outcome is Outcome.USAGE:  # The scenario's, before the guest moved: there is nothing to tell of.
        return verdict
    lines = [*recording.missed(status), *_result(request, status, verdict.outcome is not Outcome.LOST)]
    with contextlib.suppress(BrokenPipeError):  # As in report(): the exit code still tells.
        print("\n".join(lines), file=sys.stdout if verdict.outcome is Outcome.PASSED else sys.stderr, flush=True)
    return verdict


def _record_scenario(request: TraceRequest, guest: Guest, recording: _Recording) -> Verdict:
    """The same, while GDB runs a scenario: what it saw and did is put into the plugin's trace."""
    assert request.scenario is not None
    path = os.path.join(guest.folder, "gdb.jsonl")
    ended = session(RunRequest(request.boot, request.scenario, trace=path, until=request.until,
                               settings=request.settings, timeout_s=request.timeout_s,
                               echo_console=request.echo_console), guest, guest.folder, None)
    guest.end()
    with contextlib.suppress(FileNotFoundError):  # A session that never began left none.
        _put_together(request.output, path)
    return _told(request, guest, recording, *_whole(guest, recording, ended.verdict), ended.logs)


def _put_together(output: str, path: str) -> None:
    # Not at the top: who records without a scenario reads no trace, and starts sooner.
    from bootsonde.model.blockwriter import put_in, shifted
    from bootsonde.model.trace import read_trace
    with open(path, encoding="utf-8") as file:
        gdbs = read_trace(file, path)
    started = (gdbs.end or {}).get("started")
    with open(output, "r+b") as stream:
        plugins = json.loads(stream.readline()).get("started")
        later = started - plugins if started is not None and plugins is not None else 0
        # The plugin has the console's lines itself, at their places.
        put_in(stream, output, shifted((event for event in gdbs.events if event["kind"] != "console"), later))


def _result(request: TraceRequest, status: Status, ran: bool) -> List[str]:
    """ran: the guest did, so that something should have been entered."""
    size = os.path.getsize(request.output) if os.path.exists(request.output) else 0
    each = f", {size / status.events:.1f} bytes each" if status.events >= _ENOUGH and not request.coverage else ""
    what = "entries counted" if request.coverage else "event" if status.events == 1 else "events"
    cprobe = "cprobe" if shutil.which("cprobe") else shown(places.cprobe())
    kernel, output = shown(request.boot.symbols), shown(request.output)
    lines = [f"bootsonde: {status.events:,} {what} in {status.t / 1e9:.3f} s of the guest's{each}"]
    if not status.events and ran:
        lines += ["  none of the functions was entered: if that cannot be, is that kernel what was booted, and does it "
                  "run where it was linked (Linux: nokaslr)?"]
    return [*lines,
            f"  what ran: {cprobe} coverage {kernel} {output}",
            f"  why something did not: {cprobe} why {kernel} FUNC {output}"]


def _explain(error: LaunchError) -> Verdict:
    text = str(error)
    said = [line[len(_PLUGIN_SAYS):] for line in text.split("\n") if line.startswith(_PLUGIN_SAYS)]
    if said:  # What it noticed, and last why it gave up.
        return Verdict(Outcome.USAGE, "\nbootsonde: ".join(said))
    if "-plugin" in text and "invalid option" in text:
        return Verdict(Outcome.USAGE, "this QEMU was built without TCG plugins: name one that has them in $QEMU; "
                                      "distributions' own QEMUs do")
    return Verdict(error.outcome, f"the guest did not start: {text}")


def _prepared(request: TraceRequest) -> Tuple[Probe, _Recording]:
    probe = Probe(places.cprobe(), request.boot.symbols)
    _check_symbols(probe, request.boot.kernel)
    return probe, _Recording(request, probe)


def recorded(request: TraceRequest) -> Ended:
    """Boot and record, and print nothing. request.scenario is None. Raises UserError before anything was started."""
    assert request.scenario is None
    probe, recording = _prepared(request)
    try:
        with Guest(request.boot, recording.options, recording.write_header, END_S) as guest, io.StringIO() as unsaid:
            verdict, _ = _record(request, guest, recording, probe, unsaid)
            return Ended(verdict, guest.console, {"qemu": guest.log_text()})
    except LaunchError as error:
        return Ended(_explain(error), request.boot.console, {})


def trace(request: TraceRequest) -> int:
    """Carry a request out; the exit code. Raises UserError before anything was started."""
    if request.scenario is not None and not os.path.isfile(request.scenario):
        raise UserError(f"{request.scenario}: no such scenario")
    probe, recording = _prepared(request)
    try:
        with Guest(request.boot, recording.options, recording.write_header, END_S) as guest:
            if request.scenario is not None:
                return _record_scenario(request, guest, recording).outcome.exit_code
            verdict, status = _record(request, guest, recording, probe, sys.stderr)
            return _told(request, guest, recording, verdict, status, {"qemu": guest.log_text()}).outcome.exit_code
    except LaunchError as error:
        verdict = _explain(error)
        print(f"bootsonde: {verdict.reason}", file=sys.stderr)
        return verdict.outcome.exit_code
