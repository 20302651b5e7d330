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

/* The name as a JSON string with its quotes; NULL: out of memory. */
static char *
quoted(const char *name)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	bool failed;

	if (stream == NULL)
		return NULL;
	cp_json_string(stream, name);
	failed = ferror(stream) != 0;
	if (fclose(stream) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}

static int
append(struct entries *entries, uint64_t address, size_t line, const char *name)
{
	char *copy;

	if (entries->count == entries->room) {
		size_t grown = entries->room != 0 ? 2 * entries->room : 64;
		struct entry *items = reallocarray(entries->items, grown, sizeof(*items));

		if (items == NULL)
			return -1;
		entries->items = items;
		entries->room = grown;
	}
	copy = quoted(name);
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

/* Numbers go on where the lists before ended, so that sorting keeps the order of adding. */
static size_t
last_line(const struct entries *entries)
{
	return entries->count != 0 ? entries->items[entries->count - 1].line : 0;
}

const char *
entries_read(const char *path, struct entries *entries)
{
	size_t before = entries->count, base = last_line(entries), number = 0, size = 0;
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
		else if (append(entries, address, base + number, name) != 0)
			problem = "out of memory";
	}
	if (problem == NULL && ferror(file))
		problem = fail(path, 0, "cannot be read to its end");
	if (problem == NULL && entries->count == before)
		problem = fail(path, 0, "lists no address");
	free(line);
	fclose(file);
	return problem;
}

static void
note(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "bootsonde-tcg: %s\n", text);
}

static const char *
add_records(const char *kernel, const struct cp_records *records, struct entries *entries)
{
	size_t base = last_line(entries);

	if (records->count == 0)
		return fail(kernel, 0, "no function matches: cprobe list shows those that there are");
	for (size_t i = 0; i < records->count; i++) {
		const struct cp_record *record = &records->items[i];

		if (append(entries, record->address, base + i + 1, record->name != NULL ? record->name : "?") != 0)
			return "out of memory";
	}
	return NULL;
}

const char *
entries_list(const char *kernel, const struct cp_where *where, enum cp_inlined inlined, struct entries *entries)
{
	struct cp_program *program = NULL;
	struct cp_records records;
	const char *problem = NULL;
	struct cp_error *error;

	cp_records_init(&records, CP_BRIEF);
	error = cp_program_open(kernel, note, NULL, &program);
	if (error == NULL)
		error = cp_list(program, where, inlined, &records);
	if (error == NULL)
		error = cp_records_sort(&records);
	if (error != NULL) {
		snprintf(message, sizeof(message), "%s", error->message);
		problem = message;
		cp_error_destroy(error);
	} else {
		problem = add_records(kernel, &records, entries);
	}
	cp_records_deinit(&records);
	cp_program_close(program);
	return problem;
}

/* Is there an entry before `at`, among those kept, with the same address and name? */
static int
is_known(const struct entries *entries, size_t kept, const struct entry *at)
{
	while (kept > 0 && entries->items[kept - 1].address == at->address) {
		kept--;
		if (strcmp(entries->items[kept].name, at->name) == 0)
			return 1;
	}
	return 0;
}

void
entries_sort(struct entries *entries)
{
	size_t kept = 0;

	if (entries->count == 0)
		return;
	qsort(entries->items, entries->count, sizeof(*entries->items), by_address);
	for (size_t i = 0; i < entries->count; i++) {
		struct entry entry = entries->items[i];

		if (is_known(entries, kept, &entry))
			free(entry.name);
		else
			entries->items[kept++] = entry;
	}
	entries->count = kept;
}

void
entries_deinit(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->items[i].name);
	free(entries->items);
	*entries = (struct entries){NULL, 0, 0};
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
