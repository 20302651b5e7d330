/* SPDX-License-Identifier: BSD-2-Clause */
/* A comparison for a program: an object a line; and what both forms share. */
#include <inttypes.h>
#include <string.h>

#include "answer/diff.h"
#include "answer/json.h"

/* The next "key=value" of values, which are divided by ", ", and its length. NULL: there is none any more. */
static const char *next_value(const char **at, size_t *length)
{
	const char *ret = *at, *end = ret ? strstr(ret, ", ") : NULL;

	if (!ret || !*ret)
		return NULL;
	*length = end ? (size_t)(end - ret) : strlen(ret);
	*at = end ? end + 2 : ret + *length;
	return ret;
}

void cp_diff_values(struct cp_text *ret, const char *a, const char *b)
{
	const char *of_a = a, *of_b = b, *x, *y;
	size_t x_length = 0, y_length = 0;

	cp_text_clear(ret);
	for (;;) {
		x = next_value(&of_a, &x_length);
		y = next_value(&of_b, &y_length);
		if (!x || !y)
			break;
		if (x_length == y_length && !memcmp(x, y, x_length))
			continue;
		cp_text_add(ret, ", ", ret->length ? 2 : 0);
		cp_text_add(ret, x, x_length);
		cp_text_add(ret, " -> ", 4);
		/* The name again says nothing. */
		if (memchr(x, '=', x_length)) {
			size_t name = (size_t)((const char *)memchr(x, '=', x_length) - x) + 1;

			if (name <= y_length && !memcmp(x, y, name)) {
				y += name;
				y_length -= name;
			}
		}
		cp_text_add(ret, y, y_length);
	}
	if (!x && !y)
		return;
	cp_text_clear(ret);
	cp_text_printf(ret, "%s -> %s", a ? a : "none", b ? b : "none");
}

static void print_stream(FILE *out, const char *key, int stream)
{
	if (stream < 0)
		fprintf(out, ", \"%s\": \"%s\"", key, stream == CP_STREAM_CONSOLE ? "console" : "session");
	else
		fprintf(out, ", \"%s\": %d", key, stream);
}

static void print_step(FILE *out, const struct cp_diff *diff, int side, int stream, size_t at)
{
	const struct cp_step_details *d = cp_diff_details(diff, side, stream, at);

	fputs("{\"name\": ", out);
	cp_json_string(out, cp_diff_name(diff, side, stream, at));
	if (d) {
		if (d->t != CP_TIME_UNKNOWN)
			fprintf(out, ", \"t\": %" PRIu64, d->t);
		cp_json_key(out, "text", d->text);
		cp_json_key(out, "values", d->values);
		cp_json_key(out, "file", d->file);
		if (d->line)
			fprintf(out, ", \"line\": %u", d->line);
	}
	putc('}', out);
}

static void print_steps(FILE *out, const struct cp_diff *diff, const char *key, int side, int stream, size_t from,
	size_t end)
{
	size_t count = cp_diff_count(diff, side, stream);

	fprintf(out, ", \"%s\": [", key);
	for (size_t at = from; at < end && at < count; at++) {
		fputs(at > from ? ", " : "", out);
		print_step(out, diff, side, stream, at);
	}
	putc(']', out);
}

static void print_divergence(FILE *out, const struct cp_diff *diff)
{
	const struct cp_place *p = diff->divergence;
	size_t a = p->a < CP_DIFF_BEFORE ? 0 : p->a - CP_DIFF_BEFORE, b = p->b < CP_DIFF_BEFORE ? 0 : p->b - CP_DIFF_BEFORE;

	fputs("{\"kind\": \"divergence\"", out);
	print_stream(out, "vcpu", p->stream);
	fprintf(out, ", \"step\": %" PRIu32, p->a + 1);
	print_steps(out, diff, "before", 0, p->stream, a, p->a);
	print_steps(out, diff, "before_now", 1, p->to_stream, b, p->b);
	print_steps(out, diff, "expected", 0, p->stream, p->a, (size_t)p->a + CP_DIFF_AFTER);
	print_steps(out, diff, "came", 1, p->to_stream, p->b, (size_t)p->b + CP_DIFF_AFTER);
	fputs(", \"console\": [", out);
	for (size_t i = 0; i < diff->tail_count; i++) {
		fputs(i ? ", " : "", out);
		cp_json_string(out, diff->tail[i].text);
	}
	fputs("]}\n", out);
}

static const char *const kinds[CP_CHANGES] = { "missing", "extra", "moved", "loop", "values", "slower" };

