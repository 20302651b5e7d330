"""The kernel's own cpuid, rdmsr and wrmsr instructions: which one a vCPU stands at, and what it does when stepped."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator, Optional, Tuple

import gdb

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.errors import UserError
from bootsonde.model.msr import MsrAccess
from bootsonde.session import machine, ondemand
from bootsonde.session.points import muted

CPUID_BYTES = b"\x0f\xa2"
_RDTSC = b"\x0f\x31"
_LOAD_AT_RAX, _NON_CANONICAL = b"\x8b\x00", 1 << 63
MSR_BYTES = {b"\x0f\x32": "read", b"\x0f\x30": "write"}


def _next_bytes() -> Optional[bytes]:
    """The two bytes at which the selected vCPU stands; None: there is no memory."""
    try:
        return machine.read(machine.register("rip"), 2)
    except gdb.MemoryError:
        return None


def instruction() -> Optional[str]:
    """"cpuid", "read" or "write" if the selected vCPU stands at cpuid, rdmsr or wrmsr."""
    code = _next_bytes() or b""
    return "cpuid" if code == CPUID_BYTES else MSR_BYTES.get(code)


def step_cpuid() -> CpuidAnswer:
    """Step the cpuid that the selected vCPU stands at. The answer stays in the guest's registers.

    Raises gdb.GdbError if the vCPU does not get past it.
    """
    pc = machine.register("rip")
    leaf, subleaf = machine.register("rax") & 0xffffffff, machine.register("rcx") & 0xffffffff
    if not machine.step_past(pc):
        raise gdb.GdbError(f"the vCPU does not get past the cpuid at {pc:#x}")
    eax, ebx, ecx, edx = (machine.register(name) & 0xffffffff for name in ("rax", "rbx", "rcx", "rdx"))
    return CpuidAnswer(leaf, subleaf, eax, ebx, ecx, edx)


def value() -> int:
    """EDX:EAX, what wrmsr writes and rdmsr has read."""
    return (machine.register("rdx") & 0xffffffff) << 32 | machine.register("rax") & 0xffffffff


def step_msr(access: str) -> MsrAccess:
    """Step the rdmsr or wrmsr that the selected vCPU stands at; where it faults, the vCPU is then in the handler.

    Raises gdb.GdbError if the vCPU does not get past it.
    """
    pc, index, written = machine.register("rip"), machine.register("rcx") & 0xffffffff, value()
    if not machine.step_past(pc):
        raise gdb.GdbError(f"the vCPU does not get past the instruction at {pc:#x}")
    faulted = machine.register("rip") != pc + 2
    return MsrAccess(access, index, written if access == "write" else 0 if faulted else value(), faulted)


@contextlib.contextmanager
def _replaced(code: bytes, registers: Dict[str, int], stays: bool) -> Iterator[None]:
    """Other bytes at the vCPU's place, and other values in registers, for a while. stays: the vCPU is then there."""
    pc = machine.register("rip")
    before = {name: machine.register(name) for name in ("rax", "rbx", "rcx", "rdx")}
    bytes_before = machine.read(pc, len(code))
    try:
        if code != bytes_before:
            machine.write(pc, code)
        if registers:
            machine.assign(**registers)
        yield
    finally:
        if code != bytes_before:
            machine.write(pc, bytes_before)
        machine.assign(**before, **({"rip": pc} if stays else {}))


def _execute_here(code: bytes, registers: Dict[str, int]) -> Tuple[int, int, int, int]:
    """(EAX, EBX, ECX, EDX) after an instruction of two bytes that takes the place of the one that the vCPU stands at.

    All is then as before. The vCPU's breakpoint there may count once more when it goes on, so it has to be moved.
    """
    pc = machine.register("rip")
    with ondemand.uninterrupted(), muted(), _replaced(code, registers, stays=True):
        machine.step_past(pc)
        eax, ebx, ecx, edx = (machine.register(name) & 0xffffffff for name in ("rax", "rbx", "rcx", "rdx"))
    return eax, ebx, ecx, edx


def cpuid_here(leaf: int) -> CpuidAnswer:
    """What the processor answers, as _execute_here; a fifth of what `ondemand.cpuid` takes."""
    return CpuidAnswer(leaf, 0, *_execute_here(CPUID_BYTES, {"rax": leaf, "rcx": 0}))


def rdtsc_here() -> int:
    """The time stamp counter, as _execute_here."""
    eax, _, _, edx = _execute_here(_RDTSC, {})
    return edx << 32 | eax


def fault() -> None:
    """Have the instruction that the selected vCPU stands at fault with #GP(0); the vCPU is then in the handler, which
    finds all registers as they were.

    The two bytes are made a load from a non-canonical address for the time of the fault. Raises UserError, with nothing
    changed, outside of 64-bit code.
    """
    if not machine.is_64_bit():
        raise UserError("a fault can be given in 64-bit code alone, and this vCPU is not in it yet")
    pc = machine.register("rip")
    with ondemand.uninterrupted(), muted(), _replaced(_LOAD_AT_RAX, {"rax": _NON_CANONICAL}, stays=False):
        machine.step_past(pc)
    if machine.register("rip") == pc:
        raise gdb.GdbError(f"the vCPU does not get past the instruction at {pc:#x}")
