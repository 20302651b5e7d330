/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>

#include "dwarf/die.h"

/* An instance of an instance of a declaration: three, and some more for what compilers may come up with. */
#define MAX_ORIGINS 8

/* A step to the next sibling, in bytes of the budget, beside those that are stepped over. */
#define SIBLING_COST 8

/* Forms whose size lies in the data, those of sixteen bytes, and what is near the end of the unit. */
bool cp_attr_read_odd(const struct cp_abbrev_attr *declared, struct cp_cursor *c, struct cp_dw_attr *ret)
{
	uint64_t form = declared->form;
	const uint8_t *start;

	if (!declared->size) {
		ret->value = (uint64_t)declared->implicit;
		return true;
	}
	for (int depth = 0; form == DW_FORM_indirect && depth < 4; depth++)
		form = cp_get_uleb(c);
	ret->form = (uint16_t)form;
	switch (form) {
	case DW_FORM_implicit_const:	/* as DW_FORM_indirect names it: the value would have to be in the declaration */
		cp_fail(c);
		return false;
	case DW_FORM_flag_present:
		ret->value = 1;
		return true;
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		ret->value = cp_get_uleb(c);
		return !c->failed;
	case DW_FORM_sdata:
		ret->value = (uint64_t)cp_get_sleb(c);
		return !c->failed;
	case DW_FORM_string:
		start = c->at;
		ret->bytes = (const uint8_t *)cp_get_string(c);
		ret->value = (uint64_t)(c->at - start);
		/* Others may lead to this DIE, and read past the text each time. */
		return !c->failed && (ret->value <= CP_LONG_TEXT || cp_dwarf_charge(ret->unit->dwarf, ret->value));
	case DW_FORM_block1:
		ret->value = cp_get8(c);
		break;
	case DW_FORM_block2:
		ret->value = cp_get16(c);
		break;
	case DW_FORM_block4:
		ret->value = cp_get32(c);
		break;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		ret->value = cp_get_uleb(c);
		break;
	case DW_FORM_data16:
		ret->value = 16;
		break;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		ret->value = cp_get24(c);
		return !c->failed;
	default: {
		int size = form <= UINT16_MAX ? cp_form_size((uint16_t)form, ret->unit->sizes) : -1;

		if (size < 0) {
			cp_fail(c);
			return false;
		}
		ret->value = cp_get_sized(c, (unsigned int)size);
		return !c->failed;
	}
	}
	ret->bytes = c->at;
	cp_skip(c, ret->value);
	return !c->failed;
}

/* Section 7.26: the unit's part of .debug_str_offsets begins at its base. */
static const char *indexed_string(const struct cp_dw_unit *unit, uint64_t index)
{
	unsigned int size = unit->sizes.offset;
	uint64_t base = unit->str_offsets == CP_DW_NONE ? (uint64_t)size * 2 : unit->str_offsets;
	const struct cp_dw_bytes *s = &unit->dwarf->sections[CP_DW_STR_OFFSETS];
	struct cp_cursor c;

	if (unit->sizes.version < 5)
		base = 0;
	if (base > s->size || index >= (s->size - base) / size)
		return NULL;
	c = cp_dwarf_cursor(unit->dwarf, CP_DW_STR_OFFSETS, base + index * size);
	return cp_dwarf_text(unit->dwarf, CP_DW_STR, cp_get_sized(&c, size));
}

const char *cp_attr_string(const struct cp_dw_attr *attr)
{
	switch (attr->form) {
	case DW_FORM_string:
		return (const char *)attr->bytes;
	case DW_FORM_strp:
		return cp_dwarf_text(attr->unit->dwarf, CP_DW_STR, attr->value);
	case DW_FORM_line_strp:
		return cp_dwarf_text(attr->unit->dwarf, CP_DW_LINE_STR, attr->value);
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		return indexed_string(attr->unit, attr->value);
	default:
		return NULL;
	}
}

