"""GDB commands under the prefix `bootsonde`. Importing this module defines them."""

from __future__ import annotations

import shlex

import gdb

from bootsonde.model import scenario as model_scenario
from bootsonde.model.breakspec import parse_break, parse_watch
from bootsonde.model.errors import UserError
from bootsonde.session import interactive
from bootsonde.session.recorder import say


class Prefix(gdb.Command):
    """Scripted debugging of early kernel boot. Source a scenario first, as in: source scenarios/pvclock.py"""

    def __init__(self) -> None:
        super().__init__("bootsonde", gdb.COMMAND_RUNNING, gdb.COMPLETE_NONE, True)


class Go(gdb.Command):
    """Continue the boot and print every hit, to the end of the run or to Ctrl-C; then say what was never hit."""

    def __init__(self) -> None:
        super().__init__("bootsonde go", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde go"""
        interactive.go()


class Summary(gdb.Command):
    """Which functions of the scenario were hit, how often, and which never."""

    def __init__(self) -> None:
        super().__init__("bootsonde summary", gdb.COMMAND_STATUS)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde summary"""
        interactive.current().print_summary()


class Break(gdb.Command):
    """Record hits of more places: bootsonde break PLACE [vcpu N] [skip N] [limit N] [if EXPRESSION]

    PLACE is a function's name, a glob of names, or FILE:LINE. EXPRESSION may use registers ($rdi), parameters and
    kernel variables. vcpu takes only that vCPU's hits, skip passes over the first N, limit disables the place after
    N."""

    def __init__(self) -> None:
        super().__init__("bootsonde break", gdb.COMMAND_BREAKPOINTS, gdb.COMPLETE_LOCATION)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde break PLACE ..."""
        with interactive.user_errors():
            rule = parse_break(argument)
        interactive.add_break(rule)


class Watch(gdb.Command):
    """Record who writes a kernel variable: bootsonde watch NAME [vcpu N] [skip N] [limit N] [if EXPRESSION]

    NAME may be a part of a variable, as in timeinfos[0].flags. EXPRESSION may use $old and $new besides what that of
    `bootsonde break` may. It is a hardware watchpoint, and sees every write that changes the value; not one that writes
    the same again, nor one through another address of the same memory, as before paging is on."""

    def __init__(self) -> None:
        super().__init__("bootsonde watch", gdb.COMMAND_BREAKPOINTS, gdb.COMPLETE_SYMBOL)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde watch NAME ..."""
        with interactive.user_errors():
            rule = parse_watch(argument)
        interactive.add_break(rule)


class Next(gdb.Command):
    """Break where the boot may go on from what has run so far: bootsonde next [FUNC]

    cprobe compares this session's trace with the kernel's code: calls in functions that ran of functions that did
    not, the latest first; with FUNC the tests and calls on the way to that function. Only functions with a breakpoint
    are known to have run."""

    def __init__(self) -> None:
        super().__init__("bootsonde next", gdb.COMMAND_BREAKPOINTS, gdb.COMPLETE_SYMBOL)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde next [FUNC]"""
        words = argument.split()
        if len(words) > 1 or argument.startswith("-"):
            raise gdb.GdbError("usage: bootsonde next [FUNC]")
        interactive.add_next(words[0] if words else None)


class Overlay(gdb.Command):
    """Answer the kernel's instructions in its processor's place, from this stop on:

    bootsonde overlay cpuid LEAF[.SUBLEAF]: CHANGE, ...   eax = 0x10, ecx |= x2apic, edx &= ~tsc, vendor = KVMKVMKVM
    bootsonde overlay msr MSR: WHAT, ...                  read = VALUE, read |= BITS, read fault, write swallow,
                                                          write fault, fault, keep
    Alone, it shows what is answered."""

    def __init__(self) -> None:
        super().__init__("bootsonde overlay", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde overlay [cpuid|msr LINE]"""
        session = interactive.current()
        kind, _, line = argument.strip().partition(" ")
        with interactive.user_errors():
            if kind in ("cpuid", "msr"):
                session = interactive.changing("nothing is overlaid")
                say(f"bootsonde: {session.add_overlay(kind, line)} breakpoints more")
            elif kind:
                raise UserError("usage: bootsonde overlay [cpuid LEAF: CHANGE, ... | msr MSR: WHAT, ...]")
        for each in session.overlay.cpuid.describe():
            say(f"  cpuid {each}")
        for each in session.overlay.msrs.describe():
            say(f"  msr {each}")


class Attach(gdb.Command):
    """Connect to a waiting guest: bootsonde attach [NAME|HOST:PORT|unix:PATH]"""

    def __init__(self) -> None:
        super().__init__("bootsonde attach", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde attach [WHERE]"""
        with interactive.user_errors():
            interactive.leave()
            interactive.attach(argument.strip() or None)


class Detach(gdb.Command):
    """End the run, take bootsonde's breakpoints out and let the guest run on.

    A connection that you have made by hand stays."""

    def __init__(self) -> None:
        super().__init__("bootsonde detach", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde detach"""
        interactive.detach()


class Set(gdb.Command):
    """Override settings of the scenario that is sourced next: bootsonde set NAME=VALUE...; alone, it shows them."""

    def __init__(self) -> None:
        super().__init__("bootsonde set", gdb.COMMAND_SUPPORT)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde set [NAME=VALUE...]"""
        try:
            words = shlex.split(argument)
        except ValueError as error:
            raise gdb.GdbError(f"bootsonde: {argument}: {error}") from None
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise gdb.GdbError(f"bootsonde: {word}: expected NAME=VALUE; NAME= takes an override back")
            if value:
                model_scenario.overrides[name] = value
            else:
                model_scenario.overrides.pop(name, None)
        for name, value in model_scenario.overrides.items():
            gdb.write(f"{name}={value}\n")


class Symbols(gdb.Parameter):
    """The ELF in which names are looked up, if it is not the one that was booted."""

    set_doc = "Set the ELF in which bootsonde looks names up; empty for the kernel that was booted."
    show_doc = "Show the ELF in which bootsonde looks names up."

    def __init__(self) -> None:
        super().__init__("bootsonde-symbols", gdb.COMMAND_FILES, gdb.PARAM_OPTIONAL_FILENAME)
        self.value = ""


class SymbolsAtPrompt(gdb.Parameter):
    """Whether GDB reads the kernel's symbols before bootsonde gives its prompt: auto or never."""

    set_doc = "Set whether GDB reads the kernel's symbols before the prompt."
    show_doc = "Show whether GDB reads the kernel's symbols before the prompt."

    def __init__(self) -> None:
        super().__init__("bootsonde-symbols-at-prompt", gdb.COMMAND_FILES, gdb.PARAM_ENUM, ["auto", "never"])
        self.value = "auto"


for _command in (Prefix, Go, Summary, Break, Watch, Next, Overlay, Attach, Detach, Set, Symbols, SymbolsAtPrompt):
    _command()
