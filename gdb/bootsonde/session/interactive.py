"""A run with a person at GDB's prompt: find the waiting guest, stop at the first hit, go on by `bootsonde go`."""

from __future__ import annotations

import atexit
import contextlib
import os
from typing import Iterator, Optional

import gdb

from bootsonde import places
from bootsonde.model.config import SessionConfig
from bootsonde.model.errors import UserError
from bootsonde.model.guests import RUN_PREFIX, WaitingGuest, find_guest, gdb_target, waiting_guests
from bootsonde.model.outcome import Outcome, Verdict
from bootsonde.model.scenario import Rule, Scenario
from bootsonde.session import machine, symbols
from bootsonde.session.connection import Connection
from bootsonde.session.guard import check_writable
from bootsonde.session.recorder import say
from bootsonde.session.session import Session

#: Where a guest waits that nobody has registered.
DEFAULT_STUB = "127.0.0.1:1234"

#: How long a guest that is registered may take to open its stub, seconds.
START_S = 3.0

_connection = Connection()
_session: Optional[Session] = None


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn a UserError into GDB's own error, which shows as one line without a traceback."""
    try:
        yield
    except UserError as error:
        raise gdb.GdbError(f"bootsonde: {error}") from None


def current() -> Session:
    """The session, for commands. Raises gdb.GdbError if there is none."""
    if _session is None or not _session.started:
        raise gdb.GdbError("bootsonde: no scenario is loaded: source scenarios/pvclock.py")
    return _session


def changing(what: str) -> Session:
    """The session, for commands that change the guest. Raises UserError or gdb.GdbError if `what` cannot be done."""
    session = current()
    if session.verdict is not None:
        raise UserError("this run has ended: source a scenario for a new one")
    check_writable(what)
    return session


def running() -> Optional[Session]:
    """The session whose trace is open, or None."""
    return _session if _session is not None and _session.started and _session.verdict is None else None


def _choose_guest() -> Optional[WaitingGuest]:
    """The one guest that waits, or the one that $BOOTSONDE_GUEST names."""
    # The guest of a headless run has its own GDB.
    guests = [guest for guest in waiting_guests() if not guest.name.startswith(RUN_PREFIX)]
    wanted = os.environ.get("BOOTSONDE_GUEST")
    if wanted is not None:
        guests = [guest for guest in guests if guest.name == wanted]
        if not guests:
            raise UserError(f"no guest named {wanted} waits ($BOOTSONDE_GUEST)")
    if len(guests) > 1:
        raise UserError("several guests wait: " + ", ".join(f"{g.name} ({g.kernel})" for g in guests)
                        + "; choose with: bootsonde attach NAME")
    return guests[0] if guests else None


def attach(where: Optional[str] = None) -> None:
    """Connect to a guest by name or stub address, or to the only one that waits. Raises UserError."""
    if where is None:
        guest = _choose_guest()
    else:
        guest = find_guest(where)
    target = guest.target if guest is not None else gdb_target(where or DEFAULT_STUB)
    # A guest is registered just before its QEMU starts, which then takes a moment to open the stub.
    _connection.open(target, START_S if guest is not None else 0.0)
    say(f"bootsonde: attached to {target}" + (f", guest {guest.name}" if guest is not None else ""))


def _config(scenario: Scenario) -> SessionConfig:
    """What the host would say in a headless run, from the waiting guest's state file."""
    target = machine.target()
    guest = find_guest(target)
    loaded = symbols.loaded_file()
    if guest is not None:
        kernel = guest.kernel
    else:
        kernel, origin = (loaded, "the file in GDB") if loaded is not None else places.default_kernel()
        say(f"bootsonde: taking the kernel to be {kernel} ({origin})")
    named = str(gdb.parameter("bootsonde-symbols") or "")
    trace = f"{scenario.name}.trace.jsonl"
    try:
        if os.path.exists(trace):
            os.replace(trace, f"{trace}.old")
    except OSError as error:
        raise UserError(f"the older trace cannot be kept: {error}") from None
    return SessionConfig(
        stub=target, kernel=kernel, symbols=named or kernel,
        cprobe=places.cprobe(), headless=False, owned=False, trace=trace,
        console=guest.console if guest is not None else None,
        icount=guest is not None and guest.icount,
        trace_header={"kernel": {"name": os.path.basename(kernel)}, "qemu": {}},
        symbols_at_prompt=gdb.parameter("bootsonde-symbols-at-prompt") != "never")