bool cp_attr_is_constant(const struct cp_dw_attr *attr)
{
	switch (attr->form) {
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_udata:
	case DW_FORM_sdata:
	case DW_FORM_implicit_const:
		return true;
	case DW_FORM_data4:
	case DW_FORM_data8:
		return true;	/* before DWARF 4 also an offset, of attributes that cannot be constants */
	default:
		return false;
	}
}

bool cp_attr_number(const struct cp_dw_attr *attr, uint64_t *ret)
{
	switch (attr->form) {
	case DW_FORM_sec_offset:
	case DW_FORM_flag:
	case DW_FORM_flag_present:
		break;
	default:
		if (!cp_attr_is_constant(attr))
			return false;
	}
	*ret = attr->value;
	return true;
}

/* Section 7.27: the unit's part of .debug_addr begins at its base. */
bool cp_unit_indexed_address(const struct cp_dw_unit *unit, uint64_t index, uint64_t *ret)
{
	const struct cp_dw_bytes *s = &unit->dwarf->sections[CP_DW_ADDR];
	uint64_t base = unit->addresses == CP_DW_NONE ? 0 : unit->addresses;
	struct cp_cursor c;

	if (base > s->size || index >= (s->size - base) / unit->sizes.address)
		return false;
	c = cp_dwarf_cursor(unit->dwarf, CP_DW_ADDR, base + index * unit->sizes.address);
	*ret = cp_get_sized(&c, unit->sizes.address);
	return !c.failed;
}

bool cp_attr_address(const struct cp_dw_attr *attr, uint64_t *ret)
{
	switch (attr->form) {
	case DW_FORM_addr:
		*ret = attr->value;
		return true;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return cp_unit_indexed_address(attr->unit, attr->value, ret);
	default:
		return false;
	}
}

bool cp_attr_flag(const struct cp_dw_attr *attr)
{
	return (attr->form == DW_FORM_flag || attr->form == DW_FORM_flag_present) && attr->value;
}

bool cp_attr_block(const struct cp_dw_attr *attr, struct cp_cursor *ret)
{
	switch (attr->form) {
	case DW_FORM_block1:
	case DW_FORM_block2:
	case DW_FORM_block4:
	case DW_FORM_block:
	case DW_FORM_exprloc:
	case DW_FORM_data16:
		*ret = (struct cp_cursor){ attr->bytes, attr->bytes + attr->value, false };
		return true;
	default:
		return false;
	}
}

/* The DIE at an offset of another unit's section. */
static bool in_unit(struct cp_dw_unit *unit, uint64_t offset, struct cp_die *ret)
{
	struct cp_error *error = unit ? cp_unit_prepare(unit) : NULL;

	if (error == &cp_error_no_memory)
		__atomic_store_n(&unit->dwarf->lacked_memory, true, __ATOMIC_RELAXED);
	cp_error_destroy(error);
	return unit && !error && cp_die_at(unit, offset, ret);
}

bool cp_attr_ref(const struct cp_dw_attr *attr, struct cp_die *ret)
{
	struct cp_dw_unit *unit = attr->unit;

	switch (attr->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		return attr->value < unit->end - unit->offset && cp_die_at(unit, unit->offset + attr->value, ret);
	case DW_FORM_ref_addr:
		return in_unit(cp_dwarf_unit_at(unit->dwarf, attr->value), attr->value, ret);
	case DW_FORM_ref_sig8:
		unit = cp_dwarf_type_unit(unit->dwarf, attr->value);
		return in_unit(unit, unit ? unit->offset + unit->type_offset : 0, ret);
	default:
		return false;
	}
}

/* A value of a form whose size lies in the data. */
void cp_form_skip(const struct cp_die *die, uint16_t form, struct cp_cursor *c)
{
	struct cp_abbrev_attr declared = { .form = form, .size = -1 };
	struct cp_dw_attr unused;

	switch (form) {
	case DW_FORM_udata:
	case DW_FORM_sdata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
		cp_skip_leb(c);
		break;
	case DW_FORM_exprloc:
		cp_skip(c, cp_get_uleb(c));
		break;
	default:
		cp_attr_read(die->unit, &declared, c, &unused);
	}
}

