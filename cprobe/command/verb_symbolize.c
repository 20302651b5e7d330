/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One answer for one line, in the order of the input. Fit to be a coprocess: what was answered is flushed before it
 * waits for more input. Prints by itself.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/input.h"
#include "command/lines.h"
#include "command/output.h"
#include "command/verb.h"

/* Lines to answer at once: addresses of one unit are answered by one reading of its line table. */
#define BATCH 65536

struct stream {
	struct cp_program *program;
	const struct cp_options *options;
	uint64_t *addresses;	/* BATCH */
	size_t address_count;
	char **lines;		/* BATCH: NULL for a line that gave an address, else what it says, owned */
	size_t count;
	bool found;
	struct cp_error *error;	/* from before_wait() */
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

static void print_unknown(const char *text, enum cp_format format)
{
	if (format == CP_FORMAT_JSON) {
		printf("{\"input\": ");
		cp_json_string(stdout, text);
		printf(", \"error\": \"not an address\"}\n");
	} else {
		printf("%s?\n", format == CP_FORMAT_GDB ? "# " : "");
	}
}

static struct cp_error *print_record(struct stream *s, const struct cp_record *record)
{
	s->found |= record->name || record->file;
	if (s->options->format == CP_FORMAT_GDB)
		fputs("# ", stdout);
	return cp_record_print(stdout, record, s->options->format == CP_FORMAT_GDB ? CP_FORMAT_TEXT : s->options->format);
}

static void forget(struct stream *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->lines[i]);
	s->count = s->address_count = 0;
}

/* Answer what was collected. */
static struct cp_error *answer(struct stream *s)
{
	struct cp_records records;
	struct cp_error *error;
	size_t next = 0;

	if (!s->count)
		return NULL;
	cp_records_init(&records, s->options->format == CP_FORMAT_JSON ? CP_FULL : CP_BRIEF);
	error = cp_symbolize(s->program, s->addresses, s->address_count, s->options->inlines, &records);
	for (size_t i = 0; !error && i < s->count; i++) {
		if (s->lines[i])
			print_unknown(s->lines[i], s->options->format);
		else
			error = print_record(s, &records.items[next++]);
	}
	forget(s);
	cp_records_deinit(&records);
	return error;
}

static struct cp_error *add_address(struct stream *s, uint64_t address)
{
	s->addresses[s->address_count++] = address;
	s->lines[s->count++] = NULL;
	return s->count == BATCH ? answer(s) : NULL;
}

/* A line without an address is answered too, so that answers and lines can be paired. Takes `line`. */
static struct cp_error *add_unknown(struct stream *s, char *line)
{
	s->lines[s->count++] = line;
	return s->count == BATCH ? answer(s) : NULL;
}

static struct cp_error *unusable(struct stream *s, const char *line, const char *why)
{
	char *copy = strdup(line);

	if (!copy)
		return &cp_error_no_memory;
	cp_complain("symbolize: %s: give 0x-hexadecimal or decimal, one a line, or cprobe's own lines", why);
	return add_unknown(s, copy);
}

static struct cp_error *not_plain(struct stream *s, char *line)
{
	char *copy = strdup(line), *room = NULL, *text;
	struct cp_error *error;
	enum cp_input kind;
	uint64_t address;

	if (!copy)
		return &cp_error_no_memory;
	error = cp_input_part(line, CP_PART_ADDRESS, &kind, &room, &text);
	if (error || kind == CP_INPUT_PASS) {
		free(copy);
		return error;
	}
	if (kind == CP_INPUT_PART && parse_address(text, &address)) {
		free(copy);
		return add_address(s, address);
	}
	cp_complain("symbolize: \"%s\" is not an address: give 0x-hexadecimal or decimal, one a line, or cprobe's own lines",
		copy);
	return add_unknown(s, copy);
}

static struct cp_error *one_line(struct stream *s, enum cp_line_state state, char *line)
{
	uint64_t address;

	if (state != CP_LINE_GOOD) {
		char why[64];

		snprintf(why, sizeof(why), "a line %s is not an address", cp_line_fault(state));
		return unusable(s, line, why);
	}
	if (parse_address(line, &address))
		return add_address(s, address);
	return not_plain(s, line);
}

static bool before_wait(void *context)
{
	struct stream *s = context;

	s->error = answer(s);
	return !s->error && cp_output_flush();
}

static struct cp_error *from_stdin(struct stream *s)
{
	struct cp_lines lines = { .fd = STDIN_FILENO, .before_wait = before_wait, .context = s };
	struct cp_error *error;

	if (isatty(STDIN_FILENO))
		cp_complain("symbolize: waiting for addresses, one a line; end with Ctrl-D");
	for (;;) {
		enum cp_line_state state;
		char *line;

		error = cp_lines_next(&lines, &state, &line);
		if (error || state == CP_LINE_END)
			break;
		error = one_line(s, state, line);
		if (error || ferror(stdout))
			break;
	}
	cp_lines_deinit(&lines);
	if (!error)
		error = s->error;
	return error ? error : answer(s);
}

static struct cp_error *check(const struct cp_options *options)
{
	uint64_t unused;

	for (int i = 0; i < options->arg_count; i++) {
		if (!parse_address(options->args[i], &unused))
			return cp_error_create(CP_ERROR_USAGE, "symbolize: \"%s\" is not an address: give 0x-hexadecimal or decimal",
				options->args[i]);
	}
	return NULL;
}

static struct cp_error *from_arguments(struct stream *s)
{
	struct cp_error *error = NULL;
	uint64_t address;

	for (int i = 0; i < s->options->arg_count && !error; i++) {
		if (parse_address(s->options->args[i], &address))
			error = add_address(s, address);
	}
	return error ? error : answer(s);
}

static struct cp_error *run(struct cp_program *program, const struct cp_options *options, struct cp_records *records,
	int *status)
{
	struct stream s = { .program = program, .options = options };
	struct cp_error *error;

	(void)records;
	s.addresses = malloc(BATCH * sizeof(*s.addresses));
	s.lines = malloc(BATCH * sizeof(*s.lines));
	if (s.addresses && s.lines)
		error = options->arg_count ? from_arguments(&s) : from_stdin(&s);
	else
		error = &cp_error_no_memory;
	forget(&s);
	free(s.addresses);
	free(s.lines);
	*status = s.found ? 0 : 1;
	if (!error && !s.found && !ferror(stdout))
		cp_complain("%s: symbolize: nothing matched", options->kernel);
	return error;
}

const struct cp_verb cp_verb_symbolize = {
	.name = "symbolize", .words = "ADDRESS", .takes = CP_TAKES_INLINES, .waits = true, .check = check, .run = run,
};
