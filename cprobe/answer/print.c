/* SPDX-License-Identifier: BSD-2-Clause */
/* Records as text, JSON Lines and GDB scripts. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "answer/json.h"
#include "base/utf8.h"
#include "base/work.h"

static const char *const kind_names[] = {
	[CP_KIND_FUNCTION] = "function", [CP_KIND_INLINED] = "inlined", [CP_KIND_LINE] = "line",
	[CP_KIND_CHECK] = "check", [CP_KIND_INSN] = "insn", [CP_KIND_MESSAGE] = "message",
	[CP_KIND_OBJECT] = "object", [CP_KIND_LABEL] = "label", [CP_KIND_TYPE] = "type", [CP_KIND_FIELD] = "field",
};

/* An address that nothing is known of is "unknown"; what was found by decoding is what it is, with or without a name. */
static const char *kind_name(const struct cp_record *r)
{
	bool decoded = r->kind == CP_KIND_INSN || r->kind == CP_KIND_MESSAGE || r->kind == CP_KIND_CHECK;

	return decoded || r->name || r->file ? kind_names[r->kind] : "unknown";
}

static bool is_layout(const struct cp_record *r)
{
	return r->kind == CP_KIND_TYPE || r->kind == CP_KIND_FIELD;
}

/* -- JSON -- */

static void json_args(FILE *out, const struct cp_details *d)
{
	fputs(", \"args\": [", out);
	for (size_t i = 0; i < d->arg_count; i++) {
		const struct cp_arg *arg = &d->args[i];

		fputs(i ? ", {\"name\": " : "{\"name\": ", out);
		cp_json_string(out, arg->name ? arg->name : "");
		cp_json_key(out, "type", arg->type);
		if (arg->size)
			fprintf(out, ", \"size\": %" PRIu64, arg->size);
		cp_json_key(out, "location", arg->location);
		cp_json_key(out, "location_from", arg->location ? arg->location_from : NULL);
		putc('}', out);
	}
	putc(']', out);
}

static void json_inlines(FILE *out, const struct cp_details *d)
{
	fputs(", \"inlines\": [", out);
	for (size_t i = 0; i < d->inline_count; i++) {
		fputs(i ? ", {\"name\": " : "{\"name\": ", out);
		cp_json_string(out, d->inlines[i].name);
		cp_json_key(out, "call_file", d->inlines[i].call_file);
		if (d->inlines[i].call_file && d->inlines[i].call_line)
			fprintf(out, ", \"call_line\": %u", d->inlines[i].call_line);
		putc('}', out);
	}
	putc(']', out);
}

static void json_details(FILE *out, const struct cp_details *d)
{
	cp_json_key(out, "call_file", d->call_file);
	if (d->call_file && d->call_line)
		fprintf(out, ", \"call_line\": %u", d->call_line);
	cp_json_key(out, "mnemonic", d->mnemonic);
	if (d->has_input)
		fprintf(out, ", \"input\": \"0x%" PRIx32 "\"", d->input);
	if (d->hop_size)
		fprintf(out, ", \"hop\": \"0x%" PRIx64 "\", \"hop_size\": %" PRIu64
			", \"cave\": \"0x%" PRIx64 "\", \"cave_size\": %" PRIu64,
			d->hop, d->hop_size, d->cave, d->cave_size);
	if (d->patches)
		fprintf(out, ", \"patches\": \"0x%" PRIx64 "\"", d->patches);
	cp_json_key(out, "section", d->section);
	cp_json_key(out, "type", d->type);
	cp_json_key(out, "base_type", d->base_type);
	cp_json_key(out, "encoding", d->encoding);
	if (d->bit_size)
		fprintf(out, ", \"bit_offset\": %u, \"bit_size\": %u", d->bit_offset, d->bit_size);
	if (d->element_count)
		fprintf(out, ", \"count\": %" PRIu64, d->element_count);
	cp_json_key(out, "message", d->message);
	if (d->has_guards)
		fprintf(out, ", \"guards\": \"0x%" PRIx64 "\", \"branch\": \"0x%" PRIx64 "\"", d->guards, d->branch);
	cp_json_key(out, "variable", d->variable);
	if (d->variable_address)
		fprintf(out, ", \"variable_address\": \"0x%" PRIx64 "\", \"variable_size\": %u", d->variable_address,
			d->variable_size);
	cp_json_key(out, "toward", d->toward);
	if (d->has_args)
		json_args(out, d);
	if (d->inline_count)
		json_inlines(out, d);
}

