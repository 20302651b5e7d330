/*
 * local_apic.c: the local APIC: its mode and registers, interprocessor interrupts, and its timer, measured.
 *
 * Facts: SDM 3A chapter 10 (10.5.4 the timer, 10.6 the interrupt command register, 10.12 x2APIC).
 */
#include "clock.h"
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

#define LAPIC_LVT_MASKED	0x00010000
#define LAPIC_SVR_ENABLE	0x00000100
#define LAPIC_VERSION_MASK	0x000000ff
#define LAPIC_ICR_PENDING	0x00001000
#define LAPIC_DCR_DIVIDE_2	0x0
#define APIC_TIMER_MAX_COUNT	0xffffffffU

#define IPI_WAIT_LOOPS		100
#define SLOW_FIRST_COUNT	(1U << 20)
#define SLOW_LAST_COUNT		(1U << 28)	/* half a second of QEMU's 1 GHz, divided by two */

int x2apic_mode;			/* 1: registers are MSRs */
uint64_t lapic_timer_freq;
u_int lapic_ipi_wait_mult;
static volatile uint32_t *lapic_map;	/* xAPIC: the register page */
static bool lapic_timer_tsc_deadline;

__noinline uint32_t
lapic_read32(enum LAPIC_REGISTERS reg)
{
	if (x2apic_mode)
		return ((uint32_t)rdmsr(MSR_X2APIC_BASE + reg / 16));
	return (lapic_map[reg / sizeof(uint32_t)]);
}

__noinline void
lapic_write32(enum LAPIC_REGISTERS reg, uint32_t value)
{
	if (x2apic_mode)
		wrmsr(MSR_X2APIC_BASE + reg / 16, value);
	else
		lapic_map[reg / sizeof(uint32_t)] = value;
}

__noinline u_int
lapic_id(void)
{
	uint32_t id = lapic_read32(LAPIC_ID);

	return (x2apic_mode ? id : id >> 24);
}

/* Also switches the CPU it runs on. */
__noinline void
native_lapic_enable_x2apic(void)
{
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | APICBASE_ENABLED | APICBASE_X2APIC);
	x2apic_mode = 1;
}

/*
 * The boot processor's local APIC, before any other is started. Its last part times a loop by the TSC. x2APIC mode is
 * taken only where asked for: QEMU 10 under TCG and icount ends with "Bad icount read" when the timer's MSR is read.
 */
__noinline void
lapic_init(vm_paddr_t addr)
{
	int enable = 0;
	uint64_t start;

	lapic_map = PHYS_TO_DMAP(addr);
	getenv_int("hw.x2apic_enable", &enable);
	if ((rdmsr(MSR_APICBASE) & APICBASE_X2APIC) != 0 || (enable && (cpu_feature2 & CPUID2_X2APIC) != 0))
		native_lapic_enable_x2apic();
	get_pcpu()->pc_apic_id = lapic_id();

	/* How long waiting for an interprocessor interrupt may take is counted in TSC ticks. */
	KASSERT((cpu_feature & CPUID_TSC) != 0 && tsc_freq != 0, ("TSC not initialized"));

	printf("lapic0: version 0x%08x, %s\n", lapic_read32(LAPIC_VERSION), x2apic_mode ? "x2APIC" : "xAPIC");
	start = rdtsc();
	for (int loops = 0; loops < IPI_WAIT_LOOPS && !x2apic_mode; loops++) {
		(void)lapic_read32(LAPIC_ICR_LO);
		ia32_pause();
	}
	lapic_ipi_wait_mult = (u_int)((rdtsc() - start) / IPI_WAIT_LOOPS) + 1;
}

