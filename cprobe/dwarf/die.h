/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debugging information entries and the values of their attributes. The unit must have been prepared
 * (cp_unit_prepare()); a DIE that a reference leads to is in a unit that is. Malformed parts are "not there": who walks
 * a whole unit asks the cursor at the end and reports it.
 */
#ifndef CPROBE_DIE_H
#define CPROBE_DIE_H

#include "dwarf/dwarf.h"

struct cp_die {
	struct cp_dw_unit *unit;
	uint64_t offset;		/* in the unit's section */
	const struct cp_abbrev *abbrev;
	const uint8_t *attrs;		/* where its values begin */
};

/* The rest of cp_attr_read(): forms that are not just so many bytes. */
bool cp_attr_read_odd(const struct cp_abbrev_attr *declared, struct cp_cursor *c, struct cp_dw_attr *ret);

/*
 * Read a value; the cursor moves behind it. False: unknown form, or it leaves the unit. Here and below, what walks over
 * millions of DIEs call is in the header.
 */
static inline bool cp_attr_read(struct cp_dw_unit *unit, const struct cp_abbrev_attr *declared, struct cp_cursor *c,
	struct cp_dw_attr *ret)
{
	unsigned int size = (uint8_t)declared->size;	/* above 8 also where it lies in the data */
	uint64_t value;

	ret->unit = unit;
	ret->name = declared->name;
	ret->form = declared->form;
	if (size > 8 || cp_left(c) < 8)
		return cp_attr_read_odd(declared, c, ret);
	/* One way for all sizes: which one comes next is anybody's guess. */
	value = cp_read64(c->at) & UINT64_MAX >> (64 - 8 * size) % 64;
	ret->value = size ? value : (uint64_t)declared->implicit;
	c->at += size;
	return true;
}

/* The value, if its form is of that class and leads somewhere. */
const char *cp_attr_string(const struct cp_dw_attr *attr);			/* NULL: it is none */
bool cp_attr_number(const struct cp_dw_attr *attr, uint64_t *ret);		/* signed ones are sign-extended */
bool cp_attr_address(const struct cp_dw_attr *attr, uint64_t *ret);
bool cp_attr_flag(const struct cp_dw_attr *attr);
bool cp_attr_ref(const struct cp_dw_attr *attr, struct cp_die *ret);
bool cp_attr_block(const struct cp_dw_attr *attr, struct cp_cursor *ret);	/* blocks and expressions */
bool cp_attr_is_constant(const struct cp_dw_attr *attr);			/* a number that is no offset into a section */

/* Entry `index` of the unit's part of .debug_addr. */
bool cp_unit_indexed_address(const struct cp_dw_unit *unit, uint64_t index, uint64_t *ret);

/* The DIE at the cursor, which moves to its values. False: a null entry (the end of siblings), or c->failed. */
static inline bool cp_die_read(struct cp_dw_unit *unit, struct cp_cursor *c, struct cp_die *ret)
{
	uint64_t code;

	ret->unit = unit;
	ret->offset = (uint64_t)(c->at - unit->dwarf->sections[unit->section].bytes);
	code = cp_get_uleb(c);
	ret->abbrev = code ? cp_abbrev_find(&unit->table->abbrevs, code) : NULL;
	ret->attrs = c->at;
	if (code && !ret->abbrev)
		cp_fail(c);
	return ret->abbrev != NULL;
}

/* Pass over the values of a DIE, the cursor being at them. */
void cp_form_skip(const struct cp_die *die, uint16_t form, struct cp_cursor *c);
static inline void cp_die_skip_attrs(const struct cp_die *die, struct cp_cursor *c)
{
	const struct cp_abbrev_step *step = die->abbrev->steps;

	for (cp_skip(c, step->fixed); step->form; cp_skip(c, step->fixed)) {
		cp_form_skip(die, step->form, c);
		step++;
	}
}

/*
 * Pass over the DIE and all below it, the cursor being at its values: by DW_AT_sibling where there is one. The cursor
 * always moves forward.
 */
void cp_die_skip_tree(const struct cp_die *die, struct cp_cursor *c);
static inline void cp_die_skip(const struct cp_die *die, struct cp_cursor *c)
{
	if (die->abbrev->children)
		cp_die_skip_tree(die, c);
	else
		cp_die_skip_attrs(die, c);
}

#define AHEAD 2048	/* bytes: leaps over children throw off what processors fetch by themselves */

/*
 * Pass over the DIEs at the cursor in which nobody is interested, as far as that is a matter of adding numbers: their size is
 * fixed, or DW_AT_sibling leads behind their children. With a depth, how many DIEs are around the cursor, blocks are entered,
 * and they and others left at the end of their children as long as it is above `least`; without, CP_BLOCKS is of interest.
 * What stops it is for cp_die_read() and cp_die_skip().
 */
static inline void cp_die_pass(const struct cp_dw_unit *unit, struct cp_cursor *c, unsigned int interest, size_t *depth,
	size_t least)
{
	const struct cp_abbrev_pass *passes = unit->table->abbrevs.passes;
	const uint8_t *start = unit->dwarf->sections[unit->section].bytes + unit->offset, *at = c->at;

	while (at < c->end && *at < CP_PASSES) {
		struct cp_abbrev_pass pass = passes[*at];
		struct cp_cursor values = { at + 1, c->end, false };
		const uint8_t *next;
		uint64_t offset;

		if (pass.interest & interest) {
			if (*at || !depth || *depth <= least)
				break;
			--*depth;	/* a null entry */
			at++;
			continue;
		}
		if (!pass.sibling_size) {
			cp_skip(&values, pass.fixed);
			next = values.at;
		} else {
			cp_skip(&values, pass.sibling_at);
			offset = cp_get_sized(&values, pass.sibling_size);
			if (offset >= (uint64_t)(c->end - start))
				break;
			next = start + offset;
		}
		if (values.failed || next < values.at)
			break;
		if (depth && pass.interest == CP_BLOCKS)
			*depth += pass.children;
		at = next;
		__builtin_prefetch((const void *)((uintptr_t)at + AHEAD));
	}
	c->at = at;
}

/* A cursor at the values of its attributes. */
static inline struct cp_cursor cp_die_values(const struct cp_die *die)
{
	const uint8_t *bytes = die->unit->dwarf->sections[die->unit->section].bytes;

	return (struct cp_cursor){ die->attrs, bytes + die->unit->end, false };
}

/* The DIE at an offset of the unit's section. */
bool cp_die_at(struct cp_dw_unit *unit, uint64_t offset, struct cp_die *ret);
bool cp_die_root(struct cp_dw_unit *unit, struct cp_die *ret);

/* First child; false: it has none. Next sibling; false: it is the last one. */
bool cp_die_child(const struct cp_die *die, struct cp_die *ret);
bool cp_die_sibling(const struct cp_die *die, struct cp_die *ret);

static inline unsigned int cp_die_tag(const struct cp_die *die)
{
	return die->abbrev->tag;
}

/* An attribute of the DIE itself; of it or of what it is an instance of (abstract origin, specification). */
bool cp_die_attr(const struct cp_die *die, unsigned int name, struct cp_dw_attr *ret);
bool cp_die_attr_any(const struct cp_die *die, unsigned int name, struct cp_dw_attr *ret);

/*
 * DW_AT_name, its own or of what it is an instance of; NULL none. A long one is charged to the budget, since many DIEs may
 * have it; NULL when that is spent.
 */
const char *cp_die_name(const struct cp_die *die);

#endif
