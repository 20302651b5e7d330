/* SPDX-License-Identifier: BSD-2-Clause */
/* See clock.h. */
#include "clock.h"

#include <pthread.h>
#include <string.h>

#include "board.h"
#include "plugin_api.h"

#define CLOSE_PAIR_TRIES 5

struct clock host_clock;

/* What is known of the virtual clock: ns = ((counted + missed) << shift) + warped. */
static struct {
	struct board counts;	/* instructions, of each vCPU; 7.2: of all in vCPU 0's */
	unsigned int vcpus;
	int shift;
	int64_t missed;		/* QEMU's count less ours, which takes blocks that fault for whole ones */
	int64_t warped;		/* ns that the clock jumped while all vCPUs were halted */
	bool jumps;		/* a vCPU has halted since `warped` was asked for */
	uint64_t last;		/* time does not go back */
} icount;

/* The thread that asks QEMU on behalf of a vCPU within a block. */
static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool runs, asked, ends;
	int64_t warped;
} asker = { .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

/* -- Host -------------------------------------------------------------------------------------------------------- */

/* Both clocks at one moment: the closest of a few tries, since the thread may be interrupted between the two. */
static void
look(uint64_t *stamp, uint64_t *ns)
{
	uint64_t closest = UINT64_MAX;

	for (int i = 0; i < CLOSE_PAIR_TRIES; i++) {
		uint64_t before = clock_stamp(), now = monotonic_ns(), after = clock_stamp();

		if (after - before < closest) {
			closest = after - before;
			*stamp = before + (after - before) / 2;
			*ns = now - host_clock.start;
		}
	}
}

static void
start_host(void)
{
	uint64_t stamp, ns;

#if defined(__x86_64__) || defined(__i386__)
	host_clock.has_tsc = true;
#endif
	look(&stamp, &ns);
	host_clock.start += ns;
}

void
clock_window_init(struct clock_window *window)
{
	look(&window->next_stamp, &window->next_ns);
	window->stamp = window->next_stamp;
	window->ns = window->next_ns;
	window->rate = 0;
}

void
clock_window_extend(struct clock_window *window)
{
	uint64_t stamp, ns;

	look(&stamp, &ns);
	if (stamp <= window->next_stamp || ns <= window->next_ns)
		return;
	window->next_stamp = stamp;
	window->next_ns = ns;
	window->rate = (double)(ns - window->ns) / (double)(stamp - window->stamp);
}

void
clock_window_advance(struct clock_window *window)
{
	window->stamp = window->next_stamp;
	window->ns = window->next_ns;
	clock_window_extend(window);
}

/* -- Virtual ----------------------------------------------------------------------------------------------------- */

/* From a thread that is no vCPU, or from a vCPU between blocks. */
static int64_t
ask_warped(void)
{
	int64_t raw, ns;

	do {
		raw = icount_get_raw();
		ns = icount_get();
	} while (icount_get_raw() != raw);
	return ns - icount_to_ns(raw);
}

static void *
answer(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&asker.lock);
	while (!asker.ends) {
		if (asker.asked) {
			asker.warped = ask_warped();
			asker.asked = false;
			pthread_cond_broadcast(&asker.change);
		}
		pthread_cond_wait(&asker.change, &asker.lock);
	}
	pthread_mutex_unlock(&asker.lock);
	return NULL;
}

static int64_t
warped_by_asker(void)
{
	int64_t warped;

	pthread_mutex_lock(&asker.lock);
	asker.asked = true;
	pthread_cond_broadcast(&asker.change);
	while (asker.asked && !asker.ends)
		pthread_cond_wait(&asker.change, &asker.lock);
	warped = asker.ends ? icount.warped : asker.warped;
	pthread_mutex_unlock(&asker.lock);
	return warped;
}

static int64_t
counted(void)
{
	int64_t sum = 0;

	for (unsigned int i = 0; i < icount.vcpus; i++)
		sum += (int64_t)*board_row(&icount.counts, i);
	return sum;
}

uint64_t
clock_virtual(void)
{
	int64_t ns;

	if (icount.jumps) {
		icount.jumps = false;
		icount.warped = warped_by_asker();
	}
	ns = ((counted() + icount.missed) << icount.shift) + icount.warped;
	if (ns > (int64_t)icount.last)
		icount.last = (uint64_t)ns;
	return icount.last;
}

void
clock_halts(unsigned int vcpu, void *userdata)
{
	(void)vcpu;
	(void)userdata;
	icount.jumps = host_clock.is_exact;
}

void
clock_translate(struct qemu_plugin_tb *tb, unsigned int instructions)
{
	if (host_clock.is_exact) {
		int64_t one = icount_to_ns(1);

		for (icount.shift = 0; one > 1; one >>= 1)	/* shift=auto changes it */
			icount.shift++;
		icount.missed = icount_get_raw() - counted();
		icount.warped = ask_warped();
		icount.jumps = false;
	}
	board_add_in_block(&icount.counts, tb, 0, instructions);
}

static struct cp_error *
start_asker(void)
{
	int status = pthread_create(&asker.thread, NULL, answer, NULL);

	if (status != 0)
		return cp_error_create(CP_ERROR_NO_MEMORY, "no thread for the clock: %s", strerror(status));
	asker.runs = true;
	return NULL;
}

struct cp_error *
clock_start(unsigned int vcpus, int shift)
{
	struct cp_error *error;

	host_clock.is_virtual = &use_icount != NULL ? use_icount != 0 : shift >= 0;
	if (!host_clock.is_virtual) {
		start_host();
		return NULL;
	}
	icount.vcpus = qemu_plugin_scoreboard_new != NULL ? vcpus : 1;
	icount.shift = shift >= 0 ? shift : 0;
	host_clock.is_exact = icount_get != NULL && icount_get_raw != NULL && icount_to_ns != NULL;
	if (!host_clock.is_exact && shift < 0)
		return cp_error_create(CP_ERROR_USAGE, "this QEMU does not tell icount's shift: give icount-shift=N");
	error = board_init(&icount.counts, vcpus, 1);
	return error != NULL || !host_clock.is_exact ? error : start_asker();
}

void
clock_stop(void)
{
	if (!asker.runs)
		return;
	pthread_mutex_lock(&asker.lock);
	asker.ends = true;
	pthread_cond_broadcast(&asker.change);
	pthread_mutex_unlock(&asker.lock);
	pthread_join(asker.thread, NULL);
	asker.runs = false;
}
