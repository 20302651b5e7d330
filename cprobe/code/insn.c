/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "code/insn.h"

/*
 * Opcode bytes without which an instruction cannot be: Intel SDM volume 2, appendix A. Two-byte opcodes have 0x0f in
 * front. A mnemonic that is not here is found by decoding everything.
 */
static const struct {
	const char *name;
	bool two_bytes;
	uint8_t opcodes[4];
	int count;
} known_opcodes[] = {
	{ "cpuid", true, { 0xa2 }, 1 }, { "rdtsc", true, { 0x31 }, 1 }, { "rdtscp", true, { 0x01 }, 1 },
	{ "rdmsr", true, { 0x32 }, 1 }, { "wrmsr", true, { 0x30 }, 1 }, { "rdpmc", true, { 0x33 }, 1 },
	{ "invlpg", true, { 0x01 }, 1 }, { "swapgs", true, { 0x01 }, 1 }, { "wbinvd", true, { 0x09 }, 1 },
	{ "invd", true, { 0x08 }, 1 }, { "vmcall", true, { 0x01 }, 1 }, { "xgetbv", true, { 0x01 }, 1 },
	{ "xsetbv", true, { 0x01 }, 1 }, { "clts", true, { 0x06 }, 1 }, { "ud2", true, { 0x0b }, 1 },
	{ "hlt", false, { 0xf4 }, 1 }, { "in", false, { 0xe4, 0xe5, 0xec, 0xed }, 4 },
	{ "out", false, { 0xe6, 0xe7, 0xee, 0xef }, 4 }, { "cli", false, { 0xfa }, 1 }, { "sti", false, { 0xfb }, 1 },
};

static ZydisMnemonic mnemonic_by_name(const char *name, size_t length)
{
	for (int m = 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
		const char *own = ZydisMnemonicGetString((ZydisMnemonic)m);

		if (own && strlen(own) == length && !strncasecmp(own, name, length))
			return (ZydisMnemonic)m;
	}
	return ZYDIS_MNEMONIC_INVALID;
}

static bool add_opcodes(struct cp_insn_set *set, const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(known_opcodes) / sizeof(*known_opcodes); i++) {
		if (strlen(known_opcodes[i].name) != length || strncasecmp(known_opcodes[i].name, name, length))
			continue;
		for (int o = 0; o < known_opcodes[i].count; o++)
			(known_opcodes[i].two_bytes ? set->second : set->first)[known_opcodes[i].opcodes[o]] = true;
		set->any_first |= !known_opcodes[i].two_bytes;
		return true;
	}
	return false;
}

struct cp_error *cp_insn_set_parse(const char *list, struct cp_insn_set *ret)
{
	struct cp_insn_set set = { .prefilter = true };
	bool any = false;

	for (const char *at = list; *at;) {
		size_t length = strcspn(at, ", ");
		ZydisMnemonic mnemonic;

		if (length) {
			mnemonic = mnemonic_by_name(at, length);
			if (mnemonic == ZYDIS_MNEMONIC_INVALID)
				return cp_error_create(CP_ERROR_USAGE, "find: --insn: no x86 instruction \"%.*s\": give names such as "
					"cpuid,rdtsc,rdmsr", (int)length, at);
			set.wanted[mnemonic] = any = true;
			set.prefilter &= add_opcodes(&set, at, length);
		}
		at += length;
		at += strspn(at, ", ");
	}
	if (!any)
		return cp_error_create(CP_ERROR_USAGE, "find: --insn: the list is empty: give names such as cpuid,rdtsc");
	*ret = set;
	return NULL;
}

/* Offset of the next byte at or after `at` that may begin or be within a wanted instruction; size: none. */
static uint64_t next_candidate(const struct cp_insn_set *set, const struct cp_code_part *part, uint64_t at)
{
	if (!set->prefilter)
		return at;
	if (set->any_first) {
		for (; at < part->size; at++) {
			if (set->first[part->bytes[at]] || (part->bytes[at] == 0x0f && at + 1 < part->size &&
				set->second[part->bytes[at + 1]]))
				return at;
		}
		return part->size;
	}
	while (at < part->size) {
		const uint8_t *hit = memchr(part->bytes + at, 0x0f, part->size - at);

		if (!hit || hit + 1 == part->bytes + part->size)
			return part->size;
		if (set->second[hit[1]])
			return (uint64_t)(hit - part->bytes);
		at = (uint64_t)(hit - part->bytes) + 1;
	}
	return part->size;
}

struct cp_error *cp_insn_find(const struct cp_code *code, const struct cp_insn_set *set,
	struct cp_error *(*found)(void *context, const struct cp_code_part *part, uint64_t address,
	const ZydisDecodedInstruction *insn), void *context)
{
	for (size_t p = 0; p < code->part_count; p++) {
		const struct cp_code_part *part = &code->parts[p];
		uint64_t at = next_candidate(set, part, 0);

		while (at < part->size) {
			struct cp_region region;
			uint64_t address;

			if (!cp_region_at(code, part->address + at, &region))
				break;
			if (region.start < part->address)
				region.start = part->address;
			if (region.end > part->address + part->size)
				region.end = part->address + part->size;
			for (address = region.start; address < region.end;) {
				ZydisDecodedInstruction insn;

				if (cp_decode(code, part, address, &insn, NULL) && set->wanted[insn.mnemonic]) {
					struct cp_error *error = found(context, part, address, &insn);

					if (error)
						return error;
				}
				address += insn.length;
			}
			at = next_candidate(set, part, region.end - part->address);
		}
	}
	return NULL;
}
