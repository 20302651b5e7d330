/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "verb.h"

const struct cp_verb *const cp_verbs[] = {
	&cp_verb_info,
	&cp_verb_list,
	&cp_verb_find,
	&cp_verb_line,
	&cp_verb_symbol,
	&cp_verb_symbolize,
	NULL,
};

void cp_note(const char *format, ...)
{
	va_list ap;

	fputs("cprobe: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	putc('\n', stderr);
}

void cp_note_missing_symbols(const struct cp_program *program)
{
	if (!program->symbols.count)
		cp_note("%s: no symbol table (.symtab, .dynsym), here or in a debug file: functions that only it names are missing",
			program->image->path);
	else if (program->symbols.is_dynsym)
		cp_note("%s: no .symtab, only .dynsym: local functions that only .symtab names are missing", program->image->path);
}
