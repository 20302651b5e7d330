"""The `bootsonde` command: its words, and which verb they call."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType
from typing import Dict, List, Optional, Sequence

from bootsonde import places
from bootsonde.host.request import RunRequest
from bootsonde.host.run import run
from bootsonde.model.config import read_conf
from bootsonde.model.errors import UserError
from bootsonde.model.guests import find_guest
from bootsonde.model.outcome import Outcome

#: The launcher's options that every verb that boots passes on; those with a value, and those without.
_LAUNCHER = ("append", "memory", "smp", "cpu", "machine", "accel", "net", "icount", "rr", "initrd")
_LAUNCHER_FLAGS = ("write",)


def _boot_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the guest (launch/microvm_debug.sh --help says more)")
    group.add_argument("--kernel", metavar="K", help="what to boot; else $BOOTSONDE_KERNEL, else ./bootsonde.conf, "
                                                     "else the reference guest")
    group.add_argument("--symbols", metavar="S", help="the ELF to look names up in, if it is not K")
    group.add_argument("--disk", metavar="D")
    for name in _LAUNCHER:
        group.add_argument(f"--{name}", metavar=name.upper())
    group.add_argument("--plugin", metavar="FILE,ARGS", action="append", default=[], help="a TCG plugin; repeatable")
    group.add_argument("--console", metavar="FILE", help="where the console is logged; with --attach: where it is")
    for name in _LAUNCHER_FLAGS:
        group.add_argument(f"--{name}", action="store_true")
    group.add_argument("--source", metavar="FROM=TO", action="append", default=[],
                       help="where source paths that begin with FROM are on this machine")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bootsonde", description="Scripted, replayable debugging of early kernel "
                                     "boot.", epilog="Exit codes: 0 passed, 1 failed, 2 usage, 3 lost, 4 timed out.",
                                     allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verb = verbs.add_parser("run", help="boot a kernel and run a scenario on it, headless", allow_abbrev=False,
                            description="Boot a kernel, run a scenario on it under GDB without a person, and say how "
                                        "it ended. Words after -- go to QEMU.")
    verb.add_argument("scenario", metavar="SCENARIO", help="a file such as scenarios/pvclock.py")
    verb.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the scenario")
    verb.add_argument("--until", metavar="TEXT", action="append", default=[],
                      help="passed when the console shows TEXT; replaces the scenario's own end condition")
    verb.add_argument("--timeout", metavar="S", type=float, default=120.0, help="seconds for the run (default: 120)")
    verb.add_argument("--trace", metavar="T", help="the trace's file (default: SCENARIO.trace.jsonl, an older one "
                                                   "is kept as .old)")
    verb.add_argument("--attach", metavar="ADDRESS", help="use a guest that waits: a name, HOST:PORT or unix:PATH; "
                                                          "it is never ended")
    verb.add_argument("--echo", action="store_true", help="print the guest's console lines between the hits")
    verb.add_argument("--prompt", action="store_true", help="stop at the first hit with GDB's prompt, in this "
                                                            "terminal; the guest ends with GDB")
    verb.add_argument("--symbols-at-prompt", choices=("auto", "never"), default="auto",
                      help="with --prompt: whether GDB reads the kernel's symbols first")
    _boot_options(verb)
    return parser


def _pairs(option: str, words: Sequence[str]) -> Dict[str, str]:
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    if len(pairs) != len(words):
        raise UserError(f"{option} takes {'FROM=TO' if option == '--source' else 'NAME=VALUE'}, each once")
    return pairs


def _trace(given: Optional[str], scenario: str) -> str:
    """The trace's file. One that was named is overwritten; the default's older one is kept."""
    if given is not None:
        return given
    path = os.path.splitext(os.path.basename(scenario))[0] + ".trace.jsonl"
    try:
        if os.path.exists(path):
            os.replace(path, path + ".old")
    except OSError as error:
        raise UserError(f"the older trace cannot be kept ({error}): name another place with --trace") from None
    return path


def _run(words: argparse.Namespace, qemu_args: List[str]) -> int:
    conf = read_conf("bootsonde.conf")
    kernel = words.kernel
    attached = find_guest(words.attach) if words.attach else None
    if kernel is None and attached is not None:
        kernel = attached.kernel
    if kernel is None:
        kernel, origin = places.default_kernel()
        print(f"bootsonde: kernel {kernel} ({origin})", flush=True)
    if not os.path.isfile(kernel):
        raise UserError(f"{kernel}: no such kernel")
    if words.timeout <= 0:
        raise UserError("--timeout wants a positive number of seconds")
    options: List[str] = []
    for name in _LAUNCHER:
        value = getattr(words, name)
        value = conf.get(name) if value is None else value
        if value is not None:
            options += [f"--{name}", value]
    options += [word for plugin in words.plugin for word in ("--plugin", plugin)]
    options += [f"--{name}" for name in _LAUNCHER_FLAGS if getattr(words, name)]
    if (words.accel or conf.get("accel")) == "kvm" and not words.attach:
        raise UserError("scenarios need --accel tcg: under KVM, GDB can set no breakpoint before the kernel has turned "
                        "paging on")
    sources = words.source or ([conf["source"]] if "source" in conf else [])
    return run(RunRequest(
        scenario=words.scenario, kernel=os.path.abspath(kernel),
        symbols=os.path.abspath(words.symbols or conf.get("symbols") or kernel), disk=words.disk or conf.get("disk"),
        options=options, qemu_args=qemu_args, attach=words.attach, trace=_trace(words.trace, words.scenario),
        until=words.until, settings=_pairs("--set", words.set), timeout_s=words.timeout,
        source_map=list(_pairs("--source", sources).items()),
        console=os.path.abspath(words.console) if words.console else None,
        echo_console=words.echo, prompt=words.prompt, symbols_at_prompt=words.symbols_at_prompt != "never"))


def _terminated(number: int, frame: Optional[FrameType]) -> None:
    """SIGTERM and SIGHUP end a run as an exception does: the guest ends, its folder goes."""
    raise SystemExit(128 + number)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """The command. Returns the exit code of the contract."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    words = list(sys.argv[1:] if argv is None else argv)
    qemu_args: List[str] = []
    if "--" in words:
        cut = words.index("--")
        words, qemu_args = words[:cut], words[cut + 1:]
    try:
        return _run(_parser().parse_args(words), qemu_args)
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
