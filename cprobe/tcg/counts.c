/* SPDX-License-Identifier: BSD-2-Clause */
/* See counts.h. */
#include "counts.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "board.h"
#include "clock.h"
#include "plugin_api.h"
#include "vcpu.h"

/* The first entry. `stamp` is 0 as long as there was none; who sets it also sets the vCPU, before. */
struct first {
	atomic_uint_fast64_t stamp;
	atomic_uint vcpu;
};

/*
 * How counting is done:
 * BY_CODE	scoreboards, and a call at the first entry only, on a condition: since version 3
 * BY_BLOCK	one vCPU on an older QEMU, whose adding is not atomic: the first entry is taken to be when the code was
 *		translated, which is when it is about to run
 * BY_CALL	a call each time
 */
static enum { BY_CODE, BY_BLOCK, BY_CALL } way;

static struct board board;		/* BY_CODE, BY_BLOCK */
static uint64_t **called;		/* BY_CALL: of each vCPU */
static unsigned int vcpus;
static const struct entries *list;
static struct first *firsts;
static uint64_t *frozen;		/* all counts at counts_last(), for ever; code that counts by itself goes on */
static atomic_flag freezing = ATOMIC_FLAG_INIT;
static atomic_bool is_frozen;
static uint64_t *written;		/* how much of each count is in the trace */
static struct clock_window window;

static struct cp_error *
init_called(void)
{
	called = calloc(vcpus, sizeof(*called));
	for (unsigned int i = 0; called != NULL && i < vcpus; i++) {
		called[i] = calloc(list->count, sizeof(**called));
		if (called[i] == NULL)
			return &cp_error_no_memory;
	}
	return called != NULL ? NULL : &cp_error_no_memory;
}

struct cp_error *
counts_init(unsigned int vcpu_count, const struct entries *entries)
{
	vcpus = vcpu_count;
	list = entries;
	firsts = calloc(entries->count, sizeof(*firsts));
	written = calloc(entries->count, sizeof(*written));
	frozen = calloc(entries->count, sizeof(*frozen));
	if (firsts == NULL || written == NULL || frozen == NULL)
		return &cp_error_no_memory;
	if (!host_clock.is_virtual)
		clock_window_init(&window);
	if (vcpu_is_mistold)
		way = BY_CALL;
	else if (qemu_plugin_register_vcpu_insn_exec_cond_cb != NULL)
		way = BY_CODE;
	else if (vcpus == 1 && qemu_plugin_register_vcpu_insn_exec_inline != NULL)
		way = BY_BLOCK;
	else
		way = BY_CALL;
	return way == BY_CALL ? init_called() : board_init(&board, vcpus, entries->count);
}

static void
note_first(unsigned int vcpu, void *userdata)
{
	struct first *first = &firsts[(uintptr_t)userdata];
	uint64_t stamp, none = 0;

	if (atomic_load_explicit(&first->stamp, memory_order_acquire) != 0)
		return;
	/* Of two vCPUs at the same moment either was the first. */
	atomic_store_explicit(&first->vcpu, vcpu, memory_order_relaxed);
	stamp = host_clock.is_virtual ? clock_virtual() + 1 : clock_stamp();
	atomic_compare_exchange_strong(&first->stamp, &none, stamp);
}

static void
count(unsigned int vcpu, void *userdata)
{
	vcpu = vcpu_running(vcpu);
	if (called[vcpu][(uintptr_t)userdata]++ == 0)
		note_first(vcpu, userdata);
}

void
counts_at(struct qemu_plugin_insn *insn, const struct entry *entry)
{
	for (; entry != NULL; entry = entries_next(list, entry)) {
		size_t number = (size_t)(entry - list->items);

		if (way == BY_CALL) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, count, QEMU_PLUGIN_CB_NO_REGS, (void *)number);
			continue;
		}
		if (way == BY_CODE)
			qemu_plugin_register_vcpu_insn_exec_cond_cb(insn, note_first, QEMU_PLUGIN_CB_NO_REGS,
			    QEMU_PLUGIN_COND_EQ, (qemu_plugin_u64){ board.score, number * sizeof(uint64_t) }, 0,
			    (void *)number);
		else
			note_first(0, (void *)number);
		board_add_at(&board, insn, number, 1);
	}
}

static uint64_t
counted(size_t number)
{
	uint64_t sum = 0;

	if (way == BY_BLOCK)
		return board_row(&board, 0)[number];
	for (unsigned int i = 0; i < vcpus; i++)
		sum += way == BY_CALL ? called[i][number] : board_row(&board, i)[number];
	return sum;
}

void
counts_last(unsigned int vcpu, const struct entry *entry)
{
	if (atomic_flag_test_and_set(&freezing))
		return;
	for (const struct entry *at = entry; at != NULL; at = entries_next(list, at))
		note_first(vcpu_running(vcpu), (void *)(uintptr_t)(at - list->items));
	for (size_t i = 0; i < list->count; i++)
		frozen[i] = counted(i) + (list->items[i].address == entry->address);
	atomic_store(&is_frozen, true);
}

static uint64_t
count_of(size_t number)
{
	uint64_t now = counted(number);

	/* A count of after the end was read after it: then it is known by now that there is one. */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load(&is_frozen) ? frozen[number] : now;
}

static uint64_t
first_ns(size_t number)
{
	uint64_t stamp = atomic_load_explicit(&firsts[number].stamp, memory_order_acquire);

	if (host_clock.is_virtual)
		return stamp != 0 ? stamp - 1 : 0;
	return clock_window_ns(&window, stamp);
}

/* keeps: what is written now need not be written again. */
static void
write_new(struct encoder *encoder, bool keeps, uint32_t *last)
{
	for (size_t i = 0; i < list->count; i++) {
		uint64_t now = count_of(i);

		if (now == written[i])
			continue;
		encoder_count(encoder, (uint32_t)i, now - written[i], first_ns(i), atomic_load(&firsts[i].vcpu));
		if (keeps)
			written[i] = now;
		*last = (uint32_t)i;
	}
}

void
counts_write(struct encoder *encoder, uint32_t *last)
{
	if (!host_clock.is_virtual)
		clock_window_extend(&window);
	write_new(encoder, true, last);
}

void
counts_preview(const struct encoder_names *names, encoder_write_fn *write, void *context)
{
	struct encoder_options options = { .vcpus = 1, .names = names, .write = write, .context = context };
	struct encoder *encoder;
	uint32_t last;

	if (encoder_create(&options, &encoder) != NULL)
		return;
	write_new(encoder, false, &last);
	encoder_flush(encoder);
	encoder_destroy(encoder);
}

uint64_t
counts_sum(uint64_t *t)
{
	uint64_t sum = 0;

	if (!host_clock.is_virtual)
		clock_window_extend(&window);
	for (size_t i = 0; i < list->count; i++) {
		uint64_t ns = first_ns(i);

		sum += count_of(i);
		if (ns > *t)
			*t = ns;
	}
	return sum;
}
