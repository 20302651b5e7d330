/*
 * bootsonde-host-tsc: prints how fast this host's time stamp counter counts, in Hz.
 *
 * QEMU's TCG gives a guest the host's counter, less what it was when the guest began and while the guest stood still
 * (cpu_get_host_ticks() and cpu_get_ticks() in QEMU's sources), so this is the guest's TSC frequency too, unless icount
 * makes it 1 GHz. On hosts other than x86 QEMU has no such counter to give, and this program says so: exit status 1.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)

#define WINDOW_NS	50000000	/* 20 ns of error at each end are below 1 ppm */
#define TRIES		100

struct moment {
	uint64_t ticks;
	int64_t ns;
};

static int64_t
clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Both clocks at one moment: the counter is read between two looks at the clock, those that are closest of many. */
static struct moment
take_moment(void)
{
	struct moment best = { 0, 0 };
	int64_t closest = INT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		int64_t before = clock_ns();
		uint64_t ticks = __builtin_ia32_rdtsc();
		int64_t after = clock_ns();

		if (after - before < closest) {
			closest = after - before;
			best = (struct moment){ ticks, before + (after - before) / 2 };
		}
	}
	return best;
}

int
main(void)
{
	const struct timespec window = { 0, WINDOW_NS };
	struct moment first = take_moment(), last;

	nanosleep(&window, NULL);
	last = take_moment();
	printf("%.0f\n", (double)(last.ticks - first.ticks) * 1e9 / (double)(last.ns - first.ns));
	return 0;
}

#else

int
main(void)
{
	fprintf(stderr, "bootsonde-host-tsc: this host has no time stamp counter that QEMU would give to a guest\n");
	return 1;
}

#endif
