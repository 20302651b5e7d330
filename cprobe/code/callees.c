/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of other files, by the relocations of calls. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "code/code.h"

static int compare_names(const void *left, const void *right)
{
	const struct cp_callee *a = left, *b = right;

	return strcmp(a->name, b->name);
}

static int compare_calls(const void *left, const void *right)
{
	const struct cp_callee_call *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

struct cp_callee *cp_callee_named(const struct cp_callees *callees, const char *name)
{
	struct cp_callee key = { .name = name };

	return callees->count ? bsearch(&key, callees->items, callees->count, sizeof(key), compare_names) : NULL;
}

/* The tables that tell what the relocations of a part of the code lead to. */
struct relocations {
	const uint8_t *entries, *symbols;
	const char *names;
	size_t entry_size, entry_count, symbol_size, symbol_count;
	uint64_t names_size;
	bool wide;
};

/* False: there are none, or none that can be read. */
static bool open_relocations(const struct cp_image *image, const struct cp_code_part *part, struct relocations *ret)
{
	bool wide = image->elf_class == ELFCLASS64;
	const struct cp_section *own = NULL, *entries, *symbols, *names;

	for (size_t i = 1; i < image->section_count && !own; i++) {
		if (image->sections[i].relocations && cp_section_bytes(image, &image->sections[i]) == part->bytes)
			own = &image->sections[i];
	}
	if (!own)
		return false;
	entries = &image->sections[own->relocations];
	if (!entries->link || entries->link >= image->section_count)
		return false;
	symbols = &image->sections[entries->link];
	if (!symbols->link || symbols->link >= image->section_count)
		return false;
	names = &image->sections[symbols->link];
	*ret = (struct relocations){ cp_section_bytes(image, entries), cp_section_bytes(image, symbols),
		(const char *)cp_section_bytes(image, names), entries->type == SHT_RELA ?
		(wide ? sizeof(Elf64_Rela) : sizeof(Elf32_Rela)) : (wide ? sizeof(Elf64_Rel) : sizeof(Elf32_Rel)), 0,
		wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym), 0, names->size, wide };
	ret->entry_count = entries->size / ret->entry_size;
	ret->symbol_count = symbols->size / ret->symbol_size;
	return ret->entries && ret->symbols && ret->names;
}

/* The name of the undefined symbol that an entry leads to; NULL: it leads elsewhere. *offset: of the relocated field. */
static const char *undefined_name(const struct relocations *r, size_t index, uint64_t *offset)
{
	const uint8_t *entry = r->entries + index * r->entry_size, *symbol;
	size_t number = r->wide ? cp_read64(entry + 8) >> 32 : cp_read32(entry + 4) >> 8;
	uint32_t name;

	*offset = r->wide ? cp_read64(entry) : cp_read32(entry);
	symbol = r->symbols + number * r->symbol_size;
	if (number >= r->symbol_count || cp_read16(symbol + (r->wide ? 6 : 14)) != SHN_UNDEF)
		return NULL;
	name = cp_read32(symbol);
	return name && name < r->names_size && memchr(r->names + name, 0, r->names_size - name) ? r->names + name : NULL;
}

static struct cp_error *read_calls(const struct cp_code *code, const struct cp_code_part *part)
{
	struct cp_callees *callees = code->callees;
	struct relocations r;
	uint64_t offset;

	if (!open_relocations(code->program->image, part, &r))
		return NULL;
	for (size_t i = 0; i < r.entry_count; i++) {
		const char *name = undefined_name(&r, i, &offset);
		struct cp_callee_call *calls;

		if (!name || offset > part->size || part->size - offset < 4)
			continue;
		calls = cp_grow(callees->calls, callees->call_count, sizeof(*calls));
		if (!calls)
			return &cp_error_no_memory;
		callees->calls = calls;
		calls[callees->call_count++] = (struct cp_callee_call){ part->address + offset, name };
	}
	return NULL;
}

/* Does a function end with the call, so that there is nothing to return to? */
static bool is_last(const struct cp_code *code, const struct cp_callee_call *call)
{
	const struct cp_symbol *symbol = cp_symbols_at(&code->program->symbols, call->address, true);
	ZydisDecodedInstruction insn;
	struct cp_region region;

	return symbol && symbol->type == STT_FUNC && symbol->size && symbol->address + symbol->size == call->address + 4 &&
		call->address > symbol->address && cp_region_at(code, call->address, &region) &&
		cp_decode(code, region.part, call->address - 1, &insn, NULL) && insn.meta.category == ZYDIS_CATEGORY_CALL;
}

static struct cp_error *read_callees(const struct cp_code *code)
{
	struct cp_callees *callees = code->callees;
	struct cp_error *error = NULL;
	size_t kept = 0;

	for (size_t p = 0; p < code->part_count && !error; p++)
		error = read_calls(code, &code->parts[p]);
	if (error || !callees->call_count)
		return error;
	callees->items = calloc(callees->call_count, sizeof(*callees->items));
	if (!callees->items)
		return &cp_error_no_memory;
	for (size_t i = 0; i < callees->call_count; i++)
		callees->items[i] = (struct cp_callee){ callees->calls[i].name, is_last(code, &callees->calls[i]) };
	qsort(callees->items, callees->call_count, sizeof(*callees->items), compare_names);
	for (size_t i = 0; i < callees->call_count; i++) {
		if (kept && !compare_names(&callees->items[kept - 1], &callees->items[i]))
			callees->items[kept - 1].ends |= callees->items[i].ends;
		else
			callees->items[kept++] = callees->items[i];
	}
	callees->count = kept;
	qsort(callees->calls, callees->call_count, sizeof(*callees->calls), compare_calls);
	return NULL;
}

struct cp_error *cp_callee_at(const struct cp_code *code, uint64_t field, struct cp_callee **ret)
{
	struct cp_callee_call key = { .address = field }, *call = NULL;
	struct cp_callees *callees = code->callees;

	if (callees && !callees->is_read) {
		struct cp_error *error = read_callees(code);

		if (error)
			return error;
		callees->is_read = true;
	}
	if (callees && callees->call_count)
		call = bsearch(&key, callees->calls, callees->call_count, sizeof(key), compare_calls);
	*ret = call ? cp_callee_named(callees, call->name) : NULL;
	return NULL;
}
