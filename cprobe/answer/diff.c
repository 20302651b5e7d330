/* SPDX-License-Identifier: BSD-2-Clause */
/* What two boots have not in common: compared, and all looked up that is shown of it. */
#include <stdlib.h>
#include <string.h>

#include "answer/diff.h"
#include "trace/inside.h"

/* -- What is shown -- */

const struct cp_step_details *cp_diff_details(const struct cp_diff *diff, int side, int stream, size_t at)
{
	const struct cp_diff_side *s = &diff->sides[side];
	const struct cp_stream *of = cp_steps_stream(&s->steps, stream);
	struct cp_step_details key = { .at = at };
	const struct cp_step_details *ret;

	if (!of || !s->detail_count)
		return NULL;
	key.stream = (size_t)(of - s->steps.streams);
	ret = bsearch(&key, s->details, s->detail_count, sizeof(key), cp_step_details_by_place);
	return ret && ret->known ? ret : NULL;
}

const char *cp_diff_name(const struct cp_diff *diff, int side, int stream, size_t at)
{
	return diff->names.texts[cp_steps_stream(&diff->sides[side].steps, stream)->what[at]];
}

size_t cp_diff_count(const struct cp_diff *diff, int side, int stream)
{
	const struct cp_stream *of = cp_steps_stream(&diff->sides[side].steps, stream);

	return of ? of->count : 0;
}

/* Steps from one to another, as far as there are. */
static struct cp_error *want(struct cp_diff *diff, int side, int stream, size_t from, size_t end)
{
	struct cp_diff_side *s = &diff->sides[side];
	const struct cp_stream *of = cp_steps_stream(&s->steps, stream);

	for (size_t at = from; of && at < end && at < of->count; at++) {
		struct cp_step_details *grown = cp_grow(s->details, s->detail_count, sizeof(*grown));

		if (!grown)
			return &cp_error_no_memory;
		s->details = grown;
		grown[s->detail_count++] = (struct cp_step_details){ .stream = (size_t)(of - s->steps.streams), .at = at };
	}
	return NULL;
}

static struct cp_error *want_around(struct cp_diff *diff, int side, int stream, size_t at)
{
	return want(diff, side, stream, at < CP_DIFF_BEFORE ? 0 : at - CP_DIFF_BEFORE, at + CP_DIFF_AFTER);
}

static struct cp_error *want_all(struct cp_diff *diff)
{
	uint64_t shown[CP_CHANGES] = { 0 };
	struct cp_error *error = NULL;

	for (size_t i = 0; i < diff->findings.divergence_count && !error; i++) {
		const struct cp_place *p = &diff->findings.divergences[i];

		error = want_around(diff, 0, p->stream, p->a);
		if (!error)
			error = want_around(diff, 1, p->to_stream, p->b);
	}
	for (int side = 0; side < 2 && !error; side++) {
		for (size_t i = 0; i < diff->lone[side].count && !error && (!diff->how->limit || i < diff->how->limit); i++)
			error = want(diff, side, diff->lone[side].items[i].stream, diff->lone[side].items[i].at,
				(size_t)diff->lone[side].items[i].at + 1);
	}
	for (size_t i = 0; i < diff->findings.group_count && !error; i++) {
		const struct cp_group *g = &diff->findings.groups[i];

		if (diff->how->limit && shown[g->change]++ >= diff->how->limit)
			continue;
		error = want(diff, 0, g->first.stream, g->first.a, (size_t)g->first.a + (g->first.a_count ? 1 : 0));
		if (!error)
			error = want(diff, 1, g->first.to_stream, g->first.b, (size_t)g->first.b + (g->first.b_count ? 1 : 0));
	}
	return error;
}

/* One of each, and what the traces say of them. */
static struct cp_error *look(struct cp_diff_side *side)
{
	size_t kept = 0;

	if (!side->detail_count)
		return NULL;
	qsort(side->details, side->detail_count, sizeof(*side->details), cp_step_details_by_place);
	for (size_t i = 1; i < side->detail_count; i++) {
		if (cp_step_details_by_place(&side->details[kept], &side->details[i]))
			side->details[++kept] = side->details[i];
	}
	side->detail_count = kept + 1;
	return cp_steps_look(&side->steps, side->details, side->detail_count);
}

