/* SPDX-License-Identifier: BSD-2-Clause */
	.text
	.globl	assembly_sum
	.type	assembly_sum, @function
assembly_sum:
#ifdef __i386__
	movl	4(%esp), %eax
	addl	8(%esp), %eax
#else
	movl	%edi, %eax
	addl	%esi, %eax
#endif
.Lback:
	ret
	.size	assembly_sum, . - assembly_sum

/* A function without a size, and a label that is none. */
	.globl	sizeless
	.type	sizeless, @function
sizeless:
	hlt
inside:
	ud2
	.section .note.GNU-stack, "", @progbits
