"""`bootsonde record`: boot several times, and write what repeats as a baseline. `replay --accept` records anew."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence, Tuple

from bootsonde.host import exactwords
from bootsonde.host.baselines import SUFFIX, cprobe, publish, text_of
from bootsonde.host.boots import TIMEOUT_S, Came, Kernel, boot_once, path_of, temporary_folder
from bootsonde.host.identity import sha256
from bootsonde.host.options import (ICOUNT, RUNS, add_boot_options, boot_request, check_output, check_timeout,
                                    check_until, checked_runs, conf_of_folder, globs_of, launcher_options, pairs)
from bootsonde.host.report import report, shown
from bootsonde.model.baseline import FILES, OPTIONS, Boot, is_utf8, put_in
from bootsonde.model.errors import UserError
from bootsonde.model.outcome import DEFAULT_END, Outcome

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

#: Characters of a baseline above which a repository should not have it unasked.
_LARGE = 1_000_000


@dataclass
class Recording:
    """What is to be recorded. base: the baseline's folder, from which paths in `boot` start. words: for
    `cprobe baseline`."""

    boot: Boot
    kernel: Kernel
    base: str
    runs: int
    timeout_s: float
    words: List[str] = field(default_factory=list)


def add_parser(verbs: Verbs) -> None:
    """The verb's words."""
    verb = verbs.add_parser(
        "record", help="boot several times and keep what repeats, as a baseline for replay", allow_abbrev=False,
        description="Boot a kernel several times with virtual time, and write what repeats as a baseline, which "
                    "`bootsonde replay` compares other boots with. With SCENARIO, GDB records what the scenario sees "
                    "and injects; else a plugin in QEMU records the functions of --functions, --file or --all. Words "
                    "after -- go to QEMU.")
    verb.set_defaults(carry_out=_record)
    verb.add_argument("scenario", metavar="SCENARIO", nargs="?", help="a file such as scenarios/pvclock.py")
    verb.add_argument("-o", "--output", metavar="BASELINE", required=True, help=f"the baseline, NAME{SUFFIX}")
    verb.add_argument("--runs", metavar="N", type=int, help=f"boots to compare (default: {RUNS})")
    verb.add_argument("--force", action="store_true", help="write over an existing baseline; replay --accept keeps "
                                                           "its comments")
    verb.add_argument("--large", action="store_true", help="write it even if it is larger than 1 MB")
    what = verb.add_argument_group("what is recorded without SCENARIO")
    what.add_argument("--functions", metavar="GLOB,...", action="append", default=[], help="functions of these names")
    what.add_argument("--file", metavar="GLOB", action="append", default=[], help="functions of these source files")
    what.add_argument("--all", action="store_true", help="all functions")
    what.add_argument("--args", action="store_true", help="also arguments at each entry; needs QEMU 9.0")
    kept = verb.add_argument_group("what is compared")
    kept.add_argument("--slower", metavar="P", help="P percent more virtual time are a divergence, or no (default: "
                                                    "cprobe baseline's)")
    kept.add_argument("--console", choices=("exact", "text", "none"),
                      help="the console's lines: as they are, but for words that begin with a digit, or not at all")
    verb.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the scenario")
    verb.add_argument("--until", metavar="TEXT", action="append", default=[],
                      help="the boot is over when the console shows TEXT (default: the scenario's end, or login:)")
    verb.add_argument("--timeout", metavar="S", type=float, help=f"seconds for each boot (default: {TIMEOUT_S:.0f})")
    exactwords.add_record_options(verb)
    add_boot_options(verb, console=False)


def _check(words: argparse.Namespace) -> None:
    plugin = [option for option in ("functions", "file", "all", "args") if getattr(words, option)]
    if words.scenario is not None and plugin:
        raise UserError(f"a scenario and --{plugin[0]}: the scenario's stops cost virtual time, which the plugin's "
                        "record would show as the guest's: record two baselines, one of each")
    if words.scenario is None and not (words.functions or words.file or words.all):
        raise UserError("say what is to be recorded: a SCENARIO for GDB, or --functions GLOB,..., --file GLOB or --all "
                        "for the plugin")
    if words.all and (words.functions or words.file):
        raise UserError("--all records every function: leave it out, or --functions and --file")
    if "" in words.file:
        raise UserError("--file is empty: name source files, or leave it out")
    if words.set and words.scenario is None:
        raise UserError("--set is for a scenario, and there is none")
    if words.scenario is not None and not os.path.isfile(words.scenario):
        raise UserError(f"{words.scenario}: no such scenario")
    for option, why in (("rr", "what repeats is found by booting anew"), ("write", "each boot would find another disk"),
                        ("plugin", "a baseline has no place for it")):
        if getattr(words, option):
            raise UserError(f"--{option}: {why}: leave it out")
    if words.slower not in (None, "no") and not re.fullmatch("[0-9]{1,9}%?", words.slower):
        raise UserError(f"--slower {words.slower}: give a whole number of percent, or no")
    if words.timeout is not None:
        check_timeout(words.timeout)
    check_until(words.until)


