/* SPDX-License-Identifier: BSD-2-Clause */
/* See encode.h. */
#include "encode.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "trace/format.h"

#define ROOM		(CP_BLOCK_MAX / 2)		/* bytes of a block, header included */
#define MOST_VALUES	CP_VALUES_MAX
#define LONGEST_NAME	4095				/* bytes; readers take no longer ones */
#define FULL		(ROOM - 4 * CP_VARINT_MAX - CP_VARINT_MAX * MOST_VALUES)	/* no further record fits for sure */

/* A block that is being filled. `bytes` begins with room for its header. */
struct block {
	uint8_t *bytes;
	size_t size;
	uint32_t count;
	uint16_t kind, flags, vcpu;
	uint64_t t;		/* what the first record counts from */
};

/* One vCPU's. Its records are in order in the file, so that it fills one block at a time. */
struct stream {
	struct block block;
	uint64_t last;		/* ns, of the record before */
	uint64_t events;
};

struct encoder {
	struct encoder_options options;
	struct block functions, sites, other;
	struct stream *streams;
	uint32_t *function_ids, *site_ids;	/* by number; 0: not yet defined, else id + 1 */
	uint32_t function_count, site_count;
	uint8_t *memory;
	bool broken;
};

static void
block_begin(struct block *block, enum cp_block_kind kind, uint64_t t)
{
	block->kind = (uint16_t)kind;
	block->size = sizeof(struct cp_block);
	block->count = 0;
	block->t = t;
}

static inline void
put(struct block *block, uint64_t value)
{
	uint8_t *at = block->bytes + block->size;

	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	block->size = (size_t)(at - block->bytes);
}

static void
put_text(struct block *block, const char *text, size_t length)
{
	put(block, length);
	memcpy(block->bytes + block->size, text, length);
	block->size += length;
}

static bool
block_write(const struct encoder *encoder, struct block *block, encoder_write_fn *write, void *context)
{
	size_t size = block->size - sizeof(struct cp_block);
	struct cp_block header = {
		.magic = CP_BLOCK_MAGIC, .size = (uint32_t)size, .count = block->count, .kind = block->kind,
		.flags = block->flags, .vcpu = block->vcpu, .t = block->t,
	};

	if (block->count == 0 || encoder->broken)
		return true;
	header.check = (uint32_t)crc32(0, block->bytes + sizeof(header), (uInt)size);
	memcpy(block->bytes, &header, sizeof(header));
	return write(context, block->bytes, block->size);
}

static void
block_flush(struct encoder *encoder, struct block *block)
{
	if (!block_write(encoder, block, encoder->options.write, encoder->options.context))
		encoder->broken = true;
	block->size = sizeof(struct cp_block);
	block->count = 0;
}

static void
flush_definitions(struct encoder *encoder)
{
	block_flush(encoder, &encoder->functions);
	block_flush(encoder, &encoder->sites);
}

static void
stream_flush(struct encoder *encoder, struct stream *stream)
{
	flush_definitions(encoder);
	block_flush(encoder, &stream->block);
}

/* The stream's block, made ready for a record of this kind. */
static struct block *
stream_block(struct encoder *encoder, struct stream *stream, enum cp_block_kind kind, uint64_t t)
{
	struct block *block = &stream->block;

	if (block->count != 0 && block->kind != kind)
		stream_flush(encoder, stream);
	if (block->count == 0) {
		block_begin(block, kind, t);
		block->flags = kind != CP_BLOCK_EVENTS ? 0 :
			(uint16_t)((encoder->options.has_sites ? CP_BLOCK_HAS_SITES : 0) |
			(encoder->options.has_values ? CP_BLOCK_HAS_VALUES : 0));
		stream->last = t;
	}
	return block;
}

static uint32_t
define_function(struct encoder *encoder, uint32_t function)
{
	uint64_t address;
	const char *name = encoder->options.names->name(function, &address);
	struct block *block = &encoder->functions;
	size_t length = strlen(name);

	if (length > LONGEST_NAME)
		length = LONGEST_NAME;
	if (block->size + length >= FULL)
		flush_definitions(encoder);
	put(block, encoder->function_count);
	put(block, address);
	put_text(block, name, length);
	block->count++;
	encoder->function_ids[function] = ++encoder->function_count;
	return encoder->function_count;
}

static inline uint32_t
function_id(struct encoder *encoder, uint32_t function)
{
	uint32_t id = encoder->function_ids[function];

	return (id != 0 ? id : define_function(encoder, function)) - 1;
}

/* The id of the site + 1, as events have it; 0 if it cannot have led to the function. */
static uint32_t
site_id(struct encoder *encoder, uint32_t site, uint32_t function)
{
	const struct encoder_names *names = encoder->options.names;
	uint64_t target, address, entry;
	struct block *block = &encoder->sites;

	if (site == 0 || site >= names->sites)
		return 0;
	address = names->site(site, &target);
	if (target != 0 && (names->name(function, &entry), entry != target))
		return 0;
	if (encoder->site_ids[site] == 0) {
		if (block->size >= FULL)
			flush_definitions(encoder);
		put(block, encoder->site_count);
		put(block, address);
		block->count++;
		encoder->site_ids[site] = ++encoder->site_count;
	}
	return encoder->site_ids[site];
}

