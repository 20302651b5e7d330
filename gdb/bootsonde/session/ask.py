"""The kernel's own cpuid, rdmsr and wrmsr instructions: which one a vCPU stands at, and what it does when stepped."""

from __future__ import annotations

from typing import Optional

import gdb

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.errors import UserError
from bootsonde.model.msr import MsrAccess
from bootsonde.session import machine

CPUID_BYTES = b"\x0f\xa2"
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


def fault() -> None:
    """Have the instruction that the selected vCPU stands at fault with #GP(0); the vCPU is then in the handler, which
    finds all registers as they were.

    The two bytes are made a load from a non-canonical address for the time of the fault. Raises UserError, with nothing
    changed, outside of 64-bit code.
    """
    if not machine.is_64_bit():
        raise UserError("a fault can be given in 64-bit code alone, and this vCPU is not in it yet")
    pc, rax = machine.register("rip"), machine.register("rax")
    code = machine.read(pc, len(_LOAD_AT_RAX))
    try:
        machine.write(pc, _LOAD_AT_RAX)
        machine.set_register("rax", _NON_CANONICAL)
        machine.step_past(pc)
    finally:
        machine.write(pc, code)
        machine.set_register("rax", rax)
    if machine.register("rip") == pc:
        raise gdb.GdbError(f"the vCPU does not get past the instruction at {pc:#x}")
