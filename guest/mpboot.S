/*
 * mpboot.S: an application processor's way up. mp_machdep.c copies mptramp_start..mptramp_end to MPBOOT_ADDR and
 * sends INIT and SIPI (SDM 3A 9.4); the processor starts in real mode with CS = MPBOOT_ADDR / 16, IP = 0.
 */
#include "asmacros.h"

#define TRAMP(symbol)	(MPBOOT_ADDR + (symbol) - mptramp_start)

	.cfi_sections .debug_frame
	.section .rodata, "a", @progbits
	.balign	16
	.globl	mptramp_start, mptramp_end
	.type	mptramp_start, @object
	.code16
mptramp_start:
	/* 1. Real mode: data segment = code segment. */
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds

	/* 2. Into 32-bit protected mode. */
	lgdtl	mptramp_gdt_desc - mptramp_start
	movl	$(CR0_PE | CR0_NE), %eax
	movl	%eax, %cr0
	ljmpl	$KCODE32_SEL, $TRAMP(mptramp_32)

	.code32
mptramp_32:
	movl	$KDATA_SEL, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss

	/* 3. The boot processor's page tables, which still hold the identity map. */
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$PA(boot_pml4), %eax
	movl	%eax, %cr3

	/* 4. Long mode. */
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	$(CR0_PE | CR0_NE | CR0_WP | CR0_PG), %eax
	movl	%eax, %cr0
	ljmpl	$KCODE64_SEL, $TRAMP(mptramp_64)

	.code64
mptramp_64:
	movabsq	$mpboot_high, %rax
	jmp	*%rax

	.balign	8
mptramp_gdt:
	GDT_ENTRIES
mptramp_gdt_desc:
	.word	mptramp_gdt_desc - mptramp_gdt - 1
	.long	TRAMP(mptramp_gdt)
mptramp_end:
	.size	mptramp_start, . - mptramp_start

	.text
	.globl	mpboot_high
	.type	mpboot_high, @function
mpboot_high:
	.cfi_startproc
	.cfi_undefined 16			/* rip: the outermost frame */
	/* 5. At the link address: descriptors, the stack that start_ap left in bootSTK, and C. */
	lgdt	gdt_desc
	movl	$KDATA_SEL, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movq	bootSTK, %rsp
	xorl	%ebp, %ebp
	call	init_secondary
1:	cli
	hlt
	jmp	1b
	.cfi_endproc
	.size	mpboot_high, . - mpboot_high

	.section .note.GNU-stack, "", @progbits
