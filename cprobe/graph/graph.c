/* SPDX-License-Identifier: BSD-2-Clause */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/work.h"
#include "code/flow.h"
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

/* Tables that unwinders and debuggers read: no code is called through them. */
static bool is_description(const char *name)
{
	static const char *const names[] = { ".BTF", ".orc_", ".eh_frame", ".note", ".kcfi_traps" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	}
	return false;
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
		bool code = s->flags & SHF_EXECINSTR;

		by_segments &= !(s->flags & SHF_ALLOC);
		if ((s->flags & (SHF_ALLOC | SHF_COMPRESSED)) == SHF_ALLOC && (!code || graph->code.has_data) &&
			(s->type == SHT_PROGBITS || s->type == SHT_INIT_ARRAY || s->type == SHT_FINI_ARRAY ||
			s->type == SHT_PREINIT_ARRAY) && !is_description(s->name))
			error = cut(job, cp_section_bytes(image, s), s->size, s->address, false);
	}
	for (size_t i = 0; i < image->segment_count && !error && by_segments; i++) {
		const struct cp_segment *s = &image->segments[i];

		if (s->type == PT_LOAD)
			error = cut(job, image->data + s->offset, s->filesz, s->vaddr, false);
	}
	return error;
}

/* A list of so many functions in the order of their addresses is a tool's (mcount's, say): nobody calls through it. */
#define SORTED_LIST 64

static uint32_t drop_sorted_lists(struct cp_ref *refs, uint32_t count)
{
	uint32_t kept = 0;

	for (uint32_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && refs[end].place == refs[end - 1].place + refs[end - 1].width &&
			refs[end].target > refs[end - 1].target; end++)
			;
		if (end - i >= SORTED_LIST)
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

/* The function that an instruction is in, that of the place to which a replacement is copied. Jumps inside of one go. */
static void find_from(struct cp_graph *graph)
{
	const struct cp_section *replaced = cp_image_section(graph->program->image, ".altinstr_replacement");
	uint32_t kept = 0, around = CP_NO_FUNCTION;
	uint64_t known_to = 0, known_from = 1;

	for (uint32_t i = 0; i < graph->ref_count; i++) {
		struct cp_ref *ref = &graph->refs[i];

		if (i == graph->code_count)
			graph->code_count = kept;
		if (ref->kind <= CP_REF_ADDRESS) {
			uint64_t place = ref->place;

			if (replaced && place - replaced->address < replaced->size)
				place = cp_alternatives_site(&graph->alternatives, place - 1);
			if (place < known_from || place >= known_to) {
				around = cp_function_around(&graph->functions, place);
				known_from = place;
				known_to = around == CP_NO_FUNCTION ? place : graph->functions.items[around].end;
				if (around != CP_NO_FUNCTION && around + 1 < graph->functions.count &&
					graph->functions.items[around + 1].start < known_to)
					known_to = graph->functions.items[around + 1].start;
			}
			ref->from = around;
			if (ref->kind == CP_REF_JUMP && ref->from == ref->target)
				continue;
		} else {
			ref->state = CP_REF_SOUND;
		}
		graph->refs[kept++] = *ref;
	}
	if (graph->code_count == graph->ref_count)
		graph->code_count = kept;
	graph->ref_count = kept;
}

/* Counting sort of the refs by target, or by the function that they are in. */
static struct cp_error *index_refs(const struct cp_graph *graph, bool by_from, uint32_t **ret, uint32_t **first)
{
	uint32_t functions = graph->functions.count, *order = malloc(((size_t)graph->ref_count + 1) * sizeof(*order));
	uint32_t *starts = calloc((size_t)functions + 2, sizeof(*starts));

	*ret = order;
	*first = starts;
	if (!order || !starts)
		return &cp_error_no_memory;
	for (uint32_t i = 0; i < graph->ref_count; i++) {
		uint32_t key = by_from ? graph->refs[i].from : graph->refs[i].target;

		if (key != CP_NO_FUNCTION)
			starts[key + 1]++;
	}
	for (uint32_t f = 0; f < functions; f++)
		starts[f + 1] += starts[f];
	for (uint32_t i = 0; i < graph->ref_count; i++) {
		uint32_t key = by_from ? graph->refs[i].from : graph->refs[i].target;

		if (key != CP_NO_FUNCTION)
			order[starts[key]++] = i;
	}
	for (uint32_t f = functions; f > 0; f--)	/* each start has moved to where the next one was */
		starts[f] = starts[f - 1];
	starts[0] = 0;
	return NULL;
}

struct cp_error *cp_graph_init(struct cp_program *program, struct cp_graph *ret)
{
	struct job job = { .functions = &ret->functions, .wide = program->image->machine == EM_X86_64 };
	struct cp_error *error;

	memset(ret, 0, sizeof(*ret));
	ret->program = program;
	error = cp_code_init(program, &ret->code);
	if (!error)
		error = cp_functions_by_entry_init(program, &ret->code, &ret->functions);
	if (!error)
		error = cp_alternatives_read(&ret->code, &ret->alternatives);
	if (!error)
		error = cut_all(ret, &job);
	if (!error)
		error = cp_work(job.count, cp_workers(job.count, PIECES_WORTH_A_THREAD), scan_piece, &job);
	if (!error)
		error = gather(ret, &job);
	for (size_t p = 0; p < job.count; p++)
		free(job.pieces[p].refs);
	free(job.pieces);
	if (error)
		return error;
	find_from(ret);
	error = index_refs(ret, false, &ret->by_target, &ret->first);
	return error ? error : index_refs(ret, true, &ret->by_from, &ret->from_first);
}

void cp_graph_deinit(struct cp_graph *graph)
{
	free(graph->refs);
	free(graph->by_target);
	free(graph->first);
	free(graph->by_from);
	free(graph->from_first);
	cp_alternatives_deinit(&graph->alternatives);
	cp_functions_by_entry_deinit(&graph->functions);
	cp_code_deinit(&graph->code);
	memset(graph, 0, sizeof(*graph));
}

/* Does the instruction refer to the function as the ref says? */
static bool refers(const struct cp_graph *graph, const struct cp_ref *ref, const struct cp_code_part *part, uint64_t at)
{
	uint64_t entry = graph->functions.items[ref->target].start;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct cp_flow_insn flow = { .address = at };
	ZydisDecodedInstruction insn;

	if (!cp_decode(&graph->code, part, at, &insn, operands))
		return false;
	cp_flow_classify(&graph->code, &flow, &insn, operands);
	if (ref->kind == CP_REF_CALL)
		return flow.kind == CP_FLOW_CALL && flow.target == entry;
	if (ref->kind == CP_REF_JUMP)
		return (flow.kind == CP_FLOW_JUMP || flow.kind == CP_FLOW_BRANCH) && flow.target == entry &&
			at + insn.length == ref->place + ref->width;
	if (flow.kind != CP_FLOW_NEXT)
		return false;
	for (int i = 0; i < insn.operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		ZyanU64 target;

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && (insn.mnemonic == ZYDIS_MNEMONIC_MOV ||
			insn.mnemonic == ZYDIS_MNEMONIC_PUSH) && cp_code_wrap(&graph->code, op->imm.is_signed ?
			(ZyanU64)op->imm.value.s : op->imm.value.u) == entry)
			return true;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && insn.mnemonic == ZYDIS_MNEMONIC_LEA &&
			op->mem.index == ZYDIS_REGISTER_NONE &&
			(op->mem.base == ZYDIS_REGISTER_NONE || op->mem.base == ZYDIS_REGISTER_RIP) &&
			ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn, op, at, &target)) &&
			cp_code_wrap(&graph->code, target) == entry)
			return true;
	}
	return false;
}