/* Lines of the source, where the trace has none itself. */
static struct cp_error *find_lines(struct cp_diff_side *side)
{
	uint64_t *addresses = malloc((side->detail_count + 1) * sizeof(*addresses));
	size_t count = 0, at = 0;
	struct cp_records records;
	struct cp_error *error;

	if (!addresses)
		return &cp_error_no_memory;
	for (size_t i = 0; i < side->detail_count; i++) {
		if (side->details[i].address && !side->details[i].file)
			addresses[count++] = side->details[i].address;
	}
	cp_records_init(&records, CP_BRIEF);
	error = count ? cp_symbolize(side->kernel, addresses, count, false, &records) : NULL;
	for (size_t i = 0; i < side->detail_count && !error && at < records.count; i++) {
		struct cp_step_details *d = &side->details[i];

		if (!d->address || d->file)
			continue;
		d->line = records.items[at].line;
		if (records.items[at].file) {
			d->file = strdup(records.items[at].file);
			if (!d->file)
				error = &cp_error_no_memory;
		}
		at++;
	}
	cp_records_deinit(&records);
	free(addresses);
	return error;
}

/* -- Which divergence is the first, and what the console had said then -- */

static uint64_t time_of(const struct cp_diff *diff, int side, int stream, size_t at)
{
	const struct cp_step_details *d = cp_diff_details(diff, side, stream, at);

	return d ? d->t : CP_TIME_UNKNOWN;
}

/*
 * Up to it both boots were the same, so that the times of one are as good as the other's. Where the other one goes no
 * further, and the baseline has no times, it is when that boot ended.
 */
static uint64_t begin_of(const struct cp_diff *diff, const struct cp_place *place)
{
	uint64_t a = time_of(diff, 0, place->stream, place->a), b = time_of(diff, 1, place->to_stream, place->b);

	if (a == CP_TIME_UNKNOWN && b == CP_TIME_UNKNOWN && cp_trace_end_time(diff->sides[1].trace))
		b = cp_trace_end_time(diff->sides[1].trace);

	return a < b ? a : b;
}

static struct cp_error *find_tail(struct cp_diff *diff)
{
	struct cp_diff_side *side = &diff->sides[1];
	const struct cp_stream *console = cp_steps_stream(&side->steps, CP_STREAM_CONSOLE);
	uint64_t t = diff->divergence ? time_of(diff, 1, diff->divergence->to_stream, diff->divergence->b) : CP_TIME_UNKNOWN;
	size_t end = 0;

	if (!console || !diff->divergence || diff->divergence->stream == CP_STREAM_CONSOLE)
		return NULL;
	while (end < console->count && console->times[end] <= t)
		end++;
	for (size_t at = end < CP_DIFF_BEFORE ? 0 : end - CP_DIFF_BEFORE; at < end; at++)
		diff->tail[diff->tail_count++] = (struct cp_step_details){ .stream = (size_t)(console - side->steps.streams),
			.at = at };
	return cp_steps_look(&side->steps, diff->tail, diff->tail_count);
}

static void choose(struct cp_diff *diff)
{
	for (size_t i = 0; i < diff->findings.divergence_count; i++) {
		const struct cp_place *place = &diff->findings.divergences[i];

		uint64_t begins = begin_of(diff, place), first = diff->divergence ? begin_of(diff, diff->divergence) : 0;

		/* What a vCPU did tells more than that the console says nothing any more. */
		if (!diff->divergence || begins < first || (begins == first && diff->divergence->stream < 0 && place->stream >= 0))
			diff->divergence = place;
	}
}

/* -- The whole -- */

static struct cp_error *add_note(void *context, const char *text)
{
	struct cp_diff *diff = context;
	char **grown = cp_grow(diff->notes, diff->note_count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	diff->notes = grown;
	grown[diff->note_count] = strdup(text);
	if (!grown[diff->note_count])
		return &cp_error_no_memory;
	diff->note_count++;
	return NULL;
}

static bool are_same(const struct cp_text *a, const struct cp_text *b)
{
	return a->length == b->length && (!a->length || !memcmp(a->bytes, b->bytes, a->length));
}

/* As lines of the console are: a panic's is in the reason. */
static struct cp_error *compare_reasons(const struct cp_diff *diff, const char *a, const char *b, bool *differ)
{
	const struct cp_step_rule *rule = &diff->sides[0].steps.rule;
	struct cp_step_texts x = { .stream = 0 }, y = { .stream = 0 };
	bool failed;

