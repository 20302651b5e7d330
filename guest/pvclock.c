/*
 * pvclock.c: reading the clock pages of pvclock.h, and the timecounter made of them.
 *
 * A reader takes the structure of the vCPU it runs on. The host may write at any moment: the version is odd meanwhile
 * and another one afterwards, so a reader takes the fields between two looks at the version and tries again.
 */
#include "pvclock.h"

#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

#define READ_TRIES	2000	/* a host that never finishes must not stop the kernel */

volatile uint64_t pvclock_last_systime;	/* ns, the latest anyone has read */
u_int pvclock_read_failures;

/* After a suspended guest goes on the host's time may have begun anew. */
__noinline void
pvclock_resume(void)
{
	__atomic_store_n(&pvclock_last_systime, 0, __ATOMIC_SEQ_CST);
}

/* TSC ticks to ns: ticks shifted, times a fraction of 2^32; the product has 96 bits. */
static inline uint64_t
pvclock_scale_delta(uint64_t delta, uint32_t mul_frac, int shift)
{
	uint64_t low, high;

	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;
	__asm__("mulq %3" : "=a"(low), "=d"(high) : "0"(delta), "rm"((uint64_t)mul_frac) : "cc");
	return (low >> 32 | high << 32);
}

/* Hz; 0 where the structure is no clock: mul 0, or a shift no TSC has. */
__noinline uint64_t
pvclock_tsc_freq(struct pvclock_vcpu_time_info *ti)
{
	uint64_t freq;
	uint32_t mul = ti->tsc_to_system_mul;
	int shift = ti->tsc_shift;

	if (mul == 0 || shift < -31 || shift > 31)
		return (0);
	freq = (1000000000ULL << 32) / mul;
	return (shift < 0 ? freq << -shift : freq >> shift);
}

/* False, and *ns and *flags untouched, where the structure stays odd or changing, or is no clock. */
__noinline bool
pvclock_read_time_info(struct pvclock_vcpu_time_info *ti, uint64_t *ns, uint8_t *flags)
{
	volatile struct pvclock_vcpu_time_info *host = ti;

	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t version = host->version, mul;
		uint64_t delta, system_time;
		uint8_t seen;
		int shift;

		barrier();
		delta = rdtsc_ordered() - host->tsc_timestamp;
		system_time = host->system_time;
		mul = host->tsc_to_system_mul;
		shift = host->tsc_shift;
		seen = host->flags;
		barrier();
		if ((version & 1) != 0 || version != host->version) {
			ia32_pause();
			continue;
		}
		if (mul == 0 || shift < -31 || shift > 31)
			break;
		*ns = system_time + pvclock_scale_delta(delta, mul, shift);
		*flags = seen;
		return (true);
	}
	pvclock_read_failures++;
	return (false);
}

/* The time of day at system_time 0, by the same rule. */
__noinline void
pvclock_read_wall_clock(struct pvclock_wall_clock *wc, struct timespec *ts)
{
	volatile struct pvclock_wall_clock *host = wc;

	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t version = host->version;

		barrier();
		ts->tv_sec = host->sec;
		ts->tv_nsec = host->nsec;
		barrier();
		if ((version & 1) == 0 && version == host->version)
			return;
		ia32_pause();
	}
	pvclock_read_failures++;
}

/* ns since the host started counting, by the structure of the CPU this runs on. */
__noinline uint64_t
pvclock_getsystime(struct pvclock *pvc)
{
	u_int cpuid = PCPU_GET(cpuid);

	return (pvclock_get_timecount(&pvc->timeinfos[cpuid < pvc->ntimeinfos ? cpuid : 0]));
}

/* Where time may differ between vCPUs nobody is shown an earlier one than anybody was before. */
__noinline uint64_t
pvclock_get_timecount(struct pvclock_vcpu_time_info *ti)
{
	uint64_t ns = 0, last = __atomic_load_n(&pvclock_last_systime, __ATOMIC_SEQ_CST);
	uint8_t flags = 0;

	if (!pvclock_read_time_info(ti, &ns, &flags))
		return (last);
	if ((flags & PVCLOCK_FLAG_TSC_STABLE) != 0)
		return (ns);
	do {
		if (ns <= last)
			return (last);
	} while (!__atomic_compare_exchange_n(&pvclock_last_systime, &last, ns, false, __ATOMIC_SEQ_CST,
	    __ATOMIC_SEQ_CST));
	return (ns);
}