static void print_json(FILE *out, const struct cp_record *r)
{
	if (is_layout(r)) {
		fputs("{\"name\": ", out);
		cp_json_string(out, r->name ? r->name : "");
		if (r->kind == CP_KIND_FIELD)
			fprintf(out, ", \"offset\": %" PRIu64, r->address);
	} else {
		fprintf(out, "{\"address\": \"0x%" PRIx64 "\"", r->address);
		cp_json_key(out, "name", r->name);
	}
	if (r->details && r->details->has_offset)
		fprintf(out, ", \"offset\": %" PRIu64, r->details->offset);
	cp_json_key(out, "file", r->file);
	if (r->file && r->line)
		fprintf(out, ", \"line\": %" PRIu32, r->line);
	cp_json_key(out, "kind", kind_name(r));
	if (r->has_size)
		fprintf(out, ", \"size\": %" PRIu64, r->size);
	cp_json_key(out, "outer", r->outer);
	if (r->details)
		json_details(out, r->details);
	fputs("}\n", out);
}

/* -- Text -- */

#define LONG_ROOM ((size_t)1 << 16)
#define SHORT_ROOM ((size_t)1 << 10)
#define LOOK 16		/* bytes that are looked at together, maybe behind the last one */

/* A line in the making. Lists of all functions of a kernel have 350,000: stdio a piece would take most of the time. */
struct line {
	FILE *out;			/* NULL: the bytes are kept, and their room grows */
	char *bytes;			/* malloc'ed, with LOOK bytes behind the room */
	size_t used, room;
	bool failed;			/* there was no memory: what was added is lost */
	const char *last_path;		/* whose text lies at last_start, of last_length bytes; NULL: none */
	size_t last_start, last_length;
};

static bool line_init(struct line *line, FILE *out, size_t room)
{
	*line = (struct line){ .out = out, .bytes = malloc(room + LOOK), .room = room };
	line->failed = !line->bytes;
	return line->bytes;
}

static void flush(struct line *line)
{
	fwrite(line->bytes, 1, line->used, line->out);
	line->used = 0;
	line->last_path = NULL;
}

/* False: there is none, and the line has failed. */
static bool make_room(struct line *line, size_t count)
{
	size_t room = line->room;
	char *bytes;

	if (line->out && line->used)
		flush(line);
	while (room - line->used < count && room < SIZE_MAX / 4)
		room *= 2;
	bytes = room - line->used < count ? NULL : room == line->room ? line->bytes : realloc(line->bytes, room + LOOK);
	if (!bytes) {
		line->failed = true;
		return false;
	}
	line->bytes = bytes;
	line->room = room;
	return true;
}

static inline void add_bytes(struct line *line, const char *bytes, size_t count)
{
	if (count > line->room - line->used && !make_room(line, count))
		return;
	memcpy(line->bytes + line->used, bytes, count);
	line->used += count;
}

static inline void add(struct line *line, const char *text)
{
	add_bytes(line, text, strlen(text));
}

static void add_hex(struct line *line, uint64_t value, int digits)
{
	char text[16];

	while (digits < 16 && value >> 4 * digits)
		digits++;
	for (int i = 16; i > 16 - digits; value >>= 4)
		text[--i] = "0123456789abcdef"[value & 15];
	add_bytes(line, text + 16 - digits, (size_t)digits);
}

static void add_decimal(struct line *line, uint64_t value, int width)
{
	char text[24], *at = text + sizeof(text);

	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	while (text + sizeof(text) - at < width && at > text)
		*--at = ' ';
	add_bytes(line, at, (size_t)(text + sizeof(text) - at));
}

static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f;
}

/* Are all bytes plain? Up to LOOK - 1 behind them may be read. */
static bool are_plain(const char *bytes, size_t count)
{
#ifdef __SSE2__
	for (size_t i = 0; i < count; i += LOOK) {
		__m128i b = _mm_loadu_si128((const __m128i *)(bytes + i));	/* signed: 0x80 and above are below 0x20 */
		__m128i plain = _mm_and_si128(_mm_cmpgt_epi8(b, _mm_set1_epi8(0x20)), _mm_cmplt_epi8(b, _mm_set1_epi8(0x7f)));
		unsigned int odd = ~(unsigned int)_mm_movemask_epi8(plain) & 0xffff;

		if (count - i < LOOK)
			odd &= (1u << (count - i)) - 1;
		if (odd)
			return false;
	}
#else
	for (size_t i = 0; i < count; i++) {
		if (!is_plain((unsigned char)bytes[i]))
			return false;
	}
#endif
	return true;
}

/* What is no printable ASCII or UTF-8, and white space, becomes "?". */
static void add_odd_word(struct line *line, const unsigned char *p)
{
	while (*p) {
		const unsigned char *start = p;
		size_t length;

		while (is_plain(*p))
			p++;
		add_bytes(line, (const char *)start, (size_t)(p - start));
		if (!*p)
			break;
		length = cp_utf8_length(p);
		if (length < 2)
			add_bytes(line, "?", 1);
		else
			add_bytes(line, (const char *)p, length);
		p += length ? length : 1;
	}
}

