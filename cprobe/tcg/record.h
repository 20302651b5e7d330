/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs in the vCPUs' threads: entries of functions, and what else happens there, go into rings. */
#ifndef BOOTSONDE_RECORD_H
#define BOOTSONDE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console.h"
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

/*
 * Before an instruction that writes to a port, with the virtual clock. A guest ends itself by such a one; since 10.0, QEMU
 * lets it run on until its main thread has seen to it, for as long as the host pleases. What is recorded after the
 * instruction must not be in a trace that depends on nothing but the guest.
 */
void record_out(unsigned int vcpu, void *address);
/*
 * From QEMU's main thread: it sees to it. A vCPU that asks for a reset, as by a triple fault, is stopped at once, and all
 * that it has recorded belongs to the trace.
 */
void record_guest_ends(int cause);
/* The place in the ring before which everything belongs to the trace; *ended: nothing behind it does. */
size_t record_safe(bool *ended);

/* At the end: where the guest ended itself by writing to a port, what the console said later comes too late as well. */
enum console_part record_console_end(void);

/* A line of the console, in the thread of that vCPU. */
void record_console(unsigned int vcpu, const char *text, size_t length);

/* The console shows this text, which ends the recording. */
void record_end(const char *text);

/* Does this entry end the recording? Says so, and the reason to the writer. */
void record_stop(const struct entry *entry);

#endif
