/* SPDX-License-Identifier: BSD-2-Clause */
/* See record.h. */
#include "record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "clock.h"
#include "console.h"
#include "plugin_api.h"
#include "values.h"
#include "vcpu.h"
#include "writer.h"

/* Of an entry's userdata: it shares its address, and so what led to it, with the entry that was recorded before. */
#define AGAIN ((uintptr_t)1 << 32)

struct producer {
	struct ring ring;
	uint64_t last_site;	/* of the event before, << 32 */
};

static struct producer *producers;	/* by vCPU */
static struct record_options options;
static const struct entries *list;
static struct board sites;		/* of each vCPU, the site that it came by last */
static unsigned int turn;		/* virtual clock: the vCPU that the ring's records are of */
static atomic_uint_fast64_t tickets;	/* events so far, where there is a limit */
static atomic_bool stopped;
/* Virtual clock: somebody has seen that the guest has ended itself, and says up to where the trace goes; that is said. */
static atomic_bool is_ending, has_ended;
static atomic_size_t end;
static enum console_part console_end = CONSOLE_ALL;	/* what of the console belongs to it */

/*
 * Instructions that write to ports. The main thread takes a request away before it tells that it saw to it, and a guest that
 * runs on meanwhile, to say that it has halted, say, does not see that it has ended itself. So the one that ended it is
 * looked for: it had never been executed before, and that is not long ago.
 */
#define OUTS		((size_t)1 << 12)
#define NOT_LONG_AGO	256	/* writes to ports */
static uint64_t outs[OUTS];	/* addresses, by their low bits; 0 free */
static size_t out_count;	/* of outs */
static uint64_t writes;
static atomic_size_t way_out;	/* the place in the ring behind which the guest may have ended itself */
static size_t last_out;		/* that of the last one; exact where its own vCPU sees the request, which it looks for next */
static uint64_t way_out_at;	/* of writes; 0: none */

struct cp_error *
record_init(const struct record_options *asked, const struct entries *entries)
{
	options = *asked;
	list = entries;
	producers = aligned_alloc(_Alignof(struct producer), options.vcpus * sizeof(*producers));
	if (producers == NULL)
		return &cp_error_no_memory;
	memset(producers, 0, options.vcpus * sizeof(*producers));
	for (unsigned int i = 0; i < record_rings(); i++) {
		producers[i].ring.words = malloc(RING_WORDS * sizeof(uint64_t));
		if (producers[i].ring.words == NULL)
			return &cp_error_no_memory;
	}
	return options.has_callers ? board_init(&sites, options.vcpus, 1) : NULL;
}

unsigned int
record_rings(void)
{
	return host_clock.is_virtual ? 1 : options.vcpus;
}

struct ring *
record_ring(unsigned int number)
{
	return &producers[number].ring;
}

unsigned int
record_ring_vcpu(unsigned int number)
{
	return number;
}

/* The ring's chunk is full: there is work for the writer, and if the ring is full, none for this vCPU until it is done. */
static __attribute__((noinline)) void
make_room(struct ring *ring, size_t words)
{
	size_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);

	while (ring->head + words > taken + RING_WORDS) {
		if (!writer_wait_for_room(ring, words))
			atomic_store_explicit(&ring->taken, ring->head, memory_order_release);	/* nobody reads any more */
		taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
	}
	ring->limit = ring->head + (words > RING_CHUNK ? words : RING_CHUNK);
	if (ring->limit > taken + RING_WORDS)
		ring->limit = taken + RING_WORDS;
	writer_wake();
}

static inline void
reserve(struct ring *ring, size_t words)
{
	if (__builtin_expect(ring->head + words > ring->limit, 0))
		make_room(ring, words);
}

static inline uint64_t
take_site(unsigned int vcpu)
{
	uint64_t *slot = board_row(&sites, vcpu), site = *slot << 32;

	*slot = 0;
	producers[vcpu].last_site = site;
	return site;
}

