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
	const char *toward;		/* next: the function that did not run, to which it leads */
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

/*
 * How much is asked: what every format prints, or also sections, arguments and calls, which take longer; or of cp_list()
 * names and addresses alone, for which DWARF is not read where the symbol table has the answer.
 */
enum cp_amount { CP_BRIEF, CP_FULL, CP_NAMES };

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

/* The build-id alone, in hex, of which nothing else need be read. *ret is the caller's to free; NULL: it has none. */
struct cp_error *cp_build_id(struct cp_program *program, char **ret);

/* The segments alone; they are the program's. */
void cp_segments(const struct cp_program *program, const struct cp_segment **ret, size_t *count);

/* -- Traces ------------------------------------------------------------------------------------------------------ */

/* What a boot did: the file of a session in GDB (JSON Lines) or of the QEMU plugin (blocks). */
struct cp_trace;

/*
 * `note` is told what is wrong with a trace that can be read all the same: that it was cut off, and how much is left.
 * On success *ret is the caller's until cp_trace_close(), which takes NULL too. CP_ERROR_CORRUPT: no trace, or one that
 * is damaged in its middle; CP_ERROR_UNSUPPORTED: of a version that this cprobe does not read.
 */
struct cp_error *cp_trace_open(const char *path, cp_note_fn *note, void *context, struct cp_trace **ret);
void cp_trace_close(struct cp_trace *trace);

/* NULL, or the error that says that the trace is of another kernel, by its build-id. One without any is taken as it is. */
struct cp_error *cp_trace_check(const struct cp_trace *trace, struct cp_program *program);

/*
 * Which functions ran, file by file, in the order in which they first did; then those that did not, and those of which
 * the trace cannot tell. text or json; *found: how many rows there were, 0: the kernel has no such file or function.
 */
struct cp_error *cp_coverage(struct cp_program *program, struct cp_trace *trace, const struct cp_where *where,
	enum cp_format format, FILE *out, size_t *found);

/* A part of a trace: what happened from one time to another, in ns, and of functions with these names alone. */
struct cp_when {
	uint64_t from, to;	/* both inside */
	struct cp_globs functions;
};

/* What cp_top() and cp_tree() are to show. */
struct cp_view {
	struct cp_when when;	/* without functions */
	uint64_t gap;		/* ns: a time without an event that is longer is said to be a gap */
	uint64_t limit;		/* top: rows; 0 all */
	uint64_t depth;		/* tree: levels */
	uint64_t least;		/* tree, ns: calls that took less are taken together */
};

#define CP_LEAST_AUTOMATIC UINT64_MAX

/*
 * Where the time went: a table of functions, or the calls as a tree, with gaps, and in the tree what the console said. A
 * trace has entries alone: callers are inferred from call sites, else from the code, and the time up to a vCPU's next event
 * belongs to the function that was entered last. CP_ERROR_NOT_FOUND: there are no entries.
 */
struct cp_error *cp_top(struct cp_program *program, struct cp_trace *trace, const struct cp_view *view, enum cp_format format,
	FILE *out);
struct cp_error *cp_tree(struct cp_program *program, struct cp_trace *trace, const struct cp_view *view,
	enum cp_format format, FILE *out);

/* The events, in order: text, or json, which is the JSON Lines form of the same. */
struct cp_error *cp_events(struct cp_trace *trace, const struct cp_when *when, enum cp_format format, FILE *out,
	uint64_t *count);

/* What of console lines is compared. Time stamps of the kernel's, "[    0.123456]" at the beginning, never are. */
enum cp_console {
	CP_CONSOLE_EXACT,	/* all else */
	CP_CONSOLE_TEXT,	/* not words that begin with a digit */
	CP_CONSOLE_NONE,	/* nothing */
};

#define CP_SLOWER_NO UINT64_MAX

