/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "code/fmtmatch.h"

#define LONGEST_TEXT 1024
#define LONGEST_FORMAT 4096

enum piece_class { PIECE_LITERAL, PIECE_ANY, PIECE_NUMBER, PIECE_HEX, PIECE_CHAR };

struct piece {
	unsigned char class;
	unsigned char literal;
	unsigned short offset;	/* in the format */
};

/* One conversion after its '%': how long it is and what it prints. 0: not a conversion. */
static size_t conversion(const char *p, size_t length, unsigned char *class)
{
	size_t at = 0;

	while (at < length && strchr("-+ #0123456789.*'hlqjzt", p[at]) && p[at])
		at++;
	if (at == length)
		return 0;
	switch (p[at]) {
	case 'd': case 'i': case 'u':
		*class = PIECE_NUMBER;
		break;
	case 'x': case 'X': case 'o':
		*class = PIECE_HEX;
		break;
	case 'c':
		*class = PIECE_CHAR;
		break;
	case 'p':	/* Linux: %pS, %pOF and many more print words */
		*class = PIECE_ANY;
		while (at + 1 < length && isalpha((unsigned char)p[at + 1]))
			at++;
		break;
	case 's': case 'b': case 'e': case 'f': case 'g': case 'D': case 'm':
		*class = PIECE_ANY;
		break;
	default:
		return 0;
	}
	return at + 1;
}

static size_t split(const char *format, size_t length, struct piece *pieces)
{
	size_t count = 0;

	for (size_t at = 0; at < length; count++) {
		struct piece *piece = &pieces[count];
		size_t size;

		*piece = (struct piece){ PIECE_LITERAL, (unsigned char)format[at], (unsigned short)at };
		at++;
		if (piece->literal != '%')
			continue;
		if (at < length && format[at] == '%') {
			at++;
			continue;
		}
		size = conversion(format + at, length - at, &piece->class);
		at += size;
	}
	return count;
}

static bool accepts(const struct piece *piece, unsigned char c)
{
	switch (piece->class) {
	case PIECE_ANY:
		return true;
	case PIECE_NUMBER:
		return isdigit(c) || c == '-' || c == '+' || c == ' ';
	case PIECE_HEX:
		return isxdigit(c) || c == 'x' || c == ' ';
	case PIECE_CHAR:
		return true;
	default:
		return false;
	}
}

/* The best way to have printed the text so far and to stand before (or, in a conversion, within) a piece. */
struct state {
	int score;		/* literal characters; -1: no way */
	unsigned short run;	/* of literal ones at the end */
	unsigned short best_run;
	unsigned short place;
};

static void improve(struct state *state, struct state by)
{
	if (by.score > state->score || (by.score == state->score && by.best_run > state->best_run))
		*state = by;
}

static void step(const struct piece *pieces, size_t count, unsigned char c, struct state *now, struct state *next)
{
	for (size_t i = 0; i <= count; i++)
		next[i].score = -1;
	for (size_t i = 0; i < count; i++) {
		struct state state = now[i];

		if (state.score < 0)
			continue;
		if (pieces[i].class == PIECE_LITERAL) {
			if (pieces[i].literal != c)
				continue;
			state.score++;
			state.run++;
			if (state.run > state.best_run)
				state.best_run = state.run;
			improve(&next[i + 1], state);
			continue;
		}
		if (pieces[i].class == PIECE_ANY)
			improve(&now[i + 1], now[i]);	/* an empty %s; i + 1 is looked at next */
		if (!accepts(&pieces[i], c))
			continue;
		state.run = 0;
		if (pieces[i].class != PIECE_CHAR)
			improve(&next[i], state);
		improve(&next[i + 1], state);
	}
}

struct cp_error *cp_format_match(const char *format, size_t length, const char *text, bool *matches, size_t *place,
	unsigned int *score)
{
	struct cp_error *error = &cp_error_no_memory;
	size_t text_length = strlen(text), count;
	struct state *now, *next, best = { .score = -1 };
	struct piece *pieces;

	*matches = false;
	if (!text_length || text_length > LONGEST_TEXT || !length || length > LONGEST_FORMAT)
		return NULL;
	pieces = malloc(length * sizeof(*pieces));
	now = malloc((length + 1) * sizeof(*now));
	next = malloc((length + 1) * sizeof(*next));
	if (!pieces || !now || !next)
		goto out;
	count = split(format, length, pieces);
	for (size_t i = 0; i <= count; i++)
		now[i] = (struct state){ .score = i < count ? 0 : -1, .place = i < count ? pieces[i].offset : 0 };
	for (size_t j = 0; j < text_length; j++) {
		struct state *swap = now;

		step(pieces, count, (unsigned char)text[j], now, next);
		now = next;
		next = swap;
	}
	for (size_t i = 0; i <= count; i++)
		improve(&best, now[i]);
	error = NULL;
	*matches = best.score >= 0 && best.best_run >= CP_FORMAT_RUN && (size_t)best.score * 5 >= text_length * 2;
	if (*matches) {
		*place = best.place;
		*score = (unsigned int)best.score;
	}
out:
	free(pieces);
	free(now);
	free(next);
	return error;
}
