/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces in blocks made byte by byte, as files that are gone from the disk once they are open. */
#ifndef CPROBE_TRACE_FILE_H
#define CPROBE_TRACE_FILE_H

#include <zlib.h>

#include "dwarf_file.h"
#include "trace/format.h"
#include "trace/trace.h"

#define HEADER_LINE "{\"format\":\"bootsonde-trace\",\"version\":1,\"encoding\":\"blocks\",\"clock\":\"icount\"}\n"

static inline void put_varint_text(struct bytes *b, const char *text)
{
	put_uleb(b, strlen(text));
	put_bytes(b, text, strlen(text));
}

/* The header of a block whose records follow; end_block() fills it in. */
static inline size_t begin_block(struct bytes *b, uint16_t kind, uint16_t vcpu, uint16_t flags, uint64_t t)
{
	struct cp_block block = { .magic = CP_BLOCK_MAGIC, .kind = kind, .vcpu = vcpu, .flags = flags, .t = t };
	size_t at = b->size;

	put_bytes(b, &block, sizeof(block));
	return at;
}

static inline void end_block(struct bytes *b, size_t at, uint32_t count)
{
	struct cp_block block;

	memcpy(&block, b->at + at, sizeof(block));
	block.size = (uint32_t)(b->size - at - sizeof(block));
	block.count = count;
	block.check = (uint32_t)crc32(0, b->at + at + sizeof(block), block.size);
	memcpy(b->at + at, &block, sizeof(block));
}

static inline void put_function(struct bytes *b, uint64_t id, uint64_t address, const char *name)
{
	put_uleb(b, id);
	put_uleb(b, address);
	put_varint_text(b, name);
}

static inline void put_end(struct bytes *b)
{
	size_t at = begin_block(b, CP_BLOCK_END, CP_BLOCK_NO_VCPU, 0, 0);

	put_varint_text(b, "{\"t\":99,\"kind\":\"end\",\"outcome\":\"exit\"}");
	end_block(b, at, 1);
}

/* What open_trace() was told, the last note first; "" none. */
static char trace_note[1024];

static inline void keep_note(void *context, const char *text)
{
	(void)context;
	snprintf(trace_note, sizeof(trace_note), "%s", text);
}

static inline struct cp_error *open_trace(const void *data, size_t size, struct cp_trace **ret)
{
	char path[] = "/tmp/cprobe-trace-XXXXXX";
	int fd = mkstemp(path);
	struct cp_error *error;

	assert_true(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	trace_note[0] = 0;
	error = cp_trace_open(path, keep_note, NULL, ret);
	unlink(path);
	return error;
}

#endif
