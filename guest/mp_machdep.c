/*
 * mp_machdep.c: the other CPUs: started one after the other by INIT-SIPI (SDM 3A 8.4.4), then idle until called.
 */
#include "clock.h"
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

#define APIC_DELMODE_INIT	0x00000500	/* SDM 3A 10.6.1 */
#define APIC_DELMODE_STARTUP	0x00000600
#define APIC_LEVEL_ASSERT	0x00004000
#define APIC_TRIGMOD_LEVEL	0x00008000
#define AP_STACK_SIZE		16384
#define AP_WAIT_SPINS		5000000		/* counted, not timed: an injected tsc_freq may be any number */
#define RENDEZVOUS_SPINS	100000000

extern const uint8_t mptramp_start[], mptramp_end[];

u_int mp_ncpus = 1;
bool mp_missing;
char *bootSTK;				/* for mpboot.S: stack of the CPU being started */
static u_int bootAP;			/* its number */
static uint8_t ap_stacks[MAXCPU - 1][AP_STACK_SIZE] __attribute__((__aligned__(16)));
static volatile u_int aps_up;

static void (*volatile smp_rv_action)(void *);
static void *volatile smp_rv_arg;
static volatile u_int smp_rv_waiters;

/* From mpboot.S, on the CPU that was started. It stays here, woken by interrupts. */
__noinline void
init_secondary(void)
{
	pcpu_init(bootAP);
	lidt_all();
	lapic_setup(0);
	__atomic_add_fetch(&aps_up, 1, __ATOMIC_SEQ_CST);
	for (;;)
		enable_intr_and_halt();
}

/* True once it runs C. A second SIPI is for CPUs that missed the first. */
static __noinline bool
start_ap(u_int apic_id, u_int cpu)
{
	u_int up = aps_up;
	uint32_t sipi = APIC_DELMODE_STARTUP | APIC_LEVEL_ASSERT | MPBOOT_ADDR >> 12;

	bootAP = cpu;
	bootSTK = (char *)ap_stacks[cpu - 1] + AP_STACK_SIZE;
	lapic_ipi_raw(APIC_DELMODE_INIT | APIC_LEVEL_ASSERT | APIC_TRIGMOD_LEVEL, apic_id);
	lapic_ipi_wait(1000);
	lapic_ipi_raw(APIC_DELMODE_INIT | APIC_TRIGMOD_LEVEL, apic_id);
	DELAY(200);
	for (int tries = 0; tries < 2; tries++) {
		lapic_ipi_raw(sipi, apic_id);
		lapic_ipi_wait(1000);
		for (int spins = 0; spins < AP_WAIT_SPINS; spins++) {
			if (aps_up != up)
				return (true);
			ia32_pause();
		}
	}
	return (false);
}

static __noinline void
start_all_aps(void)
{
	memcpy(PHYS_TO_DMAP(MPBOOT_ADDR), mptramp_start, (size_t)(mptramp_end - mptramp_start));
	for (u_int i = 1; i < mp_found; i++) {
		if (start_ap(cpu_apic_ids[i], mp_ncpus))
			mp_ncpus++;
		else {
			printf("AP with APIC ID %u did not start\n", cpu_apic_ids[i]);
			mp_missing = true;
		}
	}
}

__noinline void
cpu_mp_start(void)
{
	int disabled = 0;

	getenv_int("kern.smp.disabled", &disabled);
	if (disabled == 0)
		start_all_aps();
	printf("SMP: %u of %u CPUs online\n", mp_ncpus, mp_found);
	for (u_int cpu = 0; cpu < mp_ncpus; cpu++)
		printf("cpu%u: APIC ID %u\n", cpu, __pcpu[cpu].pc_apic_id);
}

/* Each CPU's part in smp_rendezvous, in its interrupt handler. */
__noinline void
smp_rendezvous_action(void)
{
	smp_rv_action(smp_rv_arg);
	__atomic_add_fetch(&smp_rv_waiters, 1, __ATOMIC_SEQ_CST);
}

/* Runs action on every CPU, and returns when all have. The boot processor's to call. */
__noinline void
smp_rendezvous(void (*action)(void *), void *arg)
{
	smp_rv_action = action;
	smp_rv_arg = arg;
	__atomic_store_n(&smp_rv_waiters, 0, __ATOMIC_SEQ_CST);
	for (u_int cpu = 1; cpu < mp_ncpus; cpu++)
		lapic_ipi_vectored(IPI_RENDEZVOUS, __pcpu[cpu].pc_apic_id);
	action(arg);
	for (int spins = 0; smp_rv_waiters != mp_ncpus - 1; spins++) {
		if (spins == RENDEZVOUS_SPINS)
			panic("smp_rendezvous: %u of %u CPUs came", smp_rv_waiters + 1, mp_ncpus);
		ia32_pause();
	}
}
