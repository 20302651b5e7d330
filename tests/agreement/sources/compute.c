/* SPDX-License-Identifier: BSD-2-Clause */
#include "shared.h"

static u64 mix(u64 a, u64 b)
{
	a ^= b << 7;
	a ^= a >> 9;
	return a + b;
}

/* Recursion keeps a concrete copy beside the inlined ones. */
static u64 fold(const union word *words, u32 count)
{
	if (count == 0)
		return 0;
	if (count == 1)
		return mix(words->whole, words->quarter.b);
	return mix(fold(words, count / 2), fold(words + count / 2, count - count / 2));
}

u64 compute(const union word *words, u32 count)
{
	u64 total = 0;

	for (u32 i = 0; i < count; i++) {
		total = mix(total, words[i].half[i & 1]);
		if (total > 1000000) {
			static u32 overflows;

			overflows++;
			__asm__ volatile("invlpg %0" : : "m"(overflows));
			total = assembly_sum((u32)total, overflows);
		}
	}
	return total + fold(words, count);
}

__attribute__((noinline)) static void idle(void)
{
	__asm__ volatile("pause");
}

void _start(void)
{
	static const union word words[3] = { { 1 }, { 2 }, { 3 } };

	sink = compute(words, 3);
	sink += (u64)driver_probe(&first_clock) + clock_alias(&first_clock);
	for (;;)
		idle();
}
