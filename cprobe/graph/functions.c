/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "graph/functions.h"

/* Code that lies no farther apart is in one window: one bit for each byte between, too. */
#define NEAR ((uint64_t)64 << 20)

static bool in_code(const struct cp_code *code, uint64_t address)
{
	uint64_t unused;

	for (size_t p = 0; p < code->part_count; p++) {
		if (cp_part_bytes(&code->parts[p], address, &unused))
			return true;
	}
	return false;
}

/*
 * Functions, and what assembly calls: labels with a size, and those that other files may call. Where no symbol has a type
 * (NASM), every label is one.
 */
static bool is_entry(const struct cp_symbols *symbols, const struct cp_symbol *symbol)
{
	if (cp_symbol_is_overlong(symbols, symbol) || !symbol->name[0])
		return false;
	if (symbol->type == STT_FUNC || symbol->type == STT_GNU_IFUNC)
		return true;
	return cp_symbol_is_code(symbols, symbol) && (symbol->size || symbol->bind != STB_LOCAL || !symbols->functions);
}

static struct cp_error *add(struct cp_functions_by_entry *f, uint64_t start, uint64_t size, const char *name)
{
	struct cp_function *items = cp_grow(f->items, f->count, sizeof(*items));

	if (!items)
		return &cp_error_no_memory;
	f->items = items;
	items[f->count] = (struct cp_function){ start, size > UINT64_MAX - start ? start : start + size, name, CP_NO_FUNCTION };
	f->count++;
	return NULL;
}

static struct cp_error *add_symbols(struct cp_functions_by_entry *f, const struct cp_code *code)
{
	const struct cp_symbols *symbols = &f->program->symbols;
	struct cp_error *error = NULL;

	for (size_t i = 0; i < symbols->count && !error; i++) {
		const struct cp_symbol *symbol = symbols->by_address[i];

		if (!is_entry(symbols, symbol) || !in_code(code, symbol->address))
			continue;
		if (f->count && f->items[f->count - 1].start == symbol->address) {	/* an alias: the better name came first */
			struct cp_function *last = &f->items[f->count - 1];

			if (last->end == last->start && symbol->size <= UINT64_MAX - symbol->address)
				last->end = symbol->address + symbol->size;
			continue;
		}
		error = add(f, symbol->address, symbol->size, symbol->name);
	}
	return error;
}

static int compare(const void *left, const void *right)
{
	const struct cp_function *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end > b->end ? -1 : a->end < b->end;
}

/* Local functions of a file whose symbol table is .dynsym or none. */
static struct cp_error *add_dwarf(struct cp_functions_by_entry *f, const struct cp_code *code)
{
	struct cp_where everywhere = { .files = { NULL, 0 } };
	struct cp_error *error;
	uint32_t kept = 0;

	/* With copies, since DWARF is not asked without them where there are symbols. */
	error = cp_list(f->program, &everywhere, CP_INLINED_INCLUDE, &f->listed);
	for (size_t i = 0; i < f->listed.count && !error; i++) {
		const struct cp_record *record = &f->listed.items[i];

		if (record->kind == CP_KIND_FUNCTION && record->name && in_code(code, record->address))
			error = add(f, record->address, record->has_size ? record->size : 0, record->name);
	}
	if (error || !f->count)
		return error;
	qsort(f->items, f->count, sizeof(*f->items), compare);
	for (uint32_t i = 0; i < f->count; i++) {
		if (!kept || f->items[kept - 1].start != f->items[i].start)
			f->items[kept++] = f->items[i];
	}
	f->count = kept;
	return NULL;
}

/* Windows around the parts, of which some may be far from others. */
static struct cp_error *make_windows(struct cp_functions_by_entry *f, const struct cp_code *code)
{
	uint32_t next = 0;

