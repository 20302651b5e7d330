/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/entered.h"

/* Most targets are in no stretch: one bit for so many bytes says it. */
#define GRAIN 3
#define BITS ((size_t)1 << 16)

/* Of a kernel they are a few; of a hostile file as many as it has bytes: then everything counts as entered. */
#define MAX_TARGETS ((size_t)1 << 16)

struct entries {
	const struct cp_code *code;
	struct cp_stretch *areas;		/* stretches that overlap, made one; sorted */
	size_t area_count;
	uint64_t *targets;		/* in them, from outside */
	size_t count;
	uint64_t budget;		/* instructions that may be decoded to see where one begins */
	uint64_t bits[BITS / 64];
};

static int compare_stretches(const void *left, const void *right)
{
	const struct cp_stretch *a = left, *b = right;

	return a->first < b->first ? -1 : a->first > b->first;
}

static int compare_targets(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static void add_area(struct entries *e, const struct cp_stretch *stretch)
{
	struct cp_stretch *last = e->area_count ? &e->areas[e->area_count - 1] : NULL;

	for (uint64_t g = stretch->first >> GRAIN; g <= stretch->last >> GRAIN; g++)
		e->bits[g % BITS / 64] |= (uint64_t)1 << g % 64;
	if (!last || stretch->first > last->last) {
		e->areas[e->area_count++] = *stretch;
		return;
	}
	if (stretch->last > last->last)
		last->last = stretch->last;
	if (stretch->start > last->start)
		last->start = stretch->start;
	if (stretch->end < last->end)
		last->end = stretch->end;
}

static inline bool may_be_near(const struct entries *e, uint64_t target)
{
	return e->bits[(target >> GRAIN) % BITS / 64] >> (target >> GRAIN) % 64 & 1;
}

/* Is the target in an area that the jump lies outside of? */
static bool enters_area(const struct entries *e, uint64_t from, uint64_t target)
{
	size_t low = 0, high = may_be_near(e, target) ? e->area_count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e->areas[middle].first <= target)
			low = middle + 1;
		else
			high = middle;
	}
	return low && target <= e->areas[low - 1].last && (from < e->areas[low - 1].start || from >= e->areas[low - 1].end);
}

static struct cp_error *add_target(struct entries *e, uint64_t target)
{
	uint64_t *targets;

	if (e->count == MAX_TARGETS)
		return NULL;
	targets = cp_grow(e->targets, e->count, sizeof(*targets));
	if (!targets)
		return &cp_error_no_memory;
	e->targets = targets;
	targets[e->count++] = target;
	return NULL;
}

/* Does an instruction begin at the address? True where looking takes too long. */
static bool begins_instruction(struct entries *e, const struct cp_code_part *part, uint64_t address)
{
	ZydisDecodedInstruction insn;
	struct cp_region region;
	uint64_t at;

	cp_region_of(e->code, part, address, &region);
	for (at = region.start; at < address; at += insn.length) {
		if (!e->budget)
			return true;
		e->budget--;
		cp_decode_light(e->code, part, at, &insn);
	}
	return at == address && !region.data;
}

/* Whatever may be a direct jump or call of 32 bits, at each byte: data and misread code only make more of them. */
static struct cp_error *read_jumps(struct entries *e, const struct cp_code_part *part)
{
	static const bool begins[256] = { [0x0f] = true, [0xe8] = true, [0xe9] = true };
	struct cp_error *error = NULL;

	for (uint64_t i = 0; i + 5 <= part->size && !error; i++) {
		const uint8_t *b = part->bytes + i;
		uint64_t target;

		if (!begins[*b])
			continue;
		if (*b == 0x0f && ((b[1] & 0xf0) != 0x80 || i + 6 > part->size))
			continue;
		i += *b == 0x0f;
		target = part->address + i + 5 + (uint64_t)(int32_t)cp_read32(part->bytes + i + 1);
		target = cp_code_wrap(e->code, target);
		if (enters_area(e, part->address + i, target))
			error = add_target(e, target);
	}
	return error;
}

/* Jumps of 8 bits from around an area. Two bytes are soon misread: they must be an instruction. */
static struct cp_error *read_short_jumps(struct entries *e, const struct cp_stretch *area)
{
	struct cp_error *error = NULL;
	struct cp_region region;
	uint64_t from, end;

