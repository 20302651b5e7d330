/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines "KEY = VALUE" of a baseline. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "baseline/reading.h"
#include "trace/inside.h"

const char *const cp_ignored_words[CP_IGNORED_KINDS] = { "ignore", "ignore-values", "ignore-line", "ignore-numbers" };

bool cp_baseline_is_outcome(const char *text)
{
	static const char *const outcomes[] = { "passed", "failed", "stopped", "exit", "timeout", "lost", "interrupted", "usage" };

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
		if (!strcmp(text, outcomes[i]))
			return true;
	}
	return false;
}

/* "KEY = VALUE", in place. */
static struct cp_error *split(const struct cp_reading *r, char *line, char **key, char **value)
{
	char *equals = strstr(line, " = ");

	if (!equals)
		equals = strchr(line, '=');
	if (!equals)
		return cp_reading_bad(r, "\"%.60s\" is no KEY = VALUE", line);
	*value = cp_reading_trim(equals + (*equals == ' ' ? 2 : 1));
	*equals = 0;
	*key = cp_reading_trim(line);
	return **key && **value ? NULL : cp_reading_bad(r, "a key or a value is missing: KEY = VALUE is wanted");
}

static struct cp_error *number_of(const struct cp_reading *r, const char *key, const char *text, const char *unit,
	uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno || strcmp(cp_reading_trim(end), unit))
		return cp_reading_bad(r, "%.60s = \"%.60s\": a whole number%s%s is wanted", key, text, *unit ? " with " : "", unit);
	return NULL;
}

/* -- [recorded] and [end]: as a trace's header and end record have it -- */

static struct cp_error *set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) ? &cp_error_no_memory : NULL;
}

static struct cp_error *inner(json_t *object, const char *key, json_t *(*make)(void), json_t **ret)
{
	*ret = json_object_get(object, key);
	if (*ret)
		return NULL;
	*ret = make();
	return *ret ? set(object, key, *ret) : &cp_error_no_memory;
}

/* A text of any bytes. */
static struct cp_error *set_text(const struct cp_reading *r, json_t *object, const char *key, char *value)
{
	size_t length;
	struct cp_error *error = cp_reading_unescape(r, value, &length);

	return error ? error : set(object, key, json_stringn_nocheck(value, length));
}

/* "OPTION" or "OPTION VALUE" */
static struct cp_error *take_option(const struct cp_reading *r, json_t *qemu, char *value)
{
	char *space = value + strcspn(value, " \t");
	size_t length;
	json_t *arguments;
	struct cp_error *error = inner(qemu, "arguments", json_array, &arguments);

	if (error)
		return error;
	if (*space)
		*space++ = 0;
	space = cp_reading_trim(space);
	error = cp_reading_unescape(r, space, &length);
	if (error)
		return error;
	return json_array_append_new(arguments, json_stringn_nocheck(value, strlen(value))) ||
		json_array_append_new(arguments, json_stringn_nocheck(space, length)) ? &cp_error_no_memory : NULL;
}

static struct cp_error *take_json(const struct cp_reading *r, json_t *header, const char *key, const char *value)
{
	json_t *part;
	struct cp_error *error = cp_trace_value(value, strlen(value), &part);

	if (error)
		return error;
	return part ? set(header, key, part) : cp_reading_bad(r, "%s: JSON is wanted", key);
}

static struct cp_error *take_recorded(struct cp_reading *r, const char *key, char *value)
{
	json_t *header = r->to->head->header, *part;
	struct cp_error *error;

	if (!strcmp(key, "kernel") || !strcmp(key, "build-id") || !strcmp(key, "sha256")) {
		error = inner(header, "kernel", json_object, &part);
		return error ? error : set_text(r, part, strcmp(key, "kernel") ? key : "name", value);
	}
	if (!strcmp(key, "qemu") || !strcmp(key, "option")) {
		error = inner(header, "qemu", json_object, &part);
		if (error)
			return error;
		return *key == 'o' ? take_option(r, part, value) : set_text(r, part, "version", value);
	}
	if (!strcmp(key, "clock"))
		return set_text(r, header, key, value);
	/* Who records may tell more. */
	return strcmp(key, "listed") && strcmp(key, "args") ? NULL : take_json(r, header, key, value);
}

static struct cp_error *take_end(struct cp_reading *r, const char *key, char *value)
{
	bool is_outcome = !strcmp(key, "outcome");

	if (!is_outcome && strcmp(key, "reason"))
		return cp_reading_bad(r, "[end] has reason and outcome, and no \"%.60s\"", key);
	if (is_outcome && !cp_baseline_is_outcome(value))
		return cp_reading_bad(r, "outcome = \"%.60s\": " CP_BASELINE_OUTCOMES " is wanted", value);
	r->has_ended = is_outcome;
	return set_text(r, r->to->head->end, key, value);
}

