/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/lines.h"
#include "command/words.h"

/* A list of all functions names thousands that exist only as inlined copies: no symbols. */
#define UNKNOWN_NAMED 10

struct word {
	char *text;	/* owned */
	size_t number;	/* in the order of the input */
};

struct words {
	struct word *items;
	size_t count, room;
};

static struct cp_error *add(struct words *words, const char *text)
{
	char *copy;

	if (words->count == words->room) {
		size_t room = words->room ? 2 * words->room : 64;
		struct word *items = reallocarray(words->items, room, sizeof(*items));

		if (!items)
			return &cp_error_no_memory;
		words->items = items;
		words->room = room;
	}
	copy = strdup(text);
	if (!copy)
		return &cp_error_no_memory;
	words->items[words->count] = (struct word){ copy, words->count };
	words->count++;
	return NULL;
}

static int by_text(const void *left, const void *right)
{
	const struct word *a = left, *b = right;
	int order = strcmp(a->text, b->text);

	return order ? order : (a->number > b->number) - (a->number < b->number);
}

static int by_number(const void *left, const void *right)
{
	const struct word *a = left, *b = right;

	return (a->number > b->number) - (a->number < b->number);
}

/* A list names a function once for each of its places. */
static void drop_repeated(struct words *words)
{
	size_t kept = 0;

	if (words->count)
		qsort(words->items, words->count, sizeof(*words->items), by_text);
	for (size_t i = 0; i < words->count; i++) {
		if (kept && !strcmp(words->items[kept - 1].text, words->items[i].text))
			free(words->items[i].text);
		else
			words->items[kept++] = words->items[i];
	}
	words->count = kept;
	if (kept)
		qsort(words->items, kept, sizeof(*words->items), by_number);
}

static const char *const part_names[] = {
	[CP_PART_ADDRESS] = "address", [CP_PART_NAME] = "name", [CP_PART_PLACE] = "known FILE:LINE", [CP_PART_TYPE] = "name",
};

static struct cp_error *add_line(struct words *words, const char *verb, enum cp_part part, char *line)
{
	enum cp_input kind;
	char *room, *text;
	struct cp_error *error;

	if (!line[strspn(line, " \t\r\v\f")])
		return NULL;
	error = cp_input_part(line, part, &kind, &room, &text);
	if (!error && (kind == CP_INPUT_PART || kind == CP_INPUT_WORD))
		error = add(words, text);
	else if (!error && kind == CP_INPUT_LACKING)
		cp_complain("%s: a line of the input has no %s: passed over", verb, part_names[part]);
	free(room);
	return error;
}

static struct cp_error *read_all(struct words *words, const char *verb, enum cp_part part)
{
	struct cp_lines lines = { .fd = STDIN_FILENO };
	struct cp_error *error;

	for (size_t number = 1;; number++) {
		enum cp_line_state state;
		char *line;

		error = cp_lines_next(&lines, &state, &line);
		if (error || state == CP_LINE_END)
			break;
		if (state == CP_LINE_GOOD)
			error = add_line(words, verb, part, line);
		else
			cp_complain("%s: standard input, line %zu: %s: passed over", verb, number, cp_line_fault(state));
		if (error)
			break;
	}
	cp_lines_deinit(&lines);
	if (!error && !words->count)
		cp_complain("%s: nothing to look up: no words given, and none on standard input", verb);
	return error;
}

/* The question that all words are part of. */
struct question {
	struct cp_program *program;
	const struct cp_options *options;
	cp_word_fn *ask;
	const char *noun;
	struct cp_records *records;
	size_t most;		/* unknown words to name */
	size_t unknown;
};

/* Alone, apart from what the words before it gave: the same answer again may not have been added. */
static struct cp_error *is_unknown(struct question *q, char *word, bool *ret)
{
	struct cp_records alone;
	struct cp_error *error;

	cp_records_init(&alone, CP_BRIEF);
	error = q->ask(q->program, q->options, word, &alone);
	*ret = !alone.count;
	cp_records_deinit(&alone);
	return error;
}

static struct cp_error *ask_one(struct question *q, char *word)
{
	size_t before = q->records->count;
	struct cp_error *error = q->ask(q->program, q->options, word, q->records);
	bool unknown = q->records->count == before;

	if (!error && q->noun && unknown && before)
		error = is_unknown(q, word, &unknown);
	if (!error && q->noun && unknown && q->unknown++ < q->most)
		cp_complain("%s: no %s %s", q->options->kernel, q->noun, word);
	return error;
}

/* One word's mistake is no reason to leave the others unanswered. */
static struct cp_error *forgive(struct cp_error *error)
{
	if (!error || (error->code != CP_ERROR_USAGE && error->code != CP_ERROR_NOT_FOUND))
		return error;
	cp_complain("%s", error->message);
	cp_error_destroy(error);
	return NULL;
}

static struct cp_error *ask_input(struct question *q, enum cp_part part)
{
	struct words words = { NULL, 0, 0 };
	struct cp_error *error = read_all(&words, q->options->verb->name, part);

	drop_repeated(&words);
	for (size_t i = 0; i < words.count && !error; i++)
		error = forgive(ask_one(q, words.items[i].text));
	for (size_t i = 0; i < words.count; i++)
		free(words.items[i].text);
	free(words.items);
	if (q->unknown > q->most)
		cp_complain("%s: no %s: %zu more of the %zu different words", q->options->kernel, q->noun, q->unknown - q->most,
			words.count);
	return error;
}

struct cp_error *cp_words_ask(struct cp_program *program, const struct cp_options *options, enum cp_part part,
	cp_word_fn *ask, const char *noun, struct cp_records *records)
{
	struct question q = { .program = program, .options = options, .ask = ask, .noun = noun, .records = records,
		.most = options->arg_count ? SIZE_MAX : UNKNOWN_NAMED };
	struct cp_error *error = NULL;

	if (!options->arg_count)
		return ask_input(&q, part);
	for (int i = 0; i < options->arg_count && !error; i++)
		error = ask_one(&q, options->args[i]);
	return error;
}
