/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces: what a sound one says, and what each field of a damaged one makes of it. */
#include "trace_file.h"

#define SITE 0xffffffff80200011

/* Two vCPUs, in blocks that overlap in time: what ran when is known. */
static struct bytes sample(void)
{
	struct bytes b = { NULL, 0 };
	size_t at;

	put_bytes(&b, HEADER_LINE, strlen(HEADER_LINE));
	at = begin_block(&b, CP_BLOCK_FUNCTIONS, CP_BLOCK_NO_VCPU, 0, 0);
	put_function(&b, 0, 0xffffffff80200000, "start");
	put_function(&b, 900, 0xffffffff80200100, "tsc_init");
	end_block(&b, at, 2);
	at = begin_block(&b, CP_BLOCK_SITES, CP_BLOCK_NO_VCPU, 0, 0);
	put_uleb(&b, 5);
	put_uleb(&b, SITE);
	end_block(&b, at, 1);
	at = begin_block(&b, CP_BLOCK_EVENTS, 0, CP_BLOCK_HAS_SITES, 10);
	PUT(&b, 0, 0, 0);		/* start at 10 */
	put_uleb(&b, 900);		/* tsc_init at 30 */
	PUT(&b, 20, 6);
	end_block(&b, at, 2);
	at = begin_block(&b, CP_BLOCK_CONSOLE, CP_BLOCK_NO_VCPU, 0, 12);
	PUT(&b, 13, 3, 'a', 0xff, 0);	/* at 25 */
	end_block(&b, at, 1);
	at = begin_block(&b, CP_BLOCK_EVENTS, 1, CP_BLOCK_HAS_VALUES, 20);
	put_uleb(&b, 900);		/* tsc_init at 20 */
	PUT(&b, 0, 2, 7, 0x80, 1);
	end_block(&b, at, 1);
	at = begin_block(&b, CP_BLOCK_COUNTS, CP_BLOCK_NO_VCPU, 0, 0);
	PUT(&b, 0, 100, 3, 1);		/* start 100 times, first at 3 by vCPU 1 */
	end_block(&b, at, 1);
	at = begin_block(&b, CP_BLOCK_JSON, CP_BLOCK_NO_VCPU, 0, 0);
	put_varint_text(&b, "{\"t\":21,\"vcpu\":1,\"kind\":\"inject\",\"target\":\"x\"}");
	put_varint_text(&b, "{\"t\":22,\"vcpu\":1,\"kind\":\"hit\",\"function\":\"gdb_only\",\"address\":\"0x40\"}");
	end_block(&b, at, 2);
	put_end(&b);
	return b;
}

struct seen {
	char text[1024];
	struct cp_error *error;		/* to end the walk with */
};

static struct cp_error *see(void *context, const struct cp_event *event)
{
	struct seen *seen = context;
	size_t used = strlen(seen->text);

	snprintf(seen->text + used, sizeof(seen->text) - used, "%llu %d %s %s %llx %zu:%llu %zu\n", (unsigned long long)event->t,
		event->vcpu, event->kind, event->function ? event->function : "-", (unsigned long long)event->site,
		event->value_count, (unsigned long long)(event->value_count ? event->values[event->value_count - 1] : 0),
		event->text_length);
	return seen->error;
}

static void events_are_merged_by_time(void **state)
{
	struct bytes b = sample();
	struct seen seen = { .text = "" };
	struct cp_trace *trace;

	(void)state;
	assert_null(open_trace(b.at, b.size, &trace));
	assert_string_equal(trace_note, "");
	assert_null(cp_trace_walk(trace, see, &seen));
	assert_string_equal(seen.text,
		"10 0 hit start 0 0:0 0\n"
		"20 1 hit tsc_init 0 2:128 0\n"
		"21 1 inject - 0 0:0 0\n"
		"22 1 hit gdb_only 0 0:0 0\n"
		"25 -1 console - 0 0:0 3\n"
		"30 0 hit tsc_init ffffffff80200011 0:0 0\n");
	cp_trace_close(trace);
	free(b.at);
}

