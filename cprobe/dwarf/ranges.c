/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>

#include "dwarf/ranges.h"

#define NO_BASE 1	/* no tombstone */

/*
 * Many DIEs may share a long list: so many entries of one, in bytes of the budget. Short ones are free, as all threads charge
 * one budget, and waiting for it would take longer than reading them.
 */
#define ENTRIES 64
#define ENTRIES_COST 256

static bool may_go_on(struct cp_ranges *r)
{
	return ++r->entries % ENTRIES || cp_dwarf_charge(r->unit->dwarf, ENTRIES_COST);
}

/* Section 7.28: an index into the unit's offsets, which are relative to their beginning. */
static bool indexed_list(const struct cp_dw_unit *unit, uint64_t index, uint64_t *ret)
{
	uint64_t base = unit->ranges;
	struct cp_cursor c;

	if (base == CP_DW_NONE || index > UINT32_MAX)
		return false;
	c = cp_dwarf_cursor(unit->dwarf, CP_DW_RNGLISTS, base);
	cp_skip(&c, index * unit->sizes.offset);
	*ret = base + cp_get_sized(&c, unit->sizes.offset);
	return !c.failed;
}

bool cp_ranges_begin(const struct cp_dw_extent *extent, struct cp_ranges *ret)
{
	struct cp_dw_unit *unit = extent->ranges.unit ? extent->ranges.unit : extent->low.unit;
	uint64_t offset, number;

	if (!unit)
		return false;
	*ret = (struct cp_ranges){ .unit = unit, .base = unit->low_pc, .relative_to = NO_BASE };
	if (extent->ranges.unit) {
		if (extent->ranges.form == DW_FORM_rnglistx) {
			if (!indexed_list(unit, extent->ranges.value, &offset))
				return false;
		} else if (!cp_attr_number(&extent->ranges, &offset)) {
			return false;
		}
		ret->list = cp_dwarf_cursor(unit->dwarf, unit->sizes.version >= 5 ? CP_DW_RNGLISTS : CP_DW_RANGES, offset);
		ret->has_list = true;
		return !ret->list.failed;
	}
	if (!cp_attr_address(&extent->low, &ret->low))
		return false;
	ret->high = ret->low + 1;	/* one address: DW_AT_low_pc alone */
	if (extent->high.unit && !cp_attr_address(&extent->high, &ret->high)) {
		if (!cp_attr_number(&extent->high, &number))
			return false;
		ret->high = ret->low + number;
	}
	ret->has_one = true;
	return true;
}

bool cp_ranges_of(const struct cp_die *die, struct cp_ranges *ret)
{
	struct cp_dw_extent extent;

	if (!cp_die_attr(die, DW_AT_low_pc, &extent.low))
		extent.low.unit = NULL;
	if (!cp_die_attr(die, DW_AT_high_pc, &extent.high))
		extent.high.unit = NULL;
	if (!cp_die_attr(die, DW_AT_ranges, &extent.ranges))
		extent.ranges.unit = NULL;
	return cp_ranges_begin(&extent, ret);
}

static bool is_tombstone(const struct cp_ranges *r, uint64_t address)
{
	return cp_dwarf_is_tombstone(r->unit->dwarf, address, r->unit->sizes.address);
}

static bool is_code(const struct cp_ranges *r, uint64_t address)
{
	const struct cp_section *section = cp_image_section_at(r->unit->dwarf->image, address);

	return section && (section->flags & SHF_EXECINSTR);
}

/*
 * Of removed code the base is a tombstone too. A base of 0 is one unless there is code where the sum is: absolute addresses
 * may be told as relative to 0.
 */
static bool is_removed(const struct cp_ranges *r, uint64_t low)
{
	return is_tombstone(r, low) || (is_tombstone(r, r->relative_to) && (r->relative_to || !is_code(r, low)));
}

/* Section 2.17.3 of DWARF 4: pairs, relative to a base that a pair with -1 sets; a pair of zeros ends. */
static bool next_pair(struct cp_ranges *r, uint64_t *low, uint64_t *high)
{
	unsigned int size = r->unit->sizes.address;
	uint64_t most = size == 8 ? UINT64_MAX : UINT32_MAX;

	for (;;) {
		*low = cp_get_sized(&r->list, size);
		*high = cp_get_sized(&r->list, size);
		if (r->list.failed || (!*low && !*high) || !may_go_on(r))
			return false;
		if (*low != most)
			break;
		r->base = *high;
		r->relative_to = *high ? *high : NO_BASE;	/* what follows is absolute */
	}
	*low = (*low + r->base) & most;
	*high = (*high + r->base) & most;
	return true;
}

/* Section 7.25 of DWARF 5. */
static bool next_entry(struct cp_ranges *r, uint64_t *low, uint64_t *high)
{
	unsigned int size = r->unit->sizes.address;
	struct cp_cursor *c = &r->list;
	uint64_t a, b;

	r->relative_to = NO_BASE;
	while (!c->failed && may_go_on(r)) {
		switch (cp_get8(c)) {
		case DW_RLE_base_addressx:
			if (!cp_unit_indexed_address(r->unit, cp_get_uleb(c), &a))
				return false;
			r->base = a;
			r->has_base = true;
			break;
		case DW_RLE_startx_endx:
			a = cp_get_uleb(c);
			b = cp_get_uleb(c);
			return !c->failed && cp_unit_indexed_address(r->unit, a, low) && cp_unit_indexed_address(r->unit, b, high);
		case DW_RLE_startx_length:
			a = cp_get_uleb(c);
			b = cp_get_uleb(c);
			if (c->failed || !cp_unit_indexed_address(r->unit, a, low))
				return false;
			*high = *low + b;
			return true;
		case DW_RLE_offset_pair:
			*low = r->base + cp_get_uleb(c);
			*high = r->base + cp_get_uleb(c);
			r->relative_to = r->has_base ? r->base : NO_BASE;
			return !c->failed;
		case DW_RLE_base_address:
			r->base = cp_get_sized(c, size);
			r->has_base = true;
			break;
		case DW_RLE_start_end:
			*low = cp_get_sized(c, size);
			*high = cp_get_sized(c, size);
			return !c->failed;
		case DW_RLE_start_length:
			*low = cp_get_sized(c, size);
			*high = *low + cp_get_uleb(c);
			return !c->failed;
		default:	/* DW_RLE_end_of_list */
			return false;
		}
	}
	return false;
}

bool cp_ranges_next(struct cp_ranges *ranges, uint64_t *low, uint64_t *high)
{
	if (ranges->has_one) {
		ranges->has_one = false;
		*low = ranges->low;
		*high = ranges->high;
		return *low < *high && !is_tombstone(ranges, *low);
	}
	while (ranges->has_list &&
		(ranges->unit->sizes.version >= 5 ? next_entry(ranges, low, high) : next_pair(ranges, low, high))) {
		if (*low < *high && !is_removed(ranges, *low))
			return true;
	}
	ranges->has_list = false;
	return false;
}
