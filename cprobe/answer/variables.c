/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>

#include "answer/variables.h"
#include "base/record.h"
#include "dwarf/location.h"
#include "dwarf/types.h"

static bool at_address(const struct cp_die *die, uint64_t address)
{
	struct cp_dw_attr attr;
	uint64_t own;

	return cp_die_attr(die, DW_AT_location, &attr) && cp_location_fixed(&attr, &own) && own == address;
}

/*
 * The variable of a unit at the address: of that name, or, when none is, another one, such as a function's static one
 * that the symbol table calls name.1234. The unit is prepared.
 */
static bool find_in_unit(struct cp_dw_unit *unit, const char *name, uint64_t address, struct cp_die *ret)
{
	struct cp_cursor c = cp_unit_cursor(unit, unit->first);
	bool found = false;
	struct cp_die die;

	while (cp_left(&c)) {
		const char *own;

		if (!cp_die_read(unit, &c, &die))
			continue;
		switch (cp_die_tag(&die)) {
		case DW_TAG_variable:
			if (at_address(&die, address)) {
				own = cp_die_name(&die);
				if (!found)
					*ret = die;
				found = true;
				if (own && !strcmp(own, name)) {
					*ret = die;
					return true;
				}
			}
			cp_die_skip(&die, &c);
			break;
		case DW_TAG_compile_unit:
		case DW_TAG_partial_unit:
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_subprogram:
		case DW_TAG_lexical_block:
			cp_die_skip_attrs(&die, &c);
			break;
		default:
			cp_die_skip(&die, &c);
		}
	}
	return found;
}

/* Units whose bytes hold DW_OP_addr with this address, one after the other; a few false ones do no harm. */
static struct cp_error *find_by_bytes(struct cp_dwarf *dwarf, uint64_t address, const char *name, struct cp_die *ret,
	bool *found)
{
	const struct cp_dw_bytes *info = &dwarf->sections[CP_DW_INFO];
	size_t width = dwarf->image->elf_class == ELFCLASS64 ? 8 : 4;
	const uint8_t *at = info->bytes, *end = at ? at + info->size : NULL;
	const struct cp_dw_unit *last = NULL;
	uint8_t needle[9] = { DW_OP_addr };

	for (size_t i = 0; i < width; i++)
		needle[1 + i] = (uint8_t)(address >> 8 * i);
	while (at && !*found && (at = memmem(at, (size_t)(end - at), needle, 1 + width))) {
		struct cp_dw_unit *unit = cp_dwarf_unit_at(dwarf, (uint64_t)(at - info->bytes));
		struct cp_error *error;

		at++;
		if (!unit || unit == last)
			continue;
		last = unit;
		error = cp_unit_prepare(unit);
		if (error)
			return error;
		*found = find_in_unit(unit, name, address, ret);
	}
	return NULL;
}

static struct cp_error *find(struct cp_dwarf *dwarf, uint64_t address, const char *name, struct cp_die *ret, bool *found)
{
	struct cp_error *error;

	*found = false;
	error = find_by_bytes(dwarf, address, name, ret, found);
	/* Addresses that are given by their number in .debug_addr are in no unit's bytes. */
	for (size_t i = 0; i < dwarf->info_count && !error && !*found && dwarf->sections[CP_DW_ADDR].size; i++) {
		error = cp_unit_prepare(&dwarf->units[i]);
		*found = !error && find_in_unit(&dwarf->units[i], name, address, ret);
	}
	return error;
}

struct cp_error *cp_variable_details(struct cp_program *program, struct cp_records *records, struct cp_record *record)
{
	struct cp_details *details = cp_record_details(records, record);
	struct cp_error *error = cp_program_need_dwarf(program);
	struct cp_dw_attr attr;
	bool found = false;
	struct cp_die die;

	if (!details)
		return error ? error : &cp_error_no_memory;
	if (!error && program->dwarf)
		error = find(program->dwarf, record->address, record->name, &die, &found);
	if (error || !found)
		return error;
	error = cp_path_of_decl(&program->paths, &die, &record->file, &record->line);
	if (error || !cp_die_attr_any(&die, DW_AT_type, &attr))
		return error;
	details->type = cp_type_text(&records->arena, &die);
	if (!details->type)
		return &cp_error_no_memory;
	details->encoding = cp_type_encoding(&die);
	return NULL;
}
