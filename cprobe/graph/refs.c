/* SPDX-License-Identifier: BSD-2-Clause */
/* All places whose bytes may refer to a function, found without decoding, by all CPUs. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/work.h"
#include "graph/graph.h"

/* A piece of a section or of a code part, for one worker. */
struct piece {
	const uint8_t *bytes;		/* of the whole */
	uint64_t size, address;		/* of the whole */
	uint64_t from, to;		/* offsets: fields that begin here */
	bool code;
	struct cp_ref *refs;
	uint32_t count;
};

struct job {
	const struct cp_functions_by_entry *functions;
	struct piece *pieces;
	size_t count;
	bool wide;			/* x86-64 */
	uint64_t got;			/* as struct cp_code has it */
};

#define PIECE_SIZE ((uint64_t)256 << 10)
#define PIECES_WORTH_A_THREAD 4

/* What no kernel comes near: 2^28 references of 24 bytes. */
#define MOST_REFS ((uint64_t)1 << 28)

static struct cp_error *add(struct piece *piece, uint64_t at, uint32_t target, enum cp_ref_kind kind, uint8_t width)
{
	struct cp_ref *refs = cp_grow(piece->refs, piece->count, sizeof(*refs));

	if (!refs)
		return &cp_error_no_memory;
	piece->refs = refs;
	refs[piece->count++] = (struct cp_ref){ .place = piece->address + at, .target = target, .from = CP_NO_FUNCTION,
		.kind = (uint8_t)kind, .width = width };
	return NULL;
}

/* What the bytes before a relative field make of it; false: no instruction that refers to a function. */
static bool kind_of_relative(const struct piece *piece, uint64_t at, bool wide, enum cp_ref_kind *ret)
{
	uint8_t before = piece->bytes[at - 1];

	if (before == 0xe8)
		*ret = CP_REF_CALL;
	else if (before == 0xe9 || ((before & 0xf0) == 0x80 && at > 1 && piece->bytes[at - 2] == 0x0f))
		*ret = CP_REF_JUMP;
	else if (wide && (before & 0xc7) == 0x05 && at > 1)	/* ModRM: rip-relative */
		*ret = CP_REF_ADDRESS;
	else
		return false;
	return true;
}

static uint64_t wrap(const struct job *job, uint64_t address)
{
	return job->wide ? address : (uint32_t)address;
}

static struct cp_error *long_field(const struct job *job, struct piece *piece, uint64_t at)
{
	uint32_t field = cp_read32(piece->bytes + at), target;
	uint64_t value = job->wide ? (uint64_t)(int32_t)field : field;
	struct cp_error *error = NULL;
	enum cp_ref_kind kind;

	target = cp_function_entered(job->functions, wrap(job, piece->address + at + 4 + (uint64_t)(int32_t)field));
	if (target != CP_NO_FUNCTION && kind_of_relative(piece, at, job->wide, &kind))
		error = add(piece, at, target, kind, 4);
	target = cp_function_entered(job->functions, value);
	if (target == CP_NO_FUNCTION && job->got)
		target = cp_function_entered(job->functions, (uint32_t)(job->got + field));
	if (!error && target != CP_NO_FUNCTION)
		return add(piece, at, target, CP_REF_ADDRESS, 4);
	if (!error && job->wide && (piece->bytes[at - 1] & 0xf8) == 0xb8 && piece->size - at >= 8) {
		target = cp_function_entered(job->functions, cp_read64(piece->bytes + at));	/* movabs */
		if (target != CP_NO_FUNCTION)
			error = add(piece, at, target, CP_REF_ADDRESS, 8);
	}
	return error;
}

/* Every byte may be where a field begins: what is before it must be an opcode. */
static struct cp_error *scan_code(const struct job *job, struct piece *piece)
{
	struct cp_error *error = NULL;

	for (uint64_t at = piece->from ? piece->from : 1; at < piece->to && !error; at++) {
		uint8_t before = piece->bytes[at - 1];

		if ((before & 0xf0) == 0x70 || before == 0xeb || (before & 0xfc) == 0xe0) {
			uint64_t to = wrap(job, piece->address + at + 1 + (uint64_t)(int8_t)piece->bytes[at]);
			uint32_t target = cp_function_entered(job->functions, to);

			if (target != CP_NO_FUNCTION)
				error = add(piece, at, target, CP_REF_JUMP, 1);
		}
		if (!error && piece->size - at >= 4)
			error = long_field(job, piece, at);
	}
	return error;
}

static struct cp_error *scan_data(const struct job *job, struct piece *piece)
{
	uint64_t step = job->wide ? 8 : 4;
	struct cp_error *error = NULL;

	for (uint64_t at = piece->from + (-(piece->address + piece->from) & 3); at < piece->to && !error; at += 4) {
		uint32_t target = CP_NO_FUNCTION, field;

		if (piece->size - at < 4)
			break;
		if ((piece->address + at) % step == 0 && piece->size - at >= step)
			target = cp_function_entered(job->functions, job->wide ? cp_read64(piece->bytes + at) :
				cp_read32(piece->bytes + at));
		if (target != CP_NO_FUNCTION) {
			error = add(piece, at, target, CP_REF_WORD, (uint8_t)step);
			continue;
		}
		field = cp_read32(piece->bytes + at);
		if (job->wide && field)
			target = cp_function_entered(job->functions, piece->address + at + (uint64_t)(int32_t)field);
		if (target != CP_NO_FUNCTION)
			error = add(piece, at, target, CP_REF_OFFSET, 4);
	}
	return error;
}

static struct cp_error *scan_piece(void *context, size_t worker, size_t item)
{
	struct job *job = context;

