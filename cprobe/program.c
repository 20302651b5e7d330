/* SPDX-License-Identifier: BSD-2-Clause */
#include <dwarf.h>
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/work.h"
#include "elf/debugfile.h"
#include "program.h"

struct cp_error *cp_program_open(const char *path, cp_note_fn *note, void *context, struct cp_program **ret)
{
	struct cp_program *program = calloc(1, sizeof(*program));
	struct cp_error *error;

	if (!program)
		return &cp_error_no_memory;
	program->note = note;
	program->note_context = context;
	cp_arena_init(&program->arena);
	cp_paths_init(&program->paths, &program->arena);
	error = cp_image_open(path, &program->image);
	if (error) {
		free(program);
		return error;
	}
	*ret = program;
	return NULL;
}

void cp_program_close(struct cp_program *program)
{
	if (!program)
		return;
	if (program->dwarf)
		cp_address_map_deinit(&program->addresses);
	cp_variables_deinit(&program->variables);
	cp_paths_deinit(&program->paths);
	cp_arena_deinit(&program->arena);
	cp_dwarf_close(program->dwarf);
	cp_symbols_deinit(&program->symbols);
	if (program->debug != program->image)
		cp_image_close(program->debug);
	cp_image_close(program->image);
	free(program->debug_why);
	free(program);
}

void cp_program_note(const struct cp_program *program, const char *format, ...)
{
	char text[1024];
	va_list ap;

	if (!program->note)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	cp_one_line(text);
	program->note(program->note_context, text);
}

void cp_program_note_symbols(const struct cp_program *program)
{
	if (!program->symbols.count)
		cp_program_note(program, "%s: no symbol table (.symtab, .dynsym), here or in a debug file: functions that only it "
			"names are missing", program->image->path);
	else if (program->symbols.is_dynsym)
		cp_program_note(program, "%s: no .symtab, only .dynsym: local functions that only .symtab names are missing",
			program->image->path);
}

void cp_program_note_overlong(const struct cp_program *program, size_t count)
{
	if (count)
		cp_program_note(program, "%s: %zu symbols have names of %d bytes or more: they are passed over",
			program->image->path, count, CP_LONGEST_NAME);
}

struct cp_error *cp_program_need_code(const struct cp_program *program)
{
	if (!cp_image_is_debug_file(program->image))
		return NULL;
	return cp_error_create(CP_ERROR_NO_DEBUG, "%s: has debug information only, no code: give the kernel itself; its debug "
		"file is found by build-id or .gnu_debuglink", program->image->path);
}

bool cp_image_has_dwarf(const struct cp_image *image)
{
	const struct cp_section *s = cp_image_section(image, ".debug_info");

	if (!s)
		s = cp_image_section(image, ".zdebug_info");
	return s && s->type != SHT_NOBITS && s->size;
}

struct cp_error *cp_program_need_debug(struct cp_program *program)
{
	if (program->debug_tried)
		return NULL;
	program->debug_tried = true;
	if (cp_image_has_dwarf(program->image)) {
		program->debug = program->image;
		return NULL;
	}
	return cp_debugfile_find(program->image, &program->debug, &program->debug_why);
}

/* The table to read, and the image that it is in: .symtab of the kernel or of its debug file, else .dynsym; or NULL. */
static struct cp_error *choose_table(struct cp_program *program, const struct cp_image **image,
	const struct cp_section **ret)
{
	const struct cp_section *table = cp_symbols_table(program->image, SHT_SYMTAB);
	struct cp_error *error = table ? NULL : cp_program_need_debug(program);

	*image = program->image;
	if (error)
		return error;
	if (!table && program->debug && program->debug != program->image) {
		table = cp_symbols_table(program->debug, SHT_SYMTAB);
		if (table)
			*image = program->debug;
	}
	*ret = table ? table : cp_symbols_table(program->image, SHT_DYNSYM);
	return NULL;
}

struct cp_error *cp_program_read_symbols(struct cp_program *program)
{
	const struct cp_section *table;
	const struct cp_image *image;
	struct cp_error *error;

	if (program->symbols_tried)
		return NULL;
	error = choose_table(program, &image, &table);
	if (!error && table)
		error = cp_symbols_read(image, table, &program->symbols);
	program->symbols_tried = !error;
	return error;
}

struct cp_error *cp_program_symbols_within(struct cp_program *program, const struct cp_cover *within,
	struct cp_symbols *ret)
{
	const struct cp_section *table;
	const struct cp_image *image;
	struct cp_error *error = choose_table(program, &image, &table);

