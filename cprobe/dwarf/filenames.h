/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which line tables cannot name a file? Answered from the bytes of their headers, without decoding the tables: libdw
 * decodes all rows of a unit to tell its files. "May" answers are libdw's to settle.
 */
#ifndef CPROBE_FILENAMES_H
#define CPROBE_FILENAMES_H

#include "elf/image.h"

struct cp_filenames {
	const struct cp_image *image;
	const uint8_t *lines;		/* .debug_line; NULL: nothing can be told, every table may */
	uint64_t size;
	const char *name;		/* last component of the glob, literal; not owned */
	uint32_t *offsets;		/* of strings that end in the name, in .debug_line_str and .debug_str; sorted; owned */
	size_t count;
};

/* *ret is valid until cp_filenames_deinit(), and no longer than the image and the glob. */
struct cp_error *cp_filenames_init(const struct cp_image *debug, const char *glob, struct cp_filenames *ret);
void cp_filenames_deinit(struct cp_filenames *names);

/* May the line table at that offset of .debug_line (DW_AT_stmt_list) name a file that the glob matches? */
bool cp_filenames_may(const struct cp_filenames *names, uint64_t offset);

#endif
