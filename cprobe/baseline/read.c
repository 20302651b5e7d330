/* SPDX-License-Identifier: BSD-2-Clause */
/* A baseline's text, line by line: sections, steps, loops. Lines of keys are read by keys.c. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "baseline/reading.h"
#include "trace/inside.h"

#define LONGEST_HEAD	4096	/* bytes in which the first line that is no comment is looked for */
#define LAST_VCPU	65535
#define SECTIONS	"[boot], [recorded], [compare], [durations], [console], [vcpu N], [session], [functions] or [end]"

struct cp_error *cp_reading_bad(const struct cp_reading *r, const char *format, ...)
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

char *cp_reading_trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = 0;
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

struct cp_error *cp_reading_unescape(const struct cp_reading *r, char *text, size_t *length)
{
	*length = strlen(text);
	return cp_baseline_unescape(text, length) ? NULL : cp_reading_bad(r, "a backslash begins \\\\, \\# or \\xNN, two hex "
		"digits: write \\\\ for one that is meant");
}

/* -- Loops -- */

static struct cp_error *add_line(struct cp_reading *r, enum cp_baseline_kind kind, uint32_t of)
{
	struct cp_baseline *to = r->to;
	struct cp_baseline_line *grown = cp_grow(to->lines, to->line_count, sizeof(*grown));

	if (!grown)
		return &cp_error_no_memory;
	to->lines = grown;
	grown[to->line_count++] = (struct cp_baseline_line){ .kind = kind, .stream = r->stream, .of = of };
	return NULL;
}

/* So many steps more where the reader is. All that are unrolled are counted, and all ends of loops. */
static struct cp_error *count(struct cp_reading *r, uint64_t steps)
{
	uint64_t *all = &r->loops[r->depth].steps;

	*all = steps > CP_BASELINE_MOST_STEPS ? steps : *all + steps;
	return *all <= CP_BASELINE_MOST_STEPS ? NULL : cp_reading_bad(r, "with its loops unrolled, the baseline has more than %u "
		"steps here", CP_BASELINE_MOST_STEPS);
}

static struct cp_error *begin_loop(struct cp_reading *r, uint64_t times)
{
	if (!times || times > CP_BASELINE_MOST_STEPS)
		return cp_reading_bad(r, "a loop goes round 1 to %u times", CP_BASELINE_MOST_STEPS);
	if (r->depth == CP_BASELINE_DEEPEST)
		return cp_reading_bad(r, "loops in more than %d loops", CP_BASELINE_DEEPEST);
	r->loops[++r->depth] = (struct cp_open_loop){ .number = r->number, .times = (uint32_t)times };
	return add_line(r, CP_BASELINE_TIMES, (uint32_t)times);
}

static struct cp_error *end_loop(struct cp_reading *r)
{
	struct cp_error *error;

	if (!r->depth)
		return cp_reading_bad(r, "a } without its \"N times {\"");
	r->depth--;
	error = count(r, r->loops[r->depth + 1].times * (r->loops[r->depth + 1].steps + 1));
	return error ? error : add_line(r, CP_BASELINE_END, 0);
}

/* What the section lacks, where it ends. */
static struct cp_error *check_section(struct cp_reading *r)
{
	if (r->depth) {
		r->number = r->loops[r->depth].number;
		return cp_reading_bad(r, "this loop has no } before its section ends");
	}
	if (r->section == CP_IN_DURATIONS && r->to->durations.count && !r->to->durations.whole) {
		r->number = r->begun;
		return cp_reading_bad(r, "[durations] has no \"(whole boot) = N us\", by which the others are judged: give it, or "
			"leave the section out");
	}
	return NULL;
}

/* "N times {" */
static bool is_loop(const char *text, uint64_t *times)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	*times = strtoull(text, &end, 10);	/* UINT64_MAX, if it is more */
	return !strcmp(end, " times {");
}

/* -- Steps -- */

