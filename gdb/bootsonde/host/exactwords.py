"""The command line of `record --exact` and `replay --exact`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, List

from bootsonde.host.exact import ExactReplay, replay_exact
from bootsonde.host.exactrecord import ExactRecording, record_exact
from bootsonde.host.options import (add_boot_options, boot_request, check_timeout, check_until, conf_of_folder,
                                    given_options, pairs)
from bootsonde.model.errors import UserError

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parsers(verbs: _Verbs) -> None:
    """Both verbs, as far as they are about one exact boot."""
    verb = verbs.add_parser("record", allow_abbrev=False)
    verb.set_defaults(carry_out=_record)
    verb.add_argument("scenario", metavar="SCENARIO", nargs="?")
    verb.add_argument("--exact", action="store_true", required=True)
    verb.add_argument("-o", "--output", metavar="BASELINE", required=True)
    verb.add_argument("--force", action="store_true")
    verb.add_argument("--functions", metavar="GLOB,...", action="append", default=[])
    verb.add_argument("--file", metavar="GLOB", action="append", default=[])
    verb.add_argument("--all", action="store_true")
    verb.add_argument("--set", metavar="NAME=VALUE", action="append", default=[])
    verb.add_argument("--until", metavar="TEXT", action="append", default=[])
    verb.add_argument("--timeout", metavar="S", type=float, default=120.0)
    verb.add_argument("--echo", action="store_true")
    add_boot_options(verb)
    verb = verbs.add_parser("replay", allow_abbrev=False)
    verb.set_defaults(carry_out=_replay)
    verb.add_argument("baseline", metavar="BASELINE")
    verb.add_argument("--exact", action="store_true", required=True)
    verb.add_argument("--at", metavar="PLACE", required=True,
                      help="an instruction count; FUNCTION or FUNCTION#NUMBER, its entry; a text of the console; or "
                           "DIVERGENCE")
    verb.add_argument("--trace", metavar="T", help="the trace that DIVERGENCE compares the recording with")
    verb.add_argument("--batch", action="store_true", help="say what is there and end, as where standard input is no "
                                                           "terminal")
    verb.add_argument("--command", metavar="CMD", action="append", default=[],
                      help="a command of GDB's to carry out there; means --batch")
    verb.add_argument("--symbols-at-prompt", choices=("auto", "never"), default="auto")
    verb.add_argument("--source", metavar="FROM=TO", action="append", default=[])
    verb.add_argument("--timeout", metavar="S", type=float, default=120.0,
                      help="seconds for the way there (default: 120)")
    add_boot_options(verb)


def _record(words: argparse.Namespace, qemu_args: List[str]) -> int:
    check_timeout(words.timeout)
    check_until(words.until)
    if words.scenario is not None and (words.functions or words.file or words.all):
        raise UserError("a scenario and --functions, --file or --all: GDB records the one, the plugin the other: "
                        "record twice")
    if words.scenario is not None and not os.path.isfile(words.scenario):
        raise UserError(f"{words.scenario}: no such scenario")
    functions = [glob for word in words.functions for glob in word.split(",")]
    return record_exact(ExactRecording(
        boot=boot_request(words, qemu_args, conf_of_folder()), baseline=words.output, scenario=words.scenario,
        settings=pairs("--set", words.set), functions=functions, files=words.file, until=words.until,
        timeout_s=words.timeout, echo_console=words.echo, force=words.force))


def _replay(words: argparse.Namespace, qemu_args: List[str]) -> int:
    check_timeout(words.timeout)
    if qemu_args:
        raise UserError("words for QEMU cannot be given to a replay: it takes those of the recording")
    return replay_exact(ExactReplay(
        baseline=words.baseline, at=words.at, trace=words.trace, kernel=words.kernel, symbols=words.symbols,
        given=given_options(words), batch=words.batch, commands=words.command, timeout_s=words.timeout,
        source_map=list(pairs("--source", words.source).items()), symbols_at_prompt=words.symbols_at_prompt != "never"))
