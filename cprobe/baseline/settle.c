/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What repeats in all runs of a boot. What does not is left out by its name, everywhere: a function that one run calls more
 * often, or at another place, is none that a later run can be held to; and then the rest is compared anew, until all agree.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "baseline/make.h"
#include "diff/align.h"
#include "trace/inside.h"

#define LONGEST_NOTE	200	/* bytes of a name */

/* What was found of a name; by its number. */
enum { STEP_DIFFERS = 1, VALUES_DIFFER = 2, LINE_DIFFERS = 4, NUMBERS_DIFFER = 8 };

struct settling {
	struct cp_making *making;
	struct cp_names names;
	struct cp_steps *steps;	/* by run; what is left out goes from them; owned */
	size_t run_count;	/* of these, that were read */
	uint8_t *found;		/* by number of a name; owned */
	bool any;
};

static void found(struct settling *s, const struct cp_stream *of, size_t at, bool is_value)
{
	bool is_line = of->number == CP_STREAM_CONSOLE;

	s->found[of->what[at]] |= is_line ? is_value ? NUMBERS_DIFFER : LINE_DIFFERS : is_value ? VALUES_DIFFER : STEP_DIFFERS;
	s->any = true;
}

static struct cp_error *compare_streams(struct settling *s, const struct cp_stream *a, const struct cp_stream *b)
{
	struct cp_hunks hunks;
	size_t at_a = 0, at_b = 0;
	struct cp_error *error = cp_align(a->what, a->count, b->what, b->count, true, &hunks);

	if (error)
		return error;
	for (size_t i = 0; i <= hunks.count; i++) {
		const struct cp_hunk *h = i < hunks.count ? &hunks.items[i] : NULL;
		size_t end = h ? h->a : a->count;

		for (; at_a < end; at_a++, at_b++) {
			if (a->values && b->values && a->values[at_a] != b->values[at_b])
				found(s, a, at_a, true);
		}
		for (size_t n = 0; h && n < h->a_count; n++)
			found(s, a, at_a++, false);
		for (size_t n = 0; h && n < h->b_count; n++)
			found(s, b, at_b++, false);
	}
	free(hunks.items);
	return NULL;
}

static struct cp_error *lone(const struct settling *s, size_t run, int vcpu)
{
	return cp_error_create(CP_ERROR_NOT_FOUND, "%s and %s: vCPU %d ran in one of them alone, so that there is no path that "
		"repeats: record with --deterministic's options, and see that the boot waits for all vCPUs",
		s->making->traces[0]->path, s->making->traces[run]->path, vcpu);
}

/* The stream of that number, if it has steps left; else an empty one, `none`. */
static const struct cp_stream *stream_of(const struct cp_steps *steps, int number, struct cp_stream *none)
{
	const struct cp_stream *ret = cp_steps_stream(steps, number);

	*none = (struct cp_stream){ .number = number };
	return ret && ret->count ? ret : none;
}

static struct cp_error *compare_boots(struct settling *s, size_t run)
{
	const struct cp_steps *a = &s->steps[0], *b = &s->steps[run];
	struct cp_stream none_a, none_b;
	struct cp_error *error = NULL;

	for (size_t i = 0; i < a->stream_count + b->stream_count && !error; i++) {
		int number = i < a->stream_count ? a->streams[i].number : b->streams[i - a->stream_count].number;
		const struct cp_stream *of = stream_of(a, number, &none_a), *other = stream_of(b, number, &none_b);

		if (i >= a->stream_count && of->count)	/* compared already */
			continue;
		error = !of->count != !other->count && number >= 0 ? lone(s, run, number) : compare_streams(s, of, other);
	}
	return error;
}

/* -- What was found, as globs -- */

static void add_glob_of(struct cp_text *ret, const char *name)
{
	size_t length = strlen(name), size;

	for (size_t i = 0; i < length; i += size) {
		bool is_blank_end = name[i] == ' ' && (!i || i + 1 == length);

		size = cp_utf8_length((const unsigned char *)name + i);
		if (!size || (unsigned char)name[i] < 0x20 || name[i] == 0x7f || is_blank_end)
			cp_text_add(ret, "?", 1);
		else if (strchr("*?[\\", name[i]))
			cp_text_printf(ret, "\\%c", name[i]);
		else
			cp_text_add(ret, name + i, size);
		size += !size;
	}
}

