/*
 * cpufunc.h: one inline function an instruction: CPUID, MSRs, time stamp, ports, flags, control registers.
 */
#ifndef GUEST_CPUFUNC_H
#define GUEST_CPUFUNC_H

#include "cdefs.h"
#include "specialreg.h"

static inline void
cpuid_count(u_int leaf, u_int subleaf, u_int *p)
{
	__asm__ __volatile__("cpuid" : "=a"(p[0]), "=b"(p[1]), "=c"(p[2]), "=d"(p[3]) : "0"(leaf), "2"(subleaf));
}

/* p[0..3] are EAX, EBX, ECX, EDX. */
static inline void
do_cpuid(u_int leaf, u_int *p)
{
	cpuid_count(leaf, 0, p);
}

static inline uint64_t
rdmsr(u_int msr)
{
	uint32_t low, high;

	__asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (low | ((uint64_t)high << 32));
}

static inline void
wrmsr(u_int msr, uint64_t value)
{
	__asm__ __volatile__("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
}

static inline uint64_t
rdtsc(void)
{
	uint32_t low, high;

	__asm__ __volatile__("rdtsc" : "=a"(low), "=d"(high));
	return (low | ((uint64_t)high << 32));
}

/* Not before earlier loads: SDM 2B, RDTSC, asks for LFENCE in front. */
static inline uint64_t
rdtsc_ordered(void)
{
	__asm__ __volatile__("lfence" : : : "memory");
	return (rdtsc());
}

static inline void
outb(u_int port, uint8_t value)
{
	__asm__ __volatile__("outb %0, %w1" : : "a"(value), "Nd"(port));
}

static inline uint8_t
inb(u_int port)
{
	uint8_t value;

	__asm__ __volatile__("inb %w1, %0" : "=a"(value) : "Nd"(port));
	return (value);
}

static inline void
outl(u_int port, uint32_t value)
{
	__asm__ __volatile__("outl %0, %w1" : : "a"(value), "Nd"(port));
}

static inline void
ia32_pause(void)
{
	__asm__ __volatile__("pause" : : : "memory");
}

static inline void
disable_intr(void)
{
	__asm__ __volatile__("cli" : : : "memory");
}

static inline void
enable_intr(void)
{
	__asm__ __volatile__("sti" : : : "memory");
}

static inline void
halt(void)
{
	__asm__ __volatile__("hlt" : : : "memory");
}

/* Interrupts come in between sti and hlt only after hlt has begun, so none is slept over. */
static inline void
enable_intr_and_halt(void)
{
	__asm__ __volatile__("sti; hlt" : : : "memory");
}

static inline uint64_t
intr_disable(void)
{
	uint64_t flags;

	__asm__ __volatile__("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return (flags);
}

static inline void
intr_restore(uint64_t flags)
{
	__asm__ __volatile__("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

static inline uint64_t
rcr2(void)
{
	uint64_t value;

	__asm__ __volatile__("movq %%cr2, %0" : "=r"(value));
	return (value);
}

static inline uint64_t
rcr3(void)
{
	uint64_t value;

	__asm__ __volatile__("movq %%cr3, %0" : "=r"(value));
	return (value);
}

static inline void
load_cr3(uint64_t value)
{
	__asm__ __volatile__("movq %0, %%cr3" : : "r"(value) : "memory");
}

/* a * b / c with a 128-bit product; the caller sees to it that the quotient fits 64 bits (a < c or b < c). */
static inline uint64_t
muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low, high;

	__asm__("mulq %3" : "=a"(low), "=d"(high) : "0"(a), "rm"(b) : "cc");
	if (c == 0 || high >= c)
		return (UINT64_MAX);
	__asm__("divq %4" : "=a"(low), "=d"(high) : "0"(low), "1"(high), "rm"(c) : "cc");
	return (low);
}

#endif