static void an_error_of_the_callers_ends_the_walk(void **state)
{
	struct bytes b = sample();
	struct seen seen = { .text = "", .error = &cp_error_no_memory };
	struct cp_trace *trace;

	(void)state;
	assert_null(open_trace(b.at, b.size, &trace));
	assert_ptr_equal(cp_trace_walk(trace, see, &seen), &cp_error_no_memory);
	assert_string_equal(seen.text, "10 0 hit start 0 0:0 0\n");
	cp_trace_close(trace);
	free(b.at);
}

static void what_ran_is_added_up(void **state)
{
	struct bytes b = sample();
	const struct cp_ran *ran;
	struct cp_trace *trace;
	size_t count;

	(void)state;
	assert_null(open_trace(b.at, b.size, &trace));
	for (int again = 0; again < 2; again++) {
		assert_null(cp_trace_ran(trace, &ran, &count));
		assert_int_equal(count, 3);
		assert_string_equal(ran[0].name, "gdb_only");
		assert_int_equal(ran[0].first, 22);
		assert_string_equal(ran[1].name, "start");
		assert_int_equal(ran[1].count, 101);
		assert_int_equal(ran[1].first, 3);
		assert_int_equal(ran[1].vcpu, 1);
		assert_string_equal(ran[2].name, "tsc_init");
		assert_int_equal(ran[2].count, 2);
		assert_int_equal(ran[2].first, 20);
		assert_int_equal(ran[2].vcpu, 1);
	}
	cp_trace_close(trace);
	free(b.at);
}

/* Use all of a trace; the first error, or NULL. */
static struct cp_error *use(const struct bytes *b)
{
	struct seen seen = { .text = "" };
	const struct cp_ran *ran;
	struct cp_trace *trace = NULL;
	size_t count;
	struct cp_error *error = open_trace(b->at, b->size, &trace), *other;

	if (!error)
		error = cp_trace_ran(trace, &ran, &count);
	if (!error || trace) {
		other = cp_trace_walk(trace, see, &seen);
		if (error)
			cp_error_destroy(other);
		else
			error = other;
	}
	cp_trace_close(trace);
	return error;
}

static void cut_anywhere_what_is_there_is_used(void **state)
{
	struct bytes whole = sample();

	(void)state;
	for (size_t size = 0; size < whole.size; size++) {
		struct bytes cut = { malloc(size + 1), size };
		struct cp_error *error;

		memcpy(cut.at, whole.at, size);
		error = use(&cut);
		if (size < strlen(HEADER_LINE)) {
			assert_non_null(error);
			assert_int_equal(error->code, CP_ERROR_CORRUPT);
			assert_non_null(strstr(error->message, "no trace: "));
		} else {
			assert_null(error);
			assert_non_null(strstr(trace_note, "cut off"));
		}
		cp_error_destroy(error);
		free(cut.at);
	}
	free(whole.at);
}

static void a_cut_trace_says_how_much_is_left(void **state)
{
	struct bytes b = sample();
	struct cp_trace *trace;

	(void)state;
	assert_null(open_trace(b.at, b.size - 1, &trace));
	assert_non_null(strstr(trace_note, "3 events until 0.000000 s"));
	assert_non_null(strstr(trace_note, "within its last block"));
	cp_trace_close(trace);
	free(b.at);
}

static void any_byte_may_be_another(void **state)
{
	struct bytes b = sample();

	(void)state;
	for (size_t i = 0; i < b.size; i++) {
		uint8_t was = b.at[i];

		for (unsigned int bit = 0; bit < 8; bit++) {
			struct cp_error *error;

			b.at[i] = (uint8_t)(was ^ 1u << bit);
			error = use(&b);
			/* Of what follows the header line, only the time and vCPU of a block can be others and good. */
			if (error)
				assert_true(error->code == CP_ERROR_CORRUPT || error->code == CP_ERROR_UNSUPPORTED);
			cp_error_destroy(error);
		}
		b.at[i] = was;
	}
	free(b.at);
}

