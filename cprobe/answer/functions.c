/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <stdlib.h>

#include "answer/args.h"
#include "answer/functions.h"
#include "answer/place.h"
#include "base/glob.h"
#include "base/record.h"
#include "base/work.h"
#include "dwarf/ranges.h"

/* Scopes nest; a hostile file could nest them without end. */
#define MAX_DEPTH 512

/* Units that are worth a second thread: reading one takes some 50 microseconds. */
#define WORTH_A_THREAD 16

/* Units that are worth a look at all strings, for what need not be asked of each name then. */
#define WORTH_A_LOOK 64

/* What is read of a function's or a copy's own attributes. */
struct parts {
	struct cp_dw_extent extent;
	struct cp_dw_attr entry, name, linkage, file, line, origin, call_file, call_line;
};

/* A function as its copies name it: read once, as many copies follow one another. */
struct origin {
	size_t unit;			/* its number, and the reference in it */
	bool is_known;
	uint64_t value;
	uint16_t form;
	const char *name, *file;
	const char *linkage;		/* what C++'s and Rust's symbols are called; NULL: as the function */
	uint32_t line;
	uint32_t cost;			/* of showing its name once more; 0 unless it is long */
	bool wanted;
};

#define MAX_ORIGINS 8	/* an instance of an instance of a declaration: three, and some more */
#define MAX_TWINS 64	/* symbols of one address that are looked at: no kernel has a dozen */
#define ORIGINS 1024	/* kept, by their offset's lowest bits */

/* One thread's walk over units. */
struct walk {
	const struct cp_program *program;
	const struct cp_symbols *symbols;
	size_t last_symbol;		/* that was looked for: functions of a unit are neighbours */
	const struct cp_where *where;
	enum cp_inlined inlined;
	bool by_variant;		/* a glob may match what the symbol table calls a function */
	const struct cp_long_texts *long_texts;	/* in sections of strings */
	struct cp_records records;	/* with its own arena */
	struct cp_paths paths;
	struct origin *origins;
	struct cp_dw_unit unit;		/* the one that is walked, borrowed */
	struct cp_dw_table scratch;
};

const char *cp_function_name(const struct cp_die *die)
{
	const char *name = cp_die_name(die);
	struct cp_dw_attr attr;

	if (!name && cp_die_attr_any(die, DW_AT_linkage_name, &attr))
		name = cp_attr_string(&attr);
	return name;
}

static bool is_wanted(const struct cp_globs *names, const char *name)
{
	return !names->count || cp_globs_name(names->items, names->count, name);
}

/* Read the attributes at the cursor, which moves behind them. */
static void read_parts(const struct cp_die *die, struct cp_cursor *c, struct parts *ret)
{
	/* Cleared one by one: half a kilobyte for each of 350,000 copies takes its time. */
	ret->extent.low.unit = ret->extent.high.unit = ret->extent.ranges.unit = NULL;
	ret->entry.unit = ret->name.unit = ret->linkage.unit = ret->file.unit = ret->line.unit = NULL;
	ret->origin.unit = ret->call_file.unit = ret->call_line.unit = NULL;
	for (size_t i = 0; i < die->abbrev->attr_count; i++) {
		struct cp_dw_attr attr;

		if (!cp_attr_read(die->unit, &die->abbrev->attrs[i], c, &attr))
			return;
		switch (attr.name) {
		case DW_AT_low_pc:
			ret->extent.low = attr;
			break;
		case DW_AT_high_pc:
			ret->extent.high = attr;
			break;
		case DW_AT_ranges:
			ret->extent.ranges = attr;
			break;
		case DW_AT_entry_pc:
			ret->entry = attr;
			break;
		case DW_AT_name:
			ret->name = attr;
			break;
		case DW_AT_linkage_name:
		case DW_AT_MIPS_linkage_name:
			ret->linkage = attr;
			break;
		case DW_AT_decl_file:
			ret->file = attr;
			break;
		case DW_AT_decl_line:
			ret->line = attr;
			break;
		case DW_AT_abstract_origin:
		case DW_AT_specification:
			ret->origin = attr;
			break;
		case DW_AT_call_file:
			ret->call_file = attr;
			break;
		case DW_AT_call_line:
			ret->call_line = attr;
			break;
		}
	}
}