void
encoder_event(struct encoder *encoder, unsigned int vcpu, uint64_t t, uint32_t function, uint32_t site,
    const uint64_t *values, size_t count)
{
	struct stream *stream = &encoder->streams[vcpu];
	struct block *block;

	if (t < stream->last)
		t = stream->last;
	block = stream_block(encoder, stream, CP_BLOCK_EVENTS, t);
	put(block, function_id(encoder, function));
	put(block, t - stream->last);
	if (encoder->options.has_sites)
		put(block, site_id(encoder, site, function));
	if (encoder->options.has_values) {
		if (count > MOST_VALUES)
			count = MOST_VALUES;
		put(block, count);
		for (size_t i = 0; i < count; i++)
			put(block, values[i]);
	}
	stream->last = t;
	stream->events++;
	if (++block->count >= encoder->options.block_records || block->size >= FULL)
		stream_flush(encoder, stream);
}

void
encoder_console(struct encoder *encoder, unsigned int vcpu, uint64_t t, const char *text, size_t length)
{
	struct stream *stream = &encoder->streams[vcpu];
	struct block *block;

	if (length > ROOM / 4)
		length = ROOM / 4;
	if (t < stream->last)
		t = stream->last;
	if (stream->block.size + length >= FULL)
		stream_flush(encoder, stream);
	block = stream_block(encoder, stream, CP_BLOCK_CONSOLE, t);
	put(block, t - stream->last);
	put_text(block, text, length);
	block->count++;
	stream->last = t;
}

void
encoder_count(struct encoder *encoder, uint32_t function, uint64_t count, uint64_t first, unsigned int vcpu)
{
	struct block *block = &encoder->other;

	if (block->count != 0 && (block->kind != CP_BLOCK_COUNTS || block->size >= FULL)) {
		flush_definitions(encoder);
		block_flush(encoder, block);
	}
	if (block->count == 0)
		block_begin(block, CP_BLOCK_COUNTS, 0);
	put(block, function_id(encoder, function));
	put(block, count);
	put(block, first);
	put(block, vcpu);
	block->count++;
}

void
encoder_flush(struct encoder *encoder)
{
	flush_definitions(encoder);
	for (unsigned int i = 0; i < encoder->options.vcpus; i++)
		block_flush(encoder, &encoder->streams[i].block);
	block_flush(encoder, &encoder->other);
}

void
encoder_preview(struct encoder *encoder, encoder_write_fn *write, void *context)
{
	bool fits = block_write(encoder, &encoder->functions, write, context) &&
	    block_write(encoder, &encoder->sites, write, context);

	/* What does not fit now may do so, or be told, when it is written for good. */
	for (unsigned int i = 0; i < encoder->options.vcpus && fits; i++)
		fits = block_write(encoder, &encoder->streams[i].block, write, context);
	if (fits)
		block_write(encoder, &encoder->other, write, context);
}

void
encoder_end(struct encoder *encoder, const char *json)
{
	encoder_flush(encoder);
	block_begin(&encoder->other, CP_BLOCK_END, 0);
	put_text(&encoder->other, json, strlen(json));
	encoder->other.count++;
	block_flush(encoder, &encoder->other);
}

uint64_t
encoder_events(const struct encoder *encoder, unsigned int vcpu)
{
	return encoder->streams[vcpu].events;
}

struct cp_error *
encoder_create(const struct encoder_options *options, struct encoder **ret)
{
	struct encoder *encoder = calloc(1, sizeof(*encoder));
	uint8_t *at;

	if (encoder == NULL)
		return &cp_error_no_memory;
	encoder->options = *options;
	encoder->streams = calloc(options->vcpus, sizeof(*encoder->streams));
	encoder->function_ids = calloc(options->names->functions + 1, sizeof(uint32_t));
	encoder->site_ids = calloc(options->names->sites + 1, sizeof(uint32_t));
	at = encoder->memory = malloc(ROOM * ((size_t)options->vcpus + 3));
	if (encoder->streams == NULL || encoder->function_ids == NULL || encoder->site_ids == NULL || at == NULL) {
		encoder_destroy(encoder);
		return &cp_error_no_memory;
	}
	encoder->functions = (struct block){ .bytes = at, .vcpu = CP_BLOCK_NO_VCPU };
	encoder->sites = (struct block){ .bytes = at + ROOM, .vcpu = CP_BLOCK_NO_VCPU };
	encoder->other = (struct block){ .bytes = at + 2 * ROOM, .vcpu = CP_BLOCK_NO_VCPU };
	block_begin(&encoder->functions, CP_BLOCK_FUNCTIONS, 0);
	block_begin(&encoder->sites, CP_BLOCK_SITES, 0);
	block_begin(&encoder->other, CP_BLOCK_COUNTS, 0);
	for (unsigned int i = 0; i < options->vcpus; i++) {
		encoder->streams[i].block = (struct block){ .bytes = at + (i + 3) * ROOM, .vcpu = (uint16_t)i };
		block_begin(&encoder->streams[i].block, CP_BLOCK_EVENTS, 0);
	}
	*ret = encoder;
	return NULL;
}

void
encoder_destroy(struct encoder *encoder)
{
	if (encoder == NULL)
		return;
	free(encoder->streams);
	free(encoder->function_ids);
	free(encoder->site_ids);
	free(encoder->memory);
	free(encoder);
}