/* A name as one word of a line. */
static void add_word(struct line *line, const char *text)
{
	const char *word = text && *text ? text : "?";
	size_t length = strlen(word);

	if (length > line->room - line->used && !make_room(line, length))
		return;
	memcpy(line->bytes + line->used, word, length);
	if (are_plain(line->bytes + line->used, length))
		line->used += length;
	else
		add_odd_word(line, (const unsigned char *)word);
}

/* The same of a path: lists repeat them. */
static void add_path(struct line *line, const char *path)
{
	size_t start = line->used;

	if (path && path == line->last_path && line->last_length <= line->room - line->used) {
		memmove(line->bytes + line->used, line->bytes + line->last_start, line->last_length);
		line->used += line->last_length;
		line->last_start = start;
		return;
	}
	add_word(line, path);
	line->last_path = line->used > start ? path : NULL;	/* not flushed in between */
	line->last_start = start;
	line->last_length = line->used - start;
}

static void add_place(struct line *line, const struct cp_record *r)
{
	add_word(line, r->name);
	if (r->details && r->details->has_offset) {
		add(line, "+0x");
		add_hex(line, r->details->offset, 1);
	}
	add(line, " ");
	add_path(line, r->file);
	add(line, ":");
	add_decimal(line, r->file ? r->line : 0, 1);
	add(line, " ");
	add(line, kind_name(r));
	if (r->outer) {
		add(line, " in ");
		add_word(line, r->outer);
	}
	if (r->details && r->details->patches) {
		add(line, " for 0x");
		add_hex(line, r->details->patches, 1);
	}
	if (r->details && r->details->toward) {
		add(line, " to ");
		add_word(line, r->details->toward);
	}
	add(line, "\n");
}

/* What is inlined at a symbolized address, innermost first, one line each, as `cprobe list` shows copies. */
static void add_inlines(struct line *line, const struct cp_record *r)
{
	const struct cp_details *d = r->details;
	const char *file = r->file;
	unsigned int number = r->line;

	for (size_t i = 0; i < d->inline_count; i++) {
		add(line, "0x");
		add_hex(line, r->address, 16);
		add(line, " ");
		add_word(line, d->inlines[i].name);
		add(line, " ");
		add_word(line, file);
		add(line, ":");
		add_decimal(line, file ? number : 0, 1);
		add(line, " inlined in ");
		add_word(line, i + 1 < d->inline_count ? d->inlines[i + 1].name : r->name);
		add(line, "\n");
		file = d->inlines[i].call_file;
		number = d->inlines[i].call_line;
	}
}

