/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>

#include "base/arena.h"
#include "code/entered.h"
#include "code/flow.h"
#include "code/padding.h"

/* A jump of two bytes leads so far from its address. */
#define REACH_BACK 126
#define REACH_AHEAD 129

#define PAGE 4096
#define INT3 0xcc
#define NOP 0x90

/* Between two symbols. */
struct gap {
	struct cp_padding room;		/* as far as it may be used */
	const struct cp_symbol *before;	/* the function that ends where it begins */
};

struct search {
	const struct cp_code *code;
	const struct cp_code_part *part;
	const struct cp_detour *detours;	/* of this part */
	size_t detour_count;
	struct gap *gaps;
	size_t gap_count;
	uint64_t budget;		/* instructions that may still be decoded, in all parts */
};

static bool is_near(const struct search *s, uint64_t start, uint64_t end)
{
	size_t low = 0, high = s->detour_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->detours[middle].address + REACH_AHEAD < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->detour_count && s->detours[low].address < end + REACH_BACK;
}

/* How much from `start` on is padding that may be used; 0 where something between `start` and `end` is none. */
static uint64_t usable(struct search *s, uint64_t start, uint64_t end)
{
	uint64_t at = start, single = start;	/* `single`: where the single nops that lead up to `at` begin */
	ZydisDecodedInstruction insn;

	while (at < end) {
		const uint8_t *byte = s->part->bytes + (at - s->part->address);

		if (*byte == INT3) {	/* a megabyte of them is soon passed over */
			single = ++at;
			continue;
		}
		if (!s->budget || !cp_decode_light(s->code, s->part, at, &insn) || insn.length > end - at ||
			insn.mnemonic != ZYDIS_MNEMONIC_NOP)
			return 0;
		s->budget--;
		at += insn.length;
		if (*byte != NOP)
			single = at;
	}
	return (end - single > 1 ? single : end) - start;
}

static struct cp_error *add_gap(struct search *s, const struct cp_symbol *before, uint64_t start, uint64_t end)
{
	uint64_t size = end - start >= CP_SMALLEST_CAVE || is_near(s, start, end) ? usable(s, start, end) : 0;
	struct gap *gaps;

	if (size < CP_SMALLEST_HOP)
		return NULL;
	gaps = cp_grow(s->gaps, s->gap_count, sizeof(*gaps));
	if (!gaps)
		return &cp_error_no_memory;
	s->gaps = gaps;
	gaps[s->gap_count++] = (struct gap){ .room = { start, size }, .before = before };
	return NULL;
}

/* Those of the part, by address. A mark without a size ends what is known until the next one with a size. */
static struct cp_error *find_gaps(struct search *s)
{
	const struct cp_symbol *last = NULL;	/* the function that reaches furthest; NULL: something else does */
	uint64_t end = s->part->address;
	struct cp_error *error = NULL;

	for (size_t i = 0; i < s->code->mark_count && !error; i++) {
		const struct cp_symbol *mark = s->code->marks[i];

		if (mark->address < s->part->address || mark->address - s->part->address >= s->part->size)
			continue;
		if (mark->size > CP_LARGEST_FUNCTION)
			break;	/* whatever it is, it may reach over all that follows */
		if (last && mark->address > end && mark->size && mark->type != STT_OBJECT)
			error = add_gap(s, last, end, mark->address);
		if (mark->address >= end && !mark->size) {
			end = mark->address;
			last = NULL;
		} else if (mark->address + mark->size > end) {
			end = mark->address + mark->size;
			last = mark->type == STT_FUNC ? mark : NULL;
		}
	}
	return error;
}

/* Does the function's last instruction, which ends with it, lead elsewhere for certain? */
static bool is_left(struct search *s, const struct gap *gap)
{
	uint64_t at = gap->before->address, end = at + gap->before->size;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	struct cp_flow_insn last = { .address = at };

	while (at < end && s->budget) {
		s->budget--;
		last.address = at;
		cp_decode_light(s->code, s->part, at, &insn);
		at += insn.length;
	}
	if (at != end || !cp_decode(s->code, s->part, last.address, &insn, operands))
		return false;
	cp_flow_classify(s->code, &last, &insn, operands);
	return last.kind == CP_FLOW_JUMP || last.kind == CP_FLOW_END || last.trap || insn.mnemonic == ZYDIS_MNEMONIC_INT3;
}

/* Larger first, then the lower address. */
static int compare_gaps(const void *left, const void *right)
{
	const struct gap *a = left, *b = right;

	if (a->room.size != b->room.size)
		return a->room.size > b->room.size ? -1 : 1;
	return a->room.address < b->room.address ? -1 : a->room.address > b->room.address;
}

