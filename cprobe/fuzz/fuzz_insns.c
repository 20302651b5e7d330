/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions: those that the search finds are those of decoding everything. The question's first byte chooses them. */
#include <string.h>

#include "code/code.h"
#include "fuzz/fuzz.h"

/* By Zydis's names, which cprobe takes as they are; nop makes cprobe decode everything too. */
static const char *const lists[][4] = {
	{ "cpuid", "rdtsc", "rdmsr", "wrmsr" }, { "in", "out", "hlt", "cli" }, { "invlpg", "rdtscp", "swapgs", "lgdt" },
	{ "rdmsr", "nop", "cpuid", "out" }, { "pause", "int3", "ud2", "rdrand" },
};

static bool is_wanted(const char *const *list, ZydisMnemonic mnemonic)
{
	for (size_t i = 0; i < 4; i++) {
		if (!strcmp(list[i], ZydisMnemonicGetString(mnemonic)))
			return true;
	}
	return false;
}

static const struct cp_record *find(const struct cp_records *records, uint64_t address)
{
	for (size_t i = 0; i < records->count; i++) {
		if (records->items[i].address == address)
			return &records->items[i];
	}
	return NULL;
}

/* Decode each region from its start, and count the wanted instructions; all of them are in the answer. */
static size_t decode_all(const struct cp_code *code, const char *const *list, const struct cp_records *records)
{
	size_t count = 0;

	for (size_t p = 0; p < code->part_count; p++) {
		const struct cp_code_part *part = &code->parts[p];
		struct cp_region region;

		for (uint64_t start = part->address; start < part->address + part->size; start = region.end) {
			cp_region_of(code, part, start, &region);
			for (uint64_t at = region.data ? region.end : region.start; at < region.end;) {
				ZydisDecodedInstruction insn;

				if (cp_decode(code, part, at, &insn, NULL) && at + insn.length <= region.end &&
					is_wanted(list, insn.mnemonic)) {
					FUZZ_ASSERT(find(records, at));
					count++;
				}
				at += insn.length;
			}
		}
	}
	return count;
}

static size_t distinct(const struct cp_records *sorted)
{
	size_t count = 0;

	for (size_t i = 0; i < sorted->count; i++)
		count += !i || sorted->items[i].address != sorted->items[i - 1].address;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cp_where everywhere = { .files = { NULL, 0 } };
	struct fuzz_kernel kernel;
	struct cp_records records;
	const char *const *list;
	struct cp_error *error;
	struct cp_code code;
	char names[64];

	fuzz_kernel_init(data, size, &kernel);
	list = lists[(unsigned char)kernel.question[0] % (sizeof(lists) / sizeof(*lists))];
	snprintf(names, sizeof(names), "%s,%s,%s,%s", list[0], list[1], list[2], list[3]);
	cp_records_init(&records, CP_FULL);
	error = cp_find_insns(kernel.program, names, CP_INSN_INPUTS | CP_INSN_PADDING, &everywhere, &records);
	if (!error) {
		fuzz_take_records(&records, FUZZ_SORTED);
		FUZZ_ASSERT(!cp_code_init(kernel.program, &code));
		FUZZ_ASSERT(decode_all(&code, list, &records) == distinct(&records));
		cp_code_deinit(&code);
	}
	fuzz_take_error(error);
	cp_records_deinit(&records);
	fuzz_kernel_deinit(&kernel);
	return 0;
}
