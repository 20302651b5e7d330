/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread that takes records out of the rings and writes the trace, and the file that says how far it is.
 *
 * With the host's clock all that there is goes to the file every 10 ms. With a virtual clock the trace must not depend on
 * the host's time: a block is written when it is full, and what is in unfinished ones is put behind the end of the file
 * ten times a second, to be written over.
 */
#ifndef BOOTSONDE_WRITER_H
#define BOOTSONDE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"
#include "entries.h"

struct ring;

struct writer_options {
	const char *out, *status;	/* paths; status may be NULL */
	unsigned int vcpus;
	bool has_callers, has_values, is_counting;
	const struct entries *entries;
};

/* Makes the files; what it is given must live on. Before the guest runs. */
struct cp_error *writer_open(const struct writer_options *options);
/* Writes the header, a line with its end, and starts the thread. After record_init(). */
struct cp_error *writer_start(const char *header);

/* There is work. From any thread. */
void writer_wake(void);
/* Until the ring has room for so many words. false: nobody reads it any more. */
bool writer_wait_for_room(struct ring *ring, size_t words);

/* The recording is over, the guest is not. wanted: so many events belong to it; 0: what is there now. */
void writer_stop(const char *reason, uint64_t wanted);
/* QEMU ends: waits until all is written. */
void writer_finish(void);

#endif
