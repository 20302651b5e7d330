/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs in the vCPUs' threads: entries of functions, and what else happens there, go into rings. */
#ifndef BOOTSONDE_RECORD_H
#define BOOTSONDE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"
#include "entries.h"
#include "ring.h"

struct qemu_plugin_tb;
struct qemu_plugin_insn;

struct record_options {
	unsigned int vcpus;
	bool has_callers, has_values;
	uint64_t limit;			/* events; UINT64_MAX none */
	const struct entry *stop;	/* the first of those whose entry ends the recording; NULL none */
};

/* After clock_start(). */
struct cp_error *record_init(const struct record_options *options, const struct entries *entries);

/* Rings: one each vCPU, or a single one where one thread runs all of them. */
unsigned int record_rings(void);
struct ring *record_ring(unsigned int number);
/* Whose record comes first in the ring. */
unsigned int record_ring_vcpu(unsigned int number);

/* Have all entries at this place recorded. */
void record_at(struct qemu_plugin_insn *insn, const struct entry *entry);
/* Have it noted that this instruction may lead to a function: its number in sites.h; 0: what was noted is void. */
void record_site(struct qemu_plugin_insn *insn, uint32_t site);

/* A line of the console, in the thread of that vCPU. */
void record_console(unsigned int vcpu, const char *text, size_t length);

/* Does this entry end the recording? Says so, and the reason to the writer. */
void record_stop(const struct entry *entry);

#endif