/* -- Entries ----------------------------------------------------------------------------------------------------- */

/* The two that a whole boot calls: no more than they must. */
static void
on_entry(unsigned int vcpu, void *userdata)
{
	struct ring *ring = &producers[vcpu].ring;

	reserve(ring, 2);
	ring_put(ring, clock_stamp(), (uintptr_t)userdata);
	ring_publish(ring);
}

static void
on_called_entry(unsigned int vcpu, void *userdata)
{
	struct ring *ring = &producers[vcpu].ring;

	reserve(ring, 2);
	ring_put(ring, clock_stamp(), (uintptr_t)userdata | take_site(vcpu));
	ring_publish(ring);
}

/* Once, by whoever sees it first: what is recorded from there on comes too late. */
static void
end_at(size_t head, enum console_part console)
{
	if (atomic_exchange(&is_ending, true))
		return;
	console_end = console;
	atomic_store(&end, head);
	atomic_store(&has_ended, true);
}

/* Has this instruction not been executed before? */
static bool
is_new(uint64_t address)
{
	size_t at = address & (OUTS - 1);

	while (outs[at] != 0 && outs[at] != address)
		at = (at + 1) & (OUTS - 1);
	if (outs[at] == address || out_count >= OUTS / 2)
		return false;
	outs[at] = address;
	out_count++;
	return true;
}

/* Does QEMU have a guest's request to end? When its main thread sees to it, it calls record_guest_ends(). */
static inline void
look_for_end(void)
{
	int cause = host_clock.is_virtual && qemu_shutdown_requested_get != NULL ? qemu_shutdown_requested_get() : 0;

	if (cause == SHUTDOWN_CAUSE_GUEST_RESET)
		end_at(producers[0].ring.head, CONSOLE_ALL);
	else if (cause >= SHUTDOWN_CAUSE_GUEST)
		end_at(last_out, CONSOLE_TO_LAST_OUT);
}

void
record_guest_ends(int cause)
{
	if (host_clock.is_virtual && cause == SHUTDOWN_CAUSE_GUEST_RESET)
		end_at(atomic_load(&producers[0].ring.published), CONSOLE_ALL);
	else if (host_clock.is_virtual)
		end_at(atomic_load(&way_out), CONSOLE_TO_WAY_OUT);
}

void
record_out(unsigned int vcpu, void *address)
{
	(void)vcpu;
	look_for_end();
	if (atomic_load(&is_ending))
		return;
	writes++;
	if (is_new((uint64_t)(uintptr_t)address))
		way_out_at = writes;
	last_out = producers[0].ring.head;
	console_mark(CONSOLE_TO_LAST_OUT);
	if (way_out_at != writes && way_out_at != 0 && writes - way_out_at <= NOT_LONG_AGO)
		return;
	atomic_store(&way_out, last_out);
	console_mark(CONSOLE_TO_WAY_OUT);
}

enum console_part
record_console_end(void)
{
	return atomic_load(&has_ended) ? console_end : CONSOLE_ALL;
}

size_t
record_safe(bool *ended)
{
	*ended = atomic_load(&has_ended);
	return atomic_load(*ended ? &end : &way_out);
}

/* The ring for a vCPU's next record, with room; *stamp is its time. */
static struct ring *
begin(unsigned int vcpu, size_t words, uint64_t *stamp)
{
	struct ring *ring = &producers[host_clock.is_virtual ? 0 : vcpu].ring;

	*stamp = host_clock.is_virtual ? clock_virtual() : clock_stamp();
	look_for_end();
	reserve(ring, words + 2);
	if (host_clock.is_virtual && turn != vcpu) {
		turn = vcpu;
		ring_put(ring, *stamp, RING_SPECIAL | RING_VCPU | (uint64_t)vcpu << 32);
	}
	return ring;
}

