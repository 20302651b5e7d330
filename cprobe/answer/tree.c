/* SPDX-License-Identifier: BSD-2-Clause */
/* A boot as a tree of calls, in the order in which it went. */
#include <inttypes.h>

#include "answer/calls.h"
#include "answer/json.h"

struct printing {
	const struct cp_calls *calls;
	FILE *out;
	uint64_t least;		/* ns: calls that took less are taken together */
	uint64_t hidden;	/* how many nodes were */
};

static const struct cp_node *node_at(const struct printing *p, uint32_t number)
{
	return &p->calls->tree.nodes[number];
}

static bool is_call(const struct cp_node *node)
{
	return node->kind == CP_NODE_FUNCTION || node->kind == CP_NODE_CALLER;
}

/* -- Text -- */

static void begin(const struct printing *p, unsigned int depth)
{
	fprintf(p->out, "%12s  %12s  %10s  %*s", "", "", "", (int)(2 * depth), "");
}

static void print_other(const struct printing *p, const struct cp_node *node, unsigned int depth)
{
	const struct cp_calls *calls = p->calls;

	if (node->kind == CP_NODE_GAP) {
		fprintf(p->out, "%12s  %12.3f  %10s  %*s-- gap, from %.6f s", "", (double)node->self / 1e6, "", (int)(2 * depth), "",
			(double)node->first / 1e9);
		fputs(node->what == CP_NO_CALLER ? " until the end" : " until ", p->out);
		if (node->what != CP_NO_CALLER)
			cp_print_plain(p->out, cp_call_name(calls, node->what));
	} else {
		begin(p, depth);
		fputs(node->kind == CP_NODE_CONSOLE ? "| " : "* ", p->out);
		cp_print_plain(p->out, calls->tree.texts[node->what]);
	}
	putc('\n', p->out);
}

/* What is not a call stands also where the calls around it are not shown. */
static void print_others_within(const struct printing *p, uint32_t number, unsigned int depth)
{
	for (uint32_t child = node_at(p, number)->first_child; child != CP_NO_NODE; child = node_at(p, child)->next) {
		if (is_call(node_at(p, child)))
			print_others_within(p, child, depth);
		else
			print_other(p, node_at(p, child), depth);
	}
}

static void print_call(const struct printing *p, const struct cp_node *node, unsigned int depth)
{
	fprintf(p->out, "%12.3f  %12.3f  ", (double)node->inclusive / 1e6, (double)node->self / 1e6);
	if (node->kind == CP_NODE_CALLER)
		fprintf(p->out, "%10s", "-");
	else
		fprintf(p->out, "%10" PRIu64, node->count);
	fprintf(p->out, "  %*s", (int)(2 * depth), "");
	cp_print_plain(p->out, cp_call_name(p->calls, node->what));
	if (node->deeper)
		fprintf(p->out, "  (+%" PRIu64 " deeper)", node->deeper);
	putc('\n', p->out);
}

static void print_children(struct printing *p, uint32_t number, unsigned int depth)
{
	uint64_t inclusive = 0, entries = 0, count = 0;

	for (uint32_t child = node_at(p, number)->first_child; child != CP_NO_NODE; child = node_at(p, child)->next) {
		const struct cp_node *node = node_at(p, child);

		if (!is_call(node)) {
			print_other(p, node, depth);
		} else if (node->inclusive < p->least) {
			inclusive += node->inclusive;
			entries += node->count;
			count++;
			print_others_within(p, child, depth);
		} else {
			print_call(p, node, depth);
			print_children(p, child, depth + 1);
		}
	}
	p->hidden += count;
	if (count)
		fprintf(p->out, "%12.3f  %12s  %10" PRIu64 "  %*s+ %" PRIu64 " other%s\n", (double)inclusive / 1e6, "",
			entries, (int)(2 * depth), "", count, count == 1 ? "" : "s");
}

static void print_text(struct printing *p)
{
	const struct cp_calls *calls = p->calls;

	fprintf(p->out, "%" PRIu64 " entries of functions, from %.6f s to %.6f s; callers are inferred%s\n", calls->events,
		(double)calls->first / 1e9, (double)calls->last / 1e9,
		calls->callers.trace_knows ? " from the call sites" : " from the code: the trace has no call sites");
	for (uint32_t i = 0; i < calls->tree.count; i++) {
		if (calls->tree.nodes[i].kind != CP_NODE_VCPU)
			continue;
		fprintf(p->out, "\n%12s  %12s  %10s  vCPU %u\n", "incl. (ms)", "self (ms)", "entries", calls->tree.nodes[i].what);
		print_children(p, i, 0);
	}
	if (p->hidden)
		fprintf(p->out, "\n\"others\" are %" PRIu64 " calls that took less than %.3f ms; --least 0 shows them\n", p->hidden,
			(double)p->least / 1e6);
}

