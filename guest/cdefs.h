/*
 * cdefs.h: types, attributes and constants that every file of the guest shares.
 *
 * The guest is freestanding: only headers that the compiler itself ships are included.
 */
#ifndef GUEST_CDEFS_H
#define GUEST_CDEFS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned int u_int;
typedef unsigned char u_char;
typedef unsigned long u_long;
typedef uint64_t vm_paddr_t;

/* Functions a porter breaks on stay functions of their own, as they are in FreeBSD's kernel. */
#define __noinline	__attribute__((__noinline__))
#define __printflike(f, a) __attribute__((__format__(__printf__, f, a)))
#define __dead2		__attribute__((__noreturn__))
#define __unused	__attribute__((__unused__))
#define __packed	__attribute__((__packed__))
#define __predict_false(e) __builtin_expect((e), 0)
#define nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define barrier()	__asm__ __volatile__("" : : : "memory")

#define MAXCPU		4

/* Address space, drawn in README.md. locore.S builds it. */
#define KERNBASE	0xffffffff80000000UL	/* VMA - LMA of the kernel */
#define DMAP_MIN	0xfffff80000000000UL	/* the first 4 GiB of physical memory, as FreeBSD's direct map */
#define PHYS_TO_DMAP(pa) ((void *)(DMAP_MIN + (uint64_t)(pa)))
#define vtophys(va)	((vm_paddr_t)(uintptr_t)(va) - KERNBASE)

#endif
