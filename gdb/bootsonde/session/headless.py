"""A run without a person: GDB executes this file, which runs the scenario and leaves the verdict to the host."""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback

import gdb

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir))

from bootsonde.model.scenario import Scenario  # noqa: E402
from bootsonde.model.config import SESSION_VARIABLE, SessionConfig  # noqa: E402
from bootsonde.model.errors import UserError  # noqa: E402
from bootsonde.model.outcome import Outcome, Verdict  # noqa: E402
from bootsonde.session.connection import Connection  # noqa: E402
from bootsonde.session.recorder import say, set_output  # noqa: E402
from bootsonde.session.session import Session  # noqa: E402


def run(scenario: Scenario, config: SessionConfig) -> None:
    """Attach, run to the end, print the summary, leave the guest."""
    connection = Connection()
    connection.open(config.stub)
    session = Session(config, connection)
    try:
        session.prepare(scenario)
        while session.verdict is None:
            if session.run(stop_at_hit=False) is None:
                session.finish(Verdict(Outcome.INTERRUPTED, "interrupted") if session.watchdog.interrupted else Verdict(
                    Outcome.LOST, "the guest was stopped by something else than this run",
                    "is somebody at QEMU's monitor?"))
        session.print_summary()
    except KeyboardInterrupt:
        if not session.started:
            raise
        session.finish(Verdict(Outcome.INTERRUPTED, "interrupted"))
    except UserError as error:
        if not session.started:
            raise
        session.finish(Verdict(Outcome.USAGE, str(error)))
    except Exception as error:
        if session.started:
            session.finish(Verdict(Outcome.FAILED, f"an error in bootsonde: {error!r}"))
        raise
    finally:
        session.close(kill=config.owned)
    assert session.verdict is not None
    _leave(config, session.verdict)


def _leave(config: SessionConfig, verdict: Verdict) -> None:
    assert config.result_file is not None
    with open(config.result_file, "w", encoding="utf-8") as file:
        json.dump(verdict.to_json(), file)


def _mistake(path: str, error: BaseException) -> Verdict:
    """The verdict on an error that nobody foresaw; its traceback is printed, from the scenario's first line on."""
    told = traceback.TracebackException.from_exception(error)
    own = [number for number, frame in enumerate(told.stack) if frame.filename == path]
    called = [frame.name for frame in told.stack[own[-1] + 1:][:1]] if own else []
    del told.stack[:own[0] if own else len(told.stack)]
    say("".join(told.format()).rstrip())
    what = list(told.format_exception_only())[-1].strip()
    if called == ["start"]:
        return Verdict(Outcome.FAILED, f"an error in bootsonde itself: {what}", "its traceback stands above")
    return Verdict(Outcome.USAGE, f"an error in {path}: {what}", "its traceback stands above")


def _main(path: str) -> None:
    config = SessionConfig.load(os.environ[SESSION_VARIABLE])
    set_output(config.output)
    # What a scenario prints is for the user too, not GDB's chatter.
    sys.stdout = os.fdopen(os.dup(config.output), "w", buffering=1, errors="replace")
    try:
        runpy.run_path(path, run_name="__main__")
    except UserError as error:
        _leave(config, Verdict(Outcome.USAGE, str(error)))
    except KeyboardInterrupt:
        _leave(config, Verdict(Outcome.INTERRUPTED, "interrupted"))
    except (Exception, SystemExit) as error:
        _leave(config, _mistake(path, error))
    if not os.path.exists(str(config.result_file)):
        _leave(config, Verdict(Outcome.USAGE, f"{path} ended without scenario.start()", "its last line should be that"))


if __name__ == "__main__":
    gdb.execute("set pagination off", to_string=True)
    _main(os.environ["BOOTSONDE_SCENARIO"])
