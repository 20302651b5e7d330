/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "answer/coverage.h"
#include "base/arena.h"
#include "trace/listed.h"

/* Indices by a text, and a number that belongs to it. */
struct table {
	uint32_t *slots;	/* index + 1; 0: free; owned */
	size_t size;		/* a power of two, more than twice of what it will hold */
};

static bool table_init(struct table *table, size_t count)
{
	table->size = 64;
	while (table->size < 2 * count + 1)
		table->size *= 2;
	table->slots = calloc(table->size, sizeof(*table->slots));
	return table->slots != NULL;
}

static size_t hash(const char *text, uint64_t value)
{
	value *= 0x9e3779b97f4a7c15u;
	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * 0x100000001b3u;
	return (size_t)(value ^ value >> 29);
}

struct join {
	struct cp_coverage *all;
	struct cp_listed listed;
	struct cp_records everything;	/* what is listed where no globs are given, by address; empty: all records are among it */
	struct table files, inlined;	/* of rows: by name, file and line */
	uint32_t last_file;		/* neighbours are of one file */
};

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The index of a file. There is room for as many as there are records. */
static uint32_t file_of(struct join *join, const char *name)
{
	struct cp_coverage *all = join->all;

	if (all->file_count && same(all->files[join->last_file].name, name))
		return join->last_file;
	for (size_t at = hash(name ? name : "", 0);; at++) {
		uint32_t *slot = &join->files.slots[at & (join->files.size - 1)];

		if (!*slot) {
			all->files[all->file_count++] = (struct cp_cover_file){ .name = name, .first = UINT64_MAX,
				.address = UINT64_MAX };
			*slot = (uint32_t)all->file_count;
		}
		if (same(all->files[*slot - 1].name, name)) {
			join->last_file = *slot - 1;
			return join->last_file;
		}
	}
}

/* The row of an inlined function, for all its copies. */
static struct cp_cover_row *inlined_row(struct join *join, const struct cp_record *record, uint32_t file)
{
	struct cp_coverage *all = join->all;

	for (size_t at = hash(record->name, (uint64_t)file << 32 | record->line);; at++) {
		uint32_t *slot = &join->inlined.slots[at & (join->inlined.size - 1)];
		struct cp_cover_row *row = *slot ? &all->rows[*slot - 1] : NULL;

		if (!row) {
			row = &all->rows[all->row_count++];
			*row = (struct cp_cover_row){ .record = record, .file = file, .seen = CP_SEEN_UNKNOWN };
			*slot = (uint32_t)all->row_count;
			return row;
		}
		if (row->file == file && row->record->line == record->line && !strcmp(row->record->name, record->name))
			return row;
	}
}

/* What ran at the record's address. Code that several names have ran by all of them; its count is that of its own. */
static const struct cp_ran *ran_at(const struct cp_record *record, const struct cp_ran *ran, size_t count)
{
	const struct cp_ran *most = ran;

	for (size_t i = 0; i < count && ran[i].address == record->address; i++) {
		if (!strcmp(ran[i].name, record->name))
			return &ran[i];
		if (ran[i].count > most->count)
			most = &ran[i];
	}
	return count && ran->address == record->address ? most : NULL;
}

static void take_hit(struct cp_cover_row *row, const struct cp_ran *ran)
{
	if (row->seen != CP_SEEN_HIT || ran->first < row->first) {
		row->first = ran->first;
		row->vcpu = ran->vcpu;
	}
	row->seen = CP_SEEN_HIT;
	row->count = row->count > UINT64_MAX - ran->count ? UINT64_MAX : row->count + ran->count;
}

