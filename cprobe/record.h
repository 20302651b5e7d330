/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a verb finds: records, collected, sorted by address, printed in one of the three formats. Strings belong to
 * the arena of the list or to a mapped file; both outlive the printing.
 *
 * text   0xADDRESS NAME FILE:LINE KIND [in OUTER]; an unknown name is "?", an unknown place "?:0"
 * json   one object a line; keys appear only where they apply, always in the same order
 * gdb    "# NAME FILE:LINE KIND" and "break *0xADDRESS": nothing that needs Python, nothing that a name can inject
 */
#ifndef CPROBE_RECORD_H
#define CPROBE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"
#include "error.h"

enum cp_kind {		/* in sorting order at one address */
	CP_KIND_FUNCTION,
	CP_KIND_INLINED,
	CP_KIND_LINE,
	CP_KIND_CHECK,
	CP_KIND_INSN,
	CP_KIND_MESSAGE,
	CP_KIND_OBJECT,
	CP_KIND_LABEL,	/* a symbol that is neither: an assembly label, a linker script's mark */
};

enum cp_format { CP_FORMAT_TEXT, CP_FORMAT_JSON, CP_FORMAT_GDB };

struct cp_arg {
	const char *name, *type;
	uint64_t size;			/* bytes; 0 unknown */
	const char *location;		/* at the function's entry: "rdi", "mem(rsp+8)"; NULL unknown */
	const char *location_from;	/* "dwarf" or "abi" */
};

struct cp_record {
	uint64_t address;
	enum cp_kind kind;
	const char *name;		/* NULL unknown */
	const char *file;		/* NULL unknown */
	unsigned int line;
	bool has_size, has_offset, has_guards;
	uint64_t size;			/* of the function, the inlined copy's first range, or the object, in bytes */
	uint64_t offset;		/* symbolize: address - start of the function */
	const char *outer;		/* the concrete function around an inlined copy */
	const char *mnemonic;
	const char *section;
	const char *type, *encoding;	/* of an object, by DWARF */
	const char *call_file;		/* where an inlined copy was called */
	unsigned int call_line;
	const char *message;		/* the C string that a message instruction refers to */
	uint64_t guards;		/* check: address of the message instruction */
	uint64_t branch;		/* check: address of the conditional branch */
	const char *variable;		/* check: the variable in memory that it tests */
	uint64_t variable_address;	/* check: the bytes of it that are read; 0 unknown */
	unsigned int variable_size;
	struct cp_arg *args;
	size_t arg_count;
	bool has_args;
};

struct cp_records {
	struct cp_arena arena;
	struct cp_record *items;
	size_t count;
};

void cp_records_init(struct cp_records *records);
void cp_records_deinit(struct cp_records *records);

/* A zeroed record of that kind and address at the end of the list, valid until the next call; NULL: no memory. */
struct cp_record *cp_records_add(struct cp_records *records, enum cp_kind kind, uint64_t address);

/* By address, then kind, name, outer, file, line; equal records become one. */
void cp_records_sort(struct cp_records *records);

void cp_record_print(FILE *out, const struct cp_record *record, enum cp_format format);
void cp_records_print(FILE *out, const struct cp_records *records, enum cp_format format);

/* A JSON string with its quotes. Bytes that are not UTF-8 become \u00XX of their value. NULL prints null. */
void cp_json_string(FILE *out, const char *text);

#endif
