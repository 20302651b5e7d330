"""`bootsonde replay`: boot as baselines say, and tell where a boot went another way.

Where nothing is asked that is pytest's (a JUnit file, -k), pytest is not loaded: it takes as long as a boot.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set

from bootsonde.host.baselines import SUFFIX
from bootsonde.host import exactwords
from bootsonde.host.jobs import side_by_side
from bootsonde.host.options import RUNS, add_boot_options, check_timeout, checked_runs, launcher_options
from bootsonde.host.replaying import Choice, Result, State, carry_out, choose, replays_of
from bootsonde.model.baseline import FILES
from bootsonde.model.console import printable
from bootsonde.model.errors import UserError
from bootsonde.model.outcome import Outcome

if TYPE_CHECKING:
    import pytest
    from bootsonde.host.record import Verbs

#: What `git bisect run` takes as: this one cannot be tested.
SKIP = 125
#: The states from which a command's exit code is chosen: the first that occurred.
_WEIGHTS = (State.DIVERGED, State.USAGE, State.LOST, State.TIMEOUT)


def add_parser(verbs: Verbs) -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "replay", help="boot as baselines say, and tell where the boot went another way", allow_abbrev=False,
        description="Boot as each BASELINE says, and compare. A folder stands for the baselines in it. The boot's "
                    "options replace those of the baselines.",
        epilog="Exit codes: 0 all equal, 1 diverged, 2 usage, 3 lost, 4 timed out; with --bisect: 0 equal, 1 diverged, "
               f"{SKIP} anything else, as git bisect run takes it.")
    verb.set_defaults(carry_out=_replay)
    verb.add_argument("baselines", metavar="BASELINE", nargs="+")
    verb.add_argument("--matrix", metavar="FILE", help="kernels, CPUs, numbers of vCPUs: every combination is booted; "
                                                       "lines such as smp = 2")
    what = verb.add_mutually_exclusive_group()
    what.add_argument("--accept", action="store_true", help="record the baselines anew, as the boot is now, and show "
                                                            "what changes; [boot] and comments stay")
    what.add_argument("--bisect", action="store_true", help="for git bisect run: one baseline, its exit codes, one "
                                                            "line")
    verb.add_argument("--runs", metavar="N", type=int, help=f"with --accept: boots to compare (default: {RUNS})")
    verb.add_argument("--large", action="store_true", help="with --accept: write it even if it is larger than 1 MB")
    verb.add_argument("--timeout", metavar="S", type=float, help="seconds for each boot, in place of the baselines'")
    verb.add_argument("--keep", metavar="FOLDER", help="where traces and consoles of boots that diverge are kept "
                                                       "(default: a temporary folder)")
    verb.add_argument("--junitxml", metavar="F", help="also a JUnit file")
    verb.add_argument("-n", dest="jobs", metavar="JOBS", help="so many at a time (default: as many as there are CPUs)")
    verb.add_argument("-k", dest="only", metavar="EXPR", help="only those whose names match, as pytest has it")
    verb.add_argument("-x", dest="exit_first", action="store_true", help="end after the first that is not equal")
    exactwords.add_replay_options(verb)
    add_boot_options(verb, console=False)


class Report:
    """What a person reads while replays end."""

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self._noted: Set[str] = set()
        self._began = time.monotonic()

    def add(self, name: str, result: Result, seconds: float) -> None:
        """One replay has ended."""
        self.states[result.state] += 1
        print(f"{result.state.value:<9} {name}  ({seconds:.2f} s)")
        lines = [printable(line) for line in result.text.split("\n")] if result.text else []
        for line in lines:
            if result.state is not State.EQUAL or line not in self._noted:
                print(f"  {line}".rstrip())
        if result.state is State.EQUAL:  # All may have been recorded on the same other machine: that is said once.
            self._noted.update(lines)
        sys.stdout.flush()

    def summary(self) -> int:
        """The last line; the exit code."""
        count = sum(self.states.values())
        parts = ", ".join(f"{self.states[state]} {state.value}" for state in State if self.states[state])
        print(f"bootsonde: {count} replayed in {time.monotonic() - self._began:.1f} s: {parts}", flush=True)
        return next((state.exit_code for state in _WEIGHTS if self.states[state]), 0)


def _replay(words: argparse.Namespace, qemu_args: List[str]) -> int:
    if words.exact:
        return exactwords.replay(words, qemu_args)
    exactwords.check_not_exact(words)
    if not words.bisect:
        return _checked(words, qemu_args)
    try:
        return _checked(words, qemu_args)
    except UserError as error:
        print(f"bootsonde: cannot be tested: {error}", file=sys.stderr)
    except Exception as error:  # Python would end with 1, which is a verdict on the kernel.
        if not isinstance(error, BrokenPipeError):
            traceback.print_exc()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What it could not print it shall not try to at its end.
    return SKIP


def _checked(words: argparse.Namespace, qemu_args: List[str]) -> int:
    options = _options(words, qemu_args)
    if words.timeout is not None:
        check_timeout(words.timeout)
    runs = checked_runs(words.runs)
    if not words.accept and (words.runs is not None or words.large):
        raise UserError("--runs and --large are for --accept")
    jobs = _jobs(words.jobs)
    paths = _files(words.baselines)
    if words.bisect and (len(paths) != 1 or words.matrix or words.jobs or words.only or words.junitxml or words.keep):
        raise UserError("--bisect asks one question, and keeps nothing: give one baseline, and no --matrix, -n, -k, "
                        "--junitxml or --keep")
    if words.accept and (options or words.matrix or words.jobs or words.only or words.junitxml):
        raise UserError("--accept boots as [boot] says, and keeps it: change it there, and leave the boot's options, "
                        "--matrix, -n, -k and --junitxml out")
    choice = choose(words.kernel, words.symbols, words.matrix, options, words.timeout, words.keep)
    if words.bisect:
        return _bisect(paths[0], choice)
    if not choice.has_kernels:
        print(f"bootsonde: kernel {choice.kernel.path}", flush=True)
    if words.accept:
        from bootsonde.host.accept import accept
        return accept(paths, choice, runs, words.large)
    if words.only or words.junitxml:
        return _by_pytest(words, paths, choice)
    asked = [replay for path in paths for replay in replays_of(path, choice)]
    report = Report()
    with contextlib.closing(side_by_side(asked, jobs, carry_out)) as replays:
        for replay, (result, seconds) in replays:
            report.add(replay.name, result, seconds)
            if words.exit_first and set(report.states) != {State.EQUAL}:
                break
    return report.summary()


def _jobs(word: Optional[str]) -> int:
    """How many at a time: as many as there are CPUs that we may use."""
    if word is None or word == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not word.isdecimal() or int(word) < 1:
        raise UserError(f"-n {word}: a number of replays, 1 or more, or auto is wanted")
    return int(word)


def _options(words: argparse.Namespace, qemu_args: List[str]) -> Dict[str, str]:
    """Those that replace the baselines' own: what is in ./bootsonde.conf does not."""
    options = launcher_options(words, {})
    if options.pop("accel", "tcg") != "tcg":
        raise UserError("virtual time needs --accel tcg, and so no boot under KVM is like its baseline")
    if words.disk is not None:
        options["disk"] = words.disk
    for option in ("rr", "write", "plugin"):
        if getattr(words, option):
            raise UserError(f"--{option} has no place in a replay: leave it out")
    if qemu_args:
        raise UserError("QEMU's own words stand in a baseline's [boot], as qemu = ...: they cannot be replaced here")
    return {name: os.path.abspath(value) if name in FILES else value for name, value in options.items()}