static bool is_among(const struct cp_records *records, uint64_t address)
{
	size_t low = 0, high = records->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (records->items[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < records->count && records->items[low].address == address;
}

static bool was_recorded(const struct join *join, const struct cp_record *record, bool inlined)
{
	for (size_t i = 0; i < join->listed.count; i++) {
		struct cp_listed part = { &join->listed.parts[i], 1 };

		if (cp_listed_has(&part, record->file, record->name, inlined) && (inlined || !cp_listed_is_all(part.parts) ||
			!join->everything.count || is_among(&join->everything, record->address)))
			return true;
	}
	return false;
}

static void add_record(struct join *join, const struct cp_record *record, const struct cp_ran *ran)
{
	struct cp_coverage *all = join->all;
	bool inlined = record->kind == CP_KIND_INLINED;
	uint32_t number = file_of(join, record->file);
	struct cp_cover_file *file = &all->files[number];
	struct cp_cover_row *row;

	if (inlined) {
		row = inlined_row(join, record, number);
		row->copies++;
		row->hit_copies += ran != NULL;
	} else {
		row = &all->rows[all->row_count++];
		*row = (struct cp_cover_row){ .record = record, .file = number, .seen = CP_SEEN_UNKNOWN };
		file->functions++;
		file->hit += ran != NULL;
	}
	if (ran)
		take_hit(row, ran);
	else if (row->seen == CP_SEEN_UNKNOWN && was_recorded(join, record, inlined))
		row->seen = CP_SEEN_NOT;
	if (!inlined && row->seen == CP_SEEN_UNKNOWN)
		file->unknown++;
	if (ran && row->first < file->first)
		file->first = row->first;
	if (record->address < file->address)
		file->address = record->address;
}

static int by_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

struct ordered_file {
	struct cp_cover_file file;
	uint32_t was;
};

static int compare_files(const void *a, const void *b)
{
	const struct cp_cover_file *x = &((const struct ordered_file *)a)->file, *y = &((const struct ordered_file *)b)->file;
	int order = by_number(x->first, y->first);

	if (!order)
		order = by_number(x->address, y->address);
	return order ? order : strcmp(x->name ? x->name : "", y->name ? y->name : "");
}

static int compare_rows(const void *a, const void *b)
{
	const struct cp_cover_row *x = a, *y = b;
	bool x_hit = x->seen == CP_SEEN_HIT, y_hit = y->seen == CP_SEEN_HIT;
	int order;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x_hit != y_hit)
		return x_hit ? -1 : 1;
	order = x_hit ? by_number(x->first, y->first) : x->record->kind - y->record->kind;
	if (!order)
		order = by_number(x->record->address, y->record->address);
	return order ? order : strcmp(x->record->name, y->record->name);
}

static struct cp_error *sort(struct cp_coverage *all)
{
	struct ordered_file *files = malloc((all->file_count + 1) * sizeof(*files));
	uint32_t *now = malloc((all->file_count + 1) * sizeof(*now));

	if (!files || !now) {
		free(files);
		free(now);
		return &cp_error_no_memory;
	}
	for (size_t i = 0; i < all->file_count; i++)
		files[i] = (struct ordered_file){ all->files[i], (uint32_t)i };
	qsort(files, all->file_count, sizeof(*files), compare_files);
	for (size_t i = 0; i < all->file_count; i++) {
		all->files[i] = files[i].file;
		now[files[i].was] = (uint32_t)i;
	}
	for (size_t i = 0; i < all->row_count; i++)
		all->rows[i].file = now[all->rows[i].file];
	free(files);
	free(now);
	qsort(all->rows, all->row_count, sizeof(*all->rows), compare_rows);
	for (size_t i = 0; i < all->row_count; i++) {
		struct cp_cover_file *file = &all->files[all->rows[i].file];

		if (!file->count++)
			file->start = i;
	}
	return NULL;
}

/* Both are sorted by address. */
static void join_all(struct join *join, const struct cp_ran *ran, size_t count)
{
	struct cp_coverage *all = join->all;
	size_t at = 0;

	for (size_t i = 0; i < all->records.count; i++) {
		const struct cp_record *record = &all->records.items[i];

		if (!record->name)
			continue;
		while (at < count && ran[at].address < record->address) {
			if (!i || all->records.items[i - 1].address != ran[at].address)
				all->foreign++;
			at++;
		}
		add_record(join, record, ran_at(record, ran + at, count - at));
	}
	for (; at < count; at++) {
		if (!all->records.count || all->records.items[all->records.count - 1].address != ran[at].address)
			all->foreign++;
	}
}

static struct cp_error *list_everything(struct cp_program *program, struct join *join)
{
	static const struct cp_where everywhere;
	struct cp_error *error;
	bool has_all = false;

	for (size_t i = 0; i < join->listed.count; i++)
		has_all |= cp_listed_is_all(&join->listed.parts[i]);
	if (!has_all)
		return NULL;
	error = cp_list(program, &everywhere, CP_INLINED_EXCLUDE, &join->everything);
	return error ? error : cp_records_sort(&join->everything);
}

static struct cp_error *join_records(struct cp_program *program, struct cp_trace *trace, const struct cp_where *where,
	struct cp_coverage *all)
{
	struct join join = { .all = all };
	const struct cp_ran *ran;
	struct cp_error *error = cp_trace_ran(trace, &ran, &all->ran);

	if (!error)
		error = cp_trace_listed(trace, &join.listed);
	if (error)
		return error;
	cp_records_init(&join.everything, CP_NAMES);
	if (where->files.count || where->functions.count)
		error = list_everything(program, &join);
	all->rows = malloc((all->records.count + 1) * sizeof(*all->rows));
	all->files = malloc((all->records.count + 1) * sizeof(*all->files));
	if (!error && (!all->rows || !all->files || !table_init(&join.files, all->records.count) ||
		!table_init(&join.inlined, all->records.count)))
		error = &cp_error_no_memory;
	if (!error) {
		join_all(&join, ran, all->ran);
		error = sort(all);
	}
	free(join.files.slots);
	free(join.inlined.slots);
	cp_records_deinit(&join.everything);
	cp_listed_deinit(&join.listed);
	return error;
}

struct cp_error *cp_coverage_make(struct cp_program *program, struct cp_trace *trace, const struct cp_where *where,
	struct cp_coverage *ret)
{
	struct cp_coverage all = { .rows = NULL };
	struct cp_error *error;

	cp_records_init(&all.records, CP_BRIEF);
	error = cp_list(program, where, CP_INLINED_INCLUDE, &all.records);
	if (!error)
		error = cp_records_sort(&all.records);
	if (!error)
		error = join_records(program, trace, where, &all);
	if (error)
		cp_coverage_deinit(&all);
	else
		*ret = all;
	return error;
}

void cp_coverage_deinit(struct cp_coverage *coverage)
{
	cp_records_deinit(&coverage->records);
	free(coverage->rows);
	free(coverage->files);
}
