/*
 * init_main.c: the machine-independent half of boot: one list, top to bottom, in FreeBSD's SYSINIT order
 * (an EARLY_AP_STARTUP kernel: processors start before devices attach).
 */
#include "bus.h"
#include "clock.h"
#include "cons.h"
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

static void
reload_cr3(void *arg __unused)
{
	load_cr3(rcr3());
}

__noinline void
mi_startup(void)
{
	selftest_early();			/* printf and CPUID checks */
	mptable_probe();			/* finds the MP table: CPUs, I/O APIC, local APIC address */
	lapic_init(DEFAULT_APIC_BASE);		/* KASSERT: "TSC not initialized" */
	fault_point("lapic");
	lapic_setup(1);				/* local APIC of the boot processor takes interrupts */
	start_TSC();				/* tells the frequency */
	cpu_mp_start();				/* INIT-SIPI to the others */
	fault_point("smp");
	drop_identity_map();			/* low addresses fault from here on */
	smp_rendezvous(reload_cr3, NULL);
	root_bus_configure();			/* drivers: attimer, kvmclock */
	fault_point("configure");
	inittimecounter();			/* the best timecounter so far starts to keep time */
	cpu_initclocks();			/* tsc_calibrate, lapic_calibrate_timer */
	init_TSC_tc();				/* the TSC as a timecounter */
	tc_windup();
	fault_point("clocks");
	selftest_run();				/* PASS, FAIL and SKIP lines */
	fault_point("login");
	getty();				/* login: */
}
