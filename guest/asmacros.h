/*
 * asmacros.h: what the assembly files share with each other and, through specialreg.h, with C.
 */
#ifndef GUEST_ASMACROS_H
#define GUEST_ASMACROS_H

#include "specialreg.h"

#define KERNBASE	0xffffffff80000000
#define DMAP_PML4I	496			/* of 0xfffff80000000000 */
#define PA(symbol)	((symbol) - KERNBASE)

/* Flat segments: null, 64-bit code, data, 32-bit code, in the order of the *_SEL names. */
#define GDT_ENTRIES			\
	.quad	0;			\
	.quad	0x00af9b000000ffff;	\
	.quad	0x00cf93000000ffff;	\
	.quad	0x00cf9b000000ffff


#endif
