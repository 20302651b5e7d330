/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The symbol table: .symtab of the kernel or of its debug file, else .dynsym. Section, file and undefined symbols and
 * names that leave their string table are left out. Names point into the mapped file.
 */
#ifndef CPROBE_SYMBOLS_H
#define CPROBE_SYMBOLS_H

#include "base/texts.h"
#include "elf/image.h"

struct cp_symbol {
	uint64_t address, size;
	const char *name;
	uint32_t section;	/* index in the kernel's or debug file's table; SHN_ABS and friends as they are */
	uint8_t type, bind;	/* STT_*, STB_* */
};

struct cp_symbols {
	struct cp_symbol *items;	/* in file order */
	size_t count;
	/*
	 * Sorted: by address, then the better name first (functions, objects, labels; sized; global, weak, local; by
	 * name, by the order of the file); built on demand.
	 */
	const struct cp_symbol **by_address;
	const struct cp_symbol **by_name;	/* sorted: symbols of functions with sound names; built on demand */
	size_t by_name_count;
	const struct cp_symbol **looked;	/* by the looks before that */
	size_t looks;
	const struct cp_image *image;	/* whose section indices these are; not owned */
	bool is_dynsym;
	struct cp_long_texts overlong;	/* names; see cp_symbol_is_overlong() */
	size_t functions, objects;
	size_t local_functions;		/* 0: there are none, or strip(1) removed them */
};

/* Is there such a table in the image? Section type SHT_SYMTAB or SHT_DYNSYM. */
const struct cp_section *cp_symbols_table(const struct cp_image *image, uint32_t type);

/* Read one table. *symbols must be zeroed; cp_symbols_deinit() ends it. */
struct cp_error *cp_symbols_read(const struct cp_image *image, const struct cp_section *table,
	struct cp_symbols *symbols);

/*
 * The same, of the symbols whose address some range covers alone: for who wants the names at a few places and not the
 * milliseconds that all of them take. Each range should go from a function's address to where looking for its name
 * ends: a symbol that begins before a range is not read, even when it reaches into it. Call it once, on zeroed symbols.
 */
struct cp_error *cp_symbols_read_within(const struct cp_image *image, const struct cp_section *table,
	const struct cp_cover *within, struct cp_symbols *symbols);
void cp_symbols_deinit(struct cp_symbols *symbols);

/* Sort by address, once; later calls are free. */
struct cp_error *cp_symbols_sort(struct cp_symbols *symbols);

/* Index in by_address of the first symbol at or above the address; needs cp_symbols_sort(). */
size_t cp_symbols_lower(const struct cp_symbols *symbols, uint64_t address);

/* The same, quickly when it is not far from index `near`. */
size_t cp_symbols_lower_near(const struct cp_symbols *symbols, uint64_t address, size_t near);

/*
 * The functions of that name, or those whose names begin so: *ret lies in the symbols, until the next call. The first few
 * are looked for one by one, which takes less time than sorting.
 */
struct cp_error *cp_symbols_by_name(struct cp_symbols *symbols, const char *name, bool whole,
	const struct cp_symbol ***ret, size_t *count);

/*
 * The symbol that covers the address: sized ones first, then the nearest unsized one below in the same section.
 * code: functions and labels in code only; else objects. NULL: none. Needs cp_symbols_sort().
 */
const struct cp_symbol *cp_symbols_at(const struct cp_symbols *symbols, uint64_t address, bool code);

/*
 * Is the name longer than any that a compiler makes? Many symbols may share the end of one string: who reads all names
 * passes over those, and says so.
 */
#define CP_LONGEST_NAME 4096
bool cp_symbol_is_overlong(const struct cp_symbols *symbols, const struct cp_symbol *symbol);

/* Is it a name for code: a function, or a label in an executable section? */
bool cp_symbol_is_code(const struct cp_symbols *symbols, const struct cp_symbol *symbol);
bool cp_symbol_is_object(const struct cp_symbol *symbol);

/* The name of its section, or NULL for absolute ones. */
const char *cp_symbol_section(const struct cp_symbols *symbols, const struct cp_symbol *symbol);

#endif
