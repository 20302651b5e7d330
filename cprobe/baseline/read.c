/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline's text, line by line. What a person wrote wrongly is told with the line's number, and what is wanted there. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "baseline/baseline.h"
#include "trace/inside.h"

#define LARGEST_FILE	((off_t)64 << 20)
#define LONGEST_HEAD	4096	/* bytes in which the first line that is no comment must be */
#define DEEPEST_LOOP	32
#define LAST_VCPU	65535
#define SECTIONS	"[boot], [recorded], [compare], [durations], [console], [vcpu N], [session], [functions] or [end]"

enum section { IN_HEAD, IN_BOOT, IN_RECORDED, IN_COMPARE, IN_DURATIONS, IN_STEPS, IN_FUNCTIONS, IN_END };

struct reading {
	struct cp_baseline *to;
	unsigned int number;		/* of the line */
	enum section section;
	int stream;			/* IN_STEPS */
	unsigned int open[DEEPEST_LOOP];	/* lines of the loops that are open */
	size_t depth;
	bool seen[LAST_VCPU + 3];	/* sections with steps, by stream - CP_STREAM_CONSOLE */
};

static struct cp_error *bad(const struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static struct cp_error *bad(const struct reading *r, const char *format, ...)
{
	struct cp_error *error;
	char *text = NULL;
	va_list ap;
	int length;

	va_start(ap, format);
	length = vasprintf(&text, format, ap);
	va_end(ap);
	if (length < 0)
		return &cp_error_no_memory;
	error = cp_error_create(CP_ERROR_CORRUPT, "%s:%u: %s", r->to->path, r->number, text);
	free(text);
	return error;
}

/* -- Lines -- */

/* Without blanks at both ends; in place. */
static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = 0;
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* "KEY = VALUE", in place. */
static struct cp_error *split(const struct reading *r, char *line, char **key, char **value)
{
	char *equals = strstr(line, " = ");

	if (!equals)
		equals = strchr(line, '=');
	if (!equals)
		return bad(r, "\"%.60s\" is no KEY = VALUE", line);
	*value = trim(equals + (*equals == ' ' ? 2 : 1));
	*equals = 0;
	*key = trim(line);
	return **key && **value ? NULL : bad(r, "a key or a value is missing: KEY = VALUE is wanted");
}

static struct cp_error *number_of(const struct reading *r, const char *key, const char *text, const char *unit,
	uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno || strcmp(trim(end), unit))
		return bad(r, "%s = \"%.60s\": a whole number%s%s is wanted", key, text, *unit ? " with " : "", unit);
	return NULL;
}

static struct cp_error *unescape(const struct reading *r, char *text, size_t *length)
{
	*length = strlen(text);
	return cp_baseline_unescape(text, length) ? NULL : bad(r, "a backslash begins \\\\, \\# or \\xNN, two hex digits: "
		"write \\\\ for one that is meant");
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

static struct cp_error *take_option(json_t *qemu, char *value)
{
	char *space = value + strcspn(value, " \t");
	json_t *arguments;
	struct cp_error *error = inner(qemu, "arguments", json_array, &arguments);

	if (error)
		return error;
	if (*space)
		*space++ = 0;
	if (json_array_append_new(arguments, json_string(value)) ||
		(*space && json_array_append_new(arguments, json_string(trim(space)))))
		return &cp_error_no_memory;
	return NULL;
}

static struct cp_error *take_recorded(struct reading *r, const char *key, char *value)
{
	json_t *header = r->to->head->header, *part;
	struct cp_error *error;

