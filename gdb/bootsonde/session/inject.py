"""Injection: numbers are written to variables, registers and memory, each read before and after.

All or none: each target is read before any is written. What can be read can be written: QEMU's stub asks no page
table whether a page is read-only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Protocol

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.place import Variable
from bootsonde.model.registers import register_bits, register_named
from bootsonde.model.scenario import Memory
from bootsonde.model.target import memory_bits, variable_bits
from bootsonde.session import machine


@dataclass(frozen=True)
class Injected:
    """What became of one write, as the trace has it. `value` is what was asked for, `wanted` its bits."""

    target: str
    value: int
    wanted: int
    before: int
    after: int
    address: Optional[int] = None
    physical: bool = False


class Write(Protocol):
    """One write that is to be done."""

    def check(self) -> None:
        """Raises UserError if it cannot be done."""

    def perform(self) -> Injected:
        """Do it."""


@dataclass(frozen=True)
class _MemoryWrite:
    target: str
    memory: Memory
    value: int
    wanted: int

    def _read(self) -> int:
        memory = self.memory
        if memory.physical:
            data = machine.read_physical(memory.address, memory.size)
            if data is None:
                raise UserError(f"{self.target}: there is no memory there, or the stub is not QEMU's")
            return int.from_bytes(data, "little")
        try:
            return machine.read_number(memory.address, memory.size)
        except gdb.MemoryError:
            raise UserError(f"{self.target}: {memory.address:#x} is not mapped here: inject it later, in 64-bit code, "
                            "or by its physical address") from None

    def check(self) -> None:
        self._read()

    def perform(self) -> Injected:
        memory, before = self.memory, self._read()
        write = machine.write_physical if memory.physical else machine.write
        write(memory.address, self.wanted.to_bytes(memory.size, "little"))
        return Injected(self.target, self.value, self.wanted, before, self._read(), memory.address, memory.physical)


@dataclass(frozen=True)
class _RegisterWrite:
    name: str
    value: int

    def check(self) -> None:
        register_bits(self.name, self.value)

    def perform(self) -> Injected:
        written, before, after = machine.set_register(self.name, self.value)
        return Injected(written, self.value, register_named(self.name).written(before, self.value), before, after)


def to_variable(variable: Variable, value: int) -> Write:
    """Raises UserError if the value does not fit."""
    return _MemoryWrite(variable.name, Memory(variable.address, variable.size), value, variable_bits(variable, value))


def to_memory(memory: Memory, value: int) -> Write:
    """As to_variable."""
    return _MemoryWrite(str(memory), memory, value, memory_bits(memory, value))


def to_register(name: str, value: int) -> Write:
    """As to_variable; also if there is no such register."""
    return _RegisterWrite(name, register_bits(name, value))


def perform(writes: List[Write]) -> List[Injected]:
    """Do them all, in order, or none. Raises UserError."""
    for write in writes:
        write.check()
    return [write.perform() for write in writes]
