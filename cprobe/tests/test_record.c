/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/record.h"
#include "unit.h"

static void printed(const struct cp_record *record, enum cp_format format, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_null(cp_record_print(out, record, format));
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void json_escapes_what_json_forbids(void **state)
{
	struct cp_record r = { .address = 1, .name = "a\"\\\n\x01\xff\xc3\xa9", .kind = CP_KIND_FUNCTION };

	(void)state;
	printed(&r, CP_FORMAT_JSON,
		"{\"address\": \"0x1\", \"name\": \"a\\\"\\\\\\n\\u0001\\u00ff\xc3\xa9\", \"kind\": \"function\"}\n");
}

static void json_escapes_overlong_and_surrogates(void **state)
{
	struct cp_record r = { .name = "\xc0\xaf\xed\xa0\x80", .kind = CP_KIND_FUNCTION };

	(void)state;
	printed(&r, CP_FORMAT_JSON,
		"{\"address\": \"0x0\", \"name\": \"\\u00c0\\u00af\\u00ed\\u00a0\\u0080\", \"kind\": \"function\"}\n");
}

static void text_has_a_place_for_everything(void **state)
{
	struct cp_record r = { .address = 0xffffffff80200000, .name = "f", .file = "a.c", .line = 7, .outer = "g",
		.kind = CP_KIND_INLINED };

	(void)state;
	printed(&r, CP_FORMAT_TEXT, "0xffffffff80200000 f a.c:7 inlined in g\n");
	r.file = r.outer = NULL;
	printed(&r, CP_FORMAT_TEXT, "0xffffffff80200000 f ?:0 inlined\n");
}

static void gdb_script_cannot_be_injected(void **state)
{
	struct cp_record r = { .address = 16, .name = "f\nshell id\r#", .file = "a b.c", .kind = CP_KIND_FUNCTION };

	(void)state;
	printed(&r, CP_FORMAT_GDB, "# f?shell?id?# a?b.c:0 function\nbreak *0x10\n");
}

static void sorting_orders_and_removes_equals(void **state)
{
	struct cp_records records;

	(void)state;
	cp_records_init(&records, CP_BRIEF);
	cp_records_add(&records, CP_KIND_FUNCTION, 9)->name = "z";
	cp_records_add(&records, CP_KIND_INLINED, 3)->name = "a";
	cp_records_add(&records, CP_KIND_FUNCTION, 3)->name = "b";
	cp_records_add(&records, CP_KIND_FUNCTION, 9)->name = "z";
	assert_null(cp_records_sort(&records));
	assert_int_equal(records.count, 3);
	assert_string_equal(records.items[0].name, "b");
	assert_string_equal(records.items[1].name, "a");
	assert_string_equal(records.items[2].name, "z");
	cp_records_deinit(&records);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_escapes_what_json_forbids),
		cmocka_unit_test(json_escapes_overlong_and_surrogates),
		cmocka_unit_test(text_has_a_place_for_everything),
		cmocka_unit_test(gdb_script_cannot_be_injected),
		cmocka_unit_test(sorting_orders_and_removes_equals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
