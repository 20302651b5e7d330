#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../entries.h"

static char path[] = "/tmp/test_entriesXXXXXX";

void
complain(const char *format, ...)
{
	fail_msg("a note: %s", format);
}

/* Writes the list, reads it, removes it. */
static struct cp_error *
read_text(const char *text, struct entries *ret)
{
	struct cp_error *error;
	FILE *file;
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	*ret = (struct entries){ .items = NULL };
	error = entries_read(path, ret);
	assert_null(entries_sort(ret));
	unlink(path);
	return error;
}

static void
lines_as_cprobe_prints_them(void **state)
{
	struct entries entries;
	const struct entry *entry;

	(void)state;
	assert_null(read_text("0xffffffff80200010 b tsc.c:7 function\n0x10 a ?:0 inlined in b\n0x20 c", &entries));
	assert_int_equal(entries.count, 3);
	entry = entries_find(&entries, 0xffffffff80200010);
	assert_non_null(entry);
	assert_string_equal(entry->name, "b");
	assert_int_equal(entry->line, 1);
	assert_string_equal(entries_find(&entries, 0x10)->name, "a");
	assert_string_equal(entries_find(&entries, 0x20)->name, "c");
	entries_deinit(&entries);
	assert_int_equal(entries.count, 0);
}

static void
misses(void **state)
{
	static const uint64_t addresses[] = {0, 0xf, 0x11, 0x1f, 0x21, UINT64_MAX};
	struct entries entries;

	(void)state;
	assert_null(read_text("0x10 a\n0x20 c\n", &entries));
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_null(entries_find(&entries, addresses[i]));
	entries_deinit(&entries);
}

static void
ranges_reach_to_their_ends(void **state)
{
	struct entries entries, none = { .items = NULL };

	(void)state;
	assert_null(read_text("0x10 a\n0x20 c\n0x20 d\n", &entries));
	assert_true(entries_within(&entries, 0x10, 0x10));
	assert_true(entries_within(&entries, 0x11, 0x20));
	assert_true(entries_within(&entries, 0, UINT64_MAX));
	assert_false(entries_within(&entries, 0, 0xf));
	assert_false(entries_within(&entries, 0x11, 0x1f));
	assert_false(entries_within(&entries, 0x21, UINT64_MAX));
	assert_false(entries_within(&none, 0, UINT64_MAX));
	entries_deinit(&entries);
}

static void
places_at_one_address_keep_the_order_of_the_list(void **state)
{
	static const char *const names[] = {"outer", "copy", "alias"};
	struct entries entries;
	const struct entry *entry;

	(void)state;
	assert_null(read_text("0x20 later\n0x10 outer\n0x10 copy\n0x10 alias\n0x8 before\n", &entries));
	entry = entries_find(&entries, 0x10);
	for (size_t i = 0; i < 3; i++) {
		assert_non_null(entry);
		assert_string_equal(entry->name, names[i]);
		entry = entries_next(&entries, entry);
	}
	assert_null(entry);
	assert_null(entries_next(&entries, entries_find(&entries, 0x20)));
	entries_deinit(&entries);
}

static void
a_place_named_twice_is_there_once(void **state)
{
	struct entries entries;
	const struct entry *entry;

	(void)state;
	assert_null(read_text("0x10 a\n0x10 b\n0x20 a\n0x10 a\n", &entries));
	assert_int_equal(entries.count, 3);
	entry = entries_find(&entries, 0x10);
	assert_string_equal(entry->name, "a");
	assert_string_equal(entries_next(&entries, entry)->name, "b");
	entries_deinit(&entries);
}

static void
lists_are_added_to_each_other(void **state)
{
	struct cp_error *error;
	struct entries entries;
	char *build_id = NULL;

	(void)state;
	assert_null(read_text("0x20 c\n0x10 a\n", &entries));
	error = entries_list("/nonexistent/kernel", &(struct cp_where){.files = {NULL, 0}}, CP_INLINED_INCLUDE, &entries,
	    &build_id);
	assert_non_null(error);
	cp_error_destroy(error);
	assert_null(build_id);
	assert_null(entries_add(&entries, 0x18, "b"));
	assert_string_equal(entries_find(&entries, 0x18)->name, "b");
	assert_null(entries_next(&entries, entries_find(&entries, 0x18)));
	assert_int_equal(entries.count, 3);
	assert_string_equal(entries_find(&entries, 0x20)->name, "c");
	entries_deinit(&entries);
}

static void
many_entries(void **state)
{
	static char text[1000 * 16];
	struct entries entries;
	size_t at = 0;

	(void)state;
	for (unsigned int i = 1000; i > 0; i--)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "0x%x f%u\n", i * 16, i);
	assert_null(read_text(text, &entries));
	assert_int_equal(entries.count, 1000);
	for (unsigned int i = 1; i <= 1000; i++)
		assert_int_equal(entries_find(&entries, i * 16)->line, 1001 - i);
	entries_deinit(&entries);
}

/* The message names file, line and what is wrong. */
static void
refused(const char *text, const char *line)
{
	struct entries entries;
	struct cp_error *error = read_text(text, &entries);

	assert_non_null(error);
	assert_non_null(strstr(error->message, path));
	assert_non_null(strstr(error->message, line));
	cp_error_destroy(error);
	entries_deinit(&entries);
}

static void
bad_lines_are_named(void **state)
{
	(void)state;
	refused("0x10 a\nzz b\n", ":2: ");
	refused("0x10\n", ":1: ");
	refused("0x10 \n", ":1: ");
	refused("\n", ":1: ");
	refused("0x10 a\n0x10 q\"uote\n", ":2: ");
	refused("0x10 back\\slash\n", ":1: ");
	refused("0x10 bell\a\n", ":1: ");
	refused("0x10000000000000000 a\n", ":1: ");
	refused("", "lists no address");
}

static void
a_missing_file_is_named(void **state)
{
	struct entries entries = { .items = NULL };
	struct cp_error *error = entries_read("/nonexistent/list", &entries);

	(void)state;
	assert_non_null(error);
	assert_string_equal(error->message, "/nonexistent/list: No such file or directory");
	cp_error_destroy(error);
	error = entries_read("/", &entries);
	assert_non_null(error);
	assert_non_null(strstr(error->message, "/: "));
	cp_error_destroy(error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_as_cprobe_prints_them),
		cmocka_unit_test(misses),
		cmocka_unit_test(ranges_reach_to_their_ends),
		cmocka_unit_test(places_at_one_address_keep_the_order_of_the_list),
		cmocka_unit_test(a_place_named_twice_is_there_once),
		cmocka_unit_test(lists_are_added_to_each_other),
		cmocka_unit_test(many_entries),
		cmocka_unit_test(bad_lines_are_named),
		cmocka_unit_test(a_missing_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
