/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of input understood: cprobe's own output in any of its formats, or a plain word. */
#ifndef CPROBE_COMMAND_INPUT_H
#define CPROBE_COMMAND_INPUT_H

#include "cprobe.h"

/* What a verb needs of a line. */
enum cp_part {
	CP_PART_ADDRESS,	/* "0xADDRESS"; of an alternative's instruction, the address that it patches */
	CP_PART_NAME,		/* without +0xOFFSET; a glob that matches the name */
	CP_PART_PLACE,		/* "FILE:LINE", FILE a glob that matches the file */
	CP_PART_TYPE,		/* the path of a type or field; the type of an object where the line has it */
};

enum cp_input {
	CP_INPUT_PART,		/* cprobe's line, and the part is there */
	CP_INPUT_WORD,		/* none of cprobe's: the line itself, without white space around it */
	CP_INPUT_PASS,		/* cprobe's line, the other half of a break in a gdb script: not a question by itself */
	CP_INPUT_LACKING,	/* cprobe's line, without the part */
};

/*
 * Find the part in a line:
 *
 *	text   0xADDRESS NAME FILE:LINE KIND ...   or, of a type, OFFSET SIZE NAME TYPE
 *	json   an object with the keys address, name, file and line, type
 *	gdb    # NAME FILE:LINE KIND ...   # also ...   break *0xADDRESS
 *
 * `line` is changed. *ret is a string within it, or within *room, which the caller frees and which may stay NULL.
 */
struct cp_error *cp_input_part(char *line, enum cp_part part, enum cp_input *kind, char **room, char **ret);

#endif
