/*
 * machdep.c: the machine-dependent half of boot, and the ways to stop the machine.
 */
#include "clock.h"
#include "cons.h"
#include "cpufunc.h"
#include "machine.h"
#include "pvh.h"
#include "systm.h"

extern uint64_t boot_pml4[512];

struct pcpu __pcpu[MAXCPU];

__noinline void
pcpu_init(u_int cpuid)
{
	struct pcpu *pcpu = &__pcpu[cpuid];

	pcpu->pc_prvspace = pcpu;
	pcpu->pc_cpuid = cpuid;
	wrmsr(MSR_GSBASE, (uint64_t)(uintptr_t)pcpu);
}

/* The loader's command line; "" where there is none, or where the structure is not PVH's. */
static const char *
pvh_cmdline(uint64_t start_info_pa)
{
	const struct hvm_start_info *info = PHYS_TO_DMAP(start_info_pa);

	if (start_info_pa == 0 || info->magic != XEN_HVM_START_MAGIC_VALUE || info->cmdline_paddr == 0)
		return ("");
	return (PHYS_TO_DMAP(info->cmdline_paddr));
}

/* Called by locore.S on the boot processor, interrupts off. README.md lists what each call prints. */
__noinline void
hammer_time(uint64_t start_info_pa)
{
	pcpu_init(0);				/* GS base: PCPU_GET works */
	idt_init();				/* exceptions print instead of resetting */
	cninit();				/* the serial line: printf works */
	printf("bootsonde clockguest\n");
	init_dynamic_kenv(pvh_cmdline(start_info_pa));	/* tunables */
	identify_cpu();				/* CPUID: vendor, features */
	identify_hypervisor();			/* CPUID 0x40000000: signature, hv_high, vm_guest */
	printcpuinfo();
	fault_point("cpu");
	clock_init();				/* the i8254, for DELAY and as a reference where asked for */
	tsc_init();				/* tsc_freq, or 0 */
	fault_point("tsc");
}

__noinline void
cpu_halt(void)
{
	for (;;) {
		disable_intr();
		halt();
	}
}

/* Loading an IDT of limit 0 and trapping: no handler for the trap, none for the double fault either (SDM 3A 6.15). */
__noinline void
triple_fault(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __packed nothing = { 0, 0 };

	__asm__ __volatile__("lidt %0; ud2" : : "m"(nothing) : "memory");
	cpu_halt();
}

/* Keyboard controller's reset line, then the chipset's reset port; microvm has neither: a triple fault. */
__noinline void
cpu_reset(void)
{
	outb(0x64, 0xfe);
	outb(0xcf9, 0x02);
	outb(0xcf9, 0x06);
	DELAY(1000);
	triple_fault();
}

/*
 * Once the application processors are up nobody runs at low addresses: a null pointer then faults. Where one is missing
 * the map stays, for it may yet wake up.
 */
__noinline void
drop_identity_map(void)
{
	if (mp_missing)
		return;
	boot_pml4[0] = 0;
	load_cr3(rcr3());
}
