"""GDB commands that change the stopped guest: inject, return, skip. Importing this module defines them."""

from __future__ import annotations

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.registers import register_named
from bootsonde.model.target import check_size, parse_memory, variable_limits
from bootsonde.session import inject, interactive, machine
from bootsonde.session.inject import Write
from bootsonde.session.session import Session
from bootsonde.session.values import integer, number


def _write(session: Session, target: str, value: str) -> Write:
    """From `TARGET=VALUE`. Raises UserError."""
    if target.startswith("$"):
        register = register_named(target[1:])
        return inject.to_register(register.name, integer(value, register.bits, signed=False))
    memory = parse_memory(target, lambda word: number(word, 64, "address"))
    if memory is not None:
        return inject.to_memory(memory, integer(value, 8 * memory.size, signed=False))
    variable = session.planner.variable(target)
    if variable is None:
        raise UserError(f"this kernel has no variable {target}: cprobe symbol KERNEL '*{target}*' lists those like it")
    check_size(variable)
    return inject.to_variable(variable, integer(value, 8 * variable.size, signed=variable_limits(variable)[0] < 0))


def _report(session: Session) -> None:
    """Where the vCPU has been moved, a rule may have ended the run."""
    if session.verdict is not None:
        interactive.report(session, full=True)


class Inject(gdb.Command):
    """Write to the guest at this stop, as events of the trace: bootsonde inject TARGET=VALUE...

    TARGET is
      tsc_freq, timeinfos[0].tsc_shift  a kernel variable, or a part of one; it is found in the kernel's file, whether
                                        GDB has read its symbols or not, and written in its own size
      $eax, $ah, $r8d, $rip, $eflags    a register or a part of one: a 32-bit write clears the upper half
      mem:ADDRESS:SIZE                  memory by virtual address; SIZE is 1, 2, 4 or 8 bytes
      phys:ADDRESS:SIZE                 memory by physical address
    VALUE and ADDRESS are numbers, or GDB's expressions without blanks, such as $rdi+8. All of the targets are written,
    or none: a value must fit, and an address must be mapped. Each is read back, and what was not kept is said."""

    def __init__(self) -> None:
        super().__init__("bootsonde inject", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde inject TARGET=VALUE..."""
        with interactive.user_errors():
            session = interactive.changing("nothing is injected")
            wanted = [word.partition("=") for word in argument.split()]
            if not wanted or not all(target and value for target, _, value in wanted):
                raise UserError("usage: bootsonde inject TARGET=VALUE...; help bootsonde inject")
            if any(target.startswith("$") for target, _, _ in wanted):
                gdb.newest_frame().select()  # What callers' frames are may change with it.
            with machine.innermost_frame():
                before = machine.register("rip")
                session.actions.perform([_write(session, target, value) for target, _, value in wanted])
                if machine.register("rip") != before:
                    session.moved()
            _report(session)


class Return(gdb.Command):
    """Have the function at whose first instruction the vCPU stands return at once: bootsonde return [VALUE]

    It is not run; VALUE, 0 by default, is what its caller gets in rax."""

    def __init__(self) -> None:
        super().__init__("bootsonde return", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde return [VALUE]"""
        with interactive.user_errors():
            session = interactive.changing("the function is not left")
            value = integer(argument.strip() or "0", 64, signed=False)
            gdb.newest_frame().select()
            session.return_now(value)
            _report(session)


class Skip(gdb.Command):
    """Move the vCPU past the instruction it stands at, which is not executed: bootsonde skip [COUNT]

    A call is not made. COUNT is how many instructions are passed over, 1 by default."""

    def __init__(self) -> None:
        super().__init__("bootsonde skip", gdb.COMMAND_RUNNING)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """bootsonde skip [COUNT]"""
        with interactive.user_errors():
            session = interactive.changing("nothing is skipped")
            count = number(argument.strip() or "1", 16, "count of instructions")
            if not count:
                raise UserError("skip how many instructions? usage: bootsonde skip [COUNT]")
            gdb.newest_frame().select()
            session.skip_now(count)
            _report(session)


for _command in (Inject, Return, Skip):
    _command()
