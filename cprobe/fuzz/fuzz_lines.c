/* SPDX-License-Identifier: BSD-2-Clause */
/* Line tables and scopes: every address of the code, with what is inlined there, and a line. The question is a file. */
#include "fuzz/fuzz.h"

#define ADDRESSES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t addresses[ADDRESSES];
	struct fuzz_kernel kernel;
	struct cp_records records;

	fuzz_kernel_init(data, size, &kernel);
	for (size_t i = 0; i < ADDRESSES; i++)
		addresses[i] = FUZZ_TEXT_ADDRESS + i * (kernel.text_size / ADDRESSES + 1);
	cp_records_init(&records, CP_FULL);
	fuzz_take_error(cp_symbolize(kernel.program, addresses, ADDRESSES, true, &records));
	for (size_t i = 0; i < records.count; i++)
		FUZZ_ASSERT(records.items[i].address == addresses[i]);
	fuzz_take_records(&records, FUZZ_WITH_INLINES);
	cp_records_deinit(&records);
	cp_records_init(&records, CP_FULL);
	fuzz_take_error(cp_find_line(kernel.program, kernel.question, 10, &records));
	fuzz_take_records(&records, FUZZ_SORTED);
	cp_records_deinit(&records);
	fuzz_kernel_deinit(&kernel);
	return 0;
}