struct cp_diff_how {
	bool has_console;	/* else as a baseline says, or exactly */
	enum cp_console console;
	uint64_t limit;		/* examples of each kind of change; 0 all */
	bool has_slower;	/* else as a baseline says, or not */
	uint64_t slower;	/* percent: tell what takes longer by more, or CP_SLOWER_NO */
	struct cp_program *kernels[2];	/* of the baseline and of the other, for lines of the source; NULL: without */
};

/* What a boot is to do: a text, made of traces of boots that did it. docs/baseline.md has the format. */
struct cp_baseline;

/* CP_ERROR_CORRUPT: the line is told; CP_ERROR_UNSUPPORTED: of a version that this cprobe does not read. */
struct cp_error *cp_baseline_open(const char *path, struct cp_baseline **ret);
void cp_baseline_close(struct cp_baseline *baseline);	/* takes NULL too */

/* Does the file begin as a baseline does, of any version? */
struct cp_error *cp_is_baseline(const char *path, bool *ret);

/* What a boot is compared with: one of both, the other is NULL. */
struct cp_expected {
	struct cp_trace *trace;
	struct cp_baseline *baseline;
};

/*
 * Compare two boots by what ran, in each vCPU's order, by what it was called with and what the console said: text or json.
 * *differs: whether they are not equal. What both say of kernel, QEMU and machine is told where it differs, and is no
 * difference, but for the number of vCPUs. A baseline says itself what is compared.
 */
struct cp_error *cp_diff(const struct cp_expected *expected, struct cp_trace *trace, const struct cp_diff_how *how,
	enum cp_format format, FILE *out, bool *differs);

struct cp_baseline_how {
	bool has_console, has_slower;	/* else as `like`, or exactly, and 10 percent */
	enum cp_console console;
	uint64_t slower;		/* percent, or CP_SLOWER_NO */
	const struct cp_baseline *like;	/* what it leaves out is left out; NULL: nothing is */
	struct cp_program *kernel;	/* for lines of the source, where traces have none; NULL: without */
};

/*
 * Write the baseline of a boot of which there are `count` traces, 1 or more: what all of them have. `note` is told what they
 * have not. CP_ERROR_NOT_FOUND: they end differently, or not at all.
 */
struct cp_error *cp_baseline_make(struct cp_trace *const *traces, size_t count, const struct cp_baseline_how *how,
	cp_note_fn *note, void *context, FILE *out);

/* -- Why a function did not run ---------------------------------------------------------------------------------- */

enum cp_ran_state {
	CP_NOT_RECORDED,	/* nobody looked, as far as the trace's header says */
	CP_DID_NOT_RUN,
	CP_DID_RUN,
};

struct cp_run {
	enum cp_ran_state state;
	uint64_t count, first;	/* entries; ns, of the first one */
	unsigned int vcpu;	/* of the first one */
};

/* How one link of a chain leads to the next one. All but the first two are inferred: who calls cannot be seen in the code. */
enum cp_link {
	CP_LINK_CALL,
	CP_LINK_JUMP,		/* a tail call */
	CP_LINK_THROUGH,	/* reads the very pointer of the table, to call through it */
	CP_LINK_ADDRESS,	/* takes the function's address: who is given it calls */
	CP_LINK_USES,		/* code that refers to the table */
	CP_LINK_HOLDS,		/* a table, with a pointer to the function */
	CP_LINK_POINTS,		/* data, with a pointer to the table */
	CP_LINK_ELEMENT,	/* a set that a linker collected, with the table or pointer in it */
	CP_LINK_METHOD,		/* a function of the same table, which is in use */
};

/* A function or a table on the way to the function that was asked about. */
struct cp_why_link {
	const char *name;	/* NULL unknown */
	const char *section;	/* of a table; NULL unknown */
	bool is_table;
	uint64_t address;
	struct cp_run run;	/* of a function */
	enum cp_link kind;	/* how it leads to the next link */
	uint64_t site;		/* where: an instruction, or a word of data */
	const char *file;	/* of an instruction; NULL unknown */
	unsigned int line;
};

