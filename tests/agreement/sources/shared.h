/* SPDX-License-Identifier: BSD-2-Clause */
/* The small program that the agreement tests compile in many ways: one of everything that debug data has a form for. */
#ifndef SHARED_H
#define SHARED_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int (*handler_t)(void *context, u32 event);

enum mode { MODE_NONE, MODE_SLOW, MODE_FAST = 7 };

struct list { struct list *next, *previous; };

struct bits {
	u32 low : 3;
	u32 middle : 11;
	u32 : 4;
	int high : 9;
	u8 byte;
	u64 wide : 40;
	u64 rest : 20;
	enum mode mode : 4;
} __attribute__((aligned(16)));

struct packed_bits {
	u8 tag;
	u16 a : 5, b : 7;
	u32 value;
	u64 c : 33;
} __attribute__((packed));

struct clock {
	struct list list;
	const char *name;
	union {
		u64 raw;
		struct {
			u32 low, high;
		};
		struct {
			u8 first;
			u8 rest[7];
		} bytes;
	};
	struct {
		u32 mul;
		signed char shift;
	} scale[3];
	handler_t handler;
	int (*table[4])(struct clock *, const struct bits *);
	u8 matrix[2][3][5];
	struct bits bits;
	struct packed_bits packed;
	volatile const u32 *const registers;
	long double ratio;
	_Bool stable;
	enum mode mode;
	u8 tail[];
};

union word {
	u64 whole;
	u32 half[2];
	struct { u16 a, b, c, d; } quarter;
};

struct empty { };

static inline u64 read_tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

static inline void ask_cpuid(u32 leaf, u32 *out)
{
#ifdef __i386__
	__asm__ volatile("push %%ebx; cpuid; mov %%ebx, %1; pop %%ebx"
		: "=a"(out[0]), "=&r"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(0));
#else
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(0));
#endif
}

static inline u64 read_msr(u32 number)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return low | (u64)high << 32;
}

static inline __attribute__((always_inline)) void write_msr(u32 number, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(number), "a"((u32)value), "d"((u32)(value >> 32)));
}

static inline void port_out(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 port_in(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

extern volatile u64 sink;
extern struct clock first_clock;

u64 clock_read(struct clock *clock);
u64 clock_alias(struct clock *clock);
int clock_start(struct clock *clock, u32 flags);
int driver_probe(struct clock *clock);
u64 compute(const union word *words, u32 count);
void fail(const char *why, ...) __attribute__((noreturn, cold));
u32 assembly_sum(u32 a, u32 b);

#endif
