/*
 * kvm.h: what KVM tells by CPUID, and the driver's entry that tsc.c uses before drivers exist.
 * The leaf is asked only under KVM's signature, as in FreeBSD's sys/x86/include/kvm.h.
 */
#ifndef GUEST_KVM_H
#define GUEST_KVM_H

#include "cpufunc.h"
#include "machine.h"
#include "specialreg.h"

static inline bool
kvm_cpuid_features_leaf_supported(void)
{
	return (vm_guest == VM_GUEST_KVM && hv_base < KVM_CPUID_FEATURES && hv_high >= KVM_CPUID_FEATURES);
}

/* regs are EAX to EDX of leaf 0x40000001, all zero where there is no such leaf. */
static inline void
kvm_cpuid_get_features(u_int *regs)
{
	if (kvm_cpuid_features_leaf_supported())
		do_cpuid(KVM_CPUID_FEATURES, regs);
	else
		regs[0] = regs[1] = regs[2] = regs[3] = 0;
}

bool	kvm_clock_tsc_freq(uint64_t *freq);

#endif
