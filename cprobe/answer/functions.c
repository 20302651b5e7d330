/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "answer/args.h"
#include "answer/place.h"
#include "base/record.h"
#include "dwarf/dwtype.h"
#include "answer/functions.h"
#include "base/glob.h"

/* Scopes nest; a hostile file could nest them without end. */
#define MAX_DEPTH 256

struct walk {
	struct cp_program *program;
	struct cp_unit *unit;
	const struct cp_function_filter *filter;
	struct cp_records *records;
	const char *last_raw, *last_normal;	/* file paths repeat: the last one, before and after normalising */
};

/* The name of the symbol that begins at the address, if it is the DWARF name or the compiler's variant of it. */
static const char *variant_name(struct cp_program *program, uint64_t address, const char *name)
{
	const struct cp_symbols *symbols = &program->symbols;
	size_t length = strlen(name);
	const char *variant = NULL;

	for (size_t i = cp_symbols_lower(symbols, address); i < symbols->count; i++) {
		const struct cp_symbol *s = symbols->by_address[i];

		if (s->address != address)
			break;
		if (!strcmp(s->name, name))
			return name;
		if (!variant && !strncmp(s->name, name, length) && s->name[length] == '.')
			variant = s->name;
	}
	return variant ? variant : name;
}

static const char *function_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_diename(die);

	if (!name && dwarf_attr_integrate(die, DW_AT_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name;
}

static bool file_wanted(const struct walk *w, Dwarf_Die *die)
{
	const char *path;

	if (!w->filter->where.files.count)
		return true;
	path = cp_decl_file_raw(die);
	return path && cp_globs_path(w->filter->where.files.items, w->filter->where.files.count, path);
}

/* gcc's clones lose and split parameters; so do clang's functions that nobody outside can call. */
static bool abi_holds(Dwarf_Die *unit, Dwarf_Die *die, const char *name, bool external)
{
	Dwarf_Attribute attr;
	const char *producer;

	if (strstr(name, ".isra.") || strstr(name, ".constprop.") || strstr(name, ".part.") || strstr(name, ".cold"))
		return false;
	producer = dwarf_attr(unit, DW_AT_producer, &attr) ? dwarf_formstring(&attr) : NULL;
	if (external || !producer || !strstr(producer, "clang"))
		return true;
	/* clang marks the functions it optimised by what they say about their calls. */
	return dwarf_attr_integrate(die, DW_AT_frame_base, &attr) &&
		!dwarf_hasattr_integrate(die, DW_AT_call_all_calls) && !dwarf_hasattr_integrate(die, DW_AT_GNU_all_call_sites);
}

static bool is_external(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	bool external = false;

	return dwarf_attr_integrate(die, DW_AT_external, &attr) && !dwarf_formflag(&attr, &external) && external;
}

static struct cp_error *decl_place(struct walk *w, Dwarf_Die *die, struct cp_record *record)
{
	const char *raw = cp_decl_file_raw(die);
	int line = 0;

	if (!raw)
		return NULL;
	if (raw != w->last_raw) {
		unsigned int unused;
		const char *file = cp_decl_file(&w->records->arena, die, &unused);

		if (!file)
			return &cp_error_no_memory;
		w->last_raw = raw;
		w->last_normal = file;
	}
	record->file = w->last_normal;
	if (!dwarf_decl_line(die, &line) && line > 0)
		record->line = (unsigned int)line;
	return NULL;
}

static struct cp_error *add_concrete(struct walk *w, Dwarf_Die *die, const char *name)
{
	bool is_64bit = w->program->image->machine == EM_X86_64, first = true;
	Dwarf_Addr base, low, high, entry;
	ptrdiff_t at = 0;

	if (dwarf_entrypc(die, &entry))
		entry = 0;
	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		const char *own = variant_name(w->program, low, name);
		struct cp_record *record;
		struct cp_error *error;

		if (low >= high || (!low && w->program->image->type != ET_REL))
			continue;	/* removed by the linker */
		if (!cp_globs_name(w->filter->where.functions.items, w->filter->where.functions.count, own) &&
			!cp_globs_name(w->filter->where.functions.items, w->filter->where.functions.count, name))
			continue;
		record = cp_records_add(w->records, CP_KIND_FUNCTION, low);
		if (!record)
			return &cp_error_no_memory;
		record->name = own;
		record->has_size = true;
		record->size = high - low;
		error = decl_place(w, die, record);
		if (!error)
			error = cp_place_section(w->program, w->records, record);
		if (!error && w->records->amount == CP_FULL && (first || low == entry) && !strstr(own, ".cold"))
			error = cp_args_read(w->records, die, is_64bit, abi_holds(&w->unit->die, die, own, is_external(die)), record);
		if (error)
			return error;
		first = false;
	}
	return NULL;
}

/* Where an inlined copy begins: DW_AT_entry_pc, DW_AT_low_pc, else its lowest range. */
static bool copy_range(Dwarf_Die *die, uint64_t *entry, uint64_t *size)
{
	Dwarf_Addr base, low, high, pc;
	ptrdiff_t at = 0;
	bool found = false;

	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
		if (low >= high)
			continue;
		if (!found || low < *entry) {
			*entry = low;
			*size = high - low;
		}
		found = true;
	}
	if (!found)
		return false;
	if (!dwarf_entrypc(die, &pc) && pc) {
		at = 0;
		while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
			if (pc >= low && pc < high) {
				*entry = pc;
				*size = high - pc;
				break;
			}
		}
	}
	return true;
}

