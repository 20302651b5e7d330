"""The local APIC's registers, decoded, and read out of what QEMU's monitor prints of them.

Source: Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller (APIC)": the register address map, the
local vector table, the divide configuration register, the error status register, and x2APIC's logical ID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from bootsonde.model import msr

#: Offsets in the xAPIC's page; x2APIC has each at MSR 0x800 + offset / 16.
ID, VERSION, TPR, LDR, DFR, SVR, ISR, TMR, IRR, ESR = 0x20, 0x30, 0x80, 0xd0, 0xe0, 0xf0, 0x100, 0x180, 0x200, 0x280
LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR = (
    0x2f0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370)
INITIAL_COUNT, CURRENT_COUNT, DIVIDE = 0x380, 0x390, 0x3e0

#: The local vector table but for the timer: (offset, name, the least "max LVT entry" of an APIC that has it). To read
#: one that is not there is an error in ESR, or a fault.
_LVT = ((LVT_LINT0, "LINT0", 0), (LVT_LINT1, "LINT1", 0), (LVT_ERROR, "error", 0), (LVT_PERF, "perf", 4),
        (LVT_THERMAL, "thermal", 5), (LVT_CMCI, "CMCI", 6))
_TIMER_MODES = ("one-shot", "periodic", "TSC-deadline", "of reserved mode 3")
_DELIVERY = ("fixed", "reserved mode 1", "SMI", "reserved mode 3", "NMI", "INIT", "reserved mode 6", "ExtINT")
_ERRORS = ("send checksum", "receive checksum", "send accept", "receive accept", "redirectable IPI",
           "illegal vector sent", "illegal vector received", "illegal register address")
_BITMAPS = (ISR, TMR, IRR)


def max_lvt(version: int) -> int:
    """The number of the last entry of the local vector table, from the version register."""
    return version >> 16 & 0xff


def is_version(register: int) -> bool:
    """Whether this can be the version register of an integrated APIC, as all x86-64 processors have."""
    return register & 0xf0 == 0x10 and 3 <= max_lvt(register) <= 0x1f and not register & 0xfe00ff00


def divisor(register: int) -> int:
    """By what the timer's input clock is divided, from the divide configuration register: 1 to 128."""
    return 1 << ((register >> 1 & 4 | register & 3) + 1) % 8


def offsets(version: int, x2apic: bool) -> List[int]:
    """What can be read of an APIC of this version without an error, and without a change; not ID and VERSION."""
    return [TPR, LDR, *([] if x2apic else [DFR]), SVR,
            *(first + 0x10 * index for first in _BITMAPS for index in range(8)), ESR, LVT_TIMER,
            *(offset for offset, _, least in _LVT if max_lvt(version) >= least), INITIAL_COUNT, CURRENT_COUNT, DIVIDE]