/* "NAME" or "NAME {VALUES}"; of the console the line alone. */
static struct cp_error *parse_step(const struct cp_reading *r, char *text, struct cp_baseline_step *ret)
{
	bool is_line = r->stream == CP_STREAM_CONSOLE;
	size_t length = strlen(text), what_length, values_length = 0;
	char *values = NULL, *copy;
	struct cp_error *error = NULL;

	if (!is_line)
		values = strstr(text, " {");
	if (values && text[length - 1] != '}')
		return cp_reading_bad(r, "\"%.60s\": values stand as {VALUES} at the line's end, and a loop begins with \"N times {\"",
			text);
	if (values) {
		text[length - 1] = 0;
		*values = 0;	/* what is in front of it ends with no blank: it is escaped */
		values += 2;
		error = cp_reading_unescape(r, values, &values_length);
	}
	if (!error)
		error = cp_reading_unescape(r, text, &what_length);
	if (error)
		return error;
	copy = cp_arena_alloc(&r->to->arena, what_length + values_length + 2);
	if (!copy)
		return &cp_error_no_memory;
	memcpy(copy, text, what_length);
	if (values)
		memcpy(copy + what_length + 1, values, values_length);
	*ret = (struct cp_baseline_step){ copy, what_length, values ? copy + what_length + 1 : NULL, values_length, is_line };
	return NULL;
}

static struct cp_error *take_step(struct cp_reading *r, char *text)
{
	struct cp_known_steps *known = &r->known[r->stream == CP_STREAM_CONSOLE];
	struct cp_baseline *to = r->to;
	struct cp_baseline_step *grown;
	size_t before = known->texts.count;
	uint32_t *steps, number;
	struct cp_error *error = cp_names_number(&known->texts, text, strlen(text), &number);

	if (!error)
		error = count(r, 1);
	if (error || number < before)
		return error ? error : add_line(r, CP_BASELINE_STEP, known->steps[number]);
	steps = cp_grow(known->steps, number, sizeof(*steps));
	if (steps)
		known->steps = steps;
	grown = cp_grow(to->steps, to->step_count, sizeof(*grown));
	if (grown)
		to->steps = grown;
	if (!steps || !grown)
		return &cp_error_no_memory;
	error = parse_step(r, text, &grown[to->step_count]);
	if (error)
		return error;
	steps[number] = (uint32_t)to->step_count++;
	return add_line(r, CP_BASELINE_STEP, steps[number]);
}

static struct cp_error *take_of_steps(struct cp_reading *r, char *text)
{
	uint64_t times;

	if (r->stream == CP_STREAM_CONSOLE)
		return take_step(r, text);
	if (is_loop(text, &times))
		return begin_loop(r, times);
	return strcmp(text, "}") ? take_step(r, text) : end_loop(r);
}

/* -- Sections -- */

/* "[vcpu N]" */
static bool is_vcpu(const char *text, int *ret)
{
	unsigned long number;
	char *end;

	if (strncmp(text, "[vcpu ", 6) || !isdigit((unsigned char)text[6]))
		return false;
	number = strtoul(text + 6, &end, 10);
	*ret = (int)number;
	return number <= LAST_VCPU && !strcmp(end, "]");
}

static struct cp_error *take_section(struct cp_reading *r, const char *line)
{
	static const struct { const char *name; enum cp_section section; int stream; } sections[] = {
		{ "[boot]", CP_IN_BOOT, 0 }, { "[recorded]", CP_IN_RECORDED, 0 }, { "[compare]", CP_IN_COMPARE, 0 },
		{ "[durations]", CP_IN_DURATIONS, 0 }, { "[console]", CP_IN_STEPS, CP_STREAM_CONSOLE },
		{ "[session]", CP_IN_STEPS, CP_STREAM_SESSION }, { "[functions]", CP_IN_FUNCTIONS, 0 }, { "[end]", CP_IN_END, 0 },
	};
	struct cp_error *error = check_section(r);
	bool *seen;