	if (!strcmp(key, "kernel") || !strcmp(key, "build-id") || !strcmp(key, "sha256")) {
		error = inner(header, "kernel", json_object, &part);
		return error ? error : set(part, strcmp(key, "kernel") ? key : "name", json_string(value));
	}
	if (!strcmp(key, "qemu") || !strcmp(key, "option")) {
		error = inner(header, "qemu", json_object, &part);
		if (error)
			return error;
		return *key == 'o' ? take_option(part, value) : set(part, "version", json_string(value));
	}
	if (!strcmp(key, "clock"))
		return set(header, key, json_string(value));
	if (strcmp(key, "listed") && strcmp(key, "args"))
		return NULL;	/* who records may tell more */
	part = json_loads(value, 0, NULL);
	return part ? set(header, key, part) : bad(r, "%s: JSON is wanted", key);
}

static struct cp_error *take_end(struct reading *r, const char *key, char *value)
{
	static const char *const outcomes[] = { "passed", "failed", "stopped", "exit", "timeout", "lost", "interrupted", NULL };
	bool is_outcome = !strcmp(key, "outcome");
	size_t length, i = 0;
	struct cp_error *error;

	if (!is_outcome && strcmp(key, "reason"))
		return bad(r, "[end] has reason and outcome, and no \"%s\"", key);
	while (is_outcome && outcomes[i] && strcmp(outcomes[i], value))
		i++;
	if (is_outcome && !outcomes[i])
		return bad(r, "outcome = \"%.60s\": passed, failed, stopped or exit is wanted", value);
	error = unescape(r, value, &length);
	return error ? error : set(r->to->head->end, key, json_stringn_nocheck(value, length));
}

/* -- [compare], [durations], [functions] -- */

static struct cp_error *add_glob(struct cp_baseline *to, struct cp_globs *globs, const char *glob)
{
	char **grown = cp_grow(globs->items, globs->count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	globs->items = grown;
	grown[globs->count] = cp_arena_strdup(&to->arena, glob);
	return grown[globs->count++] ? NULL : &cp_error_no_memory;
}

static struct cp_error *take_compare(struct reading *r, const char *key, char *value)
{
	static const char *const consoles[] = { "exact", "text", "none", NULL };
	static const char *const kinds[CP_IGNORED_KINDS] = { "ignore", "ignore-values", "ignore-line", "ignore-numbers" };

	for (size_t i = 0; i < CP_IGNORED_KINDS; i++) {
		if (!strcmp(key, kinds[i]))
			return add_glob(r->to, &r->to->rule.ignored[i], value);
	}
	if (!strcmp(key, "slower")) {
		r->to->times = strcmp(value, "no") != 0;
		return r->to->times ? number_of(r, key, value, "%", &r->to->slower) : NULL;
	}
	if (strcmp(key, "console"))
		return bad(r, "[compare] has console, slower, ignore, ignore-values, ignore-line and ignore-numbers, and no \"%s\"",
			key);
	for (size_t i = 0; consoles[i]; i++) {
		if (!strcmp(value, consoles[i])) {
			r->to->rule.console = (enum cp_console)i;
			return NULL;
		}
	}
	return bad(r, "console = \"%.60s\": exact, text or none is wanted", value);
}

static struct cp_error *take_duration(struct reading *r, char *key, char *value)
{
	struct cp_durations *to = &r->to->durations;
	struct cp_duration *grown;
	struct cp_error *error;
	uint64_t us, length;

	error = number_of(r, key, value, "us", &us);
	if (!error && us > UINT64_MAX / 1000)
		error = bad(r, "%s: no boot takes so long", key);
	if (error)
		return error;
	if (!strcmp(key, "(whole boot)")) {
		to->whole = us * 1000;
		return NULL;
	}
	error = unescape(r, key, &length);
	if (error)
		return error;
	grown = cp_grow(to->items, to->count, sizeof(*grown));
	if (!grown)
		return &cp_error_no_memory;
	to->items = grown;
	grown[to->count] = (struct cp_duration){ cp_arena_strdup(&r->to->arena, key), us * 1000 };
	return grown[to->count++].name ? NULL : &cp_error_no_memory;
}

static struct cp_error *take_place(struct reading *r, char *key, char *value)
{
	struct cp_baseline *to = r->to;
	struct cp_baseline_place *grown, place = { .line = 0 };
	char *colon = strrchr(value, ':');
	size_t length;
	struct cp_error *error = unescape(r, key, &length);

