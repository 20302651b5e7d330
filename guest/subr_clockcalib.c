/*
 * subr_clockcalib.c: the frequency of a clock, measured against the timecounter in use.
 *
 * Several short windows are measured, each while the timecounter passes a fixed number of its ticks, and with another
 * amount of idling between two looks at it. A timecounter that keeps time gives the same frequency in all of them. One
 * that merely counts the looks, as `dummy` does, gives another in each: that is the failure FreeBSD's prints too.
 */
#include "cpufunc.h"
#include "systm.h"
#include "timetc.h"

#define WINDOWS		10
#define WINDOWS_NEEDED	8		/* that agree with the median */
#define WINDOW_PART	1000		/* of a second */
#define AGREEMENT	64		/* 1 / 64 */
#define LOOKS		1000000		/* in one window at most */
#define STILL_LOOKS	1000		/* without movement: the reference stands still */
#define IDLE_STEP	3

struct window {
	uint64_t	clock;		/* ticks of the clock */
	uint64_t	reference;	/* ticks of the timecounter */
	uint64_t	freq;
};

/* Clock and timecounter, read as close together as can be. The clock's value is the mean of one before, one after. */
static uint64_t
look(uint64_t (*clk)(void), struct timecounter *tc, u_int *reference)
{
	uint64_t before = clk();

	*reference = tc->tc_get_timecount(tc);
	return (before + (clk() - before) / 2);
}

/* False: the timecounter stands still. */
static bool
measure(uint64_t (*clk)(void), struct timecounter *tc, int idle, struct window *window)
{
	uint64_t ticks = tc->tc_frequency / WINDOW_PART, start, passed = 0;
	u_int last, now, still = 0;

	start = look(clk, tc, &last);
	window->reference = 0;
	for (int looks = 0; passed < ticks; looks++) {
		if (looks == LOOKS || still == STILL_LOOKS)
			return (false);
		for (int i = 0; i < idle; i++)
			ia32_pause();
		now = tc->tc_get_timecount(tc);
		passed += (now - last) & tc->tc_counter_mask;
		still = now == last ? still + 1 : 0;
		last = now;
	}
	window->clock = look(clk, tc, &now) - start;
	window->reference = passed + ((now - last) & tc->tc_counter_mask);
	window->freq = muldiv64(window->clock, tc->tc_frequency, window->reference);
	return (true);
}

static uint64_t
median(const struct window *windows)
{
	uint64_t sorted[WINDOWS];

	for (int i = 0; i < WINDOWS; i++) {
		int at = i;

		for (; at > 0 && sorted[at - 1] > windows[i].freq; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = windows[i].freq;
	}
	return (sorted[WINDOWS / 2]);
}

/* clk counts upwards and does not wrap within a tenth of a second. Hz, or 0 where the windows disagree. */
__noinline uint64_t
clockcalib(uint64_t (*clk)(void), const char *clkname)
{
	struct timecounter *tc = timecounter;
	struct window windows[WINDOWS];
	uint64_t clock = 0, reference = 0, middle;
	int agreed = 0;

	for (int i = 0; i < WINDOWS; i++)
		if (!measure(clk, tc, i % 5 * IDLE_STEP, &windows[i]))
			goto failed;
	middle = median(windows);
	for (int i = 0; i < WINDOWS; i++) {
		uint64_t freq = windows[i].freq, off = freq > middle ? freq - middle : middle - freq;

		if (off > middle / AGREEMENT)
			continue;
		clock += windows[i].clock;
		reference += windows[i].reference;
		agreed++;
	}
	if (agreed >= WINDOWS_NEEDED && clock != 0)
		return (muldiv64(clock, tc->tc_frequency, reference));
failed:
	printf("Statistical %s calibration failed!  Clocks might be ticking at variable rates.\n", clkname);
	return (0);
}