def bitmap(first: int, vectors: List[int]) -> Dict[int, int]:
    """The eight registers from offset `first` on with these vectors' bits set."""
    words = {first + 0x10 * index: 0 for index in range(8)}
    for vector in vectors:
        words[first + 0x10 * (vector // 32)] |= 1 << vector % 32
    return words


@dataclass(frozen=True)
class LocalApic:
    """One vCPU's local APIC. What could not be read is missing from `registers`, or None."""

    registers: Mapping[int, int]    # by offset in the xAPIC's page, 32 bits each
    base: Optional[int]             # IA32_APIC_BASE
    apic_id: Optional[int]          # as a number, also where the xAPIC's register has it in bits 31 to 24

    @property
    def is_x2apic(self) -> bool:
        """Whether the registers are MSRs."""
        return self.base is not None and self.base >> 10 & 3 == 3

    @property
    def is_off(self) -> bool:
        """Whether IA32_APIC_BASE has switched it off: there is none, then."""
        return self.base is not None and not self.base >> 11 & 1

    def vectors(self, first: int) -> List[int]:
        """The vectors whose bits are set in the eight registers from offset `first` on."""
        words = [self.registers.get(first + 0x10 * index, 0) for index in range(8)]
        return [vector for vector in range(256) if words[vector // 32] >> vector % 32 & 1]

    def describe(self) -> List[str]:
        """What it means, one statement a line. Of one that is off, or unread, only its mode."""
        said = [] if self.base is None else msr.describe(msr.APIC_BASE, self.base)
        if self.is_off or not self.registers:
            return said
        return said + [self._identity(), self._enabled(), *self._timer(), *self._vector_table(), self._priority(),
                       *self._destination(), self._errors(), *self._interrupts()]

    def _identity(self) -> str:
        number = "unknown" if self.apic_id is None else f"{self.apic_id:#x}"
        version = self.registers.get(VERSION)
        if version is None:
            return f"id {number}, version unknown"
        return f"id {number}, version {version & 0xff:#x}, max LVT entry {max_lvt(version)} ({version:#010x})"

    def _enabled(self) -> str:
        svr = self.registers.get(SVR)
        if svr is None:
            return "SVR unknown"
        state = "enabled" if svr >> 8 & 1 else "disabled, so that all LVT entries are masked"
        return f"SVR {svr:#x}: {state}; spurious vector {svr & 0xff:#x}"

    def _timer(self) -> List[str]:
        lvt = self.registers.get(LVT_TIMER)
        mode = None if lvt is None else lvt >> 17 & 3
        said = ["timer: unknown" if lvt is None or mode is None else
                f"timer: {_TIMER_MODES[mode]}, vector {lvt & 0xff:#x}{_state(lvt)}"]
        if mode == 2:
            return said + [f"timer: fires at the TSC that MSR {msr.TSC_DEADLINE:#x} says; the counts are not used"]
        initial, current = (self.registers.get(offset) for offset in (INITIAL_COUNT, CURRENT_COUNT))
        divide = self.registers.get(DIVIDE)
        return said + [f"timer: initial count {_count(initial)}, current count {_count(current)}, divided by "
                       + ("unknown" if divide is None else str(divisor(divide)))
                       + ("; it stands still" if initial == 0 else "")]

    def _vector_table(self) -> List[str]:
        said = []
        for offset, name, _ in _LVT:
            lvt = self.registers.get(offset)
            if lvt is None:
                continue
            mode = 0 if offset == LVT_ERROR else lvt >> 8 & 7
            words = [] if offset == LVT_ERROR else [_DELIVERY[mode]]
            words += [] if mode else [f"vector {lvt & 0xff:#x}"]  # others than fixed have none
            pin = ""
            if offset in (LVT_LINT0, LVT_LINT1):
                pin = (", level" if lvt >> 15 & 1 else ", edge") + (", active low" if lvt >> 13 & 1 else "") \
                    + (", not acknowledged yet" if lvt >> 14 & 1 else "")
            said.append(f"LVT {name}: {', '.join(words)}{pin}{_state(lvt)}")
        return said

    def _priority(self) -> str:
        tpr = self.registers.get(TPR)
        if tpr is None:
            return "TPR unknown"
        held = f": vectors below {((tpr >> 4 & 15) + 1) * 16:#x} wait" if tpr >> 4 & 15 else ""
        return f"TPR {tpr:#x}{held}"

    def _destination(self) -> List[str]:
        """In x2APIC mode the processor derives the logical ID from the APIC ID, and there is no DFR."""
        if self.is_x2apic:
            ldr = self.registers.get(LDR)
            if ldr is None and self.apic_id is not None:
                ldr = (self.apic_id >> 4 & 0xffff) << 16 | 1 << (self.apic_id & 15)
            return [] if ldr is None else [f"logical ID: cluster {ldr >> 16:#x}, member bits {ldr & 0xffff:#x}"]
        ldr, dfr = (self.registers.get(offset) for offset in (LDR, DFR))
        if self.base is None or ldr is None or dfr is None:
            return []
        model = {0xf: "flat", 0: "cluster"}.get(dfr >> 28, f"reserved model {dfr >> 28:#x}")
        return [f"DFR {dfr:#010x}: {model}; LDR {ldr:#010x}: logical ID {ldr >> 24:#x}"]

    def _errors(self) -> str:
        esr = self.registers.get(ESR)
        if esr is None:
            return "ESR unknown"
        names = [name for bit, name in enumerate(_ERRORS) if esr >> bit & 1]
        return f"ESR {esr:#x}: " + (", ".join(names) or "no error")

    def _interrupts(self) -> List[str]:
        level = set(self.vectors(TMR))
        said = []
        for first, name in ((ISR, "in service (ISR)"), (IRR, "requested (IRR)")):
            if first in self.registers:
                vectors = [f"{vector:#x}{' level' if vector in level else ''}" for vector in self.vectors(first)]
                said.append(f"{name}: " + (", ".join(vectors) or "none"))
        return said


def _state(lvt: int) -> str:
    return (", masked" if lvt >> 16 & 1 else ", not masked") + (", pending" if lvt >> 12 & 1 else "")


def _count(value: Optional[int]) -> str:
    return "unknown" if value is None else str(value)


#: What QEMU calls the registers that it prints as one number: (name, offset, bits to shift left).
_PRINTED = (("LVT0", LVT_LINT0, 0), ("LVT1", LVT_LINT1, 0), ("LVTPC", LVT_PERF, 0), ("LVTERR", LVT_ERROR, 0),
            ("LVTTHMR", LVT_THERMAL, 0), ("LVTT", LVT_TIMER, 0), ("SPIV", SVR, 0), ("ESR", ESR, 0), ("TPR", TPR, 0),
            ("DFR", DFR, 28), ("LDR", LDR, 24))


def version_register(version: int, registers: Mapping[int, int]) -> int:
    """The version register, from its low eight bits and the entries of the local vector table that there are."""
    entries = sum(offset in registers for offset in (LVT_TIMER, *(offset for offset, _, _ in _LVT)))
    return max(entries - 1, 0) << 16 | version


def parse_monitor(text: str) -> Optional[Tuple[int, Dict[int, int]]]:
    """(vCPU, registers by offset) from `info lapic` of QEMU 7.2 to 10; None if it is something else.

    It has neither ID nor VERSION. Of TMR it shows the bits of vectors that are in service or requested, of DFR and LDR
    the four and eight bits that xAPIC has.
    """
    whose = re.search(r"dumping local APIC state for CPU (\d+)", text)
    timer = re.search(r"^Timer\s+DCR=0x([0-9a-f]+) .*initial_count = (\d+) current_count = (\d+)", text, re.M)
    if whose is None or timer is None:
        return None
    registers = {DIVIDE: int(timer[1], 16), INITIAL_COUNT: int(timer[2]), CURRENT_COUNT: int(timer[3])}
    for name, offset, shift in _PRINTED:
        found = re.search(rf"\b{name}\s+0x([0-9a-f]+)", text)
        if found is not None:
            registers[offset] = int(found[1], 16) << shift
    if DFR in registers:
        registers[DFR] |= 0xfffffff
    level: List[int] = []
    for name, first in (("ISR", ISR), ("IRR", IRR)):
        line = re.search(rf"^{name}\s+(.*)$", text, re.M)
        vectors = re.findall(r"\b(\d{1,3})(\(level\))?", line[1]) if line is not None else []
        registers.update(bitmap(first, [int(vector) for vector, _ in vectors if int(vector) < 256]))
        level += [int(vector) for vector, is_level in vectors if is_level and int(vector) < 256]
    registers.update(bitmap(TMR, level))
    return int(whose[1]), registers