	if (error)
		return error;
	if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
		*colon = 0;
		place.line = (unsigned int)strtoul(colon + 1, NULL, 10);
	}
	place.name = cp_arena_strdup(&to->arena, key);
	place.file = cp_arena_strdup(&to->arena, value);
	grown = cp_grow(to->places, to->place_count, sizeof(*grown));
	if (!grown || !place.name || !place.file)
		return &cp_error_no_memory;
	to->places = grown;
	grown[to->place_count++] = place;
	return NULL;
}

/* -- Steps -- */

static struct cp_error *add_line(struct reading *r, struct cp_baseline_line line)
{
	struct cp_baseline *to = r->to;
	struct cp_baseline_line *grown = cp_grow(to->lines, to->line_count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	to->lines = grown;
	line.stream = r->stream;
	line.number = r->number;
	grown[to->line_count++] = line;
	return NULL;
}

/* "N times {" */
static bool is_loop(const char *text, uint64_t *times)
{
	char *end;

	errno = 0;
	*times = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !errno && !strcmp(end, " times {");
}

static struct cp_error *take_edge(struct reading *r, const char *text, bool *taken)
{
	uint64_t times;

	*taken = true;
	if (is_loop(text, &times)) {
		if (r->depth == DEEPEST_LOOP)
			return bad(r, "loops in more than %d loops", DEEPEST_LOOP);
		r->open[r->depth++] = r->number;
		return add_line(r, (struct cp_baseline_line){ .kind = CP_BASELINE_TIMES, .times = times });
	}
	if (!strcmp(text, "}")) {
		if (!r->depth)
			return bad(r, "a } without its \"N times {\"");
		r->depth--;
		return add_line(r, (struct cp_baseline_line){ .kind = CP_BASELINE_END });
	}
	*taken = false;
	return NULL;
}

/* "NAME" or "NAME {VALUES}"; of the console the line alone. */
static struct cp_error *take_step(struct reading *r, char *text)
{
	struct cp_baseline_line line = { .kind = CP_BASELINE_STEP };
	size_t length = strlen(text), values_length;
	char *values = NULL, *what;
	struct cp_error *error;
	bool taken = false;

	error = r->stream != CP_STREAM_CONSOLE ? take_edge(r, text, &taken) : NULL;
	if (error || taken)
		return error;
	if (r->stream != CP_STREAM_CONSOLE && text[length - 1] == '}')
		values = strstr(text, " {");
	if (values) {
		text[length - 1] = 0;
		*values = 0;	/* what is in front of it ends with no blank: it is escaped */
		values += 2;
		error = unescape(r, values, &values_length);
		line.values = error ? NULL : cp_arena_strdup(&r->to->arena, values);
		if (!error && !line.values)
			error = &cp_error_no_memory;
	}
	if (!error)
		error = unescape(r, text, &line.what_length);
	if (error)
		return error;
	what = cp_arena_alloc(&r->to->arena, line.what_length + 1);
	if (!what)
		return &cp_error_no_memory;
	memcpy(what, text, line.what_length);
	line.what = what;
	return add_line(r, line);
}

/* -- The whole -- */

static struct cp_error *check_loops(struct reading *r)
{
	if (!r->depth)
		return NULL;
	r->number = r->open[r->depth - 1];
	return bad(r, "this loop has no } before its section ends");
}

static struct cp_error *take_section(struct reading *r, char *line)
{
	static const struct { const char *name; enum section section; int stream; } sections[] = {
		{ "[boot]", IN_BOOT, 0 }, { "[recorded]", IN_RECORDED, 0 }, { "[compare]", IN_COMPARE, 0 },
		{ "[durations]", IN_DURATIONS, 0 }, { "[console]", IN_STEPS, CP_STREAM_CONSOLE },
		{ "[session]", IN_STEPS, CP_STREAM_SESSION }, { "[functions]", IN_FUNCTIONS, 0 }, { "[end]", IN_END, 0 },
	};
	struct cp_error *error = check_loops(r);
	unsigned int vcpu;
	int used = 0;