/* -- [compare], [durations], [functions] -- */

static struct cp_error *take_compare(struct cp_reading *r, const char *key, char *value)
{
	static const char *const consoles[] = { "exact", "text", "none", NULL };

	for (size_t i = 0; i < CP_IGNORED_KINDS; i++) {
		if (!strcmp(key, cp_ignored_words[i]))
			return cp_globs_add(&r->to->rule.ignored[i], &r->to->arena, value);
	}
	if (!strcmp(key, "slower")) {
		r->to->times = strcmp(value, "no") != 0;
		return r->to->times ? number_of(r, key, value, "%", &r->to->slower) : NULL;
	}
	if (strcmp(key, "console"))
		return cp_reading_bad(r, "[compare] has console, slower, ignore, ignore-values, ignore-line and ignore-numbers, and "
			"no \"%.60s\"", key);
	for (size_t i = 0; consoles[i]; i++) {
		if (!strcmp(value, consoles[i])) {
			r->to->rule.console = (enum cp_console)i;
			return NULL;
		}
	}
	return cp_reading_bad(r, "console = \"%.60s\": exact, text or none is wanted", value);
}

static struct cp_error *take_duration(struct cp_reading *r, char *key, char *value)
{
	struct cp_durations *to = &r->to->durations;
	struct cp_duration *grown;
	struct cp_error *error;
	uint64_t us;
	uint32_t number;
	size_t length;

	error = number_of(r, key, value, "us", &us);
	if (!error && us > CP_TRACE_LAST / 1000 + 1)
		error = cp_reading_bad(r, "%.60s: no boot takes so long", key);
	if (error)
		return error;
	if (!strcmp(key, "(whole boot)")) {
		if (to->whole || !us)
			error = cp_reading_bad(r, to->whole ? "%s is there twice" : "%s: a boot takes longer than that", key);
		to->whole = us * 1000;
		return error;
	}
	error = cp_reading_unescape(r, key, &length);
	if (!error)
		error = cp_names_number(&to->names, key, length, &number);
	if (error)
		return error;
	if (number < to->count)
		return cp_reading_bad(r, "%.60s is there twice", key);
	grown = cp_grow(to->items, to->count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	to->items = grown;
	/* Names are where they are: the arena of their table does not move them. */
	grown[to->count++] = (struct cp_duration){ to->names.texts[number], us * 1000 };
	return NULL;
}

static struct cp_error *take_place(struct cp_reading *r, char *key, char *value)
{
	struct cp_baseline *to = r->to;
	struct cp_baseline_place *grown, place = { .line = 0 };
	char *colon = strrchr(value, ':');
	size_t length;
	struct cp_error *error = cp_reading_unescape(r, key, &length);

	if (!error && colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
		*colon = 0;
		place.line = (unsigned int)strtoul(colon + 1, NULL, 10);
	}
	if (!error)
		error = cp_reading_unescape(r, value, &length);
	if (error)
		return error;
	place.name = cp_arena_strdup(&to->arena, key);
	place.file = cp_arena_strdup(&to->arena, value);
	grown = cp_grow(to->places, to->place_count, sizeof(*grown));
	if (grown)
		to->places = grown;
	if (!grown || !place.name || !place.file)
		return &cp_error_no_memory;
	grown[to->place_count++] = place;
	return NULL;
}

/* Of two values it would not be known which one is meant. */
static struct cp_error *check_once(struct cp_reading *r, const char *key)
{
	static const char *const once[] = { "console", "slower", "kernel", "build-id", "sha256", "qemu", "clock", "listed", "args",
		"reason" };

	if (r->section == CP_IN_DURATIONS || r->section == CP_IN_FUNCTIONS)	/* their keys are names */
		return NULL;
	for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++) {
		if (strcmp(key, once[i]))
			continue;
		if (r->keys & 1u << i)
			return cp_reading_bad(r, "%s is there twice", key);
		r->keys |= 1u << i;
	}
	return NULL;
}

struct cp_error *cp_reading_key(struct cp_reading *r, char *line)
{
	char *key = NULL, *value = NULL;
	struct cp_error *error = split(r, line, &key, &value);

	if (!error)
		error = check_once(r, key);
	if (error)
		return error;
	switch (r->section) {
	case CP_IN_RECORDED:
		return take_recorded(r, key, value);
	case CP_IN_COMPARE:
		return take_compare(r, key, value);
	case CP_IN_DURATIONS:
		return take_duration(r, key, value);
	case CP_IN_FUNCTIONS:
		return take_place(r, key, value);
	default:
		return take_end(r, key, value);
	}
}
