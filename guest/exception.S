/*
 * exception.S: one entry stub a vector, all of one size, so that trap.c can compute their addresses.
 *
 * Each stub makes the stack a struct trapframe (machine.h) and calls trap() with its address. Call frame information
 * follows every push, so a debugger walks through an interrupt into what it interrupted.
 */
#include "asmacros.h"

	.cfi_sections .debug_frame
	.text

	/* Rows for rip and rsp of what was interrupted; CFA is where rip lies. */
	.macro	INTERRUPT_CFI extra
	.cfi_signal_frame
	.cfi_def_cfa 7, \extra			/* rsp */
	.cfi_offset 16, 0			/* rip */
	.cfi_offset 7, 24			/* rsp */
	.endm

	/* Vectors 8, 10-14, 17 and 21 push an error code of their own (SDM 3A 6.15). */
	.globl	idt_stubs
	.balign	16
	.type	idt_stubs, @function
idt_stubs:
	.cfi_startproc
	INTERRUPT_CFI 0
	vector = 0
	.rept	256
	.balign	16
	.if	vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
	.cfi_def_cfa_offset 8
	.else
	.cfi_def_cfa_offset 0
	pushq	$0
	.cfi_def_cfa_offset 8
	.endif
	pushq	$vector
	.cfi_def_cfa_offset 16
	jmp	alltraps
	vector = vector + 1
	.endr
	.cfi_endproc
	.size	idt_stubs, . - idt_stubs

	.globl	alltraps
	.type	alltraps, @function
alltraps:
	.cfi_startproc
	INTERRUPT_CFI 16
	.macro	PUSH register, number
	pushq	%\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \number, 0
	.endm
	.macro	POP register, number
	popq	%\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \number
	.endm
	PUSH	rax, 0
	PUSH	rbx, 3
	PUSH	rcx, 2
	PUSH	rdx, 1
	PUSH	rsi, 4
	PUSH	rdi, 5
	PUSH	rbp, 6
	PUSH	r8, 8
	PUSH	r9, 9
	PUSH	r10, 10
	PUSH	r11, 11
	PUSH	r12, 12
	PUSH	r13, 13
	PUSH	r14, 14
	PUSH	r15, 15
	cld
	movq	%rsp, %rdi
	call	trap
	POP	r15, 15
	POP	r14, 14
	POP	r13, 13
	POP	r12, 12
	POP	r11, 11
	POP	r10, 10
	POP	r9, 9
	POP	r8, 8
	POP	rbp, 6
	POP	rdi, 5
	POP	rsi, 4
	POP	rdx, 1
	POP	rcx, 2
	POP	rbx, 3
	POP	rax, 0
	addq	$16, %rsp
	.cfi_adjust_cfa_offset -16
	iretq
	.cfi_endproc
	.size	alltraps, . - alltraps

	.section .note.GNU-stack, "", @progbits
