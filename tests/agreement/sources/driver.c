/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared.h"

/* A twin of the one in clock.c. */
static int check(struct clock *clock, u32 flags)
{
	struct local { u32 flags; u8 count : 3, more : 5; } local = { flags, 1, 2 };

	return (clock->mode == MODE_FAST) + (int)local.flags + local.count + local.more;
}

int (*volatile check_of_driver)(struct clock *, u32) = check;

static inline __attribute__((always_inline)) int twice(struct clock *clock, u32 flags)
{
	sink += port_in(0x61);
	return check(clock, flags) + check(clock, flags + 1);
}

static int handle(void *context, u32 event)
{
	struct clock *clock = context;

	switch (event) {
	case 0: return twice(clock, 3);
	case 1: return (int)clock->bytes.rest[2];
	case 2: port_out(0x20, 0x20); return 2;
	case 3: return (int)clock_read(clock);
	case 4: return clock->matrix[1][2][3];
	case 5: __asm__ volatile("cli; sti"); return 5;
	case 6: return (int)clock->packed.b;
	default: return -1;
	}
}

int driver_probe(struct clock *clock)
{
	int result;

	clock->handler = handle;
	result = clock_start(clock, 4);
	if (result > 3)
		result += twice(clock, 9);
	return result;
}

void fail(const char *why, ...)
{
	sink = (u64)*why;
	for (;;)
		__asm__ volatile("hlt");
}
