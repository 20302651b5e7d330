/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DWARF's functions and inlined copies: units, abbreviations, DIEs, ranges, locations, files; and the names of symbols
 * alone, before these are sorted. The question is a file, and a name.
 */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_kernel kernel;
	struct cp_records all, some, names;
	const struct cp_where everywhere = { .files = { NULL, 0 } };
	char *files[] = { kernel.question };
	const struct cp_where where = { .files = { files, 1 } }, named = { .functions = { files, 1 } };

	fuzz_kernel_init(data, size, &kernel);
	cp_records_init(&names, CP_NAMES);
	cp_records_init(&all, CP_FULL);
	cp_records_init(&some, CP_BRIEF);
	fuzz_take_error(cp_list(kernel.program, &named, CP_INLINED_EXCLUDE, &names));
	fuzz_take_records(&names, FUZZ_SORTED);
	fuzz_take_error(cp_list(kernel.program, &everywhere, CP_INLINED_INCLUDE, &all));
	fuzz_take_records(&all, FUZZ_SORTED);
	fuzz_take_error(cp_list(kernel.program, &where, CP_INLINED_INCLUDE, &some));
	fuzz_take_records(&some, FUZZ_SORTED);
	cp_records_deinit(&names);
	cp_records_deinit(&all);
	cp_records_deinit(&some);
	fuzz_kernel_deinit(&kernel);
	return 0;
}
