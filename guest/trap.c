/*
 * trap.c: the interrupt descriptor table, and what happens at a vector: exceptions panic, interrupts are handled.
 */
#include "clock.h"
#include "cons.h"
#include "cpufunc.h"
#include "machine.h"
#include "systm.h"

#define IDT_VECTORS	256
#define STUB_SIZE	16		/* exception.S aligns each stub so */
#define IDT_INTERRUPT_GATE 0x8e00	/* present, ring 0, type 14 (SDM 3A 6.14.1) */

struct gate_descriptor {
	uint16_t gd_low;
	uint16_t gd_selector;
	uint16_t gd_type;		/* interrupt stack table 0, type */
	uint16_t gd_middle;
	uint32_t gd_high;
	uint32_t gd_reserved;
};
_Static_assert(sizeof(struct gate_descriptor) == 16, "SDM 3A 6.14.1");

extern const char idt_stubs[];

static struct gate_descriptor idt[IDT_VECTORS];

static const char *const trap_msg[] = {
	"divide error", "debug exception", "non-maskable interrupt", "breakpoint", "overflow", "bound range",
	"invalid opcode", "device not available", "double fault", "", "invalid TSS", "segment not present",
	"stack fault", "general protection fault", "page fault", "", "floating point error", "alignment check",
	"machine check", "SIMD floating point error",
};

__noinline void
idt_init(void)
{
	for (u_int vector = 0; vector < IDT_VECTORS; vector++) {
		uint64_t stub = (uint64_t)(uintptr_t)idt_stubs + vector * STUB_SIZE;

		idt[vector].gd_low = (uint16_t)stub;
		idt[vector].gd_selector = KCODE64_SEL;
		idt[vector].gd_type = IDT_INTERRUPT_GATE;
		idt[vector].gd_middle = (uint16_t)(stub >> 16);
		idt[vector].gd_high = (uint32_t)(stub >> 32);
	}
	lidt_all();
}

/* Each CPU loads the one table. */
__noinline void
lidt_all(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __packed region = { sizeof(idt) - 1, (uint64_t)(uintptr_t)idt };

	__asm__ __volatile__("lidt %0" : : "m"(region));
}

static __noinline __dead2 void
trap_fatal(const struct trapframe *frame)
{
	uint64_t number = frame->tf_trapno;
	const char *name = number < nitems(trap_msg) ? trap_msg[number] : "unexpected interrupt";

	printf("\nFatal trap %lu: %s while in kernel mode\n", number, name);
	if (number == T_PAGEFLT)
		printf("fault virtual address = 0x%lx\n", rcr2());
	printf("error code            = 0x%lx\ninstruction pointer   = 0x%lx:0x%lx\nstack pointer         = 0x%lx:0x%lx\n"
	    "frame pointer         = 0x%lx\nprocessor eflags      = 0x%lx\n", frame->tf_err, frame->tf_cs,
	    frame->tf_rip, frame->tf_ss, frame->tf_rsp, frame->tf_rbp, frame->tf_rflags);
	panic("%s", name);
}

/* Called by exception.S, interrupts off. */
__noinline void
trap(struct trapframe *frame)
{
	switch (frame->tf_trapno) {
	case APIC_TIMER_INT:
		lapic_handle_timer();
		break;
	case IPI_RENDEZVOUS:
		lapic_eoi();
		smp_rendezvous_action();
		break;
	case IDT_IO_INTS + NS8250_IRQ:	/* it wakes cngetc_intr, which reads the byte */
		lapic_eoi();
		break;
	case APIC_SPURIOUS_INT:		/* takes no end-of-interrupt (SDM 3A 10.9) */
		break;
	default:
		trap_fatal(frame);
	}
}