/* Where DW_AT_sibling leads; NULL: there is none, or it leads back or out of the unit. */
static const uint8_t *sibling_of(const struct cp_die *die, const struct cp_cursor *c)
{
	const struct cp_dw_unit *unit = die->unit;
	struct cp_cursor at = *c;
	const uint8_t *start, *target;
	struct cp_dw_attr attr;
	uint64_t offset;

	if (die->abbrev->sibling_size) {
		cp_skip(&at, die->abbrev->sibling_at);
		offset = cp_get_sized(&at, die->abbrev->sibling_size);
		if (at.failed)
			return NULL;
	} else if (cp_die_attr(die, DW_AT_sibling, &attr)) {
		offset = attr.form == DW_FORM_ref_addr ? attr.value - unit->offset : attr.value;
	} else {
		return NULL;
	}
	if (offset >= unit->end - unit->offset)
		return NULL;
	start = unit->dwarf->sections[unit->section].bytes + unit->offset;
	target = start + offset;
	return target > c->at && target <= c->end ? target : NULL;
}

void cp_die_skip_tree(const struct cp_die *die, struct cp_cursor *c)
{
	struct cp_die at = *die;
	size_t depth = 0;

	do {
		const uint8_t *next = NULL;

		if (at.abbrev && at.abbrev->children)
			next = sibling_of(&at, c);
		if (next) {
			c->at = next;
		} else if (at.abbrev) {
			cp_die_skip_attrs(&at, c);
			depth += at.abbrev->children;
		} else {
			depth--;
		}
		if (depth)
			cp_die_read(die->unit, c, &at);
	} while (depth && !c->failed);
}

bool cp_die_at(struct cp_dw_unit *unit, uint64_t offset, struct cp_die *ret)
{
	struct cp_cursor c = cp_unit_cursor(unit, offset);

	return !c.failed && cp_die_read(unit, &c, ret);
}

bool cp_die_root(struct cp_dw_unit *unit, struct cp_die *ret)
{
	return cp_die_at(unit, unit->first, ret);
}

bool cp_die_child(const struct cp_die *die, struct cp_die *ret)
{
	struct cp_cursor c = cp_die_values(die);

	if (!die->abbrev->children)
		return false;
	cp_die_skip_attrs(die, &c);
	return cp_die_read(die->unit, &c, ret);
}

bool cp_die_sibling(const struct cp_die *die, struct cp_die *ret)
{
	struct cp_cursor c = cp_die_values(die);
	const uint8_t *start = c.at;

	cp_die_skip(die, &c);
	/* What is stepped over in one look is looked at again when the next one begins at the parent. */
	return cp_dwarf_charge(die->unit->dwarf, SIBLING_COST + (die->abbrev->sibling_size ? 0 : (uint64_t)(c.at - start))) &&
		cp_die_read(die->unit, &c, ret);
}

bool cp_die_attr(const struct cp_die *die, unsigned int name, struct cp_dw_attr *ret)
{
	struct cp_cursor c = cp_die_values(die);

	for (size_t i = 0; i < die->abbrev->attr_count; i++) {
		if (!cp_attr_read(die->unit, &die->abbrev->attrs[i], &c, ret))
			return false;
		if (ret->name == name)
			return true;
	}
	return false;
}

bool cp_die_attr_any(const struct cp_die *die, unsigned int name, struct cp_dw_attr *ret)
{
	struct cp_die at = *die;

	for (int depth = 0; depth < MAX_ORIGINS; depth++) {
		struct cp_dw_attr origin;

		if (cp_die_attr(&at, name, ret))
			return true;
		if ((!cp_die_attr(&at, DW_AT_abstract_origin, &origin) && !cp_die_attr(&at, DW_AT_specification, &origin)) ||
			!cp_attr_ref(&origin, &at))
			return false;
	}
	return false;
}

const char *cp_die_name(const struct cp_die *die)
{
	struct cp_dw_attr attr;

	return cp_die_attr_any(die, DW_AT_name, &attr) ? cp_dwarf_shared(die->unit->dwarf, cp_attr_string(&attr)) : NULL;
}
