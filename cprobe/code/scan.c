/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/arena.h"
#include "base/work.h"
#include "code/scan.h"

const struct cp_scan_span *cp_scan_span_at(const struct cp_scan *scan, uint64_t address)
{
	size_t low = 0, high = scan->span_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (scan->spans[middle].first <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address <= scan->spans[low - 1].last ? &scan->spans[low - 1] : NULL;
}

/* From the first span's start to the last one's end; more than 32 bits hold are as good as all of them. */
static uint32_t reach(const struct cp_scan *scan)
{
	uint64_t wide = scan->spans[scan->span_count - 1].last - scan->spans[0].first;

	return wide > UINT32_MAX ? UINT32_MAX : (uint32_t)wide;
}

/* Only low halves are compared: decoding decides. */
static bool is_address(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	uint32_t low = (uint32_t)scan->spans[0].first, span = reach(scan);
	uint32_t absolute = cp_read32(part->bytes + at) - low;
	uint32_t relative = absolute + (uint32_t)(part->address + at + 4);

	return (absolute <= span && cp_scan_span_at(scan, scan->spans[0].first + absolute)) ||
		(relative <= span && cp_scan_span_at(scan, scan->spans[0].first + relative));
}

static bool is_opcode(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	uint8_t byte = part->bytes[at];

	return memchr(scan->first, byte, scan->first_count) || (byte == 0x0f && at + 1 < part->size &&
		memchr(scan->second, part->bytes[at + 1], scan->second_count));
}

uint64_t cp_scan_next_plain(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	if (scan->span_count) {
		for (; at < part->size && part->size - at >= 4; at++) {
			if (is_address(scan, part, at))
				return at;
		}
		return part->size;
	}
	while (at < part->size && (scan->first_count || scan->second_count) && !is_opcode(scan, part, at))
		at++;
	return at < part->size ? at : part->size;
}

#ifdef __SSE2__
/* Skip sixteen bytes at a time while none is an opcode. */
static uint64_t skip_opcodes(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	__m128i first[CP_SCAN_BYTES], second[CP_SCAN_BYTES], escape = _mm_set1_epi8(0x0f);

	for (size_t i = 0; i < scan->first_count; i++)
		first[i] = _mm_set1_epi8((char)scan->first[i]);
	for (size_t i = 0; i < scan->second_count; i++)
		second[i] = _mm_set1_epi8((char)scan->second[i]);
	for (; at < part->size && part->size - at > sizeof(__m128i); at += sizeof(__m128i)) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(part->bytes + at));
		__m128i next = _mm_loadu_si128((const __m128i *)(part->bytes + at + 1));
		__m128i hits = _mm_setzero_si128();
		int mask;

		for (size_t i = 0; i < scan->second_count; i++)
			hits = _mm_or_si128(hits, _mm_cmpeq_epi8(next, second[i]));
		hits = _mm_and_si128(hits, _mm_cmpeq_epi8(bytes, escape));
		for (size_t i = 0; i < scan->first_count; i++)
			hits = _mm_or_si128(hits, _mm_cmpeq_epi8(bytes, first[i]));
		mask = _mm_movemask_epi8(hits);
		if (mask)
			return at + (unsigned int)__builtin_ctz((unsigned int)mask);
	}
	return at;
}

/* Skip while no four bytes can be an address between the first span and the last. */
static uint64_t skip_addresses(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	/* SSE2 compares signed numbers only: what is compared is moved by 2^31. */
	const uint32_t bias = UINT32_C(1) << 31;
	uint32_t span = reach(scan), low = (uint32_t)scan->spans[0].first, here = (uint32_t)(part->address + at + 4);
	__m128i start = _mm_set1_epi32((int)(low - bias));
	__m128i limit = _mm_set1_epi32((int)(span - bias));
	__m128i place = _mm_setr_epi32((int)here, (int)(here + 4), (int)(here + 8), (int)(here + 12));

	for (; at < part->size && part->size - at >= sizeof(__m128i) + 3; at += sizeof(__m128i)) {
		__m128i outside = _mm_set1_epi32(-1);

		for (int shift = 0; shift < 4; shift++) {
			__m128i value = _mm_loadu_si128((const __m128i *)(part->bytes + at + shift));
			__m128i absolute = _mm_sub_epi32(value, start);
			__m128i relative = _mm_add_epi32(absolute, _mm_add_epi32(place, _mm_set1_epi32(shift)));

			outside = _mm_and_si128(outside, _mm_and_si128(_mm_cmpgt_epi32(absolute, limit),
				_mm_cmpgt_epi32(relative, limit)));
		}
		if (_mm_movemask_epi8(outside) != 0xffff)
			return at;
		place = _mm_add_epi32(place, _mm_set1_epi32(sizeof(__m128i)));
	}
	return at;
}

