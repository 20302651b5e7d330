"""The `bootsonde` command: its words, and which verb they call."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, List, Optional, Sequence

from bootsonde.host.exactwords import add_parsers
from bootsonde.host.options import (add_boot_options, boot_request, check_output, check_timeout, check_until,
                                    conf_of_folder, is_kvm, keep_older, pairs)
from bootsonde.host.request import RunRequest, TraceRequest
from bootsonde.host.run import run
from bootsonde.host.trace import trace
from bootsonde.model.errors import UserError
from bootsonde.model.guests import find_guest
from bootsonde.model.outcome import DEFAULT_END, Outcome

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]
    _Options = argparse._ActionsContainer


def _run_parser(verbs: _Verbs) -> None:
    verb = verbs.add_parser("run", help="boot a kernel and run a scenario on it, headless", allow_abbrev=False,
                            description="Boot a kernel, run a scenario on it under GDB without a person, and say how "
                                        "it ended. Words after -- go to QEMU.")
    verb.set_defaults(carry_out=_run)
    verb.add_argument("scenario", metavar="SCENARIO", help="a file such as scenarios/pvclock.py")
    verb.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the scenario")
    _end_options(verb, "passed when the console shows TEXT; replaces the scenario's own end condition")
    verb.add_argument("--trace", metavar="T", help="the trace's file (default: SCENARIO.trace.jsonl, an older one "
                                                   "is kept as .old)")
    verb.add_argument("--attach", metavar="ADDRESS", help="use a guest that waits: a name, HOST:PORT or unix:PATH; "
                                                          "it is never ended")
    verb.add_argument("--prompt", action="store_true", help="stop at the first hit with GDB's prompt, in this "
                                                            "terminal; the guest ends with GDB")
    verb.add_argument("--symbols-at-prompt", choices=("auto", "never"), default="auto",
                      help="with --prompt: whether GDB reads the kernel's symbols first")
    add_boot_options(verb)
    verb.add_argument("--source", metavar="FROM=TO", action="append", default=[],
                      help="where source paths that begin with FROM are on this machine")


def _end_options(verb: _Options, until: str) -> None:
    verb.add_argument("--until", metavar="TEXT", action="append", default=[], help=until)
    verb.add_argument("--timeout", metavar="S", type=float, default=120.0, help="seconds for the run (default: 120)")
    verb.add_argument("--echo", action="store_true", help="print the guest's console lines")


def _trace_parser(verbs: _Verbs) -> None:
    verb = verbs.add_parser("trace", help="record the functions that a boot enters, at nearly full speed",
                            allow_abbrev=False,
                            description="Boot a kernel with the TCG plugin, without GDB, and record which functions it "
                                        "enters. cprobe coverage, why, next, top and tree read the trace. Words after "
                                        "-- go to QEMU.")
    verb.set_defaults(carry_out=_trace)
    what = verb.add_argument_group("what is recorded (default: --all)")
    what.add_argument("--functions", metavar="GLOB,...", action="append", default=[], help="functions of these names")
    what.add_argument("--file", metavar="GLOB", action="append", default=[], help="functions of these source files")
    what.add_argument("--all", action="store_true", help="all functions")
    what.add_argument("--coverage", action="store_true", help="only how often each ran, and when first: cheaper, and "
                                                              "a small file")
    what.add_argument("--args", action="store_true", help="also arguments and return address at each entry; needs "
                                                          "QEMU 9.0")
    what.add_argument("--mem", metavar="NAME@REG+OFF:SIZE", action="append", default=[],
                      help="with --args: also this memory, such as flags@rdi+8:4")
    ends = verb.add_argument_group("when it ends")
    _end_options(ends, "passed when the console shows TEXT (default: login:)")
    ends.add_argument("--limit", metavar="N", type=int, help="passed after N events")
    ends.add_argument("--stop-at", metavar="FUNC", help="passed when this function, or 0xADDRESS, is entered")
    verb.add_argument("--scenario", metavar="SCENARIO", help="have GDB run this meanwhile: what it sees and "
                                                             "injects is in the same trace")
    verb.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the scenario")
    verb.add_argument("-o", "--output", metavar="T", help="the trace's file (default: KERNEL.trace, an older one is "
                                                          "kept as .old)")
    verb.add_argument("--deterministic", action="store_true", help="count instructions instead of time, so that two "
                                                                   "traces are the same, byte by byte")
    add_boot_options(verb)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bootsonde", description="Scripted, replayable debugging of early kernel "
                                     "boot.", epilog="Exit codes: 0 passed, 1 failed, 2 usage, 3 lost, 4 timed out.",
                                     allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _run_parser(verbs)
    _trace_parser(verbs)
    add_parsers(verbs)
    return parser


def _run(words: argparse.Namespace, qemu_args: List[str]) -> int:
    conf = conf_of_folder()
    attached = find_guest(words.attach) if words.attach else None
    boot = boot_request(words, qemu_args, conf, attached.kernel if attached is not None else None)
    check_timeout(words.timeout)
    check_until(words.until)
    if is_kvm(words, conf) and not words.attach:
        raise UserError("scenarios need --accel tcg: under KVM, GDB can set no breakpoint before the kernel has turned "
                        "paging on")
    if words.trace is not None:
        check_output("--trace", words.trace, boot, words.scenario)
    sources = words.source or ([conf["source"]] if "source" in conf else [])
    stem = os.path.splitext(os.path.basename(words.scenario))[0]
    return run(RunRequest(
        boot=boot, scenario=words.scenario, attach=words.attach,
        trace=words.trace if words.trace is not None else keep_older(f"{stem}.trace.jsonl"),
        until=words.until, settings=pairs("--set", words.set), timeout_s=words.timeout,
        source_map=list(pairs("--source", sources).items()),
        echo_console=words.echo, prompt=words.prompt, symbols_at_prompt=words.symbols_at_prompt != "never"))


def _trace(words: argparse.Namespace, qemu_args: List[str]) -> int:
    conf = conf_of_folder()
    functions = [glob for word in words.functions for glob in word.split(",")]
    if words.all and (functions or words.file):
        raise UserError("--all records every function: leave it out, or --functions and --file")
    if not all(functions):
        raise UserError("--functions wants names with commas between them")
    if "" in words.file or words.stop_at == "" or words.output == "":
        raise UserError("--file, --stop-at and -o want a value: an empty one means nothing")
    if words.mem and not words.args:
        raise UserError("--mem goes with --args")
    if words.coverage and (words.args or words.limit is not None):
        raise UserError("--coverage records no events: leave --args and --limit out")
    if words.limit is not None and words.limit <= 0:
        raise UserError("--limit wants a positive number of events")
    if words.set and words.scenario is None:
        raise UserError("--set is for a --scenario")
    if words.scenario is not None and (words.deterministic or words.icount is not None or words.rr is not None):
        raise UserError("--scenario: GDB's stops cost virtual time, so that no boot is like another: leave it out, or "
                        "what makes the boot deterministic")
    if words.scenario is not None and (words.limit is not None or words.stop_at is not None):
        raise UserError("--scenario ends the run by itself: leave --limit and --stop-at out")
    if is_kvm(words, conf):
        raise UserError("the plugin sees what --accel tcg runs, and nothing under KVM")
    if words.rr is not None and words.rr.startswith("record:") and words.deterministic:
        raise UserError("--rr record is deterministic already: leave --deterministic out")
    check_timeout(words.timeout)
    check_until(words.until)
    boot = boot_request(words, qemu_args, conf)
    output = words.output or keep_older(os.path.basename(boot.kernel) + ".trace")
    check_output("-o", output, boot, words.scenario)
    return trace(TraceRequest(
        boot=boot, output=os.path.abspath(output), functions=functions, files=words.file, coverage=words.coverage,
        arguments=words.args, memory=words.mem, limit=words.limit,
        until=words.until or ([] if words.scenario else [DEFAULT_END]), stop_at=words.stop_at, scenario=words.scenario,
        settings=pairs("--set", words.set), timeout_s=words.timeout, echo_console=words.echo))


def _terminated(number: int, frame: Optional[FrameType]) -> None:
    """SIGTERM and SIGHUP end a run as an exception does: the guest ends, its folder goes."""
    raise SystemExit(128 + number)


def _open_closed() -> None:
    """Who started us may have closed standard streams: no file of ours shall take their place, and printing works."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest that is free: this one.
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """The command. Returns the exit code of the contract."""
    _open_closed()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    words = list(sys.argv[1:] if argv is None else argv)
    qemu_args: List[str] = []
    if "--" in words:
        cut = words.index("--")
        words, qemu_args = words[:cut], words[cut + 1:]
    try:
        parsed = _parser().parse_args(words)
        return int(parsed.carry_out(parsed, qemu_args))
    except BrokenPipeError:  # Who reads our output has gone; the run is over, and the trace is whole.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Outcome.FAILED.exit_code
    except UserError as error:
        print(f"bootsonde: {error}", file=sys.stderr)
        return Outcome.USAGE.exit_code
    except KeyboardInterrupt:
        return Outcome.INTERRUPTED.exit_code
    except SystemExit as end:  # argparse's own, 0 after --help and 2 for what it refuses; _terminated's
        return int(end.code or 0)
