/* SPDX-License-Identifier: BSD-2-Clause */
/* What of an event is compared: never numbers that say where or when, but what was done, and with which values. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "diff/steps.h"
#include "trace/inside.h"

/* -- Texts -- */

void cp_text_clear(struct cp_text *text)
{
	text->length = 0;
	if (text->bytes)
		*text->bytes = 0;
}

void cp_text_add(struct cp_text *text, const char *bytes, size_t length)
{
	if (text->room - text->length <= length) {
		size_t room = 2 * text->room + length + 64;
		char *grown = realloc(text->bytes, room);

		if (!grown) {
			text->failed = true;
			return;
		}
		text->bytes = grown;
		text->room = room;
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = 0;
}

void cp_text_printf(struct cp_text *text, const char *format, ...)
{
	char *bytes = NULL;
	va_list ap;
	int length;

	va_start(ap, format);
	length = vasprintf(&bytes, format, ap);
	va_end(ap);
	if (length < 0) {
		text->failed = true;
		return;
	}
	cp_text_add(text, bytes, (size_t)length);
	free(bytes);
}

void cp_text_deinit(struct cp_text *text)
{
	free(text->bytes);
	memset(text, 0, sizeof(*text));
}

void cp_step_texts_deinit(struct cp_step_texts *texts)
{
	cp_text_deinit(&texts->what);
	cp_text_deinit(&texts->values);
	cp_ignoring_deinit(&texts->ignoring);
}

/* -- Console lines -- */

/* "[    0.123456] ", "[    0.123456][    T0] ": how long it is; 0: the line begins with none. */
static size_t stamp_length(const char *text, size_t length)
{
	size_t at = 1, digits = 0, dots = 0;

	if (!length || *text != '[')
		return 0;
	while (at < length && text[at] == ' ')
		at++;
	for (; at < length && (isdigit((unsigned char)text[at]) || text[at] == '.'); at++) {
		digits += text[at] != '.';
		dots += text[at] == '.';
	}
	if (!digits || dots != 1 || at == length || text[at] != ']')
		return 0;
	at++;
	/* CONFIG_PRINTK_CALLER: a thread or a CPU. */
	if (at < length && text[at] == '[') {
		size_t end = at + 1;

		while (end < length && (isalnum((unsigned char)text[end]) || text[end] == ' '))
			end++;
		if (end < length && text[end] == ']')
			at = end + 1;
	}
	return at < length && text[at] == ' ' ? at + 1 : at;
}

static bool in_word(unsigned char c)
{
	return isalnum(c) || c == '_' || c >= 0x80;
}

/* The line with "#" for every word that begins with a digit: numbers, with their units where these follow at once. */
static void add_without_numbers(struct cp_text *text, const char *line, size_t length)
{
	size_t plain = 0, at = 0;

	while (at < length) {
		if (!isdigit((unsigned char)line[at]) || (at && in_word((unsigned char)line[at - 1]))) {
			at++;
			continue;
		}
		cp_text_add(text, line + plain, at - plain);
		while (at < length && (in_word((unsigned char)line[at]) ||
			((line[at] == '.' || line[at] == ',') && at + 1 < length && isdigit((unsigned char)line[at + 1]))))
			at++;
		cp_text_add(text, "#", 1);
		plain = at;
	}
	cp_text_add(text, line + plain, length - plain);
}

/* An address of the upper half that is no small negative number: another one in another kernel. */
static bool is_kernel_address(uint64_t value)
{
	return value >= 0xffff800000000000u && value < 0xfffffffffffff000u;
}

/* How long the address is with which bytes begin, "0xffffffff80200000" or without the 0x; 0: there is none. */
static size_t address_length(const char *bytes, size_t length)
{
	size_t at = length > 2 && bytes[0] == '0' && bytes[1] == 'x' ? 2 : 0, digits = 0;
	uint64_t value = 0;

	for (; at < length && isxdigit((unsigned char)bytes[at]) && digits <= 16; at++, digits++) {
		char digit[2] = { bytes[at], 0 };

		value = value << 4 | strtoul(digit, NULL, 16);
	}
	return digits == 16 && (at == length || !in_word((unsigned char)bytes[at])) && is_kernel_address(value) ? at : 0;
}

void cp_step_add_masked(struct cp_text *text, const char *bytes, size_t length)
{
	size_t plain = 0, at = 0;

	while (at < length) {
		size_t address = at && in_word((unsigned char)bytes[at - 1]) ? 0 : address_length(bytes + at, length - at);

		if (!address) {
			at++;
			continue;
		}
		cp_text_add(text, bytes + plain, at - plain);
		cp_text_printf(text, "(address)");
		at += address;
		plain = at;
	}
	cp_text_add(text, bytes + plain, length - plain);
}

void cp_step_of_line(const char *line, size_t length, const struct cp_step_rule *rule, struct cp_step_texts *ret)
{
	size_t begin;

	while (length && line[length - 1] == '\r')
		length--;
	/* All there are: what is left is the same when it is read again. */
	while ((begin = length && *line == '\r' ? 1 : stamp_length(line, length))) {
		line += begin;
		length -= begin;
	}
	ret->stream = CP_STREAM_CONSOLE;
	ret->is_step = rule->console != CP_CONSOLE_NONE;
	if (rule->other_kernel) {
		cp_step_add_masked(&ret->values, line, length);
		line = ret->values.bytes ? ret->values.bytes : "";
		length = ret->values.length;
	} else {
		cp_text_add(&ret->values, line, length);
	}
	add_without_numbers(&ret->what, line, length);
	/* Names end with a 0, and a line may have some. */
	for (size_t i = 0; i < ret->what.length; i++)
		ret->what.bytes[i] += !ret->what.bytes[i];
	if (rule->console != CP_CONSOLE_EXACT)
		cp_text_clear(&ret->values);
}

/* -- Other events -- */

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++) {
		if (!strcmp(word, *words))
			return true;
	}
	return false;
}