	if (error)
		return error;
	r->section = IN_HEAD;
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (!strcmp(line, sections[i].name)) {
			r->section = sections[i].section;
			r->stream = sections[i].stream;
		}
	}
	if (sscanf(line, "[vcpu %u]%n", &vcpu, &used) == 1 && used && !line[used] && vcpu <= LAST_VCPU) {
		r->section = IN_STEPS;
		r->stream = (int)vcpu;
	}
	if (r->section == IN_HEAD)
		return bad(r, "\"%.60s\" is no section: " SECTIONS " is wanted", line);
	if (r->section != IN_STEPS)
		return NULL;
	if (r->seen[r->stream - CP_STREAM_CONSOLE])
		return bad(r, "%s is there twice", line);
	r->seen[r->stream - CP_STREAM_CONSOLE] = true;
	return NULL;
}

static struct cp_error *take_magic(struct reading *r, char *text)
{
	size_t length = strlen(CP_BASELINE_MAGIC);
	uint64_t version;
	char *end;

	if (strncmp(text, CP_BASELINE_MAGIC " ", length + 1))
		return bad(r, "no baseline: it begins with \"" CP_BASELINE_MAGIC " %d\"", CP_BASELINE_VERSION);
	version = strtoull(text + length + 1, &end, 10);
	if (!isdigit((unsigned char)text[length + 1]) || *end || version != CP_BASELINE_VERSION)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s:%u: a baseline of version %s: this cprobe reads version %d; record it "
			"anew, or use the bootsonde that wrote it", r->to->path, r->number, text + length + 1, CP_BASELINE_VERSION);
	return NULL;
}

static struct cp_error *take_key(struct reading *r, char *text)
{
	char *key = NULL, *value = NULL;
	struct cp_error *error = split(r, text, &key, &value);

	if (error)
		return error;
	switch (r->section) {
	case IN_RECORDED:
		return take_recorded(r, key, value);
	case IN_COMPARE:
		return take_compare(r, key, value);
	case IN_DURATIONS:
		return take_duration(r, key, value);
	case IN_FUNCTIONS:
		return take_place(r, key, value);
	case IN_END:
		return take_end(r, key, value);
	default:	/* IN_BOOT: how it is run */
		return NULL;
	}
}

static struct cp_error *take_line(struct reading *r, char *line, bool *begun)
{
	char *text = trim(line);

	if (!*text || *text == '#')
		return NULL;
	if (!*begun) {
		*begun = true;
		return take_magic(r, text);
	}
	if (*line == '[')
		return take_section(r, text);
	if (r->section == IN_HEAD)
		return bad(r, "a section is wanted first: " SECTIONS);
	if (r->section != IN_STEPS)
		return take_key(r, text);
	if (text == line)
		return bad(r, "\"%.60s\": a step is indented, and a section is one of " SECTIONS, text);
	return take_step(r, text);
}

static int by_name(const void *a, const void *b)
{
	const struct cp_baseline_place *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_duration(const void *a, const void *b)
{
	const struct cp_duration *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct cp_error *finish(struct reading *r)
{
	struct cp_baseline *to = r->to;
	struct cp_error *error = check_loops(r);

	if (error)
		return error;
	if (!json_object_get(to->head->end, "reason") || !json_object_get(to->head->end, "outcome"))
		return bad(r, "cut off: [end] with reason and outcome is wanted last; fetch the file again, or record it anew");
	if (to->place_count)
		qsort(to->places, to->place_count, sizeof(*to->places), by_name);
	if (to->durations.count)
		qsort(to->durations.items, to->durations.count, sizeof(*to->durations.items), by_duration);
	return NULL;
}

static struct cp_error *take_text(struct cp_baseline *to, char *text, size_t size)
{
	struct reading *r = calloc(1, sizeof(*r));
	struct cp_error *error = r ? NULL : &cp_error_no_memory;
	bool begun = false;

	if (r)
		r->to = to;
	for (char *line = text, *end; line < text + size && !error; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + size - line));
		end = end ? end : text + size;
		*end = 0;
		r->number++;
		if (strlen(line) != (size_t)(end - line))
			error = bad(r, "a byte 0: a baseline is a text; write it as \\x00");
		else
			error = take_line(r, line, &begun);
	}
	if (!error && !begun)
		error = bad(r, "the file is empty: no baseline");
	if (!error)
		error = finish(r);
	free(r);
	return error;
}

