/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coverage alone: how often each function was entered, when first, and by which vCPU. Translated code counts by itself
 * where QEMU can have it do so without losing any; else a function is called that counts.
 */
#ifndef BOOTSONDE_COUNTS_H
#define BOOTSONDE_COUNTS_H

#include <stdint.h>

#include "cprobe.h"
#include "encode.h"
#include "entries.h"

struct qemu_plugin_insn;

/* After clock_start(). */
struct cp_error *counts_init(unsigned int vcpus, const struct entries *entries);
/* Have all entries at this place counted. */
void counts_at(struct qemu_plugin_insn *insn, const struct entry *entry);
/* The entries at this place end the counting, and count once themselves. In the thread of that vCPU. */
void counts_last(unsigned int vcpu, const struct entry *entry);

/* From the writer's thread: what was counted since the last call. *last: a function that was, if there is any. */
void counts_write(struct encoder *encoder, uint32_t *last);
/* What counts_write() would, to another function. */
void counts_preview(const struct encoder_names *names, encoder_write_fn *write, void *context);
/* Of all so far; *t: when the last function was entered first. */
uint64_t counts_sum(uint64_t *t);

#endif
