/*
 * clock.h: the TSC (tsc.c), the i8254 (clock.c) and the local and I/O APIC, as far as files need each other.
 */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include "cdefs.h"
#include "timetc.h"

/* tsc.c */
extern uint64_t tsc_freq;		/* Hz; 0: not known */
extern int tsc_is_invariant;
extern int smp_tsc;			/* the TSCs of all CPUs agree */
extern int tsc_early_calib_exact;	/* somebody told the frequency; nothing to measure */
void	tsc_init(void);
void	probe_tsc_freq(void);
bool	tsc_freq_cpuid_vm(void);
bool	tsc_freq_cpuid(uint64_t *freq);
bool	tsc_freq_8254(uint64_t *freq);
void	start_TSC(void);
void	tsc_calibrate(void);
void	init_TSC_tc(void);
int	test_tsc(void);
u_int	tsc_get_timecount(struct timecounter *tc);
void	tsc_freq_changed(uint64_t freq);

/* clock.c */
#define TIMER_FREQ	1193182		/* Hz, 14.31818 MHz / 12 */
extern u_int i8254_freq;
void	clock_init(void);
void	i8254_init(void);
bool	i8254_usable(void);
void	i8254_delay(int microseconds);
u_int	i8254_get_timecount(struct timecounter *tc);
void	cpu_initclocks(void);

/* local_apic.c */
#define DEFAULT_APIC_BASE	0xfee00000UL
enum LAPIC_REGISTERS {			/* xAPIC offset; x2APIC MSR = 0x800 + offset / 16 (SDM 3A, table 10-6) */
	LAPIC_ID = 0x020, LAPIC_VERSION = 0x030, LAPIC_TPR = 0x080, LAPIC_EOI = 0x0b0, LAPIC_SVR = 0x0f0,
	LAPIC_ESR = 0x280, LAPIC_ICR_LO = 0x300, LAPIC_ICR_HI = 0x310, LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350, LAPIC_LVT_LINT1 = 0x360, LAPIC_ICR_TIMER = 0x380, LAPIC_CCR_TIMER = 0x390,
	LAPIC_DCR_TIMER = 0x3e0
};
extern int x2apic_mode;
extern uint64_t lapic_timer_freq;	/* Hz of the counter as it is divided; 0: not known */
extern u_int lapic_ipi_wait_mult;
void	lapic_init(vm_paddr_t addr);
void	native_lapic_enable_x2apic(void);
void	lapic_setup(int boot);
uint32_t lapic_read32(enum LAPIC_REGISTERS reg);
void	lapic_write32(enum LAPIC_REGISTERS reg, uint32_t value);
u_int	lapic_id(void);
void	lapic_eoi(void);
void	lapic_ipi_raw(uint32_t icrlo, u_int dest);
void	lapic_ipi_vectored(u_int vector, u_int dest);
int	lapic_ipi_wait(int delay);
void	lapic_calibrate_timer(void);
void	lapic_calibrate_initcount(void);
bool	lapic_calibrate_initcount_cpuid_vm(void);
void	lapic_calibrate_deadline(void);
bool	lapic_timer_wait(uint32_t count, uint64_t tsc_limit);
void	lapic_timer_oneshot(uint32_t count);
void	lapic_timer_stop(void);
void	lapic_handle_timer(void);

/* io_apic.c */
void	ioapic_create(vm_paddr_t addr);
void	ioapic_enable_intr(u_int pin, u_int vector, u_int apic_id);

#endif
