/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <string.h>

#include "dwarf/dwtype.h"
#include "answer/variables.h"
#include "base/record.h"

#define MAX_DEPTH 64

static bool at_address(Dwarf_Die *die, uint64_t address)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t count;

	if (!dwarf_attr(die, DW_AT_location, &attr) || dwarf_getlocation(&attr, &ops, &count) || count != 1)
		return false;
	if (ops[0].atom == DW_OP_addrx || ops[0].atom == DW_OP_GNU_addr_index) {
		Dwarf_Attribute place;
		Dwarf_Addr value;

		return !dwarf_getlocation_attr(&attr, ops, &place) && !dwarf_formaddr(&place, &value) && value == address;
	}
	return ops[0].atom == DW_OP_addr && ops[0].number == address;
}

/* A variable of the unit at the address; `deep`: also a function's static ones. */
static bool find_variable(Dwarf_Die *parent, const char *name, uint64_t address, bool deep, int depth, Dwarf_Die *ret)
{
	Dwarf_Die die;
	int result;

	if (depth >= MAX_DEPTH)
		return false;
	for (result = dwarf_child(parent, &die); result == 0; result = dwarf_siblingof(&die, &die)) {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_variable) {
			const char *own = deep ? name : dwarf_diename(&die);

			if (own && !strcmp(own, name) && at_address(&die, address)) {
				*ret = die;
				return true;
			}
		} else if (tag == DW_TAG_namespace || (deep && (tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block))) {
			if (find_variable(&die, name, address, deep, depth + 1, ret))
				return true;
		}
	}
	return false;
}

/* Units whose bytes hold DW_OP_addr with this address, one after the other; a few false ones do no harm. */
static bool find_by_bytes(struct cp_program *program, struct cp_units *units, uint64_t address, const char *name,
	Dwarf_Die *ret)
{
	const struct cp_section *section = cp_image_section(program->debug, ".debug_info");
	bool plain = section && !(section->flags & SHF_COMPRESSED);
	const uint8_t *bytes = plain ? cp_section_bytes(program->debug, section) : NULL;
	size_t width = program->debug->elf_class == ELFCLASS64 ? 8 : 4;
	uint8_t needle[9] = { DW_OP_addr };
	const uint8_t *at = bytes, *end;
	const struct cp_unit *last = NULL;

	if (!bytes)
		return false;
	for (size_t i = 0; i < width; i++)
		needle[1 + i] = (uint8_t)(address >> 8 * i);
	end = bytes + section->size;
	while ((at = memmem(at, (size_t)(end - at), needle, 1 + width))) {
		struct cp_unit *unit = cp_units_by_offset(units, (uint64_t)(at - bytes));

		at++;
		if (!unit || unit == last)
			continue;
		last = unit;
		if (find_variable(&unit->die, name, address, false, 0, ret) || find_variable(&unit->die, name, address, true, 0, ret))
			return true;
	}
	return false;
}

struct cp_error *cp_variable_details(struct cp_program *program, struct cp_records *records, struct cp_record *record)
{
	struct cp_units *units;
	struct cp_error *error = cp_program_units(program, &units);
	const struct cp_section *info;
	Dwarf_Attribute attr;
	Dwarf_Die die;
	bool found;

	if (error || !units)
		return error;
	found = find_by_bytes(program, units, record->address, record->name, &die);
	info = cp_image_section(program->debug, ".debug_info");
	if (!found && (!info || (info->flags & SHF_COMPRESSED) || cp_image_section(program->debug, ".debug_addr"))) {
		for (size_t i = 0; i < units->count && !found; i++)
			found = find_variable(&units->items[i].die, record->name, record->address, false, 0, &die);
	}
	if (!found)
		return NULL;
	record->file = cp_decl_file(&records->arena, &die, &record->line);
	if (dwarf_attr_integrate(&die, DW_AT_type, &attr)) {
		struct cp_details *details = cp_record_details(records, record);

		if (!details)
			return &cp_error_no_memory;
		details->type = cp_type_text(&records->arena, &die);
		if (!details->type)
			return &cp_error_no_memory;
		details->encoding = cp_type_encoding(&die);
	}
	return NULL;
}
