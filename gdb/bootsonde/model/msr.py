"""Model-specific registers: their names, and what their values mean.

Sources: Intel SDM volume 4; AMD64 Architecture Programmer's Manual volume 2, appendix A; Linux
Documentation/virt/kvm/x86/msr.rst for 0x4b564dxx, 0x11 and 0x12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

TSC, APIC_BASE, TSC_DEADLINE, EFER, TSC_AUX = 0x10, 0x1b, 0x6e0, 0xc0000080, 0xc0000103
KVM_WALL_CLOCK, KVM_SYSTEM_TIME = 0x4b564d00, 0x4b564d01
KVM_WALL_CLOCK_OLD, KVM_SYSTEM_TIME_OLD = 0x11, 0x12
CLOCK_MSRS = (KVM_WALL_CLOCK, KVM_SYSTEM_TIME, KVM_WALL_CLOCK_OLD, KVM_SYSTEM_TIME_OLD)
#: x2APIC's registers are MSRs from here on, one for each 16 bytes of the xAPIC's page.
X2APIC = 0x800

#: As the manuals have them.
NAMES: Dict[int, str] = {
    TSC: "IA32_TIME_STAMP_COUNTER",
    KVM_WALL_CLOCK_OLD: "MSR_KVM_WALL_CLOCK", KVM_SYSTEM_TIME_OLD: "MSR_KVM_SYSTEM_TIME",
    APIC_BASE: "IA32_APIC_BASE", 0x3a: "IA32_FEATURE_CONTROL", 0x3b: "IA32_TSC_ADJUST", 0x8b: "IA32_BIOS_SIGN_ID",
    0xce: "MSR_PLATFORM_INFO", 0xcd: "MSR_FSB_FREQ", 0xe7: "IA32_MPERF", 0xe8: "IA32_APERF", 0xfe: "IA32_MTRRCAP",
    0x174: "IA32_SYSENTER_CS", 0x175: "IA32_SYSENTER_ESP", 0x176: "IA32_SYSENTER_EIP", 0x198: "IA32_PERF_STATUS",
    0x1a0: "IA32_MISC_ENABLE", 0x277: "IA32_PAT", 0x2ff: "IA32_MTRR_DEF_TYPE", TSC_DEADLINE: "IA32_TSC_DEADLINE",
    EFER: "IA32_EFER", 0xc0000081: "IA32_STAR", 0xc0000082: "IA32_LSTAR", 0xc0000083: "IA32_CSTAR",
    0xc0000084: "IA32_FMASK", 0xc0000100: "IA32_FS_BASE", 0xc0000101: "IA32_GS_BASE",
    0xc0000102: "IA32_KERNEL_GS_BASE", TSC_AUX: "IA32_TSC_AUX", 0xc0010015: "HWCR", 0xc0010064: "PStateDef0",
    KVM_WALL_CLOCK: "MSR_KVM_WALL_CLOCK_NEW", KVM_SYSTEM_TIME: "MSR_KVM_SYSTEM_TIME_NEW",
    0x4b564d02: "MSR_KVM_ASYNC_PF_EN", 0x4b564d03: "MSR_KVM_STEAL_TIME", 0x4b564d04: "MSR_KVM_EOI_EN",
    0x4b564d05: "MSR_KVM_POLL_CONTROL",
}

_X2APIC_NAMES: Dict[int, str] = {
    0x802: "IA32_X2APIC_APICID", 0x803: "IA32_X2APIC_VERSION", 0x808: "IA32_X2APIC_TPR", 0x80b: "IA32_X2APIC_EOI",
    0x80d: "IA32_X2APIC_LDR", 0x80f: "IA32_X2APIC_SIVR", 0x828: "IA32_X2APIC_ESR", 0x830: "IA32_X2APIC_ICR",
    0x832: "IA32_X2APIC_LVT_TIMER", 0x835: "IA32_X2APIC_LVT_LINT0", 0x836: "IA32_X2APIC_LVT_LINT1",
    0x837: "IA32_X2APIC_LVT_ERROR", 0x838: "IA32_X2APIC_INIT_COUNT", 0x839: "IA32_X2APIC_CUR_COUNT",
    0x83e: "IA32_X2APIC_DIV_CONF",
}
NAMES.update(_X2APIC_NAMES)

_EFER_BITS = ((0, "SCE"), (8, "LME"), (10, "LMA"), (11, "NXE"), (12, "SVME"))


def name_of(index: int) -> str:
    """The register's name, or an empty string."""
    return NAMES.get(index, "")


def describe(index: int, value: int) -> List[str]:
    """What a value of the register means, one statement a line; empty where this project knows nothing of it."""
    if index == APIC_BASE:
        enabled, x2apic = value >> 11 & 1, value >> 10 & 1
        mode = ("x2APIC" if x2apic else "xAPIC") if enabled else "invalid: x2APIC without enable" if x2apic else "off"
        return [f"local APIC at {value & ~0xfff & (1 << 52) - 1:#x}, {mode}",
                "bootstrap processor" if value >> 8 & 1 else "application processor"]
    if index in (KVM_SYSTEM_TIME, KVM_SYSTEM_TIME_OLD):
        if not value & 1:
            return ["no system time is registered (bit 0 is clear)"]
        return [f"pvclock_vcpu_time_info at physical {value & ~1:#x}"]
    if index in (KVM_WALL_CLOCK, KVM_WALL_CLOCK_OLD):
        return [f"pvclock_wall_clock at physical {value:#x}"] if value else ["no wall clock was asked for"]
    if index == EFER:
        return ["bits: " + (" ".join(name for bit, name in _EFER_BITS if value >> bit & 1) or "none")]
    if index == TSC_DEADLINE:
        return [f"timer fires at TSC {value:#x}"] if value else ["timer is not armed"]
    return []


@dataclass(frozen=True)
class MsrAccess:
    """What a rdmsr or wrmsr did. access: "read" or "write". value: what was read, or was to be written."""

    access: str
    index: int
    value: int
    faulted: bool = False

    def describe(self) -> List[str]:
        """What the value means, one statement a line; nothing if it was not read."""
        return [] if self.faulted and self.access == "read" else describe(self.index, self.value)

    def __str__(self) -> str:
        name = f"{'rdmsr' if self.access == 'read' else 'wrmsr'} {self.index:#x} {name_of(self.index) or '?'}"
        if not self.faulted:
            return f"{name}: {self.value:#x}"
        return f"{name}: it faulted" + (f", writing {self.value:#x}" if self.access == "write" else "")
