/* SPDX-License-Identifier: BSD-2-Clause */
/* A comparison, for a person. Names and texts come from guests: nothing of them reaches the terminal as it is. */
#include <inttypes.h>
#include <string.h>

#include "answer/calls.h"
#include "answer/diff.h"

#define LONGEST_TEXT 300	/* bytes of values and console lines */

static void print_stream(FILE *out, int stream)
{
	if (stream == CP_STREAM_CONSOLE)
		fputs("console", out);
	else if (stream == CP_STREAM_SESSION)
		fputs("session", out);
	else
		fprintf(out, "vCPU %d", stream);
}

static void print_bounded(FILE *out, const char *text)
{
	char part[LONGEST_TEXT + 1];

	snprintf(part, sizeof(part), "%s", text);
	cp_print_plain(out, part);
	if (strlen(text) > LONGEST_TEXT)
		fputs("...", out);
}

static void print_name(FILE *out, const struct cp_diff *diff, int side, int stream, size_t at)
{
	const struct cp_step_details *d = cp_diff_details(diff, side, stream, at);

	print_bounded(out, d && d->text ? d->text : cp_diff_name(diff, side, stream, at));
}

/* The file's name; where its tree lies may differ. NULL: unknown. */
static const char *file_of(const struct cp_step_details *d)
{
	const char *tail = d && d->file ? strrchr(d->file, '/') : NULL;

	return tail ? tail + 1 : d ? d->file : NULL;
}

static void print_line(FILE *out, const struct cp_step_details *d)
{
	if (!file_of(d))
		return;
	fputs("  ", out);
	cp_print_plain(out, file_of(d));
	if (d->line)
		fprintf(out, ":%u", d->line);
}

/* The steps that both did last, with the lines of both where these differ. */
static void print_before(FILE *out, const struct cp_diff *diff, const struct cp_place *p)
{
	size_t count = p->a < p->b ? p->a : p->b;

	/* Up to the first difference of a stream both are in step. */
	for (size_t i = count < CP_DIFF_BEFORE ? count : CP_DIFF_BEFORE; i; i--) {
		const struct cp_step_details *a = cp_diff_details(diff, 0, p->stream, p->a - i);
		const struct cp_step_details *b = cp_diff_details(diff, 1, p->to_stream, p->b - i);
		bool same = a && b && a->line == b->line && (file_of(a) == file_of(b) ||
			(file_of(a) && file_of(b) && !strcmp(file_of(a), file_of(b))));

		fputs("  both      ", out);
		print_name(out, diff, 0, p->stream, p->a - i);
		print_line(out, a);
		if (!same && b && b->file) {
			fputs(a && a->file ? ", now" : "", out);
			print_line(out, b);
		}
		putc('\n', out);
	}
}

static void print_from(FILE *out, const struct cp_diff *diff, int side, int stream, size_t at)
{
	size_t count = cp_diff_count(diff, side, stream);
	const char *label = side ? "came" : "expected";

	if (at == count)
		fprintf(out, "  %-9s nothing more%s\n", label, diff->sides[side].steps.cut ? ": cut off here" : "");
	for (size_t i = at; i < count && i < at + CP_DIFF_AFTER; i++) {
		const struct cp_step_details *d = cp_diff_details(diff, side, stream, i);

		fprintf(out, "  %-9s ", i == at ? label : "");
		print_name(out, diff, side, stream, i);
		if (d && d->values) {
			putc('(', out);
			print_bounded(out, d->values);
			putc(')', out);
		}
		print_line(out, d);
		putc('\n', out);
	}
}

static void print_divergence(FILE *out, const struct cp_diff *diff)
{
	const struct cp_place *p = diff->divergence;
	const struct cp_step_details *a = cp_diff_details(diff, 0, p->stream, p->a);
	const struct cp_step_details *b = cp_diff_details(diff, 1, p->to_stream, p->b);

	fputs("first divergence: ", out);
	print_stream(out, p->stream);
	fprintf(out, ", step %" PRIu32, p->a + 1);
	if (a && a->t != CP_TIME_UNKNOWN)
		fprintf(out, ", at %.9f s", (double)a->t / 1e9);
	if (b && b->t != CP_TIME_UNKNOWN)
		fprintf(out, "%s %.9f s", a && a->t != CP_TIME_UNKNOWN ? ", now" : ", now at", (double)b->t / 1e9);
	putc('\n', out);
	print_before(out, diff, p);
	print_from(out, diff, 0, p->stream, p->a);
	print_from(out, diff, 1, p->to_stream, p->b);
	for (size_t i = 0; i < diff->tail_count; i++) {
		fputs("  console   ", out);
		if (diff->tail[i].text)
			print_bounded(out, diff->tail[i].text);
		putc('\n', out);
	}
}

