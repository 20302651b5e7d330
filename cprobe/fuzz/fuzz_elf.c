/* SPDX-License-Identifier: BSD-2-Clause */
/* A whole file: headers, notes, symbols, relocations, compressed sections, links to debug files. */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char all[] = "*", *globs[] = { all };
	const struct cp_where where = { .functions = { globs, 1 } };
	struct cp_program *program = fuzz_open(data, size);
	struct cp_records records;
	struct cp_info info;

	if (!program)
		return 0;
	fuzz_take_error(cp_info(program, &info));
	cp_records_init(&records, CP_FULL);
	fuzz_take_error(cp_find_symbol(program, "*", &records));
	fuzz_take_error(cp_list(program, &where, CP_INLINED_INCLUDE, &records));
	fuzz_take_records(&records, FUZZ_SORTED);
	cp_records_deinit(&records);
	cp_program_close(program);
	return 0;
}
