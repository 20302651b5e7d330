/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The binary form of a trace, as the QEMU plugin writes it: docs/trace.md says the same in words.
 *
 *	file    header line, block...
 *	header  the JSON object of the JSON Lines form, in one line, with "encoding": "blocks"
 *	block   struct cp_block, then `size` bytes of records
 *
 * All numbers are little-endian. A varint is LEB128: seven bits a byte, the lowest first, the top bit set in all but the
 * last; at most ten bytes. Times are ns, as in the JSON Lines form: virtual under icount, else the host's monotonic
 * clock, both since the guest's first instruction.
 *
 * A block can be read without those before it, but for the definitions of functions and call sites, which precede their
 * first use. A file that ends within a block, or without a block of kind CP_BLOCK_END, was cut off; what stands before is
 * whole. Each vCPU's events are in order; blocks of different vCPUs may overlap in time, and are merged by it.
 */
#ifndef CPROBE_TRACE_FORMAT_H
#define CPROBE_TRACE_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define CP_BLOCK_MAGIC		0x6b6c6273u	/* "sblk" */
#define CP_BLOCK_MAX		(1u << 20)	/* no block's records take more bytes */
#define CP_VARINT_MAX		10		/* bytes */
#define CP_ID_LIMIT		(1u << 24)	/* ids of functions and sites are lower: readers have tables by id */
#define CP_VALUES_MAX		64		/* of one event */

enum cp_block_kind {
	CP_BLOCK_FUNCTIONS = 1,	/* varint id, varint address, varint length, name: what the ids in other blocks stand for */
	CP_BLOCK_SITES = 2,	/* varint id, varint address: of instructions that called or jumped to a function */
	CP_BLOCK_EVENTS = 3,	/* varint function, varint ns since the record before; by the flags, in this order:
				   varint site + 1, 0: not known; varint n, n times varint value (header: "args"; n is smaller
				   where a value could not be read, and those behind it were not) */
	CP_BLOCK_CONSOLE = 4,	/* varint ns since the record before, varint length, text of a line without its end */
	CP_BLOCK_COUNTS = 5,	/* varint function, varint count, varint ns of the first entry, varint its vCPU */
	CP_BLOCK_JSON = 6,	/* varint length, JSON object: an event as in the JSON Lines form, without seq */
	CP_BLOCK_END = 7,	/* varint length, JSON object: the end record, without seq; it is the last block */
};

enum cp_block_flags {
	CP_BLOCK_HAS_SITES = 1,
	CP_BLOCK_HAS_VALUES = 2,
};

/* A vCPU that is meant by no block of its own: definitions, counts, the end. */
#define CP_BLOCK_NO_VCPU	0xffff

struct cp_block {
	uint32_t magic;
	uint32_t size;		/* bytes of records that follow */
	uint32_t count;		/* records */
	uint16_t kind;
	uint16_t flags;
	uint16_t vcpu;
	uint16_t zero;
	uint32_t check;		/* CRC-32, as zlib's, of the records */
	uint64_t t;		/* ns: what the first record's time counts from */
};

static_assert(sizeof(struct cp_block) == 32, "a block's header is 32 bytes");

#endif
