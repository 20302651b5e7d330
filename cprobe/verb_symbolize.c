/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cprobe symbolize: addresses to names and lines, one line out for one line in, in the order of the input. Fit to be
 * a coprocess: what was answered is flushed before it waits for more input. Prints by itself.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lines.h"
#include "verb.h"

/* 0x-hexadecimal or decimal, white space around it allowed. */
static bool parse_address(const char *text, uint64_t *ret)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
	while (isspace((unsigned char)*end))
		end++;
	return !errno && !*end;
}

static struct cp_error *answer(struct cp_program *program, uint64_t address, enum cp_format format, bool *found)
{
	const struct cp_symbol *symbol = cp_symbols_at(&program->symbols, address, true);
	struct cp_record record = { .address = address, .kind = CP_KIND_FUNCTION };
	struct cp_error *error;

	if (!symbol) {
		symbol = cp_symbols_at(&program->symbols, address, false);
		record.kind = symbol ? CP_KIND_OBJECT : CP_KIND_LABEL;
	}
	if (symbol) {
		*found = true;
		record.name = symbol->name;
		record.has_offset = record.has_size = true;
		record.offset = address - symbol->address;
		record.size = symbol->size;
	}
	if (record.kind != CP_KIND_OBJECT) {
		error = cp_line_at(program, address, &record.file, &record.line);
		if (error)
			return error;
		if (!symbol && record.file) {
			const char *inner;

			*found = true;
			record.kind = CP_KIND_FUNCTION;
			error = cp_inline_chain(program, address, NULL, 0, &inner, &record.name, NULL);
			if (error)
				return error;
		}
	}
	if (format == CP_FORMAT_GDB) {
		printf("# ");
		format = CP_FORMAT_TEXT;
	}
	cp_record_print(stdout, &record, format);
	return NULL;
}

static void unknown(const char *text, enum cp_format format)
{
	if (format == CP_FORMAT_JSON) {
		printf("{\"input\": ");
		cp_json_string(stdout, text);
		printf(", \"error\": \"not an address\"}\n");
	} else {
		printf("%s?\n", format == CP_FORMAT_GDB ? "# " : "");
	}
	cp_note("symbolize: \"%s\" is not an address: give 0x-hexadecimal or decimal, one a line", text);
}

static struct cp_error *one_line(struct cp_program *program, char *line, enum cp_format format, bool *found)
{
	uint64_t address;

	if (parse_address(line, &address))
		return answer(program, address, format, found);
	unknown(line, format);
	return NULL;
}

#define LONGEST_LINE 4096

static struct cp_error *from_stdin(struct cp_program *program, enum cp_format format, bool *found)
{
	char buffer[LONGEST_LINE + 1];
	size_t used = 0;

	for (;;) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		struct cp_error *error = NULL;
		char *start = buffer, *newline;
		ssize_t got;

		if (poll(&input, 1, 0) <= 0)
			fflush(stdout);
		got = read(STDIN_FILENO, buffer + used, LONGEST_LINE - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cp_error_create(CP_ERROR_IO, "standard input: %s", strerror(errno));
		used += (size_t)got;
		while (!error && (newline = memchr(start, '\n', used - (size_t)(start - buffer)))) {
			*newline = 0;
			error = one_line(program, start, format, found);
			start = newline + 1;
		}
		used -= (size_t)(start - buffer);
		memmove(buffer, start, used);
		if (!error && used && (got == 0 || used == LONGEST_LINE)) {
			buffer[used] = 0;	/* the last line without its end, or one that is too long to be an address */
			error = one_line(program, buffer, format, found);
			used = 0;
		}
		if (error || got == 0 || ferror(stdout))
			return error;
	}
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct cp_error *error = cp_program_need_symbols(program);
	bool found = false;

	(void)records;
	for (int i = 0; i < options->arg_count; i++) {
		uint64_t unused;

		if (!parse_address(options->args[i], &unused))
			return cp_error_create(CP_ERROR_USAGE, "symbolize: \"%s\" is not an address: give 0x-hexadecimal or decimal",
				options->args[i]);
	}
	if (error)
		return error;
	if (!program->symbols.count)
		cp_note_missing_symbols(program);
	for (int i = 0; i < options->arg_count && !error; i++)
		error = one_line(program, options->args[i], options->format, &found);
	if (!options->arg_count)
		error = from_stdin(program, options->format, &found);
	*status = found ? 0 : 1;
	return error;
}

const struct cp_verb cp_verb_symbolize = {
	.name = "symbolize", .usage = "KERNEL [ADDR...]", .max_args = -1, .run = run,
	.help = "The function, offset, file and line of each address, given as arguments or one a line on standard input.",
};
