/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of many kinds, each guarding a message of its own, in a program without a C library that runs the one whose
 * number is its first argument and ends with 1 when the message came. test_cprobe_checks.py runs it under gdb.
 */
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned char u8;
volatile int failed, console, work_done;
#define NI __attribute__((noinline))
#ifdef __x86_64__
static __attribute__((noreturn)) void leave(int s){ __asm__ volatile("syscall"::"a"(60),"D"(s):"memory"); for(;;); }
#else
static __attribute__((noreturn)) void leave(int s){ __asm__ volatile("int $0x80"::"a"(1),"b"(s):"memory"); for(;;); }
#endif
NI void kassert_panic(const char *f, ...){ failed = 1; console = *f; }
NI __attribute__((noreturn)) void panic(const char *f, ...){ console = *f; leave(1); }
NI __attribute__((noreturn,cold)) void cold_panic(const char *f, ...){ console = *f; leave(1); }
NI void work(int x){ work_done += x; }
#define KASSERT(e,m) do { if (__builtin_expect(!(e),0)) kassert_panic m; } while(0)
u32 cpu_feature, flags_w, w3;
u64 tsc_freq, loc_freq, table[8];
static u64 stat_v;
int a_flag, b_flag, count_x, ready, sw_ok, cold_v, pan_v, loopv, gone, nested_b;
int mode = 3, va = 1, vb = 5, nested_a = 1;
u8 byte_v;
_Bool boolv;
void *ptrv;
struct { u32 low, high; u64 x; } hv;
struct pc { int pad[4]; int ready; } thepc, *pc = &thepc;
NI int get_ready(void){ return ready; }
NI void c1(void){ work(1); KASSERT((cpu_feature & 16) != 0 && tsc_freq != 0, ("msg and case")); work(2); }
NI void c2(void){ work(1); KASSERT(a_flag || b_flag, ("msg or case")); work(2); }
NI void c3(void){ KASSERT(count_x == 7, ("msg cmp case")); work(2); }
NI void c4(void){ KASSERT(flags_w & 0x4000, ("msg bit case")); work(2); }
NI void c5(void){ KASSERT(hv.high >= 0x40000010, ("msg field case")); work(2); }
NI void c6(void){ KASSERT(get_ready(), ("msg retval case")); work(2); }
NI void c7(void){ u64 f = loc_freq; work(1); work(3); KASSERT(f != 0, ("msg local case")); work(2); }
NI void c8(void)
{
	switch (mode) {
	case 0: work(1); break;
	case 1: work(20); break;
	case 2: work(31); break;
	case 3: work(77); break;
	case 4: work(15); break;
	case 5: work(16); work(1); break;
	case 6: work(9); break;
	}
	KASSERT(sw_ok, ("msg switch case"));
	work(2);
}
NI void c9(void){ KASSERT(pc->ready != 0, ("msg pointer case")); work(2); }
NI void c10(void){ KASSERT(table[3] != 0, ("msg array case")); work(2); }
NI void c11(void){ KASSERT(boolv, ("msg bool case")); work(2); }
NI void c12(void){ KASSERT(ptrv != (void*)0, ("msg null case")); work(2); }
NI void c13(void){ work(5); if (cold_v == 0) cold_panic("msg cold case"); work(2); }
NI void c14(void){ if (pan_v != 0) { work(3); return; } panic("msg panic case"); }
NI void c15(void){ KASSERT(va == vb, ("msg two case")); work(2); }
NI void c16(void){ for (int i = 0; i < 4; i++) { work(i); KASSERT(loopv > i, ("msg loop case")); } }
NI void c17(void){ KASSERT((w3 >> 3) & 1, ("msg shift case")); work(2); }
NI void c18(void){ stat_v += work_done; KASSERT(stat_v > 100000, ("msg store case")); work(2); }
NI void c19(void){ KASSERT(byte_v > 3, ("msg byte case")); work(2); }
NI void c20(int x){ if (x) { work(1); if (!gone) panic("msg nested case %d", x); } work(2); }
NI void c21(void){ KASSERT(nested_a && (nested_b || byte_v), ("msg mixed case")); work(2); }
NI int body(int n)
{
	switch (n) {
	case 1: c1(); break;
	case 2: c2(); break;
	case 3: c3(); break;
	case 4: c4(); break;
	case 5: c5(); break;
	case 6: c6(); break;
	case 7: c7(); break;
	case 8: c8(); break;
	case 9: c9(); break;
	case 10: c10(); break;
	case 11: c11(); break;
	case 12: c12(); break;
	case 13: c13(); break;
	case 14: c14(); break;
	case 15: c15(); break;
	case 16: c16(); break;
	case 17: c17(); break;
	case 18: c18(); break;
	case 19: c19(); break;
	case 20: c20(n); break;
	case 21: c21(); break;
	}
	return failed;
}
void start_c(long *sp)
{
	int n = 0;

	for (char *p = (char *)sp[2]; *p; p++)
		n = n * 10 + *p - '0';
	leave(body(n));
}
#ifdef __x86_64__
__asm__(".globl _start\n"
	".type _start,@function\n"
	"_start: mov %rsp,%rdi\n and $-16,%rsp\n call start_c\n"
	".size _start,.-_start");
#else
__asm__(".globl _start\n"
	".type _start,@function\n"
	"_start: mov %esp,%eax\n and $-16,%esp\n sub $12,%esp\n push %eax\n call start_c\n"
	".size _start,.-_start");
#endif
