/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>

#include "dwarf/location.h"

static bool take_block(struct cp_cursor *list, uint64_t size, struct cp_cursor *ret)
{
	*ret = (struct cp_cursor){ list->at, list->at, false };
	cp_skip(list, size);
	ret->end = list->failed ? ret->at : list->at;
	return !list->failed;
}

/* Section 2.6.2 of DWARF 4: pairs of addresses, relative to a base, each with an expression. */
static bool in_pairs(const struct cp_dw_unit *unit, struct cp_cursor *list, uint64_t address, struct cp_cursor *ret)
{
	unsigned int size = unit->sizes.address;
	uint64_t base = unit->low_pc, most = size == 8 ? UINT64_MAX : UINT32_MAX;

	for (;;) {
		uint64_t low = cp_get_sized(list, size), high = cp_get_sized(list, size);

		if (list->failed || (!low && !high) || !cp_dwarf_charge(unit->dwarf, 4))
			return false;
		if (low == most) {
			base = high;
			continue;
		}
		if (!take_block(list, cp_get16(list), ret))
			return false;
		if (address >= ((low + base) & most) && address < ((high + base) & most))
			return true;
	}
}

/* Section 7.29 of DWARF 5. */
static bool in_list(const struct cp_dw_unit *unit, struct cp_cursor *c, uint64_t address, struct cp_cursor *ret)
{
	unsigned int size = unit->sizes.address;
	uint64_t base = unit->low_pc;

	while (!c->failed && cp_dwarf_charge(unit->dwarf, 4)) {
		uint64_t low = 0, high = 0, a, b;
		bool bounded = true;

		switch (cp_get8(c)) {
		case DW_LLE_base_addressx:
			if (!cp_unit_indexed_address(unit, cp_get_uleb(c), &base))
				return false;
			continue;
		case DW_LLE_base_address:
			base = cp_get_sized(c, size);
			continue;
		case DW_LLE_startx_endx:
			a = cp_get_uleb(c);
			b = cp_get_uleb(c);
			if (!cp_unit_indexed_address(unit, a, &low) || !cp_unit_indexed_address(unit, b, &high))
				return false;
			break;
		case DW_LLE_startx_length:
			if (!cp_unit_indexed_address(unit, cp_get_uleb(c), &low))
				return false;
			high = low + cp_get_uleb(c);
			break;
		case DW_LLE_offset_pair:
			low = base + cp_get_uleb(c);
			high = base + cp_get_uleb(c);
			break;
		case DW_LLE_start_end:
			low = cp_get_sized(c, size);
			high = cp_get_sized(c, size);
			break;
		case DW_LLE_start_length:
			low = cp_get_sized(c, size);
			high = low + cp_get_uleb(c);
			break;
		case DW_LLE_default_location:
			bounded = false;
			break;
		case DW_LLE_GNU_view_pair:
			cp_skip_leb(c);
			cp_skip_leb(c);
			continue;
		default:	/* DW_LLE_end_of_list */
			return false;
		}
		if (!take_block(c, cp_get_uleb(c), ret))
			return false;
		if (!bounded || (address >= low && address < high))
			return true;
	}
	return false;
}

/* Section 7.29: an index into the unit's offsets, which are relative to their beginning. */
static bool indexed_list(const struct cp_dw_unit *unit, uint64_t index, uint64_t *ret)
{
	struct cp_cursor c;

	if (unit->locations == CP_DW_NONE || index > UINT32_MAX)
		return false;
	c = cp_dwarf_cursor(unit->dwarf, CP_DW_LOCLISTS, unit->locations);
	cp_skip(&c, index * unit->sizes.offset);
	*ret = unit->locations + cp_get_sized(&c, unit->sizes.offset);
	return !c.failed;
}

bool cp_location_at(const struct cp_dw_attr *attr, uint64_t address, struct cp_cursor *ret)
{
	const struct cp_dw_unit *unit = attr->unit;
	struct cp_cursor list;
	uint64_t offset;

	if (cp_attr_block(attr, ret))
		return true;
	if (attr->form == DW_FORM_loclistx) {
		if (!indexed_list(unit, attr->value, &offset))
			return false;
	} else if (attr->form == DW_FORM_sec_offset || attr->form == DW_FORM_data4 || attr->form == DW_FORM_data8) {
		offset = attr->value;
	} else {
		return false;
	}
	list = cp_dwarf_cursor(unit->dwarf, unit->sizes.version >= 5 ? CP_DW_LOCLISTS : CP_DW_LOC, offset);
	return unit->sizes.version >= 5 ? in_list(unit, &list, address, ret) : in_pairs(unit, &list, address, ret);
}

bool cp_location_fixed(const struct cp_dw_attr *attr, uint64_t *ret)
{
	struct cp_cursor c;
	bool known;

	if (!cp_attr_block(attr, &c))
		return false;
	switch (cp_get8(&c)) {
	case DW_OP_addr:
		*ret = cp_get_sized(&c, attr->unit->sizes.address);
		known = true;
		break;
	case DW_OP_addrx:
	case DW_OP_GNU_addr_index:
		known = cp_unit_indexed_address(attr->unit, cp_get_uleb(&c), ret);
		break;
	default:
		return false;
	}
	return known && !c.failed && !cp_left(&c);
}
