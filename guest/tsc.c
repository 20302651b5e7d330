/*
 * tsc.c: the time stamp counter: its frequency, asked for and measured, and the timecounter made of it.
 *
 * The order of the questions and their names are FreeBSD's (sys/x86/x86/tsc.c); facts: SDM 2A CPUID leaves 0x15 and
 * 0x16, SDM 3B 17.17, Linux cpuid.rst for leaf 0x40000010.
 */
#include "clock.h"
#include "cpufunc.h"
#include "kvm.h"
#include "machine.h"
#include "systm.h"

#define TSC_ROUNDS	4	/* of the comparison between CPUs */
#define EARLY_CALIB_US	10000

uint64_t tsc_freq;
int tsc_is_invariant;
int smp_tsc;
int tsc_early_calib_exact;
static int tsc_skip_calibration;
static int tsc_hv_high_test = 1;

static struct timecounter tsc_timecounter = {
	.tc_get_timecount = tsc_get_timecount,
	.tc_counter_mask = ~0U,
	.tc_name = "TSC",
	.tc_quality = 800,
};

/*
 * The hypervisor's timing leaf: EAX is the TSC's kHz. guest.hv_high_test=0 drops the test of the highest leaf, as a
 * porter's kernel did: QEMU's TCG then answers with its highest basic leaf. The answer counts even where it is 0.
 */
__noinline bool
tsc_freq_cpuid_vm(void)
{
	u_int regs[4];

	if (vm_guest == VM_GUEST_NO)
		return (false);
	if (tsc_hv_high_test != 0 && hv_high < CPUID_LEAF_HV_TIMING)
		return (false);
	do_cpuid(CPUID_LEAF_HV_TIMING, regs);
	tsc_freq = (uint64_t)regs[0] * 1000;
	tsc_early_calib_exact = 1;
	return (true);
}

/* Leaf 0x15 gives the crystal's Hz and a ratio, leaf 0x16 MHz. */
__noinline bool
tsc_freq_cpuid(uint64_t *freq)
{
	u_int regs[4];

	if (cpu_high < CPUID_LEAF_TSC)
		return (false);
	do_cpuid(CPUID_LEAF_TSC, regs);
	if (regs[0] != 0 && regs[1] != 0 && regs[2] != 0) {
		*freq = (uint64_t)regs[2] * regs[1] / regs[0];
		return (true);
	}
	if (cpu_high < CPUID_LEAF_FREQ)
		return (false);
	do_cpuid(CPUID_LEAF_FREQ, regs);
	if (regs[0] == 0)
		return (false);
	*freq = (uint64_t)regs[0] * 1000000;
	return (true);
}

/* Against the i8254, where guest.i8254=1 allows it. */
__noinline bool
tsc_freq_8254(uint64_t *freq)
{
	uint64_t start, end;

	if (tsc_skip_calibration != 0 || !i8254_usable())
		return (false);
	start = rdtsc_ordered();
	i8254_delay(EARLY_CALIB_US);
	end = rdtsc_ordered();
	*freq = (end - start) * (1000000 / EARLY_CALIB_US);
	return (true);
}

/* Who knows the frequency is asked first, measuring comes last; tsc_freq stays 0 where nobody knows. */
__noinline void
probe_tsc_freq(void)
{
	if (tsc_freq_cpuid_vm())
		return;
	if (vm_guest == VM_GUEST_KVM && kvm_clock_tsc_freq(&tsc_freq)) {
		tsc_early_calib_exact = 1;
		return;
	}
	if (tsc_freq_cpuid(&tsc_freq))
		return;
	tsc_freq_8254(&tsc_freq);
}

__noinline void
tsc_init(void)
{
	if ((cpu_feature & CPUID_TSC) == 0)
		return;
	getenv_int("machdep.disable_tsc_calibration", &tsc_skip_calibration);
	getenv_int("guest.hv_high_test", &tsc_hv_high_test);
	tsc_is_invariant = (amd_pminfo & AMDPM_TSC_INVARIANT) != 0;
	probe_tsc_freq();
	if (bootverbose)
		printf("TSC: frequency %ju Hz%s%s\n", (uintmax_t)tsc_freq, tsc_is_invariant ? ", invariant" : "",
		    tsc_early_calib_exact ? ", as told" : "");
}

__noinline void
start_TSC(void)
{
	printf("TSC: P-state %s, %ju Hz\n", tsc_is_invariant ? "invariant" : "variant", (uintmax_t)tsc_freq);
}

/* Whoever finds a better frequency later says so here, so that one place changes it. */
__noinline void
tsc_freq_changed(uint64_t freq)
{
	tsc_freq = freq;
	tsc_timecounter.tc_frequency = freq >> (uintptr_t)tsc_timecounter.tc_priv;
}

/* Exactly, against the timecounter in use, unless somebody told the frequency or only `dummy` is there. */
__noinline void
tsc_calibrate(void)
{
	uint64_t freq;

	if (tsc_skip_calibration != 0 || tsc_early_calib_exact != 0 || timecounter->tc_quality < 0)
		return;
	freq = clockcalib(rdtsc_ordered, "TSC");
	if (freq == 0)
		return;
	printf("TSC: calibrated against %s: %ju Hz\n", timecounter->tc_name, (uintmax_t)freq);
	tsc_freq_changed(freq);
}

struct tsc_sample {
	u_int		cpuid;		/* who reads */
	uint64_t	tsc;
};

static void
comp_smp_tsc(void *arg)
{
	struct tsc_sample *sample = arg;

	if (PCPU_GET(cpuid) == sample->cpuid)
		sample->tsc = rdtsc_ordered();
}

/* CPU after CPU reads its TSC; each reading must be above the one before. The timecounter's quality comes out. */
__noinline int
test_tsc(void)
{
	struct tsc_sample sample = { 0, 0 };
	uint64_t last = 0;

	for (u_int round = 0; round < TSC_ROUNDS * mp_ncpus; round++) {
		sample.cpuid = round % mp_ncpus;
		smp_rendezvous(comp_smp_tsc, &sample);
		if (sample.tsc <= last)
			return (-100);
		last = sample.tsc;
	}
	smp_tsc = 1;
	return (vm_guest == VM_GUEST_NO && tsc_is_invariant ? 1000 : 800);	/* a guest may be migrated */
}

__noinline void
init_TSC_tc(void)
{
	u_int shift;

	if ((cpu_feature & CPUID_TSC) == 0 || tsc_freq == 0)
		return;
	for (shift = 0; shift < 31 && (tsc_freq >> shift) > UINT32_MAX; shift++)
		;
	tsc_timecounter.tc_quality = test_tsc();
	tsc_timecounter.tc_frequency = tsc_freq >> shift;
	tsc_timecounter.tc_priv = (void *)(uintptr_t)shift;
	tc_init(&tsc_timecounter);
}

__noinline u_int
tsc_get_timecount(struct timecounter *tc)
{
	return ((u_int)(rdtsc_ordered() >> (uintptr_t)tc->tc_priv));
}