	cp_step_of_line(a, strlen(a), rule, &x);
	cp_step_of_line(b, strlen(b), rule, &y);
	failed = x.what.failed || x.values.failed || y.what.failed || y.values.failed;
	*differ = !are_same(&x.what, &y.what) || !are_same(&x.values, &y.values);
	cp_step_texts_deinit(&x);
	cp_step_texts_deinit(&y);
	return failed ? &cp_error_no_memory : NULL;
}

static const char *of_end(const struct cp_trace *trace, const char *key)
{
	const char *text = json_string_value(json_object_get(trace->end, key));

	return text && *text ? text : "?";
}

static struct cp_error *compare_ends(struct cp_diff *diff)
{
	const struct cp_trace *traces[2] = { diff->sides[0].trace, diff->sides[1].trace };
	struct cp_error *error;
	bool differ;

	if (!traces[0]->end || !traces[1]->end)
		return NULL;
	error = compare_reasons(diff, of_end(traces[0], "reason"), of_end(traces[1], "reason"), &differ);
	differ |= strcmp(of_end(traces[0], "outcome"), of_end(traces[1], "outcome")) != 0;
	for (int side = 0; side < 2 && !error && differ; side++) {
		struct cp_text text = { .bytes = NULL };

		cp_text_printf(&text, "%s: %s", of_end(traces[side], "outcome"), of_end(traces[side], "reason"));
		diff->outcomes[side] = text.bytes;
		error = text.failed ? &cp_error_no_memory : NULL;
	}
	return error;
}

static struct cp_error *compare_machines(struct cp_diff *diff)
{
	struct cp_error *error = cp_machine_compare(diff->sides[0].trace, diff->sides[1].trace, add_note, diff);

	diff->vcpus[0] = cp_machine_vcpus(diff->sides[0].trace);
	diff->vcpus[1] = cp_machine_vcpus(diff->sides[1].trace);
	if (!diff->vcpus[0] || !diff->vcpus[1] || diff->vcpus[0] == diff->vcpus[1])
		diff->vcpus[0] = diff->vcpus[1] = 0;
	return error ? error : compare_ends(diff);
}

static bool are_times_asked(const struct cp_diff_how *how)
{
	return how->has_slower && how->slower != CP_SLOWER_NO;
}

static struct cp_error *check(const struct cp_diff *diff)
{
	const struct cp_baseline *baseline = diff->sides[0].baseline;

	if (!are_times_asked(diff->how))
		return NULL;
	if (baseline && !baseline->durations.whole)
		return cp_error_create(CP_ERROR_USAGE, "diff: %s has no durations: make it anew of traces recorded with --deterministic, "
			"or leave --slower out", baseline->path);
	for (int side = baseline ? 1 : 0; side < 2; side++) {
		if (!cp_machine_is_icount(diff->sides[side].trace))
			return cp_error_create(CP_ERROR_USAGE, "diff: %s has the host's times, of which no two runs are alike: record it "
				"with --deterministic, or leave --slower out", diff->sides[side].trace->path);
	}
	return NULL;
}

/* Of a boot that was cut it is not known what would have come. */
static struct cp_error *find_lone(struct cp_diff *diff)
{
	struct cp_error *error = NULL;

	for (int side = 0; side < 2 && !error && diff->findings.group_count; side++) {
		if (!diff->sides[!side].steps.cut)
			error = cp_lone_names_find(&diff->sides[side].steps, &diff->sides[!side].steps, &diff->lone[side]);
	}
	return error;
}

/* What is the same: the baseline says it, but for what was asked for now. */
static struct cp_step_rule rule_of(const struct cp_diff *diff)
{
	const struct cp_diff_side *sides = diff->sides;
	struct cp_step_rule same = { .console = CP_CONSOLE_EXACT };

