/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON Lines, as sessions in GDB write them. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "trace/inside.h"

#define CHUNK ((size_t)64 * 1024)

/* jansson takes some text for broken when it has no memory for it: so it is seen what it was refused. */
static __thread bool refused;

static void *noticed_malloc(size_t size)
{
	void *ret = malloc(size);

	if (!ret)
		refused = true;
	return ret;
}

static void notice(void)
{
	json_set_alloc_funcs(noticed_malloc, free);
}

bool cp_trace_json_refused(void)
{
	bool ret = refused;

	refused = false;
	return ret;
}

struct cp_error *cp_trace_value(const char *text, size_t length, json_t **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	json_t *value;

	pthread_once(&once, notice);
	refused = false;
	value = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	*ret = NULL;
	if (value && refused)
		json_decref(value);
	else
		*ret = value;
	return cp_trace_json_refused() ? &cp_error_no_memory : NULL;
}

struct cp_error *cp_trace_object(const char *text, size_t length, json_t **ret)
{
	json_t *value;
	struct cp_error *error = cp_trace_value(text, length, &value);

	*ret = NULL;
	if (json_is_object(value))
		*ret = value;
	else
		json_decref(value);
	return error;
}

/* "0x..." to a number; 0: it is none. */
static uint64_t hexadecimal(const json_t *value)
{
	const char *text = json_string_value(value);
	uint64_t ret;
	char *end;

	if (!text || text[0] != '0' || text[1] != 'x')
		return 0;
	errno = 0;
	ret = strtoull(text + 2, &end, 16);
	return errno || *end || end == text + 2 || text[2] == '-' || text[2] == '+' ? 0 : ret;
}

static void hit_of(json_t *object, struct cp_event *ret, const char **fault)
{
	json_t *address = json_object_get(object, "address"), *caller = json_object_get(object, "caller");
	const char *place = json_string_value(json_object_get(object, "place"));

	ret->function = json_string_value(json_object_get(object, "function"));
	ret->address = hexadecimal(address);
	ret->site = hexadecimal(json_object_get(object, "site"));
	ret->caller = json_string_value(json_object_get(caller, "function"));
	ret->return_address = hexadecimal(json_object_get(caller, "address"));
	/* A session in GDB says of what kind the place is: a line or a test within a function is not its entry. */
	ret->is_entry = !place || !strcmp(place, "function") || !strcmp(place, "inlined");
	if (!ret->function || !*ret->function)
		*fault = "function is missing";
	else if (!ret->address)
		*fault = "address is no hexadecimal number";
}

void cp_trace_event_of(json_t *object, struct cp_event *ret, const char **fault)
{
	json_t *t = json_object_get(object, "t"), *vcpu = json_object_get(object, "vcpu");
	json_t *text = json_object_get(object, "text");

	memset(ret, 0, sizeof(*ret));
	*fault = NULL;
	ret->kind = json_string_value(json_object_get(object, "kind"));
	ret->vcpu = -1;
	if (!ret->kind || !*ret->kind) {
		*fault = "kind is missing";
		return;
	}
	if (!json_is_integer(t) || json_integer_value(t) < 0) {
		*fault = "t is no number of nanoseconds";
		return;
	}
	ret->t = (uint64_t)json_integer_value(t);
	if (json_is_integer(vcpu) && json_integer_value(vcpu) >= 0 && json_integer_value(vcpu) < CP_BLOCK_NO_VCPU) {
		ret->vcpu = (int)json_integer_value(vcpu);
	} else if (vcpu && !json_is_null(vcpu)) {
		*fault = "vcpu is no number of a vCPU";
		return;
	}
	if (!strcmp(ret->kind, "hit")) {
		hit_of(object, ret, fault);
	} else if (!strcmp(ret->kind, "console")) {
		ret->text = json_string_value(text);
		ret->text_length = json_string_length(text);
		if (!ret->text)
			*fault = "text is missing";
	}
}

/* -- Lines of the file -- */

struct lines {
	const struct cp_trace *trace;
	char *buffer;			/* owned */
	size_t room, start, used;	/* unread bytes are from start to used */
	size_t seen;			/* of these, without a line feed */
	uint64_t at;			/* where in the file the next bytes are */
	unsigned long long number;	/* of the last line, from 1 */
};

static struct cp_error *fill(struct lines *lines)
{
	uint64_t rest = lines->trace->size - lines->at;
	size_t count = rest < CHUNK ? (size_t)rest : CHUNK;
	struct cp_error *error;

	if (lines->start && lines->used > lines->start)
		memmove(lines->buffer, lines->buffer + lines->start, lines->used - lines->start);
	if (lines->start) {
		lines->used -= lines->start;
		lines->start = 0;
	}
	if (lines->room - lines->used < count) {
		size_t room = 2 * lines->room + count;
		char *buffer = realloc(lines->buffer, room);

		if (!buffer)
			return &cp_error_no_memory;
		lines->buffer = buffer;
		lines->room = room;
	}
	error = cp_trace_read(lines->trace, lines->at, lines->buffer + lines->used, count);
	if (!error) {
		lines->at += count;
		lines->used += count;
	}
	return error;
}

/* The next line, without its end, in the buffer. NULL for *ret: there is none any more. */
static struct cp_error *next_line(struct lines *lines, const char **ret, size_t *length)
{
	for (;;) {
		size_t unread = lines->used - lines->start;
		char *from = unread ? lines->buffer + lines->start : NULL;
		char *end = unread > lines->seen ? memchr(from + lines->seen, '\n', unread - lines->seen) : NULL;
		struct cp_error *error;

		if (end || (unread && lines->at == lines->trace->size)) {
			*ret = from;
			*length = end ? (size_t)(end - from) : unread;
			lines->start += *length + (end ? 1 : 0);
			lines->seen = 0;
			lines->number++;
			return NULL;
		}
		*ret = NULL;
		if (lines->at == lines->trace->size)
			return NULL;
		lines->seen = unread;
		error = fill(lines);
		if (error)
			return error;
	}
}