def _files(words: List[str]) -> List[str]:
    """The baselines, each once, in the order given; those of a folder by name."""
    found: Dict[str, None] = {}
    for word in words:
        if not os.path.exists(word):
            raise UserError(f"{word}: no such baseline; bootsonde record makes one")
        if not os.path.isdir(word):
            if not word.endswith(SUFFIX):
                raise UserError(f"{word}: a baseline's name ends with {SUFFIX}")
            found[word] = None
            continue
        inside = sorted(os.path.join(folder, name) for folder, _, names in os.walk(word) for name in names
                        if name.endswith(SUFFIX))
        if not inside:
            raise UserError(f"{word}: no file in it ends with {SUFFIX}")
        found.update(dict.fromkeys(inside))
    return list(found)


def _bisect(path: str, choice: Choice) -> int:
    result = carry_out(replays_of(path, replace(choice, keep=""))[0])
    first = next((line for line in result.text.splitlines() if line.strip() and result.state is not State.EQUAL), "")
    word = {State.EQUAL: "good", State.DIVERGED: "bad"}.get(result.state, f"cannot be tested: {result.state.value}")
    print(f"bootsonde: {word}{': ' if first else ''}{first}", flush=True)
    return result.state.exit_code if result.state in (State.EQUAL, State.DIVERGED) else SKIP


