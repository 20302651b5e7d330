/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When things happen, in ns since the guest's first instruction. Three clocks:
 *
 *	host, by TSC	the stamp of a record is the host's time stamp counter, which costs less to read than the time;
 *			the writer looks at both now and then and makes ns of stamps in between
 *	host		the stamp is CLOCK_MONOTONIC, ns since the start: on hosts that are no x86
 *	virtual		QEMU's virtual clock under icount. Asking for it within a translated block ends QEMU ("Bad icount
 *			read"), so that instructions are counted here, and the count is set right wherever QEMU can be asked:
 *			when code is translated, which is between blocks, and, for the jump that the clock makes while all
 *			vCPUs are halted, by a thread that is no vCPU.
 */
#ifndef BOOTSONDE_CLOCK_H
#define BOOTSONDE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cprobe.h"

struct qemu_plugin_tb;

struct clock {
	bool is_virtual;	/* icount: one thread runs all vCPUs, and nothing may depend on the host's time */
	bool is_exact;		/* QEMU was asked for its virtual clock; else instructions alone were counted */
	bool has_tsc;
	uint64_t start;		/* CLOCK_MONOTONIC at 0, ns; host clocks only */
};

extern struct clock host_clock;

/* At the first translation, which is before the first instruction. shift: of icount where QEMU does not tell; -1 unknown. */
struct cp_error *clock_start(unsigned int vcpus, int shift);
void clock_stop(void);

static inline uint64_t
monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Of a record, with the host's clock. */
static inline uint64_t
clock_stamp(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_ia32_rdtsc();
#else
	return monotonic_ns() - host_clock.start;
#endif
}

/* Of a record, with the virtual clock: ns. From the thread that runs the vCPUs. */
uint64_t clock_virtual(void);

/* Under icount, in each block that is translated, before anything else is added to it. */
void clock_translate(struct qemu_plugin_tb *tb, unsigned int instructions);
/* vcpu halts, and the virtual clock may jump. */
void clock_halts(unsigned int vcpu, void *userdata);

/* Two moments of the host, between which stamps lie. */
struct clock_window {
	uint64_t stamp, ns;	/* the earlier one */
	double rate;		/* ns a stamp */
	uint64_t next_stamp, next_ns;
};

void clock_window_init(struct clock_window *window);
/* The window from where the last ended until now: for stamps that were taken before this call. */
void clock_window_advance(struct clock_window *window);
/* The window from where it began until now. */
void clock_window_extend(struct clock_window *window);

static inline uint64_t
clock_window_ns(const struct clock_window *window, uint64_t stamp)
{
	if (!host_clock.has_tsc)
		return stamp;
	if (stamp <= window->stamp)
		return window->ns;
	return window->ns + (uint64_t)((double)(stamp - window->stamp) * window->rate);
}

#endif
