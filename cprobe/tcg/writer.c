/* SPDX-License-Identifier: BSD-2-Clause */
/* See writer.h. */
#include "writer.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "console.h"
#include "counts.h"
#include "encode.h"
#include "output.h"
#include "record.h"
#include "sites.h"
#include "values.h"

#define PASS_NS		10000000	/* between looks at the rings */
#define STATUS_NS	100000000
#define COUNTS_NS	1000000000
#define BLOCK_RECORDS	16384

static struct writer_options options;
static struct encoder *encoder;
static struct encoder_names encoder_names;
static pthread_t thread;

/* Under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work, room;
static bool is_wanted, is_stopping, is_ending, is_over;
static char reason[128];
static uint64_t wanted_events;

/* The thread's own. */
static const char *state = "running";
static struct clock_window window;
static uint64_t events, last_t;
static uint32_t last_function;
static unsigned int current_vcpu;	/* virtual clock */
static size_t seen_before;		/* virtual clock: what was published at the last pass, */
static size_t seen_at[2];		/* at the last status, and 100 ms before that */

/* -- How far it is ----------------------------------------------------------------------------------------------- */

static void
write_status(void)
{
	const char *why = output_problem() != NULL ? output_problem() : reason[0] != '\0' ? reason : NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (stream == NULL)
		return;
	fprintf(stream, "{\"events\":%" PRIu64 ",\"t\":%" PRIu64 ",\"function\":", events, last_t);
	cp_json_string(stream, events != 0 ? options.entries->items[last_function].name : NULL);
	fprintf(stream, ",\"state\":\"%s\",\"reason\":", output_problem() != NULL ? "failed" : state);
	cp_json_string(stream, why);
	fputc('}', stream);
	if (fclose(stream) == 0)
		output_status(text, size);
	free(text);
}

static void
preview(void)
{
	output_begin_preview();
	if (options.is_counting)
		counts_preview(&encoder_names, output_preview, NULL);
	else
		encoder_preview(encoder, output_preview, NULL);
}

/* -- Rings ------------------------------------------------------------------------------------------------------- */

static uint64_t
word(const struct ring *ring, size_t at)
{
	return ring->words[at & RING_MASK];
}

/* Both return where the next record begins. */
static size_t
take_special(const struct ring *ring, size_t at, unsigned int vcpu, uint32_t kind, uint32_t number)
{
	size_t words = ((size_t)number + 15) / 16 * 2;
	char text[CONSOLE_LINE_MAX + 16];

	if (kind == RING_VCPU) {
		current_vcpu = number;
		return at + 2;
	}
	for (size_t i = 0; i < words; i++) {
		uint64_t part = word(ring, at + 2 + i);

		memcpy(text + i * sizeof(part), &part, sizeof(part));
	}
	if (host_clock.is_virtual)
		vcpu = current_vcpu;
	last_t = host_clock.is_virtual ? word(ring, at) : clock_window_ns(&window, word(ring, at));
	encoder_console(encoder, vcpu, last_t, text, number);
	return at + 2 + words;
}

static size_t
take_event(const struct ring *ring, size_t at, unsigned int vcpu)
{
	uint64_t stamp = word(ring, at), what = word(ring, at + 1), values[VALUES_MAX];
	size_t count = 0;

	if ((what & RING_SPECIAL) != 0)
		return take_special(ring, at, vcpu, (uint32_t)what & ~RING_SPECIAL, (uint32_t)(what >> 32));
	at += 2;
	if (options.has_values) {
		count = (size_t)word(ring, at);
		for (size_t i = 0; i < count; i++)
			values[i] = word(ring, at + 1 + i);
		at += (count + 2) & ~(size_t)1;
	}
	if (host_clock.is_virtual)
		vcpu = current_vcpu;
	last_t = host_clock.is_virtual ? stamp : clock_window_ns(&window, stamp);
	last_function = (uint32_t)what;
	events++;
	encoder_event(encoder, vcpu, last_t, last_function, (uint32_t)(what >> 32), values, count);
	return at;
}

