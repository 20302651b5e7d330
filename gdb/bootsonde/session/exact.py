"""A replay at a place of its own: GDB executes this file, which goes there, says what is there, and leaves the prompt.

The guest is read, never written to: what a recording does not have, its replay cannot take in.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

import gdb

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir))

from bootsonde.model.config import SESSION_VARIABLE, SessionConfig  # noqa: E402
from bootsonde.model.console import printable  # noqa: E402
from bootsonde.model.errors import UserError  # noqa: E402
from bootsonde.model.exact import ORDER, Order  # noqa: E402
from bootsonde.model.outcome import Outcome, Verdict  # noqa: E402
from bootsonde.model.segments import link_address  # noqa: E402
from bootsonde.probe import Probe, Symbolizer  # noqa: E402
from bootsonde.session import guard, machine, replays, symbols  # noqa: E402
from bootsonde.session.callers import Callers  # noqa: E402
from bootsonde.session.connection import Connection  # noqa: E402
from bootsonde.session.recorder import say, set_output  # noqa: E402

#: Why GDB does not write.
READ_ONLY = "what GDB writes is not in the recording, which could not be followed any more"

#: Registers that are shown, four a line.
_REGISTERS = (("rax", "rbx", "rcx", "rdx"), ("rsi", "rdi", "rbp", "rsp"), ("r8", "r9", "r10", "r11"),
              ("r12", "r13", "r14", "r15"), ("rip", "eflags", "cs", "ss"), ("cr0", "cr2", "cr3", "cr4"),
              ("efer", "fs_base", "gs_base", "k_gs_base"))
#: Lines of the console, and callers, that are shown.
_LINES, _CALLERS = 6, 8

_connection = Connection()


class _Entry(gdb.Breakpoint):
    """Stops at an entry of a function, wherever of `addresses` it is entered."""

    def __init__(self, address: int, entered: _Entered, is_physical: bool) -> None:
        super().__init__(f"*{address:#x}", internal=True)
        self.silent = True
        self._entered = entered
        self._is_physical = is_physical

    def stop(self) -> bool:
        """GDB asks."""
        # A physical address may be one of a program later on.
        if self._is_physical and machine.register("cs") & 3:
            return False
        self._entered.count += 1
        return self._entered.count >= self._entered.wanted


class _Entered:
    """How often."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.count = 0


def _go_to_entry(addresses: Sequence[Tuple[int, bool]], number: int) -> bool:
    """Forward to the `number`th entry from here on; False if the boot ends before."""
    entered = _Entered(number)
    points = [_Entry(address, entered, is_physical) for address, is_physical in addresses]
    try:
        with machine.settings(suppress_cli_notifications="on"):
            gdb.execute("continue", to_string=True)
    except gdb.error:
        if machine.connected():
            raise
    finally:
        for point in points:
            if point.is_valid():
                point.delete()
    return entered.count >= number


class Place:
    """Where the guest is, in words."""

    def __init__(self, config: SessionConfig, order: Order) -> None:
        self._config = config
        self._order = order
        self._symbolizer = Symbolizer(config.cprobe, config.symbols)
        self._info = Probe(config.cprobe, config.symbols).ask("info").records[0]

    def close(self) -> None:
        """End the symbolizer's process."""
        self._symbolizer.close()

    def headline(self) -> str:
        """The count, and the function."""
        pc = machine.register("rip")
        linked = link_address(self._info, pc)
        found = self._symbolizer.look_up(linked)
        where = self._symbolizer.describe(linked) if found.get("name") not in (None, "?") else f"{pc:#x}"
        line = f"  {os.path.basename(found['file'])}:{found['line']}" if found.get("file") else ""
        return f"at instruction {replays.instructions()} of {self._order.end}: {where}{line}"

    def lines(self) -> List[str]:
        """Callers, registers, the console's end."""
        lines = [f"  <- {caller['function']}{'?' if caller.get('guess') else ''}{_source(caller)}"
                 for caller in self._callers()]
        for names in _REGISTERS:
            lines.append("  " + "  ".join(f"{name:>9} {_register(name)}" for name in names))
        console = _console(self._config.console)
        return [*lines, "  the console's last lines:", *(f"    {line}" for line in console)] if console else lines

    def _callers(self) -> List[Dict[str, Any]]:
        callers = Callers(self._symbolizer, self._info)
        pc = machine.register("rip")
        return callers.of(pc, _CALLERS) if callers.starts_at(pc) is not None else []


def _source(record: Dict[str, Any]) -> str:
    return f"  {os.path.basename(record['file'])}:{record['line']}" if record.get("line") else ""


def _register(name: str) -> str:
    try:
        return f"{machine.register(name):#018x}"
    except (gdb.error, ValueError):
        return "-"


def _console(path: Optional[str]) -> List[str]:
    if path is None:
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return [printable(line) for line in file.read().splitlines() if line.strip()][-_LINES:]


def _arrive(order: Order) -> Verdict:
    if order.addresses and not _go_to_entry(order.addresses, order.number):
        return Verdict(Outcome.USAGE, f"--at {order.place}: it is not entered that often in this boot")
    return Verdict(Outcome.PASSED, f"at {order.place}")


def _leave(config: SessionConfig, verdict: Verdict) -> None:
    assert config.result_file is not None
    with open(config.result_file, "w", encoding="utf-8") as file:
        json.dump(verdict.to_json(), file)


def _batch(config: SessionConfig, order: Order) -> None:
    """Without a person."""
    set_output(config.output)
    verdict = _arrive(order)
    if verdict.outcome is Outcome.PASSED:
        place = Place(config, order)
        say(place.headline())
        for line in place.lines():
            say(line)
        try:
            from bootsonde.session import commands, printers, questions  # noqa: F401
            replays.define(order, place)
            if order.commands and config.symbols_at_prompt:
                symbols.load(config.symbols, config.source_map)
            for command in order.commands:
                said = str(gdb.execute(command, to_string=True)).rstrip("\n")
                if said:
                    say(said)
        except gdb.error as error:
            reason = f"; {READ_ONLY}" if str(error).startswith("Writing to ") else ""
            verdict = Verdict(Outcome.USAGE, f"GDB: {error}{reason}")
        place.close()
    _leave(config, verdict)


def _prompt(config: SessionConfig, order: Order) -> None:
    """With one."""
    verdict = _arrive(order)
    if verdict.outcome is not Outcome.PASSED:
        _leave(config, verdict)
        replays.leave()
    # Each defines what it is named for.
    from bootsonde.session import commands, orders, printers, questions  # noqa: F401
    replays.define(order, Place(config, order))
    if config.symbols_at_prompt:
        symbols.load(config.symbols, config.source_map)
    if order.breakpoints and os.path.exists(order.breakpoints):
        gdb.execute(f"source {order.breakpoints}")
    replays.welcome()


def _main() -> None:
    path = os.environ[SESSION_VARIABLE]
    config = SessionConfig.load(path)
    order = Order.load(os.path.join(os.path.dirname(path), ORDER))
    guard.forbid_writes()
    _connection.open(config.stub)
    try:
        if order.batch:
            _batch(config, order)
        else:
            _prompt(config, order)
    except UserError as error:
        say(f"bootsonde: {error}")


if __name__ == "__main__":
    gdb.execute("set pagination off", to_string=True)
    _main()
