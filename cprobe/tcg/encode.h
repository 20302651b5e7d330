/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records into blocks, as ../trace/format.h has them. Knows neither QEMU nor files: blocks go to a function. All memory
 * is taken when the encoder is made, so that nothing fails later but the function's own.
 */
#ifndef BOOTSONDE_ENCODE_H
#define BOOTSONDE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprobe.h"

/* Takes whole blocks, one or more; false: it cannot, and the encoder asks it no more. */
typedef bool encoder_write_fn(void *context, const void *data, size_t size);

/* What the numbers of functions and sites stand for. Pointers hold as long as the encoder. */
struct encoder_names {
	size_t functions;
	size_t sites;			/* numbers are below this; 0 is none */
	const char *(*name)(size_t function, uint64_t *address);
	/* target: the function that it can only lead to, 0 if it may be any. */
	uint64_t (*site)(size_t site, uint64_t *target);
};

struct encoder_options {
	unsigned int vcpus;
	bool has_sites, has_values;
	size_t block_records;		/* a block of events is written when it has so many */
	const struct encoder_names *names;
	encoder_write_fn *write;
	void *context;
};

struct encoder;

struct cp_error *encoder_create(const struct encoder_options *options, struct encoder **ret);
void encoder_destroy(struct encoder *encoder);

/* `t` in ns, not below that of the vCPU's record before; else it is taken as that. values: NULL where there are none. */
void encoder_event(struct encoder *encoder, unsigned int vcpu, uint64_t t, uint32_t function, uint32_t site,
    const uint64_t *values, size_t count);
/* A line without its end. Text beyond CP_BLOCK_MAX / 4 is left out. */
void encoder_console(struct encoder *encoder, unsigned int vcpu, uint64_t t, const char *text, size_t length);
void encoder_count(struct encoder *encoder, uint32_t function, uint64_t count, uint64_t first, unsigned int vcpu);

/* What is not yet written. */
void encoder_flush(struct encoder *encoder);
/* The same to another function, and it remains unwritten: for a reader who comes before the block is full. */
void encoder_preview(struct encoder *encoder, encoder_write_fn *write, void *context);
/* Flushes, and ends the trace with this object. */
void encoder_end(struct encoder *encoder, const char *json);

/* Of a vCPU: events encoded so far. */
uint64_t encoder_events(const struct encoder *encoder, unsigned int vcpu);

#endif
