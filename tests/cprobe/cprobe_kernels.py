"""Sources of the small kernels that the tests compile."""

from __future__ import annotations

CLOCK_H = """
typedef unsigned long long uint64_t;
typedef unsigned int u_int;
static inline void do_cpuid(u_int leaf, u_int *p)
{
\t__asm__ volatile("cpuid" : "=a"(p[0]), "=b"(p[1]), "=c"(p[2]), "=d"(p[3]) : "0"(leaf), "2"(0));
}
static inline uint64_t rdtsc(void)
{
\tu_int low, high;
\t__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
\treturn low | (uint64_t)high << 32;
}
void panic(const char *format, ...) __attribute__((noreturn, noinline));
void kassert_panic(const char *format, ...) __attribute__((noinline));
void print(const char *format, ...) __attribute__((noinline));
"""

TSC_C = """#include "clock.h"
uint64_t tsc_freq;
u_int cpu_feature = 16;
int tsc_is_invariant;
double weight;
static int twin(int a) { return a * 3; }
int (*volatile twin_of_tsc)(int) = twin;
int tsc_freq_cpuid_vm(uint64_t *freq, int verbose, const char *name)
{
\tu_int regs[4];
\tdo_cpuid(0x40000010, regs);
\t*freq = (uint64_t)regs[0] * 1000;
\treturn verbose && name && regs[0] != 0;
}
uint64_t tsc_read(void)
{
\treturn rdtsc();
}
"""

LAPIC_C = """#include "clock.h"
extern uint64_t tsc_freq;
extern u_int cpu_feature;
extern int tsc_is_invariant;
static int twin(int a) { return a + 7; }
int (*volatile twin_of_lapic)(int) = twin;
volatile int console;
void panic(const char *format, ...)
{
\tconsole = *format;
\tfor (;;)
\t\t__asm__ volatile("hlt");
}
void kassert_panic(const char *format, ...)
{
\tconsole = *format;
}
void print(const char *format, ...)
{
\tconsole = format[1];
}
#define KASSERT(exp, msg) do { if (__builtin_expect(!(exp), 0)) kassert_panic msg; } while (0)
void lapic_init(int boot)
{
\tprint("lapic %d", boot);
\tKASSERT((cpu_feature & 16) != 0 && tsc_freq != 0, ("TSC not initialized"));
\tconsole = boot;
}
void lapic_calibrate(const char *name)
{
\tif (!tsc_is_invariant)
\t\tpanic("Statistical %s calibration failed!  Clocks might be ticking at variable rates.", name);
\tconsole = 3;
}
void _start(void)
{
\tlapic_init(1);
\tlapic_calibrate("lapic");
}
"""

SOURCES = {"clock.h": CLOCK_H, "x86/tsc.c": '#include "../clock.h"\n' + TSC_C.split("\n", 1)[1],
           "x86/local_apic.c": '#include "../clock.h"\n' + LAPIC_C.split("\n", 1)[1]}
