/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of one block. Nothing of a record is believed: neither its length, nor its ids, nor its times. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "trace/inside.h"

/* Where in the file the cursor is. */
static uint64_t offset(const struct cp_cursor *c)
{
	return c->block->at + (uint64_t)(c->at - c->buffer);
}

static unsigned long long record_number(const struct cp_cursor *c)
{
	return (unsigned long long)c->block->count - c->left;
}

struct cp_error *cp_cursor_open(struct cp_cursor *c, const struct cp_trace *trace, size_t block)
{
	const struct cp_trace_block *b = &trace->blocks[block];
	struct cp_error *error;
	uint32_t check;

	if (c->room < b->size) {
		uint8_t *buffer = realloc(c->buffer, b->size);

		if (!buffer)
			return &cp_error_no_memory;
		c->buffer = buffer;
		c->room = b->size;
	}
	error = cp_trace_read(trace, b->at, c->buffer, b->size);
	if (error)
		return error;
	check = (uint32_t)crc32(0, c->buffer, b->size);
	if (check != b->check)
		return cp_trace_corrupt(trace, b->at, "the %u bytes of the block have the checksum 0x%08x, and its header says "
			"0x%08x", b->size, check, b->check);
	c->trace = trace;
	c->block = b;
	c->at = c->buffer;
	c->end = c->buffer + b->size;
	c->left = b->count;
	c->t = b->t;
	return NULL;
}

void cp_cursor_deinit(struct cp_cursor *cursor)
{
	free(cursor->buffer);
	cursor->buffer = NULL;
	cursor->room = 0;
}

static struct cp_error *bad_number(struct cp_cursor *c, const char *what)
{
	const uint8_t *p = c->at;

	while (p < c->end && *p & 0x80)
		p++;
	if (p == c->end)
		return cp_trace_corrupt(c->trace, offset(c), "%s of record %llu leaves its block of %u bytes", what,
			record_number(c), c->block->size);
	return cp_trace_corrupt(c->trace, offset(c), "%s of record %llu has more than 64 bits", what, record_number(c));
}

/* A varint of more than a byte. False: it is none; the cursor stays where it is. */
static bool long_number(struct cp_cursor *c, uint64_t *ret)
{
	const uint8_t *p = c->at;
	uint64_t value = 0;

	for (unsigned int shift = 0; p < c->end && shift < 7 * CP_VARINT_MAX; shift += 7, p++) {
		if (shift == 63 && *p > 1)
			return false;
		value |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p & 0x80)) {
			c->at = p + 1;
			*ret = value;
			return true;
		}
	}
	return false;
}

static inline bool number(struct cp_cursor *c, uint64_t *ret)
{
	if (c->at < c->end && !(*c->at & 0x80)) {
		*ret = *c->at++;
		return true;
	}
	return long_number(c, ret);
}

#define READ(c, ret, what) \
	do { \
		if (!number((c), (ret))) \
			return bad_number((c), (what)); \
	} while (0)

/* Is there another record? If not, the block must end here. */
static struct cp_error *begin(struct cp_cursor *c, bool *more)
{
	*more = c->left > 0;
	if (*more || c->at == c->end)
		return NULL;
	return cp_trace_corrupt(c->trace, offset(c), "the %u records of the block take %td of its %u bytes", c->block->count,
		c->at - c->buffer, c->block->size);
}

static struct cp_error *pass(struct cp_cursor *c, uint64_t ns)
{
	if (ns > CP_TRACE_LAST - c->t)
		return cp_trace_corrupt(c->trace, offset(c), "the time of record %llu, 0x%" PRIx64 " ns after 0x%" PRIx64
			", overflows", record_number(c), ns, c->t);
	c->t += ns;
	return NULL;
}

static struct cp_error *text(struct cp_cursor *c, const char *what, const char **ret, size_t *length)
{
	uint64_t size;