/* What says which event it is; and what is not compared, or not as a value. */
static const char *const identity[] = { "place", "access", "msr", "leaf", "subleaf", "target", "name", "text", NULL };
static const char *const left_out[] = { "seq", "t", "vcpu", "kind", "function", "address", "site", "file", "line",
	"caller", "callers", "physical", "data", "returned", "outer", "instruction", "started", "type", NULL };

static bool is_address_text(const char *text)
{
	char *end;

	return text[0] == '0' && text[1] == 'x' && is_kernel_address(strtoull(text, &end, 16)) && !*end;
}

static void add_scalar(struct cp_text *text, const char *key, json_t *value, const struct cp_step_rule *rule)
{
	cp_text_add(text, ", ", text->length ? 2 : 0);
	cp_text_printf(text, "%s=", key);
	if (json_is_string(value)) {
		if (rule->other_kernel && is_address_text(json_string_value(value)))
			cp_text_printf(text, "(address)");
		else
			cp_text_add(text, json_string_value(value), json_string_length(value));
	} else if (json_is_integer(value)) {
		cp_text_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	} else if (json_is_real(value)) {
		cp_text_printf(text, "%.17g", json_real_value(value));
	} else {
		cp_text_printf(text, "%s", json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
	}
}

static void add_value(struct cp_text *text, const char *key, json_t *value, const struct cp_step_rule *rule, int depth)
{
	const char *name;
	json_t *item;
	size_t i;

	if (!json_is_object(value) && !json_is_array(value)) {
		add_scalar(text, key, value, rule);
	} else if (depth == 4) {	/* nobody writes that */
		return;
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, item) {
			name = json_string_value(json_object_get(item, "name"));
			add_value(text, name ? name : key, name ? json_object_get(item, "value") : item, rule, depth + 1);
		}
	} else {
		json_object_foreach(value, name, item)
			add_value(text, name, item, rule, depth + 1);
	}
}

/* The function that called, without the place in it; not one that was only guessed. */
static void add_caller(struct cp_text *text, json_t *caller)
{
	const char *name = json_string_value(json_object_get(caller, "function"));

	if (!name || json_is_true(json_object_get(caller, "guess")))
		return;
	cp_text_add(text, ", ", text->length ? 2 : 0);
	cp_text_printf(text, "caller=%.*s", (int)strcspn(name, "+"), name);
}

