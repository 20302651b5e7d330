/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of a baseline, its loops unrolled. */
#include <stdlib.h>
#include <string.h>

#include "baseline/baseline.h"

#define DEEPEST_LOOP	32
#define MOST_STEPS	((uint64_t)1 << 26)

typedef struct cp_error *line_fn(void *context, const struct cp_baseline_line *line);

/* Where in the lines one is: in a loop, and how often it is to go round again. */
struct loop {
	size_t first;
	uint64_t left;
};

/* What a loop that is never gone round has between its edges. */
static size_t behind(const struct cp_baseline *baseline, size_t at)
{
	size_t depth = 1;

	while (depth) {
		at++;
		depth += baseline->lines[at].kind == CP_BASELINE_TIMES;
		depth -= baseline->lines[at].kind == CP_BASELINE_END;
	}
	return at;
}

static struct cp_error *too_many(const struct cp_baseline *baseline, const struct cp_baseline_line *line)
{
	return cp_error_create(CP_ERROR_UNSUPPORTED, "%s:%u: with its loops unrolled, the baseline has more than %llu steps here",
		baseline->path, line->number, (unsigned long long)MOST_STEPS);
}

static struct cp_error *walk(const struct cp_baseline *baseline, line_fn *each, void *context)
{
	struct loop loops[DEEPEST_LOOP];
	struct cp_error *error = NULL;
	size_t depth = 0;
	uint64_t steps = 0;

	for (size_t at = 0; at < baseline->line_count && !error; at++) {
		const struct cp_baseline_line *line = &baseline->lines[at];

		/* An empty loop, too, comes to its end. */
		if (++steps > MOST_STEPS)
			return too_many(baseline, line);
		switch (line->kind) {
		case CP_BASELINE_STEP:
			error = each(context, line);
			break;
		case CP_BASELINE_TIMES:
			if (line->times)
				loops[depth++] = (struct loop){ at, line->times - 1 };
			else
				at = behind(baseline, at);
			break;
		case CP_BASELINE_END:
			if (loops[depth - 1].left) {
				loops[depth - 1].left--;
				at = loops[depth - 1].first;
			} else {
				depth--;
			}
		}
	}
	return error;
}

/* -- As steps -- */

/* A line, as the event is of which it was made. */
static void step_of(const struct cp_baseline_line *line, const struct cp_step_rule *rule, struct cp_step_texts *ret)
{
	cp_text_clear(&ret->what);
	cp_text_clear(&ret->values);
	ret->hash = 0;
	ret->is_step = true;
	ret->stream = line->stream;
	if (line->stream == CP_STREAM_CONSOLE) {
		cp_step_of_line(line->what, line->what_length, rule, ret);
	} else {
		cp_text_add(&ret->what, line->what, line->what_length);
		if (line->values)
			cp_text_add(&ret->values, line->values, strlen(line->values));
	}
	cp_step_finish(rule, ret);
}

struct filling {
	struct cp_steps *steps;
	struct cp_step_texts texts;
};

static struct cp_error *add(void *context, const struct cp_baseline_line *line)
{
	struct filling *f = context;
	struct cp_step step = { .t = CP_TIME_UNKNOWN };

	step_of(line, &f->steps->rule, &f->texts);
	if (f->texts.what.failed || f->texts.values.failed)
		return &cp_error_no_memory;
	if (!f->texts.is_step)
		return NULL;
	step.stream = f->texts.stream;
	step.what = f->texts.what.length ? f->texts.what.bytes : "";
	step.what_length = f->texts.what.length;
	step.values = f->texts.hash;
	return cp_steps_add(f->steps, &step);
}

/* -- More of some -- */

struct looking {
	const struct cp_steps *steps;
	struct cp_step_details *wanted;
	size_t count;
	size_t *seen;		/* by stream: steps */
	struct cp_step_texts texts;
};

static int by_place(const void *a, const void *b)
{
	const struct cp_step_details *x = a, *y = b;

	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int by_name(const void *a, const void *b)
{
	const struct cp_baseline_place *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct cp_error *fill(const struct cp_baseline *baseline, const struct looking *l, const struct cp_baseline_line *line,
	struct cp_step_details *ret)
{
	struct cp_baseline_place key = { .name = line->what };
	const struct cp_baseline_place *place = !baseline->place_count ? NULL :
		bsearch(&key, baseline->places, baseline->place_count, sizeof(key), by_name);
	bool is_line = line->stream == CP_STREAM_CONSOLE;

	ret->known = true;
	ret->t = CP_TIME_UNKNOWN;
	if (is_line)
		ret->text = strdup(line->what);
	if (!is_line && l->texts.values.length)
		ret->values = strdup(l->texts.values.bytes);
	if (!is_line && place)
		ret->file = strdup(place->file);
	ret->line = !is_line && place ? place->line : 0;
	return (is_line && !ret->text) || (!is_line && l->texts.values.length && !ret->values) ||
		(!is_line && place && !ret->file) ? &cp_error_no_memory : NULL;
}

static struct cp_error *look_at(void *context, const struct cp_baseline_line *line)
{
	struct looking *l = context;
	struct cp_step_details key = { .at = 0 }, *found;
	const struct cp_stream *s;

	step_of(line, &l->steps->rule, &l->texts);
	if (l->texts.what.failed || l->texts.values.failed)
		return &cp_error_no_memory;
	if (!l->texts.is_step)
		return NULL;
	s = cp_steps_stream(l->steps, l->texts.stream);
	key.stream = (size_t)(s - l->steps->streams);
	key.at = l->seen[key.stream]++;
	found = bsearch(&key, l->wanted, l->count, sizeof(key), by_place);
	return found ? fill(l->steps->source, l, line, found) : NULL;
}

static struct cp_error *look(const struct cp_steps *steps, struct cp_step_details *wanted, size_t count)
{
	struct looking l = { .steps = steps, .wanted = wanted, .count = count,
		.seen = calloc(steps->stream_count + 1, sizeof(*l.seen)) };
	struct cp_error *error = l.seen ? walk(steps->source, look_at, &l) : &cp_error_no_memory;

	free(l.seen);
	cp_text_deinit(&l.texts.what);
	cp_text_deinit(&l.texts.values);
	return error;
}

struct cp_error *cp_steps_of_baseline(const struct cp_baseline *baseline, const struct cp_step_rule *rule,
	struct cp_names *names, struct cp_steps *ret)
{
	struct cp_steps steps = { .names = names, .rule = *rule, .source = baseline, .look = look };
	struct filling f = { .steps = &steps };
	struct cp_error *error = walk(baseline, add, &f);

	cp_text_deinit(&f.texts.what);
	cp_text_deinit(&f.texts.values);
	if (error) {
		cp_steps_deinit(&steps);
		return error;
	}
	cp_steps_sort(&steps);
	*ret = steps;
	return NULL;
}
