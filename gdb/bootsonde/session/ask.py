"""Questions that a stopped vCPU answers by executing an instruction."""

from __future__ import annotations

import gdb

from bootsonde.model.cpuid import CpuidAnswer
from bootsonde.session import machine

CPUID_BYTES = b"\x0f\xa2"


def at_cpuid() -> bool:
    """Whether the selected vCPU stands at a cpuid instruction."""
    try:
        return machine.read(machine.register("rip"), len(CPUID_BYTES)) == CPUID_BYTES
    except gdb.MemoryError:
        return False


def step_cpuid() -> CpuidAnswer:
    """Step the cpuid that the selected vCPU stands at. The answer stays in the guest's registers.

    Raises gdb.GdbError if the vCPU does not get past it.
    """
    pc = machine.register("rip")
    leaf, subleaf = machine.register("rax") & 0xffffffff, machine.register("rcx") & 0xffffffff
    for _ in range(4):  # An interrupt that was asked for meanwhile ends a step before it has begun.
        machine.step_instruction()
        if machine.register("rip") != pc:
            break
    else:
        raise gdb.GdbError(f"the vCPU does not get past the cpuid at {pc:#x}")
    eax, ebx, ecx, edx = (machine.register(name) & 0xffffffff for name in ("rax", "rbx", "rcx", "rdx"))
    return CpuidAnswer(leaf, subleaf, eax, ebx, ecx, edx)
