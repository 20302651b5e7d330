/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "diff/findings.h"
#include "diff/groups.h"
#include "diff/repeats.h"

/* From so many steps on a run that came elsewhere is no chance. */
#define SURELY_MOVED 8

/* The steps that one side of a hunk has alone. */
struct run {
	uint64_t hash;
	size_t stream;		/* an index of `pairs` */
	uint32_t from, count, other;	/* other: where it would be on the other side */
	bool is_b, moved;
};

/* A stream of both boots. */
struct pair {
	const struct cp_stream *a, *b;
	struct cp_hunks hunks;
};

struct finding {
	const struct cp_steps *a, *b;
	const struct cp_finding_rule *rule;
	struct cp_findings *ret;
	struct pair *pairs;
	size_t pair_count;
	struct run *runs;
	size_t run_count;
	struct cp_grouping grouping;
	uint64_t *totals;	/* by name: how often in a, and in b */
};

static const uint32_t *steps_of(const struct finding *f, const struct run *run)
{
	return (run->is_b ? f->pairs[run->stream].b->what : f->pairs[run->stream].a->what) + run->from;
}

/* -- Runs -- */

static struct cp_error *add_repeat(struct finding *f, const struct run *run, const struct cp_repeat *repeat)
{
	const struct pair *pair = &f->pairs[run->stream];
	struct cp_place place = { pair->a->number, pair->a->number, run->from, run->count, run->other, 0 };
	uint64_t here = repeat->rounds, there = repeat->rounds - run->count / repeat->period;
	struct cp_group *group;
	struct cp_error *error;

	if (run->is_b)
		place = (struct cp_place){ pair->a->number, pair->a->number, run->other, 0, run->from, run->count };
	error = cp_group_add(&f->grouping, CP_CHANGE_REPEATED, cp_rounds_hash(steps_of(f, run), repeat->period), &place,
		run->count, &group);
	if (error)
		return error;
	group->period = repeat->period;
	group->a_rounds += run->is_b ? there : here;
	group->b_rounds += run->is_b ? here : there;
	return NULL;
}

static struct cp_error *add_run(struct finding *f, const struct run *run)
{
	struct run *grown = cp_grow(f->runs, f->run_count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	f->runs = grown;
	grown[f->run_count++] = *run;
	return NULL;
}

static struct cp_error *take_hunk(struct finding *f, size_t stream, const struct cp_hunk *h)
{
	const struct pair *pair = &f->pairs[stream];
	struct cp_repeat repeat;