enum cp_why_went {
	CP_WHY_UNKNOWN,
	CP_WHY_HELD,		/* at least once */
	CP_WHY_NEVER_HELD,	/* or was never come to */
};

/* A conditional branch on whose outcome it depends whether the chain goes on. */
struct cp_why_test {
	uint64_t address, branch;	/* the test's first instruction, the jump */
	const char *file;
	unsigned int line;
	const char *condition;		/* under which it goes on, such as "vm_guest == 5"; NULL not recognised */
	const char *source;		/* "variable", "returned", "stored", "cpu", "argument"; NULL not recognised */
	const char *variable;		/* as a check's, see struct cp_details */
	uint64_t variable_address;
	unsigned int variable_size;
	enum cp_why_went went;
	const char *by;			/* the function whose having run, or not, says so; NULL */
	bool has_detour;		/* other ways go on without coming to the test */
};

/* A function of a table: its methods are called in their order, as a rule. */
struct cp_why_method {
	const char *name;
	uint64_t address;
	struct cp_run run;
};

struct cp_why_reason {
	struct cp_why_link *links;	/* from what ran to the function that was asked about, which is the last */
	size_t link_count;
	bool ran;			/* the first link did run; else nothing refers to it */
	bool is_entry;			/* it is where the kernel is started */
	bool is_exported;		/* to modules; nothing else refers to it */
	uint64_t outside;		/* code in no function alone refers to it: there; 0: none does */
	bool not_looked;		/* who refers to it was not looked for: too many tables */
	unsigned int more_sites;	/* of the first link that lead to the second */
	struct cp_why_test *tests;	/* in the first link, in the order in which they are come to */
	size_t test_count, tests_left_out;
	bool way_unseen;		/* how the first link comes there is not in its code: a jump is patched in, say */
	const char *toward;		/* of a method: the call that its tests lead to, its last one; NULL: it makes none */
	bool toward_ran;		/* what it calls there ran since, for it or for others */
	struct cp_why_method *methods;	/* of the last table of the chain */
	size_t method_count;
	const char *table;
};

/* A place of the function that was asked about. */
struct cp_why_place {
	const char *name, *file;
	unsigned int line;
	uint64_t address;
	const char *outer;		/* inlined: there; the run is the outer function's */
	struct cp_run run;
	struct cp_why_reason *reasons;
	size_t reason_count, left_out;
	bool cut;			/* there are more than were looked for */
};

struct cp_why {
	struct cp_arena arena;
	const char *function;
	struct cp_why_place *places;
	size_t place_count, copies_left_out;
	bool declared;			/* DWARF knows the name, but there is no code of it */
	const char *declared_file;
	unsigned int declared_line;
};

/*
 * Why `function`, a name or an address as 0x-hexadecimal, is not in the trace, which cp_trace_check() passed: up to `limit`
 * reasons for each place of it. CP_ERROR_NOT_FOUND: this kernel has none. On success *ret is the caller's until
 * cp_why_deinit(); strings are its own or the program's.
 */
struct cp_error *cp_why(struct cp_program *program, struct cp_trace *trace, const char *function, size_t limit,
	struct cp_why *ret);
void cp_why_deinit(struct cp_why *why);

/* Words, an object for each place in a line, or the same words as comments of GDB. */
struct cp_error *cp_why_print(FILE *out, const struct cp_why *why, enum cp_format format);

/*
 * Where to break in the next run: call sites (CP_KIND_INSN) and tests (CP_KIND_CHECK) in functions that ran, on the way to
 * what did not. `function` NULL: any, the places of the functions that ran last first; up to `limit` records, which are left
 * in that order. *left_out: how many more there are.
 */
struct cp_error *cp_next(struct cp_program *program, struct cp_trace *trace, const char *function, size_t limit,
	struct cp_records *records, size_t *left_out);

#endif
