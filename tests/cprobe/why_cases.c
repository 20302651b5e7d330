/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests/cprobe/test_cprobe_why.py asks about: each kind of way from one function to another. */
#define NOINLINE __attribute__((noinline))
#define DO(x) __asm__ volatile("" : : "r"(x) : "memory")

int level, *slot;
struct sysinit { int order; void (*func)(void); };
struct method { int op; int (*func)(void); };
struct driver { const char *name; const struct method *methods; };
struct ops { const char *name; int (*open)(void); void (*close)(void); };

NOINLINE void leaf_variable(void) { DO(1); }
NOINLINE void leaf_returned(void) { DO(2); }
NOINLINE void leaf_cpuid(void) { DO(3); }
NOINLINE void leaf_argument(void) { DO(4); }
NOINLINE void leaf_tail(void) { DO(5); }
NOINLINE void leaf_bit(void) { DO(6); }
NOINLINE void leaf_shared(void) { DO(7); }
NOINLINE void leaf_callback(void) { DO(8); }
NOINLINE void leaf_deep(void) { DO(9); }
NOINLINE void witness(void) { DO(10); }
NOINLINE void orphan(void) { leaf_deep(); DO(11); }
NOINLINE int answer(void) { int r; __asm__ volatile("xor %0, %0" : "=r"(r)); return r; }

NOINLINE void by_variable(void)
{
	if (level == 7)
		leaf_variable();
	DO(20);
}

NOINLINE void by_returned(void)
{
	if (answer() != 0)
		leaf_returned();
	DO(21);
}

NOINLINE void by_cpuid(void)
{
	unsigned int a = 0x40000000, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (b == 0x4b4d564b)
		leaf_cpuid();
	DO(22);
}

NOINLINE void by_argument(int flags)
{
	if (flags == 8)
		leaf_argument();
	DO(23);
}

NOINLINE void by_bit(void)
{
	if (level & 0x40)
		leaf_bit();
	DO(24);
}

NOINLINE void by_tail(void)
{
	DO(25);
	if (level == 9)
		leaf_tail();
}

NOINLINE void two_ways(void)
{
	if (level == 3)
		witness();
	else
		leaf_shared();
	DO(26);
}

NOINLINE void kvm_start(void) { leaf_shared(); DO(27); }
NOINLINE void xen_start(void) { leaf_shared(); DO(28); }
NOINLINE void give(void (*what)(void)) { DO(what); }
NOINLINE void registers(void) { give(leaf_callback); DO(29); }

static inline __attribute__((always_inline)) void small(int x) { if (x == 77) witness(); }
NOINLINE void around(void) { small(level); DO(30); }
NOINLINE void unused(void) { DO(31); }

NOINLINE int dev_identify(void) { if (level != 5) return 0; witness(); DO(32); return 1; }
NOINLINE int dev_probe(void) { DO(33); return 0; }
NOINLINE int dev_attach(void) { leaf_deep(); DO(34); return 0; }
const struct method dev_methods[] = { { 1, dev_identify }, { 2, dev_probe }, { 3, dev_attach }, { 0, 0 } };
const struct driver dev_driver = { "dev", dev_methods };
const struct driver *const drivers[] = { &dev_driver, 0 };

NOINLINE void bus(void)
{
	for (const struct driver *const *d = drivers; *d; d++) {
		for (const struct method *m = (*d)->methods; m->op; m++) {
			if (m->op == level && m->func())
				break;
		}
	}
}

NOINLINE int plain_open(void) { DO(35); return 0; }
NOINLINE void plain_close(void) { DO(36); }
struct ops hooks = { "hooks", plain_open, plain_close };
NOINLINE void use_hooks(void) { if (level == 4) hooks.close(); DO(37); }

NOINLINE void init_one(void) { DO(38); }
static struct sysinit one_init = { 1, init_one };
static const void *const one_set __attribute__((section("set_boot"), used)) = &one_init;
extern const struct sysinit *const __start_set_boot[], *const __stop_set_boot[];

NOINLINE void run_set(void)
{
	for (const struct sysinit *const *s = __start_set_boot; s < __stop_set_boot; s++)
		(*s)->func();
}

NOINLINE void init_near(void) { DO(39); }
__asm__(".pushsection initcall_near, \"a\"\n.balign 4\n.long init_near - .\n.popsection");
extern const int __start_initcall_near[], __stop_initcall_near[];

NOINLINE void run_near(void)
{
	for (const int *s = __start_initcall_near; s < __stop_initcall_near; s++)
		((void (*)(void))((const char *)s + *s))();
}

void _start(void)
{
	by_variable(); by_returned(); by_cpuid(); by_argument(level); by_bit(); by_tail(); two_ways(); registers(); around();
	if (level == 1)
		kvm_start();
	if (level == 2)
		xen_start();
	bus(); use_hooks(); run_set(); run_near();
	DO(40);
}
