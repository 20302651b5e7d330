/*
 * delay.c: busy waiting: by the TSC where its frequency is known, else by the i8254.
 */
#include "clock.h"
#include "cpufunc.h"
#include "systm.h"

static void
delay_tsc(int microseconds)
{
	uint64_t ticks = muldiv64((uint64_t)microseconds, tsc_freq, 1000000);
	uint64_t start = rdtsc();

	while (rdtsc() - start < ticks)
		ia32_pause();
}

__noinline void
DELAY(int microseconds)
{
	if (microseconds <= 0)
		return;
	if (tsc_freq != 0)
		delay_tsc(microseconds);
	else
		i8254_delay(microseconds);
}
