"""The stopped guest as GDB sees it: vCPUs, registers, memory. Thin, so that nothing else deals in gdb.Value."""

from __future__ import annotations

import contextlib
import functools
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import gdb

from bootsonde.model.errors import UserError
from bootsonde.model.registers import register_named

_MASK64 = (1 << 64) - 1
#: A line of GDB's table of registers: the name and the stub's number of one of 8 bytes.
_REMOTE_REGISTER = re.compile(r"^ (\w+) +\d+ +\d+ +\d+ +8 \S+ +(\d+) +\d+ *$", re.MULTILINE)
#: What GDB's disassembler says of an operand: the address that it comes to, and the name there.
_ADDED = re.compile(r"\s+#.*|\s+<[^>]*>")


@contextlib.contextmanager
def settings(**values: str) -> Iterator[None]:
    """GDB settings for a while: settings(confirm="off"). A dash in a name is written as an underscore."""
    before: List[Tuple[str, str]] = []
    try:
        for key, value in values.items():
            name = key.replace("_", "-").replace("--", " ")
            shown = gdb.parameter(name)
            before.append((name, str(shown) if not isinstance(shown, bool) else "on" if shown else "off"))
            gdb.execute(f"set {name} {value}", to_string=True)
        yield
    finally:
        for name, text in reversed(before):
            gdb.execute(f"set {name} {text}", to_string=True)


def connected() -> bool:
    """Whether a target with at least one vCPU is there. GDB notices only when it asks that its other end is gone."""
    inferior = gdb.selected_inferior()
    try:
        return bool(inferior.pid and inferior.is_valid() and inferior.threads())
    except gdb.error:
        return False


def target() -> str:
    """Where the connection leads to, as it was given to `target remote`; empty where GDB does not say."""
    connection = getattr(gdb.selected_inferior(), "connection", None)
    return str(getattr(connection, "details", None) or "")


def vcpu_of(thread: gdb.InferiorThread) -> int:
    """The number of the vCPU that GDB shows as this thread, from 0."""
    lwp = int(thread.ptid[1])
    return lwp - 1 if lwp > 0 else int(thread.num) - 1


def current_vcpu() -> int:
    """The number of the vCPU that GDB has selected, from 0."""
    thread = gdb.selected_thread()
    return 0 if thread is None else vcpu_of(thread)


@contextlib.contextmanager
def innermost_frame() -> Iterator[None]:
    """Registers are those of the vCPU itself, wherever `up` has led the user."""
    level = gdb.selected_frame().level()
    gdb.newest_frame().select()
    try:
        yield
    finally:
        if level:
            gdb.execute(f"frame {level}", to_string=True)


def register(name: str) -> int:
    """A register of the selected vCPU as an unsigned number."""
    return int(gdb.newest_frame().read_register(name)) & _MASK64


def assign(**registers: int) -> None:
    """Write whole registers of the selected vCPU, in this order. rip has to be last: what GDB knows of the frame
    changes with it."""
    registers = {name: value for name, value in registers.items() if register(name) != value & _MASK64}
    if registers and not _assign_by_packet(registers):
        gdb.parse_and_eval(", ".join(f"${name} = {value:#x}" for name, value in registers.items()))


def prepare() -> None:
    """What `assign` has to know takes 2 ms to learn, at the first time: not while a guest waits at an instruction."""
    _register_numbers(gdb.selected_inferior().architecture().name(), target())


@functools.lru_cache(maxsize=None)
def _register_numbers(architecture: str, stub: str) -> Mapping[str, int]:
    """The stub's numbers of 64-bit registers; none where GDB cannot be told that it does not know their values.

    architecture, stub: those of now; for others the numbers may be others.
    """
    assert architecture == gdb.selected_inferior().architecture().name() and stub == target()
    try:
        gdb.execute("maintenance flush register-cache", to_string=True)
        shown = str(gdb.execute("maintenance print remote-registers", to_string=True))
    except gdb.error:
        return {}
    return {name: int(number) for name, number in _REMOTE_REGISTER.findall(shown)}


def _assign_by_packet(registers: Mapping[str, int]) -> bool:
    """The same by the remote protocol, in a third of the time: GDB looks for its frame anew after each register that it
    writes. False: it has to be GDB."""
    numbers = _register_numbers(gdb.selected_inferior().architecture().name(), target())
    thread = gdb.selected_thread()
    if thread is None or not thread.ptid[1] or not set(registers) <= set(numbers):
        return False
    try:
        read(register("rip"), 1)  # GDB has the stub select this vCPU for that: selecting it below is no news to GDB.
    except gdb.MemoryError:
        return False
    if not _is_taken(f"Hgp{thread.ptid[0]:x}.{thread.ptid[1]:x}"):
        return False
    taken = all([_is_taken(f"P{numbers[name]:x}={(value & _MASK64).to_bytes(8, 'little').hex()}")
                 for name, value in registers.items()])
    gdb.execute("maintenance flush register-cache", to_string=True)
    return taken and all(register(name) == value & _MASK64 for name, value in registers.items())


def _is_taken(packet: str) -> bool:
    return '"OK"' in str(gdb.execute(f"maintenance packet {packet}", to_string=True))


def has_breakpoint(address: int) -> bool:
    """Whether the stub has a software breakpoint there now. GDB takes out the one that it steps over, and puts it back
    before it resumes; from outside only the stub can be asked, which refuses to take out what it has not.

    Raises UserError if the stub does not set it again.
    """
    if not _is_taken(f"z0,{address:x},1"):
        return False
    if not _is_taken(f"Z0,{address:x},1"):
        raise UserError(f"the stub has lost the breakpoint at {address:#x}")
    return True


