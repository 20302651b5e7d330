/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command/verb.h"

const struct cp_verb *const cp_verbs[] = {
	&cp_verb_info,
	&cp_verb_list,
	&cp_verb_find,
	&cp_verb_line,
	&cp_verb_symbol,
	&cp_verb_type,
	&cp_verb_symbolize,
	&cp_verb_coverage,
	&cp_verb_events,
	&cp_verb_tree,
	&cp_verb_top,
	&cp_verb_why,
	&cp_verb_next,
	&cp_verb_diff,
	&cp_verb_baseline,
	NULL,
};

const struct cp_verb *cp_verb_by_name(const char *name)
{
	for (size_t i = 0; cp_verbs[i]; i++) {
		if (!strcmp(cp_verbs[i]->name, name))
			return cp_verbs[i];
	}
	return NULL;
}

void cp_complain(const char *format, ...)
{
	va_list ap;

	fputs("cprobe: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	putc('\n', stderr);
}
