/* SPDX-License-Identifier: BSD-2-Clause */
/* What --help says. Its words are the man page's: help.py makes the table from docs/man/cprobe.1. */
#ifndef CPROBE_COMMAND_HELP_H
#define CPROBE_COMMAND_HELP_H

#include <stdio.h>

struct cp_help {
	const char *name;	/* of a verb; the first has "" and is about the command */
	const char *usage;	/* a line without line feed */
	const char *text;	/* lines */
};

extern const struct cp_help cp_helps[];	/* ends with name NULL */
extern const char cp_help_common[];	/* what follows the text of each */

/* The usage alone, or all; of a verb, or with NULL of the command. */
void cp_help_usage(FILE *out, const char *verb);
void cp_help_print(FILE *out, const char *verb);

#endif