	if (error)
		return error;
	r->section = CP_IN_HEAD;
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (!strcmp(line, sections[i].name)) {
			r->section = sections[i].section;
			r->stream = sections[i].stream;
		}
	}
	if (is_vcpu(line, &r->stream))
		r->section = CP_IN_STEPS;
	if (r->section == CP_IN_HEAD)
		return cp_reading_bad(r, "\"%.60s\" is no section: " SECTIONS " is wanted", line);
	seen = r->section == CP_IN_STEPS ? &r->seen_steps[r->stream - CP_STREAM_CONSOLE] : &r->seen[r->section];
	if (*seen)
		return cp_reading_bad(r, "%s is there twice", line);
	*seen = true;
	r->begun = r->number;
	return NULL;
}

/* -- The whole -- */

static struct cp_error *take_magic(const struct cp_reading *r, const char *text)
{
	size_t length = strlen(CP_BASELINE_MAGIC);
	unsigned long long version;
	char *end;

	if (strncmp(text, CP_BASELINE_MAGIC " ", length + 1))
		return cp_reading_bad(r, "no baseline: it begins with \"" CP_BASELINE_MAGIC " %d\"", CP_BASELINE_VERSION);
	version = strtoull(text + length + 1, &end, 10);
	if (!isdigit((unsigned char)text[length + 1]) || *end || version != CP_BASELINE_VERSION)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s:%u: a baseline of version %.20s: this cprobe reads version %d; record "
			"it anew, or use the bootsonde that wrote it", r->to->path, r->number, text + length + 1, CP_BASELINE_VERSION);
	return NULL;
}

static struct cp_error *take_line(struct cp_reading *r, char *line, bool *begun)
{
	char *text = cp_reading_trim(line);

	if (!*text || *text == '#')
		return NULL;
	if (!*begun) {
		*begun = true;
		return take_magic(r, text);
	}
	if (r->has_ended)
		return cp_reading_bad(r, "\"%.60s\" stands behind the outcome, which is the last line", text);
	if (*line == '[')
		return take_section(r, text);
	if (r->section == CP_IN_HEAD)
		return cp_reading_bad(r, "a section is wanted first: " SECTIONS);
	if (r->section == CP_IN_BOOT)	/* how it is run */
		return NULL;
	if (r->section != CP_IN_STEPS)
		return cp_reading_key(r, text);
	if (text == line)
		return cp_reading_bad(r, "\"%.60s\": a step is indented, and a section is one of " SECTIONS, text);
	return take_of_steps(r, text);
}

static int by_name(const void *a, const void *b)
{
	const struct cp_baseline_place *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static struct cp_error *finish(struct cp_reading *r)
{
	struct cp_baseline *to = r->to;
	struct cp_error *error = check_section(r);

	if (error)
		return error;
	if (!r->has_ended)
		return cp_reading_bad(r, "cut off: [end] with its outcome is wanted last; fetch the file again, or record it anew");
	if (to->place_count)
		qsort(to->places, to->place_count, sizeof(*to->places), by_name);
	cp_durations_sort(&to->durations);
	return NULL;
}

/* Where a byte is of which none of UTF-8 is made, or the end. */
static const char *not_utf8(const char *line)
{
	size_t size;

	for (; *line; line += size) {
		size = cp_utf8_length((const unsigned char *)line);
		if (!size)
			break;
	}
	return line;
}

static struct cp_error *take_lines(struct cp_reading *r, char *text, size_t size)
{
	struct cp_error *error = NULL;
	bool begun = false;

	for (char *line = text, *end; line < text + size && !error; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + size - line));
		end = end ? end : text + size;
		*end = 0;
		r->number++;
		if (strlen(line) != (size_t)(end - line))
			error = cp_reading_bad(r, "a byte 0: a baseline is a text; write it as \\x00");
		else if (*not_utf8(line))
			error = cp_reading_bad(r, "a byte 0x%02x that is no UTF-8: write it as \\x%02x", (unsigned char)*not_utf8(line),
				(unsigned char)*not_utf8(line));
		else
			error = take_line(r, line, &begun);
	}
	if (!error && !begun)
		error = cp_reading_bad(r, "the file is empty: no baseline");
	return error ? error : finish(r);
}

static struct cp_error *take_text(struct cp_baseline *to, char *text, size_t size)
{
	struct cp_reading *r = calloc(1, sizeof(*r));
	struct cp_error *error;

