"""Names of CPUID's feature bits.

Sources: Intel SDM volume 2A, CPUID, tables of leaves 1, 6, 7 and 0x8000000x; AMD64 Architecture Programmer's Manual
volume 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst for leaf 0x40000001.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Tuple


def _bits(names: str) -> Dict[int, str]:
    """Names from bit 0 on; a dash stands for a bit without one."""
    return {bit: name for bit, name in enumerate(names.split()) if name != "-"}


#: (leaf, sub-leaf, register) -> bit -> name.
FEATURES: Mapping[Tuple[int, int, str], Mapping[int, str]] = {
    (0x1, 0, "edx"): _bits("fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 psn clflush - ds "
                           "acpi mmx fxsr sse sse2 ss htt tm ia64 pbe"),
    (0x1, 0, "ecx"): _bits("sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cnxt_id sdbg fma cx16 xtpr pdcm "
                           "- pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline aes xsave osxsave avx f16c "
                           "rdrand hypervisor"),
    (0x6, 0, "eax"): _bits("dts turbo arat - pln ecmd ptm hwp"),
    (0x7, 0, "ebx"): _bits("fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm mpx_deprecate mpx "
                           "rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf "
                           "avx512er avx512cd sha_ni avx512bw avx512vl"),
    (0x7, 0, "ecx"): {0: "prefetchwt1", 1: "avx512vbmi", 2: "umip", 3: "pku", 4: "ospke", 5: "waitpkg", 8: "gfni",
                      9: "vaes", 10: "vpclmulqdq", 16: "la57", 22: "rdpid", 25: "cldemote", 27: "movdiri",
                      28: "movdir64b", 31: "pks"},
    (0x7, 0, "edx"): {4: "fsrm", 10: "md_clear", 14: "serialize", 20: "ibt", 26: "spec_ctrl", 27: "stibp",
                      28: "flush_l1d", 29: "arch_capabilities", 31: "ssbd"},
    (0x40000001, 0, "eax"): {0: "kvmclock", 1: "kvm_nop_io_delay", 3: "kvmclock2", 4: "kvm_async_pf",
                             5: "kvm_steal_time", 6: "kvm_pv_eoi", 7: "kvm_pv_unhalt", 9: "kvm_pv_tlb_flush",
                             11: "kvm_pv_send_ipi", 12: "kvm_poll_control", 24: "kvmclock_stable"},
    (0x80000001, 0, "edx"): {11: "syscall", 19: "mp", 20: "nx", 22: "mmxext", 25: "fxsr_opt", 26: "pdpe1gb",
                             27: "rdtscp", 29: "lm", 30: "3dnowext", 31: "3dnow"},
    (0x80000001, 0, "ecx"): _bits("lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw "
                                  "ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext"),
    (0x80000007, 0, "edx"): {8: "invariant_tsc"},
}


def names_of(leaf: int, subleaf: int, register: str, value: int) -> List[str]:
    """The names of the bits that are set, in their order; bits without a name are left out."""
    return [name for bit, name in sorted(FEATURES.get((leaf, subleaf, register), {}).items()) if value >> bit & 1]


def bit_named(leaf: int, subleaf: Optional[int], register: str, name: str) -> Optional[int]:
    """The bit's value, such as 1 << 21 for x2apic in ECX of leaf 1; None: this register has none of that name."""
    for bit, known in FEATURES.get((leaf, subleaf or 0, register), {}).items():
        if known == name.lower():
            return 1 << bit
    return None