uint64_t cp_scan_next(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	if (!scan->span_count)
		return cp_scan_next_plain(scan, part, scan->first_count || scan->second_count ?
			skip_opcodes(scan, part, at) : at);
	while (at < part->size && part->size - at >= 4) {
		uint64_t end;

		at = skip_addresses(scan, part, at);
		end = part->size - at < sizeof(__m128i) ? part->size : at + sizeof(__m128i);
		for (; at < end && part->size - at >= 4; at++) {
			if (is_address(scan, part, at))
				return at;
		}
	}
	return part->size;
}
#else
uint64_t cp_scan_next(const struct cp_scan *scan, const struct cp_code_part *part, uint64_t at)
{
	return cp_scan_next_plain(scan, part, at);
}
#endif

/* A piece of a part: its regions are those that begin in it. */
struct piece {
	const struct cp_code_part *part;
	uint64_t from, to;		/* offsets in the part */
	uint64_t *hits;			/* addresses, in order */
	size_t hit_count;
};

struct job {
	const struct cp_code *code;
	const struct cp_scan *scan;
	struct piece *pieces;
	size_t piece_count;
};

#define PIECE_SIZE ((uint64_t)128 << 10)
#define PIECES_WORTH_A_THREAD 8

#define WIDEST_CANDIDATE 4	/* bytes: an address */

static struct cp_error *add_hit(struct piece *piece, uint64_t address)
{
	uint64_t *hits = cp_grow(piece->hits, piece->hit_count, sizeof(*hits));

	if (!hits)
		return &cp_error_no_memory;
	piece->hits = hits;
	hits[piece->hit_count++] = address;
	return NULL;
}

/*
 * From the region's start to its last candidate. *next is the first candidate, then the first one behind the region. What
 * runs over the region's end is none of its instructions, nor of the next one's, as objdump has it.
 */
static struct cp_error *scan_region(const struct job *job, struct piece *piece, const struct cp_code_part *view,
	const struct cp_region *region, uint64_t *next)
{
	uint64_t address = region->data ? region->end : region->start, base = region->part->address;

	while (address < region->end && base + *next < region->end) {
		ZydisDecodedInstruction insn;
		bool good = cp_decode_light(job->code, region->part, address, &insn);

		if (base + *next < address + insn.length) {
			struct cp_error *error = NULL;

			if (good && address + insn.length <= region->end &&
				(!job->scan->wanted || job->scan->wanted[insn.mnemonic]))
				error = add_hit(piece, address);
			if (error)
				return error;
			*next = cp_scan_next(job->scan, view, address + insn.length - base);
		}
		address += insn.length;
	}
	/* An instruction that runs over the region's end may have passed candidates of the next one, and data holds none. */
	if (region->data || (base + *next >= region->end && address > region->end))
		*next = cp_scan_next(job->scan, view, region->end - base);
	return NULL;
}

static struct cp_error *scan_piece(void *context, size_t worker, size_t item)
{
	const struct job *job = context;
	struct piece *piece = &job->pieces[item];
	const struct cp_code_part *part = piece->part;
	uint64_t base = part->address, from = piece->from, end, next;
	struct cp_code_part view = *part;	/* ends behind the piece's last region: nobody looks further */
	struct cp_error *error = NULL;
	struct cp_region region;

	(void)worker;
	cp_region_of(job->code, part, base + from, &region);
	if (region.start != base + from)
		from = region.end - base;
	if (from >= piece->to)
		return NULL;
	cp_region_of(job->code, part, base + piece->to - 1, &region);
	end = region.end - base;
	if (part->size - end > WIDEST_CANDIDATE - 1)
		view.size = end + WIDEST_CANDIDATE - 1;
	next = cp_scan_next(job->scan, &view, from);
	while (next < end && !error) {
		cp_region_of(job->code, part, base + next, &region);
		error = scan_region(job, piece, &view, &region, &next);
	}
	return error;
}

static struct cp_error *cut(const struct cp_code *code, struct job *job)
{
	size_t count = 0;

	for (size_t p = 0; p < code->part_count; p++)
		count += code->parts[p].size / PIECE_SIZE + 1;
	job->pieces = calloc(count ? count : 1, sizeof(*job->pieces));
	if (!job->pieces)
		return &cp_error_no_memory;
	for (size_t p = 0; p < code->part_count; p++) {
		const struct cp_code_part *part = &code->parts[p];

		for (uint64_t from = 0; from < part->size; from += PIECE_SIZE)
			job->pieces[job->piece_count++] = (struct piece){ .part = part, .from = from,
				.to = part->size - from < PIECE_SIZE ? part->size : from + PIECE_SIZE };
	}
	return NULL;
}

struct cp_error *cp_scan_code(const struct cp_code *code, const struct cp_scan *scan,
	struct cp_error *(*visit)(void *context, const struct cp_code_part *part, uint64_t address), void *context)
{
	struct job job = { .code = code, .scan = scan };
	struct cp_error *error = cut(code, &job);

	if (!error)
		error = cp_work(job.piece_count, cp_workers(job.piece_count, PIECES_WORTH_A_THREAD), scan_piece, &job);
	for (size_t p = 0; p < job.piece_count; p++) {
		const struct piece *piece = &job.pieces[p];

		for (size_t i = 0; i < piece->hit_count && !error; i++)
			error = visit(context, piece->part, piece->hits[i]);
		free(piece->hits);
	}
	free(job.pieces);
	return error;
}
