/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>

#include "answer/variables.h"
#include "base/record.h"
#include "base/work.h"
#include "dwarf/location.h"
#include "dwarf/types.h"

static bool at_address(const struct cp_die *die, uint64_t address)
{
	struct cp_dw_attr attr;
	uint64_t own;

	return cp_die_attr(die, DW_AT_location, &attr) && cp_location_fixed(&attr, &own) && own == address;
}

/* Calls `take` for the variables of a unit, those of functions too, until it is false. The unit is prepared. */
static void each_variable(struct cp_dw_unit *unit, bool (*take)(void *context, const struct cp_die *die), void *context)
{
	struct cp_cursor c = cp_unit_cursor(unit, unit->first);
	struct cp_die die;

	while (cp_left(&c)) {
		if (!cp_die_read(unit, &c, &die))
			continue;
		switch (cp_die_tag(&die)) {
		case DW_TAG_variable:
			if (!take(context, &die))
				return;
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
}

/*
 * The variable at an address: of that name, or, when none is, another one, such as a function's static one that the
 * symbol table calls name.1234.
 */
struct wanted {
	uint64_t address;
	const char *name;
	struct cp_die die;
	bool found;
};

/* False: it is the one, there is no better one. */
static bool prefer(struct wanted *w, const struct cp_die *die)
{
	const char *own = cp_die_name(die);
	bool same = own && !strcmp(own, w->name);

	if (!w->found || same)
		w->die = *die;
	w->found = true;
	return !same;
}

static bool take_if_there(void *context, const struct cp_die *die)
{
	struct wanted *w = context;

	return !at_address(die, w->address) || prefer(w, die);
}

/* Units whose bytes hold DW_OP_addr with this address, one after the other; a few false ones do no harm. */
static struct cp_error *find_by_bytes(struct cp_dwarf *dwarf, struct wanted *w)
{
	const struct cp_dw_bytes *info = &dwarf->sections[CP_DW_INFO];
	size_t width = dwarf->image->elf_class == ELFCLASS64 ? 8 : 4;
	const uint8_t *at = info->bytes, *end = at ? at + info->size : NULL;
	const struct cp_dw_unit *last = NULL;
	uint8_t needle[9] = { DW_OP_addr };

	for (size_t i = 0; i < width; i++)
		needle[1 + i] = (uint8_t)(w->address >> 8 * i);
	while (at && !w->found && (at = memmem(at, (size_t)(end - at), needle, 1 + width))) {
		struct cp_dw_unit *unit = cp_dwarf_unit_at(dwarf, (uint64_t)(at - info->bytes));
		struct cp_error *error;

		at++;
		if (!unit || unit == last)
			continue;
		last = unit;
		error = cp_unit_prepare(unit);
		if (error)
			return error;
		each_variable(unit, take_if_there, w);
	}
	return NULL;
}

/* -- All of them, for who asks about many -- */

struct cp_variable {
	struct cp_dw_unit *unit;
	uint64_t offset;	/* of the DIE */
};

struct list {
	struct cp_keyed *keys;		/* address, and number of the item */
	struct cp_variable *items;
	size_t count;
	bool lacked_memory;
};

struct reading {
	struct cp_dwarf *dwarf;
	struct list lists[CP_MAX_WORKERS];
};

static bool add_to_list(void *context, const struct cp_die *die)
{
	struct list *list = context;
	struct cp_variable *items;
	struct cp_keyed *keys;
	struct cp_dw_attr attr;
	uint64_t address;

	if (!cp_die_attr(die, DW_AT_location, &attr) || !cp_location_fixed(&attr, &address))
		return true;
	items = cp_grow(list->items, list->count, sizeof(*items));
	list->items = items ? items : list->items;
	keys = items ? cp_grow(list->keys, list->count, sizeof(*keys)) : NULL;
	list->lacked_memory = !keys;
	if (!keys)
		return false;
	list->keys = keys;
	items[list->count] = (struct cp_variable){ die->unit, die->offset };
	keys[list->count] = (struct cp_keyed){ address, list->count };
	list->count++;
	return true;
}

static struct cp_error *read_unit(void *context, size_t worker, size_t item)
{
	struct reading *reading = context;
	struct cp_dw_unit *unit = &reading->dwarf->units[item];
	struct cp_error *error = cp_unit_prepare(unit);

	if (error)
		return error;
	each_variable(unit, add_to_list, &reading->lists[worker]);
	return reading->lists[worker].lacked_memory ? &cp_error_no_memory : NULL;
}

static void free_lists(struct reading *reading)
{
	for (size_t w = 0; w < CP_MAX_WORKERS; w++) {
		free(reading->lists[w].items);
		free(reading->lists[w].keys);
	}
	free(reading);
}

#define WORTH_A_THREAD 64	/* units */

static struct cp_error *read_all(struct cp_dwarf *dwarf, struct cp_variables *ret)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	struct cp_variables all = { .is_read = true };
	struct cp_error *error;

	if (!reading)
		return &cp_error_no_memory;
	reading->dwarf = dwarf;
	error = cp_work(dwarf->info_count, cp_workers(dwarf->info_count, WORTH_A_THREAD), read_unit, reading);
	for (size_t w = 0; w < CP_MAX_WORKERS; w++)
		all.count += reading->lists[w].count;
	all.items = malloc((all.count + 1) * sizeof(*all.items));
	all.by_address = malloc((all.count + 1) * sizeof(*all.by_address));
	if (!error && (!all.items || !all.by_address))
		error = &cp_error_no_memory;
	all.count = 0;
	for (size_t w = 0; w < CP_MAX_WORKERS && !error; w++) {
		for (size_t i = 0; i < reading->lists[w].count; i++) {
			all.by_address[all.count] = (struct cp_keyed){ reading->lists[w].keys[i].key, all.count };
			all.items[all.count++] = reading->lists[w].items[i];
		}
	}
	if (!error && !cp_radix_sort(all.by_address, all.count))
		error = &cp_error_no_memory;
	free_lists(reading);
	if (error) {
		free(all.items);
		free(all.by_address);
		return error;
	}
	all.looks = ret->looks;
	*ret = all;
	return NULL;
}

/* Those at the address in the order of the file, whatever worker read them. */
static void find_in_list(const struct cp_variables *all, struct wanted *w)
{
	const struct cp_variable *best = NULL;
	bool best_same = false;

	for (size_t i = cp_keyed_lower(all->by_address, all->count, w->address);
		i < all->count && all->by_address[i].key == w->address; i++) {
		const struct cp_variable *item = &all->items[all->by_address[i].index];
		const char *own;
		struct cp_die die;
		bool same;

		if (!cp_dwarf_charge(item->unit->dwarf, sizeof(*item)) || !cp_die_at(item->unit, item->offset, &die))
			continue;
		own = cp_die_name(&die);
		same = own && !strcmp(own, w->name);
		if (!best || same > best_same || (same == best_same && (item->unit < best->unit ||
			(item->unit == best->unit && item->offset < best->offset)))) {
			best = item;
			best_same = same;
			w->die = die;
			w->found = true;
		}
	}
}

/* So many addresses are looked for one by one. Numbers in .debug_addr are in no unit's bytes. */
#define FEW 16

static struct cp_error *find(struct cp_program *program, struct wanted *w)
{
	struct cp_variables *all = &program->variables;
	struct cp_error *error = NULL;

	if (!all->is_read && all->looks++ < FEW && !program->dwarf->sections[CP_DW_ADDR].size)
		return find_by_bytes(program->dwarf, w);
	if (!all->is_read)
		error = read_all(program->dwarf, all);
	if (!error)
		find_in_list(all, w);
	return error;
}

void cp_variables_deinit(struct cp_variables *variables)
{
	free(variables->items);
	free(variables->by_address);
	*variables = (struct cp_variables){ .items = NULL };
}

struct cp_error *cp_variable_details(struct cp_program *program, struct cp_records *records, struct cp_record *record)
{
	struct cp_details *details = cp_record_details(records, record);
	struct cp_error *error = cp_program_need_dwarf(program);
	struct wanted w = { .address = record->address, .name = record->name };
	struct cp_dw_attr attr;

	if (!details)
		return error ? error : &cp_error_no_memory;
	if (!error && program->dwarf)
		error = find(program, &w);
	if (error || !w.found)
		return error;
	error = cp_path_of_decl(&program->paths, &w.die, &record->file, &record->line);
	if (error || !cp_die_attr_any(&w.die, DW_AT_type, &attr))
		return error;
	details->type = cp_type_text(&records->arena, &w.die);
	if (!details->type)
		return &cp_error_no_memory;
	details->encoding = cp_type_encoding(&w.die);
	return NULL;
}
