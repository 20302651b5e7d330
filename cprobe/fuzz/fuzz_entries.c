/* SPDX-License-Identifier: BSD-2-Clause */
/* The TCG plugin's list of addresses. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "tcg/entries.h"
#include "tcg/plugin.h"

/* Of the plugin: notes of libcprobe, which reads no kernel here. */
void complain(const char *format, ...)
{
	FUZZ_ASSERT(!format);
}

static char path[] = "/tmp/cprobe-fuzz-list-XXXXXX";

static void remove_list(void)
{
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct entries entries = { .items = NULL };
	struct cp_error *error;

	if (fd < 0) {
		fd = mkstemp(path);
		FUZZ_ASSERT(fd >= 0);
		atexit(remove_list);
	}
	FUZZ_ASSERT(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	error = entries_read(path, &entries);
	FUZZ_ASSERT(error ? error->message[0] != 0 : entries.count > 0);
	cp_error_destroy(error);
	FUZZ_ASSERT(!entries_sort(&entries));
	for (size_t i = 0; i < entries.count; i++) {
		const struct entry *first = entries_find(&entries, entries.items[i].address), *at = first;

		FUZZ_ASSERT(entries.items[i].name[0] && !strpbrk(entries.items[i].name, "\"\\"));
		FUZZ_ASSERT(first && first <= &entries.items[i]);
		while (at && at != &entries.items[i])
			at = entries_next(&entries, at);
		FUZZ_ASSERT(at);
		if (i > 64)
			break;
	}
	entries_deinit(&entries);
	return 0;
}
