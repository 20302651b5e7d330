/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the time of a boot went: a table of functions. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer/calls.h"
#include "answer/json.h"

static int by_self(const void *a, const void *b)
{
	const struct cp_called *x = *(const struct cp_called *const *)a, *y = *(const struct cp_called *const *)b;

	if (x->self != y->self)
		return x->self > y->self ? -1 : 1;
	if (x->entries != y->entries)
		return x->entries > y->entries ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

/* Where the functions are: a record for each, in their order. */
static struct cp_error *places(const struct cp_calls *calls, const struct cp_called *const *rows, size_t count,
	struct cp_records *records)
{
	uint64_t *addresses = malloc((count + 1) * sizeof(*addresses));
	struct cp_error *error;

	if (!addresses)
		return &cp_error_no_memory;
	for (size_t i = 0; i < count; i++)
		addresses[i] = rows[i]->address;
	error = cp_symbolize(calls->callers.program, addresses, count, false, records);
	free(addresses);
	return error;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* The function around an inlined copy, or NULL. */
static const char *outer_of(const struct cp_calls *calls, const struct cp_called *row)
{
	return row->around == CP_NO_CALLER ? NULL : cp_call_name(calls, row->around);
}

static void print_row(FILE *out, const struct cp_calls *calls, const struct cp_called *row, const struct cp_record *place,
	uint64_t all)
{
	const char *file = place->file ? strrchr(place->file, '/') : NULL;

	fprintf(out, "%12.3f  %5.1f%%  %12.3f  %10" PRIu64 "  %12.6f  ", (double)row->self / 1e6, percent(row->self, all),
		(double)row->inclusive / 1e6, row->entries, (double)row->first / 1e9);
	cp_print_plain(out, row->name);
	if (outer_of(calls, row)) {
		fputs(" inlined in ", out);
		cp_print_plain(out, outer_of(calls, row));
	}
	if (place->file) {
		fputs("  ", out);
		cp_print_plain(out, file ? file + 1 : place->file);
		fprintf(out, ":%" PRIu32, place->line);
	}
	putc('\n', out);
}

static void print_row_json(FILE *out, const struct cp_calls *calls, const struct cp_called *row,
	const struct cp_record *place)
{
	fprintf(out, "{\"address\": \"0x%" PRIx64 "\"", row->address);
	cp_json_key(out, "name", row->name);
	cp_json_key(out, "outer", outer_of(calls, row));
	cp_json_key(out, "file", place->file);
	if (place->file && place->line)
		fprintf(out, ", \"line\": %" PRIu32, place->line);
	fprintf(out, ", \"kind\": \"%s\", \"count\": %" PRIu64 ", \"first\": %" PRIu64 ", \"self\": %" PRIu64
		", \"inclusive\": %" PRIu64 "}\n", outer_of(calls, row) ? "inlined" : "function", row->entries, row->first, row->self, row->inclusive);
}

static void print_gaps_json(FILE *out, const struct cp_calls *calls)
{
	for (size_t i = 0; i < calls->gap_count; i++) {
		const struct cp_call_gap *gap = &calls->gaps[i];

		fprintf(out, "{\"kind\": \"gap\", \"t\": %" PRIu64 ", \"length\": %" PRIu64 ", \"vcpu\": %u", gap->t,
			gap->length, gap->vcpu);
		cp_json_key(out, "in", cp_call_name(calls, gap->in));
		if (gap->next != CP_NO_CALLER)
			cp_json_key(out, "next", cp_call_name(calls, gap->next));
		fputs("}\n", out);
	}
}

static void print_gaps(FILE *out, const struct cp_calls *calls)
{
	if (!calls->all_gaps) {
		fprintf(out, "\nno gap over %.0f ms\n", (double)calls->options->gap / 1e6);
		return;
	}
	fprintf(out, "\n%" PRIu64 " gap%s over %.0f ms, %.3f s in all%s\n", calls->all_gaps, calls->all_gaps == 1 ? "" : "s",
		(double)calls->options->gap / 1e6, (double)calls->gap_time / 1e9,
		calls->all_gaps > calls->gap_count ? "; the longest of them:" : ":");
	fprintf(out, "%12s  %12s  %4s  %s\n", "at (s)", "length (ms)", "vCPU", "in, and what came next");
	for (size_t i = 0; i < calls->gap_count; i++) {
		const struct cp_call_gap *gap = &calls->gaps[i];

		fprintf(out, "%12.6f  %12.3f  %4u  ", (double)gap->t / 1e9, (double)gap->length / 1e6, gap->vcpu);
		cp_print_plain(out, cp_call_name(calls, gap->in));
		fputs(gap->next == CP_NO_CALLER ? ", until the end" : ", then ", out);
		if (gap->next != CP_NO_CALLER)
			cp_print_plain(out, cp_call_name(calls, gap->next));
		putc('\n', out);
	}
}

static void print(FILE *out, const struct cp_calls *calls, const struct cp_called *const *rows, size_t count,
	size_t shown, const struct cp_record *places, enum cp_format format)
{
	uint64_t all = 0, rest = 0, functions = 0;

	for (size_t i = 0; i < count; i++) {
		all += rows[i]->self;
		rest += i >= shown ? rows[i]->self : 0;
		functions += rows[i]->entries != 0;
	}
	if (format == CP_FORMAT_JSON) {
		for (size_t i = 0; i < shown; i++)
			print_row_json(out, calls, rows[i], &places[i]);
		print_gaps_json(out, calls);
		return;
	}
	fprintf(out, "%" PRIu64 " entries of %" PRIu64 " functions, from %.6f s to %.6f s\n\n", calls->events, functions,
		(double)calls->first / 1e9, (double)calls->last / 1e9);
	fprintf(out, "%12s  %6s  %12s  %10s  %12s  %s\n", "self (ms)", "", "incl. (ms)", "entries", "first (s)", "function");
	for (size_t i = 0; i < shown; i++)
		print_row(out, calls, rows[i], &places[i], all);
	if (shown < count)
		fprintf(out, "%12.3f  %5.1f%%  %12s  %10s  %12s  %zu more: --limit shows them\n", (double)rest / 1e6,
			percent(rest, all), "", "", "", count - shown);
	print_gaps(out, calls);
}

struct cp_error *cp_top(struct cp_program *program, struct cp_trace *trace, const struct cp_view *view,
	enum cp_format format, FILE *out)
{
	struct cp_calls_options options = { &view->when, view->gap, 0 };
	const struct cp_called **rows = NULL;
	struct cp_records records;
	struct cp_calls calls;
	size_t count = 0, shown;
	struct cp_error *error = cp_calls_make(program, trace, &options, &calls);

	cp_records_init(&records, CP_BRIEF);
	if (!error) {
		rows = malloc((calls.callers.count + 1) * sizeof(struct cp_called *));
		error = rows ? NULL : &cp_error_no_memory;
	}
	for (size_t i = 0; i < calls.callers.count && !error; i++) {
		if (calls.callers.items[i].entries || calls.callers.items[i].self)
			rows[count++] = &calls.callers.items[i];
	}
	shown = view->limit && view->limit < count ? (size_t)view->limit : count;
	if (!error) {
		qsort(rows, count, sizeof(*rows), by_self);
		error = places(&calls, rows, shown, &records);
	}
	if (!error)
		print(out, &calls, rows, count, shown, records.items, format);
	free(rows);
	cp_records_deinit(&records);
	cp_calls_deinit(&calls);
	return error;
}
