"""The command line of `record --exact` and `replay --exact`."""

from __future__ import annotations

import argparse
import os
from typing import List, Sequence

from bootsonde.host.options import (boot_request, check_timeout, check_until, conf_of_folder, given_options, globs_of,
                                    pairs)
from bootsonde.model.errors import UserError


#: Seconds for a boot, or for the way to a place, where nobody says it.
_TIMEOUT_S = 120.0
#: What says how baselines are compared, and not how one boot is kept; of each verb.
_NOT_RECORDED = ("args", "runs", "large", "slower", "console")
_NOT_REPLAYED = ("matrix", "accept", "bisect", "keep", "junitxml", "jobs", "only", "exit_first", "runs", "large")


def add_record_options(verb: argparse.ArgumentParser) -> None:
    """record's, as far as they are about one exact boot."""
    exact = verb.add_argument_group("one boot, exactly")
    exact.add_argument("--exact", action="store_true", help="record a single boot to the instruction, by QEMU's "
                                                            "record/replay, into BASELINE.rr and files beside it")
    exact.add_argument("--echo", action="store_true", help="with --exact: print the guest's console lines")


def add_replay_options(verb: argparse.ArgumentParser) -> None:
    """replay's."""
    exact = verb.add_argument_group("one boot, exactly")
    exact.add_argument("--exact", action="store_true", help="go into what record --exact kept, as often as you like, "
                                                            "and open GDB there")
    exact.add_argument("--at", metavar="PLACE", help="with --exact: an instruction count; FUNCTION or FUNCTION#NUMBER, "
                                                     "its entry; a text of the console; or DIVERGENCE")
    exact.add_argument("--trace", metavar="T", help="the trace that DIVERGENCE compares the recording with")
    exact.add_argument("--batch", action="store_true", help="say what is there and end, as where standard input is no "
                                                            "terminal")
    exact.add_argument("--command", metavar="CMD", action="append", default=[],
                       help="a command of GDB's to carry out there; means --batch")
    exact.add_argument("--symbols-at-prompt", choices=("auto", "never"), default="auto")
    exact.add_argument("--source", metavar="FROM=TO", action="append", default=[],
                       help="where source paths that begin with FROM are on this machine")


def _refuse(words: argparse.Namespace, names: Sequence[str]) -> None:
    for name in names:
        if getattr(words, name, None) not in (None, False):
            option = {"jobs": "-n", "only": "-k", "exit_first": "-x"}.get(name, f"--{name}")
            raise UserError(f"{option} has no meaning with --exact: leave one of them out")


def check_not_exact(words: argparse.Namespace) -> None:
    """Raises UserError for options that --exact alone gives a meaning."""
    for name in ("at", "trace", "batch", "command", "source", "echo"):
        if getattr(words, name, None):
            raise UserError(f"--{name} goes with --exact")


def record(words: argparse.Namespace, qemu_args: List[str]) -> int:
    """`record --exact`; the exit code. Raises UserError."""
    from bootsonde.host.exactrecord import ExactRecording, record_exact
    _refuse(words, _NOT_RECORDED)
    timeout_s = _TIMEOUT_S if words.timeout is None else words.timeout
    check_timeout(timeout_s)
    check_until(words.until)
    if words.scenario is not None and (words.functions or words.file or words.all):
        raise UserError("a scenario and --functions, --file or --all: GDB records the one, the plugin the other: "
                        "record twice")
    if words.scenario is not None and not os.path.isfile(words.scenario):
        raise UserError(f"{words.scenario}: no such scenario")
    return record_exact(ExactRecording(
        boot=boot_request(words, qemu_args, conf_of_folder()), baseline=words.output, scenario=words.scenario,
        settings=pairs("--set", words.set), functions=globs_of(words.functions), files=words.file, until=words.until,
        timeout_s=timeout_s, echo_console=words.echo, force=words.force))


def replay(words: argparse.Namespace, qemu_args: List[str]) -> int:
    """`replay --exact`; the exit code. Raises UserError."""
    from bootsonde.host.exact import ExactReplay, replay_exact
    _refuse(words, _NOT_REPLAYED)
    if words.at is None:
        raise UserError("--exact wants --at PLACE: an instruction count, a function, a text of the console or "
                        "DIVERGENCE")
    if len(words.baselines) != 1:
        raise UserError("--exact goes into one boot: give one BASELINE")
    timeout_s = _TIMEOUT_S if words.timeout is None else words.timeout
    check_timeout(timeout_s)
    if qemu_args:
        raise UserError("words for QEMU cannot be given to a replay: it takes those of the recording")
    return replay_exact(ExactReplay(
        baseline=words.baselines[0], at=words.at, trace=words.trace, kernel=words.kernel, symbols=words.symbols,
        given=given_options(words), batch=words.batch, commands=words.command, timeout_s=timeout_s,
        source_map=list(pairs("--source", words.source).items()), symbols_at_prompt=words.symbols_at_prompt != "never"))