/* Of the largest of the part: pages that hold no code at all, where there are some. */
static struct cp_padding choose_cave(struct search *s)
{
	for (size_t i = 0; i < s->gap_count && s->gaps[i].room.size >= CP_SMALLEST_CAVE; i++) {
		struct cp_padding room = s->gaps[i].room;

		if (!is_left(s, &s->gaps[i]))
			continue;
		if (room.size >= 2 * PAGE)
			room.address = (room.address + PAGE - 1) & ~(uint64_t)(PAGE - 1);
		if (room.size > CP_LARGEST_CAVE)
			room.size = CP_LARGEST_CAVE;
		return room;
	}
	return (struct cp_padding){ 0, 0 };
}

/* What of the gap a jump reaches that begins at the address. */
static struct cp_padding in_reach(const struct gap *gap, uint64_t address)
{
	uint64_t start = gap->room.address, end = start + gap->room.size;

	if (start + REACH_BACK < address)
		start = address - REACH_BACK;
	if (end > address + REACH_AHEAD + CP_SMALLEST_HOP)
		end = address + REACH_AHEAD + CP_SMALLEST_HOP;
	if (end < start + CP_SMALLEST_HOP)
		return (struct cp_padding){ 0, 0 };
	return (struct cp_padding){ start, end - start };
}

/* The largest in reach, which the cave is not part of. */
static struct cp_padding choose_hop(struct search *s, const struct cp_padding *cave, uint64_t address)
{
	struct cp_padding best = { 0, 0 };

	if (s->budget < s->gap_count)
		return best;
	s->budget -= s->gap_count;
	for (size_t i = 0; i < s->gap_count; i++) {
		struct cp_padding room = in_reach(&s->gaps[i], address);

		if (cave->address - s->gaps[i].room.address < s->gaps[i].room.size)
			continue;
		if (room.size > best.size && is_left(s, &s->gaps[i]))
			best = room;
	}
	return best;
}

static struct cp_error *search_part(struct search *s, struct cp_detour *detours)
{
	struct cp_padding cave = { 0, 0 };
	struct cp_error *error = find_gaps(s);

	if (!error && s->gap_count) {
		qsort(s->gaps, s->gap_count, sizeof(*s->gaps), compare_gaps);
		cave = choose_cave(s);
	}
	for (size_t i = 0; i < s->detour_count && !error && cave.size; i++) {
		detours[i].cave = cave;
		detours[i].hop = choose_hop(s, &cave, detours[i].address);
	}
	return error;
}

static struct cp_stretch whole(const struct cp_padding *room, bool *sound)
{
	return (struct cp_stretch){ .first = room->address, .last = room->address + room->size - 1,
		.start = room->address, .end = room->address, .sound = sound };
}

/* Take back what other code enters. One look at all code for all of them: it takes most of the time. */
static struct cp_error *check_entries(const struct cp_code *code, struct cp_detour *detours, size_t count)
{
	struct cp_stretch *stretches = calloc(2 * count + 1, sizeof(*stretches));
	bool *sound = calloc(count + 1, sizeof(*sound));
	struct cp_error *error = stretches && sound ? NULL : &cp_error_no_memory;
	size_t used = 0;

	for (size_t i = 0; i < count && !error; i++) {
		sound[i] = detours[i].hop.size && detours[i].cave.size;
		if (!sound[i])
			continue;
		stretches[used++] = whole(&detours[i].hop, &sound[i]);
		stretches[used++] = whole(&detours[i].cave, &sound[i]);
	}
	if (!error)
		error = cp_stretches_check(code, stretches, used);
	for (size_t i = 0; i < count && !error; i++) {
		if (!sound[i])
			detours[i].hop = detours[i].cave = (struct cp_padding){ 0, 0 };
	}
	free(stretches);
	free(sound);
	return error;
}

struct cp_error *cp_detours_find(const struct cp_code *code, struct cp_detour *detours, size_t count)
{
	const struct cp_image *image = code->program->image;
	struct search s = { .code = code, .budget = CP_LARGEST_FUNCTION };
	struct cp_error *error = NULL;
	size_t first = 0;

	if (image->machine != EM_X86_64 || image->type == ET_REL || !code->program->symbols.local_functions)
		return NULL;
	for (size_t p = 0; p < code->part_count; p++)
		s.budget += code->parts[p].size;
	for (size_t p = 0; p < code->part_count && !error; p++) {
		const struct cp_code_part *part = &code->parts[p];

		while (first < count && detours[first].address < part->address)
			first++;
		s.part = part;
		s.detours = detours + first;
		s.gap_count = s.detour_count = 0;
		while (first + s.detour_count < count && detours[first + s.detour_count].address - part->address < part->size)
			s.detour_count++;
		if (s.detour_count && *part->name)	/* a segment may hold what is freed beside what stays */
			error = search_part(&s, detours + first);
		first += s.detour_count;
		free(s.gaps);
		s.gaps = NULL;
	}
	return error ? error : check_entries(code, detours, count);
}