	READ(c, &size, what);
	if (size > (uint64_t)(c->end - c->at))
		return cp_trace_corrupt(c->trace, offset(c), "%s of record %llu has 0x%" PRIx64 " bytes, and its block only 0x%tx "
			"more", what, record_number(c), size, c->end - c->at);
	*ret = (const char *)c->at;
	*length = (size_t)size;
	c->at += size;
	return NULL;
}

static struct cp_error *undefined(struct cp_cursor *c, const char *what, uint64_t id)
{
	return cp_trace_corrupt(c->trace, offset(c), "record %llu is of %s %" PRIu64 ", which no block before defines",
		record_number(c), what, id);
}

static bool knows_function(const struct cp_cursor *c, uint64_t id)
{
	const struct cp_trace *t = c->trace;

	return id < t->function_limit && t->functions_since[id] - 1 < (uint32_t)(c->block - t->blocks);
}

static bool knows_site(const struct cp_cursor *c, uint64_t id)
{
	const struct cp_trace *t = c->trace;

	return id < t->site_limit && t->sites_since[id] - 1 < (uint32_t)(c->block - t->blocks);
}

static struct cp_error *read_values(struct cp_cursor *c, struct cp_hit *ret)
{
	uint64_t count;

	READ(c, &count, "the number of values");
	if (count > CP_VALUES_MAX)
		return cp_trace_corrupt(c->trace, offset(c), "record %llu has %" PRIu64 " values, and %d are the most",
			record_number(c), count, CP_VALUES_MAX);
	for (uint64_t i = 0; i < count; i++)
		READ(c, &c->values[i], "a value");
	ret->value_count = (uint32_t)count;
	return NULL;
}

struct cp_error *cp_cursor_hit(struct cp_cursor *c, struct cp_hit *ret, bool *more)
{
	struct cp_error *error = begin(c, more);
	uint64_t function, ns, site = 0;

	if (error || !*more)
		return error;
	READ(c, &function, "the function");
	if (!knows_function(c, function))
		return undefined(c, "function", function);
	READ(c, &ns, "the time");
	error = pass(c, ns);
	if (error)
		return error;
	if (c->block->flags & CP_BLOCK_HAS_SITES) {
		READ(c, &site, "the call site");
		if (site && !knows_site(c, site - 1))
			return undefined(c, "call site", site - 1);
	}
	ret->value_count = 0;
	if (c->block->flags & CP_BLOCK_HAS_VALUES) {
		error = read_values(c, ret);
		if (error)
			return error;
	}
	ret->t = c->t;
	ret->function = (uint32_t)function;
	ret->site = (uint32_t)site;
	c->left--;
	return NULL;
}

/* A varint of up to four bytes; NULL: it is longer. Reads four bytes. */
static inline const uint8_t *short_number(const uint8_t *p, uint32_t *ret)
{
	uint32_t value = p[0];

	if (value < 0x80) {
		*ret = value;
		return p + 1;
	}
	value = (value & 0x7f) | (uint32_t)p[1] << 7;
	if (p[1] < 0x80) {
		*ret = value;
		return p + 2;
	}
	value = (value & 0x3fff) | (uint32_t)p[2] << 14;
	if (p[2] < 0x80) {
		*ret = value;
		return p + 3;
	}
	value = (value & 0x1fffff) | (uint32_t)p[3] << 21;
	*ret = value;
	return p[3] < 0x80 ? p + 4 : NULL;
}