def set_register(name: str, value: int) -> Tuple[str, int, int]:
    """Write a register or a part of one and read it back: (the whole register that was written, before, after).

    Raises UserError if there is none of that name.
    """
    part = register_named(name)
    before = register(part.whole)
    gdb.execute(f"set ${part.whole} = {part.written(before, value):#x}", to_string=True)
    return part.whole, before, register(part.whole)


def read(address: int, size: int) -> bytes:
    """Virtual memory, as the selected vCPU's page tables map it. Raises gdb.MemoryError."""
    return bytes(gdb.selected_inferior().read_memory(address, size))


def read_number(address: int, size: int, signed: bool = False) -> int:
    """A little-endian number. Raises gdb.MemoryError."""
    return int.from_bytes(read(address, size), "little", signed=signed)


def write(address: int, data: bytes) -> None:
    """Virtual memory, read-only text included. Raises gdb.MemoryError."""
    gdb.selected_inferior().write_memory(address, data)


def read_string(address: int, limit: int = 128) -> Optional[str]:
    """A C string, cut at `limit` bytes or at an unreadable page; None if nothing can be read."""
    data = b""
    try:
        while len(data) < limit and b"\0" not in data:
            step = min(16 - address % 16, limit - len(data))
            data += read(address, step)
            address += step
    except gdb.MemoryError:
        if not data:
            return None
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


@contextlib.contextmanager
def _physical() -> Iterator[bool]:
    """Addresses are physical for a while, by QEMU's own packet; False where the stub is not QEMU's."""
    if "OK" not in str(gdb.execute("maintenance packet Qqemu.PhyMemMode:1", to_string=True)):
        yield False
        return
    try:
        yield True
    finally:
        gdb.execute("maintenance packet Qqemu.PhyMemMode:0", to_string=True)


def read_physical(address: int, size: int) -> Optional[bytes]:
    """Physical memory; None where the stub is not QEMU's or nothing is there."""
    with _physical() as physical:
        try:
            return read(address, size) if physical else None
        except gdb.MemoryError:
            return None


def write_physical(address: int, data: bytes) -> bool:
    """Physical memory; False where the stub is not QEMU's or nothing is there."""
    with _physical() as physical:
        try:
            if physical:
                write(address, data)
            return physical
        except gdb.MemoryError:
            return False


def instructions(first: int, last: int) -> List[Tuple[int, str, int]]:
    """(address, text, length) of each 64-bit instruction that begins from `first` to `last`. Raises gdb.MemoryError.

    The text is without the names that GDB adds where it has read symbols: the same with and without.
    """
    found: List[Dict[str, Any]] = list(gdb.selected_inferior().architecture().disassemble(first, last))
    return [(each["addr"] & _MASK64, " ".join(_ADDED.sub("", each["asm"]).split()), each["length"]) for each in found]


def is_64_bit() -> bool:
    """Whether the selected vCPU is in long mode (EFER.LMA)."""
    return bool(register("efer") >> 10 & 1)


def word_size() -> int:
    """Bytes of what the selected vCPU pushes on its stack."""
    return 8 if is_64_bit() else 4


def monitor(command: str) -> Optional[str]:
    """What QEMU's monitor answers; None where the stub has no monitor."""
    try:
        return str(gdb.execute(f"monitor {command}", to_string=True)).replace("\r", "")
    except gdb.error:
        return None


def return_now(value: int) -> Tuple[int, int, int]:
    """Leave the function at whose first instruction the vCPU stands: (rax before, rax after, where it is now).

    Raises UserError, with nothing changed, outside of 64-bit code and where there is no stack.
    """
    if not is_64_bit():
        raise UserError("a function can be made to return in 64-bit code alone, and this vCPU is not in it yet")
    stack = register("rsp")
    try:
        address = read_number(stack, 8)
    except gdb.MemoryError:
        raise UserError(f"there is no return address at {stack:#x}, where rsp points: the function cannot be left"
                        ) from None
    _, before, after = set_register("rax", value)
    set_register("rsp", stack + 8)
    set_register("rip", address)
    return before, after, register("rip")


def step_instruction() -> None:
    """Step the selected vCPU by one instruction while the others stand still."""
    with settings(scheduler_locking="on", suppress_cli_notifications="on"):
        gdb.execute("stepi", to_string=True)


def step_past(pc: int) -> bool:
    """Step the instruction at pc, where the selected vCPU stands; False if it does not get past it."""
    for _ in range(4):  # An interrupt that was asked for meanwhile ends a step before it has begun.
        step_instruction()
        if register("rip") != pc:
            return True
    return False


def each_vcpu() -> Iterator[gdb.InferiorThread]:
    """Select every vCPU for a while; then the one that was. Raises gdb.error where one cannot be selected."""
    selected = gdb.selected_thread()
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda each: each.num):
            thread.switch()
            yield thread
    finally:
        if selected is not None and selected.is_valid():
            selected.switch()


def program_counters() -> List[Tuple[int, Optional[int]]]:
    """(vCPU, pc) of every vCPU; None where it cannot be read. The selection stays as it was."""
    selected = gdb.selected_thread()
    places: List[Tuple[int, Optional[int]]] = []
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda each: each.num):
        try:
            thread.switch()
            places.append((current_vcpu(), register("rip")))
        except gdb.error:
            places.append((thread.num - 1, None))
    if selected is not None and selected.is_valid():
        selected.switch()
    return places
