/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "code/insn.h"

/*
 * Opcode bytes without which an instruction cannot be: Intel SDM volume 2, appendix A. Two-byte opcodes have 0x0f in
 * front: prefixes stand before it, never behind. A mnemonic that is not here is found by decoding everything.
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
	{ "wbnoinvd", true, { 0x09 }, 1 }, { "invd", true, { 0x08 }, 1 }, { "vmcall", true, { 0x01 }, 1 },
	{ "vmmcall", true, { 0x01 }, 1 }, { "xgetbv", true, { 0x01 }, 1 }, { "xsetbv", true, { 0x01 }, 1 },
	{ "lgdt", true, { 0x01 }, 1 }, { "lidt", true, { 0x01 }, 1 }, { "sgdt", true, { 0x01 }, 1 },
	{ "sidt", true, { 0x01 }, 1 }, { "lmsw", true, { 0x01 }, 1 }, { "smsw", true, { 0x01 }, 1 },
	{ "clac", true, { 0x01 }, 1 }, { "stac", true, { 0x01 }, 1 }, { "monitor", true, { 0x01 }, 1 },
	{ "mwait", true, { 0x01 }, 1 }, { "vmrun", true, { 0x01 }, 1 }, { "vmlaunch", true, { 0x01 }, 1 },
	{ "vmresume", true, { 0x01 }, 1 }, { "serialize", true, { 0x01 }, 1 }, { "ltr", true, { 0x00 }, 1 },
	{ "lldt", true, { 0x00 }, 1 }, { "str", true, { 0x00 }, 1 }, { "sldt", true, { 0x00 }, 1 },
	{ "verw", true, { 0x00 }, 1 }, { "syscall", true, { 0x05 }, 1 }, { "clts", true, { 0x06 }, 1 },
	{ "sysret", true, { 0x07 }, 1 }, { "sysenter", true, { 0x34 }, 1 }, { "sysexit", true, { 0x35 }, 1 },
	{ "ud2", true, { 0x0b }, 1 }, { "mfence", true, { 0xae }, 1 }, { "lfence", true, { 0xae }, 1 },
	{ "sfence", true, { 0xae }, 1 }, { "clflush", true, { 0xae }, 1 }, { "clflushopt", true, { 0xae }, 1 },
	{ "clwb", true, { 0xae }, 1 }, { "rdrand", true, { 0xc7 }, 1 }, { "rdseed", true, { 0xc7 }, 1 },
	{ "invpcid", true, { 0x38 }, 1 },
	{ "hlt", false, { 0xf4 }, 1 }, { "cli", false, { 0xfa }, 1 }, { "sti", false, { 0xfb }, 1 },
	{ "in", false, { 0xe4, 0xe5, 0xec, 0xed }, 4 }, { "out", false, { 0xe6, 0xe7, 0xee, 0xef }, 4 },
	{ "insb", false, { 0x6c }, 1 }, { "insw", false, { 0x6d }, 1 }, { "insd", false, { 0x6d }, 1 },
	{ "outsb", false, { 0x6e }, 1 }, { "outsw", false, { 0x6f }, 1 }, { "outsd", false, { 0x6f }, 1 },
	{ "iret", false, { 0xcf }, 1 }, { "iretd", false, { 0xcf }, 1 }, { "iretq", false, { 0xcf }, 1 },
	{ "int", false, { 0xcd }, 1 }, { "int3", false, { 0xcc }, 1 }, { "pause", false, { 0x90 }, 1 },
};

/* Names that objdump prints, or people give, for Zydis's; without a size they stand for all sizes. */
static const struct {
	const char *name, *own[3];
	uint8_t forms;
} aliases[] = {
	{ "ret", { "ret" }, CP_INSN_NEAR }, { "retq", { "ret" }, CP_INSN_NEAR }, { "lret", { "ret" }, CP_INSN_FAR },
	{ "retf", { "ret" }, CP_INSN_FAR }, { "call", { "call" }, CP_INSN_NEAR }, { "callq", { "call" }, CP_INSN_NEAR },
	{ "lcall", { "call" }, CP_INSN_FAR }, { "jmp", { "jmp" }, CP_INSN_NEAR }, { "jmpq", { "jmp" }, CP_INSN_NEAR },
	{ "ljmp", { "jmp" }, CP_INSN_FAR }, { "iret", { "iret", "iretd", "iretq" }, CP_INSN_ANY },
	{ "iretw", { "iret" }, CP_INSN_ANY }, { "iretl", { "iretd" }, CP_INSN_ANY },
	{ "sysretq", { "sysret" }, CP_INSN_64 }, { "sysretl", { "sysret" }, CP_INSN_32 },
	{ "sysexitq", { "sysexit" }, CP_INSN_64 }, { "sysexitl", { "sysexit" }, CP_INSN_32 },
	{ "ins", { "insb", "insw", "insd" }, CP_INSN_ANY }, { "insl", { "insd" }, CP_INSN_ANY },
	{ "outs", { "outsb", "outsw", "outsd" }, CP_INSN_ANY }, { "outsl", { "outsd" }, CP_INSN_ANY },
	{ "pushf", { "pushf", "pushfd", "pushfq" }, CP_INSN_ANY }, { "popf", { "popf", "popfd", "popfq" }, CP_INSN_ANY },
	{ "cltq", { "cdqe" }, CP_INSN_ANY }, { "cqto", { "cqo" }, CP_INSN_ANY }, { "cwtl", { "cwde" }, CP_INSN_ANY },
	{ "cltd", { "cdq" }, CP_INSN_ANY }, { "cwtd", { "cwd" }, CP_INSN_ANY }, { "cbtw", { "cbw" }, CP_INSN_ANY },
};

