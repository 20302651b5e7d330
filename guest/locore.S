/*
 * locore.S: from PVH's 32-bit entry into long mode, in numbered steps, and on to hammer_time and mi_startup.
 *
 * On entry (Xen docs/misc/pvh.pandoc): 32-bit protected mode, paging off, flat segments, interrupts off,
 * EBX = physical address of struct hvm_start_info. All else is undefined, the stack pointer too.
 * Until step 9 this runs at physical addresses: link address - KERNBASE.
 */
#include "asmacros.h"

	.cfi_sections .debug_frame

/* What makes QEMU start us: Xen ELF note type 18, XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h). */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

	.section .note.Xen, "a", @note
	.balign	4
	.long	4				/* name size */
	.long	8				/* descriptor size */
	.long	XEN_ELFNOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.quad	btext - KERNBASE

	/* As in FreeBSD's kernel: an interpreter nobody has. */
	.section .interp, "a", @progbits
	.asciz	"/red/herring"

	.section .text.locore, "ax", @progbits
	.code32
	.globl	btext
	.type	btext, @function
btext:
	.cfi_startproc
	.cfi_undefined 16			/* rip: the outermost frame */
	/* 1. Interrupts off, string operations upwards. */
	cli
	cld

	/* 2. Keep the start info's address; EBX is needed below. */
	movl	%ebx, PA(start_info_pa)

	/* 3. Four page directories map the first 4 GiB with 2 MiB pages; devices (from 3 GiB on) uncached. */
	movl	$PA(boot_pd), %edi
	movl	$(PG_V | PG_RW | PG_PS), %eax
	xorl	%ecx, %ecx
1:	cmpl	$(3 * 512), %ecx
	jne	2f
	orl	$(PG_PCD | PG_PWT), %eax
2:	movl	%eax, (%edi, %ecx, 8)
	movl	$0, 4(%edi, %ecx, 8)
	addl	$0x200000, %eax
	incl	%ecx
	cmpl	$(4 * 512), %ecx
	jne	1b

	/* 4. Upper tables: the directories at 0 (identity), at DMAP_MIN, and two of them at KERNBASE. */
	movl	$(PA(boot_pd) + PG_V + PG_RW), %eax
	movl	%eax, PA(boot_pdpt_low)
	movl	%eax, PA(boot_pdpt_kern) + 510 * 8
	addl	$4096, %eax
	movl	%eax, PA(boot_pdpt_low) + 8
	movl	%eax, PA(boot_pdpt_kern) + 511 * 8
	addl	$4096, %eax
	movl	%eax, PA(boot_pdpt_low) + 16
	addl	$4096, %eax
	movl	%eax, PA(boot_pdpt_low) + 24
	movl	$(PA(boot_pdpt_low) + PG_V + PG_RW), %eax
	movl	%eax, PA(boot_pml4)
	movl	%eax, PA(boot_pml4) + DMAP_PML4I * 8
	movl	$(PA(boot_pdpt_kern) + PG_V + PG_RW), PA(boot_pml4) + 511 * 8

	/* 5. Physical address extension, the root table. */
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$PA(boot_pml4), %eax
	movl	%eax, %cr3

	/* 6. Long mode enabled, */
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr

	/* 7. and active, with paging. */
	movl	$(CR0_PE | CR0_NE | CR0_WP | CR0_PG), %eax
	movl	%eax, %cr0

	/* 8. A 64-bit code segment; still at the physical address. */
	lgdt	PA(gdt_desc_pa)
	ljmpl	$KCODE64_SEL, $PA(btext64)

	.code64
btext64:
	/* 9. Up to the link address. */
	movabsq	$kernel_high, %rax
	jmp	*%rax
	.cfi_endproc
	.size	btext, . - btext

	.globl	kernel_high
	.type	kernel_high, @function
kernel_high:
	.cfi_startproc
	.cfi_undefined 16
	/* 10. The same descriptors at their link address; data segments; GS base stays 0 until pcpu_init. */
	lgdt	gdt_desc
	movl	$KDATA_SEL, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs

	/* 11. A stack; frame pointer 0 ends every walk. */
	movq	$bootstack_top, %rsp
	xorl	%ebp, %ebp

	/* 12. Machine-dependent part, then the machine-independent list, which does not return. */
	movl	start_info_pa, %edi
	call	hammer_time
	call	mi_startup
3:	cli
	hlt
	jmp	3b
	.cfi_endproc
	.size	kernel_high, . - kernel_high

	.section .rodata, "a", @progbits
	.balign	8
	.globl	gdt
gdt:	GDT_ENTRIES
gdt_end:
	.balign	8
gdt_desc_pa:
	.word	gdt_end - gdt - 1
	.long	PA(gdt)
	.balign	8
	.globl	gdt_desc
gdt_desc:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.bss
	.balign	4096
	.globl	boot_pml4
	.type	boot_pml4, @object
	.size	boot_pml4, 4096
boot_pml4:
	.skip	4096
boot_pdpt_low:
	.skip	4096
boot_pdpt_kern:
	.skip	4096
boot_pd:
	.skip	4 * 4096
bootstack:
	.skip	32768
	.globl	bootstack_top
bootstack_top:
start_info_pa:
	.skip	8

	.section .note.GNU-stack, "", @progbits
