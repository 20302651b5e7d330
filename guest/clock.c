/*
 * clock.c: the i8254 interval timer (Intel 8254 data sheet): delays, and a timecounter where guest.i8254=1; and
 * cpu_initclocks, the order in which clocks are measured.
 */
#include "bus.h"
#include "clock.h"
#include "cpufunc.h"
#include "systm.h"

#define TIMER_CNTR0	0x40
#define TIMER_MODE	0x43
#define  TIMER_SEL0	0x00
#define  TIMER_LATCH	0x00
#define  TIMER_16BIT	0x30
#define  TIMER_RATEGEN	0x04
#define TIMER_MAX_COUNT	0x10000	/* written as 0 */

#define PRESENCE_READS	1000
#define DELAY_READS	10000000 /* a counter that stops must not stop the kernel */

u_int i8254_freq = TIMER_FREQ;
static int i8254_allowed;	/* guest.i8254 */
static bool i8254_counts;

static struct timecounter i8254_timecounter = {
	.tc_get_timecount = i8254_get_timecount,
	.tc_counter_mask = 0xffff,
	.tc_frequency = TIMER_FREQ,
	.tc_name = "i8254",
	.tc_quality = 0,
};

/* The counter counts down; latched, so that both bytes belong together. */
static u_int
getit(void)
{
	u_int low;

	outb(TIMER_MODE, TIMER_SEL0 | TIMER_LATCH);
	low = inb(TIMER_CNTR0);
	return (low | (u_int)inb(TIMER_CNTR0) << 8);
}

__noinline void
i8254_init(void)
{
	outb(TIMER_MODE, TIMER_SEL0 | TIMER_RATEGEN | TIMER_16BIT);
	outb(TIMER_CNTR0, TIMER_MAX_COUNT & 0xff);
	outb(TIMER_CNTR0, TIMER_MAX_COUNT >> 8 & 0xff);
}

/* Sets counter 0 going and sees whether it counts: microvm,pit=off has none. */
__noinline void
clock_init(void)
{
	u_int first;

	getenv_int("guest.i8254", &i8254_allowed);
	i8254_init();
	first = getit();
	for (int reads = 0; reads < PRESENCE_READS && !i8254_counts; reads++)
		i8254_counts = getit() != first;
	if (bootverbose)
		printf("i8254: %s\n", i8254_counts ? "counts" : "absent");
}

/* As a reference for others: it counts, and guest.i8254=1 allows it. */
__noinline bool
i8254_usable(void)
{
	return (i8254_counts && i8254_allowed != 0);
}

__noinline void
i8254_delay(int microseconds)
{
	int64_t left = (int64_t)microseconds * i8254_freq / 1000000;
	u_int last = getit();

	for (int reads = 0; left > 0 && reads < DELAY_READS; reads++) {
		u_int now = getit();

		left -= (last - now) & 0xffff;
		last = now;
		ia32_pause();
	}
}

__noinline u_int
i8254_get_timecount(struct timecounter *tc __unused)
{
	return (0xffff - getit());
}

static int
attimer_probe(device_t dev)
{
	if (!i8254_usable())
		return (ENXIO);
	device_set_desc(dev, "AT timer");
	return (0);
}

static int
attimer_attach(device_t dev __unused)
{
	tc_init(&i8254_timecounter);
	return (0);
}

static void
attimer_identify(const driver_t *driver, device_t parent)
{
	if (device_find_child(parent, driver->name) == NULL)
		BUS_ADD_CHILD(parent, driver->name);
}

static const device_method_t attimer_methods[] = {
	DEVMETHOD_IDENTIFY(attimer_identify),
	DEVMETHOD_PROBE(attimer_probe),
	DEVMETHOD_ATTACH(attimer_attach),
	DEVMETHOD_END
};

const driver_t attimer_driver = { "attimer", attimer_methods, 0 };

/* First the TSC, then the timer of the local APIC, each against the timecounter in use. */
__noinline void
cpu_initclocks(void)
{
	tsc_calibrate();
	lapic_calibrate_timer();
}