static void
take_ring(struct ring *ring, unsigned int vcpu, size_t end)
{
	size_t at = atomic_load_explicit(&ring->taken, memory_order_relaxed), told = at;

	while (at != end) {
		at = take_event(ring, at, vcpu);
		if (at - told >= RING_CHUNK) {
			atomic_store_explicit(&ring->taken, at, memory_order_release);
			told = at;
		}
	}
	atomic_store_explicit(&ring->taken, at, memory_order_release);
}

/* How far the one ring is to be taken with a virtual clock: see record_out(). */
static size_t
held_back(size_t published, bool ending)
{
	size_t taken = atomic_load_explicit(&record_ring(0)->taken, memory_order_relaxed);
	bool ended;
	size_t end = record_safe(&ended);

	if (end < taken)
		end = taken;
	if (ended)
		return end;
	if (ending)
		return published;
	if (end < seen_at[1])
		end = seen_at[1];
	if (published - end > RING_WORDS / 2)
		end = seen_before > end && published - seen_before <= RING_WORDS / 2 ? seen_before : published;
	seen_before = published;
	return end;
}

/* What was published before this call; with a virtual clock not all of it, but at the end. */
static void
take_rings(size_t *ends, bool ending)
{
	for (unsigned int i = 0; i < record_rings(); i++)
		ends[i] = atomic_load_explicit(&record_ring(i)->published, memory_order_acquire);
	if (host_clock.is_virtual)
		ends[0] = held_back(ends[0], ending);
	else
		clock_window_advance(&window);
	for (unsigned int i = 0; i < record_rings(); i++)
		take_ring(record_ring(i), i, ends[i]);
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&room);
	pthread_mutex_unlock(&lock);
}

/* -- The thread -------------------------------------------------------------------------------------------------- */

/* Until there is work, or for 10 ms. */
static void
wait_for_work(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PASS_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&lock);
	while (!is_wanted && !is_stopping && !is_ending)
		if (pthread_cond_timedwait(&work, &lock, &until) != 0)
			break;
	is_wanted = false;
	pthread_mutex_unlock(&lock);
}

/* The END block: how it ended, and how many events each vCPU has. */
static void
write_end(const char *outcome)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (stream == NULL)
		return;
	if (!host_clock.is_virtual)
		last_t = window.next_ns;
	fprintf(stream, "{\"kind\":\"end\",\"t\":%" PRIu64 ",\"outcome\":\"%s\",\"reason\":", last_t, outcome);
	cp_json_string(stream, reason);
	for (unsigned int i = 0; i < options.vcpus && !options.is_counting; i++)
		fprintf(stream, "%s%" PRIu64, i > 0 ? "," : ",\"events\":[", encoder_events(encoder, i));
	fputs(options.is_counting ? "}" : "]}", stream);
	if (fclose(stream) == 0)
		encoder_end(encoder, text);
	free(text);
}

static void
end(bool stopped)
{
	if (!stopped)
		console_finish(record_console_end(), encoder, current_vcpu, host_clock.is_virtual ? last_t : window.next_ns);
	if (options.is_counting) {
		counts_write(encoder, &last_function);
		events = counts_sum(&last_t);
	}
	if (!stopped)
		snprintf(reason, sizeof(reason), "QEMU ended");
	write_end(stopped ? "stopped" : "exit");
	output_drop_preview();
	state = stopped ? "stopped" : "ended";
	write_status();
}