	(void)worker;
	return job->pieces[item].code ? scan_code(job, &job->pieces[item]) : scan_data(job, &job->pieces[item]);
}

static struct cp_error *cut(struct job *job, const uint8_t *bytes, uint64_t size, uint64_t address, bool code)
{
	for (uint64_t from = 0; bytes && from < size; from += PIECE_SIZE) {
		struct piece *pieces = cp_grow(job->pieces, job->count, sizeof(*pieces));

		if (!pieces)
			return &cp_error_no_memory;
		job->pieces = pieces;
		pieces[job->count++] = (struct piece){ .bytes = bytes, .size = size, .address = address, .from = from,
			.to = size - from < PIECE_SIZE ? size : from + PIECE_SIZE, .code = code };
	}
	return NULL;
}

/* What unwinders, debuggers and the code that patches code read: nothing is called through it. */
static bool is_description(const char *name)
{
	static const char *const names[] = { ".BTF", ".orc_", ".eh_frame", ".note", ".altinstructions", ".return_sites",
		".retpoline_sites", ".parainstructions", ".smp_locks", ".static_call_sites", "__ex_table", "__bug_table",
		"__jump_table", "__mcount_loc" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	}
	return false;
}

bool cp_section_has_pointers(const struct cp_graph *graph, const struct cp_section *section)
{
	return (section->flags & (SHF_ALLOC | SHF_COMPRESSED)) == SHF_ALLOC && section->size &&
		(!(section->flags & SHF_EXECINSTR) || graph->code.has_data) && !is_description(section->name) &&
		(section->type == SHT_PROGBITS || section->type == SHT_INIT_ARRAY || section->type == SHT_FINI_ARRAY ||
		section->type == SHT_PREINIT_ARRAY);
}

static struct cp_error *cut_all(const struct cp_graph *graph, struct job *job)
{
	const struct cp_image *image = graph->program->image;
	struct cp_error *error = NULL;
	bool by_segments = true;

	for (size_t p = 0; p < graph->code.part_count && !error; p++) {
		const struct cp_code_part *part = &graph->code.parts[p];

		error = cut(job, part->bytes, part->size, part->address, true);
	}
	for (size_t i = 1; i < image->section_count && !error; i++) {
		const struct cp_section *s = &image->sections[i];

		by_segments &= !(s->flags & SHF_ALLOC);
		if (cp_section_has_pointers(graph, s))
			error = cut(job, cp_section_bytes(image, s), s->size, s->address, false);
	}
	for (size_t i = 0; i < image->segment_count && !error && by_segments; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type == PT_LOAD)
			error = cut(job, image->data + s->offset, s->filesz, s->vaddr, false);
	}
	return error;
}

/*
 * A list of so many functions, mostly in the order of their addresses, is a tool's (mcount's, say): nobody calls through it.
 * Code that is in no function's beginning leaves words out.
 */
#define SORTED_LIST 64
#define SORTED_PART 32		/* one in so many is not in order */
#define SORTED_GAP 8		/* words */

static uint32_t drop_sorted_lists(struct cp_ref *refs, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0, end; i < count; i = end) {
		uint32_t falls = 0;

		for (end = i + 1; end < count && refs[end].width == refs[end - 1].width &&
			refs[end].place - refs[end - 1].place <= SORTED_GAP * refs[end].width; end++)
			falls += refs[end].target <= refs[end - 1].target;
		if (end - i >= SORTED_LIST && falls <= (end - i) / SORTED_PART)
			continue;
		memmove(refs + kept, refs + i, (end - i) * sizeof(*refs));
		kept += end - i;
	}
	return kept;
}

static int compare_places(const void *left, const void *right)
{
	const struct cp_ref *a = left, *b = right;

	return a->place < b->place ? -1 : a->place > b->place;
}

/* All pieces' refs in one array, data's behind code's. */
static struct cp_error *gather(struct cp_graph *graph, const struct job *job)
{
	uint64_t total = 0;

	for (size_t p = 0; p < job->count; p++)
		total += job->pieces[p].count;
	if (total > MOST_REFS)
		return cp_error_create(CP_ERROR_UNSUPPORTED, "%s: more than %llu references between functions: no kernel has so many",
			graph->program->image->path, (unsigned long long)MOST_REFS);
	graph->refs = malloc((total + 1) * sizeof(*graph->refs));
	if (!graph->refs)
		return &cp_error_no_memory;
	for (size_t p = 0; p < job->count; p++) {
		const struct piece *piece = &job->pieces[p];

		if (piece->count)
			memcpy(graph->refs + graph->ref_count, piece->refs, piece->count * sizeof(*piece->refs));
		graph->ref_count += piece->count;
		if (piece->code)
			graph->code_count = graph->ref_count;
	}
	qsort(graph->refs + graph->code_count, graph->ref_count - graph->code_count, sizeof(*graph->refs), compare_places);
	graph->ref_count = graph->code_count + drop_sorted_lists(graph->refs + graph->code_count,
		graph->ref_count - graph->code_count);
	return NULL;
}

struct cp_error *cp_refs_find(struct cp_graph *graph)
{
	struct job job = { .functions = &graph->functions, .got = graph->code.got,
		.wide = graph->program->image->machine == EM_X86_64 };
	struct cp_error *error = cut_all(graph, &job);

	if (!error)
		error = cp_work(job.count, cp_workers(job.count, PIECES_WORTH_A_THREAD), scan_piece, &job);
	if (!error)
		error = gather(graph, &job);
	for (size_t p = 0; p < job.count; p++)
		free(job.pieces[p].refs);
	free(job.pieces);
	return error;
}
