/*
 * machine.h: the processor's view: per-CPU data, trap frames, interrupt vectors, CPUs, what identcpu.c found.
 */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include "cdefs.h"

/* Per-CPU data, found through GS base. */
struct pcpu {
	struct pcpu	*pc_prvspace;	/* itself: what %gs:0 reads */
	u_int		pc_cpuid;	/* 0 is the boot processor */
	u_int		pc_apic_id;
	volatile u_int	pc_timer_ticks;	/* local APIC timer interrupts taken */
};

extern struct pcpu __pcpu[MAXCPU];

static inline struct pcpu *
get_pcpu(void)
{
	struct pcpu *pcpu;

	__asm__ __volatile__("movq %%gs:0, %0" : "=r"(pcpu));
	return (pcpu);
}

#define PCPU_GET(member) (get_pcpu()->pc_##member)

void	pcpu_init(u_int cpuid);

/* What exception.S leaves on the stack, lowest address first. */
struct trapframe {
	uint64_t tf_r15, tf_r14, tf_r13, tf_r12, tf_r11, tf_r10, tf_r9, tf_r8;
	uint64_t tf_rbp, tf_rdi, tf_rsi, tf_rdx, tf_rcx, tf_rbx, tf_rax;
	uint64_t tf_trapno, tf_err;
	uint64_t tf_rip, tf_cs, tf_rflags, tf_rsp, tf_ss;
};
_Static_assert(offsetof(struct trapframe, tf_trapno) == 120, "exception.S pushes 15 registers");
_Static_assert(sizeof(struct trapframe) == 176, "exception.S and the processor push 22 words");

/* Vectors. */
#define T_PAGEFLT		14
#define IDT_IO_INTS		0x30	/* + I/O APIC pin */
#define APIC_TIMER_INT		0xef
#define IPI_RENDEZVOUS		0xf0
#define APIC_SPURIOUS_INT	0xff

void	idt_init(void);
void	lidt_all(void);
void	trap(struct trapframe *frame);

/* identcpu.c: CPUID as it was at boot; names as FreeBSD's <machine/md_var.h> */
extern u_int cpu_high, cpu_id, cpu_feature, cpu_feature2, amd_feature, amd_pminfo;
extern char cpu_vendor[13];
extern u_int hv_base, hv_high;
extern char hv_vendor[13];
extern int vm_guest;
enum VM_GUEST {
	VM_GUEST_NO = 0, VM_GUEST_VM, VM_GUEST_XEN, VM_GUEST_HV, VM_GUEST_VMWARE, VM_GUEST_KVM, VM_GUEST_BHYVE,
	VM_GUEST_VBOX, VM_GUEST_PARALLELS, VM_GUEST_NVMM, VM_LAST
};
void	identify_cpu(void);
void	identify_hypervisor(void);
void	printcpuinfo(void);
bool	cpuid_is_as_cached(void);

/* mptable.c, mp_machdep.c */
extern u_int mp_ncpus;			/* CPUs that run */
extern bool mp_missing;			/* one was asked to start and did not */
extern u_int cpu_apic_ids[MAXCPU];	/* by CPU number; [0] is the boot processor */
extern u_int mp_found;			/* CPUs that the MP table lists, at most MAXCPU kept */
bool	mptable_probe(void);
void	mptable_probe_cpus(void);
void	cpu_mp_start(void);
void	init_secondary(void);
void	smp_rendezvous(void (*action)(void *), void *arg);
void	smp_rendezvous_action(void);

#endif