	for (int side = 0; side < 2; side++) {
		struct run run = { .stream = stream, .is_b = side };
		const struct cp_stream *of = side ? pair->b : pair->a;
		struct cp_error *error;

		run.from = side ? h->b : h->a;
		run.count = side ? h->b_count : h->a_count;
		run.other = side ? h->a : h->b;
		if (!run.count)
			continue;
		/* A round more is one only if nothing else changed there. */
		if ((!h->a_count || !h->b_count) && cp_repeat_of(of->what, of->count, run.from, run.count, &repeat)) {
			error = add_repeat(f, &run, &repeat);
		} else {
			run.hash = cp_names_hash(0, of->what + run.from, run.count * sizeof(*of->what));
			error = add_run(f, &run);
		}
		if (error)
			return error;
	}
	return NULL;
}

static int by_hash(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	if (x->is_b != y->is_b)
		return x->is_b ? 1 : -1;
	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* How often each name is in both boots. */
static struct cp_error *count_totals(struct finding *f)
{
	f->totals = calloc(2 * f->a->names->count + 1, sizeof(*f->totals));
	if (!f->totals)
		return &cp_error_no_memory;
	for (int side = 0; side < 2; side++) {
		const struct cp_steps *steps = side ? f->b : f->a;

		for (size_t i = 0; i < steps->stream_count; i++) {
			for (size_t at = 0; at < steps->streams[i].count; at++)
				f->totals[2 * (size_t)steps->streams[i].what[at] + (size_t)side]++;
		}
	}
	return NULL;
}

static bool may_have_moved(const struct finding *f, const struct run *gone, const struct run *came)
{
	const uint32_t *what = steps_of(f, gone);

	if (memcmp(what, steps_of(f, came), gone->count * sizeof(*what)))
		return false;
	for (uint32_t i = 0; i < gone->count && gone->count < SURELY_MOVED; i++) {
		if (f->totals[2 * (size_t)what[i]] != f->totals[2 * (size_t)what[i] + 1])
			return false;
	}
	return true;
}

/* Pair what is gone with what came elsewhere. */
static struct cp_error *find_moved(struct finding *f)
{
	struct cp_error *error = NULL;

	qsort(f->runs, f->run_count, sizeof(*f->runs), by_hash);
	for (size_t i = 0, end; i < f->run_count && !error; i = end) {
		size_t gone = i, came;

		for (end = i; end < f->run_count && f->runs[end].hash == f->runs[i].hash &&
			f->runs[end].count == f->runs[i].count; end++)
			;
		for (came = i; came < end && !f->runs[came].is_b; came++)
			;
		for (size_t first = came; gone < first && came < end && !error; gone++, came++) {
			struct run *a = &f->runs[gone], *b = &f->runs[came];
			struct cp_place place = { f->pairs[a->stream].a->number, f->pairs[b->stream].a->number, a->from, a->count, b->from,
				b->count };
			struct cp_group *group;

			if (!may_have_moved(f, a, b))
				break;
			a->moved = b->moved = true;
			error = cp_group_add(&f->grouping, CP_CHANGE_MOVED, a->hash, &place, a->count, &group);
		}
	}
	return error;
}

static struct cp_error *group_runs(struct finding *f)
{
	struct cp_error *error = NULL;

	for (size_t i = 0; i < f->run_count && !error; i++) {
		const struct run *run = &f->runs[i];
		int number = f->pairs[run->stream].a->number;
		struct cp_place place = { number, number, run->from, run->count, run->other, 0 };
		struct cp_group *group;

		if (run->moved)
			continue;
		if (run->is_b)
			place = (struct cp_place){ number, number, run->other, 0, run->from, run->count };
		error = cp_group_add(&f->grouping, run->is_b ? CP_CHANGE_EXTRA : CP_CHANGE_MISSING, run->hash, &place,
			run->count, &group);
	}
	return error;
}

/* -- Steps that both have -- */

static struct cp_error *compare_step(struct finding *f, const struct pair *pair, uint32_t a, uint32_t b,
	struct cp_place *first)
{
	struct cp_place place = { pair->a->number, pair->a->number, a, 1, b, 1 };
	uint64_t name = (uint64_t)pair->a->what[a] << 20 | (uint32_t)(pair->a->number + 2);
	struct cp_group *group;
	struct cp_error *error;

	if (pair->a->values && pair->b->values && pair->a->values[a] && pair->b->values[b] &&
		pair->a->values[a] != pair->b->values[b]) {
		if (!first->a_count && !first->b_count)
			*first = place;
		error = cp_group_add(&f->grouping, CP_CHANGE_VALUES, name, &place, 1, &group);
		if (error)
			return error;
	}
	if (!f->rule->times || !pair->a->times || !pair->b->times)
		return NULL;
	/* In doubles: a product could overflow. */
	if ((double)pair->b->times[b] <= (double)pair->a->times[a] * (1 + (double)f->rule->slower / 100))
		return NULL;
	error = cp_group_add(&f->grouping, CP_CHANGE_SLOWER, (uint64_t)a << 20 | (uint32_t)(pair->a->number + 2), &place, 1,
		&group);
	if (!error) {
		group->a_t = pair->a->times[a];
		group->b_t = pair->b->times[b];
	}
	return error;
}

static struct cp_error *compare_equal(struct finding *f, const struct pair *pair, struct cp_place *first)
{
	bool has_values = pair->a->values && pair->b->values, has_times = f->rule->times && pair->a->times && pair->b->times;
	uint32_t a = 0, b = 0;
	struct cp_error *error = NULL;

	if (!has_values && !has_times)
		return NULL;
	for (size_t i = 0; i <= pair->hunks.count && !error; i++) {
		const struct cp_hunk *h = i < pair->hunks.count ? &pair->hunks.items[i] : NULL;
		uint32_t end = h ? h->a : (uint32_t)pair->a->count;

		/* Behind the last hunk there may be what the other one, which was cut, does not reach. */
		if (end - a > pair->b->count - b)
			end = a + (uint32_t)(pair->b->count - b);
		if (!has_times && end > a && !memcmp(pair->a->values + a, pair->b->values + b, (end - a) * sizeof(*pair->a->values)))
			b += end - a, a = end;
		for (; a < end && !error; a++, b++)
			error = compare_step(f, pair, a, b, first);
		if (h) {
			a += h->a_count;
			b += h->b_count;
		}
	}
	return error;
}

/* -- Streams -- */

/* What a boot that was cut does not reach is not compared. */
static void leave_unreached(struct finding *f, struct pair *pair)
{
	struct cp_hunk *last = pair->hunks.count ? &pair->hunks.items[pair->hunks.count - 1] : NULL;

	if (!last || last->a + last->a_count != pair->a->count || last->b + last->b_count != pair->b->count)
		return;
	if (f->b->cut) {
		f->ret->unreached.a += last->a_count;
		last->a_count = 0;
	}
	if (f->a->cut) {
		f->ret->unreached.b += last->b_count;
		last->b_count = 0;
	}
	if (!last->a_count && !last->b_count)
		pair->hunks.count--;
}

static struct cp_error *add_divergence(struct finding *f, const struct cp_place *place)
{
	struct cp_place *grown = cp_grow(f->ret->divergences, f->ret->divergence_count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	f->ret->divergences = grown;
	grown[f->ret->divergence_count++] = *place;
	return NULL;
}

static struct cp_error *compare_pair(struct finding *f, size_t number)
{
	struct pair *pair = &f->pairs[number];
	struct cp_place first = { .stream = pair->a->number, .to_stream = pair->a->number };
	const struct cp_hunk *h;
	struct cp_error *error = cp_align(pair->a->what, pair->a->count, pair->b->what, pair->b->count, true,
		&pair->hunks);

	if (error)
		return error;
	leave_unreached(f, pair);
	error = compare_equal(f, pair, &first);
	for (size_t i = 0; i < pair->hunks.count && !error; i++)
		error = take_hunk(f, number, &pair->hunks.items[i]);
	h = pair->hunks.items;
	if (pair->hunks.count && ((!first.a_count && !first.b_count) || h->a <= first.a)) {
		first.a = h->a;
		first.b = h->b;
		first.a_count = h->a_count;
		first.b_count = h->b_count;
	}
	return error || (!first.a_count && !first.b_count) ? error : add_divergence(f, &first);
}

static struct cp_error *add_lone(struct finding *f, int number)
{
	int *grown = cp_grow(f->ret->lone, f->ret->lone_count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	f->ret->lone = grown;
	grown[f->ret->lone_count++] = number;
	return NULL;
}

static const struct cp_stream nothing;

/* Streams of both. A vCPU that one alone has is told as such; console lines and the like are compared with none. */
static struct cp_error *make_pairs(struct finding *f)
{
	struct cp_error *error = NULL;

	f->pairs = calloc(f->a->stream_count + f->b->stream_count + 1, sizeof(*f->pairs));
	if (!f->pairs)
		return &cp_error_no_memory;
	for (size_t i = 0; i < f->a->stream_count && !error; i++) {
		const struct cp_stream *a = &f->a->streams[i], *b = cp_steps_stream(f->b, a->number);

		if (!b && a->number >= 0 && f->b->cut)	/* it may have been about to come */
			f->ret->unreached.a += a->count;
		else if (!b && a->number >= 0)
			error = add_lone(f, -1 - a->number);
		else
			f->pairs[f->pair_count++] = (struct pair){ .a = a, .b = b ? b : &nothing };
	}
	return error;
}

/* Those of b alone; the empty ones that they are compared with are made in `empty`. */
static struct cp_error *make_lone_pairs(struct finding *f, struct cp_stream *empty)
{
	struct cp_error *error = NULL;
	size_t count = 0;

	for (size_t i = 0; i < f->b->stream_count && !error; i++) {
		const struct cp_stream *b = &f->b->streams[i];

		if (cp_steps_stream(f->a, b->number))
			continue;
		if (b->number >= 0 && f->a->cut) {
			f->ret->unreached.b += b->count;
		} else if (b->number >= 0) {
			error = add_lone(f, b->number);
		} else if (count < 2) {
			empty[count] = (struct cp_stream){ .number = b->number };
			f->pairs[f->pair_count++] = (struct pair){ .a = &empty[count++], .b = b };
		}
	}
	return error;
}

struct cp_error *cp_findings_make(const struct cp_steps *a, const struct cp_steps *b,
	const struct cp_finding_rule *rule, struct cp_findings *ret)
{
	struct cp_findings all = { .groups = NULL };
	struct finding f = { .a = a, .b = b, .rule = rule, .ret = &all, .grouping = { .all = &all } };
	struct cp_stream empty[2];
	struct cp_error *error = make_pairs(&f);

	if (!error)
		error = make_lone_pairs(&f, empty);
	for (size_t i = 0; i < f.pair_count && !error; i++)
		error = compare_pair(&f, i);
	if (!error && f.run_count)
		error = count_totals(&f);
	if (!error && f.run_count)
		error = find_moved(&f);
	if (!error)
		error = group_runs(&f);
	for (size_t i = 0; i < f.pair_count; i++)
		free(f.pairs[i].hunks.items);
	free(f.pairs);
	free(f.runs);
	free(f.grouping.slots);
	free(f.totals);
	if (error) {
		cp_findings_deinit(&all);
		return error;
	}
	cp_groups_sort(&all);
	*ret = all;
	return NULL;
}

void cp_findings_deinit(struct cp_findings *findings)
{
	free(findings->groups);
	free(findings->divergences);
	free(findings->lone);
}
