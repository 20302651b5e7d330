/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcprobe: from a kernel's ELF and DWARF to places to break at. The cprobe command and the QEMU plugin are built on
 * this header alone.
 *
 *	struct cp_program *program;
 *	struct cp_records records;
 *	char *files[] = { "pvclock.c" };
 *	struct cp_where where = { .files = { files, 1 } };
 *	struct cp_error *error = cp_program_open("vmlinux", NULL, NULL, &program);
 *
 *	cp_records_init(&records, CP_BRIEF);
 *	if (!error)
 *		error = cp_list(program, &where, CP_INLINED_INCLUDE, &records);
 *	if (!error)
 *		error = cp_records_print(stdout, &records, CP_FORMAT_TEXT);
 *	if (error)
 *		fprintf(stderr, "%s\n", error->message);
 *
 * Errors, in the manner of drgn: a fallible function returns NULL for success, else an error object that its caller
 * owns. Outputs come last in the argument list and are written only on success.
 *
 * A program may be used by one thread at a time; two programs know nothing of each other. Addresses are virtual. A
 * relocatable file (ET_REL) has none: its sections are laid out one behind the other from 0, as GDB does it.
 */
#ifndef CPROBE_H
#define CPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* -- Errors ------------------------------------------------------------------------------------------------------ */

/*
 * A message reads "WHAT: WHAT TO DO". "Not found" and "no debug information" are not "corrupt": the code tells them
 * apart, and it alone decides the exit status of the command.
 */
enum cp_error_code {
	CP_ERROR_NOT_FOUND,	/* nothing matched: exit 1 */
	CP_ERROR_NO_DEBUG,	/* the question needs DWARF or symbols that the file has not: exit 1 */
	CP_ERROR_USAGE,		/* the question makes no sense: exit 2 */
	CP_ERROR_IO,		/* cannot open, read or map: exit 3 */
	CP_ERROR_CORRUPT,	/* a field of the file contradicts another, or the file's size: exit 3 */
	CP_ERROR_UNSUPPORTED,	/* a well-formed file of a kind that cprobe does not read: exit 3 */
	CP_ERROR_NO_MEMORY,	/* static object, never freed: exit 3 */
};

struct cp_error {
	enum cp_error_code code;
	char *message;
};

/* The one static error: making an error object must not need memory when there is none. */
extern struct cp_error cp_error_no_memory;