/* A trace of the definitions of function 1 and site 1 and one block with these records. */
static struct bytes one_block(uint16_t kind, uint16_t flags, uint64_t t, const void *records, size_t size, uint32_t count)
{
	struct bytes b = { NULL, 0 };
	size_t at;

	put_bytes(&b, HEADER_LINE, strlen(HEADER_LINE));
	at = begin_block(&b, CP_BLOCK_FUNCTIONS, CP_BLOCK_NO_VCPU, 0, 0);
	put_function(&b, 1, 0x1000, "f");
	end_block(&b, at, 1);
	at = begin_block(&b, CP_BLOCK_SITES, CP_BLOCK_NO_VCPU, 0, 0);
	PUT(&b, 1, 8);
	end_block(&b, at, 1);
	at = begin_block(&b, kind, kind == CP_BLOCK_EVENTS ? 0 : CP_BLOCK_NO_VCPU, flags, t);
	put_bytes(&b, records, size);
	end_block(&b, at, count);
	put_end(&b);
	return b;
}

#define MOST 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff

static void damaged_records_are_named(void **state)
{
	static const struct {
		uint16_t kind, flags;
		uint32_t count;
		uint64_t t;
		uint8_t size, records[24];
		const char *said;
	} cases[] = {
		{ CP_BLOCK_EVENTS, 0, 1, 0, 2, { 2, 0 }, "record 0 is of function 2, which no block before defines" },
		{ CP_BLOCK_EVENTS, 0, 1, 0, 11, { MOST, 1, 0 }, "of function 18446744073709551615," },
		{ CP_BLOCK_EVENTS, 0, 1, 0, 11, { MOST, 2, 0 }, "the function of record 0 has more than 64 bits" },
		{ CP_BLOCK_EVENTS, 0, 1, 0, 13, { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0 },
			"the function of record 0 has more than 64 bits" },
		{ CP_BLOCK_EVENTS, 0, 1, 0, 2, { 1, 0x80 }, "the time of record 0 leaves its block of 2 bytes" },
		{ CP_BLOCK_EVENTS, 0, 2, 0, 4, { 1, 0, 1, 0x81 }, "the time of record 1 leaves its block of 4 bytes" },
		{ CP_BLOCK_EVENTS, 0, 1, 5, 11, { 1, MOST, 1 }, "the time of record 0, 0xffffffffffffffff ns after 0x5, overflows" },
		{ CP_BLOCK_EVENTS, 0, 1, 0, 3, { 1, 0, 0 }, "the 1 records of the block take 2 of its 3 bytes" },
		{ CP_BLOCK_EVENTS, 0, 3, 0, 4, { 1, 0, 1, 0 }, "3 records of kind events cannot take 4 bytes" },
		{ CP_BLOCK_EVENTS, CP_BLOCK_HAS_SITES, 1, 0, 3, { 1, 0, 3 }, "of call site 2, which no block before defines" },
		{ CP_BLOCK_EVENTS, CP_BLOCK_HAS_SITES, 1, 0, 2, { 1, 0 }, "the call site of record 0 leaves" },
		{ CP_BLOCK_EVENTS, CP_BLOCK_HAS_VALUES, 1, 0, 3, { 1, 0, 65 }, "record 0 has 65 values, and 64 are the most" },
		{ CP_BLOCK_EVENTS, CP_BLOCK_HAS_VALUES, 1, 0, 4, { 1, 0, 2, 1 }, "a value of record 0 leaves" },
		{ CP_BLOCK_EVENTS, 4, 1, 0, 2, { 1, 0 }, "flags 0x4, and this cprobe knows 0x3" },
		{ CP_BLOCK_EVENTS, 0, 1, 1ull << 63, 2, { 1, 0 }, "time 0x8000000000000000 is later than" },
		{ CP_BLOCK_CONSOLE, 0, 1, 0, 3, { 0, 2, 'x' }, "the line of record 0 has 0x2 bytes, and its block only 0x1 more" },
		{ CP_BLOCK_JSON, 0, 1, 0, 3, { 2, '{', 'x' }, "record 0 is no JSON object" },
		{ CP_BLOCK_JSON, 0, 1, 0, 3, { 2, '{', '}' }, "an event's kind is missing" },
		{ CP_BLOCK_COUNTS, 0, 1, 0, 4, { 0, 1, 1, 1 }, "of function 0, which no block before defines" },
		{ CP_BLOCK_COUNTS, 0, 1, 0, 6, { 1, 1, 1, 0xff, 0xff, 3 }, "vCPU 65535 is out of range" },
		{ CP_BLOCK_FUNCTIONS, 0, 1, 0, 4, { 1, 9, 1, 'g' }, "function 1 is defined again in this block, as 0x9; it was 0x1000" },
		{ CP_BLOCK_FUNCTIONS, 0, 1, 0, 7, { 0x80, 0x80, 0x80, 8, 9, 1, 'g' }, "function 16777216 is defined in this block, and "
			"ids are below 16777216" },
		{ CP_BLOCK_FUNCTIONS, 0, 1, 0, 4, { 2, 9, 1, 0 }, "is empty, or has a NUL byte" },
		{ CP_BLOCK_SITES, 0, 1, 0, 2, { 1, 9 }, "call site 1 is defined again in this block, as 0x9; it was 0x8" },
		{ CP_BLOCK_END, 0, 1, 0, 3, { 2, '{', '}' }, "something follows the end record" },
		{ 8, 0, 1, 0, 3, { 1, 2, 3 }, "a block of kind 8, and this cprobe knows 1 to 7: the trace is of a later version" },
		{ 0, 0, 1, 0, 3, { 1, 2, 3 }, "a block of kind 0" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct bytes b = one_block(cases[i].kind, cases[i].flags, cases[i].t, cases[i].records, cases[i].size,
			cases[i].count);
		struct cp_error *error = use(&b);

		assert_non_null(error);
		if (!strstr(error->message, cases[i].said) || !strstr(error->message, "offset 0x"))
			fail_msg("%s", error->message);
		assert_int_equal(error->code, strstr(cases[i].said, "knows") || !cases[i].kind ? CP_ERROR_UNSUPPORTED :
			CP_ERROR_CORRUPT);
		cp_error_destroy(error);
		free(b.at);
	}
}

static void damaged_headers_of_blocks_are_named(void **state)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		const char *said;
	} cases[] = {
		{ offsetof(struct cp_block, magic), 4, 0, "begins with 0x6b6c6273, and here is 0x00000000" },
		{ offsetof(struct cp_block, size), 4, CP_BLOCK_MAX + 1, "a block of 0x100001 bytes, and 0x100000 are the most" },
		{ offsetof(struct cp_block, check), 4, 1, "and its header says 0x00000001" },
		{ offsetof(struct cp_block, zero), 2, 3, "a field of the block's header is 0x3" },
		{ offsetof(struct cp_block, vcpu), 2, CP_BLOCK_NO_VCPU, "events of no vCPU" },
		{ offsetof(struct cp_block, count), 4, 0, "0 records of kind events cannot take 4 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		static const uint8_t records[] = { 1, 0, 1, 0 };
		struct bytes b = one_block(CP_BLOCK_EVENTS, 0, 0, records, sizeof(records), 2);
		/* Behind the header line, the definition of a function with 5 bytes and that of a site with 2. */
		uint8_t *header = b.at + strlen(HEADER_LINE) + sizeof(struct cp_block) + 5 + sizeof(struct cp_block) + 2;
		struct cp_error *error;

		for (size_t byte = 0; byte < cases[i].size; byte++)
			header[cases[i].at + byte] = (uint8_t)(cases[i].value >> 8 * byte);
		error = use(&b);
		assert_non_null(error);
		if (!strstr(error->message, cases[i].said))
			fail_msg("%s", error->message);
		cp_error_destroy(error);
		free(b.at);
	}
}