	for (size_t p = 0; p < code->part_count; p++) {
		const struct cp_code_part *part = &code->parts[p];
		struct cp_function_window *last = f->window_count ? &f->windows[f->window_count - 1] : NULL;

		if (last && part->address - last->low < last->size + NEAR) {
			if (part->address + part->size - last->low > last->size)
				last->size = part->address + part->size - last->low;
		} else if (f->window_count == CP_MAX_WINDOWS) {
			cp_program_note(f->program, "%s: code in more than %d places that are far apart: some of it is passed over",
				f->program->image->path, CP_MAX_WINDOWS);
			break;
		} else {
			f->windows[f->window_count++] = (struct cp_function_window){ .low = part->address, .size = part->size };
		}
	}
	for (size_t w = 0; w < f->window_count; w++) {
		struct cp_function_window *window = &f->windows[w];
		size_t words = window->size / 64 + 1;

		window->bits = calloc(words, sizeof(*window->bits));
		window->ranks = calloc(words, sizeof(*window->ranks));
		if (!window->bits || !window->ranks)
			return &cp_error_no_memory;
		while (next < f->count && f->items[next].start < window->low)
			next++;
		for (size_t word = 0; word < words; word++) {
			window->ranks[word] = next;
			for (; next < f->count && (f->items[next].start - window->low) / 64 == word; next++)
				window->bits[word] |= UINT64_C(1) << (f->items[next].start - window->low) % 64;
		}
	}
	return NULL;
}

struct cp_error *cp_functions_by_entry_init(struct cp_program *program, const struct cp_code *code,
	struct cp_functions_by_entry *ret)
{
	const struct cp_symbols *symbols = &program->symbols;
	struct cp_error *error;

	memset(ret, 0, sizeof(*ret));
	ret->program = program;
	cp_records_init(&ret->listed, CP_BRIEF);
	error = add_symbols(ret, code);
	if (!error && program->dwarf && (!symbols->count || symbols->is_dynsym || !symbols->local_functions))
		error = add_dwarf(ret, code);
	for (uint32_t i = 0; i < ret->count; i++) {
		struct cp_function *function = &ret->items[i];

		if (function->end == function->start)
			function->end = i + 1 < ret->count ? ret->items[i + 1].start : UINT64_MAX;
	}
	return error ? error : make_windows(ret, code);
}

void cp_functions_by_entry_deinit(struct cp_functions_by_entry *functions)
{
	for (size_t w = 0; w < functions->window_count; w++) {
		free(functions->windows[w].bits);
		free(functions->windows[w].ranks);
	}
	free(functions->items);
	cp_records_deinit(&functions->listed);
	memset(functions, 0, sizeof(*functions));
}

/* A label inside of a larger function hides what is behind the label: so many are passed over. */
#define MAX_NESTED 16

uint32_t cp_function_around(const struct cp_functions_by_entry *functions, uint64_t address)
{
	uint32_t low = 0, high = functions->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (functions->items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (uint32_t steps = 0; low > 0 && steps < MAX_NESTED; steps++, low--) {
		if (address < functions->items[low - 1].end)
			return low - 1;
	}
	return CP_NO_FUNCTION;
}

bool cp_function_is_piece(const struct cp_function *function)
{
	const char *cold = strstr(function->name, ".cold");

	return cold && cold != function->name;
}

/* By DWARF, which has both as ranges of one function; else by the name. */
struct cp_error *cp_function_owner(struct cp_functions_by_entry *functions, uint32_t function, uint32_t *ret)
{
	struct cp_function *f = &functions->items[function];
	struct cp_program *program = functions->program;
	const struct cp_symbol **named;
	char name[CP_LONGEST_NAME];
	struct cp_error *error = NULL;
	size_t count, length;
	struct cp_die die;
	bool found = false;

	*ret = f->owner != CP_NO_FUNCTION ? f->owner : function;
	if (f->owner != CP_NO_FUNCTION || !cp_function_is_piece(f))
		return NULL;
	length = (size_t)(strstr(f->name, ".cold") - f->name);
	if (length >= sizeof(name))
		return NULL;
	memcpy(name, f->name, length);
	name[length] = 0;
	error = cp_symbols_by_name(&program->symbols, name, true, &named, &count);
	if (!error && count == 1)
		*ret = cp_function_entered(functions, named[0]->address);
	else if (!error && program->dwarf)
		error = cp_function_at(&program->addresses, f->start, &die, &found);
	for (size_t i = 0; i < count && !error && found && count > 1; i++) {
		struct cp_die own;
		bool same = false;

		error = cp_function_at(&program->addresses, named[i]->address, &own, &same);
		if (!error && same && own.unit == die.unit && own.offset == die.offset)
			*ret = cp_function_entered(functions, named[i]->address);
	}
	if (*ret == CP_NO_FUNCTION)
		*ret = function;
	if (!error)
		f->owner = *ret;
	return error;
}
