/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel as the verbs see it: its image, the image that has its debug information (the same one, or a split debug
 * file), the symbol table and the DWARF. Each part is made when it is first asked for; cp_program_close() ends
 * them all. The bytes of code and data always come from the kernel's own file.
 */
#ifndef CPROBE_PROGRAM_H
#define CPROBE_PROGRAM_H

#include "dwarf/by_address.h"
#include "dwarf/paths.h"
#include "elf/image.h"
#include "elf/symbols.h"

struct cp_variable;

/* Where DWARF describes the variables at fixed addresses; see answer/variables.h. */
struct cp_variables {
	size_t looks;			/* until all are read */
	bool is_read;
	struct cp_variable *items;
	struct cp_keyed *by_address;	/* sorted; indices of items */
	size_t count;
};

void cp_variables_deinit(struct cp_variables *variables);

struct cp_program {
	cp_note_fn *note;		/* or NULL */
	void *note_context;
	struct cp_image *image;		/* owned */
	struct cp_image *debug;		/* owned unless it is image; NULL: not looked for yet, or none */
	bool debug_tried, symbols_tried, dwarf_tried;
	char *debug_why;		/* why no debug file was found, or NULL; owned */
	struct cp_symbols symbols;	/* empty when there is no table */
	struct cp_dwarf *dwarf;		/* owned; NULL when there is no DWARF */
	struct cp_address_map addresses;	/* of the DWARF */
	struct cp_variables variables;
	struct cp_arena arena;		/* of the paths */
	struct cp_paths paths;		/* for answers that one thread gives */
};

/* Make program->debug, ->symbols and ->dwarf; without a table or DWARF they stay empty, which is no error. */
struct cp_error *cp_program_need_debug(struct cp_program *program);
struct cp_error *cp_program_read_symbols(struct cp_program *program);	/* in file order only */
struct cp_error *cp_program_need_symbols(struct cp_program *program);	/* also sorted by address */

/* A table of its own, sorted, of the symbols that begin in `within`. *ret is the caller's until cp_symbols_deinit(). */
struct cp_error *cp_program_symbols_within(struct cp_program *program, const struct cp_cover *within,
	struct cp_symbols *ret);

struct cp_error *cp_program_need_dwarf(struct cp_program *program);
struct cp_error *cp_program_need_all(struct cp_program *program);	/* symbols and DWARF, side by side */

/*
 * Every question of cprobe.h begins with the one and ends with the other, which returns its error, if there is one, or
 * what was passed over meanwhile: see cp_dwarf_end().
 */
void cp_program_begin(struct cp_program *program);
struct cp_error *cp_program_end(struct cp_program *program, struct cp_error *error);

/* Tell the user what an answer cannot hold. A note longer than 1 KiB is cut. */
void cp_program_note(const struct cp_program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Say how many symbols were passed over for their long names, if any. */
void cp_program_note_overlong(const struct cp_program *program, size_t count);

/* Say it when there is no symbol table, or .dynsym only. Needs the program's symbols. */
void cp_program_note_symbols(const struct cp_program *program);

/* Does the image hold DWARF (.debug_info, compressed or not)? */
bool cp_image_has_dwarf(const struct cp_image *image);

/* The error for a question that DWARF alone answers: what is missing and what to install or pass. */
struct cp_error *cp_program_no_dwarf(const struct cp_program *program);

/* The error for a question about code, if the file is of debug information only. */
struct cp_error *cp_program_need_code(const struct cp_program *program);

/* NULL if instructions can be decoded, else the error that names the machine. */
struct cp_error *cp_program_check_machine(const struct cp_program *program);

#endif