/* *ret: malloc'ed, with room for a 0 behind it. `most`: bytes that are read. */
static struct cp_error *read_file(const char *path, off_t most, char **ret, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct cp_error *error = NULL;
	struct stat status;
	ssize_t got = 1;

	*ret = NULL;
	*size = 0;
	if (fd < 0 || fstat(fd, &status))
		error = cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
	else if (S_ISREG(status.st_mode) && status.st_size > LARGEST_FILE && most > LARGEST_FILE)
		error = cp_error_create(CP_ERROR_UNSUPPORTED, "%s: %jd bytes are too many for a baseline", path,
			(intmax_t)status.st_size);
	else if (!S_ISREG(status.st_mode))
		error = cp_error_create(CP_ERROR_IO, "%s: no regular file", path);
	else if (!(*ret = malloc((size_t)(status.st_size < most ? status.st_size : most) + 1)))
		error = &cp_error_no_memory;
	while (!error && got > 0 && *size < (size_t)(status.st_size < most ? status.st_size : most)) {
		got = read(fd, *ret + *size, (size_t)(status.st_size < most ? status.st_size : most) - *size);
		if (got < 0)
			error = cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
		else
			*size += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	if (error) {
		free(*ret);
		*ret = NULL;
	}
	return error;
}

struct cp_error *cp_is_baseline(const char *path, bool *ret)
{
	char *text, *line, *end;
	size_t size;
	struct cp_error *error = read_file(path, LONGEST_HEAD, &text, &size);

	*ret = false;
	if (error)
		return error;
	text[size] = 0;
	for (line = text; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		line += strspn(line, " \t\r\n");
		if (line < end && *line != '#') {
			*ret = !strncmp(line, CP_BASELINE_MAGIC, strlen(CP_BASELINE_MAGIC));
			break;
		}
		end = line > end ? line : end;
	}
	free(text);
	return NULL;
}

struct cp_error *cp_baseline_open(const char *path, struct cp_baseline **ret)
{
	struct cp_baseline *to = calloc(1, sizeof(*to));
	struct cp_error *error = NULL;
	char *text = NULL;
	size_t size;

	if (!to)
		return &cp_error_no_memory;
	cp_arena_init(&to->arena);
	cp_names_init(&to->durations.names);
	to->rule.other_kernel = to->rule.as_text = true;
	to->path = strdup(path);
	to->head = calloc(1, sizeof(*to->head));
	if (to->head) {
		to->head->path = to->path;
		to->head->fd = -1;
		to->head->header = json_object();
		to->head->end = json_object();
	}
	if (!to->path || !to->head || !to->head->header || !to->head->end)
		error = &cp_error_no_memory;
	if (!error)
		error = read_file(path, LARGEST_FILE + 1, &text, &size);
	if (!error)
		error = take_text(to, text, size);
	free(text);
	if (error)
		cp_baseline_close(to);
	else
		*ret = to;
	return error;
}

void cp_baseline_close(struct cp_baseline *baseline)
{
	if (!baseline)
		return;
	for (size_t i = 0; i < CP_IGNORED_KINDS; i++)
		free(baseline->rule.ignored[i].items);
	cp_durations_deinit(&baseline->durations);
	if (baseline->head) {
		json_decref(baseline->head->header);
		json_decref(baseline->head->end);
	}
	free(baseline->head);
	free(baseline->lines);
	free(baseline->places);
	cp_arena_deinit(&baseline->arena);
	free(baseline->path);
	free(baseline);
}