/* wanted: so many events belong to the recording; 0: those there are. */
static __attribute__((format(printf, 2, 3))) void
stop(uint64_t wanted, const char *format, ...)
{
	char reason[128];
	va_list list;

	if (atomic_exchange(&stopped, true))
		return;
	va_start(list, format);
	vsnprintf(reason, sizeof(reason), format, list);
	va_end(list);
	writer_stop(reason, wanted);
}

void
record_stop(const struct entry *entry)
{
	if (options.stop != NULL && entry->address == options.stop->address)
		stop(0, "0x%" PRIx64 " was reached", entry->address);
}

void
record_end(const char *text)
{
	stop(0, "the console shows \"%s\"", text);
}

/* With values, a virtual clock, a limit; all that is not worth a function of its own. */
static void
on_any_entry(unsigned int vcpu, void *userdata)
{
	uintptr_t again = (uintptr_t)userdata & AGAIN, function = (uintptr_t)userdata & ~AGAIN;
	uint64_t values[VALUES_MAX], stamp, site = 0, ticket = 0;
	size_t count = 0;
	struct ring *ring;

	if (atomic_load_explicit(&stopped, memory_order_relaxed))
		return;
	vcpu = vcpu_running(vcpu);
	if (options.limit != UINT64_MAX && (ticket = atomic_fetch_add(&tickets, 1)) >= options.limit)
		return;
	if (options.has_callers)
		site = again != 0 ? producers[vcpu].last_site : take_site(vcpu);
	if (options.has_values)
		count = values_read(vcpu, values);
	ring = begin(vcpu, 4 + VALUES_MAX, &stamp);
	ring_put(ring, stamp, function | site);
	if (options.has_values) {
		ring_put(ring, count, count > 0 ? values[0] : 0);
		for (size_t i = 1; i < count; i += 2)
			ring_put(ring, values[i], i + 1 < count ? values[i + 1] : 0);
	}
	ring_publish(ring);
	if (ticket + 1 == options.limit)
		stop(options.limit, options.limit == 1 ? "%" PRIu64 " event was recorded" : "%" PRIu64 " events were recorded",
		    options.limit);
	/* Others at the address come first. */
	if (options.stop != NULL && entries_next(list, list->items + function) == NULL)
		record_stop(list->items + function);
}

void
record_at(struct qemu_plugin_insn *insn, const struct entry *entry)
{
	bool plain = !host_clock.is_virtual && !options.has_values && options.limit == UINT64_MAX && options.stop == NULL;
	enum qemu_plugin_cb_flags flags = options.has_values ? QEMU_PLUGIN_CB_R_REGS : QEMU_PLUGIN_CB_NO_REGS;
	uintptr_t again = 0;

	for (; entry != NULL; entry = entries_next(list, entry), again = AGAIN) {
		uintptr_t function = (uintptr_t)(entry - list->items);

		if (plain && !options.has_callers)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_entry, flags, (void *)function);
		else if (plain && again == 0)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_called_entry, flags, (void *)function);
		else
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_any_entry, flags, (void *)(function | again));
	}
}

void
record_site(struct qemu_plugin_insn *insn, uint32_t site)
{
	board_store_at(&sites, insn, 0, site);
}

/* -- Console ----------------------------------------------------------------------------------------------------- */

void
record_console(unsigned int vcpu, const char *text, size_t length)
{
	uint64_t pair[2], stamp;
	struct ring *ring;

	if (atomic_load_explicit(&stopped, memory_order_relaxed))
		return;
	vcpu = vcpu_running(vcpu);
	ring = begin(vcpu, 4 + length / sizeof(uint64_t) + 2, &stamp);
	ring_put(ring, stamp, RING_SPECIAL | RING_CONSOLE | (uint64_t)length << 32);
	while (length > 0) {
		size_t part = length < sizeof(pair) ? length : sizeof(pair);

		memset(pair, 0, sizeof(pair));
		memcpy(pair, text, part);
		ring_put(ring, pair[0], pair[1]);
		text += part;
		length -= part;
	}
	ring_publish(ring);
}