def run(scenario: Scenario, config: Optional[SessionConfig]) -> None:
    """Source a scenario: attach if need be, set its breakpoints, stop at the first hit.

    config: what the host says, if it has started this GDB (`bootsonde run --prompt`).
    """
    try:
        _start(scenario, config)
    except (UserError, gdb.GdbError) as error:
        # Raised through `source`, it would come with a traceback. There is nothing behind a scenario's start().
        say(f"bootsonde: {error}" if isinstance(error, UserError) else str(error))


def _start(scenario: Scenario, config: Optional[SessionConfig]) -> None:
    global _session
    if _session is not None:
        _session.close_run()
    if not _connection.alive():
        attach(config.stub if config is not None else None)
    session = Session(config or _config(scenario), _connection)
    try:
        session.prepare(scenario)
    except BaseException:
        session.close_files()
        raise
    _session = session
    say("bootsonde: running to the first hit; Ctrl-C stops earlier")
    go(stop_at_hit=True)


def go(stop_at_hit: bool = False) -> None:
    """Let the guest run; without `stop_at_hit` every hit is printed and the run goes on to its end."""
    session = current()
    with user_errors():
        if session.verdict is not None:
            raise UserError(f"this run has ended ({session.verdict.reason}): source a scenario for a new one"
                            + (", or `continue` without recording" if machine.connected() else ""))
        session.run(stop_at_hit)
        report(session, full=not stop_at_hit or session.verdict is not None)


def report(session: Session, full: bool) -> None:
    """What a person needs before the prompt: the summary, the verdict, symbols and the place."""
    if full:
        session.print_summary()
    if session.verdict is not None:
        verdict = session.verdict
        say(f"bootsonde: {verdict.outcome.value}: {verdict.reason}" + (f"; {verdict.advice}" if verdict.advice else ""))
        if session.config.trace:
            say(f"bootsonde: trace in {session.config.trace}")
    if machine.connected():
        if session.config.symbols_at_prompt:
            symbols.load(session.config.symbols, session.config.source_map)
        gdb.execute("frame")


def add_break(rule: Rule) -> None:
    """`bootsonde break` and `bootsonde watch`."""
    with user_errors():
        planned = current().add_rule(rule)
    for armed in planned.armed:
        where = "" if armed.site.file is None else f" {armed.site.where}"
        say(f"  {armed.site.address:#x} {armed.site.label}{where}")


def add_next(function: Optional[str]) -> None:
    """`bootsonde next`."""
    with user_errors():
        sites = current().add_next(function)
    for site in sites:
        where = "" if site.file is None else f" {site.where}"
        toward = f" to {site.toward}" if site.toward else ""
        say(f"  {site.address:#x} {site.label}{where}{toward}")


def detach() -> None:
    """`bootsonde detach`: end the run, take the breakpoints out, let the guest run on unless others have connected."""
    if not _connection.ours and machine.connected():
        _end_session()
        say("bootsonde: the connection stays, since it was there before: `detach` lets the guest run on")
    else:
        leave()


def leave() -> None:
    """End the run, take the breakpoints out, give the connection up; the guest runs on."""
    _end_session()
    _connection.close(kill=False)


def _end_session() -> None:
    global _session
    if _session is not None:
        _session.close_run()
        _session = None


@atexit.register
def _at_exit() -> None:
    """GDB is quit: the trace gets its end record, and no thread is left running."""
    if _session is not None and _session.started:
        if _session.verdict is None:
            _session.finish(Verdict(Outcome.INTERRUPTED, "GDB was quit"))
        _session.close_files()
