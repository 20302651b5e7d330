/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages and the tests that guard them: strings, references, pointers in data, control flow. The question is the text. */
#include <string.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cp_where everywhere = { .files = { NULL, 0 } };
	struct fuzz_kernel kernel;
	struct cp_records records;

	fuzz_kernel_init(data, size, &kernel);
	cp_records_init(&records, CP_FULL);
	fuzz_take_error(cp_find_message(kernel.program, kernel.question, &everywhere, &records));
	for (size_t i = 0; i < records.count; i++) {
		const struct cp_record *r = &records.items[i];

		FUZZ_ASSERT(r->kind == CP_KIND_MESSAGE || r->kind == CP_KIND_CHECK);
		FUZZ_ASSERT(r->kind != CP_KIND_MESSAGE || r->details->message);
		FUZZ_ASSERT(r->kind != CP_KIND_CHECK || r->details->has_guards);
	}
	fuzz_take_records(&records, FUZZ_SORTED);
	cp_records_deinit(&records);
	fuzz_kernel_deinit(&kernel);
	return 0;
}