static struct cp_error *bad_line(const struct lines *lines, unsigned long long number, const char *what)
{
	return cp_error_create(CP_ERROR_CORRUPT, "%s:%llu: %s: the trace is damaged here", lines->trace->path, number, what);
}

typedef struct cp_error *line_fn(void *context, json_t *object, const struct cp_event *event);

/* Each event in turn. *end: the end record, the caller's; NULL: there is none; *broken: the last line is no whole one. */
static struct cp_error *each_line(const struct cp_trace *trace, line_fn *each, void *context, json_t **end, bool *broken)
{
	struct lines lines = { .trace = trace, .at = trace->start, .number = 1 };
	struct cp_error *error = NULL;

	*end = NULL;
	*broken = false;
	for (;;) {
		const char *text, *fault;
		struct cp_event event;
		size_t length;
		json_t *object;

		error = next_line(&lines, &text, &length);
		if (error || !text)
			break;
		if (*broken)
			error = bad_line(&lines, lines.number - 1, "not a JSON record");
		else if (*end)
			error = bad_line(&lines, lines.number, "a record after the end record");
		if (error)
			break;
		error = cp_trace_object(text, length, &object);
		if (error)
			break;
		if (!object) {
			*broken = true;
			continue;
		}
		cp_trace_event_of(object, &event, &fault);
		if (event.kind && !strcmp(event.kind, "end")) {
			*end = object;
			continue;
		}
		event.json = text;
		event.json_length = length;
		if (fault)
			error = cp_error_create(CP_ERROR_CORRUPT, "%s:%llu: the event's %s: the trace is damaged here", trace->path,
				lines.number, fault);
		else
			error = each(context, object, &event);
		json_decref(object);
		if (error)
			break;
	}
	free(lines.buffer);
	if (error) {
		json_decref(*end);
		*end = NULL;
	}
	return error;
}

/* -- What ran, by a table of hashes: a trace may have the same function a million times -- */

struct table {
	struct cp_trace *trace;
	struct cp_ran_list list;
	size_t *slots;			/* indices of the list + 1; 0: free; owned */
	size_t size;			/* of slots: a power of two, or 0 */
};

static size_t hash(uint64_t address, const char *name)
{
	uint64_t value = address * 0x9e3779b97f4a7c15u;

	for (; *name; name++)
		value = (value ^ (unsigned char)*name) * 0x100000001b3u;
	return (size_t)(value ^ value >> 29);
}

static size_t *slot_of(struct table *table, uint64_t address, const char *name)
{
	size_t at = hash(address, name);

	for (;; at++) {
		size_t *slot = &table->slots[at & (table->size - 1)];

		if (!*slot || (table->list.items[*slot - 1].address == address && !strcmp(table->list.items[*slot - 1].name, name)))
			return slot;
	}
}

static bool make_slots(struct table *table)
{
	if (2 * table->list.count < table->size)
		return true;
	free(table->slots);
	table->size = table->size ? 2 * table->size : 64;
	table->slots = calloc(table->size, sizeof(*table->slots));
	for (size_t i = 0; table->slots && i < table->list.count; i++)
		*slot_of(table, table->list.items[i].address, table->list.items[i].name) = i + 1;
	return table->slots != NULL;
}

static struct cp_error *count_event(void *context, json_t *object, const struct cp_event *event)
{
	struct table *table = context;
	size_t *slot;

	(void)object;
	table->trace->events++;
	if (event->t > table->trace->last)
		table->trace->last = event->t;
	if (!event->is_entry)
		return NULL;
	table->trace->has_callers |= event->site || event->caller;
	if (!make_slots(table))
		return &cp_error_no_memory;
	slot = slot_of(table, event->address, event->function);
	if (!*slot) {
		struct cp_ran ran = { event->address, cp_arena_strdup(&table->trace->arena, event->function), 1, event->t,
			event->vcpu < 0 ? 0 : (unsigned int)event->vcpu, event->t };

		if (!ran.name || !cp_ran_add(&table->list, &ran))
			return &cp_error_no_memory;
		*slot = table->list.count;
	} else {
		struct cp_ran *ran = &table->list.items[*slot - 1];

		ran->count++;
		ran->last = event->t > ran->last ? event->t : ran->last;
	}
	return NULL;
}

struct cp_error *cp_trace_read_lines(struct cp_trace *trace)
{
	struct table table = { .trace = trace };
	bool broken;
	struct cp_error *error = each_line(trace, count_event, &table, &trace->end, &broken);

	free(table.slots);
	if (!error)
		error = cp_ran_finish(&table.list);
	trace->ran = table.list.items;
	trace->ran_count = table.list.count;
	trace->has_ran = true;
	if (!error && !trace->end)
		cp_trace_note(trace, "%s: cut off%s: it has no end record: what is there is used: %" PRIu64 " events until "
			"%.6f s", trace->path, broken ? " within its last line" : "", trace->events, (double)trace->last / 1e9);
	return error;
}

struct walk {
	cp_event_fn *each;
	void *context;
};

static struct cp_error *pass_on(void *context, json_t *object, const struct cp_event *event)
{
	struct walk *walk = context;

	(void)object;
	return walk->each(walk->context, event);
}

struct cp_error *cp_trace_walk_lines(struct cp_trace *trace, cp_event_fn *each, void *context)
{
	struct walk walk = { each, context };
	struct cp_error *error;
	bool broken;
	json_t *end;

	error = each_line(trace, pass_on, &walk, &end, &broken);
	if (!error)
		json_decref(end);
	return error;
}
