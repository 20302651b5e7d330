#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "../encode.h"
#include "trace/format.h"

#define FUNCTION_COUNT 300

/* What was written, and a reader's place in it. */
static struct {
	uint8_t *bytes;
	size_t size, at, room;
} file;

static bool
write_file(void *context, const void *data, size_t size)
{
	assert_ptr_equal(context, &file);
	if (file.size + size > file.room)
		return false;
	memcpy(file.bytes + file.size, data, size);
	file.size += size;
	return true;
}

static const char *
name_of(size_t function, uint64_t *address)
{
	*address = 0xffffffff80000000 + function;
	return function == 7 ? "seven" : "f";
}

/* Site 1 leads to function 7 alone, site 2 anywhere. */
static uint64_t
site_of(size_t site, uint64_t *target)
{
	*target = site == 1 ? 0xffffffff80000007 : 0;
	return 0x1000 + site;
}

static const struct encoder_names names = { FUNCTION_COUNT, 3, name_of, site_of };

static struct encoder *
make(bool sites, bool values, size_t records)
{
	struct encoder_options options = { 2, sites, values, records, &names, write_file, &file };
	struct encoder *encoder;

	free(file.bytes);
	file.room = 8 << 20;
	file.bytes = malloc(file.room);
	assert_non_null(file.bytes);
	file.size = file.at = 0;
	assert_null(encoder_create(&options, &encoder));
	return encoder;
}

