/* SPDX-License-Identifier: BSD-2-Clause */
/* Layouts and the types of variables. The question is a path: STRUCT.FIELD[1].FIELD. */
#include <string.h>

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_kernel kernel;
	struct cp_records records;

	fuzz_kernel_init(data, size, &kernel);
	cp_records_init(&records, CP_FULL);
	fuzz_take_error(cp_find_type(kernel.program, kernel.question, &records));
	kernel.question[strcspn(kernel.question, ".[")] = 0;
	fuzz_take_error(cp_find_type(kernel.program, kernel.question, &records));
	fuzz_take_records(&records, FUZZ_AS_THEY_ARE);
	cp_records_deinit(&records);
	cp_records_init(&records, CP_FULL);
	fuzz_take_error(cp_find_symbol(kernel.program, "*", &records));
	fuzz_take_records(&records, FUZZ_SORTED);
	cp_records_deinit(&records);
	fuzz_kernel_deinit(&kernel);
	return 0;
}