/* The numbers of an entry that was in blocks once: its hash is to be the same in both forms. */
static uint64_t hash_args(json_t *args, const struct cp_step_rule *rule, const struct cp_trace *trace)
{
	uint64_t numbers[CP_VALUES_MAX];
	size_t i, count = 0;
	json_t *item;

	json_array_foreach(args, i, item) {
		const char *text = json_string_value(json_object_get(item, "value"));

		if (i < CP_VALUES_MAX)
			numbers[count++] = text ? strtoull(text, NULL, 16) : 0;
	}
	return cp_step_hash_values(numbers, count, rule, cp_step_return_value(trace));
}

/*
 * MSRs that hold the guest-physical address of a structure in the kernel, with flags in the low bits: KVM's, by Linux's
 * Documentation/virt/kvm/x86/msr.rst. In another kernel it lies elsewhere.
 */
static bool holds_address(json_t *msr)
{
	static const char *const all[] = { "0x11", "0x12", "0x4b564d00", "0x4b564d01", "0x4b564d02", "0x4b564d03", "0x4b564d04",
		NULL };

	return json_is_string(msr) && is_one_of(json_string_value(msr), all);
}

static void add_flags_of_address(struct cp_text *text, const char *key, json_t *value)
{
	const char *number = json_string_value(value);

	cp_text_add(text, ", ", text->length ? 2 : 0);
	cp_text_printf(text, "%s=(address), %s bit 0=%llu", key, key, number ? strtoull(number, NULL, 16) & 1 : 0);
}

/* Those of an entry that was in blocks once, `without` the return address, as cp_step_return_value() has it. */
static void add_args(struct cp_text *text, json_t *args, const struct cp_step_rule *rule, int without)
{
	json_t *item;
	size_t i;

	json_array_foreach(args, i, item) {
		const char *name = json_string_value(json_object_get(item, "name"));
		json_t *value = name ? json_object_get(item, "value") : item;

		if (rule->other_kernel && without >= 0 && i == (size_t)without)
			cp_text_printf(text, "%s%s=(address)", text->length ? ", " : "", name ? name : "args");
		else
			add_value(text, name ? name : "args", value, rule, 1);
	}
}

static void told_of(const struct cp_event *event, json_t *object, const struct cp_step_rule *rule, int without,
	struct cp_text *what, struct cp_text *values)
{
	const char *function = json_string_value(json_object_get(object, "function")), *key;
	const char *target = json_string_value(json_object_get(object, "target"));
	bool is_code = target && !strcmp(target, "code");
	json_t *value;

	if (event->is_entry) {
		cp_text_add(what, event->function, strlen(event->function));
	} else {
		cp_text_printf(what, "%s", event->kind);
		for (size_t i = 0; identity[i]; i++) {
			value = json_object_get(object, identity[i]);
			if (json_is_string(value))
				cp_text_printf(what, " %s", json_string_value(value));
		}
		if (function)
			cp_text_printf(what, " in %.*s", (int)strcspn(function, "+"), function);
	}
	if (event->is_entry && rule->no_values)
		return;
	json_object_foreach(object, key, value) {
		if (rule->other_kernel && !strcmp(key, "value") && holds_address(json_object_get(object, "msr")))
			add_flags_of_address(values, key, value);
		else if (event->is_entry && json_is_array(value) && !strcmp(key, "args"))
			add_args(values, value, rule, without);
		else if (!is_one_of(key, left_out) && !is_one_of(key, identity) && !(is_code && rule->other_kernel))
			add_value(values, key, value, rule, 0);
	}
	add_caller(values, json_object_get(object, "caller"));
}

int cp_step_return_value(const struct cp_trace *trace)
{
	json_t *names = json_object_get(trace->header, "args"), *name;
	size_t i;

	json_array_foreach(names, i, name) {
		if (json_is_string(name) && !strcmp(json_string_value(name), "return"))
			return i < CP_VALUES_MAX ? (int)i : -1;
	}
	return -1;
}

static bool is_hidden(const struct cp_step_rule *rule, uint64_t value, size_t at, int without)
{
	return rule->other_kernel && ((int)at == without || is_kernel_address(value));
}

uint64_t cp_step_hash_values(const uint64_t *values, size_t count, const struct cp_step_rule *rule, int without)
{
	uint64_t hash = 0;

	if (rule->no_values)
		return 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t value = is_hidden(rule, values[i], i, without) ? UINT64_MAX : values[i];

		hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
		hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u + i + 1;
	}
	return hash || !count ? hash : 1;
}

