/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of a baseline, its loops unrolled. */
#include <stdlib.h>
#include <string.h>

#include "baseline/baseline.h"
#include "baseline/reading.h"

typedef struct cp_error *line_fn(void *context, const struct cp_baseline_line *line);

/* Where in the lines one is: in a loop, and how often it is to go round again. */
struct loop {
	size_t first;
	uint32_t left;
};

/* Each step in turn. What was read has whole loops, and not too many steps. */
static struct cp_error *walk(const struct cp_baseline *baseline, line_fn *each, void *context)
{
	struct loop loops[CP_BASELINE_DEEPEST];
	struct cp_error *error = NULL;
	size_t depth = 0;

	for (size_t at = 0; at < baseline->line_count && !error; at++) {
		const struct cp_baseline_line *line = &baseline->lines[at];

		if (line->kind == CP_BASELINE_STEP)
			error = each(context, line);
		else if (line->kind == CP_BASELINE_TIMES)
			loops[depth++] = (struct loop){ at, line->of - 1 };
		else if (loops[depth - 1].left--)
			at = loops[depth - 1].first;
		else
			depth--;
	}
	return error;
}

/* -- As steps -- */

/* A step, as the event is of which it was made. */
static void step_of(const struct cp_baseline_step *step, const struct cp_step_rule *rule, struct cp_step_texts *ret)
{
	cp_text_clear(&ret->what);
	cp_text_clear(&ret->values);
	ret->hash = 0;
	ret->is_step = true;
	ret->stream = step->is_line ? CP_STREAM_CONSOLE : CP_STREAM_SESSION;
	if (step->is_line) {
		cp_step_of_line(step->what, step->what_length, rule, ret);
	} else {
		cp_text_add(&ret->what, step->what, step->what_length);
		if (step->values)
			cp_text_add(&ret->values, step->values, step->values_length);
	}
	cp_step_finish(rule, ret);
}

/* What the rule makes of a step, by its number. */
struct judged {
	uint32_t what;		/* its name's number */
	bool is_step;
	uint64_t values;
};

struct filling {
	struct cp_steps *steps;
	struct judged *judged;	/* owned */
};

static struct cp_error *judge(const struct cp_baseline *baseline, const struct filling *f)
{
	struct cp_step_texts texts = { .stream = 0 };
	struct cp_error *error = f->judged ? NULL : &cp_error_no_memory;

	for (size_t i = 0; i < baseline->step_count && !error; i++) {
		struct judged *j = &f->judged[i];

		step_of(&baseline->steps[i], &f->steps->rule, &texts);
		j->is_step = texts.is_step;
		j->values = texts.hash;
		if (texts.what.failed || texts.values.failed)
			error = &cp_error_no_memory;
		else if (j->is_step)
			error = cp_names_number(f->steps->names, texts.what.length ? texts.what.bytes : "", texts.what.length, &j->what);
	}
	cp_step_texts_deinit(&texts);
	return error;
}

static struct cp_error *add(void *context, const struct cp_baseline_line *line)
{
	struct filling *f = context;
	const struct judged *j = &f->judged[line->of];

	return j->is_step ? cp_steps_add_number(f->steps, line->stream, j->what, j->values, CP_TIME_UNKNOWN) : NULL;
}

/* -- More of some -- */

struct looking {
	const struct cp_steps *steps;
	const struct cp_baseline *baseline;
	struct cp_step_details *wanted;
	size_t count;
	uint8_t *is_step;	/* by number of a step: with the rule; owned */
	size_t *seen;		/* by stream: steps; owned */
	size_t *next;		/* by stream: the first of `wanted` that is not found yet; owned */
	const struct cp_stream *stream;	/* of the line before; NULL: there was none */
	struct cp_step_texts texts;
};

static struct cp_error *fill(struct looking *l, const struct cp_baseline_step *step, struct cp_step_details *ret)
{
	const struct cp_baseline_place *place = step->is_line ? NULL : cp_baseline_place_of(l->baseline, step->what);
	bool good = true;

	step_of(step, &l->steps->rule, &l->texts);
	ret->known = true;
	ret->t = CP_TIME_UNKNOWN;
	if (step->is_line)
		good = cp_step_details_text(&ret->text, step->what, step->what_length);
	else if (l->texts.values.length)
		good = cp_step_details_text(&ret->values, l->texts.values.bytes, l->texts.values.length);
	if (place && good) {
		good = cp_step_details_text(&ret->file, place->file, strlen(place->file));
		ret->line = place->line;
	}
	return good && !l->texts.what.failed && !l->texts.values.failed ? NULL : &cp_error_no_memory;
}

static struct cp_error *look_at(void *context, const struct cp_baseline_line *line)
{
	struct looking *l = context;
	struct cp_error *error = NULL;
	size_t stream, at;

	if (!l->is_step[line->of])
		return NULL;
	if (!l->stream || l->stream->number != line->stream)
		l->stream = cp_steps_stream(l->steps, line->stream);
	stream = (size_t)(l->stream - l->steps->streams);
	at = l->seen[stream]++;
	for (size_t *n = &l->next[stream]; !error && *n < l->count; ++*n) {
		if (l->wanted[*n].stream != stream || l->wanted[*n].at != at)
			break;
		error = fill(l, &l->baseline->steps[line->of], &l->wanted[*n]);
	}
	return error;
}

static struct cp_error *make_ready(struct looking *l)
{
	struct cp_error *error = NULL;

	l->is_step = calloc(l->baseline->step_count + 1, 1);
	l->seen = calloc(l->steps->stream_count + 1, sizeof(*l->seen));
	l->next = calloc(l->steps->stream_count + 1, sizeof(*l->next));
	if (!l->is_step || !l->seen || !l->next)
		return &cp_error_no_memory;
	for (size_t i = 0; i < l->steps->stream_count; i++) {
		l->next[i] = i ? l->next[i - 1] : 0;
		while (l->next[i] < l->count && l->wanted[l->next[i]].stream < i)
			l->next[i]++;
	}
	for (size_t i = 0; i < l->baseline->step_count && !error; i++) {
		step_of(&l->baseline->steps[i], &l->steps->rule, &l->texts);
		l->is_step[i] = l->texts.is_step;
		error = l->texts.what.failed || l->texts.values.failed ? &cp_error_no_memory : NULL;
	}
	return error;
}

static struct cp_error *look(const struct cp_steps *steps, struct cp_step_details *wanted, size_t count)
{
	struct looking l = { .steps = steps, .baseline = steps->source, .wanted = wanted, .count = count };
	struct cp_error *error = make_ready(&l);

	if (!error)
		error = walk(l.baseline, look_at, &l);
	free(l.is_step);
	free(l.seen);
	free(l.next);
	cp_step_texts_deinit(&l.texts);
	return error;
}

struct cp_error *cp_steps_of_baseline(const struct cp_baseline *baseline, const struct cp_step_rule *rule,
	struct cp_names *names, struct cp_steps *ret)
{
	struct cp_steps steps = { .names = names, .rule = *rule, .source = baseline, .look = look };
	struct filling f = { .steps = &steps, .judged = calloc(baseline->step_count + 1, sizeof(*f.judged)) };
	struct cp_error *error = judge(baseline, &f);

	if (!error)
		error = walk(baseline, add, &f);
	free(f.judged);
	if (error) {
		cp_steps_deinit(&steps);
		return error;
	}
	cp_steps_sort(&steps);
	*ret = steps;
	return NULL;
}
