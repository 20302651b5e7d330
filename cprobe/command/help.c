/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "command/help.h"

static const struct cp_help *help_of(const char *verb)
{
	for (const struct cp_help *help = cp_helps; verb && help->name; help++) {
		if (!strcmp(help->name, verb))
			return help;
	}
	return &cp_helps[0];
}

void cp_help_usage(FILE *out, const char *verb)
{
	const struct cp_help *help = help_of(verb);

	if (help != &cp_helps[0]) {
		fprintf(out, "usage: %s\n", help->usage);
		return;
	}
	for (help = cp_helps + 1; help->name; help++)
		fprintf(out, "%s %s\n", help == cp_helps + 1 ? "usage:" : "      ", help->usage);
	fputs("cprobe help VERB says more\n", out);
}

void cp_help_print(FILE *out, const char *verb)
{
	const struct cp_help *help = help_of(verb);

	cp_help_usage(out, verb);
	fprintf(out, "\n%s\n%s", help->text, cp_help_common);
}
