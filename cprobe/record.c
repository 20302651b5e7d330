/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "utf8.h"

static const char *const kind_names[] = {
	[CP_KIND_FUNCTION] = "function", [CP_KIND_INLINED] = "inlined", [CP_KIND_LINE] = "line",
	[CP_KIND_CHECK] = "check", [CP_KIND_INSN] = "insn", [CP_KIND_MESSAGE] = "message",
	[CP_KIND_OBJECT] = "object", [CP_KIND_LABEL] = "label",
};

/* An address that nothing is known of is "unknown"; what was found by decoding is what it is, with or without a name. */
static const char *kind_name(const struct cp_record *r)
{
	bool decoded = r->kind == CP_KIND_INSN || r->kind == CP_KIND_MESSAGE || r->kind == CP_KIND_CHECK;

	return decoded || r->name || r->file ? kind_names[r->kind] : "unknown";
}

void cp_records_init(struct cp_records *records)
{
	memset(records, 0, sizeof(*records));
	cp_arena_init(&records->arena);
}

void cp_records_deinit(struct cp_records *records)
{
	free(records->items);
	cp_arena_deinit(&records->arena);
	cp_records_init(records);
}

struct cp_record *cp_records_add(struct cp_records *records, enum cp_kind kind, uint64_t address)
{
	struct cp_record *items = cp_grow(records->items, records->count, sizeof(*items));

	if (!items)
		return NULL;
	records->items = items;
	items += records->count++;
	memset(items, 0, sizeof(*items));
	items->kind = kind;
	items->address = address;
	return items;
}

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare(const void *left, const void *right)
{
	const struct cp_record *a = left, *b = right;
	int order = compare_numbers(a->address, b->address);

	if (!order)
		order = compare_numbers(a->kind, b->kind);
	if (!order)
		order = compare_text(a->name, b->name);
	if (!order)
		order = compare_text(a->outer, b->outer);
	if (!order)
		order = compare_text(a->file, b->file);
	if (!order)
		order = compare_numbers(a->line, b->line);
	if (!order)
		order = compare_numbers(a->guards, b->guards);
	if (!order)
		order = compare_numbers(a->branch, b->branch);
	if (!order)
		order = compare_text(a->message, b->message);
	return order;
}

void cp_records_sort(struct cp_records *records)
{
	size_t kept = 0;

	if (!records->count)
		return;
	qsort(records->items, records->count, sizeof(*records->items), compare);
	for (size_t i = 1; i < records->count; i++) {
		if (compare(&records->items[kept], &records->items[i]))
			records->items[++kept] = records->items[i];
	}
	records->count = kept + 1;
}

void cp_json_string(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	if (!text) {
		fputs("null", out);
		return;
	}
	putc('"', out);
	while (*p) {
		size_t length = cp_utf8_length(p);

		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p == '\n')
			fputs("\\n", out);
		else if (*p == '\t')
			fputs("\\t", out);
		else if (!length || *p < 0x20 || *p == 0x7f)
			fprintf(out, "\\u%04x", *p);
		else
			fwrite(p, 1, length, out);
		p += length ? length : 1;
	}
	putc('"', out);
}

static void json_key(FILE *out, const char *key, const char *value)
{
	if (!value)
		return;
	fprintf(out, ", \"%s\": ", key);
	cp_json_string(out, value);
}

static void json_args(FILE *out, const struct cp_record *r)
{
	fputs(", \"args\": [", out);
	for (size_t i = 0; i < r->arg_count; i++) {
		const struct cp_arg *arg = &r->args[i];

		fputs(i ? ", {\"name\": " : "{\"name\": ", out);
		cp_json_string(out, arg->name ? arg->name : "");
		json_key(out, "type", arg->type);
		if (arg->size)
			fprintf(out, ", \"size\": %" PRIu64, arg->size);
		json_key(out, "location", arg->location);
		json_key(out, "location_from", arg->location ? arg->location_from : NULL);
		putc('}', out);
	}
	putc(']', out);
}

static void print_json(FILE *out, const struct cp_record *r)
{
	fprintf(out, "{\"address\": \"0x%" PRIx64 "\"", r->address);
	json_key(out, "name", r->name);
	if (r->has_offset)
		fprintf(out, ", \"offset\": %" PRIu64, r->offset);
	json_key(out, "file", r->file);
	if (r->file && r->line)
		fprintf(out, ", \"line\": %u", r->line);
	json_key(out, "kind", kind_name(r));
	if (r->has_size)
		fprintf(out, ", \"size\": %" PRIu64, r->size);
	json_key(out, "outer", r->outer);
	json_key(out, "call_file", r->call_file);
	if (r->call_file && r->call_line)
		fprintf(out, ", \"call_line\": %u", r->call_line);
	json_key(out, "mnemonic", r->mnemonic);
	json_key(out, "section", r->section);
	json_key(out, "type", r->type);
	json_key(out, "encoding", r->encoding);
	json_key(out, "message", r->message);
	if (r->has_guards)
		fprintf(out, ", \"guards\": \"0x%" PRIx64 "\", \"branch\": \"0x%" PRIx64 "\"", r->guards, r->branch);
	json_key(out, "variable", r->variable);
	if (r->variable_address)
		fprintf(out, ", \"variable_address\": \"0x%" PRIx64 "\", \"variable_size\": %u", r->variable_address,
			r->variable_size);
	if (r->has_args)
		json_args(out, r);
	fputs("}\n", out);
}

/* A name as one word of a line: what is no printable ASCII or UTF-8, and white space, becomes "?". */
static void print_word(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)(text && *text ? text : "?");

	while (*p) {
		size_t length = cp_utf8_length(p);

		if (!length || *p <= 0x20 || *p == 0x7f)
			putc('?', out);
		else
			fwrite(p, 1, length, out);
		p += length ? length : 1;
	}
}

static void print_words(FILE *out, const struct cp_record *r)
{
	print_word(out, r->name);
	if (r->has_offset)
		fprintf(out, "+0x%" PRIx64, r->offset);
	putc(' ', out);
	print_word(out, r->file);
	fprintf(out, ":%u %s", r->file ? r->line : 0, kind_name(r));
	if (r->outer) {
		fputs(" in ", out);
		print_word(out, r->outer);
	}
	putc('\n', out);
}

void cp_record_print(FILE *out, const struct cp_record *record, enum cp_format format)
{
	switch (format) {
	case CP_FORMAT_JSON:
		print_json(out, record);
		break;
	case CP_FORMAT_GDB:
		fputs("# ", out);
		print_words(out, record);
		if (record->kind != CP_KIND_OBJECT)
			fprintf(out, "break *0x%" PRIx64 "\n", record->address);
		break;
	default:
		fprintf(out, "0x%016" PRIx64 " ", record->address);
		print_words(out, record);
	}
}

void cp_records_print(FILE *out, const struct cp_records *records, enum cp_format format)
{
	uint64_t last = 0;

	for (size_t i = 0; i < records->count; i++) {
		/* Two breakpoints at one address would stop once and count twice. */
		if (format == CP_FORMAT_GDB && i && records->items[i].address == last) {
			fputs("# also ", out);
			print_words(out, &records->items[i]);
			continue;
		}
		cp_record_print(out, &records->items[i], format);
		last = records->items[i].address;
	}
}