/* Takes interrupts from here on, none of them from the two local pins. boot: the boot processor asks. */
__noinline void
lapic_setup(int boot)
{
	if (x2apic_mode && !boot)
		native_lapic_enable_x2apic();
	lapic_write32(LAPIC_TPR, 0);
	lapic_write32(LAPIC_LVT_LINT0, LAPIC_LVT_MASKED);
	lapic_write32(LAPIC_LVT_LINT1, LAPIC_LVT_MASKED);
	lapic_write32(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
	lapic_write32(LAPIC_SVR, LAPIC_SVR_ENABLE | APIC_SPURIOUS_INT);
	get_pcpu()->pc_apic_id = lapic_id();
}

void
lapic_eoi(void)
{
	lapic_write32(LAPIC_EOI, 0);
}

/* Waits until the last one was sent, some looks at least. delay: microseconds. 0: still pending. */
__noinline int
lapic_ipi_wait(int delay)
{
	uint64_t start = rdtsc(), ticks = muldiv64((uint64_t)delay, tsc_freq, 1000000) + lapic_ipi_wait_mult;
	int looks = 0;

	if (x2apic_mode)
		return (1);
	do {
		if ((lapic_read32(LAPIC_ICR_LO) & LAPIC_ICR_PENDING) == 0)
			return (1);
		ia32_pause();
	} while (++looks < IPI_WAIT_LOOPS || rdtsc() - start < ticks);
	return (0);
}

__noinline void
lapic_ipi_raw(uint32_t icrlo, u_int dest)
{
	if (x2apic_mode) {
		wrmsr(MSR_X2APIC_BASE + LAPIC_ICR_LO / 16, (uint64_t)dest << 32 | icrlo);
		return;
	}
	lapic_write32(LAPIC_ICR_HI, dest << 24);
	lapic_write32(LAPIC_ICR_LO, icrlo);
}

__noinline void
lapic_ipi_vectored(u_int vector, u_int dest)
{
	if (lapic_ipi_wait(1000) == 0)
		panic("native_lapic_ipi_vectored: APIC is stuck");
	lapic_ipi_raw(vector, dest);
}

__noinline void
lapic_timer_oneshot(uint32_t count)
{
	lapic_write32(LAPIC_DCR_TIMER, LAPIC_DCR_DIVIDE_2);
	lapic_write32(LAPIC_LVT_TIMER, APIC_TIMER_INT);
	lapic_write32(LAPIC_ICR_TIMER, count);
}

__noinline void
lapic_timer_stop(void)
{
	lapic_write32(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
	lapic_write32(LAPIC_ICR_TIMER, 0);
}

void
lapic_handle_timer(void)
{
	lapic_eoi();
	get_pcpu()->pc_timer_ticks++;
}

/* Sleeps until the timer has counted down. */
static void
lapic_timer_sleep(uint32_t count)
{
	u_int before;

	disable_intr();
	before = PCPU_GET(timer_ticks);
	lapic_timer_oneshot(count);
	while (PCPU_GET(timer_ticks) == before) {
		enable_intr_and_halt();
		disable_intr();
	}
	lapic_timer_stop();
}

/* Does the timer interrupt within tsc_limit ticks? Polls, so that a dead timer cannot hang the boot. */
__noinline bool
lapic_timer_wait(uint32_t count, uint64_t tsc_limit)
{
	u_int before = PCPU_GET(timer_ticks);
	uint64_t start = rdtsc();

	lapic_timer_oneshot(count);
	enable_intr();
	while (PCPU_GET(timer_ticks) == before && rdtsc() - start < tsc_limit)
		ia32_pause();
	disable_intr();
	lapic_timer_stop();
	return (PCPU_GET(timer_ticks) != before);
}

/* Upwards, as clockcalib wants it. */
static uint64_t
cb_lapic_getcount(void)
{
	return (APIC_TIMER_MAX_COUNT - lapic_read32(LAPIC_CCR_TIMER));
}

/* Twin of tsc_freq_cpuid_vm: EBX is the bus's kHz, and 0 does not count. */
__noinline bool
lapic_calibrate_initcount_cpuid_vm(void)
{
	u_int regs[4];

	if (vm_guest == VM_GUEST_NO || hv_high < CPUID_LEAF_HV_TIMING)
		return (false);
	do_cpuid(CPUID_LEAF_HV_TIMING, regs);
	if (regs[1] == 0)
		return (false);
	lapic_timer_freq = (uint64_t)regs[1] * 1000 / 2;	/* it counts divided by two */
	return (true);
}

/* Longer and longer countdowns with the CPU asleep, timed by the TSC, until one takes a quarter of a second. */
static __noinline uint64_t
lapic_calibrate_slow(void)
{
	uint64_t elapsed;
	uint32_t count;

	for (count = SLOW_FIRST_COUNT;; count *= 2) {
		uint64_t start = rdtsc_ordered();

		lapic_timer_sleep(count);
		elapsed = rdtsc_ordered() - start;
		if (elapsed >= tsc_freq / 4 || count >= SLOW_LAST_COUNT)
			break;
	}
	return (muldiv64(count, tsc_freq, elapsed));
}

__noinline void
lapic_calibrate_initcount(void)
{
	if (lapic_calibrate_initcount_cpuid_vm())
		return;
	lapic_write32(LAPIC_DCR_TIMER, LAPIC_DCR_DIVIDE_2);
	lapic_write32(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | APIC_TIMER_INT);
	lapic_write32(LAPIC_ICR_TIMER, APIC_TIMER_MAX_COUNT);
	lapic_timer_freq = clockcalib(cb_lapic_getcount, "lapic");
	lapic_timer_stop();
	if (lapic_timer_freq == 0) {
		printf("Falling back to slow lapic calibration.\n");
		lapic_timer_freq = lapic_calibrate_slow();
	}
}

/* TSC deadline mode needs no measuring: the TSC's own frequency counts. */
__noinline void
lapic_calibrate_deadline(void)
{
	if (bootverbose)
		printf("lapic0: deadline tsc frequency %ju Hz\n", (uintmax_t)tsc_freq);
	lapic_timer_tsc_deadline = true;
}

__noinline void
lapic_calibrate_timer(void)
{
	int calibrate = 1;

	getenv_int("guest.lapic_calibration", &calibrate);
	if (calibrate == 0) {
		printf("lapic0: calibration disabled by guest.lapic_calibration\n");
		return;
	}
	lapic_calibrate_initcount();
	printf("lapic0: timer frequency %ju Hz\n", (uintmax_t)lapic_timer_freq);
	if ((cpu_feature2 & CPUID2_TSCDLT) != 0 && tsc_is_invariant && tsc_freq != 0)
		lapic_calibrate_deadline();
}
