/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "answer/lines.h"
#include "base/radix.h"
#include "base/work.h"

/* Tables that are worth a second thread: running one takes some ten microseconds. */
#define WORTH_A_THREAD 32

/* A unit, and the addresses in it that are asked for. */
struct group {
	struct cp_dw_unit *unit;
	size_t first, count;		/* in keys */
};

struct job {
	struct cp_line *lines;
	struct cp_keyed *keys;		/* address and index of each, sorted */
	struct group *groups;
	uint64_t *files;		/* by key: the row's file, or CP_DW_NONE */
};

/*
 * Run the unit's table until all addresses are found: each belongs to the last row at or below it, within a sequence, the
 * first that has it. What is malformed behind that is not seen.
 */
static struct cp_error *one_group(void *context, size_t worker, size_t item)
{
	struct job *job = context;
	const struct group *group = &job->groups[item];
	size_t end = group->first + group->count, next = end, left = group->count;
	struct cp_dw_row last = { .end = true };
	const struct cp_dw_lines *lines;
	struct cp_error *error = cp_unit_lines(group->unit, &lines);
	struct cp_dw_rows rows;
	bool more;

	(void)worker;
	if (error || !lines)
		return error;
	if (!cp_dwarf_charge(group->unit->dwarf, (uint64_t)(lines->end - lines->program)))
		return cp_dwarf_overspent(group->unit->dwarf);
	cp_rows_begin(lines, &rows);
	for (more = true; more && left; last = rows.row) {
		if (last.end) {
			more = cp_rows_next(&rows);
			next = group->first + cp_keyed_lower(job->keys + group->first, group->count, rows.row.address);
			continue;
		}
		more = cp_rows_above(&rows, next < end ? job->keys[next].key : UINT64_MAX, &last);
		for (; more && next < end && job->keys[next].key < rows.row.address; next++) {
			if (job->files[next] != CP_DW_NONE)
				continue;
			job->files[next] = last.file < CP_DW_NONE ? last.file : CP_DW_NONE - 1;	/* found, in no file */
			job->lines[job->keys[next].index].line = last.line;
			left--;
		}
	}
	return rows.c.failed ? cp_unit_corrupt(group->unit, "its line program is malformed or cut off") : NULL;
}

/* The keys that have a unit, in groups of one unit each. */
static struct cp_error *group_keys(struct cp_program *program, struct job *job, size_t count, size_t *group_count)
{
	struct cp_dw_unit *unit;

	*group_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct cp_error *error = cp_unit_of_address(&program->addresses, job->keys[i].key, &unit);
		struct group *groups;

		if (error)
			return error;
		job->files[i] = CP_DW_NONE;
		if (*group_count && job->groups[*group_count - 1].unit == unit &&
			job->groups[*group_count - 1].first + job->groups[*group_count - 1].count == i) {
			job->groups[*group_count - 1].count++;
			continue;
		}
		if (!unit)
			continue;
		groups = cp_grow(job->groups, *group_count, sizeof(*groups));
		if (!groups)
			return &cp_error_no_memory;
		job->groups = groups;
		groups[(*group_count)++] = (struct group){ unit, i, 1 };
	}
	return NULL;
}

static struct cp_error *run(struct cp_program *program, struct job *job, size_t count)
{
	size_t groups;
	struct cp_error *error = group_keys(program, job, count, &groups);

	if (!error)
		error = cp_work(groups, cp_workers(groups, WORTH_A_THREAD), one_group, job);
	for (size_t g = 0; g < groups && !error; g++) {
		const struct group *group = &job->groups[g];
		const struct cp_dw_lines *lines;

		error = cp_unit_lines(group->unit, &lines);
		for (size_t i = group->first; i < group->first + group->count && !error; i++) {
			struct cp_line *line = &job->lines[job->keys[i].index];

			error = cp_path_of_file(&program->paths, lines, job->files[i], &line->file);
		}
	}
	return error;
}

struct cp_error *cp_lines_fill(struct cp_program *program, struct cp_line *lines, size_t count)
{
	struct cp_error *error = cp_program_need_dwarf(program);
	struct job job = { .lines = lines };

	for (size_t i = 0; i < count; i++) {
		lines[i].file = NULL;
		lines[i].line = 0;
	}
	if (error || !program->dwarf || !count)
		return error;
	job.keys = malloc(count * sizeof(*job.keys));
	job.files = malloc(count * sizeof(*job.files));
	for (size_t i = 0; job.keys && i < count; i++)
		job.keys[i] = (struct cp_keyed){ lines[i].address, i };
	error = job.keys && job.files && cp_radix_sort(job.keys, count) ? run(program, &job, count) : &cp_error_no_memory;
	free(job.keys);
	free(job.files);
	free(job.groups);
	return error;
}