/* Of showing a long name once more, in bytes of the budget; 0 of others. */
static uint32_t cost_of(const struct walk *w, const struct cp_dw_attr *attr, const char *name)
{
	size_t length;

	if (!name)
		return 0;
	length = attr->form == DW_FORM_string ? attr->value - 1 : cp_long_texts_length(w->long_texts, name, CP_LONG_TEXT);
	return length < CP_LONG_TEXT ? 0 : length > UINT32_MAX ? UINT32_MAX : (uint32_t)length;
}

/* What a function is called and where it is declared, by its own attributes or those of its origins. */
static struct cp_error *read_origin(struct walk *w, const struct parts *parts, struct origin *ret)
{
	struct cp_dw_attr file = parts->file, line = parts->line, name = parts->name, linkage = parts->linkage;
	struct cp_dw_attr origin = parts->origin;
	struct cp_die die;
	uint64_t number;

	for (int depth = 0; depth < MAX_ORIGINS && origin.unit && cp_attr_ref(&origin, &die); depth++) {
		struct cp_cursor c = cp_die_values(&die);
		struct parts next;

		read_parts(&die, &c, &next);
		origin = next.origin;
		if (!name.unit)
			name = next.name;
		if (!linkage.unit)
			linkage = next.linkage;
		if (!file.unit)
			file = next.file;
		if (!line.unit)
			line = next.line;
		if (name.unit && file.unit && line.unit)
			break;
	}
	ret->name = name.unit ? cp_attr_string(&name) : NULL;
	if (!ret->name && linkage.unit) {
		name = linkage;
		ret->name = cp_attr_string(&name);
	}
	ret->linkage = linkage.unit ? cp_attr_string(&linkage) : NULL;
	ret->cost = cost_of(w, &name, ret->name);
	ret->line = line.unit && cp_attr_number(&line, &number) ? (uint32_t)number : 0;
	ret->wanted = ret->name && is_wanted(&w->where->functions, ret->name);
	return cp_path_of_attr(&w->paths, &file, &ret->file);
}

/* Of what does not say its file, who asked decides later. */
static bool file_wanted(const struct walk *w, const char *file)
{
	const struct cp_globs *files = &w->where->files;

	return !files->count || !file || cp_globs_path(files->items, files->count, file);
}

/* What a compiler has put behind the name: ".cold", or nothing. NULL: it is another name. */
static const char *variant_end(const char *symbol, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(symbol, name, length) && (!symbol[length] || symbol[length] == '.') ? symbol + length : NULL;
}

/*
 * The name of the symbol that begins at the address, if it is the DWARF name or the compiler's variant of it. Of a variant
 * of C++ or Rust it is the DWARF name with the end of the symbol's.
 */
static struct cp_error *variant_name(struct walk *w, uint64_t address, const struct origin *function, const char **ret)
{
	const struct cp_symbols *symbols = w->symbols;
	const char *variant = NULL, *variants_end = NULL;

	*ret = function->name;
	w->last_symbol = cp_symbols_lower_near(symbols, address, w->last_symbol);
	for (size_t i = w->last_symbol, most = i + MAX_TWINS; i < symbols->count && i < most; i++) {
		const struct cp_symbol *s = symbols->by_address[i];
		const char *end;

		if (s->address != address)
			break;
		end = variant_end(s->name, function->name);
		if (end && *end && !variants_end)
			variant = s->name;
		else if (!end && function->linkage)
			end = variant_end(s->name, function->linkage);
		if (end && !*end)
			return NULL;
		if (end && !variants_end)
			variants_end = end;
	}
	if (variants_end && !variant) {
		if (!cp_dwarf_charge(w->unit.dwarf, strlen(function->name) + strlen(variants_end)))
			return cp_dwarf_overspent(w->unit.dwarf);
		variant = cp_arena_printf(&w->records.arena, "%s%s", function->name, variants_end);
		if (!variant)
			return &cp_error_no_memory;
	}
	if (variant)
		*ret = variant;
	return NULL;
}

/* gcc's clones lose and split parameters; so do clang's functions that nobody outside can call. */
static bool abi_holds(const struct cp_die *die, const char *name)
{
	const char *producer = die->unit->producer;
	struct cp_dw_attr attr;

	if (strstr(name, ".isra.") || strstr(name, ".constprop.") || strstr(name, ".part.") || strstr(name, ".cold"))
		return false;
	if (!producer || !strstr(producer, "clang") || (cp_die_attr_any(die, DW_AT_external, &attr) && cp_attr_flag(&attr)))
		return true;
	/* clang marks the functions it optimised by what they say about their calls. */
	return cp_die_attr_any(die, DW_AT_frame_base, &attr) && !cp_die_attr_any(die, DW_AT_call_all_calls, &attr) &&
		!cp_die_attr_any(die, DW_AT_GNU_all_call_sites, &attr);
}