/* Returns whether the trace is at its end. */
static bool
pass(size_t *ends, uint64_t *status_at, uint64_t *counts_at)
{
	bool stopping, ending;
	uint64_t now;

	pthread_mutex_lock(&lock);
	stopping = is_stopping;
	ending = is_ending;
	pthread_mutex_unlock(&lock);
	take_rings(ends, stopping || ending);
	if (ending || (stopping && events >= wanted_events)) {
		end(stopping);
		return true;
	}
	now = monotonic_ns();
	if (options.is_counting && now >= *counts_at) {
		*counts_at = now + COUNTS_NS;
		if (!host_clock.is_virtual)
			counts_write(encoder, &last_function);
	}
	if (!host_clock.is_virtual)
		encoder_flush(encoder);
	if (now >= *status_at) {
		*status_at = now + STATUS_NS;
		seen_at[1] = seen_at[0];
		seen_at[0] = seen_before;
		if (host_clock.is_virtual)
			preview();
		if (options.is_counting)
			events = counts_sum(&last_t);
		write_status();
	}
	return false;
}

static void *
run(void *ends)
{
	uint64_t status_at = 0, counts_at = monotonic_ns() + COUNTS_NS;

	do
		wait_for_work();
	while (!pass(ends, &status_at, &counts_at));
	pthread_mutex_lock(&lock);
	is_over = true;
	pthread_cond_broadcast(&room);
	pthread_mutex_unlock(&lock);
	free(ends);
	return NULL;
}

/* -- What others call -------------------------------------------------------------------------------------------- */

static const char *
name_of(size_t function, uint64_t *address)
{
	*address = options.entries->items[function].address;
	return options.entries->items[function].name;
}

struct cp_error *
writer_open(const struct writer_options *asked)
{
	options = *asked;
	return output_open(options.out, options.status);
}

static struct cp_error *
start_thread(void)
{
	size_t *ends = calloc(options.vcpus, sizeof(*ends));
	pthread_condattr_t attributes;
	sigset_t all, before;
	int problem;

	if (ends == NULL)
		return &cp_error_no_memory;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&work, &attributes);
	pthread_cond_init(&room, &attributes);
	/* QEMU's signals are for its own threads; and SIGXFSZ, of a file that grows too large, comes to the one that writes. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	problem = pthread_create(&thread, NULL, run, ends);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (problem == 0)
		return NULL;
	free(ends);
	return cp_error_create(CP_ERROR_NO_MEMORY, "no thread to write the trace: %s", strerror(problem));
}

struct cp_error *
writer_start(const char *header)
{
	struct encoder_options asked = {
		.vcpus = options.vcpus, .has_sites = options.has_callers, .has_values = options.has_values,
		.block_records = BLOCK_RECORDS, .names = &encoder_names, .write = output_append,
	};
	struct cp_error *error;

	encoder_names = (struct encoder_names){
		.functions = options.entries->count, .sites = options.has_callers ? SITES_MAX : 1,
		.name = name_of, .site = sites_address,
	};
	error = encoder_create(&asked, &encoder);
	if (error != NULL)
		return error;
	if (!host_clock.is_virtual)
		clock_window_init(&window);
	output_append(NULL, header, strlen(header));
	write_status();
	return start_thread();
}

void
writer_wake(void)
{
	pthread_mutex_lock(&lock);
	is_wanted = true;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
}

bool
writer_wait_for_room(struct ring *ring, size_t words)
{
	bool has_room = false;

	pthread_mutex_lock(&lock);
	is_wanted = true;
	pthread_cond_signal(&work);
	while (!is_over && !has_room) {
		has_room = ring->head + words <= atomic_load_explicit(&ring->taken, memory_order_acquire) + RING_WORDS;
		if (!has_room)
			pthread_cond_wait(&room, &lock);
	}
	pthread_mutex_unlock(&lock);
	return has_room;
}

void
writer_stop(const char *why, uint64_t wanted)
{
	pthread_mutex_lock(&lock);
	if (!is_ending && !is_stopping) {
		is_stopping = true;
		snprintf(reason, sizeof(reason), "%s", why);
		wanted_events = wanted;
	}
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
}

void
writer_finish(void)
{
	pthread_mutex_lock(&lock);
	is_ending = true;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	output_close();
}
