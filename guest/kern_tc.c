/*
 * kern_tc.c: timecounters: who is registered, who is chosen, and time since boot from the chosen one.
 *
 * Time is an offset plus what the counter has counted since; tc_windup moves the offset. Nothing calls it
 * periodically, so a counter that wraps is only as good as the last tc_windup is near.
 */
#include "systm.h"
#include "timetc.h"

/* Counts how often it was asked, and calls that microseconds: something must be there before anything is. */
static __noinline u_int
dummy_get_timecount(struct timecounter *tc __unused)
{
	static u_int now;

	return (++now);
}

static struct timecounter dummy_timecounter = {
	.tc_get_timecount = dummy_get_timecount,
	.tc_counter_mask = ~0U,
	.tc_frequency = 1000000,
	.tc_name = "dummy",
	.tc_quality = -1000000,
};

struct timehands {
	struct timecounter	*th_counter;
	u_int			th_offset_count;	/* the counter when th_offset was right */
	struct bintime		th_offset;		/* time since boot */
	uint64_t		th_scale;		/* 2^64 / frequency */
};

static struct timehands th0 = { .th_counter = &dummy_timecounter, .th_scale = UINT64_MAX / 1000000 };

struct timecounter *timecounter = &dummy_timecounter;
static struct timecounter *timecounters = &dummy_timecounter;
struct timehands *timehands = &th0;

/* Ticks since the last tc_windup. */
__noinline u_int
tc_delta(void)
{
	struct timecounter *tc = timehands->th_counter;

	return ((tc->tc_get_timecount(tc) - timehands->th_offset_count) & tc->tc_counter_mask);
}

/* Offers a timecounter. The one of the best quality is used, or the one kern.timecounter.hardware names. */
__noinline void
tc_init(struct timecounter *tc)
{
	const char *wanted = kern_getenv("kern.timecounter.hardware");
	bool chosen = wanted != NULL && strcmp(wanted, timecounter->tc_name) == 0;
	bool named = wanted != NULL && strcmp(wanted, tc->tc_name) == 0;

	tc->tc_next = timecounters;
	timecounters = tc;
	printf("Timecounter \"%s\" frequency %ju Hz quality %d\n", tc->tc_name, (uintmax_t)tc->tc_frequency,
	    tc->tc_quality);
	if (named || (!chosen && tc->tc_quality >= 0 && tc->tc_quality > timecounter->tc_quality))
		timecounter = tc;
}

static void
bintime_add_ticks(struct bintime *bt, uint64_t ticks, const struct timehands *th)
{
	uint64_t frac = bt->frac;

	bt->sec += (int64_t)(ticks / th->th_counter->tc_frequency);
	bt->frac += ticks % th->th_counter->tc_frequency * th->th_scale;
	bt->sec += bt->frac < frac;
}

/* Brings the offset up to now, and changes over to a newly chosen timecounter. */
__noinline void
tc_windup(void)
{
	struct timehands *th = timehands;
	u_int delta = tc_delta();

	th->th_offset_count += delta;
	bintime_add_ticks(&th->th_offset, delta, th);
	if (th->th_counter == timecounter)
		return;
	th->th_counter = timecounter;
	th->th_scale = UINT64_MAX / timecounter->tc_frequency;
	th->th_offset_count = timecounter->tc_get_timecount(timecounter);
	printf("Timecounter \"%s\" keeps time now\n", timecounter->tc_name);
	timekeep_push_vdso();
}

__noinline void
inittimecounter(void)
{
	tc_windup();
}

/* Could user mode read this timecounter by itself? Asked of those that know. */
__noinline void
timekeep_push_vdso(void)
{
	struct vdso_timehands vdso_th = { 0, 0, 0 };

	if (timecounter->tc_fill_vdso_timehands == NULL)
		return;
	if (timecounter->tc_fill_vdso_timehands(&vdso_th, timecounter) != 0)
		printf("vdso: timehands enabled, algorithm %u, stable mask 0x%x\n", vdso_th.th_algo,
		    vdso_th.th_x86_pvc_stable_mask);
	else
		printf("vdso: timehands disabled\n");
}

uint64_t
tc_getfrequency(void)
{
	return (timehands->th_counter->tc_frequency);
}

__noinline void
binuptime(struct bintime *bt)
{
	*bt = timehands->th_offset;
	bintime_add_ticks(bt, tc_delta(), timehands);
}

__noinline void
nanouptime(struct timespec *ts)
{
	struct bintime bt;

	binuptime(&bt);
	ts->tv_sec = bt.sec;
	ts->tv_nsec = (long)((bt.frac >> 32) * 1000000000 >> 32);
}
