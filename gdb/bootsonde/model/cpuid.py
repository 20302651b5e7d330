"""CPUID answers, decoded.

Sources: Intel SDM volume 2A, CPUID; Linux Documentation/virt/kvm/x86/cpuid.rst for 0x4000xxxx.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import List, Optional

from bootsonde.model.features import FEATURES, names_of

#: Features that matter to clocks, as model/features.py names them.
CLOCK_FEATURES = frozenset("tsc apic x2apic tsc_deadline hypervisor arat tsc_adjust kvmclock kvmclock2 kvmclock_stable "
                           "rdtscp invariant_tsc".split())

#: Signatures as they stand in EBX ECX EDX of leaf 0x40000000.
HYPERVISORS = {
    "KVMKVMKVM": "KVM", "TCGTCGTCGTCG": "QEMU TCG", "Microsoft Hv": "Hyper-V", "VMwareVMware": "VMware",
    "XenVMMXenVMM": "Xen", "bhyve bhyve ": "bhyve", "___ NVMM ___": "NetBSD NVMM", "ACRNACRNACRN": "ACRN",
}


def range_of(leaf: int) -> int:
    """The leaf whose EAX is the highest of the leaf's range: 0, 0x40000000, 0x80000000 and so on."""
    return leaf & 0xffff0000


def highest_of(first: CpuidAnswer) -> int:
    """The highest leaf of a range, by the answer of its first one. KVM has said 0 for 0x40000001."""
    return 0x40000001 if first.leaf == 0x40000000 and first.eax == 0 else first.eax


@dataclass(frozen=True)
class CpuidAnswer:
    """What cpuid returned for a leaf and sub-leaf; the four registers are 32-bit."""

    leaf: int
    subleaf: int
    eax: int
    ebx: int
    ecx: int
    edx: int

    @property
    def vendor(self) -> str:
        """The twelve bytes that leaf 0 keeps in EBX EDX ECX, and the 0x4000xxxx leaves in EBX ECX EDX.

        Bytes outside printable ASCII end up as dots, trailing zeros are dropped.
        """
        order = (self.ebx, self.ecx, self.edx) if self.leaf >> 16 == 0x4000 else (self.ebx, self.edx, self.ecx)
        raw = struct.pack("<3I", *order).rstrip(b"\0")
        return "".join(chr(byte) if 0x20 <= byte < 0x7f else "." for byte in raw)

    def describe(self, highest: Optional[int] = None) -> List[str]:
        """What the answer means, one statement a line; empty where this project knows nothing of the leaf.

        highest: of the leaf's range, if it is known. Some processors say nothing of a whole range, such as 0x40000000
        without a hypervisor; a second hypervisor interface, such as KVM's behind Hyper-V's, begins at 0x40000100.
        """
        second = range_of(self.leaf) == 0x40000000 and self.leaf >= 0x40000100
        if highest is not None and self.leaf > highest >= range_of(self.leaf) and not second:
            return [f"there is no such leaf, the highest is {highest:#x}: these are another one's values"]
        if self.leaf in (0x0, 0x80000000):
            return [f"EAX: highest leaf {self.eax:#x}", f'vendor "{self.vendor}"']
        if self.leaf == 0x40000000:
            known = HYPERVISORS.get(self.vendor.rstrip("."), "unknown to bootsonde")
            limit = "0, which means 0x40000001" if self.eax == 0 else f"{self.eax:#x}"
            return [f"EAX: highest hypervisor leaf {limit}", f'vendor "{self.vendor}": {known}']
        if self.leaf == 0x40000010:
            return [f"EAX: TSC {self.eax} kHz", f"EBX: bus {self.ebx} kHz"]
        if self.leaf == 0x15:
            if self.eax and self.ebx and self.ecx:
                return [f"TSC {self.ecx * self.ebx // self.eax} Hz ({self.ecx} x {self.ebx} / {self.eax})"]
            return ["TSC frequency not given: a field is 0"]
        if self.leaf == 0x16:
            return [f"EAX: base {self.eax} MHz (informational)"]
        named = [(register, names_of(self.leaf, self.subleaf, register, getattr(self, register)))
                 for register in ("eax", "ebx", "ecx", "edx") if (self.leaf, self.subleaf, register) in FEATURES]
        if not named:
            return []
        clocks = [name for _, names in named for name in names if name in CLOCK_FEATURES]
        return ["clock features: " + (", ".join(clocks) or "none")] + [
            f"{register.upper()}: {' '.join(names)}" for register, names in named if set(names) - CLOCK_FEATURES]

    def __str__(self) -> str:
        return (f"cpuid {self.leaf:#x}.{self.subleaf:#x}: eax {self.eax:#010x} ebx {self.ebx:#010x} "
                f"ecx {self.ecx:#010x} edx {self.edx:#010x}")