/* Conditions of jumps, moves and sets that have two names. */
static const char *const conditions[][2] = {
	{ "a", "nbe" }, { "ae", "nb" }, { "c", "b" }, { "nc", "nb" }, { "na", "be" }, { "nae", "b" }, { "e", "z" },
	{ "ne", "nz" }, { "g", "nle" }, { "ge", "nl" }, { "ng", "le" }, { "nge", "l" }, { "pe", "p" }, { "po", "np" },
};

static ZydisMnemonic mnemonic_by_name(const char *name)
{
	for (int m = 1; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++) {
		const char *own = ZydisMnemonicGetString((ZydisMnemonic)m);

		if (own && !strcasecmp(own, name))
			return (ZydisMnemonic)m;
	}
	return ZYDIS_MNEMONIC_INVALID;
}

static bool add_byte(uint8_t *bytes, size_t *count, uint8_t byte)
{
	if (memchr(bytes, byte, *count))
		return true;
	if (*count == CP_SCAN_BYTES)
		return false;
	bytes[(*count)++] = byte;
	return true;
}

static bool add_opcodes(struct cp_scan *scan, const char *name)
{
	for (size_t i = 0; i < sizeof(known_opcodes) / sizeof(*known_opcodes); i++) {
		bool two = known_opcodes[i].two_bytes, room = true;

		if (strcasecmp(known_opcodes[i].name, name))
			continue;
		for (int o = 0; o < known_opcodes[i].count; o++)
			room &= add_byte(two ? scan->second : scan->first, two ? &scan->second_count : &scan->first_count,
				known_opcodes[i].opcodes[o]);
		return room;
	}
	return false;
}

/* A name of Zydis's. False: there is none. */
static bool add_own(struct cp_insn_set *set, const char *name, uint8_t forms, bool *prefilter)
{
	ZydisMnemonic mnemonic = mnemonic_by_name(name);

	if (mnemonic == ZYDIS_MNEMONIC_INVALID)
		return false;
	set->wanted[mnemonic] |= forms;
	*prefilter &= add_opcodes(&set->scan, name);
	return true;
}

