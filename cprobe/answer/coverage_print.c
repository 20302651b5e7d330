/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>

#include "answer/coverage.h"
#include "answer/json.h"

static bool is_inlined(const struct cp_cover_row *row)
{
	return row->record->kind == CP_KIND_INLINED;
}

/* An inlined function that was not recorded may have run with what is around it. */
static const char *word(const struct cp_cover_row *row)
{
	return row->seen == CP_SEEN_HIT ? "hit" : row->seen == CP_SEEN_NOT ? "not hit" :
		is_inlined(row) ? "inlined" : "not recorded";
}

static void print_json(FILE *out, const struct cp_cover_row *row)
{
	const struct cp_record *r = row->record;

	fprintf(out, "{\"address\": \"0x%" PRIx64 "\"", r->address);
	cp_json_key(out, "name", r->name);
	cp_json_key(out, "file", r->file);
	if (r->line)
		fprintf(out, ", \"line\": %" PRIu32, r->line);
	fprintf(out, ", \"kind\": \"%s\", \"state\": \"%s\"", is_inlined(row) ? "inlined" : "function", word(row));
	if (row->seen == CP_SEEN_HIT)
		fprintf(out, ", \"count\": %" PRIu64 ", \"first\": %" PRIu64 ", \"vcpu\": %u", row->count, row->first, row->vcpu);
	if (is_inlined(row)) {
		fprintf(out, ", \"copies\": %u", row->copies);
		if (row->seen == CP_SEEN_HIT)
			fprintf(out, ", \"hit_copies\": %u", row->hit_copies);
		if (row->copies == 1)
			cp_json_key(out, "outer", r->outer);
	}
	fputs("}\n", out);
}

/* Names come from files that may lie. */
static void print_name(FILE *out, const char *text)
{
	for (; *text; text++)
		putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

static void print_row(FILE *out, const struct cp_cover_row *row)
{
	const struct cp_record *r = row->record;

	if (row->seen == CP_SEEN_HIT)
		fprintf(out, "%14.6f  %4u  %11" PRIu64 "  ", (double)row->first / 1e9, row->vcpu, row->count);
	else
		fprintf(out, "%14s  %4s  %11s  ", word(row), "", "");
	print_name(out, r->name);
	if (r->line)
		fprintf(out, " :%" PRIu32, r->line);
	if (!is_inlined(row)) {
		putc('\n', out);
		return;
	}
	if (row->seen == CP_SEEN_HIT && row->copies > 1)
		fprintf(out, " inlined, %u of %u copies", row->hit_copies, row->copies);
	else if (row->copies > 1)
		fprintf(out, "%s in %u places", row->seen == CP_SEEN_UNKNOWN ? "" : " inlined", row->copies);
	else if (r->outer) {
		fputs(row->seen == CP_SEEN_UNKNOWN ? " in " : " inlined in ", out);
		print_name(out, r->outer);
	}
	putc('\n', out);
}

static void print_file(FILE *out, const struct cp_coverage *all, const struct cp_cover_file *file)
{
	print_name(out, file->name ? file->name : "(file unknown)");
	if (!file->functions)
		fputs(": inlined functions alone\n", out);
	else
		fprintf(out, ": %zu of %zu functions ran%s", file->hit, file->functions, file->unknown ? "" : "\n");
	if (file->unknown)
		fprintf(out, ", %zu %s not recorded\n", file->unknown, file->unknown == 1 ? "was" : "were");
	for (size_t i = file->start; i < file->start + file->count; i++)
		print_row(out, &all->rows[i]);
	putc('\n', out);
}

static void print_sum(FILE *out, const struct cp_coverage *all)
{
	size_t functions = 0, hit = 0, unknown = 0, files = 0;

	for (size_t i = 0; i < all->file_count; i++) {
		functions += all->files[i].functions;
		hit += all->files[i].hit;
		unknown += all->files[i].unknown;
		files += all->files[i].hit != 0;
	}
	fprintf(out, "in all: %zu of %zu functions ran, %zu not", hit, functions, functions - hit - unknown);
	if (unknown)
		fprintf(out, ", %zu not recorded", unknown);
	fprintf(out, "; %zu of %zu files\n", files, all->file_count);
}

static void print_text(FILE *out, const struct cp_coverage *all)
{
	fprintf(out, "%14s  %4s  %11s  %s\n", "first (s)", "vCPU", "entries", "function :line");
	for (size_t i = 0; i < all->file_count; i++)
		print_file(out, all, &all->files[i]);
	print_sum(out, all);
}

struct cp_error *cp_coverage(struct cp_program *program, struct cp_trace *trace, const struct cp_where *where,
	enum cp_format format, FILE *out, size_t *found)
{
	struct cp_coverage all;
	struct cp_error *error = cp_coverage_make(program, trace, where, &all);

	if (error)
		return error;
	if (!where->files.count && !where->functions.count && all.foreign)
		cp_program_note(program, "%zu of the %zu functions that the trace saw are not in %s: is it the kernel that was "
			"traced?", all.foreign, all.ran, program->image->path);
	if (format == CP_FORMAT_JSON) {
		for (size_t i = 0; i < all.row_count; i++)
			print_json(out, &all.rows[i]);
	} else if (all.row_count) {
		print_text(out, &all);
	}
	*found = all.row_count;
	cp_coverage_deinit(&all);
	return NULL;
}