static void a_definition_comes_before_its_use(void **state)
{
	static const uint8_t record[] = { 1, 0 };
	struct bytes b = { NULL, 0 };
	struct cp_error *error;
	size_t at;

	(void)state;
	put_bytes(&b, HEADER_LINE, strlen(HEADER_LINE));
	at = begin_block(&b, CP_BLOCK_EVENTS, 0, 0, 0);
	put_bytes(&b, record, sizeof(record));
	end_block(&b, at, 1);
	at = begin_block(&b, CP_BLOCK_FUNCTIONS, CP_BLOCK_NO_VCPU, 0, 0);
	put_function(&b, 1, 0x1000, "f");
	end_block(&b, at, 1);
	error = use(&b);
	assert_non_null(error);
	assert_non_null(strstr(error->message, "which no block before defines"));
	cp_error_destroy(error);
	free(b.at);
}

static void time_that_goes_back_is_damage(void **state)
{
	static const uint8_t record[] = { 1, 0 };
	struct bytes b = one_block(CP_BLOCK_EVENTS, 0, 10, record, sizeof(record), 1);
	struct cp_error *error;
	size_t at;

	(void)state;
	b.size -= sizeof(struct cp_block) + 1 + strlen("{\"t\":99,\"kind\":\"end\",\"outcome\":\"exit\"}");
	at = begin_block(&b, CP_BLOCK_EVENTS, 0, 0, 9);
	put_bytes(&b, record, sizeof(record));
	end_block(&b, at, 1);
	error = use(&b);
	assert_non_null(error);
	assert_non_null(strstr(error->message, "time goes back: this block has 0x9 ns, and the one of its vCPU before 0xa"));
	cp_error_destroy(error);
	free(b.at);
}