/* -- JSON -- */

static const char *const kinds[] = { "vcpu", "function", "caller", "console", "gap", "event" };

static void print_json(const struct printing *p, const struct cp_node *node, uint32_t vcpu, unsigned int depth)
{
	const struct cp_calls *calls = p->calls;

	fprintf(p->out, "{\"depth\": %u, \"vcpu\": %u, \"kind\": \"%s\"", depth, vcpu, kinds[node->kind]);
	if (is_call(node)) {
		fprintf(p->out, ", \"address\": \"0x%" PRIx64 "\"", calls->callers.items[node->what].address);
		cp_json_key(p->out, "name", cp_call_name(calls, node->what));
		fprintf(p->out, ", \"count\": %" PRIu64 ", \"first\": %" PRIu64 ", \"self\": %" PRIu64 ", \"inclusive\": %" PRIu64,
			node->count, node->first, node->self, node->inclusive);
		if (node->deeper)
			fprintf(p->out, ", \"deeper\": %" PRIu64, node->deeper);
	} else {
		fprintf(p->out, ", \"t\": %" PRIu64, node->first);
		if (node->kind == CP_NODE_GAP)
			fprintf(p->out, ", \"length\": %" PRIu64, node->self);
		if (node->kind == CP_NODE_GAP && node->what != CP_NO_CALLER)
			cp_json_key(p->out, "next", cp_call_name(calls, node->what));
		if (node->kind == CP_NODE_CONSOLE)
			cp_json_key(p->out, "text", calls->tree.texts[node->what]);
		if (node->kind == CP_NODE_EVENT)
			fprintf(p->out, ", \"event\": %s", calls->tree.texts[node->what]);
	}
	fputs("}\n", p->out);
}

static void print_json_children(struct printing *p, uint32_t number, uint32_t vcpu, unsigned int depth)
{
	for (uint32_t child = node_at(p, number)->first_child; child != CP_NO_NODE; child = node_at(p, child)->next) {
		const struct cp_node *node = node_at(p, child);

		if (!is_call(node) || node->inclusive >= p->least)
			print_json(p, node, vcpu, depth);
		if (is_call(node))
			print_json_children(p, child, vcpu, node->inclusive >= p->least ? depth + 1 : depth);
	}
}

/* So many lines need no leaving out. */
#define FEW_LINES 60

/* Without --least, a person is shown what took a five hundredth of a vCPU's time; a program everything. */
static uint64_t automatic(const struct cp_calls *calls)
{
	uint64_t most = 0;

	for (size_t i = 0; i < calls->tree.count && calls->tree.count > FEW_LINES; i++) {
		if (calls->tree.nodes[i].kind == CP_NODE_VCPU && calls->tree.nodes[i].inclusive > most)
			most = calls->tree.nodes[i].inclusive;
	}
	return most / 500;
}

struct cp_error *cp_tree(struct cp_program *program, struct cp_trace *trace, const struct cp_view *view,
	enum cp_format format, FILE *out)
{
	struct cp_calls_options options = { &view->when, view->gap, view->depth ? view->depth : 1 };
	struct cp_calls calls;
	struct printing p = { &calls, out, view->least, 0 };
	struct cp_error *error = cp_calls_make(program, trace, &options, &calls);

	if (!error && view->least == CP_LEAST_AUTOMATIC)
		p.least = format == CP_FORMAT_JSON ? 0 : automatic(&calls);
	if (!error && calls.tree.full)
		cp_program_note(program, "more than %zu calls differ: those beyond are counted as \"deeper\": give a lower --depth, "
			"or a shorter time", calls.tree.count);
	if (!error && format == CP_FORMAT_JSON) {
		for (uint32_t i = 0; i < calls.tree.count; i++) {
			if (calls.tree.nodes[i].kind == CP_NODE_VCPU)
				print_json_children(&p, i, calls.tree.nodes[i].what, 0);
		}
	} else if (!error) {
		print_text(&p);
	}
	cp_calls_deinit(&calls);
	return error;
}