/* OFFSET SIZE NAME TYPE: what a type has instead of an address and a file. */
static void add_layout(struct line *line, const struct cp_record *r)
{
	const struct cp_details *d = r->details;

	add_decimal(line, r->kind == CP_KIND_FIELD ? r->address : 0, 6);
	add(line, " ");
	add_decimal(line, r->size, 6);
	add(line, " ");
	add_word(line, r->name);
	add(line, " ");
	for (const char *p = d && d->type ? d->type : "?"; *p; p++)
		add_bytes(line, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
	if (d && d->bit_size) {
		add(line, " : ");
		add_decimal(line, d->bit_size, 1);
		add(line, " at bit ");
		add_decimal(line, d->bit_offset, 1);
	}
	add(line, "\n");
}

static void add_text(struct line *line, const struct cp_record *r)
{
	struct cp_record outer;

	if (is_layout(r)) {
		add_layout(line, r);
		return;
	}
	outer = *r;
	if (r->details && r->details->inline_count) {
		const struct cp_inline *last = &r->details->inlines[r->details->inline_count - 1];

		add_inlines(line, r);
		outer.file = last->call_file;
		outer.line = last->call_line;
	}
	add(line, "0x");
	add_hex(line, r->address, 16);
	add(line, " ");
	add_place(line, &outer);
}

static void add_gdb(struct line *line, const struct cp_record *r, bool again)
{
	bool breaks = !is_layout(r) && r->kind != CP_KIND_OBJECT;

	add(line, again && breaks ? "# also " : "# ");
	if (is_layout(r)) {
		add_layout(line, r);
		return;
	}
	add_place(line, r);
	/* Two breakpoints at one address would stop once and count twice. */
	if (breaks && !again) {
		add(line, "break *0x");
		/* An alternative's instruction never runs where it lies. */
		add_hex(line, r->details && r->details->patches ? r->details->patches : r->address, 1);
		add(line, "\n");
	}
}

struct cp_error *cp_record_print(FILE *out, const struct cp_record *record, enum cp_format format)
{
	const struct cp_records one = { .items = (struct cp_record *)(uintptr_t)record, .count = 1 };

	return cp_records_print(out, &one, format);
}

/* Text or GDB commands. */
static void add_range(struct line *line, const struct cp_records *records, size_t first, size_t end,
	enum cp_format format)
{
	for (size_t i = first; i < end; i++) {
		const struct cp_record *r = &records->items[i];

		if (format == CP_FORMAT_GDB)
			add_gdb(line, r, i && r[-1].address == r->address);
		else
			add_text(line, r);
	}
}

/* -- Many records: written down on all CPUs, printed in their order -- */

#define CHUNK ((size_t)2048)	/* records: their text stays in a processor's own cache */

struct printing {
	const struct cp_records *records;
	enum cp_format format;
	FILE *out;
	size_t chunk_count;
	size_t next_chunk;		/* to be written down */
	pthread_mutex_t lock;
	pthread_cond_t turned;
	size_t turn;			/* chunk to be printed */
	bool failed;			/* there was no memory for a line of it */
};

static ssize_t write_line(void *cookie, const char *bytes, size_t count)
{
	struct line *line = cookie;

	add_bytes(line, bytes, count);
	return line->failed ? 0 : (ssize_t)count;
}

/* A memory stream would not do: glibc's loses what it has no memory for, and says nothing. */
static void add_json(struct line *line, const struct cp_records *records, size_t first, size_t end)
{
	FILE *text = fopencookie(line, "w", (cookie_io_functions_t){ .write = write_line });

	if (!text) {
		line->failed = true;
		return;
	}
	for (size_t i = first; i < end; i++)
		print_json(text, &records->items[i]);
	if (fclose(text))
		line->failed = true;
}

/* Without a memory of its own; false: not even for a line. */
static bool print_range(FILE *out, const struct cp_records *records, size_t first, size_t end, enum cp_format format)
{
	struct line line;

	for (size_t i = first; i < end && format == CP_FORMAT_JSON; i++)
		print_json(out, &records->items[i]);
	if (format == CP_FORMAT_JSON)
		return true;
	if (line_init(&line, out, end - first > 8 ? LONG_ROOM : SHORT_ROOM)) {
		add_range(&line, records, first, end, format);
		flush(&line);
	}
	free(line.bytes);
	return !line.failed;
}

static void wait_for_turn(struct printing *p, size_t chunk)
{
	pthread_mutex_lock(&p->lock);
	while (p->turn != chunk)
		pthread_cond_wait(&p->turned, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void next_turn(struct printing *p)
{
	pthread_mutex_lock(&p->lock);
	p->turn++;
	pthread_cond_broadcast(&p->turned);
	pthread_mutex_unlock(&p->lock);
}

/* `line` is used again and again: fresh memory for all of the text takes longer than making it. */
static void print_chunk(struct printing *p, struct line *line, size_t chunk)
{
	size_t first = chunk * CHUNK, end = first + CHUNK < p->records->count ? first + CHUNK : p->records->count;

	line->used = 0;
	line->last_path = NULL;
	if (!line->failed && p->format == CP_FORMAT_JSON)
		add_json(line, p->records, first, end);
	else if (!line->failed)
		add_range(line, p->records, first, end, p->format);
	wait_for_turn(p, chunk);
	if (!p->failed && !line->failed)
		fwrite(line->bytes, 1, line->used, p->out);
	else if (!p->failed)	/* nothing behind a gap */
		p->failed = !print_range(p->out, p->records, first, end, p->format);
	next_turn(p);
}

/* As many chunks as there are: who has the first of those that are not printed waits for nobody. */
static struct cp_error *print_chunks(void *context, size_t worker, size_t item)
{
	struct printing *p = context;
	struct line line;
	size_t chunk;

	(void)worker, (void)item;
	line_init(&line, NULL, LONG_ROOM);
	while ((chunk = __atomic_fetch_add(&p->next_chunk, 1, __ATOMIC_RELAXED)) < p->chunk_count)
		print_chunk(p, &line, chunk);
	free(line.bytes);
	return NULL;
}

struct cp_error *cp_records_print(FILE *out, const struct cp_records *records, enum cp_format format)
{
	struct printing p = { .records = records, .format = format, .out = out, .lock = PTHREAD_MUTEX_INITIALIZER,
		.turned = PTHREAD_COND_INITIALIZER, .chunk_count = (records->count + CHUNK - 1) / CHUNK };
	size_t workers;

	if (records->count <= CHUNK)
		return print_range(out, records, 0, records->count, format) ? NULL : &cp_error_no_memory;
	workers = cp_workers(p.chunk_count, 2);
	cp_work(workers, workers, print_chunks, &p);
	pthread_cond_destroy(&p.turned);
	pthread_mutex_destroy(&p.lock);
	return p.failed ? &cp_error_no_memory : NULL;
}