def _boot_of(words: argparse.Namespace, qemu_args: List[str], conf: Dict[str, str], base: str) -> Boot:
    """What was given, for [boot]."""
    def near(path: str) -> str:
        return os.path.relpath(path, base)

    given = launcher_options(words, conf)
    if given.pop("accel", "tcg") != "tcg":
        raise UserError("virtual time needs --accel tcg, and so no boot under KVM is like another")
    given.setdefault("icount", ICOUNT)
    disk = words.disk or conf.get("disk")
    if disk is not None:
        given["disk"] = disk
    options = {name: near(given[name]) if name in FILES else given[name] for name in OPTIONS if name in given}
    for name, value in options.items():
        if "\n" in value or "\r" in value:
            raise UserError(f"--{name}: a line break in it cannot be written down")
    settings = [f"{name}={text}" for name, text in pairs("--set", words.set).items()]
    boot = Boot(scenario=near(words.scenario) if words.scenario is not None else None, settings=settings,
                functions=globs_of(words.functions), files=words.file, all=words.all, arguments=words.args,
                options=options, qemu=" ".join(map(shlex.quote, qemu_args)) if qemu_args else None,
                until=words.until or ([DEFAULT_END] if words.scenario is None else []), timeout_s=words.timeout)
    for line in boot.lines():
        if not is_utf8(line):
            raise UserError(f"{line}: this is no UTF-8, and cannot be written down")
    return boot


def _record(words: argparse.Namespace, qemu_args: List[str]) -> int:
    """The verb; the exit code."""
    if words.exact:
        return exactwords.record(words, qemu_args)
    exactwords.check_not_exact(words)
    runs = checked_runs(words.runs)
    _check(words)
    if not words.output.endswith(SUFFIX) or os.path.basename(words.output) == SUFFIX:
        raise UserError(f"-o {words.output}: a baseline's name ends with {SUFFIX}, by which pytest finds it")
    output = os.path.abspath(words.output)
    base = os.path.dirname(output)
    if not os.path.isdir(base):
        raise UserError(f"-o {words.output}: there is no folder {base}")
    before = text_of(output) if os.path.lexists(output) else None
    if before is not None and not words.force:
        raise UserError(f"{words.output} is there already: bootsonde replay --accept {shlex.quote(words.output)} "
                        "records it anew and keeps its comments; --force writes over it")
    conf = conf_of_folder()
    request = boot_request(words, qemu_args, conf)
    boot = _boot_of(words, qemu_args, conf, base)
    check_output("-o", output, request, words.scenario)
    compare = ["--console", words.console] if words.console is not None else []
    compare += ["--slower", words.slower.rstrip("%")] if words.slower is not None else []
    outcome, text = recorded_text(Recording(boot, Kernel(request.kernel, request.symbols), base, runs,
                                            words.timeout or TIMEOUT_S, compare), boot.lines())
    if text is None:
        return outcome.exit_code
    check_size(text, words.output, words.large)
    publish(output, text, before)
    print(f"bootsonde: recorded in {words.output}: {len(text.splitlines()):,} lines")
    given = f" --kernel {shown(words.kernel)}" if words.kernel else ""
    print(f"  the same again: bootsonde replay {shown(output)}{given}")
    return 0


def check_size(text: str, name: str, is_asked_for: bool) -> None:
    """Raises UserError for a baseline that is too large for a repository."""
    if len(text) > _LARGE and not is_asked_for:
        raise UserError(f"{name} would have {len(text) / 1e6:.1f} MB, and is not written: record less (--functions, "
                        "--file), or give --large")


def recorded_text(recording: Recording, boot_lines: Sequence[str]) -> Tuple[Outcome, Optional[str]]:
    """Boot and compare; the baseline's text with these lines as [boot], or none and why.

    Raises UserError for what cannot be run. How the boots end, and what does not repeat, is printed.
    """
    with contextlib.ExitStack() as stack:
        folder = temporary_folder("record")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        traces = []
        for came in _boots(recording, folder):
            if came.verdict.outcome in (Outcome.LOST, Outcome.TIMEOUT):
                report(came.verdict, came.console, None, came.said)
                print("bootsonde: nothing was recorded", file=sys.stderr)
                return came.verdict.outcome, None
            traces.append(came.trace)
        words = ["baseline", *recording.words, *traces]
        try:  # With the kernel's lines of source, where traces have none.
            status, text, said = cprobe(*words, "--kernel", recording.kernel.symbols)
        except UserError:
            status, text, said = cprobe(*words)
    if said:
        print(said, file=sys.stderr)
    if status:  # They do not end alike.
        print("bootsonde: nothing was recorded", file=sys.stderr)
        return Outcome.FAILED, None
    return Outcome.PASSED, put_in(text, list(boot_lines), _facts(recording))


def _boots(recording: Recording, folder: str) -> Iterator[Came]:
    for number in range(1, recording.runs + 1):
        own = os.path.join(folder, str(number))
        os.mkdir(own)
        came = boot_once(recording.boot, recording.kernel, recording.base, own, recording.timeout_s)
        with contextlib.suppress(BrokenPipeError):
            print(f"bootsonde: boot {number} of {recording.runs}: {came.verdict.outcome.value}: {came.verdict.reason}",
                  flush=True)
        yield came


def _facts(recording: Recording) -> List[Tuple[str, str]]:
    """What [recorded] says beside what the traces' headers know."""
    return [*disk_facts(recording.boot, recording.base), *config_facts(recording.kernel)]


def disk_facts(boot: Boot, base: str) -> List[Tuple[str, str]]:
    """Hashes of what the guest reads beside its kernel."""
    found = []
    for name in FILES:
        if name in boot.options:
            path = path_of(boot.options[name], base)
            found.append((name, f"{os.path.basename(path)} sha256:{sha256(path)}"))
    return found


def config_facts(kernel: Kernel) -> List[Tuple[str, str]]:
    """The configuration that the kernel carries, or its symbols' file does."""
    from bootsonde.model.kernelconfig import read_config  # Not at the top: a replay does without.
    config = read_config(kernel.path) or (read_config(kernel.symbols) if kernel.symbols != kernel.path else None)
    return [("config", str(config))] if config is not None else []
