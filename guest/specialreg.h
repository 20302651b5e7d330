/*
 * specialreg.h: names of CPUID leaves, feature bits, MSRs and control register bits.
 *
 * Sources: Intel SDM volumes 2A (CPUID), 3A chapters 2 and 10, 4 (MSRs); Linux
 * Documentation/virt/kvm/x86/{cpuid,msr}.rst for the hypervisor's. Names as FreeBSD spells them.
 */
#ifndef GUEST_SPECIALREG_H
#define GUEST_SPECIALREG_H

/* Basic leaves (SDM 2A, CPUID). */
#define CPUID_LEAF_VENDOR	0x00000000	/* EAX highest basic leaf; EBX EDX ECX vendor */
#define CPUID_LEAF_FEATURES	0x00000001	/* EAX signature; ECX, EDX features */
#define CPUID_LEAF_TSC		0x00000015	/* Hz = ECX * EBX / EAX, all three non-zero */
#define CPUID_LEAF_FREQ		0x00000016	/* EAX base frequency in MHz, informational */
#define CPUID_LEAF_EXT_MAX	0x80000000
#define CPUID_LEAF_EXT_FEATURES	0x80000001	/* EDX bit 27 RDTSCP */
#define CPUID_LEAF_BRAND_FIRST	0x80000002
#define CPUID_LEAF_BRAND_LAST	0x80000004
#define CPUID_LEAF_POWER	0x80000007	/* EDX bit 8 invariant TSC */

/* Hypervisor leaves (cpuid.rst). */
#define CPUID_LEAF_HV		0x40000000	/* EAX highest leaf; EBX ECX EDX signature */
#define CPUID_LEAF_HV_END	0x40000300	/* last base tried; bases lie 0x100 apart */
#define CPUID_LEAF_HV_STEP	0x100
#define KVM_CPUID_FEATURES	0x40000001	/* EAX KVM_FEATURE_* */
#define CPUID_LEAF_HV_TIMING	0x40000010	/* EAX TSC kHz, EBX bus (APIC timer) kHz */

#define CPUID_TSC	0x00000010	/* leaf 1 EDX bit 4 */
#define CPUID_MSR	0x00000020	/* leaf 1 EDX bit 5 */
#define CPUID_APIC	0x00000200	/* leaf 1 EDX bit 9 */
#define CPUID2_X2APIC	0x00200000	/* leaf 1 ECX bit 21 */
#define CPUID2_TSCDLT	0x01000000	/* leaf 1 ECX bit 24 */
#define CPUID2_HV	0x80000000	/* leaf 1 ECX bit 31 */
#define AMDID_RDTSCP	0x08000000	/* leaf 0x80000001 EDX bit 27 */
#define AMDPM_TSC_INVARIANT 0x00000100	/* leaf 0x80000007 EDX bit 8 */

/* KVM_CPUID_FEATURES, EAX (cpuid.rst). */
#define KVM_FEATURE_CLOCKSOURCE		0x00000001	/* bit 0: the old pair of MSRs */
#define KVM_FEATURE_CLOCKSOURCE2	0x00000008	/* bit 3: the new pair */
#define KVM_FEATURE_CLOCKSOURCE_STABLE_BIT 0x01000000	/* bit 24: pvclock's stable flag means something */

/* MSRs (SDM 4; msr.rst for the last four). */
#define MSR_APICBASE	0x0000001b
#define  APICBASE_BSP		0x00000100
#define  APICBASE_X2APIC	0x00000400
#define  APICBASE_ENABLED	0x00000800
#define  APICBASE_ADDRESS	0x0000000ffffff000UL
#define MSR_TSC_DEADLINE 0x000006e0
#define MSR_X2APIC_BASE	0x00000800		/* + register offset / 16 */
#define MSR_EFER	0xc0000080
#define  EFER_LME		0x00000100
#define MSR_GSBASE	0xc0000101
#define KVM_MSR_WALL_CLOCK_OLD	0x00000011
#define KVM_MSR_SYSTEM_TIME_OLD	0x00000012
#define KVM_MSR_WALL_CLOCK	0x4b564d00
#define KVM_MSR_SYSTEM_TIME	0x4b564d01
#define  KVM_SYSTEM_TIME_ENABLE	0x00000001	/* or-ed to the structure's physical address */

/* Control registers (SDM 3A 2.5). */
#define CR0_PE	0x00000001
#define CR0_NE	0x00000020
#define CR0_WP	0x00010000
#define CR0_PG	0x80000000
#define CR4_PAE	0x00000020

/* Page table bits (SDM 3A 4.5). */
#define PG_V	0x001
#define PG_RW	0x002
#define PG_PWT	0x008
#define PG_PCD	0x010
#define PG_PS	0x080

/* Selectors in the one GDT that locore.S and mpboot.S share. */
#define KCODE64_SEL	0x08
#define KDATA_SEL	0x10
#define KCODE32_SEL	0x18

/* Where the application processors wake up: a page below 1 MiB, its number is the SIPI vector. */
#define MPBOOT_ADDR	0x7000

#endif
