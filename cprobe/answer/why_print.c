/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a function did not run, in words and as JSON. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "answer/json.h"
#include "base/error.h"

/* -- Words -- */

struct words {
	FILE *out;
	const char *before;		/* of each line */
	size_t number;			/* of the reason whose first line comes next; 0 none */
	bool lacked_memory;
};

static void __attribute__((format(printf, 2, 3))) say(struct words *w, const char *format, ...)
{
	char *line = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&line, format, ap) < 0)
		line = NULL;
	va_end(ap);
	w->lacked_memory |= !line;
	if (!line)
		return;
	cp_one_line(line);
	if (w->number)
		fprintf(w->out, "%s%2zu%s\n", w->before, w->number, line + 2);
	else
		fprintf(w->out, "%s%s\n", w->before, line);
	w->number = 0;
	free(line);
}

#define PLACE_SIZE 512
#define RUN_SIZE 128

static const char *place_text(char *text, const char *file, unsigned int line, uint64_t address)
{
	if (file)
		snprintf(text, PLACE_SIZE, "%s:%u", file, line);
	else
		snprintf(text, PLACE_SIZE, "0x%" PRIx64, address);
	return text;
}

static const char *run_text(char *text, const struct cp_run *run)
{
	char times[32] = "once";

	if (run->count != 1)
		snprintf(times, sizeof(times), "%" PRIu64 " times", run->count);
	switch (run->state) {
	case CP_DID_RUN:
		snprintf(text, RUN_SIZE, "ran %s, %sat %.6f s on vCPU %u", times, run->count == 1 ? "" : "first ",
			(double)run->first / 1e9, run->vcpu);
		break;
	case CP_DID_NOT_RUN:
		snprintf(text, RUN_SIZE, "did not run");
		break;
	case CP_NOT_RECORDED:
		snprintf(text, RUN_SIZE, "was not recorded");
	}
	return text;
}

static const char *name_of(const struct cp_why_link *link, char *room)
{
	if (link->name)
		return link->name;
	snprintf(room, PLACE_SIZE, "%s0x%" PRIx64, link->is_table ? "a pointer at " : "", link->address);
	return room;
}

/* One link, told from its end: the function or table `to` and what leads to it. */
static void say_link(struct words *w, const struct cp_why_link *from, const struct cp_why_link *to, unsigned int more)
{
	char place[PLACE_SIZE], run[RUN_SIZE], room_a[PLACE_SIZE], room_b[PLACE_SIZE], again[64] = "", where[PLACE_SIZE + 16] = "";
	const char *a = name_of(from, room_a), *b = name_of(to, room_b);
	const char *at = place_text(place, from->file, from->line, from->site);

	if (more)
		snprintf(again, sizeof(again), " and %u more place%s", more, more == 1 ? "" : "s");
	if (from->section)
		snprintf(where, sizeof(where), " (%s)", from->section);
	run_text(run, &from->run);
	switch (from->kind) {
	case CP_LINK_CALL:
		say(w, "    %s is called by %s at %s%s, which %s", b, a, at, again, run);
		break;
	case CP_LINK_JUMP:
		say(w, "    %s is jumped to at the end of %s at %s%s, which %s", b, a, at, again, run);
		break;
	case CP_LINK_THROUGH:
		say(w, "    %s is called through by %s at %s%s, which %s (inferred: other pointers may be there by then)", b, a, at, again,
			run);
		break;
	case CP_LINK_ADDRESS:
		say(w, "    %s has its address taken by %s at %s%s, which %s (inferred: who is given it calls)", b, a, at, again, run);
		break;
	case CP_LINK_USES:
		say(w, "    %s is used by %s at %s%s, which %s (inferred)", b, a, at, again, run);
		break;
	case CP_LINK_HOLDS:
		say(w, "    %s is reached through %s%s%s (inferred)", b, from->name ? "the table " : "", a, where);
		break;
	case CP_LINK_POINTS:
		say(w, "    %s is pointed to by %s%s (inferred)", b, a, where);
		break;
	case CP_LINK_ELEMENT:
		say(w, "    %s is in the set that begins at %s%s (inferred)", b, a, where);
		break;
	case CP_LINK_METHOD:
		say(w, "    %s is in use: %s, another function of it, %s (inferred)", b, a, run);
	}
}

static void say_methods(struct words *w, const struct cp_why_reason *reason)
{
	char run[RUN_SIZE];

	if (!reason->methods) {
		if (reason->method_count > 1)
			say(w, "    %s holds %zu functions", reason->table ? reason->table : "the table", reason->method_count);
		return;
	}
	say(w, "    the functions of %s in their order:", reason->table ? reason->table : "the table");
	for (size_t i = 0; i < reason->method_count; i++)
		say(w, "      %s %s", reason->methods[i].name, run_text(run, &reason->methods[i].run));
}

