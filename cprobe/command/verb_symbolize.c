/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line out for one line in, in the order of the input. Fit to be a coprocess: what was answered is flushed before
 * it waits for more input. Prints by itself.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/verb.h"

/* Addresses to ask for at once: those of one unit are answered by one reading of its line table. */
#define BATCH 65536

struct stream {
	struct cp_program *program;
	const struct cp_options *options;
	uint64_t *addresses;	/* BATCH */
	size_t count;
	bool found;
};

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

/* Answer what was collected. */
static struct cp_error *answer(struct stream *s)
{
	struct cp_records records;
	struct cp_error *error;

	if (!s->count)
		return NULL;
	cp_records_init(&records, s->options->format == CP_FORMAT_JSON ? CP_FULL : CP_BRIEF);
	error = cp_symbolize(s->program, s->addresses, s->count, s->options->inlines, &records);
	s->count = 0;
	for (size_t i = 0; !error && i < records.count; i++) {
		s->found |= records.items[i].name || records.items[i].file;
		if (s->options->format == CP_FORMAT_GDB)
			fputs("# ", stdout);
		cp_record_print(stdout, &records.items[i], s->options->format == CP_FORMAT_GDB ? CP_FORMAT_TEXT :
			s->options->format);
	}
	cp_records_deinit(&records);
	return error;
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
	cp_complain("symbolize: \"%s\" is not an address: give 0x-hexadecimal or decimal, one a line", text);
}

static struct cp_error *one_line(struct stream *s, const char *line)
{
	struct cp_error *error = NULL;

	if (parse_address(line, &s->addresses[s->count])) {
		if (++s->count == BATCH)
			error = answer(s);
		return error;
	}
	error = answer(s);
	if (!error)
		unknown(line, s->options->format);
	return error;
}

#define LONGEST_LINE 4096

static struct cp_error *from_stdin(struct stream *s)
{
	char buffer[16 * LONGEST_LINE + 1];
	size_t used = 0;

	for (;;) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		struct cp_error *error = NULL;
		char *start = buffer, *newline;
		ssize_t got;

		if (poll(&input, 1, 0) <= 0) {
			error = answer(s);
			fflush(stdout);
			if (error)
				return error;
		}
		got = read(STDIN_FILENO, buffer + used, sizeof(buffer) - 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cp_error_create(CP_ERROR_IO, "standard input: %s", strerror(errno));
		used += (size_t)got;
		while (!error && (newline = memchr(start, '\n', used - (size_t)(start - buffer)))) {
			*newline = 0;
			error = one_line(s, start);
			start = newline + 1;
		}
		used -= (size_t)(start - buffer);
		memmove(buffer, start, used);
		if (!error && used && (got == 0 || used >= LONGEST_LINE)) {
			buffer[used] = 0;	/* the last line without its end, or one that is too long to be an address */
			error = one_line(s, buffer);
			used = 0;
		}
		if (!error && got == 0)
			error = answer(s);
		if (error || got == 0 || ferror(stdout))
			return error;
	}
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct stream s = { .program = program, .options = options };
	struct cp_error *error = NULL;

	(void)records;
	for (int i = 0; i < options->arg_count; i++) {
		uint64_t unused;

		if (!parse_address(options->args[i], &unused))
			return cp_error_create(CP_ERROR_USAGE, "symbolize: \"%s\" is not an address: give 0x-hexadecimal or decimal",
				options->args[i]);
	}
	s.addresses = malloc(BATCH * sizeof(*s.addresses));
	if (!s.addresses)
		return &cp_error_no_memory;
	for (int i = 0; i < options->arg_count && !error; i++)
		error = one_line(&s, options->args[i]);
	if (!error)
		error = options->arg_count ? answer(&s) : from_stdin(&s);
	free(s.addresses);
	*status = s.found ? 0 : 1;
	return error;
}

const struct cp_verb cp_verb_symbolize = {
	.name = "symbolize", .usage = "KERNEL [--inlines] [ADDR...]", .takes = CP_TAKES_INLINES, .max_args = -1, .run = run,
	.help = "The function, offset, file and line of each address, given as arguments or one a line on standard input.",
};
