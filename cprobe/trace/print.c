/* SPDX-License-Identifier: BSD-2-Clause */
/* The events of a trace, for a person or as JSON Lines. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/utf8.h"
#include "trace/inside.h"

struct printing {
	const struct cp_trace *trace;
	const struct cp_when *when;
	enum cp_format format;
	FILE *out;
	uint64_t printed;
};

/* -- JSON -- */

/* A text that is not ended by a 0, and may have one in it; as cp_json_string() otherwise. */
static void json_text(FILE *out, const char *text, size_t length)
{
	putc('"', out);
	for (size_t i = 0; i < length; ) {
		unsigned char room[5] = { 0 };
		size_t rest = length - i < 4 ? length - i : 4, sequence;

		memcpy(room, text + i, rest);
		sequence = cp_utf8_length(room);
		if (*room == '"' || *room == '\\')
			fprintf(out, "\\%c", *room);
		else if (*room == '\n' || *room == '\t' || *room == '\r')
			fputs(*room == '\n' ? "\\n" : *room == '\t' ? "\\t" : "\\r", out);
		else if (!sequence || *room < 0x20)
			fprintf(out, "\\u%04x", *room);
		else
			fwrite(room, 1, sequence, out);
		i += sequence ? sequence : 1;
	}
	putc('"', out);
}

static void json_args(const struct printing *p, const struct cp_event *event)
{
	json_t *names = json_object_get(p->trace->header, "args");

	fputs(",\"args\":[", p->out);
	for (size_t i = 0; i < event->value_count; i++) {
		const char *name = json_string_value(json_array_get(names, i));
		char number[24];

		snprintf(number, sizeof(number), "%zu", i);
		fputs(i ? ",{\"name\":" : "{\"name\":", p->out);
		cp_json_string(p->out, name ? name : number);
		fprintf(p->out, ",\"value\":\"0x%" PRIx64 "\"}", event->values[i]);
	}
	putc(']', p->out);
}

/* An event that is JSON already, with its number: as it is, where it has that, in one line. */
static struct cp_error *renumber(const struct printing *p, const char *text, size_t length)
{
	struct cp_error *error;
	json_t *object, *numbered;
	char *line = NULL, begin[40];
	size_t size = (size_t)snprintf(begin, sizeof(begin), "{\"seq\":%" PRIu64 ",", p->printed);

	if (length > size && !memcmp(text, begin, size) && !memchr(text, '\n', length)) {
		fwrite(text, 1, length, p->out);
		putc('\n', p->out);
		return NULL;
	}
	numbered = json_object();
	error = cp_trace_object(text, length, &object);
	if (!error && object && numbered && !json_object_set_new(numbered, "seq", json_integer((json_int_t)p->printed))) {
		json_object_del(object, "seq");
		if (!json_object_update(numbered, object))
			line = json_dumps(numbered, JSON_COMPACT);
	}
	json_decref(object);
	json_decref(numbered);
	if (!error && (cp_trace_json_refused() || !line))
		error = &cp_error_no_memory;
	if (!error)
		fprintf(p->out, "%s\n", line);
	free(line);
	return error;
}

static struct cp_error *print_json(const struct printing *p, const struct cp_event *event)
{
	if (event->json)
		return renumber(p, event->json, event->json_length);
	fprintf(p->out, "{\"seq\":%" PRIu64 ",\"t\":%" PRIu64, p->printed, event->t);
	if (event->vcpu >= 0)
		fprintf(p->out, ",\"vcpu\":%d", event->vcpu);
	else
		fputs(",\"vcpu\":null", p->out);
	fprintf(p->out, ",\"kind\":\"%s\"", event->kind);
	if (event->function) {
		fputs(",\"function\":", p->out);
		cp_json_string(p->out, event->function);
		fprintf(p->out, ",\"address\":\"0x%" PRIx64 "\"", event->address);
	}
	if (event->site)
		fprintf(p->out, ",\"site\":\"0x%" PRIx64 "\"", event->site);
	if (event->value_count)
		json_args(p, event);
	if (event->text) {
		fputs(",\"text\":", p->out);
		json_text(p->out, event->text, event->text_length);
	}
	fputs("}\n", p->out);
	return NULL;
}

/* The header without what says that it is in blocks. */
static struct cp_error *print_header(const struct printing *p)
{
	json_t *copy = json_copy(p->trace->header);
	struct cp_error *error = NULL;
	char *line = NULL;

	if (copy) {
		json_object_del(copy, "encoding");
		line = json_dumps(copy, JSON_COMPACT);
	}
	json_decref(copy);
	if (line && !cp_trace_json_refused())
		fprintf(p->out, "%s\n", line);
	else
		error = &cp_error_no_memory;
	free(line);
	return error;
}

static struct cp_error *print_end(const struct printing *p)
{
	char *line;
	struct cp_error *error;

	if (!p->trace->end)
		return NULL;
	line = json_dumps(p->trace->end, JSON_COMPACT);
	error = line && !cp_trace_json_refused() ? renumber(p, line, strlen(line)) : &cp_error_no_memory;
	free(line);
	return error;
}

/* -- Text -- */

/* What comes from a guest must not reach the terminal as it is. */
static void print_plain(FILE *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		putc((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i], out);
}

static void print_values(const struct printing *p, const struct cp_event *event)
{
	json_t *names = json_object_get(p->trace->header, "args");

	putc('(', p->out);
	for (size_t i = 0; i < event->value_count; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		fputs(i ? ", " : "", p->out);
		if (name) {
			print_plain(p->out, name, strlen(name));
			putc('=', p->out);
		}
		fprintf(p->out, "0x%" PRIx64, event->values[i]);
	}
	putc(')', p->out);
}

static struct cp_error *print_text(const struct printing *p, const struct cp_event *event)
{
	fprintf(p->out, "[%14.9f] ", (double)event->t / 1e9);
	if (event->vcpu >= 0)
		fprintf(p->out, "cpu%d ", event->vcpu);
	if (event->text) {
		fputs("| ", p->out);
		print_plain(p->out, event->text, event->text_length);
	} else if (event->function) {
		print_plain(p->out, event->function, strlen(event->function));
		if (event->value_count)
			print_values(p, event);
		if (event->site)
			fprintf(p->out, "  <- 0x%" PRIx64, event->site);
		if (event->caller) {
			fputs("  <- ", p->out);
			print_plain(p->out, event->caller, strlen(event->caller));
		}
	} else {
		print_plain(p->out, event->json, event->json_length);
	}
	putc('\n', p->out);
	return NULL;
}

static struct cp_error *print_event(void *context, const struct cp_event *event)
{
	struct printing *p = context;
	const struct cp_globs *globs = &p->when->functions;
	struct cp_error *error;

	if (event->t < p->when->from || event->t > p->when->to)
		return NULL;
	if (globs->count && !(event->function && cp_globs_name(globs->items, globs->count, event->function)))
		return NULL;
	error = p->format == CP_FORMAT_JSON ? print_json(p, event) : print_text(p, event);
	p->printed++;
	return error;
}

struct cp_error *cp_events(struct cp_trace *trace, const struct cp_when *when, enum cp_format format, FILE *out,
	uint64_t *count)
{
	struct printing p = { trace, when, format, out, 0 };
	struct cp_error *error = format == CP_FORMAT_JSON ? print_header(&p) : NULL;

	if (!error)
		error = cp_trace_walk(trace, print_event, &p);
	if (!error && format == CP_FORMAT_JSON)
		error = print_end(&p);
	if (!error)
		*count = p.printed;
	return error;
}