static void say_tests(struct words *w, const struct cp_why_reason *reason)
{
	const struct cp_why_link *first = &reason->links[0];
	const char *name = first->name ? first->name : "it";
	char place[PLACE_SIZE], why[PLACE_SIZE];
	bool all = first->kind == CP_LINK_METHOD && !reason->toward;

	if (!reason->ran)
		return;
	if (reason->way_unseen) {
		say(w, "    how %s comes there is not in its code: by a jump that the kernel patches in, or by a fault", name);
		return;
	}
	if (!reason->test_count) {
		if (first->kind <= CP_LINK_JUMP)
			say(w, "    no branch in %s decides whether it comes there: it did not come so far, or a call in front of it did not "
				"return", name);
		return;
	}
	if (all)
		say(w, "    what %s did is decided by its tests:", name);
	else if (first->kind == CP_LINK_METHOD)
		say(w, reason->toward_ran ? "    what %s returned decides, or whether it called %s, which it does only if" :
			"    %s returned without calling %s, which it does only if", name, reason->toward);
	else
		say(w, "    %s comes there only if", name);
	for (size_t i = 0; i < reason->test_count; i++) {
		const struct cp_why_test *test = &reason->tests[i];

		why[0] = 0;
		if (test->went != CP_WHY_UNKNOWN && test->by)
			snprintf(why, sizeof(why), ": %s, as %s %s", test->went == CP_WHY_HELD ? "held" : "never held", test->by,
				test->went == CP_WHY_HELD ? "ran" : "was not called");
		say(w, "      %s: %s%s%s", place_text(place, test->file, test->line, test->branch),
			test->condition ? test->condition : "a test that is not recognised",
			test->has_detour ? ", if it comes to that test" : "", why);
	}
	if (reason->tests_left_out)
		say(w, "      and %zu more", reason->tests_left_out);
}

static void say_reason(struct words *w, const struct cp_why_reason *reason, size_t number)
{
	const struct cp_why_link *first = &reason->links[0];
	char room[PLACE_SIZE];

	w->number = number;
	for (size_t l = reason->link_count - 1; l-- > 0;)
		say_link(w, &reason->links[l], &reason->links[l + 1], l ? 0 : reason->more_sites);
	if (reason->is_entry)
		say(w, "    %s is where the kernel is started", name_of(first, room));
	else if (reason->is_exported)
		say(w, "    nothing in this kernel calls %s: it is exported for modules", name_of(first, room));
	else if (reason->outside)
		say(w, "    %s is entered from code at 0x%" PRIx64 ", which is in no function that has a name", name_of(first, room),
			reason->outside);
	else if (reason->not_looked)
		say(w, "    who refers to %s was not looked for any more: ask about a function nearer to it", name_of(first, room));
	else if (!reason->ran)
		say(w, "    nothing in this kernel refers to %s%s", name_of(first, room), first->is_table ? "" :
			": hardware, a module, or code that computes its address may enter it");
	say_methods(w, reason);
	say_tests(w, reason);
}

static void say_place(struct words *w, const struct cp_why_place *place)
{
	char where[PLACE_SIZE], run[RUN_SIZE];

	place_text(where, place->file, place->line, place->address);
	run_text(run, &place->run);
	if (place->outer) {
		say(w, "%s (%s) is inlined at 0x%" PRIx64 " in %s, which %s%s", place->name, where, place->address, place->outer, run,
			place->run.state == CP_DID_NOT_RUN ? ": ask why of that" : "");
		return;
	}
	say(w, "%s (%s) %s", place->name, where, run);
	for (size_t r = 0; r < place->reason_count; r++)
		say_reason(w, &place->reasons[r], r + 1);
	if (place->left_out || place->cut)
		say(w, "%zu more reasons%s are left out: --limit tells how many are shown", place->left_out,
			place->cut ? " at least" : "");
}

/* -- JSON -- */

static void json_run(FILE *out, const struct cp_run *run)
{
	static const char *const states[] = { "not recorded", "did not run", "ran" };

	fprintf(out, ", \"state\": \"%s\"", states[run->state]);
	if (run->state == CP_DID_RUN)
		fprintf(out, ", \"count\": %" PRIu64 ", \"first\": %" PRIu64 ", \"vcpu\": %u", run->count, run->first, run->vcpu);
}

static void json_place(FILE *out, const char *file, unsigned int line)
{
	cp_json_key(out, "file", file);
	if (file)
		fprintf(out, ", \"line\": %u", line);
}

static void json_link(FILE *out, const struct cp_why_link *link, bool last)
{
	static const char *const kinds[] = { "call", "jump", "through", "address", "uses", "holds", "points", "element", "method" };

	fprintf(out, "{\"address\": \"0x%" PRIx64 "\"", link->address);
	cp_json_key(out, "name", link->name);
	if (link->is_table) {
		fputs(", \"table\": true", out);
		cp_json_key(out, "section", link->section);
	} else {
		json_run(out, &link->run);
	}
	if (!last) {
		fprintf(out, ", \"link\": \"%s\", \"site\": \"0x%" PRIx64 "\", \"inferred\": %s", kinds[link->kind], link->site,
			link->kind > CP_LINK_JUMP ? "true" : "false");
		json_place(out, link->file, link->line);
	}
	putc('}', out);
}

