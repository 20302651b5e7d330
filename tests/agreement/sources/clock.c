/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared.h"

volatile u64 sink;
struct clock first_clock = { .name = "first", .registers = 0 };
struct empty nothing;

/* A twin of the one in driver.c. */
static int check(struct clock *clock, u32 flags)
{
	return clock->bits.low == flags;
}

int (*volatile check_of_clock)(struct clock *, u32) = check;

static inline u64 scale(u64 delta, u32 mul, int shift)
{
	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;
	return delta * mul;
}

/* Each caller gives the same number: gcc makes a copy of it with the number inside. */
static __attribute__((noinline)) u64 calibrate(struct clock *clock, u32 rounds, u32 leaf)
{
	u32 out[4];
	u64 sum = 0;

	for (u32 i = 0; i < rounds; i++) {
		ask_cpuid(leaf, out);
		sum += scale(read_tsc(), out[0], clock->scale[0].shift) + out[1];
	}
	return sum;
}

u64 clock_read(struct clock *clock)
{
	u64 now = read_tsc();

	{
		struct clock *inner = clock;
		u64 before = inner->raw;

		now += scale(now - before, inner->scale[1].mul, inner->scale[1].shift);
	}
	return now + read_msr(0x10);
}

u64 clock_alias(struct clock *clock) __attribute__((alias("clock_read")));
static u64 local_alias(struct clock *clock) __attribute__((alias("clock_read"), used));

int clock_start(struct clock *clock, u32 flags)
{
	if (__builtin_expect(!clock->handler, 0)) {
		sink = flags;
		fail("clock %s has no handler", clock->name);
	}
	if (__builtin_expect(clock->mode == MODE_NONE, 0)) {
		sink = read_msr(0x1b);
		port_out(0xf4, 0x11);
		fail("clock %s has no mode", clock->name);
	}
	write_msr(0x10, calibrate(clock, 16, 0x40000010));
	sink += calibrate(clock, 16, 0x15);
	return clock->handler(clock, flags) + check(clock, flags);
}