__noinline void
pvclock_get_wallclock(struct pvclock_wall_clock *wc, struct timespec *ts)
{
	pvclock_read_wall_clock(wc, ts);
}

static int
pvclock_cdev_open(void *cdev __unused)
{
	return (0);
}

/* The pages, read only; only whole pages inside the array. */
static int
pvclock_cdev_mmap(void *cdev, uint64_t offset, vm_paddr_t *paddr)
{
	struct pvclock *pvc = cdev;

	if (offset % 4096 != 0 || offset >= pvc->ntimeinfos * sizeof(*pvc->timeinfos))
		return (-1);
	*paddr = vtophys(pvc->timeinfos) + offset;
	return (0);
}

static const struct cdevsw pvclock_cdev_cdevsw = {
	.d_name = "pvclock",
	.d_open = pvclock_cdev_open,
	.d_mmap = pvclock_cdev_mmap,
};

__noinline u_int
pvclock_tc_get_timecount(struct timecounter *tc)
{
	return ((u_int)pvclock_getsystime(tc->tc_priv));
}

/* User mode needs RDTSCP to know whose structure to read, unless a tunable says that one will do. */
__noinline uint32_t
pvclock_tc_vdso_timehands(struct vdso_timehands *vdso_th, struct timecounter *tc)
{
	struct pvclock *pvc = tc->tc_priv;

	vdso_th->th_algo = VDSO_TH_ALGO_X86_PVCLK;
	vdso_th->th_x86_pvc_last_systime = pvclock_last_systime;
	vdso_th->th_x86_pvc_stable_mask = pvc->stable_flag_supported && pvc->vdso_force_unstable == 0 ?
	    PVCLOCK_FLAG_TSC_STABLE : 0;
	return (pvc->cdevsw != NULL && ((amd_feature & AMDID_RDTSCP) != 0 || pvc->vdso_enable_without_rdtscp != 0));
}

/* The time of day now. */
__noinline void
pvclock_gettime(struct pvclock *pvc, struct timespec *ts)
{
	uint64_t ns = pvclock_getsystime(pvc);
	struct timespec boot = { 0, 0 };

	pvclock_get_wallclock(pvc->get_wallclock(pvc->get_wallclock_arg), &boot);
	ts->tv_sec = boot.tv_sec + (int64_t)(ns / 1000000000);
	ts->tv_nsec = boot.tv_nsec + (long)(ns % 1000000000);
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_nsec -= 1000000000;
		ts->tv_sec++;
	}
}

/* pvc's structures are filled in and stay; it is registered as a timecounter. */
__noinline void
pvclock_init(struct pvclock *pvc, device_t dev, const char *tc_name, int tc_quality, u_int tc_flags)
{
	pvc->cdevsw = &pvclock_cdev_cdevsw;
	pvc->tc.tc_get_timecount = pvclock_tc_get_timecount;
	pvc->tc.tc_fill_vdso_timehands = pvclock_tc_vdso_timehands;
	pvc->tc.tc_counter_mask = ~0U;
	pvc->tc.tc_frequency = 1000000000;
	pvc->tc.tc_name = tc_name;
	pvc->tc.tc_quality = tc_quality;
	pvc->tc.tc_flags = tc_flags;
	pvc->tc.tc_priv = pvc;
	if (bootverbose)
		printf("%s0: /dev/%s shows %u structures\n", device_get_nameunit(dev), pvc->cdevsw->d_name,
		    pvc->ntimeinfos);
	tc_init(&pvc->tc);
}

/* Nothing detaches here: a timecounter cannot be taken back. */
__noinline int
pvclock_destroy(struct pvclock *pvc __unused)
{
	return (-1);
}