static void json_test(FILE *out, const struct cp_why_test *test)
{
	fprintf(out, "{\"address\": \"0x%" PRIx64 "\", \"branch\": \"0x%" PRIx64 "\"", test->address, test->branch);
	json_place(out, test->file, test->line);
	cp_json_key(out, "condition", test->condition);
	cp_json_key(out, "source", test->source);
	if (test->went != CP_WHY_UNKNOWN)
		fprintf(out, ", \"held\": %s", test->went == CP_WHY_HELD ? "true" : "false");
	cp_json_key(out, "by", test->by);
	if (test->has_detour)
		fputs(", \"detour\": true", out);
	putc('}', out);
}

static void json_reason(FILE *out, const struct cp_why_reason *reason)
{
	fputs("{\"chain\": [", out);
	for (size_t i = 0; i < reason->link_count; i++) {
		fputs(i ? ", " : "", out);
		json_link(out, &reason->links[i], i + 1 == reason->link_count);
	}
	fputs("]", out);
	if (!reason->ran)
		fprintf(out, ", \"root\": \"%s\"", reason->is_entry ? "entry" : reason->is_exported ? "exported" :
			reason->outside ? "outside" :
			reason->not_looked ? "not looked for" : "nothing");
	if (reason->more_sites)
		fprintf(out, ", \"more_sites\": %u", reason->more_sites);
	if (reason->way_unseen)
		fputs(", \"way_unseen\": true", out);
	cp_json_key(out, "toward", reason->toward);
	if (reason->test_count || reason->tests_left_out) {
		fputs(", \"tests\": [", out);
		for (size_t i = 0; i < reason->test_count; i++) {
			fputs(i ? ", " : "", out);
			json_test(out, &reason->tests[i]);
		}
		fprintf(out, "], \"tests_left_out\": %zu", reason->tests_left_out);
	}
	if (reason->method_count) {
		cp_json_key(out, "table", reason->table);
		fprintf(out, ", \"method_count\": %zu", reason->method_count);
	}
	if (reason->methods) {
		fputs(", \"methods\": [", out);
		for (size_t i = 0; i < reason->method_count; i++) {
			fprintf(out, "%s{\"address\": \"0x%" PRIx64 "\"", i ? ", " : "", reason->methods[i].address);
			cp_json_key(out, "name", reason->methods[i].name);
			json_run(out, &reason->methods[i].run);
			putc('}', out);
		}
		putc(']', out);
	}
	putc('}', out);
}

static void print_json_place(FILE *out, const struct cp_why_place *place)
{
	fprintf(out, "{\"address\": \"0x%" PRIx64 "\"", place->address);
	cp_json_key(out, "name", place->name);
	json_place(out, place->file, place->line);
	fprintf(out, ", \"kind\": \"%s\"", place->outer ? "inlined" : "function");
	cp_json_key(out, "outer", place->outer);
	json_run(out, &place->run);
	if (place->reason_count || place->left_out) {
		fputs(", \"reasons\": [", out);
		for (size_t i = 0; i < place->reason_count; i++) {
			fputs(i ? ", " : "", out);
			json_reason(out, &place->reasons[i]);
		}
		fprintf(out, "], \"left_out\": %zu, \"cut\": %s", place->left_out, place->cut ? "true" : "false");
	}
	fputs("}\n", out);
}

static void print_json(FILE *out, const struct cp_why *why)
{
	for (size_t i = 0; i < why->place_count; i++)
		print_json_place(out, &why->places[i]);
	if (!why->place_count) {
		fputs("{\"name\": ", out);
		cp_json_string(out, why->function);
		fputs(", \"kind\": \"declared\"", out);
		json_place(out, why->declared_file, why->declared_line);
		fputs("}\n", out);
	}
}

struct cp_error *cp_why_print(FILE *out, const struct cp_why *why, enum cp_format format)
{
	struct words w = { .out = out, .before = format == CP_FORMAT_GDB ? "# " : "" };
	char place[PLACE_SIZE];

	if (format == CP_FORMAT_JSON) {
		print_json(out, why);
		return NULL;
	}
	for (size_t i = 0; i < why->place_count; i++)
		say_place(&w, &why->places[i]);
	if (why->copies_left_out)
		say(&w, "%zu more inlined copies are left out", why->copies_left_out);
	if (!why->place_count)
		say(&w, "%s has no code in this kernel: %s only declares it, or nobody uses it and it was left out",
			why->function, place_text(place, why->declared_file, why->declared_line, 0));
	return w.lacked_memory ? &cp_error_no_memory : NULL;
}