static bool add_condition(struct cp_insn_set *set, const char *name, bool *prefilter)
{
	static const char *const stems[] = { "cmov", "set", "j" };
	char own[32];

	for (size_t s = 0; s < sizeof(stems) / sizeof(*stems); s++) {
		size_t length = strlen(stems[s]);

		for (size_t c = 0; !strncasecmp(name, stems[s], length) && c < sizeof(conditions) / sizeof(*conditions); c++) {
			snprintf(own, sizeof(own), "%s%s", stems[s], conditions[c][1]);
			if (!strcasecmp(name + length, conditions[c][0]))
				return add_own(set, own, CP_INSN_ANY, prefilter);
		}
	}
	return false;
}

static bool add_name(struct cp_insn_set *set, const char *name, bool *prefilter)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++) {
		if (strcasecmp(aliases[i].name, name))
			continue;
		for (size_t n = 0; n < 3 && aliases[i].own[n]; n++)
			add_own(set, aliases[i].own[n], aliases[i].forms, prefilter);
		return true;
	}
	return add_own(set, name, CP_INSN_ANY, prefilter) || add_condition(set, name, prefilter);
}

static struct cp_error *unknown(const char *name)
{
	char stem[32];
	size_t length = strlen(name) - 1;

	snprintf(stem, sizeof(stem), "%.*s", (int)length, name);
	if (length && strchr("bwlqBWLQ", name[length]) && mnemonic_by_name(stem))
		return cp_error_create(CP_ERROR_USAGE, "find: --insn: no x86 instruction \"%s\": sizes are no part of a name: "
			"give \"%s\"", name, stem);
	return cp_error_create(CP_ERROR_USAGE, "find: --insn: no x86 instruction \"%s\": give names such as "
		"cpuid,rdtsc,rdmsr", name);
}

struct cp_error *cp_insn_set_parse(const char *list, struct cp_insn_set *ret)
{
	struct cp_insn_set set = { .wanted = { 0 } };
	bool any = false, prefilter = true;

	for (const char *at = list; *at;) {
		size_t length = strcspn(at, ", ");
		char name[32];

		snprintf(name, sizeof(name), "%.*s", length < sizeof(name) ? (int)length : (int)sizeof(name) - 1, at);
		if (length && !add_name(&set, name, &prefilter))
			return unknown(name);
		any |= length;
		at += length;
		at += strspn(at, ", ");
	}
	if (!any)
		return cp_error_create(CP_ERROR_USAGE, "find: --insn: the list is empty: give names such as cpuid,rdtsc");
	if (!prefilter)
		set.scan = (struct cp_scan){ .first_count = 0 };
	*ret = set;
	return NULL;
}

static bool has_form(const ZydisDecodedInstruction *insn, uint8_t forms)
{
	unsigned int form = insn->operand_width == 64 ? CP_INSN_64 : insn->operand_width == 16 ? CP_INSN_16 : CP_INSN_32;

	if (insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		form |= CP_INSN_FAR;
	else if (insn->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		form |= CP_INSN_NEAR;
	return forms == CP_INSN_ANY || (forms & form);
}

struct finder {
	const struct cp_code *code;
	const struct cp_insn_set *set;
	struct cp_error *(*found)(void *context, const struct cp_code_part *part, uint64_t address,
		const ZydisDecodedInstruction *insn);
	void *context;
};

static struct cp_error *visit(void *context, const struct cp_code_part *part, uint64_t address)
{
	const struct finder *f = context;
	ZydisDecodedInstruction insn;

	if (!cp_decode(f->code, part, address, &insn, NULL) || !has_form(&insn, f->set->wanted[insn.mnemonic]))
		return NULL;
	return f->found(f->context, part, address, &insn);
}

struct cp_error *cp_insn_find(const struct cp_code *code, const struct cp_insn_set *set,
	struct cp_error *(*found)(void *context, const struct cp_code_part *part, uint64_t address,
	const ZydisDecodedInstruction *insn), void *context)
{
	struct finder finder = { code, set, found, context };
	struct cp_scan scan = set->scan;

	scan.wanted = set->wanted;
	return cp_scan_code(code, &scan, visit, &finder);
}
