"""Instructions of the kernel's own that are stepped to see what they do: cpuid, rdmsr, wrmsr."""

from __future__ import annotations

from typing import Optional

import gdb

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.model.msr import MsrAccess
from bootsonde.session import machine

CPUID_BYTES = b"\x0f\xa2"
MSR_BYTES = {b"\x0f\x32": "read", b"\x0f\x30": "write"}


def _next_bytes() -> Optional[bytes]:
    """The two bytes at which the selected vCPU stands; None: there is no memory."""
    try:
        return machine.read(machine.register("rip"), 2)
    except gdb.MemoryError:
        return None


def at_cpuid() -> bool:
    """Whether the selected vCPU stands at a cpuid instruction."""
    return _next_bytes() == CPUID_BYTES


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


def msr_access() -> Optional[str]:
    """"read" or "write" if the selected vCPU stands at rdmsr or wrmsr."""
    return MSR_BYTES.get(_next_bytes() or b"")


def _value() -> int:
    return (machine.register("rdx") & 0xffffffff) << 32 | machine.register("rax") & 0xffffffff


def step_msr(access: str) -> MsrAccess:
    """Step the rdmsr or wrmsr that the selected vCPU stands at; where it faults, the vCPU is then in the handler.

    Raises gdb.GdbError if the vCPU does not get past it.
    """
    pc, index, written = machine.register("rip"), machine.register("rcx") & 0xffffffff, _value()
    if not machine.step_past(pc):
        raise gdb.GdbError(f"the vCPU does not get past the instruction at {pc:#x}")
    faulted = machine.register("rip") != pc + 2
    return MsrAccess(access, index, written if access == "write" else 0 if faulted else _value(), faulted)