static void print_group(FILE *out, const struct cp_diff *diff, const struct cp_group *g)
{
	const struct cp_place *p = &g->first;
	int side = p->a_count ? 0 : 1, stream = side ? p->to_stream : p->stream;
	size_t from = side ? p->b : p->a, count = side ? p->b_count : p->a_count, shown = count;

	fprintf(out, "{\"kind\": \"%s\"", kinds[g->change]);
	print_stream(out, "vcpu", p->stream);
	if (p->to_stream != p->stream)
		print_stream(out, "now_vcpu", p->to_stream);
	fprintf(out, ", \"step\": %" PRIu32 ", \"now_step\": %" PRIu32 ", \"places\": %" PRIu64 ", \"steps\": %" PRIu64
		", \"run\": %zu", p->a + 1, p->b + 1, g->places, g->steps, count);
	if (g->change == CP_CHANGE_REPEATED) {
		fprintf(out, ", \"rounds\": %" PRIu64 ", \"now_rounds\": %" PRIu64, g->a_rounds, g->b_rounds);
		shown = g->period;
	}
	if (g->change == CP_CHANGE_SLOWER)
		fprintf(out, ", \"t\": %" PRIu64 ", \"now_t\": %" PRIu64, g->a_t, g->b_t);
	shown = shown < CP_DIFF_RUN ? shown : CP_DIFF_RUN;
	print_steps(out, diff, g->change == CP_CHANGE_VALUES ? "expected" : "names", side, stream, from, from + shown);
	if (g->change == CP_CHANGE_VALUES)
		print_steps(out, diff, "came", 1, p->to_stream, p->b, (size_t)p->b + 1);
	fputs("}\n", out);
}

static void print_whole(FILE *out, const struct cp_diff *diff)
{
	for (size_t i = 0; i < diff->note_count; i++) {
		fputs("{\"kind\": \"note\"", out);
		cp_json_key(out, "text", diff->notes[i]);
		fputs("}\n", out);
	}
	if (diff->vcpus[0])
		fprintf(out, "{\"kind\": \"vcpus\", \"expected\": %lu, \"came\": %lu}\n", diff->vcpus[0], diff->vcpus[1]);
	for (size_t i = 0; i < diff->findings.lone_count; i++) {
		int number = diff->findings.lone[i];

		fprintf(out, "{\"kind\": \"alone\", \"vcpu\": %d, \"in\": \"%s\"}\n", number < 0 ? -1 - number : number,
			number < 0 ? "baseline" : "trace");
	}
	for (int side = 0; side < 2; side++) {
		if (diff->sides[side].steps.cut)
			fprintf(out, "{\"kind\": \"cut\", \"in\": \"%s\", \"unreached\": %" PRIu64 "}\n", side ? "trace" : "baseline",
				side ? diff->findings.unreached.a : diff->findings.unreached.b);
	}
	if (diff->outcomes[0]) {
		fputs("{\"kind\": \"end\"", out);
		cp_json_key(out, "expected", diff->outcomes[0]);
		cp_json_key(out, "came", diff->outcomes[1]);
		fputs("}\n", out);
	}
}

static void print_lone(FILE *out, const struct cp_diff *diff, int side)
{
	const struct cp_lone_names *lone = &diff->lone[side];

	for (size_t i = 0; i < lone->count && (!diff->how->limit || i < diff->how->limit); i++) {
		fprintf(out, "{\"kind\": \"%s\"", side ? "new" : "never");
		print_stream(out, "vcpu", lone->items[i].stream);
		fprintf(out, ", \"%s\": %" PRIu32 ", \"places\": %" PRIu64, side ? "now_step" : "step", lone->items[i].at + 1,
			lone->items[i].count);
		print_steps(out, diff, "names", side, lone->items[i].stream, lone->items[i].at, (size_t)lone->items[i].at + 1);
		fputs("}\n", out);
	}
}

static void print_slower(FILE *out, const struct cp_diff *diff)
{
	for (size_t i = 0; i < diff->slower_count && (!diff->how->limit || i < diff->how->limit); i++) {
		const struct cp_slower *s = &diff->slower[i];

		fputs("{\"kind\": \"slower\"", out);
		cp_json_key(out, "name", s->name ? s->name : "(whole boot)");
		fprintf(out, ", \"t\": %" PRIu64 ", \"now_t\": %" PRIu64 "}\n", s->was, s->is);
	}
}

void cp_diff_print_json(FILE *out, const struct cp_diff *diff)
{
	uint64_t shown = 0;

	if (diff->divergence)
		print_divergence(out, diff);
	print_whole(out, diff);
	print_lone(out, diff, 0);
	print_lone(out, diff, 1);
	for (size_t i = 0; i < diff->findings.group_count; i++) {
		const struct cp_group *g = &diff->findings.groups[i];

		shown = i && g[-1].change == g->change ? shown + 1 : 1;
		if (!diff->how->limit || shown <= diff->how->limit)
			print_group(out, diff, g);
	}
	print_slower(out, diff);
	fprintf(out, "{\"kind\": \"summary\", \"equal\": %s", diff->differs ? "false" : "true");
	for (size_t i = 0; i < CP_CHANGES; i++)
		fprintf(out, ", \"%s\": %" PRIu64, kinds[i], diff->findings.steps[i] + (i == CP_CHANGE_SLOWER ? diff->slower_count : 0));
	fputs("}\n", out);
}