class _Front:
    """pytest's hooks by which our own report is made from its reports, with one process or many."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._ended: Dict[str, pytest.TestReport] = {}
        self._seconds: Dict[str, float] = {}
        self.is_interrupted = False
        self.signal = signal.SIGINT.value
        self.errors: List[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of a test's reports, the first that failed, or the last, tells."""
        known = self._ended.get(report.nodeid)
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if known is None or not known.failed:
            self._ended[report.nodeid] = report
        if report.when == "teardown":
            self._tell(self._ended.pop(report.nodeid))

    def _tell(self, report: pytest.TestReport) -> None:
        known = dict(report.user_properties)
        state = State(known.get("bootsonde", State.USAGE))
        name = report.nodeid.split("::", 1)[-1]
        text = str(report.longrepr or known.get("bootsonde-notes", ""))
        self._report.add(name, Result(state, text), self._seconds.pop(report.nodeid))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """What cannot be collected."""
        if report.failed:
            self.errors.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: Any) -> None:
        """An error of pytest's or ours."""
        self.errors.append(str(excrepr))

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C, or a signal that is passed on as that."""
        self.is_interrupted = True

    def terminated(self, number: int, frame: Optional[FrameType]) -> None:
        """Ends pytest, which would take another exception for a test's."""
        self.signal = number
        raise KeyboardInterrupt


def _by_pytest(words: argparse.Namespace, paths: List[str], choice: Choice) -> int:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        import pytest
    except ImportError:
        raise UserError("--junitxml, -n and -k are pytest's: install it (Debian: python3-pytest)") from None
    arguments = ["-p", "bootsonde.pytest_plugin", "-c", os.devnull, "--rootdir", os.getcwd(), "--noconftest",
                 *(word for name in ("cacheprovider", "terminal", "doctest", "unittest", "nose", "pastebin", "stepwise",
                                     "faulthandler", "logging") for word in ("-p", f"no:{name}")),
                 "-o", "junit_suite_name=bootsonde"]
    if not choice.has_kernels:
        arguments += ["--bootsonde-kernel", choice.kernel.path, "--bootsonde-symbols", choice.kernel.symbols]
    if words.matrix:
        arguments += ["--bootsonde-matrix", words.matrix]
    if words.jobs:
        arguments += ["-p", "xdist.plugin", "-n", words.jobs]
    for option, value in (("-k", words.only), ("--junitxml", words.junitxml), ("--bootsonde-keep", choice.keep),
                          ("--bootsonde-timeout", str(choice.timeout_s) if choice.timeout_s else None)):
        arguments += [option, value] if value else []
    for name, value in choice.options.items():
        arguments += ["--bootsonde-boot", f"{name}={value}"]
    report = Report()
    front = _Front(report)
    before = [(number, signal.signal(number, front.terminated)) for number in (signal.SIGTERM, signal.SIGHUP)]
    unwritten = 0
    try:
        status = pytest.main([*arguments, *(["-x"] if words.exit_first else []), "--",
                              *(os.path.abspath(path) for path in paths)], plugins=[front])
    except OSError as failure:  # The file is the last that it writes.
        if not words.junitxml:
            raise
        print(f"bootsonde: --junitxml {words.junitxml}: {failure.strerror}", file=sys.stderr)
        status, unwritten = pytest.ExitCode.OK, Outcome.USAGE.exit_code
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    if front.is_interrupted:
        return 128 + front.signal
    for error in front.errors:
        print(f"bootsonde: {error}", file=sys.stderr)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        return Outcome.USAGE.exit_code
    if not report.states:
        raise UserError(f"-k {words.only}: no name matches" if words.only else "nothing was replayed")
    return report.summary() or unwritten
