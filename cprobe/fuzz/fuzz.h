/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fuzz targets share. A target is one file fuzz_NAME.c with libFuzzer's LLVMFuzzerTestOneInput(), and the seeds
 * in corpus/NAME, which seeds.py makes. Whatever the bytes are, nothing may crash, hang or leak, and what can be said
 * of an answer without knowing the right one is asserted: FUZZ_ASSERT.
 */
#ifndef CPROBE_FUZZ_H
#define CPROBE_FUZZ_H

#include "cprobe.h"

/* Called by libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process with the place when it does not hold: libFuzzer then keeps the input. */
#define FUZZ_ASSERT(holds) ((holds) ? (void)0 : fuzz_fail(#holds, __FILE__, __LINE__))
void fuzz_fail(const char *what, const char *file, int line) __attribute__((noreturn));

/* -- A kernel made of an input -- */

/*
 * Fuzzing whole ELF files, nearly every mutation breaks a header or leaves DWARF alone. So the targets behind the ELF
 * reader take the contents of sections, and an ELF file with sound headers is made around them:
 *
 *	byte 0		FUZZ_32: i386 and ELFCLASS32; FUZZ_REL: ET_REL, else ET_EXEC
 *	then, again and again until the input ends:
 *	byte 0		number of a section, an enum fuzz_section
 *	bytes 1 to 3	its size, little-endian; what the input has not is cut off
 *	...		its contents
 *
 * Of two parts for one section the first one counts. seeds.py writes the same, and has the numbers from here.
 */
enum fuzz_flags { FUZZ_32 = 1, FUZZ_REL = 2 };

enum fuzz_section {
	FUZZ_QUESTION,		/* no section: what the target asks for, without its NUL bytes */
	FUZZ_TEXT, FUZZ_RODATA, FUZZ_DATA, FUZZ_ALTINSTRUCTIONS, FUZZ_ALTINSTR_REPLACEMENT,
	FUZZ_SYMTAB, FUZZ_STRTAB,
	FUZZ_DEBUG_INFO, FUZZ_DEBUG_TYPES, FUZZ_DEBUG_ABBREV, FUZZ_DEBUG_LINE, FUZZ_DEBUG_STR, FUZZ_DEBUG_LINE_STR,
	FUZZ_DEBUG_STR_OFFSETS, FUZZ_DEBUG_ADDR, FUZZ_DEBUG_RANGES, FUZZ_DEBUG_RNGLISTS, FUZZ_DEBUG_LOC,
	FUZZ_DEBUG_LOCLISTS,
	FUZZ_SECTIONS
};

/* Where the loaded ones of an ET_EXEC file lie. */
#define FUZZ_TEXT_ADDRESS 0x10000
#define FUZZ_RODATA_ADDRESS 0x200000
#define FUZZ_DATA_ADDRESS 0x300000
#define FUZZ_ALTINSTRUCTIONS_ADDRESS 0x400000
#define FUZZ_ALTINSTR_REPLACEMENT_ADDRESS 0x500000

struct fuzz_kernel {
	struct cp_program *program;	/* NULL: it could not be opened */
	char question[256];
	const uint8_t *text;		/* in the input */
	size_t text_size;
};

void fuzz_kernel_init(const uint8_t *data, size_t size, struct fuzz_kernel *ret);
void fuzz_kernel_deinit(struct fuzz_kernel *kernel);

/* The same of an input that is a whole file; NULL: it could not be opened. */
struct cp_program *fuzz_open(const uint8_t *data, size_t size);

/* A baseline of such a file, likewise. */
struct cp_baseline *fuzz_open_baseline(const uint8_t *data, size_t size);

/* -- Answers -- */

/* An error is an answer too, if its message is one line that says something. */
void fuzz_take_error(struct cp_error *error);

/*
 * Sort and print what was found in all formats, and assert what holds of every answer: a line for each record in text and
 * json, no control characters from the file in them, the order of cp_records_sort().
 */
enum fuzz_lines { FUZZ_SORTED, FUZZ_AS_THEY_ARE, FUZZ_WITH_INLINES };	/* symbolize: a line for each inlined copy too */
void fuzz_take_records(struct cp_records *records, enum fuzz_lines lines);

#endif