static uint64_t
number(void)
{
	uint64_t value = 0;

	for (unsigned int shift = 0;; shift += 7) {
		uint8_t byte = file.bytes[file.at++];

		assert_true(file.at <= file.size && shift < 64);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
}

static void
text(const char *wanted)
{
	size_t length = strlen(wanted);

	assert_int_equal(number(), length);
	assert_memory_equal(file.bytes + file.at, wanted, length);
	file.at += length;
}

static struct cp_block
block(enum cp_block_kind kind, uint32_t count)
{
	struct cp_block header;

	assert_true(file.at + sizeof(header) <= file.size);
	memcpy(&header, file.bytes + file.at, sizeof(header));
	file.at += sizeof(header);
	assert_int_equal(header.magic, CP_BLOCK_MAGIC);
	assert_int_equal(header.kind, kind);
	assert_int_equal(header.count, count);
	assert_int_equal(header.zero, 0);
	assert_true(header.size <= CP_BLOCK_MAX && file.at + header.size <= file.size);
	assert_int_equal(header.check, crc32(0, file.bytes + file.at, header.size));
	return header;
}

static void
events_follow_their_definitions(void **state)
{
	struct encoder *encoder = make(true, false, 100);
	struct cp_block header;

	(void)state;
	encoder_event(encoder, 1, 500, 7, 1, NULL, 0);
	encoder_event(encoder, 1, 700, 3, 1, NULL, 0);
	encoder_event(encoder, 1, 600, 7, 2, NULL, 0);
	assert_int_equal(encoder_events(encoder, 1), 3);
	assert_int_equal(encoder_events(encoder, 0), 0);
	encoder_end(encoder, "{}");
	encoder_destroy(encoder);

	assert_int_equal(block(CP_BLOCK_FUNCTIONS, 2).vcpu, CP_BLOCK_NO_VCPU);
	assert_int_equal(number(), 0);
	assert_int_equal(number(), 0xffffffff80000007);
	text("seven");
	assert_int_equal(number(), 1);
	assert_int_equal(number(), 0xffffffff80000003);
	text("f");
	block(CP_BLOCK_SITES, 2);
	assert_int_equal(number(), 0);
	assert_int_equal(number(), 0x1001);
	assert_int_equal(number(), 1);
	assert_int_equal(number(), 0x1002);
	header = block(CP_BLOCK_EVENTS, 3);
	assert_int_equal(header.vcpu, 1);
	assert_int_equal(header.t, 500);
	assert_int_equal(header.flags, CP_BLOCK_HAS_SITES);
	assert_int_equal(number(), 0);
	assert_int_equal(number(), 0);
	assert_int_equal(number(), 1);
	assert_int_equal(number(), 1);
	assert_int_equal(number(), 200);
	assert_int_equal(number(), 0);	/* that site does not lead there */
	assert_int_equal(number(), 0);
	assert_int_equal(number(), 0);	/* time does not go back */
	assert_int_equal(number(), 2);
	block(CP_BLOCK_END, 1);
	text("{}");
	assert_int_equal(file.at, file.size);
}

static void
blocks_are_cut_by_number_and_keep_the_time(void **state)
{
	struct encoder *encoder = make(false, true, 4);
	uint64_t values[2] = { UINT64_MAX, 127 };
	uint64_t t = 0;

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		encoder_event(encoder, 0, i * 1000, 0, 0, values, i % 3);
	encoder_flush(encoder);
	encoder_destroy(encoder);
	block(CP_BLOCK_FUNCTIONS, 1);
	number();
	number();
	text("f");
	for (uint32_t i = 0; i < 10; i++) {
		if (i % 4 == 0) {
			struct cp_block header = block(CP_BLOCK_EVENTS, i < 8 ? 4 : 2);

			assert_int_equal(header.flags, CP_BLOCK_HAS_VALUES);
			t = header.t;
		}
		assert_int_equal(number(), 0);
		t += number();
		assert_int_equal(t, i * 1000);
		assert_int_equal(number(), i % 3);
		for (uint32_t k = 0; k < i % 3; k++)
			assert_int_equal(number(), values[k]);
	}
	assert_int_equal(file.at, file.size);
}

/* A vCPU's lines and entries are in the file in the order in which they came. */
static void
console_lines_split_the_stream(void **state)
{
	struct encoder *encoder = make(false, false, 100);

	(void)state;
	encoder_event(encoder, 0, 10, 0, 0, NULL, 0);
	encoder_console(encoder, 0, 20, "one", 3);
	encoder_console(encoder, 0, 25, "", 0);
	encoder_event(encoder, 0, 30, 0, 0, NULL, 0);
	encoder_flush(encoder);
	encoder_destroy(encoder);
	file.at += block(CP_BLOCK_FUNCTIONS, 1).size;
	file.at += block(CP_BLOCK_EVENTS, 1).size;
	assert_int_equal(block(CP_BLOCK_CONSOLE, 2).t, 20);
	assert_int_equal(number(), 0);
	text("one");
	assert_int_equal(number(), 5);
	text("");
	assert_int_equal(block(CP_BLOCK_EVENTS, 1).t, 30);
}

/* What a preview shows is what will be written, and it changes nothing. */
static void
a_preview_is_written_over(void **state)
{
	struct encoder *encoder = make(true, false, 100);
	uint8_t *preview;
	size_t size;

	(void)state;
	encoder_event(encoder, 0, 10, 1, 2, NULL, 0);
	encoder_event(encoder, 1, 11, 2, 0, NULL, 0);
	encoder_preview(encoder, write_file, &file);
	size = file.size;
	preview = malloc(size);
	assert_non_null(preview);
	memcpy(preview, file.bytes, size);
	file.size = 0;
	encoder_flush(encoder);
	assert_int_equal(file.size, size);
	assert_memory_equal(file.bytes, preview, size);
	free(preview);
	encoder_destroy(encoder);
}

/* A disk may have room again; and if not, it is told when it matters. */
static void
a_preview_that_does_not_fit_is_none(void **state)
{
	struct encoder *encoder = make(false, false, 100);

	(void)state;
	encoder_event(encoder, 0, 10, 1, 0, NULL, 0);
	file.room = 10;
	encoder_preview(encoder, write_file, &file);
	file.room = 1000;
	file.size = 0;
	encoder_flush(encoder);
	encoder_destroy(encoder);
	file.at += block(CP_BLOCK_FUNCTIONS, 1).size;
	assert_int_equal(block(CP_BLOCK_EVENTS, 1).t, 10);
}

static void
counts_and_long_blocks(void **state)
{
	struct encoder *encoder = make(false, true, SIZE_MAX);
	uint64_t values[40], seen = 0;

	(void)state;
	memset(values, 0xff, sizeof(values));
	for (uint64_t i = 0; i < 5000; i++)
		encoder_event(encoder, 0, i, (uint32_t)(i % FUNCTION_COUNT), 0, values, 40);
	encoder_count(encoder, 5, 1000000, 77, 1);
	encoder_flush(encoder);
	encoder_destroy(encoder);
	while (file.at < file.size) {
		struct cp_block header;

		memcpy(&header, file.bytes + file.at, sizeof(header));
		header = block(header.kind, header.count);
		seen += header.kind == CP_BLOCK_EVENTS ? header.count : 0;
		if (header.kind == CP_BLOCK_COUNTS) {
			assert_int_equal(number(), 5);
			assert_int_equal(number(), 1000000);
			assert_int_equal(number(), 77);
			assert_int_equal(number(), 1);
			assert_int_equal(file.at, file.size);
		} else {
			file.at += header.size;
		}
	}
	assert_int_equal(seen, 5000);
}

static void
a_full_file_is_asked_no_more(void **state)
{
	struct encoder *encoder = make(false, false, 1);

	(void)state;
	file.room = 100;
	for (uint64_t i = 0; i < 10; i++)
		encoder_event(encoder, 0, i, 0, 0, NULL, 0);
	encoder_end(encoder, "{}");
	assert_int_equal(encoder_events(encoder, 0), 10);
	assert_true(file.size <= 100);
	encoder_destroy(encoder);
	file.at = 0;
	file.at += block(CP_BLOCK_FUNCTIONS, 1).size;
	file.at += block(CP_BLOCK_EVENTS, 1).size;
	assert_int_equal(file.at, file.size);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_follow_their_definitions),
		cmocka_unit_test(blocks_are_cut_by_number_and_keep_the_time),
		cmocka_unit_test(console_lines_split_the_stream),
		cmocka_unit_test(a_preview_is_written_over),
		cmocka_unit_test(a_preview_that_does_not_fit_is_none),
		cmocka_unit_test(counts_and_long_blocks),
		cmocka_unit_test(a_full_file_is_asked_no_more),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(file.bytes);
	return failed;
}