static struct cp_error *add_inlined(struct walk *w, Dwarf_Die *die, const char *name, const char *outer)
{
	struct cp_record *record;
	Dwarf_Attribute attr;
	Dwarf_Word number;
	uint64_t entry = 0, size = 0;
	struct cp_error *error;

	if (!copy_range(die, &entry, &size))
		return NULL;	/* optimised away, call kept for the record */
	record = cp_records_add(w->records, CP_KIND_INLINED, entry);
	if (!record)
		return &cp_error_no_memory;
	record->name = name;
	record->outer = outer;
	record->has_size = true;
	record->size = size;
	error = decl_place(w, die, record);
	if (!error)
		error = cp_place_section(w->program, w->records, record);
	if (error || w->records->amount != CP_FULL)
		return error;
	if (dwarf_attr(die, DW_AT_call_file, &attr) && !dwarf_formudata(&attr, &number))
		record->details->call_file = cp_unit_file(&w->records->arena, &w->unit->die, number);
	if (dwarf_attr(die, DW_AT_call_line, &attr) && !dwarf_formudata(&attr, &number))
		record->details->call_line = (unsigned int)number;
	return cp_args_read(w->records, die, w->program->image->machine == EM_X86_64, false, record);
}

static struct cp_error *walk_children(struct walk *w, Dwarf_Die *parent, const char *outer, int depth)
{
	Dwarf_Die die;
	int result;

	if (depth >= MAX_DEPTH)
		return NULL;
	for (result = dwarf_child(parent, &die); result == 0; result = dwarf_siblingof(&die, &die)) {
		struct cp_error *error = NULL;
		const char *inner = outer, *name;

		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			if (!dwarf_hasattr(&die, DW_AT_low_pc) && !dwarf_hasattr(&die, DW_AT_ranges))
				continue;
			name = function_name(&die);
			if (!name)
				continue;
			inner = name;
			if (w->filter->inlined != CP_INLINED_ONLY && file_wanted(w, &die))
				error = add_concrete(w, &die, name);
			break;
		case DW_TAG_inlined_subroutine:
			name = function_name(&die);
			if (name && outer && cp_globs_name(w->filter->where.functions.items, w->filter->where.functions.count, name) && file_wanted(w, &die))
				error = add_inlined(w, &die, name, outer);
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_namespace:
		case DW_TAG_try_block:
		case DW_TAG_catch_block:
			break;
		default:
			continue;
		}
		if (!error && (w->filter->inlined != CP_INLINED_EXCLUDE || dwarf_tag(&die) == DW_TAG_namespace))
			error = walk_children(w, &die, inner, depth + 1);
		if (error)
			return error;
	}
	return NULL;
}

struct cp_error *cp_functions_of_unit(struct cp_program *program, struct cp_unit *unit,
	const struct cp_function_filter *filter, struct cp_records *records)
{
	struct walk w = { .program = program, .unit = unit, .filter = filter, .records = records };

	return walk_children(&w, &unit->die, NULL, 0);
}

struct cp_error *cp_function_details(struct cp_program *program, struct cp_records *records, struct cp_record *record)
{
	struct cp_units *units;
	struct cp_unit *unit = NULL;
	struct cp_error *error = cp_program_units(program, &units);
	Dwarf_Addr base, low, high;
	Dwarf_Die die;
	bool found = false;

	if (error || !units)
		return error;
	error = cp_units_at(units, record->address, &unit);
	if (error || !unit)
		return error;
	error = cp_unit_function_at(unit, record->address, &die, &found);
	if (error || !found)
		return error;
	record->file = cp_decl_file(&records->arena, &die, &record->line);
	if (dwarf_ranges(&die, 0, &base, &low, &high) <= 0 || low != record->address || !record->name)
		return NULL;
	return cp_args_read(records, &die, program->image->machine == EM_X86_64,
		abi_holds(&unit->die, &die, record->name, is_external(&die)), record);
}

struct cp_error *cp_inline_chain(struct cp_program *program, uint64_t address, char *const *globs,
	size_t glob_count, const char **innermost, const char **outer, bool *matched)
{
	struct cp_units *units;
	struct cp_unit *unit = NULL;
	struct cp_error *error = cp_program_units(program, &units);
	Dwarf_Die die, child;
	bool found = false;

	*innermost = *outer = NULL;
	if (error || !units)
		return error;
	error = cp_units_at(units, address, &unit);
	if (!error && unit)
		error = cp_unit_function_at(unit, address, &die, &found);
	if (error || !found)
		return error;
	*outer = function_name(&die);
	if (matched && globs && *outer)
		*matched |= cp_globs_name(globs, glob_count, *outer);
	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		int result = dwarf_child(&die, &child);

		found = false;
		for (; result == 0; result = dwarf_siblingof(&child, &child)) {
			int tag = dwarf_tag(&child);

			if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) && dwarf_haspc(&child, address) == 1) {
				found = true;
				break;
			}
		}
		if (!found)
			break;
		if (dwarf_tag(&child) == DW_TAG_inlined_subroutine && function_name(&child)) {
			*innermost = function_name(&child);
			if (matched && globs)
				*matched |= cp_globs_name(globs, glob_count, *innermost);
		}
		die = child;
	}
	return NULL;
}