static void print_run(FILE *out, const struct cp_diff *diff, int side, int stream, size_t from, size_t count)
{
	for (size_t i = 0; i < count && i < CP_DIFF_RUN; i++) {
		fputs(!i ? "" : stream == CP_STREAM_CONSOLE ? " | " : ", ", out);
		print_name(out, diff, side, stream, from + i);
	}
	if (count > CP_DIFF_RUN)
		fputs(", ...", out);
}

static const char *const titles[CP_CHANGES] = { "missing", "extra", "moved", "loops", "changed values", "slower" };

static void print_place(FILE *out, const struct cp_group *g)
{
	const struct cp_place *p = &g->first;

	fputs("  ", out);
	print_stream(out, p->stream);
	/* What is new stands behind a step of the baseline. */
	fprintf(out, p->a_count ? " step %" PRIu32 : " after step %" PRIu32, p->a + (p->a_count ? 1 : 0));
	if (g->places > 1)
		fprintf(out, " and %" PRIu64 " more places", g->places - 1);
	fputs(": ", out);
}

static void print_group(FILE *out, const struct cp_diff *diff, const struct cp_group *g)
{
	const struct cp_place *p = &g->first;
	int side = p->a_count ? 0 : 1, stream = side ? p->to_stream : p->stream;
	size_t from = side ? p->b : p->a, count = side ? p->b_count : p->a_count;
	const struct cp_step_details *a, *b;
	struct cp_text text = { .bytes = NULL };

	print_place(out, g);
	switch (g->change) {
	case CP_CHANGE_REPEATED:
		print_run(out, diff, side, stream, from, g->period);
		fprintf(out, "; %" PRIu64 " -> %" PRIu64 " times", g->a_rounds, g->b_rounds);
		break;
	case CP_CHANGE_VALUES:
		a = cp_diff_details(diff, 0, p->stream, p->a);
		b = cp_diff_details(diff, 1, p->to_stream, p->b);
		print_name(out, diff, 0, p->stream, p->a);
		fputs(": ", out);
		if (p->stream == CP_STREAM_CONSOLE) {
			fputs("now ", out);
			print_name(out, diff, 1, p->to_stream, p->b);
			break;
		}
		cp_diff_values(&text, a ? a->values : NULL, b ? b->values : NULL);
		print_bounded(out, text.bytes ? text.bytes : "?");
		break;
	case CP_CHANGE_SLOWER:
		print_name(out, diff, 0, p->stream, p->a);
		fprintf(out, ": %.9f s -> %.9f s", (double)g->a_t / 1e9, (double)g->b_t / 1e9);
		break;
	case CP_CHANGE_MOVED:
		print_run(out, diff, side, stream, from, count);
		fputs("; now ", out);
		if (p->to_stream != p->stream) {
			print_stream(out, p->to_stream);
			putc(' ', out);
		}
		fprintf(out, "step %" PRIu32, p->b + 1);
		break;
	default:
		print_run(out, diff, side, stream, from, count);
		if (count > 1)
			fprintf(out, "; %zu steps", count);
	}
	putc('\n', out);
	cp_text_deinit(&text);
}

static void print_groups(FILE *out, const struct cp_diff *diff)
{
	uint64_t shown = 0;

	for (size_t i = 0; i < diff->findings.group_count; i++) {
		const struct cp_group *g = &diff->findings.groups[i];
		bool is_first = !i || g[-1].change != g->change, is_last = i + 1 == diff->findings.group_count ||
			g[1].change != g->change;

		if (is_first) {
			shown = 0;
			fprintf(out, "%s: %" PRIu64 " step%s at %" PRIu64 " place%s\n", titles[g->change],
				diff->findings.steps[g->change], diff->findings.steps[g->change] == 1 ? "" : "s",
				diff->findings.places[g->change], diff->findings.places[g->change] == 1 ? "" : "s");
		}
		if (!diff->how->limit || shown < diff->how->limit)
			print_group(out, diff, g);
		shown++;
		if (is_last && diff->how->limit && shown > diff->how->limit)
			fprintf(out, "  %" PRIu64 " more kinds: cprobe diff --limit 0 for all\n", shown - diff->how->limit);
	}
}

