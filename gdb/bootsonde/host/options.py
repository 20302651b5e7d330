"""The command line's options that every verb that boots takes, and the kernel that they mean."""

from __future__ import annotations

import argparse
import os
from typing import Dict, List, Mapping, Optional, Sequence

from bootsonde import places
from bootsonde.host.request import BootRequest
from bootsonde.model.config import read_conf
from bootsonde.model.errors import UserError

#: The launcher's options that are passed on; those with a value, and those without.
_LAUNCHER = ("append", "memory", "smp", "cpu", "machine", "accel", "net", "icount", "rr", "initrd")
_LAUNCHER_FLAGS = ("write",)
#: Options that name a file.
_FILES = ("kernel", "symbols", "disk", "initrd")
#: Boots whose traces are compared, where nobody says how many.
RUNS = 3
#: What --deterministic means where --icount does not say it; the launcher fixes seed and clock with it.
ICOUNT = "shift=3,sleep=off"


def add_boot_options(parser: argparse.ArgumentParser, console: bool = True) -> None:
    """The guest's options. console: also where its log is; some verbs mean something else by --console."""
    group = parser.add_argument_group("the guest (launch/microvm_debug.sh --help says more)")
    group.add_argument("--kernel", metavar="K", help="what to boot; else $BOOTSONDE_KERNEL, else ./bootsonde.conf, "
                                                     "else the reference guest")
    group.add_argument("--symbols", metavar="S", help="the ELF to look names up in, if it is not K")
    group.add_argument("--disk", metavar="D")
    for name in _LAUNCHER:
        group.add_argument(f"--{name}", metavar=name.upper())
    group.add_argument("--plugin", metavar="FILE,ARGS", action="append", default=[], help="a TCG plugin; repeatable")
    if console:
        group.add_argument("--console", metavar="FILE", dest="console_log",
                           help="where the console is logged; with --attach: where it is")
    for name in _LAUNCHER_FLAGS:
        group.add_argument(f"--{name}", action="store_true")


def pairs(option: str, words: Sequence[str]) -> Dict[str, str]:
    """NAME=VALUE words. Raises UserError."""
    found = dict(word.split("=", 1) for word in words if "=" in word)
    if len(found) != len(words):
        raise UserError(f"{option} takes {'FROM=TO' if option == '--source' else 'NAME=VALUE'}, each once")
    return found


def globs_of(words: Sequence[str]) -> List[str]:
    """--functions' names. Raises UserError."""
    globs = [glob.strip() for word in words for glob in word.split(",")]
    if not all(globs):
        raise UserError("--functions wants names with commas between them")
    return globs


def keep_older(path: str) -> str:
    """A default output file's path; an older file there is kept as .old. Raises UserError."""
    try:
        if os.path.exists(path):
            os.replace(path, path + ".old")
    except OSError as error:
        raise UserError(f"the older {path} cannot be kept ({error}): name another place on the command line") from None
    return path


def boot_request(words: argparse.Namespace, qemu_args: List[str], conf: Mapping[str, str],
                 attached: Optional[str] = None) -> BootRequest:
    """What is to boot, announced if nobody named it.

    conf: ./bootsonde.conf. attached: the kernel of a guest that runs already. Raises UserError.
    """
    log = getattr(words, "console_log", None)
    for name, value in [("console", log), *((name, getattr(words, name)) for name in _FILES)]:
        if value == "":  # As an unset variable of a script has it.
            raise UserError(f"--{name} is empty: name a file, or leave it out")
    kernel = words.kernel or attached
    if kernel is None:
        kernel, origin = places.default_kernel()
        print(f"bootsonde: kernel {kernel} ({origin})", flush=True)
    if not os.path.isfile(kernel):
        raise UserError(f"{kernel}: no such kernel")
    options = [word for name, value in launcher_options(words, conf).items() for word in (f"--{name}", value)]
    options += [word for plugin in words.plugin for word in ("--plugin", plugin)]
    options += [f"--{name}" for name in _LAUNCHER_FLAGS if getattr(words, name)]
    return BootRequest(os.path.abspath(kernel), os.path.abspath(words.symbols or conf.get("symbols") or kernel),
                       words.disk or conf.get("disk"), options, qemu_args,
                       os.path.abspath(log) if log else None)


def launcher_options(words: argparse.Namespace, conf: Mapping[str, str]) -> Dict[str, str]:
    """The launcher's options with a value, by name, as they are given on the command line or in ./bootsonde.conf."""
    options = {}
    if getattr(words, "deterministic", False) and words.icount is None:
        options["icount"] = ICOUNT
    for name in _LAUNCHER:
        value = getattr(words, name)
        value = conf.get(name) if value is None else value
        if value is not None:
            options[name] = value
    return options


def given_options(words: argparse.Namespace) -> List[str]:
    """The launcher's options that the command line itself gives, as words."""
    given = [(name, getattr(words, name)) for name in ("disk", *_LAUNCHER)]
    return [word for name, value in given if value is not None for word in (f"--{name}", value)]


def is_kvm(words: argparse.Namespace, conf: Mapping[str, str]) -> bool:
    """Whether KVM is asked for."""
    return bool((words.accel or conf.get("accel")) == "kvm")


def check_timeout(seconds: float) -> None:
    """Raises UserError."""
    if not seconds > 0:  # NaN is none
        raise UserError("--timeout wants a positive number of seconds")


def checked_runs(runs: Optional[int]) -> int:
    """Boots whose traces are compared. Raises UserError."""
    if runs is not None and runs < 1:
        raise UserError("--runs wants a number of boots, 1 or more")
    return RUNS if runs is None else runs


def check_output(option: str, path: str, boot: BootRequest, scenario: Optional[str]) -> None:
    """Raises UserError where what is written would take the place of what is read."""
    initrds = [value for name, value in zip(boot.options, boot.options[1:]) if name == "--initrd"]
    for given in [boot.kernel, boot.symbols, boot.disk, scenario, *initrds]:
        if given is not None and os.path.exists(path) and os.path.exists(given) and os.path.samefile(path, given):
            raise UserError(f"{option} {path} would overwrite {given}: name another file")


def check_until(texts: Sequence[str]) -> None:
    """Raises UserError for what no line of a console can show, or every line does."""
    for text in texts:
        if not text or "\n" in text or "\r" in text:
            raise UserError(f"--until {text!r}: give a text that is part of one line of the console")


def conf_of_folder() -> Dict[str, str]:
    """./bootsonde.conf."""
    return read_conf("bootsonde.conf")