static void entry_of(const struct cp_event *event, const struct cp_step_rule *rule, const struct cp_trace *trace,
	struct cp_text *what, struct cp_text *values)
{
	json_t *names = event->value_count ? json_object_get(trace->header, "args") : NULL;
	int without = event->value_count ? cp_step_return_value(trace) : -1;

	cp_text_add(what, event->function, strlen(event->function));
	for (size_t i = 0; i < event->value_count && !rule->no_values; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		cp_text_add(values, ", ", i ? 2 : 0);
		if (name)
			cp_text_printf(values, "%s=", name);
		else	/* as such an event's JSON has it */
			cp_text_printf(values, "%zu=", i);
		if (is_hidden(rule, event->values[i], i, without))
			cp_text_printf(values, "(address)");
		else
			cp_text_printf(values, "0x%" PRIx64, event->values[i]);
	}
}

/* By which kinds the step is left out: 1 << kind each. */
static unsigned int ignored_of(const struct cp_step_rule *rule, struct cp_step_texts *step)
{
	unsigned int ret = 0;
	size_t globs = 0;
	struct cp_error *error;

	for (size_t kind = 0; kind < CP_IGNORED_KINDS; kind++)
		globs += rule->ignored[kind].count;
	if (!globs || !step->what.length)
		return 0;
	error = cp_ignoring_ask(&step->ignoring, rule->ignored, step->what.bytes, step->what.length, &ret);
	step->what.failed |= error != NULL;
	cp_error_destroy(error);
	return ret;
}

static void mask(struct cp_text *text)
{
	struct cp_text masked = { .bytes = NULL };

	cp_step_add_masked(&masked, text->length ? text->bytes : "", text->length);
	masked.failed |= text->failed;
	cp_text_deinit(text);
	*text = masked;
}

void cp_step_finish(const struct cp_step_rule *rule, struct cp_step_texts *step)
{
	unsigned int ignored = ignored_of(rule, step);
	bool is_line = step->stream == CP_STREAM_CONSOLE;

	if (is_line && rule->as_text && !step->what.length)	/* it cannot be seen in a text */
		step->is_step = false;
	if (ignored & 1u << (is_line ? CP_IGNORED_LINES : CP_IGNORED_STEPS))
		step->is_step = false;
	if (ignored & 1u << (is_line ? CP_IGNORED_NUMBERS : CP_IGNORED_VALUES)) {
		cp_text_clear(&step->values);
		step->hash = 0;
	}
	if (rule->as_text && rule->other_kernel && !is_line && step->values.length)
		mask(&step->values);
	if (!step->hash && step->values.length)
		step->hash = cp_names_hash(0, step->values.bytes, step->values.length);
}

struct cp_error *cp_step_of_event(const struct cp_event *event, const struct cp_step_rule *rule,
	const struct cp_trace *trace, struct cp_step_texts *ret)
{
	struct cp_text *what = &ret->what, *values = &ret->values;
	struct cp_error *error = NULL;
	json_t *object = NULL;

	cp_text_clear(what);
	cp_text_clear(values);
	ret->stream = event->vcpu < 0 ? CP_STREAM_SESSION : event->vcpu;
	ret->is_step = true;
	ret->hash = 0;
	if (event->text && !strcmp(event->kind, "console")) {
		cp_step_of_line(event->text, event->text_length, rule, ret);
	} else if (event->json) {
		error = cp_trace_object(event->json, event->json_length, &object);
		if (!error && object)
			told_of(event, object, rule, cp_step_return_value(trace), what, values);
		if (!error && event->is_entry && !rule->as_text && json_object_get(trace->header, "args"))
			ret->hash = hash_args(json_object_get(object, "args"), rule, trace);
		if (!error && cp_trace_json_refused())
			error = &cp_error_no_memory;
		json_decref(object);
	} else {
		entry_of(event, rule, trace, what, values);
		if (!rule->as_text)
			ret->hash = cp_step_hash_values(event->values, event->value_count, rule, cp_step_return_value(trace));
	}
	if (!error)
		cp_step_finish(rule, ret);
	if (!error && (what->failed || values->failed))
		error = &cp_error_no_memory;
	return error;
}