static bool is_64bit(const struct walk *w)
{
	return w->program->image->machine == EM_X86_64;
}

static struct cp_error *add_concrete(struct walk *w, const struct cp_die *die, const struct parts *parts,
	const struct origin *function)
{
	struct cp_ranges ranges;
	uint64_t low, high, entry;
	bool first = true, has_args = false;

	if (!cp_ranges_begin(&parts->extent, &ranges))
		return NULL;
	if (!parts->entry.unit || !cp_attr_address(&parts->entry, &entry))
		entry = 0;
	for (; cp_ranges_next(&ranges, &low, &high); first = false) {
		struct cp_record *record;
		const char *own;
		struct cp_error *error = variant_name(w, low, function, &own);

		if (error)
			return error;
		if (!function->wanted && !is_wanted(&w->where->functions, own))
			continue;
		record = cp_records_add(&w->records, CP_KIND_FUNCTION, low);
		if (!record)
			return &cp_error_no_memory;
		if ((function->cost || !first) && !cp_dwarf_charge(die->unit->dwarf, function->cost + sizeof(*record)))
			return cp_dwarf_overspent(die->unit->dwarf);
		record->name = own;
		record->has_size = true;
		record->size = high - low;
		record->file = function->file;
		record->line = function->line;
		error = cp_place_section(w->program, &w->records, record);
		if (!error && w->records.amount == CP_FULL && (first || (low == entry && !has_args)) && !strstr(own, ".cold")) {
			has_args |= low == entry;
			error = cp_args_read(&w->records, die, is_64bit(w), abi_holds(die, own), record);
		}
		if (error)
			return error;
	}
	return NULL;
}

/* Where an inlined copy begins: its DW_AT_entry_pc if that is in it, else its lowest address. False: no code. */
static bool copy_range(const struct parts *parts, uint64_t *entry, uint64_t *size)
{
	uint64_t low, high, pc = 0, pc_end = 0, first = 0;
	bool found = false, has_pc = parts->entry.unit != NULL, is_offset;
	struct cp_ranges ranges;

	if (!cp_ranges_begin(&parts->extent, &ranges))
		return false;
	is_offset = has_pc && !cp_attr_address(&parts->entry, &pc);
	has_pc = has_pc && (!is_offset || cp_attr_number(&parts->entry, &pc));
	while (cp_ranges_next(&ranges, &low, &high)) {
		if (!found)
			first = low;	/* DWARF 5, 2.18: an entry may be told as an offset from the first range */
		if (has_pc && low <= (is_offset ? first + pc : pc) && (is_offset ? first + pc : pc) < high)
			pc_end = high;
		if (!found || low < *entry) {
			*entry = low;
			*size = high - low;
		}
		found = true;
	}
	if (pc_end) {
		*entry = is_offset ? first + pc : pc;
		*size = pc_end - *entry;
	}
	return found;
}

static struct cp_error *add_inlined(struct walk *w, const struct cp_die *die, const struct parts *parts,
	const struct origin *function, const char *outer)
{
	struct cp_record *record;
	uint64_t entry = 0, size = 0, number;
	struct cp_error *error;

	if (!copy_range(parts, &entry, &size))
		return NULL;	/* optimised away, call kept for the record */
	record = cp_records_add(&w->records, CP_KIND_INLINED, entry);
	if (!record)
		return &cp_error_no_memory;
	if (function->cost && !cp_dwarf_charge(die->unit->dwarf, function->cost))
		return cp_dwarf_overspent(die->unit->dwarf);
	record->name = function->name;
	record->outer = outer;
	record->has_size = true;
	record->size = size;
	record->file = function->file;
	record->line = function->line;
	error = cp_place_section(w->program, &w->records, record);
	if (error || w->records.amount != CP_FULL)
		return error;
	error = cp_path_of_attr(&w->paths, &parts->call_file, &record->details->call_file);
	if (parts->call_line.unit && cp_attr_number(&parts->call_line, &number))
		record->details->call_line = (unsigned int)number;
	return error ? error : cp_args_read(&w->records, die, is_64bit(w), false, record);
}