/* Those that are sound and have short numbers; what is left is for cp_cursor_hit(), also to say what is wrong. */
static size_t quick_hits(struct cp_cursor *c, struct cp_hit *ret, size_t room)
{
	const struct cp_trace *trace = c->trace;
	bool has_sites = c->block->flags & CP_BLOCK_HAS_SITES;
	uint32_t number = (uint32_t)(c->block - trace->blocks);
	const uint8_t *p = c->at;
	uint64_t t = c->t;
	size_t count = 0;

	if (room > c->left)
		room = c->left;
	while (count < room && c->end - p >= 12) {
		uint32_t function, ns, site = 0;
		const uint8_t *next = short_number(p, &function);

		if (next)
			next = short_number(next, &ns);
		if (next && has_sites)
			next = short_number(next, &site);
		if (!next || function >= trace->function_limit || trace->functions_since[function] - 1 >= number ||
			ns > CP_TRACE_LAST - t ||
			(site && (site > trace->site_limit || trace->sites_since[site - 1] - 1 >= number)))
			break;
		p = next;
		t += ns;
		ret[count++] = (struct cp_hit){ t, function, site, 0 };
	}
	c->at = p;
	c->t = t;
	c->left -= (uint32_t)count;
	return count;
}

struct cp_error *cp_cursor_hits(struct cp_cursor *c, struct cp_hit *ret, size_t room, size_t *count)
{
	struct cp_error *error;
	bool more;

	*count = c->block->flags & CP_BLOCK_HAS_VALUES ? 0 : quick_hits(c, ret, room);
	if (*count)
		return NULL;
	error = cp_cursor_hit(c, ret, &more);
	if (!error)
		*count = more;
	return error;
}

struct cp_error *cp_cursor_console(struct cp_cursor *c, const char **ret, size_t *length, bool *more)
{
	struct cp_error *error = begin(c, more);
	uint64_t ns;

	if (error || !*more)
		return error;
	READ(c, &ns, "the time");
	error = pass(c, ns);
	if (!error)
		error = text(c, "the line", ret, length);
	if (!error)
		c->left--;
	return error;
}

struct cp_error *cp_cursor_json(struct cp_cursor *c, json_t **ret, const char **bytes, size_t *length, bool *more)
{
	struct cp_error *error = begin(c, more);

	if (error || !*more)
		return error;
	error = text(c, "the JSON object", bytes, length);
	if (!error)
		error = cp_trace_object(*bytes, *length, ret);
	if (error)
		return error;
	if (!*ret)
		return cp_trace_corrupt(c->trace, offset(c), "record %llu is no JSON object", record_number(c));
	c->left--;
	return NULL;
}

struct cp_error *cp_cursor_function(struct cp_cursor *c, uint64_t *id, uint64_t *address, const char **name,
	size_t *length, bool *more)
{
	struct cp_error *error = begin(c, more);

	if (error || !*more)
		return error;
	READ(c, id, "the id");
	READ(c, address, "the address");
	error = text(c, "the name", name, length);
	if (!error && (!*length || memchr(*name, 0, *length)))
		error = cp_trace_corrupt(c->trace, offset(c), "the name of function %" PRIu64 " is empty, or has a NUL byte", *id);
	if (!error)
		c->left--;
	return error;
}

struct cp_error *cp_cursor_site(struct cp_cursor *c, uint64_t *id, uint64_t *address, bool *more)
{
	struct cp_error *error = begin(c, more);

	if (error || !*more)
		return error;
	READ(c, id, "the id");
	READ(c, address, "the address");
	c->left--;
	return NULL;
}

struct cp_error *cp_cursor_count(struct cp_cursor *c, uint64_t *function, uint64_t *count, uint64_t *first,
	uint64_t *vcpu, bool *more)
{
	struct cp_error *error = begin(c, more);

	if (error || !*more)
		return error;
	READ(c, function, "the function");
	if (!knows_function(c, *function))
		return undefined(c, "function", *function);
	READ(c, count, "the count");
	READ(c, first, "the time");
	READ(c, vcpu, "the vCPU");
	if (*first > CP_TRACE_LAST || *vcpu >= CP_BLOCK_NO_VCPU)
		return cp_trace_corrupt(c->trace, offset(c), "record %llu: time 0x%" PRIx64 " or vCPU %" PRIu64 " is out of range",
			record_number(c), *first, *vcpu);
	c->left--;
	return NULL;
}