	if (!cp_region_at(e->code, area->first, &region))
		return NULL;
	from = area->first - region.part->address < 130 ? 0 : area->first - region.part->address - 130;
	end = area->last - region.part->address + 126;
	for (uint64_t i = from; i < end && i + 2 <= region.part->size && !error; i++) {
		const uint8_t *b = region.part->bytes + i;
		uint64_t address = region.part->address + i, target = cp_code_wrap(e->code, address + 2 + (uint64_t)(int8_t)b[1]);

		if ((b[0] == 0xeb || (b[0] & 0xf0) == 0x70 || (b[0] & 0xfc) == 0xe0) && enters_area(e, address, target) &&
			begins_instruction(e, region.part, address))
			error = add_target(e, target);
	}
	return error;
}

/*
 * Linux's jump labels: a nop that becomes a jump. An entry has where it is, where it leads and a key: as distances from
 * the field itself since 4.19, as addresses before. All that such a word may be is taken.
 */
static struct cp_error *read_labels(struct entries *e, uint64_t start, uint64_t size)
{
	uint64_t available = 0;
	const uint8_t *bytes = cp_image_at(e->code->program->image, start, &available);
	struct cp_error *error = NULL;

	if (!bytes)
		return NULL;
	if (size > available)
		size = available;
	for (uint64_t i = 0; i + 4 <= size && !error; i += 4) {
		uint64_t by_distance = cp_code_wrap(e->code, start + i + (uint64_t)(int32_t)cp_read32(bytes + i));
		uint64_t by_address = i + 8 <= size ? cp_code_wrap(e->code, cp_read64(bytes + i)) : cp_read32(bytes + i);

		if (enters_area(e, start + i, by_distance))
			error = add_target(e, by_distance);
		if (!error && enters_area(e, start + i, by_address))
			error = add_target(e, by_address);
	}
	return error;
}

/* They are a section of their own, or a part of one that symbols bound. */
static struct cp_error *find_labels(struct entries *e)
{
	const struct cp_section *section = cp_image_section(e->code->program->image, "__jump_table");
	const struct cp_symbols *symbols = &e->code->program->symbols;
	uint64_t start = 0, stop = 0;

	for (size_t i = 0; i < symbols->count; i++) {
		const struct cp_symbol *s = &symbols->items[i];

		if (s->name[0] != '_' || s->name[1] != '_' || s->name[2] != 's')
			continue;
		if (!strcmp(s->name, "__start___jump_table"))
			start = s->address;
		else if (!strcmp(s->name, "__stop___jump_table"))
			stop = s->address;
	}
	if (start < stop)
		return read_labels(e, start, stop - start);
	return section ? read_labels(e, section->address, section->size) : NULL;
}

static bool is_entered(const struct entries *e, const struct cp_stretch *stretch)
{
	size_t low = 0, high = e->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e->targets[middle] < stretch->first)
			low = middle + 1;
		else
			high = middle;
	}
	return e->count == MAX_TARGETS || (low < e->count && e->targets[low] <= stretch->last);
}

struct cp_error *cp_stretches_check(const struct cp_code *code, struct cp_stretch *stretches, size_t count)
{
	struct entries *e = count ? calloc(1, sizeof(*e)) : NULL;
	struct cp_error *error = NULL;

	if (!count)
		return NULL;
	if (e)
		e->areas = calloc(count, sizeof(*e->areas));
	if (!e || !e->areas) {
		free(e);
		return &cp_error_no_memory;
	}
	e->code = code;
	qsort(stretches, count, sizeof(*stretches), compare_stretches);
	for (size_t i = 0; i < count; i++)
		add_area(e, &stretches[i]);
	for (size_t p = 0; p < code->part_count; p++)
		e->budget += code->parts[p].size;
	for (size_t p = 0; p < code->part_count && !error; p++)
		error = read_jumps(e, &code->parts[p]);
	for (size_t a = 0; a < e->area_count && !error; a++)
		error = read_short_jumps(e, &e->areas[a]);
	if (!error)
		error = find_labels(e);
	if (!error && e->count)
		qsort(e->targets, e->count, sizeof(*e->targets), compare_targets);
	for (size_t i = 0; i < count && !error; i++)
		*stretches[i].sound &= !is_entered(e, &stretches[i]);
	free(e->targets);
	free(e->areas);
	free(e);
	return error;
}
