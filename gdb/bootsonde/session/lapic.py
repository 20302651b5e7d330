"""Reading a stopped vCPU's local APIC without a change to it.

Its page reads 0 through the stub, since QEMU answers for the vCPU that asks and the stub is none. QEMU's monitor tells
nearly all, of any vCPU in any mode, halted ones included. Where there is no such monitor, the vCPU reads its registers
itself: as MSRs in x2APIC mode, else in the page, where its address can be used as it is.

Under -icount QEMU 10.0.2 ends with "Bad icount read" when a kernel reads the timer's current count as an MSR. Neither
way does that: the monitor runs beside the vCPUs, and a stepped instruction is the last of its block, where it may.
"""

from __future__ import annotations

import re
from typing import List, Optional, Tuple, Union

from bootsonde.model import lapic, msr
from bootsonde.model.lapic import LocalApic
from bootsonde.session import machine, ondemand

_ADDRESS = ~0xfff & (1 << 52) - 1


def _qom_number(path: str, name: str) -> Optional[int]:
    """A number that one of QEMU's objects has."""
    answer = (machine.monitor(f"qom-get {path} {name}") or "").strip()
    return int(answer) if answer.isdigit() else None


def _qom_path(vcpu: int) -> Optional[str]:
    """Where QEMU keeps a vCPU; they are made in the order of their numbers, among other devices."""
    folder = "/machine/unattached"
    listed = machine.monitor(f"qom-list {folder}") or ""
    devices = sorted(map(int, re.findall(r"^device\[(\d+)\] \(child<\S+-cpu>\)", listed, re.M)))
    return f"{folder}/device[{devices[vcpu]}]" if vcpu < len(devices) else None


def _by_monitor(vcpu: int, base: Optional[int]) -> Optional[LocalApic]:
    """What QEMU's monitor tells; None where there is none, or none that is understood."""
    path = _qom_path(vcpu)
    wanted = None if path is None else _qom_number(path, "apic-id")  # the one at reset, by which `info lapic` finds it
    told = lapic.parse_monitor(machine.monitor(f"info lapic {vcpu if wanted is None else wanted}") or "")
    if told is None or told[0] != vcpu:
        return None
    registers = told[1]
    version = None if path is None else _qom_number(f"{path}/lapic", "version")
    if version is not None:
        registers[lapic.VERSION] = lapic.version_register(version, registers)
    found = LocalApic(registers, base, None if path is None else _qom_number(f"{path}/lapic", "id"))
    if found.is_x2apic:
        registers.pop(lapic.LDR, None)  # It is xAPIC's that is told.
    return found


def _by_vcpu(vcpu: int, base: int) -> Optional[LocalApic]:
    """What the vCPU reads of its own; None where the page's address leads elsewhere. Raises gdb.GdbError."""
    x2apic = LocalApic({}, base, None).is_x2apic

    def read_itself(offset: int) -> int:
        if x2apic:
            return ondemand.rdmsr(msr.X2APIC + offset // 16, vcpu) & 0xffffffff
        return ondemand.load(base & _ADDRESS | offset, vcpu)

    try:
        version = read_itself(lapic.VERSION)
    except ondemand.Fault:
        return None
    if not lapic.is_version(version):
        return None
    registers = {offset: read_itself(offset) for offset in lapic.offsets(version, x2apic)}
    registers[lapic.VERSION] = version
    number = read_itself(lapic.ID)
    return LocalApic(registers, base, number if x2apic else number >> 24)


def _base(vcpu: int) -> Union[int, ondemand.Unanswered]:
    """IA32_APIC_BASE, or why it cannot be had."""
    try:
        return ondemand.rdmsr(msr.APIC_BASE, vcpu)
    except ondemand.Unanswered as error:
        return error


def read(vcpu: int) -> Tuple[str, LocalApic, List[str]]:
    """(how it was read, what, what is to be said besides). Raises gdb.GdbError where nothing can be had."""
    base = _base(vcpu)
    if isinstance(base, ondemand.Unanswered):
        told = _by_monitor(vcpu, None)
        if told is None:
            raise base
        return "by QEMU's monitor", told, ["mode and address unknown: " + str(base).replace("bootsonde: ", "", 1)]
    nothing = LocalApic({}, base, None)
    if nothing.is_off:
        return "by IA32_APIC_BASE", nothing, []
    told = _by_monitor(vcpu, base)
    if told is not None:
        return "by QEMU's monitor", told, []
    itself = _by_vcpu(vcpu, base)
    if itself is not None:
        return f"by the vCPU's own {'rdmsr' if itself.is_x2apic else 'loads'}", itself, []
    return "by IA32_APIC_BASE", nothing, [
        f"no registers: no monitor of QEMU tells them, and {base & _ADDRESS:#x} does not lead the vCPU to them here; "
        "ask in 32-bit code before paging, or in x2APIC mode"]
