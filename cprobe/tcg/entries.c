/* SPDX-License-Identifier: BSD-2-Clause */
/* See entries.h. */
#include "entries.h"

#include "plugin.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int
by_address(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->address != b->address)
		return a->address > b->address ? 1 : -1;
	return (a->line > b->line) - (a->line < b->line);
}

static struct cp_error *
append(struct entries *entries, uint64_t address, size_t line, const char *name)
{
	char *copy;

	if (entries->count == entries->room) {
		size_t grown = entries->room != 0 ? 2 * entries->room : 64;
		struct entry *items = reallocarray(entries->items, grown, sizeof(*items));

		if (items == NULL)
			return &cp_error_no_memory;
		entries->items = items;
		entries->room = grown;
	}
	copy = strdup(name);
	if (copy == NULL)
		return &cp_error_no_memory;
	entries->items[entries->count++] = (struct entry){address, line, copy};
	return NULL;
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

struct cp_error *
entries_read(const char *path, struct entries *entries)
{
	size_t before = entries->count, base = last_line(entries), number = 0, size = 0;
	char *line = NULL;
	struct cp_error *error = NULL;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
	while (error == NULL && getline(&line, &size, file) > 0) {
		uint64_t address;
		char *name;

		number++;
		if (parse_line(line, &address, &name) != 0)
			error = cp_error_create(CP_ERROR_CORRUPT, "%s:%zu: expected 0xADDRESS NAME, as cprobe list prints it",
			    path, number);
		else
			error = append(entries, address, base + number, name);
	}
	if (error == NULL && ferror(file))
		error = cp_error_create(CP_ERROR_IO, "%s: cannot be read to its end", path);
	if (error == NULL && entries->count == before)
		error = cp_error_create(CP_ERROR_NOT_FOUND, "%s: lists no address", path);
	free(line);
	fclose(file);
	return error;
}

static void
note(void *context, const char *text)
{
	(void)context;
	complain("%s", text);
}

static struct cp_error *
add_records(const char *kernel, const struct cp_where *where, const struct cp_records *records, struct entries *entries)
{
	size_t base = last_line(entries);
	struct cp_error *error = NULL;

	if (records->count == 0 && where->files.count == 0 && where->functions.count == 0)
		return cp_error_create(CP_ERROR_NOT_FOUND, "%s: no function has a name: give the kernel that was not stripped, or "
			"put its debug file beside it; what boots may be another file than the one that names its functions "
			"(bootsonde trace --symbols)", kernel);
	if (records->count == 0)
		return cp_error_create(CP_ERROR_NOT_FOUND, "%s: no function matches: cprobe list shows those that there are",
		    kernel);
	for (size_t i = 0; i < records->count && error == NULL; i++) {
		const struct cp_record *record = &records->items[i];

		error = append(entries, record->address, base + i + 1, record->name != NULL ? record->name : "?");
	}
	return error;
}

/* NULL: it cannot be mapped, or has changed its size; then code is known where it is linked alone. */
static const uint8_t *
map_file(const char *path, struct entries *entries, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct map *grown = reallocarray(entries->maps, entries->map_count + 1, sizeof(*grown));
	struct stat status;
	void *start = MAP_FAILED;

	if (grown != NULL)
		entries->maps = grown;
	if (fd >= 0 && grown != NULL && fstat(fd, &status) == 0 && status.st_size > 0)
		start = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (start == MAP_FAILED)
		return NULL;
	*size = (uint64_t)status.st_size;
	entries->maps[entries->map_count++] = (struct map){ start, (size_t)status.st_size };
	return start;
}

static struct cp_error *
add_loads(const char *path, struct cp_program *program, struct entries *entries)
{
	const struct cp_segment *segments;
	const uint8_t *bytes;
	struct load *grown;
	uint64_t size = 0;
	size_t count;

	cp_segments(program, &segments, &count);
	grown = reallocarray(entries->loads, entries->load_count + count + 1, sizeof(*grown));
	if (grown == NULL)
		return &cp_error_no_memory;
	entries->loads = grown;
	bytes = map_file(path, entries, &size);
	for (size_t i = 0; i < count && bytes != NULL; i++) {
		const struct cp_segment *each = &segments[i];

		if (each->type != PT_LOAD || (each->flags & PF_X) == 0 || each->vaddr == each->paddr)
			continue;
		if (each->offset > size || each->filesz > size - each->offset)
			continue;
		entries->loads[entries->load_count++] = (struct load){ each->vaddr, each->paddr, each->filesz,
			bytes + each->offset };
	}
	return NULL;
}

struct cp_error *
entries_list(const char *kernel, const struct cp_where *where, enum cp_inlined inlined, struct entries *entries,
    char **build_id)
{
	struct cp_program *program = NULL;
	struct cp_records records;
	struct cp_error *error;

	cp_records_init(&records, CP_NAMES);
	error = cp_program_open(kernel, note, NULL, &program);
	if (error == NULL)
		error = cp_list(program, where, inlined, &records);
	if (error == NULL)
		error = cp_records_sort(&records);
	if (error == NULL)
		error = add_records(kernel, where, &records, entries);
	if (error == NULL)
		error = add_loads(kernel, program, entries);
	if (error == NULL)
		error = cp_build_id(program, build_id);
	cp_records_deinit(&records);
	cp_program_close(program);
	return error;
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

/* Fibonacci hashing: the upper bits of the product. */
static size_t
slot_of(const struct entries *entries, uint64_t address)
{
	return (size_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - entries->bits));
}

static struct cp_error *
make_slots(struct entries *entries)
{
	size_t mask;

	entries->bits = 4;
	while ((size_t)1 << entries->bits < 4 * entries->count)
		entries->bits++;
	mask = ((size_t)1 << entries->bits) - 1;
	free(entries->slots);
	entries->slots = calloc(mask + 1, sizeof(*entries->slots));
	if (entries->slots == NULL)
		return &cp_error_no_memory;
	for (size_t i = 0; i < entries->count; i++) {
		size_t slot = slot_of(entries, entries->items[i].address);

		if (i > 0 && entries->items[i - 1].address == entries->items[i].address)
			continue;
		while (entries->slots[slot] != 0)
			slot = (slot + 1) & mask;
		entries->slots[slot] = (uint32_t)i + 1;
	}
	return NULL;
}

struct cp_error *
entries_sort(struct entries *entries)
{
	size_t kept = 0;

	if (entries->count != 0)
		qsort(entries->items, entries->count, sizeof(*entries->items), by_address);
	for (size_t i = 0; i < entries->count; i++) {
		struct entry entry = entries->items[i];

		if (is_known(entries, kept, &entry))
			free(entry.name);
		else
			entries->items[kept++] = entry;
	}
	entries->count = kept;
	return make_slots(entries);
}

struct cp_error *
entries_add(struct entries *entries, uint64_t address, const char *name)
{
	struct cp_error *error = append(entries, address, SIZE_MAX, name);

	return error != NULL ? error : entries_sort(entries);
}

void
entries_deinit(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->items[i].name);
	free(entries->items);
	free(entries->slots);
	free(entries->loads);
	for (size_t i = 0; i < entries->map_count; i++)
		munmap(entries->maps[i].start, entries->maps[i].size);
	free(entries->maps);
	*entries = (struct entries){ .items = NULL };
}

const struct entry *
entries_find(const struct entries *entries, uint64_t address)
{
	size_t mask = ((size_t)1 << entries->bits) - 1;

	for (size_t slot = slot_of(entries, address); entries->slots[slot] != 0; slot = (slot + 1) & mask) {
		const struct entry *entry = &entries->items[entries->slots[slot] - 1];

		if (entry->address == address)
			return entry;
	}
	return NULL;
}

bool
entries_within(const struct entries *entries, uint64_t first, uint64_t last)
{
	size_t low = 0, high = entries->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (entries->items[middle].address < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < entries->count && entries->items[low].address <= last;
}

const struct entry *
entries_next(const struct entries *entries, const struct entry *entry)
{
	const struct entry *next = entry + 1;

	return next < entries->items + entries->count && next->address == entry->address ? next : NULL;
}

const struct load *
entries_load_at(const struct entries *entries, uint64_t physical)
{
	for (size_t i = 0; i < entries->load_count; i++)
		if (physical - entries->loads[i].physical < entries->loads[i].size)
			return &entries->loads[i];
	return NULL;
}