	memset(ret, 0, sizeof(*ret));
	if (error || !table)
		return error;
	error = cp_symbols_read_within(image, table, within, ret);
	if (!error)
		error = cp_symbols_sort(ret);
	if (error)
		cp_symbols_deinit(ret);
	return error;
}

struct cp_error *cp_program_need_symbols(struct cp_program *program)
{
	struct cp_error *error = cp_program_read_symbols(program);

	return error ? error : cp_symbols_sort(&program->symbols);
}

/* Debug data that is in files which cprobe does not read: what is missing is said, and how to have it. */
static struct cp_error *note_elsewhere(const struct cp_program *program)
{
	const struct cp_section *link = cp_image_section(program->debug, ".gnu_debugaltlink");
	const uint8_t *name = link ? cp_section_bytes(program->debug, link) : NULL;
	size_t split = 0;

	for (size_t i = 0; i < program->dwarf->info_count; i++) {
		struct cp_dw_unit *unit = &program->dwarf->units[i];
		struct cp_error *error = i ? NULL : cp_unit_root(unit);

		if (error)
			return error;
		/* GNU's units before DWARF 5 say it in their first DIE only: the first unit speaks for all of them. */
		split += unit->type == DW_UT_skeleton || program->dwarf->units[0].is_split;
	}
	if (split)
		cp_program_note(program, "%s: %zu of %zu units are in .dwo files, which cprobe does not read: their types, inlined "
			"copies and arguments are missing: build without -gsplit-dwarf", program->debug->path, split,
			program->dwarf->info_count);
	if (name && memchr(name, 0, link->size))
		cp_program_note(program, "%s: what several files share is in %s (dwz), which cprobe does not read: names and types "
			"from there are missing: give the file as it was before dwz -m", program->debug->path, (const char *)name);
	return NULL;
}

static struct cp_error *open_dwarf(struct cp_program *program)
{
	struct cp_error *error = cp_program_need_debug(program);

	if (error || program->dwarf || !program->debug || !cp_image_has_dwarf(program->debug))
		return error;
	error = cp_dwarf_open(program->debug, &program->dwarf);
	if (!error)
		cp_address_map_init(&program->addresses, program->dwarf);
	return error;
}

struct cp_error *cp_program_need_dwarf(struct cp_program *program)
{
	struct cp_error *error;

	if (program->dwarf_tried)
		return NULL;
	error = open_dwarf(program);
	if (error)
		return error;
	program->dwarf_tried = true;
	return program->dwarf ? note_elsewhere(program) : NULL;
}

/* Below this a thread takes longer than what it saves. */
#define SYMBOLS_WORTH_A_THREAD 16384

/* They have nothing in common: the names that are sorted are in a table that was read before. */
static struct cp_error *sort_or_open(void *context, size_t worker, size_t item)
{
	struct cp_program *program = context;

	(void)worker;
	return item ? open_dwarf(program) : cp_symbols_sort(&program->symbols);
}

struct cp_error *cp_program_need_all(struct cp_program *program)
{
	struct cp_error *error = cp_program_read_symbols(program);

	if (!error)
		error = cp_program_need_debug(program);
	if (!error && !program->dwarf_tried)
		error = cp_work(2, cp_workers(program->symbols.count, SYMBOLS_WORTH_A_THREAD), sort_or_open, program);
	if (!error)
		error = cp_program_need_symbols(program);
	return error ? error : cp_program_need_dwarf(program);
}

void cp_program_begin(struct cp_program *program)
{
	if (program->dwarf)
		cp_dwarf_begin(program->dwarf);
}

struct cp_error *cp_program_end(struct cp_program *program, struct cp_error *error)
{
	return error || !program->dwarf ? error : cp_dwarf_end(program->dwarf);
}

struct cp_error *cp_program_no_dwarf(const struct cp_program *program)
{
	if (program->debug_why)
		return cp_error_create(CP_ERROR_NO_DEBUG, "%s: no DWARF: %s: install the kernel's debug package, or give the "
			"file with debug information (kernel.debug, vmlinux)", program->image->path, program->debug_why);
	return cp_error_create(CP_ERROR_NO_DEBUG, "%s: no DWARF, and no debug file named by build-id or .gnu_debuglink "
		"found: build with -g, install the kernel's debug package, or give the file with debug information "
		"(kernel.debug, vmlinux)", program->image->path);
}

struct cp_error *cp_program_check_machine(const struct cp_program *program)
{
	if (cp_image_is_x86(program->image))
		return NULL;
	return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: ELF machine %u: cprobe reads the code of x86-64 and i386 kernels; info, "
		"symbol, type and symbolize work on others", program->image->path, program->image->machine);
}