	if (!r)
		return &cp_error_no_memory;
	r->to = to;
	for (size_t i = 0; i < 2; i++)
		cp_names_init(&r->known[i].texts);
	error = take_lines(r, text, size);
	for (size_t i = 0; i < 2; i++) {
		cp_names_deinit(&r->known[i].texts);
		free(r->known[i].steps);
	}
	free(r);
	return error;
}

/* *ret: malloc'ed, with room for a 0 behind it. `most`: bytes that are read. */
static struct cp_error *read_some(const char *path, int fd, size_t most, char **ret, size_t *size)
{
	ssize_t got = 1;

	*size = 0;
	*ret = malloc(most + 1);
	if (!*ret)
		return &cp_error_no_memory;
	while (got > 0 && *size < most) {
		got = read(fd, *ret + *size, most - *size);
		if (got >= 0) {
			*size += (size_t)got;
		} else if (errno == EINTR) {
			got = 1;
		} else {
			free(*ret);
			*ret = NULL;
			return cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
		}
	}
	return NULL;
}

/* Its beginning alone, up to `most` bytes; 0: all. *ret as read_some() has it, NULL on error. */
static struct cp_error *read_file(const char *path, size_t most, char **ret, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct cp_error *error;
	struct stat status;

	*ret = NULL;
	if (fd < 0 || fstat(fd, &status))
		error = cp_error_create(CP_ERROR_IO, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(status.st_mode))
		error = cp_error_create(CP_ERROR_IO, "%s: no regular file", path);
	else if (!most && status.st_size > CP_BASELINE_LARGEST)
		error = cp_error_create(CP_ERROR_UNSUPPORTED, "%s: %jd bytes are too many for a baseline: it may have %jd", path,
			(intmax_t)status.st_size, (intmax_t)CP_BASELINE_LARGEST);
	else
		error = read_some(path, fd, most && (uintmax_t)status.st_size > most ? most : (size_t)status.st_size, ret, size);
	if (fd >= 0)
		close(fd);
	return error;
}

struct cp_error *cp_is_baseline(const char *path, bool *ret)
{
	size_t size = 0, length = strlen(CP_BASELINE_MAGIC);
	char *text, *line, *end = NULL;
	struct cp_error *error = read_file(path, LONGEST_HEAD, &text, &size);

	*ret = false;
	if (error)
		return error;
	text[size] = 0;
	/* A line that does not end within the head may be one, too: a trace begins with none of these. */
	for (line = text; line && !*ret; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		line += strspn(line, " \t\r\v\f");
		if (!end && size == LONGEST_HEAD)
			*ret = !*line || *line == '#' || !strncmp(line, CP_BASELINE_MAGIC, strnlen(line, length));
		else
			*ret = !strncmp(line, CP_BASELINE_MAGIC, length);
		if (line != end && *line != '#')
			break;
	}
	free(text);
	return NULL;
}

/* As a trace that has nothing but its header and its end. */
static struct cp_trace *make_head(char *path)
{
	struct cp_trace *head = calloc(1, sizeof(*head));

	if (head) {
		head->path = path;
		head->fd = -1;
		head->header = json_object();
		head->end = json_object();
	}
	return head;
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
	to->rule.other_kernel = to->rule.as_text = to->times = true;
	to->slower = CP_BASELINE_SLOWER;
	to->path = strdup(path);
	to->head = to->path ? make_head(to->path) : NULL;
	if (!to->head || !to->head->header || !to->head->end)
		error = &cp_error_no_memory;
	if (!error)
		error = read_file(path, 0, &text, &size);
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
	free(baseline->steps);
	free(baseline->places);
	cp_arena_deinit(&baseline->arena);
	free(baseline->path);
	free(baseline);
}

const struct cp_baseline_place *cp_baseline_place_of(const struct cp_baseline *baseline, const char *name)
{
	struct cp_baseline_place key = { .name = name };

	return baseline->place_count ? bsearch(&key, baseline->places, baseline->place_count, sizeof(key), by_name) : NULL;
}