/* The function that a copy is one of. */
static struct cp_error *origin_of(struct walk *w, const struct parts *parts, const struct origin **ret)
{
	const struct cp_dw_attr *ref = &parts->origin;
	struct origin *known = &w->origins[(ref->value ^ ref->value >> 10) % ORIGINS];
	struct cp_error *error;

	if (known->is_known && ref->unit && known->unit == ref->unit->number && known->value == ref->value &&
		known->form == ref->form) {
		*ret = known;
		return NULL;
	}
	known->is_known = false;
	error = read_origin(w, parts, known);
	if (!error) {
		known->is_known = ref->unit != NULL;
		known->unit = ref->unit ? ref->unit->number : 0;
		known->value = ref->value;
		known->form = ref->form;
		*ret = known;
	}
	return error;
}

/* Is some of it in the file? Linkers leave the debug data of functions that they removed. */
static bool is_live(const struct cp_dw_extent *extent)
{
	struct cp_ranges ranges;
	uint64_t low, high;

	return (extent->low.unit || extent->ranges.unit) && cp_ranges_begin(extent, &ranges) &&
		cp_ranges_next(&ranges, &low, &high);
}

/*
 * A function: if it is a concrete one its records, and whether to look for copies and functions within. `c` is at its
 * attributes, and is left behind them when it is to be entered, else behind all of it.
 */
static struct cp_error *take_function(struct walk *w, const struct cp_die *die, struct cp_cursor *c, const char **outer,
	bool *enter)
{
	struct cp_cursor start = *c;
	struct parts parts;
	struct origin function = { .name = NULL };
	struct cp_error *error = NULL;

	read_parts(die, c, &parts);
	/* Local classes of C++ are described in functions that are only declared, too. */
	*enter = die->abbrev->children && !cp_unit_is_c(die->unit);
	*outer = NULL;
	if (is_live(&parts.extent))
		error = read_origin(w, &parts, &function);
	else
		*enter &= !parts.extent.low.unit && !parts.extent.ranges.unit;
	if (!error && function.name) {
		if (w->inlined != CP_INLINED_ONLY && (function.wanted || w->by_variant) && file_wanted(w, function.file))
			error = add_concrete(w, die, &parts, &function);
		*outer = function.name;
		*enter = die->abbrev->children;
	}
	if (!*enter && !c->failed) {
		*c = start;
		cp_die_skip(die, c);
	}
	return error;
}

static struct cp_error *take_copy(struct walk *w, const struct cp_die *die, struct cp_cursor *c, const char *outer)
{
	const struct origin *function = NULL;
	struct cp_error *error;
	struct parts parts;

	if (w->inlined == CP_INLINED_EXCLUDE) {
		cp_die_skip_attrs(die, c);
		return NULL;
	}
	read_parts(die, c, &parts);
	error = origin_of(w, &parts, &function);
	if (!error && function->wanted && outer && file_wanted(w, function->file))
		error = add_inlined(w, die, &parts, function, outer);
	return error;
}

/* A function that the walk is in. */
struct around {
	size_t depth;			/* of what is in it */
	const char *name;		/* NULL: it is no concrete one */
};

/* All DIEs of a unit that may be functions or hold some, in the order of the file. */
static struct cp_error *walk_unit(struct walk *w, struct cp_dw_unit *shared)
{
	struct around around[MAX_DEPTH];
	struct cp_error *error = cp_unit_borrow(shared, &w->scratch, &w->unit);
	struct cp_dw_unit *unit = &w->unit;
	unsigned int interest = CP_SCOPES | CP_CODE;
	size_t depth = 0, count = 0;
	struct cp_cursor c;
	struct cp_die die;

