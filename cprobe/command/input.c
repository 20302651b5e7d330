/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "command/input.h"
#include "command/object.h"

/* What a line of cprobe's says; NULL where it says nothing. */
struct said {
	char *address, *name, *file, *line, *kind, *type;
	const char *wild;	/* characters of names and files that are meant literally, though a glob's */
};

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return text;
}

static bool is_digits(const char *text, const char *digits)
{
	return *text && !text[strspn(text, digits)];
}

static bool is_hex(const char *text)
{
	return !strncmp(text, "0x", 2) && is_digits(text + 2, "0123456789abcdef");
}

static bool is_decimal(const char *text)
{
	return is_digits(text, "0123456789");
}

static bool is_kind(const char *word)
{
	static const char *const kinds[] = { "function", "inlined", "line", "check", "insn", "message", "object", "label",
		"unknown" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!strcmp(kinds[i], word))
			return true;
	}
	return false;
}

/* Cut the first words of a line off: the rest stays in *line. False: there are fewer, and the line is as it was. */
static bool cut_words(char **line, char **words, size_t count)
{
	char *at = *line;
	char *ends[4];

	for (size_t i = 0; i < count; i++) {
		at += strspn(at, " ");
		if (!*at)
			return false;
		words[i] = at;
		at += strcspn(at, " ");
		ends[i] = at;
	}
	*line = *at ? at + 1 : at;
	for (size_t i = 0; i < count; i++)
		*ends[i] = 0;
	return true;
}

/* Put back what cut_words() cut: its words are then a line again. */
static void mend(char *line, const char *rest)
{
	for (char *at = line; at < rest; at++) {
		if (!*at)
			*at = ' ';
	}
}

static bool read_place(char *name, char *place, char *kind, struct said *said)
{
	char *colon = strrchr(place, ':');

	if (!colon || !is_decimal(colon + 1) || !is_kind(kind))
		return false;
	*colon = 0;
	said->name = name;
	said->file = place;
	said->line = colon + 1;
	said->kind = kind;
	said->wild = "*[\\";	/* "?" stands for a character that could not be printed, and matches it as a glob */
	return true;
}

/* NAME FILE:LINE KIND ..., with 0xADDRESS before it or without. */
static bool read_text(char *line, bool with_address, struct said *said)
{
	char *rest = line, *words[4], *patches;
	size_t count = with_address ? 4 : 3;

	if (!cut_words(&rest, words, count))
		return false;
	if ((!with_address || is_hex(words[0])) && read_place(words[count - 3], words[count - 2], words[count - 1], said)) {
		said->address = with_address ? words[0] : NULL;
		/* An alternative's instruction runs where it is copied to. */
		patches = strrchr(rest, ' ');
		if (with_address && patches && patches >= rest + 3 && !strncmp(patches - 3, "for", 3) && is_hex(patches + 1))
			said->address = patches + 1;
		return true;
	}
	mend(line, rest);
	return false;
}

/* OFFSET SIZE NAME TYPE. */
static bool read_layout(char *line, struct said *said)
{
	char *rest = line, *words[3];

	if (!cut_words(&rest, words, 3))
		return false;
	if (is_decimal(words[0]) && is_decimal(words[1]) && *rest) {
		said->name = words[2];
		return true;
	}
	mend(line, rest);
	return false;
}

/* One line of a gdb script; *pass: it belongs to another line, which has the address, or the rest. */
static bool read_gdb(char *line, enum cp_part part, struct said *said, bool *pass)
{
	if (!strncmp(line, "break *", 7) && is_hex(line + 7)) {
		said->address = line + 7;
		*pass = part != CP_PART_ADDRESS;
		return true;
	}
	if (strncmp(line, "# ", 2))
		return false;
	line += 2;
	if (read_text(line, true, said) || read_layout(line, said))
		return true;
	if (!strncmp(line, "also ", 5) && read_text(line + 5, false, said)) {
		*pass = part == CP_PART_ADDRESS;
		return true;
	}
	if (!read_text(line, false, said))
		return false;
	/* An object's comment has no break after it. */
	*pass = part == CP_PART_ADDRESS && strcmp(said->kind, "object");
	return true;
}