/* The first ref of code at or behind the place. */
static uint32_t lower_ref(const struct cp_graph *graph, uint64_t place)
{
	uint32_t low = 0, high = graph->code_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (graph->refs[middle].place < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Decode the region around a ref and settle all that are in it. */
static void settle_region(struct cp_graph *graph, uint64_t place)
{
	struct cp_region region;
	uint64_t address;
	uint32_t next;

	if (!cp_region_at(&graph->code, place - 1, &region))
		return;
	next = lower_ref(graph, region.start);
	address = region.data ? region.end : region.start;
	while (address < region.end && next < graph->code_count && graph->refs[next].place < region.end) {
		ZydisDecodedInstruction insn;
		bool good = cp_decode_light(&graph->code, region.part, address, &insn) && insn.length <= region.end - address;

		for (; next < graph->code_count && graph->refs[next].place < address + insn.length; next++) {
			struct cp_ref *ref = &graph->refs[next];
			bool sound = good && ref->place > address && refers(graph, ref, region.part, address);

			ref->state = sound ? CP_REF_SOUND : CP_REF_FALSE;
			ref->back = (uint8_t)(ref->place - address);
		}
		address += insn.length;
	}
}

bool cp_ref_is_sound(struct cp_graph *graph, uint32_t ref)
{
	if (graph->refs[ref].state == CP_REF_UNKNOWN) {
		settle_region(graph, graph->refs[ref].place);
		if (graph->refs[ref].state == CP_REF_UNKNOWN)
			graph->refs[ref].state = CP_REF_FALSE;
	}
	return graph->refs[ref].state == CP_REF_SOUND;
}

uint64_t cp_ref_site(const struct cp_ref *ref)
{
	return ref->kind <= CP_REF_ADDRESS ? ref->place - ref->back : ref->place;
}
