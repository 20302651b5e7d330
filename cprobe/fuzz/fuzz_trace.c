/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trace. Byte 0 of the input says what is done to it, so that most mutations get past the checksums:
 *
 *	bit 0	it is a file as it stands; else a header line is put before it and the checksums of blocks are made right
 *	bit 1	walk before adding up
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz/fuzz.h"
#include "trace/format.h"
#include "trace/trace.h"

#define HEADER "{\"format\":\"bootsonde-trace\",\"version\":1,\"encoding\":\"blocks\",\"args\":[\"rdi\"]}\n"

static char path[] = "/tmp/cprobe-fuzz-trace-XXXXXX";

static void remove_trace(void)
{
	unlink(path);
}

/* As far as the blocks follow one another. */
static void make_sound(uint8_t *data, size_t size)
{
	struct cp_block block;

	for (size_t at = 0; size - at >= sizeof(block); at += sizeof(block) + block.size) {
		memcpy(&block, data + at, sizeof(block));
		block.magic = CP_BLOCK_MAGIC;
		block.zero = 0;
		if (block.size > size - at - sizeof(block))
			return;
		block.check = (uint32_t)crc32(0, data + at + sizeof(block), block.size);
		memcpy(data + at, &block, sizeof(block));
	}
}

static void put(const uint8_t *data, size_t size, bool whole)
{
	size_t head = whole ? 0 : strlen(HEADER);
	uint8_t *file = malloc(head + size + 1);
	static int fd = -1;

	if (fd < 0) {
		fd = mkstemp(path);
		FUZZ_ASSERT(fd >= 0);
		atexit(remove_trace);
	}
	FUZZ_ASSERT(file);
	memcpy(file, HEADER, head);
	memcpy(file + head, data, size);
	if (!whole)
		make_sound(file + head, size);
	FUZZ_ASSERT(!ftruncate(fd, 0) && pwrite(fd, file, head + size, 0) == (ssize_t)(head + size));
	free(file);
}

static void ignore(void *context, const char *text)
{
	(void)context;
	FUZZ_ASSERT(text && !strchr(text, '\n'));
}

struct sums {
	uint64_t events, entries;	/* entries: of blocks of events */
};

static struct cp_error *add(void *context, const struct cp_event *event)
{
	struct sums *sums = context;

	FUZZ_ASSERT(event->kind && event->vcpu >= -1 && event->vcpu < CP_BLOCK_NO_VCPU);
	FUZZ_ASSERT(event->t <= INT64_MAX && event->value_count <= CP_VALUES_MAX);
	FUZZ_ASSERT(!event->is_entry || (event->function && *event->function));
	sums->events++;
	sums->entries += event->is_entry && !event->json;
	return NULL;
}

static void print(struct cp_trace *trace, enum cp_format format)
{
	struct cp_when when = { .to = UINT64_MAX };
	char *text = NULL;
	size_t size = 0;
	uint64_t count;
	FILE *out = open_memstream(&text, &size);

	FUZZ_ASSERT(out);
	fuzz_take_error(cp_events(trace, &when, format, out, &count));
	FUZZ_ASSERT(!fclose(out));
	for (size_t i = 0; i < size; i++)
		FUZZ_ASSERT(text[i] == '\n' || (unsigned char)text[i] >= 0x20 || format == CP_FORMAT_JSON);
	free(text);
}

/* Is there a number that only a block of counts can claim? */
static bool has_counts(const struct cp_ran *ran, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (ran[i].count > UINT32_MAX)
			return true;
	}
	return false;
}

/* Is the trace as it is to be? What is said of it goes nowhere. */
static struct cp_error *differs(const struct cp_expected *expected, struct cp_trace *trace, enum cp_format format, bool *ret)
{
	struct cp_diff_how how = { .limit = 3 };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct cp_error *error;

	FUZZ_ASSERT(out);
	error = cp_diff(expected, trace, &how, format, out, ret);
	FUZZ_ASSERT(!fclose(out));
	free(text);
	return error;
}

/* A trace that has its end is equal to itself. */
static void compare(struct cp_trace *trace, enum cp_format format)
{
	struct cp_expected expected = { .trace = trace };
	bool is_other = false;
	struct cp_error *error = differs(&expected, trace, format, &is_other);

	FUZZ_ASSERT(error || !is_other || !cp_trace_end_time(trace));
	fuzz_take_error(error);
}

/* A baseline that is made of a trace is read, and the trace is equal to it. */
static void make_baseline(struct cp_trace *trace, enum cp_format format)
{
	struct cp_trace *const traces[2] = { trace, trace };
	struct cp_baseline_how how = { .kernel = NULL };
	struct cp_expected expected = { .trace = NULL };
	bool is_other = false;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct cp_error *error;

	FUZZ_ASSERT(out);
	/* Two runs that are one repeat themselves. */
	error = cp_baseline_make(traces, format == CP_FORMAT_JSON ? 2 : 1, &how, NULL, NULL, out);
	FUZZ_ASSERT(!fclose(out));
	if (!error) {
		expected.baseline = fuzz_open_baseline((const uint8_t *)text, size);
		FUZZ_ASSERT(expected.baseline);
		FUZZ_ASSERT(!differs(&expected, trace, format, &is_other));
		FUZZ_ASSERT(!is_other);
	}
	cp_baseline_close(expected.baseline);
	fuzz_take_error(error);
	free(text);
}

static void use(struct cp_trace *trace, bool walk_first)
{
	struct sums sums = { 0, 0 };
	const struct cp_ran *ran;
	struct cp_error *error = NULL;
	uint64_t entries = 0;
	size_t count = 0;

	if (walk_first)
		fuzz_take_error(cp_trace_walk(trace, add, &sums));
	error = cp_trace_ran(trace, &ran, &count);
	for (size_t i = 0; !error && i < count; i++) {
		FUZZ_ASSERT(ran[i].count && *ran[i].name && ran[i].first <= INT64_MAX);
		FUZZ_ASSERT(!i || ran[i - 1].address < ran[i].address ||
			(ran[i - 1].address == ran[i].address && strcmp(ran[i - 1].name, ran[i].name) < 0));
		entries += ran[i].count;
	}
	if (!error) {
		memset(&sums, 0, sizeof(sums));
		error = cp_trace_walk(trace, add, &sums);
		/* Blocks of counts are added up alone; their sum may overflow. */
		FUZZ_ASSERT(error || sums.entries <= entries || has_counts(ran, count));
	}
	fuzz_take_error(error);
	print(trace, CP_FORMAT_TEXT);
	print(trace, CP_FORMAT_JSON);
	compare(trace, walk_first ? CP_FORMAT_JSON : CP_FORMAT_TEXT);
	make_baseline(trace, walk_first ? CP_FORMAT_JSON : CP_FORMAT_TEXT);
	cp_trace_has_callers(trace);
	cp_trace_end_time(trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_trace *trace = NULL;

	if (!size)
		return 0;
	put(data + 1, size - 1, data[0] & 1);
	fuzz_take_error(cp_trace_open(path, ignore, NULL, &trace));
	if (trace)
		use(trace, data[0] & 2);
	cp_trace_close(trace);
	return 0;
}