/* "struct foo *[4]" to "foo". */
static char *bare_type(char *type)
{
	if (!strncmp(type, "const ", 6))
		type += 6;
	if (!strncmp(type, "struct ", 7))
		type += 7;
	else if (!strncmp(type, "union ", 6))
		type += 6;
	type[strcspn(type, " *[")] = 0;
	return type;
}

static bool read_json(char *line, struct said *said)
{
	char *patches = NULL;
	struct cp_member members[] = { { "address", &said->address }, { "patches", &patches }, { "name", &said->name }, { "file", &said->file },
		{ "line", &said->line }, { "kind", &said->kind }, { "type", &said->type } };

	if (*line != '{' || !cp_object_read(line, members, sizeof(members) / sizeof(*members)))
		return false;
	if (patches)
		said->address = patches;
	if (said->address && !is_hex(said->address))
		said->address = NULL;
	if (said->line && !is_decimal(said->line))
		said->line = NULL;
	if (!said->kind || strcmp(said->kind, "object"))
		said->type = NULL;
	if (said->type)
		said->type = bare_type(said->type);
	said->wild = "*?[\\";
	return true;
}

/* "name+0x1f" without its offset. */
static void cut_offset(char *name)
{
	char *plus = strrchr(name, '+');

	if (plus && plus > name && is_hex(plus + 1))
		*plus = 0;
}

/* `text` with a backslash before each character that is a glob's, then `more`. */
static char *escape(const char *text, const char *wild, const char *more, char **room)
{
	char *at = malloc(2 * strlen(text) + strlen(more) + 1);

	*room = at;
	if (!at)
		return NULL;
	for (; *text; text++) {
		if (wild && strchr(wild, *text))
			*at++ = '\\';
		*at++ = *text;
	}
	strcpy(at, more);
	return *room;
}

static struct cp_error *name_part(const struct said *said, char **room, char **ret)
{
	cut_offset(said->name);
	if (said->wild && strpbrk(said->name, said->wild))
		*ret = escape(said->name, said->wild, "", room);
	else
		*ret = said->name;
	return *ret ? NULL : &cp_error_no_memory;
}

static struct cp_error *place_part(const struct said *said, char **room, char **ret)
{
	char more[32] = ":";

	strncat(more, said->line, sizeof(more) - 2);
	*ret = escape(said->file, said->wild, more, room);
	return *ret ? NULL : &cp_error_no_memory;
}

static bool is_known(const char *text)
{
	return text && *text && strcmp(text, "?");
}

struct cp_error *cp_input_part(char *line, enum cp_part part, enum cp_input *kind, char **room, char **ret)
{
	struct said said = { .address = NULL };
	bool pass = false;

	*room = NULL;
	line = trim(line);
	*ret = line;
	if (!read_json(line, &said) && !read_text(line, true, &said) && !read_layout(line, &said) &&
	    !read_gdb(line, part, &said, &pass)) {
		*kind = CP_INPUT_WORD;
		return NULL;
	}
	*kind = pass ? CP_INPUT_PASS : CP_INPUT_PART;
	if (pass)
		return NULL;
	if (part == CP_PART_ADDRESS && said.address)
		*ret = said.address;
	else if (part == CP_PART_NAME && is_known(said.name))
		return name_part(&said, room, ret);
	else if (part == CP_PART_PLACE && is_known(said.file) && said.line && strcmp(said.line, "0"))
		return place_part(&said, room, ret);
	else if (part == CP_PART_TYPE && (is_known(said.type) || is_known(said.name)))
		*ret = is_known(said.type) ? said.type : said.name;
	else
		*kind = CP_INPUT_LACKING;
	return NULL;
}