/* Where the time went that a baseline did not take. */
static void print_slower(FILE *out, const struct cp_diff *diff)
{
	size_t shown = diff->how->limit && diff->how->limit < diff->slower_count ? (size_t)diff->how->limit : diff->slower_count;

	if (diff->slower_count)
		fprintf(out, "slower: %zu of the boot's durations\n", diff->slower_count);
	for (size_t i = 0; i < shown; i++) {
		const struct cp_slower *s = &diff->slower[i];

		fputs("  ", out);
		print_bounded(out, s->name ? s->name : "the whole boot");
		if (s->was)
			fprintf(out, ": %.6f s -> %.6f s\n", (double)s->was / 1e9, (double)s->is / 1e9);
		else
			fprintf(out, ": less than %.6f s -> %.6f s\n",
				(double)cp_durations_least(&diff->sides[0].baseline->durations) / 1e9, (double)s->is / 1e9);
	}
	if (shown < diff->slower_count)
		fprintf(out, "  %zu more: cprobe diff --limit 0 for all\n", diff->slower_count - shown);
}

static void print_whole(FILE *out, const struct cp_diff *diff)
{
	for (size_t i = 0; i < diff->note_count; i++) {
		fputs("note: ", out);
		cp_print_plain(out, diff->notes[i]);
		putc('\n', out);
	}
	if (diff->vcpus[0])
		fprintf(out, "vCPUs: %lu in the baseline, %lu now\n", diff->vcpus[0], diff->vcpus[1]);
	for (size_t i = 0; i < diff->findings.lone_count; i++) {
		int number = diff->findings.lone[i];

		fprintf(out, "vCPU %d: it ran in the %s alone\n", number < 0 ? -1 - number : number,
			number < 0 ? "baseline" : "other boot");
	}
	for (int side = 0; side < 2; side++) {
		uint64_t steps = side ? diff->findings.unreached.a : diff->findings.unreached.b;

		if (diff->sides[side].steps.cut)
			fprintf(out, "cut off: %s: compared as far as it goes; %" PRIu64 " steps of the other are behind that\n",
				side ? "the other boot's trace" : "the baseline", steps);
	}
	if (diff->outcomes[0]) {
		fputs("end: expected ", out);
		print_bounded(out, diff->outcomes[0]);
		fputs("; came ", out);
		print_bounded(out, diff->outcomes[1]);
		putc('\n', out);
	}
}

/* What was called in one boot alone, in the order in which it came first. */
static void print_lone(FILE *out, const struct cp_diff *diff)
{
	static const char *const which[] = { "never now", "never in the baseline" };

	for (int side = 0; side < 2; side++) {
		const struct cp_lone_names *lone = &diff->lone[side];
		size_t shown = diff->how->limit && diff->how->limit < lone->count ? (size_t)diff->how->limit : lone->count;

		if (lone->count)
			fprintf(out, "%s: %zu name%s\n", which[side], lone->count, lone->count == 1 ? "" : "s");
		for (size_t i = 0; i < shown; i++) {
			const struct cp_lone_name *n = &lone->items[i];

			fprintf(out, "  vCPU %d step %" PRIu32 "%s: ", n->stream, n->at + 1, side ? " now" : "");
			print_name(out, diff, side, n->stream, n->at);
			if (n->count > 1)
				fprintf(out, ", %" PRIu64 " times", n->count);
			print_line(out, cp_diff_details(diff, side, n->stream, n->at));
			putc('\n', out);
		}
		if (shown < lone->count)
			fprintf(out, "  %zu more: cprobe diff --limit 0 for all\n", lone->count - shown);
	}
}

static void print_equal(FILE *out, const struct cp_diff *diff)
{
	uint64_t steps = 0, lines = 0;
	size_t vcpus = 0;

	for (size_t i = 0; i < diff->sides[0].steps.stream_count; i++) {
		const struct cp_stream *s = &diff->sides[0].steps.streams[i];

		if (s->number == CP_STREAM_CONSOLE)
			lines += s->count;
		else
			steps += s->count;
		vcpus += s->number >= 0;
	}
	fprintf(out, "equal: %" PRIu64 " steps of %zu vCPU%s, %" PRIu64 " console lines\n", steps, vcpus,
		vcpus == 1 ? "" : "s", lines);
}

void cp_diff_print_text(FILE *out, const struct cp_diff *diff)
{
	if (diff->divergence)
		print_divergence(out, diff);
	print_whole(out, diff);
	print_lone(out, diff);
	print_groups(out, diff);
	print_slower(out, diff);
	if (!diff->differs)
		print_equal(out, diff);
}
