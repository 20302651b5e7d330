"""Run by test_guest_injected.py inside GDB: answers the guest's CPUID and MSR instructions as KVM would.

Settings come as GDB convenience variables: $features (leaf 0x40000001 EAX), $mul and
$version (of every pvclock structure).
"""

from __future__ import annotations

import re
import struct

import gdb

KERNBASE = 0xFFFFFFFF80000000
FUNCTIONS = ("identify_hypervisor", "tsc_freq_cpuid_vm", "lapic_calibrate_initcount_cpuid_vm", "kvm_clock_tsc_freq",
             "kvm_clock_identify", "kvm_clock_attach", "kvm_clock_system_time_enable", "kvm_clock_get_wallclock")
SYSTEM_TIME = (0x12, 0x4B564D01)
FEATURES = int(gdb.parse_and_eval("$features"))
LEAVES = {
    0x40000000: (0x40000010, *struct.unpack("<III", b"KVMKVMKVM\0\0\0")),
    0x40000001: (FEATURES, 0, 0, 0),
    0x40000010: (1000000, 1000000, 0, 0),  # kHz: under icount, the TSC's and the APIC timer's
}


def answer_cpuid() -> None:
    leaf = int(gdb.parse_and_eval("(unsigned int)$eax"))
    for register, value in zip(("rax", "rbx", "rcx", "rdx"), LEAVES[leaf]):
        gdb.execute(f"set ${register} = {value}")


def answer_wrmsr() -> None:
    """Fills the structure at once; tsc_timestamp 0 and shift 1 with mul 2^31 are a TSC of 1 GHz."""
    msr = int(gdb.parse_and_eval("(unsigned int)$ecx"))
    address = KERNBASE + (int(gdb.parse_and_eval("(unsigned int)$eax")) & ~1)
    print(f"wrmsr {msr:#x} by {gdb.selected_thread().num}")
    if msr in SYSTEM_TIME:
        data = struct.pack("<IIQQIbBH", int(gdb.parse_and_eval("$version")), 0, 0, 0,
                           int(gdb.parse_and_eval("$mul")), 1, FEATURES >> 24 & 1, 0)
    else:
        data = struct.pack("<III", 2, 1700000000, 0)
    gdb.selected_inferior().write_memory(address, data)


gdb.execute("tbreak hammer_time")  # before paging the link addresses cannot be read
gdb.execute("continue")
sites = {}
for function in FUNCTIONS:
    listing = gdb.execute(f"disassemble {function}", to_string=True)
    for place, mnemonic in re.findall(r"(0x[0-9a-f]+) <[^>]*>:\s+(cpuid|wrmsr)", listing):
        sites[int(place, 16)] = answer_cpuid if mnemonic == "cpuid" else answer_wrmsr
for site in sites:
    gdb.execute(f"break *{site:#x}")
while True:  # ends when the guest does: the connection closes and GDB's error ends this script
    gdb.execute("continue")
    pc = int(gdb.parse_and_eval("(unsigned long)$pc"))
    sites[pc]()
    gdb.execute(f"set $pc = {pc + 2}")