struct cp_error *cp_error_create(enum cp_error_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Takes NULL and the static error too. */
void cp_error_destroy(struct cp_error *error);

/* The exit status that goes with the error. */
int cp_error_exit_status(const struct cp_error *error);

/* -- Programs ---------------------------------------------------------------------------------------------------- */

/* A kernel, a module, or any other ELF file for x86-64 or i386, with its debug file. */
struct cp_program;

/* Told what an answer could not hold, in one line without a line feed: "no .symtab, only .dynsym: ...". */
typedef void cp_note_fn(void *context, const char *text);

/* `note` may be NULL. On success *ret is the caller's until cp_program_close(), which takes NULL too. */
struct cp_error *cp_program_open(const char *path, cp_note_fn *note, void *context, struct cp_program **ret);
void cp_program_close(struct cp_program *program);

/* -- Answers ----------------------------------------------------------------------------------------------------- */

enum cp_kind {		/* in sorting order at one address */
	CP_KIND_FUNCTION,
	CP_KIND_INLINED,
	CP_KIND_LINE,
	CP_KIND_CHECK,
	CP_KIND_INSN,
	CP_KIND_MESSAGE,
	CP_KIND_OBJECT,
	CP_KIND_LABEL,	/* a symbol that is neither: an assembly label, a linker script's mark */
	CP_KIND_TYPE,	/* a struct or union; it has no address */
	CP_KIND_FIELD,
};

struct cp_arg {
	const char *name, *type;
	uint64_t size;			/* bytes; 0 unknown */
	const char *location;		/* at the function's entry: "rdi", "mem(rsp+8)", "const(4)"; NULL unknown */
	const char *location_from;	/* "dwarf" or "abi" */
};

/* A function that was inlined where an address is. */
struct cp_inline {
	const char *name;
	const char *call_file;		/* where the copy was called, or NULL */
	unsigned int call_line;
};

/* What only some kinds have, or only a full answer. Zero where it does not apply. */
struct cp_details {
	const char *section;
	bool has_offset;
	uint64_t offset;		/* symbolize: address - start of the function */
	const char *mnemonic;
	bool has_input;
	uint32_t input;			/* what is asked for: the leaf of a cpuid, the register of a rdmsr or wrmsr */
	uint64_t hop, hop_size;		/* padding that a jump of two bytes reaches; bytes; 0 none */
	uint64_t cave, cave_size;	/* in the largest padding of the section; bytes; 0 none */
	uint64_t patches;		/* an instruction of an alternative: the address that it is copied to; 0 none */
	const char *type, *encoding;	/* of an object or field, by DWARF */
	const char *call_file;		/* where an inlined copy was called */
	unsigned int call_line;
	const char *message;		/* the C string that a message instruction refers to */
	bool has_guards;
	uint64_t guards;		/* check: address of the message instruction */
	uint64_t branch;		/* check: address of the conditional branch, or of a switch's jump */
	const char *variable;		/* check: the variable in memory that it tests */
	uint64_t variable_address;	/* check: the bytes of it that are read; 0 unknown */
	unsigned int variable_size;
	const char *base_type;		/* field: its type without typedefs and qualifiers */
	unsigned int bit_size;		/* field: of a bit field; 0 none */
	unsigned int bit_offset;	/* field: from the lowest bit of the byte at the field's offset */
	uint64_t element_count;		/* field: of an array, all dimensions; 0 none */
	bool has_args;
	struct cp_arg *args;
	size_t arg_count;
	struct cp_inline *inlines;	/* symbolize: innermost first */
	size_t inline_count;
};

/* Strings belong to the list of records or to the program; both outlive the printing. */
struct cp_record {
	uint64_t address;		/* of a field: its offset in bytes */
	uint64_t size;			/* of the function, of the copy from its first instruction on, of the object; bytes */
	const char *name;		/* NULL unknown */
	const char *file;		/* NULL unknown; normalised */
	const char *outer;		/* the concrete function around an inlined copy */
	struct cp_details *details;	/* NULL: none */
	uint32_t line;			/* 0 unknown */
	uint8_t kind;			/* enum cp_kind */
	bool has_size;
};

/* How much is asked: what every format prints, or also sections, arguments and calls, which take longer. */
enum cp_amount { CP_BRIEF, CP_FULL };

struct cp_arena_block;

struct cp_arena {
	struct cp_arena_block *last;
};

struct cp_records {
	struct cp_arena arena;
	enum cp_amount amount;
	struct cp_record *items;
	size_t count;
};

void cp_records_init(struct cp_records *records, enum cp_amount amount);
void cp_records_deinit(struct cp_records *records);

/* By address, then kind, name, outer, file, line; equal records become one. Layouts of types keep their order. */
struct cp_error *cp_records_sort(struct cp_records *records);

/*
 * text   0xADDRESS NAME FILE:LINE KIND [in OUTER]; an unknown name is "?", an unknown place "?:0"
 * json   one object a line; keys appear only where they apply, always in the same order
 * gdb    "# NAME FILE:LINE KIND" and "break *0xADDRESS": nothing that needs Python, nothing that a name can inject
 */
enum cp_format { CP_FORMAT_TEXT, CP_FORMAT_JSON, CP_FORMAT_GDB };

/* Many are written down on all CPUs. Errors of the stream are left on it: ask ferror(3). */
struct cp_error *cp_records_print(FILE *out, const struct cp_records *records, enum cp_format format);
struct cp_error *cp_record_print(FILE *out, const struct cp_record *record, enum cp_format format);

/* A JSON string with its quotes. Bytes that are not UTF-8 become \u00XX of their value. NULL prints null. */
void cp_json_string(FILE *out, const char *text);

/* -- Questions --------------------------------------------------------------------------------------------------- */

struct cp_globs {
	char **items;		/* none: everything */
	size_t count;
};

/* Where a place may be. File globs match a tail of the path, name globs also the compiler's clones of a function. */
struct cp_where {
	struct cp_globs files, functions;
};

enum cp_inlined { CP_INLINED_INCLUDE, CP_INLINED_EXCLUDE, CP_INLINED_ONLY };

/*
 * Each adds what it found to `records`; finding nothing is no error. Only cp_symbolize() keeps an order of its own, the
 * others leave the sorting to cp_records_sort().
 */

/* Functions defined in files or named so: one record for each range (foo, foo.cold) and for each inlined copy. */
struct cp_error *cp_list(struct cp_program *program, const struct cp_where *where, enum cp_inlined inlined,
	struct cp_records *records);

/* What else is wanted of an instruction. */
enum cp_insn_more {
	CP_INSN_INPUTS = 1,	/* what a cpuid, rdmsr or wrmsr asks for, where that is a constant */
	CP_INSN_PADDING = 2,	/* where a jump in its place may lead; only if there is both a hop and a cave */
};

/* Instructions, by a list of mnemonics: "cpuid,rdtsc". The same set as a full disassembly's. more: of cp_insn_more. */
struct cp_error *cp_find_insns(struct cp_program *program, const char *mnemonics, unsigned int more,
	const struct cp_where *where, struct cp_records *records);

/* The instructions that load the address of a C string that prints `text`, and the tests that guard them. */
struct cp_error *cp_find_message(struct cp_program *program, const char *text, const struct cp_where *where,
	struct cp_records *records);

/* Where the code of a line begins; without any, of the next line that has some. `file` is a glob on the path's tail. */
struct cp_error *cp_find_line(struct cp_program *program, const char *file, unsigned int line,
	struct cp_records *records);

/* Every place of a name, or of those that a glob matches, in the symbol table. */
struct cp_error *cp_find_symbol(struct cp_program *program, const char *glob, struct cp_records *records);

/* A struct's or union's layout: "NAME", or one field of it: "NAME.FIELD", "NAME.FIELD[3].FIELD". */
struct cp_error *cp_find_type(struct cp_program *program, const char *path, struct cp_records *records);

/* One record for each address, in their order; `inlines`: with the functions inlined there. */
struct cp_error *cp_symbolize(struct cp_program *program, const uint64_t *addresses, size_t count, bool inlines,
	struct cp_records *records);

struct cp_segment {
	uint32_t type, flags;	/* PT_*, PF_* */
	uint64_t vaddr, paddr, offset, filesz, memsz, align;
};

/* What kind of file it is and what is known of it. Strings and segments are the program's. */
struct cp_info {
	const char *path;
	const char *debug_path;		/* of the file with its DWARF, maybe the same; NULL none */
	uint8_t elf_class;		/* 32 or 64 */
	uint8_t osabi;
	uint16_t type, machine;		/* ET_*, EM_* */
	uint64_t entry;
	char build_id[2 * 64 + 1];	/* "" none */
	bool has_build_id_address, has_build_id_paddr, has_pvh_entry, has_lma_offset;
	uint64_t build_id_address, build_id_paddr;
	uint64_t pvh_entry;		/* physical */
	uint64_t lma_offset;		/* VMA - LMA of the first loaded segment */
	const char *interp;
	uint32_t dwarf_versions;	/* a bit for each version */
	bool has_dwarf, has_symtab, has_dynsym;
	size_t sections, symbols, functions, objects, units;
	const struct cp_segment *segments;
	size_t segment_count;
};

struct cp_error *cp_info(struct cp_program *program, struct cp_info *ret);

#endif
