/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "code/scan.h"
#include "unit.h"

#define SIZE 4096

/* The same random bytes at every run, thick with what is looked for. */
static void fill(uint8_t *bytes, unsigned int seed)
{
	static const uint8_t common[] = { 0x0f, 0xa2, 0x31, 0xf4, 0x00, 0x10, 0x20, 0xff };

	srand(seed);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = rand() % 4 ? (uint8_t)rand() : common[rand() % (int)sizeof(common)];
}

static void same_as_plain(const struct cp_scan *scan, uint64_t address)
{
	uint8_t *bytes = malloc(SIZE);	/* of exactly that size: ASan sees every byte read behind it */
	size_t hits = 0;

	assert_non_null(bytes);
	for (unsigned int seed = 1; seed < 20; seed++) {
		struct cp_code_part part = { .name = "", .address = address, .bytes = bytes };

		fill(bytes, seed);
		for (part.size = SIZE - 40; part.size <= SIZE; part.size++) {
			uint64_t at = cp_scan_next(scan, &part, 0);

			assert_int_equal(at, cp_scan_next_plain(scan, &part, 0));
			for (; at < part.size; hits++) {
				uint64_t next = cp_scan_next(scan, &part, at + 1);

				assert_int_equal(next, cp_scan_next_plain(scan, &part, at + 1));
				at = next;
			}
		}
	}
	assert_true(hits > 20);
	free(bytes);
}

static void opcodes_are_those_of_the_plain_scan(void **state)
{
	struct cp_scan two = { .second = { 0xa2, 0x31 }, .second_count = 2 };
	struct cp_scan one = { .first = { 0xf4 }, .first_count = 1 };
	struct cp_scan both = { .first = { 0xf4 }, .first_count = 1, .second = { 0xa2 }, .second_count = 1 };
	struct cp_scan none = { .first_count = 0 };

	(void)state;
	same_as_plain(&two, 0xffffffff81000000);
	same_as_plain(&one, 0);
	same_as_plain(&both, 0x1000);
	same_as_plain(&none, 0x1000);
}

static void addresses_are_those_of_the_plain_scan(void **state)
{
	const struct cp_scan_span narrow[] = { { 0x10001000, 0x10001fff }, { 0x20000000, 0x2fffffff } };
	const struct cp_scan_span high[] = { { 0xffffffff00100000, 0xffffffff20ffffff }, { 0xfffffffff0000000, UINT64_MAX } };
	struct cp_scan scan = { .spans = narrow, .span_count = 2 };

	(void)state;
	same_as_plain(&scan, 0x10000000);
	same_as_plain(&scan, 0xffffffff81000000);
	scan.spans = high;
	same_as_plain(&scan, 0xffffffff81000000);
}

static void a_span_ends_with_its_last_address(void **state)
{
	const struct cp_scan_span spans[] = { { 16, 19 }, { 32, 32 } };
	const struct cp_scan scan = { .spans = spans, .span_count = 2 };

	(void)state;
	assert_null(cp_scan_span_at(&scan, 15));
	assert_ptr_equal(cp_scan_span_at(&scan, 16), &spans[0]);
	assert_ptr_equal(cp_scan_span_at(&scan, 19), &spans[0]);
	assert_null(cp_scan_span_at(&scan, 20));
	assert_ptr_equal(cp_scan_span_at(&scan, 32), &spans[1]);
	assert_null(cp_scan_span_at(&scan, 33));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opcodes_are_those_of_the_plain_scan),
		cmocka_unit_test(addresses_are_those_of_the_plain_scan),
		cmocka_unit_test(a_span_ends_with_its_last_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
