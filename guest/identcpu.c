/*
 * identcpu.c: what CPUID says about processor and hypervisor, kept in FreeBSD's global variables.
 */
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

u_int cpu_high;			/* highest basic leaf */
u_int cpu_id;			/* leaf 1 EAX */
u_int cpu_feature;		/* leaf 1 EDX */
u_int cpu_feature2;		/* leaf 1 ECX */
u_int amd_feature;		/* leaf 0x80000001 EDX */
u_int amd_pminfo;		/* leaf 0x80000007 EDX */
char cpu_vendor[13];

u_int hv_base;			/* the hypervisor's first leaf; 0: none */
u_int hv_high;			/* its last leaf */
char hv_vendor[13];		/* its signature */
int vm_guest = VM_GUEST_NO;

static const struct {
	const char	*signature;
	int		guest;
} vm_cpuids[] = {
	{ "XenVMMXenVMM", VM_GUEST_XEN },
	{ "Microsoft Hv", VM_GUEST_HV },
	{ "VMwareVMware", VM_GUEST_VMWARE },
	{ "KVMKVMKVM", VM_GUEST_KVM },
	{ "bhyve bhyve ", VM_GUEST_BHYVE },
	{ "VBoxVBoxVBox", VM_GUEST_VBOX },
	{ "___ NVMM ___", VM_GUEST_NVMM },
};

static void
signature_from(char *to, u_int first, u_int second, u_int third)
{
	memcpy(to, &first, 4);
	memcpy(to + 4, &second, 4);
	memcpy(to + 8, &third, 4);
	to[12] = '\0';
}

__noinline void
identify_cpu(void)
{
	u_int regs[4];

	do_cpuid(CPUID_LEAF_VENDOR, regs);
	cpu_high = regs[0];
	signature_from(cpu_vendor, regs[1], regs[3], regs[2]);
	do_cpuid(CPUID_LEAF_FEATURES, regs);
	cpu_id = regs[0];
	cpu_feature2 = regs[2];
	cpu_feature = regs[3];
	do_cpuid(CPUID_LEAF_EXT_MAX, regs);
	if (regs[0] >= CPUID_LEAF_EXT_FEATURES) {
		u_int ext_high = regs[0];

		do_cpuid(CPUID_LEAF_EXT_FEATURES, regs);
		amd_feature = regs[3];
		if (ext_high >= CPUID_LEAF_POWER) {
			do_cpuid(CPUID_LEAF_POWER, regs);
			amd_pminfo = regs[3];
		}
	}
}

/*
 * Several signatures may lie 0x100 leaves apart; a known one wins, else the first, which is VM_GUEST_VM.
 * A highest leaf below the base comes from old hypervisors that left EAX 0: they have one leaf more (cpuid.rst).
 */
__noinline void
identify_hypervisor(void)
{
	u_int regs[4];

	if ((cpu_feature2 & CPUID2_HV) == 0)
		return;
	vm_guest = VM_GUEST_VM;
	for (u_int leaf = CPUID_LEAF_HV; leaf <= CPUID_LEAF_HV_END; leaf += CPUID_LEAF_HV_STEP) {
		char signature[13];

		do_cpuid(leaf, regs);
		signature_from(signature, regs[1], regs[2], regs[3]);
		if (leaf == CPUID_LEAF_HV) {
			hv_base = leaf;
			hv_high = regs[0] < leaf ? leaf + 1 : regs[0];
			memcpy(hv_vendor, signature, sizeof(hv_vendor));
		}
		for (size_t i = 0; i < nitems(vm_cpuids); i++) {
			if (strcmp(signature, vm_cpuids[i].signature) != 0)
				continue;
			hv_base = leaf;
			hv_high = regs[0] < leaf ? leaf + 1 : regs[0];
			memcpy(hv_vendor, signature, sizeof(hv_vendor));
			vm_guest = vm_cpuids[i].guest;
			return;
		}
	}
}

__noinline void
printcpuinfo(void)
{
	printf("CPU: %s Id=0x%x Features=0x%x Features2=0x%x\n", cpu_vendor, cpu_id, cpu_feature, cpu_feature2);
	if (hv_base != 0)
		printf("Hypervisor: Origin = \"%s\" hv_high = 0x%x vm_guest = %d\n", hv_vendor, hv_high, vm_guest);
	else
		printf("Hypervisor: none\n");
	if (bootverbose)
		printf("CPUID: highest leaf 0x%x, AMD features 0x%x, power management 0x%x\n", cpu_high, amd_feature,
		    amd_pminfo);
}

/* Leaf 1's ECX bit 27 (OSXSAVE) follows CR4 and EBX the CPU that asks: neither is compared. */
__noinline bool
cpuid_is_as_cached(void)
{
	u_int regs[4];
	char vendor[13];

	do_cpuid(CPUID_LEAF_VENDOR, regs);
	signature_from(vendor, regs[1], regs[3], regs[2]);
	if (regs[0] != cpu_high || strcmp(vendor, cpu_vendor) != 0)
		return (false);
	do_cpuid(CPUID_LEAF_FEATURES, regs);
	return (regs[0] == cpu_id && regs[3] == cpu_feature && ((regs[2] ^ cpu_feature2) & ~(1U << 27)) == 0);
}