	if (sides[0].baseline)
		same = sides[0].baseline->rule;
	else
		same.other_kernel = cp_machine_other_kernel(sides[0].trace, sides[1].trace);
	if (diff->how->has_console)
		same.console = diff->how->console;
	same.no_values = !cp_machine_same_values(sides[0].trace, sides[1].trace);
	return same;
}

static struct cp_error *find_slower(struct cp_diff *diff, const struct cp_step_rule *same)
{
	const struct cp_baseline *baseline = diff->sides[0].baseline;
	bool times = baseline && (diff->how->has_slower ? are_times_asked(diff->how) : baseline->times);
	struct cp_error *error;

	if (!times || !baseline->durations.whole)
		return NULL;
	error = cp_durations_of_trace(diff->sides[1].trace, same, &diff->durations);
	return error ? error : cp_durations_compare(&baseline->durations, &diff->durations,
		diff->how->has_slower ? diff->how->slower : baseline->slower, &diff->slower, &diff->slower_count);
}

static struct cp_error *compare(struct cp_diff *diff)
{
	struct cp_finding_rule rule = { are_times_asked(diff->how) && !diff->sides[0].baseline, diff->how->slower };
	struct cp_step_rule same = rule_of(diff);
	struct cp_error *error = check(diff);

	for (int side = 0; side < 2 && !error; side++) {
		struct cp_diff_side *s = &diff->sides[side];

		if (s->baseline)
			error = cp_steps_of_baseline(s->baseline, &same, &diff->names, &s->steps);
		else
			error = cp_steps_of_trace(s->trace, &same, &diff->names, &s->steps);
	}
	if (!error)
		error = find_slower(diff, &same);
	if (!error)
		error = cp_findings_make(&diff->sides[0].steps, &diff->sides[1].steps, &rule, &diff->findings);
	if (!error)
		error = find_lone(diff);
	if (!error)
		error = compare_machines(diff);
	if (!error)
		error = want_all(diff);
	for (int side = 0; side < 2 && !error; side++) {
		error = look(&diff->sides[side]);
		if (!error && diff->sides[side].kernel)
			error = find_lines(&diff->sides[side]);
	}
	if (error)
		return error;
	choose(diff);
	diff->differs = diff->findings.group_count || diff->slower_count || diff->findings.divergence_count || diff->findings.lone_count ||
		diff->vcpus[0] || diff->outcomes[0] || diff->sides[0].steps.cut || diff->sides[1].steps.cut;
	return find_tail(diff);
}

static void deinit(struct cp_diff *diff)
{
	for (int side = 0; side < 2; side++) {
		cp_steps_deinit(&diff->sides[side].steps);
		cp_step_details_deinit(diff->sides[side].details, diff->sides[side].detail_count);
		free(diff->sides[side].details);
		free(diff->outcomes[side]);
		free(diff->lone[side].items);
	}
	cp_step_details_deinit(diff->tail, diff->tail_count);
	for (size_t i = 0; i < diff->note_count; i++)
		free(diff->notes[i]);
	free(diff->notes);
	cp_durations_deinit(&diff->durations);
	free(diff->slower);
	cp_findings_deinit(&diff->findings);
	cp_names_deinit(&diff->names);
}

struct cp_error *cp_diff(const struct cp_expected *expected, struct cp_trace *trace, const struct cp_diff_how *how,
	enum cp_format format, FILE *out, bool *differs)
{
	struct cp_trace *baseline = expected->baseline ? expected->baseline->head : expected->trace;
	struct cp_diff diff = { .how = how, .sides = {
		{ .trace = baseline, .baseline = expected->baseline, .kernel = how->kernels[0] },
		{ .trace = trace, .kernel = how->kernels[1] } } };
	struct cp_error *error;

	cp_names_init(&diff.durations.names);
	cp_names_init(&diff.names);
	error = compare(&diff);
	if (!error) {
		if (format == CP_FORMAT_JSON)
			cp_diff_print_json(out, &diff);
		else
			cp_diff_print_text(out, &diff);
		*differs = diff.differs;
	}
	deinit(&diff);
	return error;
}