static void a_file_that_shrinks_is_no_crash(void **state)
{
	struct bytes b = sample();
	char path[] = "/tmp/cprobe-trace-XXXXXX";
	int fd = mkstemp(path);
	struct seen seen = { .text = "" };
	struct cp_trace *trace;
	struct cp_error *error;

	(void)state;
	assert_true(fd >= 0 && write(fd, b.at, b.size) == (ssize_t)b.size);
	assert_null(cp_trace_open(path, NULL, NULL, &trace));
	assert_int_equal(ftruncate(fd, 300), 0);
	error = cp_trace_walk(trace, see, &seen);
	assert_non_null(error);
	assert_int_equal(error->code, CP_ERROR_IO);
	assert_non_null(strstr(error->message, "became shorter while it was read"));
	cp_error_destroy(error);
	cp_trace_close(trace);
	close(fd);
	unlink(path);
	free(b.at);
}

#define LINES "{\"format\":\"bootsonde-trace\",\"version\":1}\n" \
	"{\"seq\":0,\"t\":5,\"vcpu\":null,\"kind\":\"console\",\"text\":\"hello\"}\n" \
	"{\"seq\":1,\"t\":7,\"vcpu\":1,\"kind\":\"hit\",\"function\":\"f\",\"address\":\"0x10\"}\n" \
	"{\"seq\":2,\"t\":8,\"vcpu\":0,\"kind\":\"hit\",\"function\":\"f\",\"address\":\"0x10\",\"place\":\"function\"}\n" \
	"{\"seq\":3,\"t\":9,\"vcpu\":0,\"kind\":\"hit\",\"function\":\"f\",\"address\":\"0x14\",\"place\":\"check\"}\n"
#define LAST_LINE "{\"seq\":4,\"t\":9,\"kind\":\"end\",\"outcome\":\"passed\"}\n"

