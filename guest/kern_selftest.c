/*
 * kern_selftest.c: what the guest checks about itself: PASS, FAIL and SKIP lines, and the summary before the prompt.
 */
#include "clock.h"
#include "cpufunc.h"
#include "machine.h"
#include "pvclock.h"
#include "systm.h"

#define MONOTONIC_READS	1000
#define PVCLOCK_SLACK	1000000		/* ns by which vCPUs may differ without the stable flag */
#define YEAR_2020	1577836800
#define YEAR_2100	4102444800

static u_int passed_count, failed_count, skipped_count;

__noinline void
selftest_record(const char *name, bool passed)
{
	*(passed ? &passed_count : &failed_count) += 1;
	printf("%s %s\n", passed ? "PASS" : "FAIL", name);
}

__noinline void
selftest_skip(const char *name, const char *reason)
{
	skipped_count++;
	printf("SKIP %s: %s\n", name, reason);
}

/* True where nothing failed. */
__noinline bool
selftest_summary(void)
{
	printf("summary: %u passed, %u failed, %u skipped\n", passed_count, failed_count, skipped_count);
	return (failed_count == 0);
}

__noinline void
selftest_early(void)
{
	char text[64];

	snprintf(text, sizeof(text), "%d %5u|%-4s|%04x %lx %jd", -7, 42U, "ab", 0xbeU, KERNBASE, (intmax_t)-1);
	selftest_record("printf", strcmp(text, "-7    42|ab  |00be ffffffff80000000 -1") == 0);
	selftest_record("cpuid_as_cached", cpuid_is_as_cached());
}

static bool
timecounter_is_monotonic(void)
{
	struct bintime last, now;

	binuptime(&last);
	for (int i = 0; i < MONOTONIC_READS; i++) {
		binuptime(&now);
		if (now.sec < last.sec || (now.sec == last.sec && now.frac < last.frac))
			return (false);
		last = now;
	}
	return (last.sec != 0 || last.frac != 0);
}

static bool
tsc_advances(void)
{
	uint64_t last = rdtsc_ordered();

	for (int i = 0; i < MONOTONIC_READS; i++) {
		uint64_t now = rdtsc_ordered();

		if (now < last)
			return (false);
		last = now;
	}
	return (true);
}

static bool
lapic_mode_agrees(void)
{
	uint64_t base = rdmsr(MSR_APICBASE);

	return ((base & APICBASE_ENABLED) != 0 && ((base & APICBASE_X2APIC) != 0) == (x2apic_mode != 0) &&
	    lapic_id() == PCPU_GET(apic_id));
}

struct pvclock_sample {
	struct pvclock	*pvc;
	u_int		cpuid;		/* who reads */
	bool		read;
	uint64_t	ns;
	uint8_t		flags;
};

static void
sample_pvclock(void *arg)
{
	struct pvclock_sample *sample = arg;

	if (PCPU_GET(cpuid) == sample->cpuid)
		sample->read = pvclock_read_time_info(&sample->pvc->timeinfos[sample->cpuid], &sample->ns,
		    &sample->flags);
}

/* vCPU after vCPU reads its own structure: none may be behind the one before. */
static bool
pvclock_vcpus_agree(struct pvclock *pvc)
{
	struct pvclock_sample sample = { .pvc = pvc };
	uint64_t last = 0;

	for (u_int round = 0; round < 2 * mp_ncpus; round++) {
		sample.cpuid = round % mp_ncpus;
		sample.read = false;
		smp_rendezvous(sample_pvclock, &sample);
		if (!sample.read)
			return (false);
		if (sample.ns + ((sample.flags & PVCLOCK_FLAG_TSC_STABLE) != 0 ? 0 : PVCLOCK_SLACK) < last)
			return (false);
		last = sample.ns;
	}
	return (true);
}

/* pvclock's idea of the TSC within 1 % of tsc_freq. */
static bool
pvclock_tsc_agrees(struct pvclock *pvc)
{
	uint64_t hz = pvclock_tsc_freq(&pvc->timeinfos[0]);

	return (hz >= tsc_freq - tsc_freq / 100 && hz <= tsc_freq + tsc_freq / 100);
}

static void
selftest_pvclock(void)
{
	struct pvclock *pvc = kvm_clock_pvclock();
	struct timespec now;

	if (pvc == NULL) {
		selftest_skip("pvclock", "no kvmclock");
		return;
	}
	selftest_record("pvclock_vcpus_agree", pvclock_vcpus_agree(pvc));
	selftest_record("pvclock_tsc_freq", pvclock_tsc_agrees(pvc));
	pvclock_gettime(pvc, &now);
	printf("kvmclock0: the time is %jd.%09ld\n", (intmax_t)now.tv_sec, now.tv_nsec);
	selftest_record("pvclock_wall_clock", now.tv_sec >= YEAR_2020 && now.tv_sec < YEAR_2100);
	selftest_record("pvclock_reads", pvclock_read_failures == 0);
}

__noinline void
selftest_run(void)
{
	selftest_record("timecounter_monotonic", timecounter_is_monotonic());
	selftest_record("tsc_advances", tsc_advances());
	selftest_record("lapic_mode", lapic_mode_agrees());
	selftest_record("lapic_timer_interrupts", lapic_timer_wait(1000, UINT32_MAX));
	if (mp_found > 1)
		selftest_record("aps_started", mp_ncpus == mp_found);
	else
		selftest_skip("aps_started", "one vCPU");
	selftest_pvclock();
}
