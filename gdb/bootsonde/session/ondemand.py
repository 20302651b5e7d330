"""Instructions that a stopped vCPU executes for us: cpuid, rdmsr, wrmsr, rdtsc, at any stop and in any mode.

The instruction is written over the one that the vCPU stands at and stepped; then all is put back: registers, flags,
bytes, and the stack if it faulted. The other vCPUs stand still meanwhile. Ctrl-C waits until the guest is as it was.
"""

from __future__ import annotations

import contextlib
import re
import signal
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import gdb

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.errors import UserError
from bootsonde.session import machine
from bootsonde.session.guard import check_writable
from bootsonde.session.points import Point, muted

_JUMP_TO_ITSELF = b"\xeb\xfe"
_CPUID, _RDMSR, _WRMSR, _RDTSC = b"\x0f\xa2", b"\x0f\x32", b"\x0f\x30", b"\x0f\x31"
#: mov eax, [rsi]; in 16-bit code it is one of four bytes, which counts as a fault.
_LOAD = b"\x8b\x06"

_REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
              "r15", "rip", "eflags", "cs", "ss", "ds", "es", "fs", "gs")
#: Below the stack pointer: what a fault pushes there, after aligning it.
_FAULT_FRAME = 128
_MASK32 = (1 << 32) - 1
_MASK64 = (1 << 64) - 1

Regions = List[Tuple[int, bytes]]


class Unanswered(gdb.GdbError):
    """The vCPU executes nothing for us as it stands now. The guest is as before."""


class Fault(Unanswered):
    """The instruction faulted."""


@dataclass(frozen=True)
class _Mode:
    """What GDB's registers do not say of the selected vCPU. Bases are linear addresses."""

    code_base: int = 0
    stack_base: int = 0
    is_real: bool = False
    privilege: int = 0
    is_halted: bool = False


def _mode(vcpu: int) -> _Mode:
    """From QEMU's monitor; elsewhere the segments are taken to be flat, as they are in every 64-bit kernel."""
    text = machine.monitor("info registers -a")
    if text is None:
        return _Mode()
    blocks = re.split(r"^\s*CPU#(\d+)\s*$", text, flags=re.M)
    block = dict(zip(blocks[1::2], blocks[2::2])).get(str(vcpu), "")

    def number(pattern: str, base: int) -> int:
        found = re.search(pattern, block, re.M)
        return int(found.group(1), base) if found else 0

    return _Mode(number(r"^CS =[0-9a-f]{4} ([0-9a-f]+)", 16), number(r"^SS =[0-9a-f]{4} ([0-9a-f]+)", 16),
                 bool(block) and not number(r"^CR0=([0-9a-f]+)", 16) & 1, number(r"\bCPL=(\d)", 10),
                 bool(number(r"\bHLT=(\d)", 10)))


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C waiting: GDB's own handler gets it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_breakpoints() -> Iterator[None]:
    """Nothing counts as a hit, wherever a step leads to. Those of a session are asked, and say no."""
    enabled = [each for each in gdb.breakpoints() if each.is_valid() and each.enabled and not isinstance(each, Point)]
    try:
        for each in enabled:
            each.enabled = False
        with muted():
            yield
    finally:
        for each in enabled:
            if each.is_valid():
                each.enabled = True


@contextlib.contextmanager
def _vcpu(number: Optional[int]) -> Iterator[int]:
    """Select a vCPU for a while; None: the one that is selected."""
    if not machine.connected():
        raise gdb.GdbError("bootsonde: no guest is connected: bootsonde attach")
    selected = gdb.selected_thread()
    if number is None or number == machine.current_vcpu():
        yield machine.current_vcpu()
        return
    threads = {machine.vcpu_of(thread): thread for thread in gdb.selected_inferior().threads()}
    if number not in threads:
        raise gdb.GdbError(f"bootsonde: there is no vCPU {number}: this guest has "
                           + ", ".join(map(str, sorted(threads))))
    try:
        threads[number].switch()
        yield number
    finally:
        if selected is not None and selected.is_valid():
            selected.switch()


def _put_back(registers: Dict[str, int], memory: Regions) -> List[str]:
    """Write what was saved where it differs; the names of what could not be."""
    left = []
    for address, data in memory:
        try:
            if machine.read(address, len(data)) != data:
                machine.write(address, data)
        except gdb.MemoryError:
            left.append(f"{len(data)} bytes at {address:#x}")
    for name, value in registers.items():
        if machine.register(name) != value:
            gdb.execute(f"set ${name} = {value:#x}", to_string=True)
            if machine.register(name) != value:
                left.append(name)
    return left


def _fault_frames(mode: _Mode, rsp: int) -> List[Tuple[int, int]]:
    """Where a fault would push to: (linear address, size). In real mode the stack pointer wraps at 64 KiB."""
    if not mode.is_real:
        return [((mode.stack_base + rsp - _FAULT_FRAME) & _MASK64, _FAULT_FRAME)]
    top = rsp & 0xffff or 0x10000
    below = min(top, _FAULT_FRAME)
    frames = [(mode.stack_base + top - below, below)]
    if below < _FAULT_FRAME:
        frames.append((mode.stack_base + 0x10000 - (_FAULT_FRAME - below), _FAULT_FRAME - below))
    return frames