static void lines_say_the_same(void **state)
{
	struct seen seen = { .text = "" };
	const struct cp_ran *ran;
	struct cp_trace *trace;
	size_t count;

	(void)state;
	assert_null(open_trace(LINES LAST_LINE, strlen(LINES LAST_LINE), &trace));
	assert_string_equal(trace_note, "");
	assert_null(cp_trace_walk(trace, see, &seen));
	assert_string_equal(seen.text, "5 -1 console - 0 0:0 5\n7 1 hit f 0 0:0 0\n8 0 hit f 0 0:0 0\n9 0 hit f 0 0:0 0\n");
	assert_null(cp_trace_ran(trace, &ran, &count));
	assert_int_equal(count, 1);
	assert_int_equal(ran->count, 2);
	assert_int_equal(ran->first, 7);
	assert_int_equal(ran->vcpu, 1);
	cp_trace_close(trace);
}

static void lines_cut_anywhere(void **state)
{
	(void)state;
	for (size_t size = strchr(LINES, '\n') - LINES + 1; size < strlen(LINES LAST_LINE) - 1; size++) {
		struct cp_trace *trace;

		assert_null(open_trace(LINES LAST_LINE, size, &trace));
		assert_non_null(strstr(trace_note, "cut off"));
		cp_trace_close(trace);
	}
}

static void damaged_lines_are_named(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "", "no trace: it is empty" },
		{ "{}", "no trace: its first line is no header" },
		{ "\x7f" "ELF\n", "no trace: its first line is no JSON object" },
		{ "{\"format\":\"other\"}\n", "no trace: the format" },
		{ "{\"format\":\"bootsonde-trace\",\"version\":2}\n", "trace version 2: this cprobe reads version 1" },
		{ "{\"format\":\"bootsonde-trace\",\"version\":1,\"encoding\":\"xz\"}\n", "encoding \"xz\": this cprobe reads" },
		{ LINES "{\n" LAST_LINE, ":6: not a JSON record" },
		{ LINES LAST_LINE LAST_LINE, ":7: a record after the end record" },
		{ LINES "{\"kind\":\"hit\",\"t\":-1}\n", ":6: the event's t is no number of nanoseconds" },
		{ LINES "{\"kind\":\"hit\",\"t\":1,\"vcpu\":\"a\"}\n", ":6: the event's vcpu is no number" },
		{ LINES "{\"kind\":\"hit\",\"t\":1}\n", ":6: the event's function is missing" },
		{ LINES "{\"kind\":\"hit\",\"t\":1,\"function\":\"f\",\"address\":\"10\"}\n", ":6: the event's address is no hex" },
		{ LINES "{\"kind\":\"console\",\"t\":1}\n", ":6: the event's text is missing" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct cp_trace *trace;
		struct cp_error *error = open_trace(cases[i].text, strlen(cases[i].text), &trace);

		assert_non_null(error);
		if (!strstr(error->message, cases[i].said))
			fail_msg("%s", error->message);
		cp_error_destroy(error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_merged_by_time),
		cmocka_unit_test(an_error_of_the_callers_ends_the_walk),
		cmocka_unit_test(what_ran_is_added_up),
		cmocka_unit_test(cut_anywhere_what_is_there_is_used),
		cmocka_unit_test(a_cut_trace_says_how_much_is_left),
		cmocka_unit_test(any_byte_may_be_another),
		cmocka_unit_test(damaged_records_are_named),
		cmocka_unit_test(damaged_headers_of_blocks_are_named),
		cmocka_unit_test(a_definition_comes_before_its_use),
		cmocka_unit_test(time_that_goes_back_is_damage),
		cmocka_unit_test(a_file_that_shrinks_is_no_crash),
		cmocka_unit_test(lines_say_the_same),
		cmocka_unit_test(lines_cut_anywhere),
		cmocka_unit_test(damaged_lines_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
