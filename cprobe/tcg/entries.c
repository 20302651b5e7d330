/* See entries.h. */
#include "entries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char message[512];

static const char *
fail(const char *path, size_t line, const char *what)
{
	if (line != 0)
		snprintf(message, sizeof(message), "%s:%zu: %s", path, line, what);
	else
		snprintf(message, sizeof(message), "%s: %s", path, what);
	return message;
}

static int
by_address(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->address != b->address)
		return a->address > b->address ? 1 : -1;
	return (a->line > b->line) - (a->line < b->line);
}

static int
append(struct entries *entries, size_t *room, uint64_t address, size_t line, const char *name)
{
	if (entries->count == *room) {
		size_t grown = *room != 0 ? 2 * *room : 64;
		struct entry *items = reallocarray(entries->items, grown, sizeof(*items));

		if (items == NULL)
			return -1;
		entries->items = items;
		*room = grown;
	}
	char *copy = strdup(name);
	if (copy == NULL)
		return -1;
	entries->items[entries->count++] = (struct entry){address, line, copy};
	return 0;
}

/* Splits `0xADDRESS NAME ...`; -1 if the line is none of that. */
static int
parse_line(char *line, uint64_t *address, char **name)
{
	char *end;

	errno = 0;
	*address = strtoull(line, &end, 16);
	if (errno != 0 || end == line || *end != ' ')
		return -1;
	*name = end + 1;
	(*name)[strcspn(*name, " \n")] = '\0';
	for (const char *c = *name; *c != '\0'; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20)
			return -1;
	return **name != '\0' ? 0 : -1;
}

const char *
entries_read(const char *path, struct entries *ret)
{
	struct entries entries = {NULL, 0};
	size_t room = 0, number = 0, size = 0;
	char *line = NULL;
	const char *problem = NULL;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return fail(path, 0, strerror(errno));
	while (problem == NULL && getline(&line, &size, file) > 0) {
		uint64_t address;
		char *name;

		number++;
		if (parse_line(line, &address, &name) != 0)
			problem = fail(path, number, "expected 0xADDRESS NAME, as cprobe list prints it");
		else if (append(&entries, &room, address, number, name) != 0)
			problem = "out of memory";
	}
	if (problem == NULL && ferror(file))
		problem = fail(path, 0, "cannot be read to its end");
	if (problem == NULL && entries.count == 0)
		problem = fail(path, 0, "lists no address");
	free(line);
	fclose(file);
	if (problem != NULL) {
		entries_deinit(&entries);
		return problem;
	}
	qsort(entries.items, entries.count, sizeof(*entries.items), by_address);
	*ret = entries;
	return NULL;
}

void
entries_deinit(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->items[i].name);
	free(entries->items);
	*entries = (struct entries){NULL, 0};
}

const struct entry *
entries_find(const struct entries *entries, uint64_t address)
{
	size_t low = 0, high = entries->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entries->items[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < entries->count && entries->items[low].address == address ? &entries->items[low] : NULL;
}

const struct entry *
entries_next(const struct entries *entries, const struct entry *entry)
{
	const struct entry *next = entry + 1;

	return next < entries->items + entries->count && next->address == entry->address ? next : NULL;
}