def _save(mode: _Mode, code: bytes) -> Tuple[int, Dict[str, int], Regions]:
    """(linear address of the next instruction, registers, memory that may change). Raises gdb.GdbError."""
    registers = {name: machine.register(name) for name in _REGISTERS}
    place = mode.code_base + registers["rip"]
    try:
        memory = [(place, machine.read(place, max(len(code), len(_JUMP_TO_ITSELF))))]
    except gdb.MemoryError:
        raise Unanswered(f"bootsonde: the vCPU stands at {place:#x}, where no memory is mapped: nothing can be "
                         "executed there; stop it at another place") from None
    for address, size in _fault_frames(mode, registers["rsp"]):
        with contextlib.suppress(gdb.MemoryError):  # No stack yet: a fault would have nowhere to push to.
            memory.append((address, machine.read(address, size)))
    return place, registers, memory


def execute(name: str, code: bytes, inputs: Dict[str, int], outputs: Sequence[str], vcpu: Optional[int] = None,
            privileged: bool = False) -> Dict[str, int]:
    """Have a stopped vCPU execute one instruction; what it left in `outputs`. The guest is as before, but for the
    instruction's effect outside of registers.

    inputs: registers to set before. privileged: it faults outside of CPL 0. Raises Unanswered or its kind Fault, or
    another gdb.GdbError, with the remedy.
    """
    with _vcpu(vcpu) as number, machine.innermost_frame():
        mode = _mode(number)
        if mode.is_halted:
            raise Unanswered(f"bootsonde: vCPU {number} is halted and executes nothing until an interrupt or its "
                             "start-up: choose another with `vcpu N`, or stop it at a breakpoint")
        if privileged and mode.privilege:
            raise Unanswered(f"bootsonde: vCPU {number} runs a user program (CPL {mode.privilege}), where {name} "
                             "faults: stop it in the kernel")
        try:
            check_writable(f"{name} is not executed")
        except UserError as error:
            raise gdb.GdbError(f"bootsonde: {error}") from None
        with uninterrupted(), _without_breakpoints():
            place, registers, memory = _save(mode, code)
            values: Optional[Dict[str, int]] = None
            try:
                machine.write(place, code)
                for register, value in inputs.items():
                    gdb.execute(f"set ${register} = {value:#x}", to_string=True)
                values = _step(registers["rip"], len(code), outputs)
            finally:
                _put_back(registers, memory[1:])
                _settle(place)
                left = _put_back(registers, memory)
        if left:
            raise gdb.GdbError(f"bootsonde: after {name}, these could not be put back: {', '.join(left)}")
        if values is None:
            raise Fault(f"bootsonde: {name} faulted on vCPU {number}; registers and memory are as before")
        return values


def _settle(place: int) -> None:
    """Have GDB see the vCPU stop where it stood: else its breakpoint there would count once more when it goes on."""
    machine.write(place, _JUMP_TO_ITSELF)
    machine.step_instruction()


def _step(rip: int, length: int, outputs: Sequence[str]) -> Optional[Dict[str, int]]:
    """Step the instruction; None: it faulted."""
    if not machine.step_past(rip) or machine.register("rip") != rip + length:
        return None
    return {name: machine.register(name) & _MASK32 for name in outputs}


def cpuid(leaf: int, subleaf: int = 0, vcpu: Optional[int] = None) -> CpuidAnswer:
    """What CPUID answers in there."""
    found = execute("cpuid", _CPUID, {"rax": leaf, "rcx": subleaf}, ("rax", "rbx", "rcx", "rdx"), vcpu)
    return CpuidAnswer(leaf, subleaf, found["rax"], found["rbx"], found["rcx"], found["rdx"])


def rdmsr(index: int, vcpu: Optional[int] = None) -> int:
    """A model-specific register, 64 bits."""
    found = execute("rdmsr", _RDMSR, {"rcx": index}, ("rax", "rdx"), vcpu, privileged=True)
    return found["rdx"] << 32 | found["rax"]


def wrmsr(index: int, value: int, vcpu: Optional[int] = None) -> None:
    """Write a model-specific register; that stays."""
    execute("wrmsr", _WRMSR, {"rcx": index, "rax": value & _MASK32, "rdx": value >> 32}, (), vcpu, privileged=True)


def rdtsc(vcpu: Optional[int] = None) -> int:
    """The vCPU's time stamp counter."""
    found = execute("rdtsc", _RDTSC, {}, ("rax", "rdx"), vcpu)
    return found["rdx"] << 32 | found["rax"]


def load(address: int, vcpu: Optional[int] = None) -> int:
    """32 bits as the vCPU reads them in 32-bit and 64-bit code, a device's registers too. It faults in 16-bit code."""
    return execute("a load", _LOAD, {"rsi": address}, ("rax",), vcpu)["rax"]