	if (error)
		return error;
	if (!cp_unit_is_c(unit))
		interest |= CP_DECLARED | CP_STRUCTS;
	c = cp_unit_cursor(unit, unit->first);
	while (cp_left(&c) && !error) {
		const char *outer;
		bool enter = true;

		while (count && around[count - 1].depth > depth)
			count--;
		outer = count ? around[count - 1].name : NULL;
		/* Not out of the function: what comes behind it is in another one. */
		cp_die_pass(unit, &c, interest, &depth, count ? around[count - 1].depth : 0);
		if (!cp_left(&c))
			break;
		if (!cp_die_read(unit, &c, &die)) {
			depth -= depth > 0;
			continue;
		}
		switch (cp_die_tag(&die)) {
		case DW_TAG_subprogram:
			error = take_function(w, &die, &c, &outer, &enter);
			break;
		case DW_TAG_inlined_subroutine:
			error = take_copy(w, &die, &c, outer);
			break;
		case DW_TAG_compile_unit:
		case DW_TAG_partial_unit:
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_lexical_block:
		case DW_TAG_try_block:
		case DW_TAG_catch_block:
			cp_die_skip_attrs(&die, &c);
			break;
		case DW_TAG_structure_type:
		case DW_TAG_class_type:
		case DW_TAG_union_type:
		case DW_TAG_enumeration_type:	/* Rust's have methods */
			enter = !cp_unit_is_c(unit);
			if (enter)
				cp_die_skip_attrs(&die, &c);
			else
				cp_die_skip(&die, &c);
			break;
		default:
			enter = false;
			cp_die_skip(&die, &c);
		}
		if (!enter || !die.abbrev->children)
			continue;
		if (++depth >= MAX_DEPTH)
			return cp_unit_corrupt(unit, "its scopes are nested more than %d deep at 0x%llx", MAX_DEPTH,
				(unsigned long long)die.offset);
		if (cp_die_tag(&die) == DW_TAG_subprogram)
			around[count++] = (struct around){ depth, outer };
	}
	if (!error && c.failed)
		error = cp_unit_corrupt(unit, "its DIEs are malformed or cut off after the one at 0x%llx",
			(unsigned long long)die.offset);
	return error;
}

struct job {
	struct cp_dw_unit *const *units;
	struct walk *walks;	/* by worker */
};

static struct cp_error *one_unit(void *context, size_t worker, size_t item)
{
	struct job *job = context;

	return walk_unit(&job->walks[worker], job->units[item]);
}

/* May one of the globs match "foo.cold" and not "foo"? */
static bool may_match_variants(const struct cp_globs *names)
{
	bool ret = false;

	for (size_t i = 0; i < names->count; i++)
		ret |= !cp_glob_is_literal(names->items[i]) || strchr(names->items[i], '.');
	return ret;
}

struct cp_error *cp_functions_of_units(struct cp_program *program, struct cp_dw_unit *const *units, size_t count,
	const struct cp_symbols *symbols, const struct cp_where *where, enum cp_inlined inlined, struct cp_records *records)
{
	size_t workers = cp_workers(count, WORTH_A_THREAD);
	struct walk *walks = calloc(workers, sizeof(*walks));
	struct job job = { units, walks };
	struct cp_long_texts long_texts = { .are_more = true };
	struct cp_error *error = walks ? NULL : &cp_error_no_memory;

	if (count >= WORTH_A_LOOK)
		cp_dwarf_long_texts(program->dwarf, &long_texts);
	for (size_t i = 0; walks && i < workers; i++) {
		struct walk *w = &walks[i];

		*w = (struct walk){ .program = program, .symbols = symbols, .where = where, .inlined = inlined,
			.by_variant = may_match_variants(&where->functions), .long_texts = &long_texts };
		cp_records_init(&w->records, records->amount);
		cp_paths_init(&w->paths, &w->records.arena);
		w->origins = calloc(ORIGINS, sizeof(*w->origins));
		if (!w->origins)
			error = &cp_error_no_memory;
	}
	if (!error)
		error = cp_work(count, workers, one_unit, &job);
	for (size_t i = 0; walks && i < workers; i++) {
		if (!error)
			error = cp_records_take(records, &walks[i].records);
		cp_paths_deinit(&walks[i].paths);
		cp_records_deinit(&walks[i].records);
		cp_abbrevs_deinit(&walks[i].scratch.abbrevs);
		free(walks[i].origins);
	}
	free(walks);
	return error;
}

struct cp_error *cp_function_details(struct cp_program *program, struct cp_records *records, struct cp_record *record)
{
	struct cp_error *error = cp_program_need_dwarf(program);
	struct cp_ranges ranges;
	uint64_t low, high;
	struct cp_die die;
	bool found = false;

	if (error || !program->dwarf)
		return error;
	error = cp_function_at(&program->addresses, record->address, &die, &found);
	if (!error && found)
		error = cp_path_of_decl(&program->paths, &die, &record->file, &record->line);
	if (error || !found || !record->name || records->amount != CP_FULL)
		return error;
	if (!cp_ranges_of(&die, &ranges) || !cp_ranges_next(&ranges, &low, &high) || low != record->address)
		return NULL;
	return cp_args_read(records, &die, program->image->machine == EM_X86_64, abi_holds(&die, record->name), record);
}