static struct cp_error *leave_out(struct settling *s, const char *name, enum cp_ignored kind, cp_note_fn *note,
	void *context)
{
	static const char *const why[CP_IGNORED_KINDS] = { "it does not come in the same order, as often, in all runs",
		"its values are others in each run", "this line of the console does not come in all runs alike",
		"numbers in this line of the console are others in each run" };
	struct cp_text glob = { .bytes = NULL }, text = { .bytes = NULL };
	struct cp_error *error;

	add_glob_of(&glob, name);
	cp_text_printf(&text, "not kept: %.*s%s: %s", LONGEST_NOTE, name, strlen(name) > LONGEST_NOTE ? "..." : "", why[kind]);
	error = glob.failed || text.failed ? &cp_error_no_memory :
		cp_globs_add(&s->making->rule.ignored[kind], &s->making->arena, glob.bytes);
	if (!error && note) {
		cp_one_line(text.bytes);
		note(context, text.bytes);
	}
	cp_text_deinit(&glob);
	cp_text_deinit(&text);
	return error;
}

static struct cp_error *leave_out_all(struct settling *s, cp_note_fn *note, void *context)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; i < s->names.count && !error; i++) {
		const char *name = s->names.texts[i];

		if (s->found[i] & STEP_DIFFERS)
			error = leave_out(s, name, CP_IGNORED_STEPS, note, context);
		else if (s->found[i] & VALUES_DIFFER)
			error = leave_out(s, name, CP_IGNORED_VALUES, note, context);
		if (!error && s->found[i] & LINE_DIFFERS)
			error = leave_out(s, name, CP_IGNORED_LINES, note, context);
		else if (!error && s->found[i] & NUMBERS_DIFFER)
			error = leave_out(s, name, CP_IGNORED_NUMBERS, note, context);
	}
	return error;
}

/* -- Rounds -- */

/* `bits`: by number of a name, 1 << kind each, by which it is left out. */
static void leave_out_of(struct cp_stream *stream, const uint8_t *bits)
{
	bool is_line = stream->number == CP_STREAM_CONSOLE;
	unsigned int step = 1u << (is_line ? CP_IGNORED_LINES : CP_IGNORED_STEPS);
	unsigned int values = 1u << (is_line ? CP_IGNORED_NUMBERS : CP_IGNORED_VALUES);
	size_t kept = 0;

	for (size_t i = 0; i < stream->count; i++) {
		uint32_t what = stream->what[i];

		if (bits[what] & step)
			continue;
		stream->what[kept] = what;
		if (stream->values)
			stream->values[kept] = bits[what] & values ? 0 : stream->values[i];
		kept++;
	}
	stream->count = kept;
}

/* What the rule, which has become longer, leaves out now goes from what is compared. */
static struct cp_error *narrow(struct settling *s)
{
	struct cp_ignoring ignoring = { .ready = false };
	uint8_t *bits = calloc(s->names.count + 1, 1);
	struct cp_error *error = bits ? NULL : &cp_error_no_memory;

	for (size_t i = 0; i < s->names.count && !error; i++) {
		unsigned int of = 0;

		error = cp_ignoring_ask(&ignoring, s->making->rule.ignored, s->names.texts[i], strlen(s->names.texts[i]), &of);
		if (!error)
			bits[i] = (uint8_t)of;
	}
	for (size_t run = 0; run < s->run_count && !error; run++) {
		for (size_t i = 0; i < s->steps[run].stream_count; i++)
			leave_out_of(&s->steps[run].streams[i], bits);
	}
	cp_ignoring_deinit(&ignoring);
	free(bits);
	return error;
}

static struct cp_error *read_all(struct settling *s)
{
	const struct cp_making *m = s->making;
	struct cp_error *error = NULL;

	s->steps = calloc(m->count, sizeof(*s->steps));
	if (!s->steps)
		return &cp_error_no_memory;
	for (size_t i = 0; i < m->count && !error; i++) {
		error = cp_steps_of_trace(m->traces[i], &m->rule, &s->names, &s->steps[i]);
		s->run_count += !error;
	}
	s->found = error ? NULL : malloc(s->names.count + 1);
	return error || s->found ? error : &cp_error_no_memory;
}

static struct cp_error *compare_all(struct settling *s)
{
	struct cp_error *error = NULL;

	s->any = false;
	memset(s->found, 0, s->names.count + 1);
	for (size_t i = 1; i < s->run_count && !error; i++)
		error = compare_boots(s, i);
	return error;
}

struct cp_error *cp_baseline_settle(struct cp_making *making, cp_note_fn *note, void *context)
{
	struct settling s = { .making = making, .any = true };
	struct cp_error *error;

	if (making->count < 2)
		return NULL;
	cp_names_init(&s.names);
	error = read_all(&s);
	/* Each round leaves out one name more, at least: a glob that is made of a name matches it. */
	while (!error && s.any) {
		error = compare_all(&s);
		if (!error && s.any)
			error = leave_out_all(&s, note, context);
		if (!error && s.any)
			error = narrow(&s);
	}
	for (size_t i = 0; i < s.run_count; i++)
		cp_steps_deinit(&s.steps[i]);
	free(s.steps);
	free(s.found);
	cp_names_deinit(&s.names);
	return error;
}
