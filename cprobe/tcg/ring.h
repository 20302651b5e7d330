/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What passes from a vCPU to the writer: a ring of 64-bit words with one producer and one consumer, neither of which
 * takes a lock. Records are an even number of words:
 *
 *	event    stamp; function | site << 32; if values are recorded: count, values..., and one word of padding if odd
 *	special  stamp; RING_SPECIAL | kind | number << 32; RING_CONSOLE: text, padded to 16 bytes
 *
 * `function` is an index into the list; `site` a number of sites.h, 0 none; what a stamp is, clock.h says.
 */
#ifndef BOOTSONDE_RING_H
#define BOOTSONDE_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define RING_WORDS	((size_t)1 << 17)	/* 1 MiB, some 20 ms of a boot that calls as fast as it can */
#define RING_MASK	(RING_WORDS - 1)
#define RING_CHUNK	((size_t)1 << 13)	/* words after which a producer looks up from its work */

#define RING_SPECIAL	0x80000000u
#define RING_CONSOLE	1u	/* number: bytes of text */
#define RING_VCPU	2u	/* number: whose events follow, where one thread runs all vCPUs */

struct ring {
	/* The producer's. */
	uint64_t *words;
	size_t head;		/* words written so far */
	size_t limit;		/* up to here without looking at `taken` */
	/* Both see these: words written, words that may be overwritten. */
	_Alignas(64) atomic_size_t published;
	_Alignas(64) atomic_size_t taken;
};

static inline void
ring_put(struct ring *ring, uint64_t first, uint64_t second)
{
	uint64_t *at = ring->words + (ring->head & RING_MASK);

	at[0] = first;
	at[1] = second;
	ring->head += 2;
}

static inline void
ring_publish(struct ring *ring)
{
	atomic_store_explicit(&ring->published, ring->head, memory_order_release);
}

#endif
